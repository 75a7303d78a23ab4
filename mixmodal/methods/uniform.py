"""One share for all locations: MixUp, and NoMix, which is the share 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mixmodal.core import masks
from mixmodal.core.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class MixUp(Mixer):
    """Blend whole samples: `lam` everywhere. Takes a batch of any rank, whatever `axes` says if there is no padding.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha); 1 is uniform.
        axes: see `Mixer`; it says which axes `valid` marks.
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
class NoMix(Mixer):
    """Leave the batch as it is: the baseline, and the "off" choice of a policy. Takes a batch of any rank.

    Args:
        axes: see `Mixer`; it says which axes `valid` marks.
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
