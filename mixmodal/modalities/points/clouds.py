"""Point clouds: points to voxels and back, and mixing raw clouds by the mask of any method.

A frame is the box that the voxels cover, from `low` to `high`: numbers for all axes, or three, one for each. Cell c of
R along an axis covers low + (high - low) · [c / R, (c + 1) / R); a point on `high` itself belongs to the last cell.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mixmodal.mix import Mix, check, check_tensor
from mixmodal.mixer import Draws, is_number, require
from mixmodal.policies import Policy
from mixmodal.selection import on_host, source

Bound = float | Sequence[float] | Tensor
Frame = Literal["common", "own"]


def voxelize(
    points: Tensor, resolution: int, *, low: Bound = -1.0, high: Bound = 1.0, valid: Tensor | None = None
) -> Tensor:
    """The voxels that clouds occupy, in a frame that the batch has in common.

    Args:
        points: clouds (B, N, 3), floating, inside the frame; no gradient flows to them.
        resolution: number R of cells along each axis, 1 or more.
        low: lower corner of the frame, a number or (3,).
        high: upper corner of the frame, a number or (3,).
        valid: real points, bool (B, N); what the others hold plays no part. All points if None.

    Returns:
        Occupancy (B, 1, R, R, R) float32, 1 where a point lies and 0 elsewhere; axes in the order of the coordinates.

    Raises:
        TypeError: `points` is no floating tensor; `valid` is not bool (B, N).
        ValueError: `points` has another shape; a point lies outside the frame or is not finite; `resolution` is below
            1; `high` is not above `low`.

    >>> voxelize(torch.tensor([[[-1.0, -1.0, -1.0], [1.0, 1.0, 0.9]]]), 2)[0, 0, :, :, 1]
    tensor([[0., 0.],
            [0., 1.]])
    """
    _check_clouds(points, valid, "points")
    if points.shape[2] != 3:
        raise ValueError(f"points has shape {tuple(points.shape)} and must be (B, N, 3); pass points[..., :3]")
    _check_resolution(resolution)
    real = torch.ones_like(points[..., 0], dtype=torch.bool) if valid is None else valid
    cell = _cells(points, resolution, *_common(points, low, high, real), real)
    grid = torch.zeros(len(points), resolution**3, device=points.device)
    return grid.scatter_reduce_(1, cell, real.float(), "amax").view(-1, 1, resolution, resolution, resolution)


def devoxelize(
    voxels: Tensor,
    count: int,
    *,
    low: Bound = -1.0,
    high: Bound = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Points drawn at random from occupied voxels: a cell, uniformly and with replacement, then a place in it.

    Args:
        voxels: occupancy (B, 1, R, R, R); each cell above 0 is occupied, as much as any other.
        count: number of points to draw from each sample, 1 or more.
        low: lower corner of the frame, a number or (3,).
        high: upper corner of the frame, a number or (3,).
        generator: source of the points, on its own device; torch's global one, on that of `voxels`, if None.

    Returns:
        Clouds (B, count, 3), in the dtype of `voxels`, float32 if that is not floating.

    Raises:
        TypeError: `voxels` is no tensor.
        ValueError: `voxels` has another shape, or a sample without an occupied cell; `count` is below 1; `high` is not
            above `low`.

    >>> voxels = torch.zeros(1, 1, 4, 4, 4)
    >>> voxels[0, 0, 3, 0, 1] = 1
    >>> bool((voxelize(devoxelize(voxels, 100), 4) == voxels).all())
    True

    Source: the code published with Harris et al., FMix (2020), which mixes voxels and trains on points. Deviation: the
    points fill the frame; theirs lie in (-1/2, 1/2).
    """
    check_tensor(voxels, "voxels")
    if voxels.ndim != 5 or voxels.shape[1] != 1 or len(set(voxels.shape[2:])) != 1 or voxels.shape[2] < 1:
        raise ValueError(f"voxels has shape {tuple(voxels.shape)} and must be (B, 1, R, R, R)")
    require(type(count) is int and count > 0, "count", count, "be a whole number of points, 1 or more")
    resolution, device = voxels.shape[2], voxels.device
    occupied = (voxels > 0).flatten(1).cumsum(1)
    cells = occupied[:, -1:]
    _check_occupied(cells[:, 0])
    drawn = device if generator is None else generator.device
    chosen = torch.rand(len(voxels), count, device=drawn, dtype=torch.float64, **source(generator)).to(device)
    jitter = torch.rand(len(voxels), count, 3, device=drawn, **source(generator)).to(device)
    nth = torch.minimum((chosen * cells).long(), cells - 1)
    cell = torch.searchsorted(occupied, nth, right=True)
    place = torch.stack([cell // resolution**2, cell // resolution % resolution, cell % resolution], dim=2)
    corner, end = _frame(low, high, jitter)
    points = torch.minimum(corner + (place + jitter) / resolution * (end - corner), end)
    return points.to(voxels.dtype) if voxels.is_floating_point() else points


@dataclass(frozen=True)
class OnPoints(Draws):
    """Mix raw point clouds by the mask that a method draws on voxels: in space, without voxels in the result.

    A mixed cloud is made of the own points in cells where the mask is 1 and the partner's points in cells where it is
    0. It has as many points as the own cloud: of more candidates so many are drawn without replacement, and fewer are
    all taken, the rest being drawn from them again with replacement; where there is none the own cloud stays. Points
    stay in order, own ones first, so that `lam=1` gives the own cloud and `lam=0` the partner. Points are never moved,
    and what they carry comes with them. `mix.lam` is the share of own points among the real points of the result; the
    share that `lam` asks for is one of the volume.

    The record replays the choice of points on any tensor (B, N, ...): `mix(normals)`, `mix(part_labels, axes="b *")`.
    A policy may choose `NoMix`, which leaves the clouds as they are; methods that drop what has no partner cannot keep
    the number of points, and are refused.

    Args:
        mixer: what draws the mask: a mixer with hard masks for voxels (B, 1, R, R, R), or a policy of such.
        resolution: number R of cells of the mask along each axis, 1 or more. A point takes the side of its cell, so
            that the border between the sides is off by up to a cell: at a coarse resolution it shows steps.
        low: lower corner of the common frame, a number or three.
        high: upper corner of the common frame, a number or three; all real points must lie inside.
        frame: "common" looks every point up between `low` and `high`; "own" between the corners of its own cloud's
            bounding box, so that `low` and `high` play no part. Neither moves a point.

    Raises:
        TypeError: `mixer` draws nothing, or soft masks.
        ValueError: `resolution`, `low`, `high` or `frame` is none.

    >>> import mixmodal as mm
    >>> cloud, mix = OnPoints(mm.FMix(), resolution=16)(torch.rand(4, 100, 6))
    >>> cloud.shape, mix.axes, bool(torch.isclose(mix.lam, mix.mask.mean(1)).all())
    (torch.Size([4, 100, 6]), 'b * d', True)

    Source: Harris et al., FMix (2020), section 5, mixes ModelNet's voxels and draws points from them; here the points
    themselves are kept.
    """

    mixer: Draws
    _: KW_ONLY
    resolution: int = 32
    low: float | Sequence[float] = -1.0
    high: float | Sequence[float] = 1.0
    frame: Frame = "common"

    def __post_init__(self) -> None:
        if not isinstance(self.mixer, Draws):
            raise TypeError(f"mixer is {type(self.mixer).__name__} and must be a mixer or a policy, such as FMix()")
        _check_hard(_all_hard(self.mixer), self.mixer)
        _check_resolution(self.resolution)
        for name in ("low", "high"):
            bound = getattr(self, name)
            three = isinstance(bound, Sequence) and len(bound) == 3 and all(map(is_number, bound))
            require(is_number(bound) or three, name, bound, "be a number or three, one for each axis")
            object.__setattr__(self, name, tuple(bound) if three else bound)
        _frame(self.low, self.high, torch.zeros(()))
        require(self.frame in get_args(Frame), "frame", self.frame, "be 'common' or 'own'")

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def draw(
        self,
        x: Tensor,
        *,
        valid: Tensor | None = None,
        index: Tensor | None = None,
        lam: Tensor | float | None = None,
        generator: torch.Generator | None = None,
    ) -> Mix:
        """Draw a record for a batch without mixing it.

        Args:
            x: clouds (B, N, 3 + F), floating: three coordinates, then whatever a point carries.
            valid: real points, bool (B, N); the mixed cloud is real where the own one is. All points if None.
            index: see `Draws.draw`.
            lam: see `Draws.draw`; share of the volume that the mask keeps.
            generator: see `Draws.draw`.

        Returns:
            The record, with axes "b * d", a hard mask (B, N), 1 at own points, and `moves`.

        Raises:
            TypeError: `x` is no floating tensor; `valid` is not bool (B, N); the mask drawn is soft, or drops what has
                no partner; or as in `Draws.draw`.
            ValueError: `x` has another shape; a point lies outside the common frame or is not finite; the mixer's axes
                do not take voxels; or as in `Draws.draw`.
        """
        _check_clouds(x, valid, "x")
        voxels = x.new_empty(()).expand(len(x), 1, *[self.resolution] * 3)
        drawn = self.mixer.draw(voxels, index=index, lam=lam, generator=generator)
        if not drawn.partner and not drawn.uniform:
            raise TypeError(f"mixer={self.mixer} drops points, and a cloud keeps their number; mix voxels with it")
        real = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid
        moves = self._moves(x, real, drawn, generator) if drawn.partner else None
        mask = torch.ones_like(real, dtype=torch.float32) if moves is None else (moves[1] < 0).float()
        count = real.sum(1)
        return Mix(
            index=drawn.index,
            mask=mask,
            lam=torch.where(count > 0, (mask * real).sum(1) / count.clamp(min=1), 1),
            axes="b * d",
            valid=valid,
            real=valid,
            hard=True,
            uniform=not drawn.partner,
            partner=drawn.partner,
            moves=moves,
        )

    def _moves(self, x: Tensor, real: Tensor, drawn: Mix, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """For both sides the point that each place of the result takes, by the mask that was drawn on voxels."""
        _check_hard(drawn.hard, self.mixer)
        keep = drawn.mask.flatten(1).expand(len(x), -1)
        if keep.shape[1] != self.resolution**3:
            raise ValueError(f"mixer={self.mixer} must have axes that take voxels (B, 1, R, R, R), such as 'b c *'")
        corners = _common(x, self.low, self.high, real) if self.frame == "common" else _bounding_box(x, real)
        cell = _cells(x, self.resolution, *corners, real)
        own = real & (keep.gather(1, cell) > 0.5)
        other = real.index_select(0, drawn.index) & (keep.gather(1, cell.index_select(0, drawn.index)) < 0.5)
        return _choose(own, other, real, generator)


def _common(x: Tensor, low: Bound, high: Bound, real: Tensor) -> tuple[Tensor, Tensor]:
    """The corners (3,) of a frame that must hold the real points of all clouds."""
    corners = _frame(low, high, x)
    points = x.detach()[..., :3]
    _check_inside(points, ((points >= corners[0]) & (points <= corners[1])).all(2) | ~real, *corners)
    return corners


def _bounding_box(x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The corners (B, 1, 3) of the box about the real points of each cloud."""
    points, there = x.detach()[..., :3], real[..., None]
    check(points.isfinite() | ~there, "x must hold finite coordinates, and padding be marked with valid", points)
    low = torch.where(there, points, torch.inf).amin(1, keepdim=True)
    return low, torch.where(there, points, -torch.inf).amax(1, keepdim=True)


def _cells(x: Tensor, resolution: int, low: Tensor, high: Tensor, real: Tensor) -> Tensor:
    """The cell of each point (B, N), int64, counted in the flattened grid; some cell where a point is not `real`."""
    points = x.detach()[..., :3].to(torch.promote_types(x.dtype, torch.float32))
    size = torch.where(high > low, high - low, 1)
    along = (torch.where(real[..., None], (points - low) / size, 0) * resolution).long().clamp(max=resolution - 1)
    return (along[..., 0] * resolution + along[..., 1]) * resolution + along[..., 2]


def _choose(own: Tensor, other: Tensor, real: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Which point of either side each place of the result takes, -1 for none, (B, N) each.

    Args:
        own: own candidates, bool (B, N).
        other: the partner's candidates, bool (B, N).
        real: places to fill, bool (B, N).
        generator: source of randomness.
    """
    candidate = torch.cat([own, other], dim=1)
    whole = torch.cat([real, torch.zeros_like(real)], dim=1)
    candidate = torch.where(candidate.any(1, keepdim=True), candidate, whole)
    device = real.device if generator is None else generator.device
    key, again = torch.rand(2, *candidate.shape, device=device, **source(generator)).to(real.device)
    shuffled = torch.where(candidate, key, 2).argsort(1)
    count, points = candidate.sum(1, keepdim=True), real.shape[1]
    place = torch.arange(points, device=real.device)
    repeated = torch.minimum((again[:, :points] * count).long(), (count - 1).clamp(min=0))
    chosen = shuffled.gather(1, torch.where(place < count, place, repeated))
    beyond = candidate.shape[1]
    ordered = torch.where(place < real.sum(1, keepdim=True), chosen, beyond).sort(1).values
    chosen = torch.where(real, ordered.gather(1, (real.cumsum(1) - 1).clamp(min=0)), -1)
    return torch.where(chosen < points, chosen, -1), torch.where(chosen >= points, chosen - points, -1)


def _frame(low: Bound, high: Bound, like: Tensor) -> tuple[Tensor, Tensor]:
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


def _all_hard(mixer: Draws) -> bool:
    """Whether a mixer, or all those that a policy chooses from, say that their masks are hard."""
    if isinstance(mixer, Policy):
        return all(map(_all_hard, mixer.mixers))
    return getattr(mixer, "hard", True)


def _check_hard(hard: bool, mixer: Draws) -> None:
    if not hard:
        raise TypeError(
            f"mixer={mixer} draws soft masks, and points are chosen, never blended: use a method with a hard mask "
            f"(CutMix, FMix with max_soft=0), or mix voxels, mixer(voxelize(points, resolution))"
        )


def _check_resolution(resolution: int) -> None:
    fine = type(resolution) is int and resolution > 0
    require(fine, "resolution", resolution, "be a whole number of cells along an axis, 1 or more")


def _check_clouds(x: Tensor, valid: Tensor | None, name: str) -> None:
    """`x` is a batch of clouds, and `valid` marks points of it."""
    check_tensor(x, name)
    if not x.is_floating_point():
        raise TypeError(f"{name} is {x.dtype} and must be floating; pass {name}.float()")
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] < 3:
        raise ValueError(f"{name} has shape {tuple(x.shape)} and must be clouds (B, N, 3 or more), N of 1 or more")
    if valid is not None and (not isinstance(valid, Tensor) or valid.dtype != torch.bool or valid.shape != x.shape[:2]):
        found = f"{valid.dtype} {tuple(valid.shape)}" if isinstance(valid, Tensor) else type(valid).__name__
        raise TypeError(f"valid is {found} and must be bool {tuple(x.shape[:2])}, True at real points")


def _check_inside(points: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> None:
    """Raise ValueError on the host unless all is `inside`; elsewhere assert it."""
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
    """Raise ValueError on the host unless each sample has a cell; elsewhere assert it."""
    if not on_host(cells):
        torch._assert_async((cells > 0).all(), "voxels has a sample without an occupied cell")
    elif not cells.all():
        raise ValueError(f"voxels of sample {int(cells.argmin())} has no occupied cell; leave such samples out")
