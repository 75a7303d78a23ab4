"""The named methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from mixmodal import masks
from mixmodal.mixer import Mixer, is_number, require


@dataclass(frozen=True, kw_only=True)
class MixUp(Mixer):
    """Blend whole samples: `lam` everywhere. Takes a batch of any rank, whatever `axes` says.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha); 1 is uniform.
        axes: see `Mixer`.
        per_sample: see `Mixer`.

    >>> mixed, mix = MixUp()(torch.tensor([[0.0], [1.0]]), lam=0.75, index=torch.tensor([1, 0]))
    >>> mixed
    tensor([[0.2500],
            [0.7500]])

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018), section 2.
    """

    alpha: float = 1.0
    uniform: ClassVar[bool] = True

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return masks.constant(lam, shape)


@dataclass(frozen=True, kw_only=True)
class CutMix(Mixer):
    """Paste a box of the partner, in any rank.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha) is the share outside the box before it is clipped at the border.
        adjust_lam: record the share that is left after clipping; if False the share asked for, which weighs labels
            wrongly (by 0.19 on average at 32 x 32), as in the CutMix baseline of the FMix paper's code.
        axes: see `Mixer`.
        per_sample: see `Mixer`.

    >>> mixed, mix = CutMix()(torch.rand(4, 3, 32, 32))
    >>> bool(torch.isclose(mix.lam[0], mix.mask.mean()))
    True

    Source: Yun et al., CutMix (ICCV 2019), section 3.1. See `masks.box` for the rule in any rank.
    """

    alpha: float = 1.0
    adjust_lam: bool = True

    @property
    def hard(self) -> bool:
        return True

    @property
    def exact(self) -> bool:
        return self.adjust_lam

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return masks.box(lam, shape, generator=generator)


@dataclass(frozen=True, kw_only=True)
class FMix(Mixer):
    """Choose between the partners by thresholding a random low-frequency field, in any rank.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha); 1 is uniform.
        decay_power: amplitudes of the field fall as frequency^-decay_power; 0 is white noise, larger is smoother.
        max_soft: half-width of a soft edge as a share of the mask, in [0, 1/2]; 0 in every experiment of the paper.
        spectrum: "paper" for the paper's isotropic field, "upstream" for what its authors' code draws.
        axes: see `Mixer`.
        per_sample: see `Mixer`.

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
            generator=generator,
        )


@dataclass(frozen=True, kw_only=True)
class Cutout(Mixer):
    """Zero a box with a uniform centre, clipped at the border. No partner: labels and integers stay.

    Args:
        size: side of the box in cells, along every axis of the grid.
        axes: see `Mixer`.
        per_sample: a box for every sample; one for the whole batch if False.

    >>> cut, mix = Cutout(size=4)(torch.ones(2, 3, 8, 8))
    >>> bool((cut[:, 0] == mix.mask).all()), mix.lam
    (True, tensor([1., 1.]))

    Source: DeVries and Taylor, Cutout (2017), section 3.2; 16 on CIFAR-10, 8 on CIFAR-100, 20 on SVHN. Cut after
    normalising, so that zero is the mean.
    """

    size: int
    per_sample: bool = True
    partner: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(type(self.size) is int and self.size > 0, "size", self.size, "be a whole number of cells, 1 or more")

    @property
    def hard(self) -> bool:
        return True

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        sides = torch.full((len(lam), len(shape)), self.size, device=lam.device)
        return masks.hole(sides, shape, generator=generator)


@dataclass(frozen=True, kw_only=True)
class NoMix(Mixer):
    """Leave the batch as it is: the baseline, and the off side of a policy. Takes a batch of any rank.

    Args:
        axes: see `Mixer`.
        per_sample: see `Mixer`; makes no difference.

    >>> x = torch.rand(4, 3)
    >>> same, mix = NoMix()(x)
    >>> same is x, mix.lam
    (True, tensor([1., 1., 1., 1.]))
    """

    partner: ClassVar[bool] = False
    uniform: ClassVar[bool] = True

    @property
    def hard(self) -> bool:
        return True

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return masks.constant(torch.ones_like(lam), shape)
