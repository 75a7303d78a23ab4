"""The same share everywhere."""

from collections.abc import Sequence

from torch import Tensor


def constant(lam: Tensor, shape: Sequence[int]) -> Tensor:
    """The same share everywhere: MixUp's mask, as a view that takes no memory.

    Args:
        lam: own share of each mask, (n,), in [0, 1].
        shape: grid of a mask, any rank.

    Returns:
        (n, *shape), `lam` expanded.

    >>> import torch
    >>> constant(torch.tensor([0.25]), (2, 2))
    tensor([[[0.2500, 0.2500],
             [0.2500, 0.2500]]])

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018), section 2.
    """
    return lam.view(-1, *[1] * len(shape)).expand(-1, *shape)
