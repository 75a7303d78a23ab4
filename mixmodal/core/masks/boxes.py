"""One box, whose cells come from the partner."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from mixmodal.core.devices import on_host, source, widest


def hole(sides: Tensor, shape: Sequence[int], *, generator: torch.Generator | None = None) -> Tensor:
    """0 in one box with a uniformly drawn centre, clipped at the border, 1 elsewhere.

    A box of side s centred on cell c covers the s cells starting at c - s // 2.

    Args:
        sides: integer side lengths of the boxes in cells, (n, rank).
        shape: grid of a mask, any rank.
        generator: source of the centres, on the device of `sides`; torch's global one if None.

    Returns:
        (n, *shape) float32, values 0 and 1.

    >>> hole(torch.tensor([[9, 0]]), (2, 2)), hole(torch.tensor([[9, 9]]), (2, 2))
    (tensor([[[1., 1.],
             [1., 1.]]]), tensor([[[0., 0.],
             [0., 0.]]]))

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017), section 3.
    """
    (n, rank), device = sides.shape, sides.device
    centre = [torch.randint(size, (n,), device=device, **source(generator)) for size in shape]
    if all(map(on_host, centre)) and on_host(sides):
        return _cut(sides.tolist(), zip(*[along.tolist() for along in centre], strict=True), shape)
    low = torch.stack(centre, dim=1) - sides // 2
    cell = torch.arange(max(shape), device=device)
    beside = (cell < low[..., None]) | (cell >= (low + sides)[..., None])
    along = [
        beside[:, axis, :size].view(n, *[size if a == axis else 1 for a in range(rank)])
        for axis, size in enumerate(shape)
    ]
    return functools.reduce(torch.logical_or, along).float()


def _cut(sides: Sequence[Sequence[int]], centres: Iterable[Sequence[int]], shape: Sequence[int]) -> Tensor:
    """`hole` on the host: write each box into its mask rather than comparing it with every cell."""
    mask = torch.ones(len(sides), *shape, dtype=torch.float32, device="cpu")
    for row, side, centre in zip(mask.unbind(), sides, centres, strict=True):
        row[tuple(slice(max(c - s // 2, 0), max(c - s // 2 + s, 0)) for s, c in zip(side, centre, strict=True))].zero_()
    return mask


def box(lam: Tensor, shape: Sequence[int], *, generator: torch.Generator | None = None) -> Tensor:
    """CutMix's mask: 0 in a box that covers a share 1 - `lam` of the grid before it is clipped at the border.

    The side along an axis of s cells is floor(s · (1 - lam)^(1 / rank)). An axis of one cell cannot be cut: the box
    spans it, and it does not count towards the rank.

    Args:
        lam: share outside the box before clipping, (n,), in [0, 1].
        shape: grid of a mask, any rank.
        generator: source of the centres, on the device of `lam`; torch's global one if None.

    Returns:
        (n, *shape) float32, values 0 and 1; its mean is at least about `lam`, more where the border clips the box.

    >>> box(torch.tensor([1.0]), (2, 3))
    tensor([[[1., 1., 1.],
             [1., 1., 1.]]])

    Source: Yun et al., CutMix (ICCV 2019), section 3.1, equation 2, extended from rank 2 to any rank. Deviation from
    the authors' code: a box of odd side keeps all its cells (theirs loses one).
    """
    if on_host(lam):
        cut = [[int(side) for side in _sides(share, shape)] for share in lam.tolist()]
        sides = torch.tensor(cut, dtype=torch.int64, device="cpu").view(-1, len(shape))
    else:
        sides = torch.stack(_sides(lam.to(widest(lam.device)), shape), dim=1).long()
    return hole(sides, shape, generator=generator)


def _sides(lam: Any, shape: Sequence[int]) -> list[Any]:
    """Sides of `box` for one share, or tensors (n,) for shares (n,)."""
    edge = (1 - lam) ** (1 / max(sum(size > 1 for size in shape), 1))
    roundoff = 1e-4  # keeps 8 · (1/8)^(1/3) at 4 cells
    return [(edge * size + roundoff) // 1 if size > 1 else -(-edge // 1) for size in shape]
