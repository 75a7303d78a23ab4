"""Grids: what an axes pattern means for a tensor, and masks fitted, spread and resized to a grid."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.core.checks import is_whole, shown
from mixmodal.core.devices import COUNTED, at_least_single, widest


def parse_axes(axes: str) -> tuple[int, int]:
    """How many named axes an axes pattern has before and after its star.

    Args:
        axes: names separated by spaces: `b` first, one `*` for the axes along which a mask varies, and other names for
            the axes along which it is constant.

    Returns:
        The counts, `b` included.

    Raises:
        ValueError: it is anything else.

    >>> parse_axes("b c *"), parse_axes("b * d")
    ((2, 0), (1, 1))
    """
    known = PARSED.get(axes) if isinstance(axes, str) else None
    return _parse(axes) if known is None else known


def _parse(axes: str) -> tuple[int, int]:
    """`parse_axes` of any pattern."""
    names = axes.split() if isinstance(axes, str) else []
    if names[:1] != ["b"] or names.count("*") != 1 or len(set(names)) != len(names):
        raise ValueError(
            f"axes={shown(axes)} is not an axes pattern: begin with 'b', write '*' once for the axes along which "
            f"the mask varies, and give each other axis a name of its own, as in 'b c *' or 'b * d'"
        )
    star = names.index("*")
    return star, len(names) - star - 1


PARSED = {axes: _parse(axes) for axes in ("b *", "b c *", "b * d")}
"""The patterns of nearly all batches, cached because a mixer looks its pattern up several times for each."""


def fits(x: Tensor, axes: str) -> bool:
    """Whether `x` has enough axes for the pattern.

    >>> fits(torch.zeros(8, 3), "b c *")
    False
    """
    return x.ndim > sum(parse_axes(axes))


def grid_of(x: Tensor, axes: str) -> torch.Size:
    """The part of the shape of `x` that the star of `axes` stands for.

    Raises:
        ValueError: `x` has too few axes, or its grid has no cells.

    >>> grid_of(torch.zeros(8, 3, 32, 24), "b c *")
    torch.Size([32, 24])
    """
    before, after = parse_axes(axes)
    grid = x.shape[before : x.ndim - after]
    if x.ndim <= before + after or 0 in grid:
        raise ValueError(
            f"axes={axes!r} needs a tensor with {before + after + 1} axes or more and no empty grid, got shape "
            f"{tuple(x.shape)}; pass axes that fit it, for example axes='b *'"
        )
    return grid


def spread(mask: Tensor, x: Tensor, axes: str) -> Tensor:
    """`mask` (n, *grid) with axes of size 1 where `x` has named axes, so that the two broadcast.

    Raises:
        ValueError: `x` has another grid.

    >>> spread(torch.ones(1, 5), torch.zeros(2, 5, 3), "b * d").shape
    torch.Size([1, 5, 1])
    """
    before, after = parse_axes(axes)
    grid = grid_of(x, axes)
    if grid != mask.shape[1:]:
        raise ValueError(
            f"x of shape {tuple(x.shape)} has the grid {tuple(grid)} by axes={axes!r}, and this record has the grid "
            f"{tuple(mask.shape[1:])}; pass the axes of x, or mix with mix.resize({tuple(grid)})"
        )
    return mask.view(len(mask), *[1] * (before - 1), *grid, *[1] * after)


def channels(x: Tensor, axes: str) -> Tensor:
    """`x` with all its named axes merged into one, (B, C, *grid), at least float32; a complex number is two channels.

    >>> channels(torch.zeros(2, 5, 3), "b * d").shape
    torch.Size([2, 3, 5])
    """
    after = parse_axes(axes)[1]
    grid = grid_of(x, axes)
    x = x.movedim(tuple(range(x.ndim - after, x.ndim)), tuple(range(1, 1 + after)))
    if x.is_complex():
        x = torch.view_as_real(x).movedim(-1, 1)
    x = x.reshape(len(x), x[:1].numel() // max(math.prod(grid), 1), *grid)
    return x.to(at_least_single(x.dtype))


def own_share(mask: Tensor, index: Tensor, valid: Tensor | None = None) -> Tensor:
    """The realised share `lam` of each sample in its mix, over real locations.

    Args:
        mask: own share of each location, (B or 1, *grid).
        index: partner of each sample, (B,).
        valid: real locations of the batch, bool (B, *grid); all if None.

    Returns:
        (B,): Σ v·m / Σ (v·m + v[index]·(1 - m)); 1 if nothing is real.

    >>> valid = torch.tensor([[True, True, True, True], [True, True, False, False]])
    >>> own_share(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([1, 0]), valid)
    tensor([1.0000, 0.5000])
    """
    cells = math.prod(mask.shape[1:])
    counts = widest(mask.device) if cells > COUNTED else mask.dtype
    if valid is None:
        return mask.flatten(1).mean(1, dtype=counts).to(mask.dtype).expand(len(index))
    own = (mask * valid).flatten(1).sum(1, dtype=counts)
    total = own + ((1 - mask) * valid.index_select(0, index)).flatten(1).sum(1, dtype=counts)
    return torch.where(total > 0, own / torch.where(total > 0, total, 1), 1).to(mask.dtype)


def real_after(mask: Tensor, index: Tensor, valid: Tensor) -> Tensor:
    """Locations of the mixed batch that hold something real from either side.

    Args:
        mask: own share of each location, (B or 1, *grid).
        index: partner of each sample, (B,).
        valid: real locations of the batch, bool (B, *grid).

    Returns:
        bool (B, *grid).

    >>> real_after(torch.tensor([[1.0, 0.0]]), torch.tensor([1, 0]), torch.tensor([[True, True], [True, False]]))
    tensor([[ True, False],
            [ True,  True]])
    """
    return (valid & (mask > 0)) | (valid.index_select(0, index) & (mask < 1))


def fit(mask: Tensor, real: Tensor) -> Tensor:
    """Stretch each mask over the real part of its sample, along every axis on which `real` varies.

    Along an axis, the k-th of K real cells takes the mask's value at the fraction (k + 1/2) / K of the axis, so that a
    mask has the same shape relative to a short text as to a long one. Padding may be anywhere.

    Args:
        mask: (B or 1, *grid).
        real: bool (B, *grid), size 1 along an axis on which it does not vary.

    Returns:
        (B, *grid).

    >>> fit(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[True, True, False, False]]))
    tensor([[1., 0., 0., 0.]])
    """
    mask = mask.expand(len(real), *mask.shape[1:])
    for axis in range(1, real.ndim):
        size = mask.shape[axis]
        if real.shape[axis] == 1:
            continue
        along = real.movedim(axis, 1)[..., None].flatten(2).any(2).long()
        place, count = along.cumsum(1) - 1, along.sum(1, keepdim=True).clamp(min=1)
        source = torch.div((2 * place + 1) * size, 2 * count, rounding_mode="floor").clamp(0, size - 1)
        source = source.view(-1, *[size if a == axis else 1 for a in range(1, mask.ndim)])
        mask = mask.gather(axis, source.expand_as(mask))
    return mask


def fill(mask: Tensor, own: Tensor, there: Tensor) -> Tensor:
    """`mask`, changed to take the real side wherever only one side is real.

    Args:
        mask: (B, *grid).
        own: real locations of each sample, bool, broadcastable to `mask`.
        there: real locations of its partner.

    Returns:
        (B, *grid).

    >>> own, there = torch.tensor([[True, True, True, False]]), torch.tensor([[True, False, False, False]])
    >>> fill(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), own, there)
    tensor([[0., 1., 1., 1.]])
    """
    return torch.where(own == there, mask, own.to(mask.dtype))


def padded_axis(valid: Tensor, grid: Sequence[int]) -> int | None:
    """The one grid axis along which `valid` (B, *grid, or 1) was given; None if there are several or none.

    Sizes decide, not values. If an axis of one cell makes this ambiguous, the longer one is meant.

    >>> padded_axis(torch.ones(2, 1, 9, dtype=torch.bool), (4, 9)), padded_axis(torch.ones(2, 4, 9), (4, 9))
    (2, None)
    """
    given = [axis for axis, size in enumerate(grid, start=1) if valid.shape[axis] == size]
    longer = [axis for axis in given if valid.shape[axis] > 1]
    found = longer or given[-1:]
    return found[0] if len(found) == 1 else None


def lengths_of(valid: Tensor | None, axis: int | None = None) -> Tensor:
    """The last real location of each sample along an axis, plus 1, or 0 if nothing is real.

    Args:
        valid: bool (B, *grid).
        axis: axis of `valid`, counted from 1; if None, the only axis of a grid of rank 1.

    Returns:
        int64 (B,).

    Raises:
        ValueError: there is no `valid`, or the axis is ambiguous.

    >>> lengths_of(torch.tensor([[True, False, True, False], [False, False, False, False]]))
    tensor([3, 0])
    """
    if valid is None:
        raise ValueError("the record has no padding, so lengths are unknown: pass valid= to the draw")
    if axis is None and valid.ndim != 2:
        raise ValueError(
            f"valid of shape {tuple(valid.shape)} may vary along several axes: pass the draw valid= with size 1 along "
            f"those on which it does not, as in valid=frames[:, None]"
        )
    along = valid.movedim(axis or 1, -1).flatten(1, -2).any(1) if valid.ndim > 2 else valid
    return (along * torch.arange(1, along.shape[1] + 1, device=along.device)).amax(1)


def move(x: Tensor, source: Tensor, axes: str) -> Tensor:
    """`x` with each cell's value taken from another cell of its grid.

    Args:
        x: (B, ...).
        source: cell to take from, int64 (B, *grid), as an index into the flattened grid; -1 for none, which gives zero,
            or for integers the cell's own value.
        axes: axes pattern of `x`.

    Returns:
        A new tensor, like `x`.

    >>> move(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2, -1, 0]]), "b *")
    tensor([[3., 0., 1.]])
    """
    before, after = parse_axes(axes)
    place = spread(source, x, axes).flatten(before, x.ndim - after - 1)
    flat = x.flatten(before, x.ndim - after - 1)
    there = flat.gather(before, place.clamp(min=0).expand_as(flat))
    none = 0 if x.is_floating_point() or x.is_complex() else flat
    return torch.where(place >= 0, there, none).view(x.shape)


def resize_nearest(mask: Tensor, grid: Sequence[int]) -> Tensor:
    """`mask` (n, *old grid) on another grid: the value of the old cell at each new cell's centre, of any dtype.

    >>> resize_nearest(torch.tensor([[1, 2, 3, 4]]), [2])
    tensor([[2, 4]])
    """
    for axis, size in enumerate(grid, start=1):
        old = mask.shape[axis]
        source = torch.div((2 * torch.arange(size, device=mask.device) + 1) * old, 2 * size, rounding_mode="floor")
        mask = mask.index_select(axis, source)
    return mask


def resize_area(mask: Tensor, grid: Sequence[int]) -> Tensor:
    """`mask` (n, *old grid) on another grid: the mean over the area that each new cell covers.

    >>> resize_area(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), [2])
    tensor([[1.5000, 3.5000]])
    """
    for axis, size in enumerate(grid, start=1):
        last = mask.movedim(axis, -1)
        flat = F.adaptive_avg_pool1d(last.reshape(1, -1, last.shape[-1]), size)
        mask = flat.view(*last.shape[:-1], size).movedim(-1, axis)
    return mask


def check_grid(grid: Sequence[int], mask: Tensor) -> None:
    """Raise unless `grid` has the same rank as the grid of `mask` (n, *old grid)."""
    if len(grid) != mask.ndim - 1 or not all(is_whole(size) and size > 0 for size in grid):
        raise ValueError(
            f"grid={tuple(grid)} must hold {mask.ndim - 1} sizes of 1 or more, like the grid of the mask, "
            f"{tuple(mask.shape[1:])}"
        )
