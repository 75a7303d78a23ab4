"""Batches that are mixed in pairs."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mixmodal.core.checks import check_tensor
from mixmodal.core.draws import Asked, Draws, without_saliency
from mixmodal.core.records.mix import Mix


@dataclass(frozen=True)
class InPairs(Draws):
    """Mix the first sample with the last, the second with the second to last: each pair shares one mask and one `lam`.

    What one of the pair loses, the other gets: sample i and sample B - 1 - i each keep m of their own and take 1 - m of
    the other. In an odd batch the middle sample is unchanged. `index` is fixed, and padding is not supported.

    Args:
        mixer: a mixer that draws a mask for each pair, if it is `per_sample`, or else one for all; or a policy of such
            mixers.

    Raises:
        TypeError: `mixer` needs saliency. At a draw: `index` or `valid` is given; `lam` is given per sample.

    >>> import mixmodal as mm
    >>> pairs = InPairs(mm.CutMix(per_sample=True))
    >>> mixed, mix = pairs(torch.rand(4, 3, 8, 8))
    >>> mix.index.tolist(), bool((mix.lam == mix.lam.flip(0)).all())
    ([3, 2, 1, 0], True)

    Source: `timm.data.Mixup(mode="pair")`, which accepts only even batches.
    """

    mixer: Draws

    def __post_init__(self) -> None:
        without_saliency(self.mixer, "InPairs")

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def record(self, x: Tensor, asked: Asked) -> Mix:
        check_tensor(x, "x")
        lam = asked.lam if isinstance(asked.lam, Tensor) and asked.lam.ndim > 0 else None
        for name, given in {"index": asked.index, "valid": asked.valid, "lam": lam}.items():
            if given is not None:
                found = f"of shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"({type(given).__name__})"
                raise TypeError(
                    f"{name} {found} is given to InPairs, where both samples of a pair share one mask; "
                    f"leave it out, or draw with {self.mixer!r} alone"
                )
        batch = len(x) if x.ndim else 0
        half = batch - batch // 2
        drawn = self.mixer.record(x[:half] if batch else x, replace(asked, index=torch.arange(half, device=x.device)))
        whole = torch.arange(batch, device=x.device)
        pair = torch.minimum(whole, batch - 1 - whole)
        parts = drawn.parts and tuple(
            (weight[pair], share[pair] if isinstance(share, Tensor) else share) for weight, share in drawn.parts
        )
        return replace(
            drawn,
            index=whole.flip(0) if drawn.partner else whole,
            mask=drawn.mask if len(drawn.mask) == 1 else drawn.mask[pair],
            lam=drawn.lam[pair],
            parts=parts,
        )
