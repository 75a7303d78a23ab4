"""The named methods that cut a box: CutMix and Cutout, in any rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mixmodal.core import masks
from mixmodal.core.checks import is_whole, require
from mixmodal.core.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class CutMix(Mixer):
    """Paste a box of the partner, in any rank.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha) is the share outside the box before it is clipped at the border.
        adjust_lam: record the realised share after clipping; if False, the share asked for, which gives labels wrong
            weights (by 0.19 on average at 32 x 32), as in the CutMix baseline of the FMix paper's code.
        axes: see `Mixer`.
        per_sample: see `Mixer`.
        holes: see `Mixer`.

    >>> mixed, mix = CutMix()(torch.rand(4, 3, 32, 32))
    >>> bool(torch.isclose(mix.lam[0], mix.mask.mean()))
    True

    Source: Yun et al., CutMix (ICCV 2019), section 3.1. See `masks.box` for the rule in any rank.
    """

    alpha: float = 1.0
    adjust_lam: bool = True
    holes: bool = True

    @property
    def hard(self) -> bool:
        return True

    @property
    def exact(self) -> bool:
        return self.adjust_lam

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return masks.box(lam, shape, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Cutout(Mixer):
    """Zero a box with a uniformly drawn centre, clipped at the border. No partner: labels and integers are unchanged.

    Args:
        size: side of the box in cells, along every axis of the grid.
        axes: see `Mixer`.
        per_sample: a box for every sample; if False, one for the whole batch.

    >>> cut, mix = Cutout(size=4)(torch.ones(2, 3, 8, 8))
    >>> bool((cut[:, 0] == mix.mask).all()), mix.lam
    (True, tensor([1., 1.]))

    Source: DeVries and Taylor, Cutout (2017), section 3.2; 16 on CIFAR-10, 8 on CIFAR-100, 20 on SVHN. Apply it after
    normalisation, so that zero is the mean.
    """

    size: int
    per_sample: bool = True
    partner: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(is_whole(self.size) and self.size > 0, "size", self.size, "be a whole number of cells, 1 or more")

    @property
    def hard(self) -> bool:
        return True

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        side = min(self.size, 2 * max(shape))  # which covers the grid from any of its cells
        sides = torch.full((len(lam), len(shape)), side, device=lam.device)
        return masks.hole(sides, shape, generator=generator)
