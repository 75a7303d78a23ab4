"""Points to voxels and back, in a frame shared by the whole batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mixmodal.core.checks import check, check_tensor, is_whole, require
from mixmodal.core.devices import on_host, source

Bound = float | Sequence[float] | Tensor


def voxelize(
    points: Tensor, resolution: int, *, low: Bound = -1.0, high: Bound = 1.0, valid: Tensor | None = None
) -> Tensor:
    """The voxels that clouds occupy, in a frame shared by the whole batch.

    Args:
        points: clouds (B, N, 3), floating, inside the frame; no gradient flows to them.
        resolution: number R of cells along each axis, 1 or more.
        low: lower corner of the frame, a number or (3,).
        high: upper corner of the frame, a number or (3,).
        valid: real points, bool (B, N); the values of the others do not matter. All points if None.

    Returns:
        Occupancy (B, 1, R, R, R) float32, 1 where a point lies and 0 elsewhere; axes in the order of the coordinates.

    Raises:
        TypeError: `points` is not a floating tensor; `valid` is not bool (B, N).
        ValueError: `points` has another shape, including (B, 3, N) unless N is 3, which is read as three points; a
            point lies outside the frame or is not finite; `resolution` is below 1; `high` is not above `low`.

    >>> voxelize(torch.tensor([[[-1.0, -1.0, -1.0], [1.0, 1.0, 0.9]]]), 2)[0, 0, :, :, 1]
    tensor([[0., 0.],
            [0., 1.]])
    """
    check_clouds(points, valid, "points")
    if points.shape[2] != 3:
        raise ValueError(
            f"points has shape {tuple(points.shape)} and must be (B, N, 3); pass points[..., :3] of points that carry "
            f"more, or points.transpose(1, 2) of coordinates that come first"
        )
    resolution = check_resolution(resolution)
    real = torch.ones_like(points[..., 0], dtype=torch.bool) if valid is None else valid
    cell = cells_of(points, resolution, *common_frame(points, low, high, real), real)
    grid = torch.zeros(len(points), resolution**3, dtype=torch.float32, device=points.device)
    return grid.scatter_reduce_(1, cell, real.float(), "amax").view(-1, 1, resolution, resolution, resolution)


def devoxelize(
    voxels: Tensor,
    count: int,
    *,
    low: Bound = -1.0,
    high: Bound = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Points drawn at random from occupied voxels: a cell, uniformly and with replacement, then a point in it.

    A point lies in its cell as `voxelize` sees it, even in the dtype of the result: if a coordinate would be rounded
    into another cell, or out of the frame, it takes the nearest number of that dtype in its own cell.

    Args:
        voxels: occupancy (B, 1, R, R, R); every cell above 0 is occupied, all with equal weight.
        count: number of points to draw from each sample, 1 or more.
        low: lower corner of the frame, a number or (3,).
        high: upper corner of the frame, a number or (3,).
        generator: source of randomness, on its own device; if None, torch's global one, on the device of `voxels`.

    Returns:
        Clouds (B, count, 3), in the dtype of `voxels`, float32 if that is not floating.

    Raises:
        TypeError: `voxels` is not a tensor.
        ValueError: `voxels` has another shape, or a sample without an occupied cell; `count` is below 1; `high` is not
            above `low`; a drawn cell contains no number of the result's dtype.

    >>> voxels = torch.zeros(1, 1, 4, 4, 4)
    >>> voxels[0, 0, 3, 0, 1] = 1
    >>> bool((voxelize(devoxelize(voxels, 100), 4) == voxels).all())
    True

    Source: the code published with Harris et al., FMix (2020), which mixes voxels and trains on points. Deviation: our
    points fill the frame; theirs lie in (-1/2, 1/2).
    """
    check_tensor(voxels, "voxels")
    if voxels.ndim != 5 or voxels.shape[1] != 1 or len(set(voxels.shape[2:])) != 1 or voxels.shape[2] < 1:
        raise ValueError(f"voxels has shape {tuple(voxels.shape)} and must be (B, 1, R, R, R)")
    require(is_whole(count) and count > 0, "count", count, "be a whole number of points, 1 or more")
    resolution, device = voxels.shape[2], voxels.device
    occupied = (voxels > 0).flatten(1).cumsum(1)
    cells = occupied[:, -1:]
    _check_occupied(cells[:, 0])
    drawn = device if generator is None else generator.device
    chosen = torch.rand(len(voxels), count, device=drawn, dtype=torch.float64, **source(generator)).to(device)
    jitter = torch.rand(len(voxels), count, 3, device=drawn, dtype=torch.float32, **source(generator)).to(device)
    nth = torch.minimum((chosen * cells).long(), cells - 1)
    cell = torch.searchsorted(occupied, nth, right=True)
    place = torch.stack([cell // resolution**2, cell // resolution % resolution, cell % resolution], dim=2)
    dtype = voxels.dtype if voxels.is_floating_point() else torch.float32
    corners = frame_of(low, high, torch.empty((), dtype=dtype, device=device))
    return _placed(place, jitter, resolution, *corners, dtype)


def _placed(place: Tensor, jitter: Tensor, resolution: int, low: Tensor, high: Tensor, dtype: torch.dtype) -> Tensor:
    """Points of a dtype that `voxelize` finds in their cells.

    Args:
        place: the cell of each point along each axis, int64 (B, N, 3).
        jitter: position within the cell, in [0, 1), (B, N, 3).
        resolution: number of cells along each axis.
        low: lower corner of the frame, (3,), as `voxelize` computes it for this dtype.
        high: upper corner of the frame.
        dtype: dtype of the result.
    """
    exact_low, edge = low.double(), (high.double() - low.double()) / resolution
    exact = exact_low + (place + jitter.double()) * edge
    points = exact.to(dtype)
    points = _next(points, -_off(points, place, resolution, low, high))
    margin = 4 * torch.finfo(low.dtype).eps * torch.maximum(torch.maximum(low.abs(), high.abs()), high - low)
    within = torch.clamp(exact, exact_low + place * edge + margin, exact_low + (place + 1) * edge - margin).to(dtype)
    points = torch.where(_off(points, place, resolution, low, high) == 0, points, within)
    there = _off(points, place, resolution, low, high) == 0
    wider = "double" if dtype.itemsize >= 4 else "float"
    message = f"a cell of resolution={resolution} in this frame holds no number of {dtype}; pass voxels.{wider}()"
    check(there, f"{message}, or a frame nearer to zero", points)
    return points


def _off(points: Tensor, place: Tensor, resolution: int, low: Tensor, high: Tensor) -> Tensor:
    """Whether each coordinate lies outside its cell or the frame: -1 below, 1 above, 0 inside; int64."""
    along = cell_along(points, resolution, low, high)
    below, above = (along < place) | (points < low), (along > place) | (points > high)
    return above.long() - below.long()


def _next(x: Tensor, steps: Tensor) -> Tensor:
    """The number that is `steps` representable numbers above `x` in its dtype, for small steps from finite numbers."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    bits, least = x.contiguous().view(integers), torch.iinfo(integers).min
    place = torch.where(bits < 0, least - bits, bits) + steps.to(integers)
    return torch.where(place < 0, least - place, place).view(x.dtype)


def common_frame(x: Tensor, low: Bound, high: Bound, real: Tensor) -> tuple[Tensor, Tensor]:
    """The corners (3,) of a frame that must hold the real points of all clouds."""
    corners = frame_of(low, high, x)
    points = x.detach()[..., :3]
    _check_inside(points, ((points >= corners[0]) & (points <= corners[1])).all(2) | ~real, *corners)
    return corners


def cells_of(x: Tensor, resolution: int, low: Tensor, high: Tensor, real: Tensor) -> Tensor:
    """The cell of each point (B, N), int64, as an index into the flattened grid; arbitrary for points not `real`."""
    along = torch.where(real[..., None], cell_along(x.detach()[..., :3], resolution, low, high), 0)
    return (along[..., 0] * resolution + along[..., 1]) * resolution + along[..., 2]


def cell_along(points: Tensor, resolution: int, low: Tensor, high: Tensor) -> Tensor:
    """The cell of each coordinate along its axis, int64 shaped like `points` (B, N, 3), at most the last one.

    It is computed in at least float32. Along an axis on which a frame has no extent, it is the first cell.
    """
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    low, high = low.to(points.dtype), high.to(points.dtype)
    size = torch.where(high > low, high - low, 1)
    return ((points - low) / size * resolution).floor().long().clamp(max=resolution - 1)


def frame_of(low: Bound, high: Bound, like: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper corner (3,) of a frame, in the dtype of `like` or float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    corners = []
    for name, bound in (("low", low), ("high", high)):
        corner = torch.as_tensor(bound, dtype=dtype, device=like.device)
        if corner.shape not in (torch.Size(), torch.Size([3])):
            raise ValueError(f"{name} has shape {tuple(corner.shape)} and must be a number or (3,), one for each axis")
        corners.append(corner.expand(3))
    check(corners[1] > corners[0], "high - low must be above 0 along each axis", corners[1] - corners[0])
    return corners[0], corners[1]


def check_resolution(resolution: int) -> int:
    """`resolution` as a number of cells."""
    fine = is_whole(resolution) and resolution > 0
    require(fine, "resolution", resolution, "be a whole number of cells along an axis, 1 or more")
    return int(resolution)


def check_clouds(x: Tensor, valid: Tensor | None, name: str) -> None:
    """Raise unless `x` is a batch of clouds and `valid` marks its real points."""
    check_tensor(x, name)
    if not x.is_floating_point():
        raise TypeError(f"{name} is {x.dtype} and must be floating; pass {name}.float()")
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] < 3:
        alone = f"; pass {name}[None] for one cloud, and a batch of different sizes padded, with valid" * (x.ndim == 2)
        raise ValueError(
            f"{name} has shape {tuple(x.shape)} and must be clouds (B, N, 3 or more), N of 1 or more{alone}"
        )
    if valid is not None and (not isinstance(valid, Tensor) or valid.dtype != torch.bool or valid.shape != x.shape[:2]):
        found = f"{valid.dtype} {tuple(valid.shape)}" if isinstance(valid, Tensor) else type(valid).__name__
        raise TypeError(f"valid is {found} and must be bool {tuple(x.shape[:2])}, True at real points")


def _check_inside(points: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> None:
    """Raise ValueError on the host unless all points are `inside`; on other devices, assert it."""
    remedy = "give low and high that hold every point, or scale the points; mark padding with valid"
    if not on_host(inside):
        torch._assert_async(inside.all(), f"points lie outside the frame: {remedy}")
    elif not inside.all():
        out = points[~inside]
        raise ValueError(
            f"{len(out):,} of {inside.numel():,} points lie outside the frame from {low.tolist()} to {high.tolist()}, "
            f"with coordinates from {out.min().item():.4g} to {out.max().item():.4g}: {remedy}"
        )


def _check_occupied(cells: Tensor) -> None:
    """Raise ValueError on the host unless each sample has an occupied cell; on other devices, assert it."""
    if not on_host(cells):
        torch._assert_async((cells > 0).all(), "voxels has a sample without an occupied cell")
    elif not cells.all():
        raise ValueError(f"voxels of sample {int(cells.argmin())} has no occupied cell; leave such samples out")
