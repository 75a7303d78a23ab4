"""The top share of a random field: FMix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from mixmodal.core import masks
from mixmodal.core.checks import is_number, require
from mixmodal.core.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class FMix(Mixer):
    """Choose between a sample and its partner by thresholding a random low-frequency field, in any rank.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha); 1 is uniform.
        decay_power: amplitudes of the field fall as frequency^-decay_power; 0 is white noise, larger is smoother.
        max_soft: half-width of a soft edge as a share of the mask, in [0, 1/2]; 0 in every experiment of the paper.
        spectrum: "paper" for the paper's isotropic field, "upstream" for the one that its authors' code draws.
        spacing: distance between neighbouring cells along each axis of the grid, in whose unit frequencies are
            measured. "equal", as in the paper, gives regions as wide as they are high in cells: on an oblong grid
            nearly all changes are along its longest axis, so that a spectrogram of 128 x 1024 is cut in time (2.2
            changes along time, 0.02 along frequency). "relative" gives as many changes along each axis, as on a cube.
            Numbers, one for each axis, are distances in any unit, such as millimetres in a scan: (1, 1, 5); none may
            exceed a million times another.
        axes: see `Mixer`.
        per_sample: see `Mixer`.
        holes: see `Mixer`.

    Raises:
        ValueError: an argument is out of range; a `spacing` with "upstream", whose field scales by the longest axis. At
            a draw: a `spacing` whose rank is not that of the grid.

    >>> mixed, mix = FMix()(torch.rand(4, 1, 10, 10, 10), lam=0.3)
    >>> mix.mask.shape, mix.lam
    (torch.Size([1, 10, 10, 10]), tensor([0.3000, 0.3000, 0.3000, 0.3000]))

    Source: Harris et al., FMix: Enhancing Mixed Sample Data Augmentation (2020), section 4. Deviations from the
    authors' code: `masks.fourier`; `lam` is the mask's mean, not the share asked for (they differ by less than a cell).
    """

    alpha: float = 1.0
    decay_power: float = 3.0
    max_soft: float = 0.0
    spectrum: masks.Spectrum = "paper"
    spacing: masks.Spacing = "equal"
    holes: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            is_number(self.decay_power) and self.decay_power >= 0,
            "decay_power",
            self.decay_power,
            "be a number, 0 or more",
        )
        require(
            is_number(self.max_soft) and 0 <= self.max_soft <= 0.5, "max_soft", self.max_soft, "be a number in [0, 0.5]"
        )
        require(self.spectrum in get_args(masks.Spectrum), "spectrum", self.spectrum, "be 'paper' or 'upstream'")
        self._check_spacing()

    @property
    def hard(self) -> bool:
        return self.max_soft == 0

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return masks.fourier(
            lam,
            shape,
            decay_power=self.decay_power,
            max_soft=self.max_soft,
            spectrum=self.spectrum,
            spacing=self.spacing,
            generator=generator,
        )

    def _check_spacing(self) -> None:
        spacing: object = self.spacing
        if isinstance(spacing, Sequence) and not isinstance(spacing, str):
            numbers = [number for number in spacing if is_number(number) and number > 0]
            fine = len(numbers) == len(spacing) > 0 and max(numbers) <= 1e6 * min(numbers)
            object.__setattr__(self, "spacing", tuple(spacing))
        else:
            fine = spacing in ("equal", "relative")
        rule = "be 'equal', 'relative' or numbers above 0, one for each axis, none above a million times another"
        require(fine, "spacing", spacing, rule)
        fits = self.spacing == "equal" or self.spectrum == "paper"
        require(fits, "spacing", spacing, "be 'equal' for spectrum='upstream', which scales by the longest axis")
