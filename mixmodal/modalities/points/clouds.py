"""Point clouds: points to voxels and back, and mixing raw clouds with the mask of any method.

A frame is the box that the voxels cover, from `low` to `high`: one number for all axes, or three, one for each. Cell c
of R along an axis covers low + (high - low) · [c / R, (c + 1) / R); a point exactly on `high` is in the last cell.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from mixmodal.core.checks import check, is_number, require
from mixmodal.core.devices import source
from mixmodal.core.draws import Asked, Draws, with_realised_share, without_saliency
from mixmodal.core.grids import parse_axes
from mixmodal.core.records.mix import Mix
from mixmodal.methods.policies import Policy
from mixmodal.modalities.points.voxels import cells_of, check_clouds, check_resolution, common_frame, frame_of

Frame = Literal["common", "own"]

POINTS_FIRST, POINTS_LAST = parse_axes("b * d"), parse_axes("b c *")


@dataclass(frozen=True)
class OnPoints(Draws):
    """Mix raw point clouds with a mask that a method draws on voxels: cut in space, with no voxels in the result.

    A mixed cloud consists of its own points in cells where the mask is 1 and the partner's points in cells where it is
    0. It has as many points as the own cloud: surplus candidates are thinned by drawing without replacement; if there
    are too few, all are taken and the rest are drawn from them again with replacement; if there are none, the own cloud
    is kept. Points stay in order, own ones first, so that `lam=1` gives the own cloud and `lam=0` the partner. Points
    are never moved, and keep the values they carry. `mix.lam` is the share of own points among the real points of the
    result, whereas the `lam` asked for is a share of the volume.

    The record replays the choice of points on any tensor (B, N, ...): `mix(normals)`, `mix(part_labels, axes="b *")`.
    A draw takes clouds (B, N, 3 + F), floating: three coordinates, then any other values of a point; and `valid`
    (B, N), the real points, which are also those of the mixed cloud. Its record has a hard mask (B, N), 1 at own
    points, `moves`, and the axes of the clouds.

    A policy may choose `NoMix`, which leaves the clouds as they are; methods that drop regions without a partner cannot
    keep the number of points, and are rejected.

    Args:
        mixer: what draws the mask: a mixer with hard masks for voxels (B, 1, R, R, R), or a policy of such mixers.
        resolution: number R of cells of the mask along each axis, 1 or more. A point goes with its cell, so the border
            between the sides is off by up to a cell: at a coarse resolution it shows steps.
        low: lower corner of the common frame, a number or three.
        high: upper corner of the common frame, a number or three; all real points must lie inside.
        frame: "common" places every point between `low` and `high`; "own" between the corners of its own cloud's
            bounding box, ignoring `low` and `high`. Neither moves a point.
        axes: "b * d" for clouds (B, N, 3 + F), "b c *" for (B, 3 + F, N), as convolutions take them. None means "b * d"
            if the shape is unambiguous: a batch that fits both, with no more points than values for each, (B, 3, 3)
            included, is rejected unless its axes are given. Axes that are given are trusted.

    Raises:
        TypeError: `mixer` is not a mixer or a policy, draws soft masks, or needs saliency. At a draw: `x` is not a
            floating tensor; `valid` is not bool (B, N); the mask drawn is soft, or drops regions without a partner.
        ValueError: `resolution`, `low`, `high`, `frame` or `axes` is invalid. At a draw: `x` has another shape, or an
            ambiguous one without `axes`; a point lies outside the common frame or is not finite; the mixer's axes do
            not fit voxels.

    >>> import mixmodal as mm
    >>> cloud, mix = OnPoints(mm.FMix(), resolution=16)(torch.rand(4, 100, 6))
    >>> cloud.shape, mix.axes, bool(torch.isclose(mix.lam, mix.mask.mean(1)).all())
    (torch.Size([4, 100, 6]), 'b * d', True)

    Source: Harris et al., FMix (2020), section 5, who mix ModelNet's voxels and draw points from them; here the points
    themselves are kept.
    """

    mixer: Draws
    _: KW_ONLY
    resolution: int = 32
    low: float | Sequence[float] = -1.0
    high: float | Sequence[float] = 1.0
    frame: Frame = "common"
    axes: str | None = None

    def __post_init__(self) -> None:
        without_saliency(self.mixer, "OnPoints")
        with_realised_share(self.mixer, "OnPoints")
        _check_hard(_all_hard(self.mixer), self.mixer)
        object.__setattr__(self, "resolution", check_resolution(self.resolution))
        for name in ("low", "high"):
            bound = getattr(self, name)
            three = isinstance(bound, Sequence) and len(bound) == 3 and all(map(is_number, bound))
            require(is_number(bound) or three, name, bound, "be a number or three, one for each axis")
            object.__setattr__(self, name, tuple(bound) if three else bound)
        frame_of(self.low, self.high, torch.zeros((), dtype=torch.float32, device="cpu"))
        require(self.frame in get_args(Frame), "frame", self.frame, "be 'common' or 'own'")
        told = self.axes is None or parse_axes(self.axes) in (POINTS_FIRST, POINTS_LAST)
        require(told, "axes", self.axes, "be 'b * d' for (B, N, 3 or more) or 'b c *' for (B, 3 or more, N)")

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def record(self, x: Tensor, asked: Asked) -> Mix:
        valid = asked.valid
        x = self._points_first(x)
        check_clouds(x, valid, "x")
        voxels = x.new_empty(()).expand(len(x), 1, *[self.resolution] * 3)
        drawn = self.mixer.record(voxels, replace(asked, valid=None))
        if not drawn.partner and not drawn.uniform:
            raise TypeError(
                f"mixer={self.mixer} drops points, but a cloud must keep its number of points; mix voxels with it"
            )
        real = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid
        moves = self._moves(x, real, drawn, asked.generator) if drawn.partner else None
        mask = torch.ones_like(real, dtype=torch.float32) if moves is None else (moves[1] < 0).float()
        count = real.sum(1)
        return Mix(
            index=drawn.index,
            mask=mask,
            lam=torch.where(count > 0, (mask * real).sum(1) / count.clamp(min=1), 1),
            axes=self.axes or "b * d",
            valid=valid,
            real=valid,
            hard=True,
            uniform=not drawn.partner,
            partner=drawn.partner,
            moves=moves,
        )

    def _points_first(self, x: Tensor) -> Tensor:
        """`x` as (B, N, 3 + F), if it has three axes."""
        if not isinstance(x, Tensor) or x.ndim != 3:
            return x
        shape, (_, rows, columns) = tuple(x.shape), x.shape
        if self.axes is None and 3 <= rows <= columns:
            raise ValueError(
                f"x has shape {shape}, which may be {rows} points of {columns} values each, or {columns} points of "
                f"{rows}: tell OnPoints axes='b * d' or axes='b c *'"
            )
        if self.axes is None or parse_axes(self.axes) == POINTS_FIRST:
            return x
        if rows < 3:
            raise ValueError(f"x has shape {shape} and must be clouds (B, 3 or more, N) by axes={self.axes!r}")
        return x.transpose(1, 2)

    def _moves(self, x: Tensor, real: Tensor, drawn: Mix, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """For both sides, the point that each place of the result takes, given the mask drawn on voxels."""
        _check_hard(drawn.hard, self.mixer)
        keep = drawn.mask.flatten(1).expand(len(x), -1)
        if keep.shape[1] != self.resolution**3:
            raise ValueError(f"mixer={self.mixer} must have axes that take voxels (B, 1, R, R, R), such as 'b c *'")
        corners = common_frame(x, self.low, self.high, real) if self.frame == "common" else _bounding_box(x, real)
        cell = cells_of(x, self.resolution, *corners, real)
        own = real & (keep.gather(1, cell) > 0.5)
        other = real.index_select(0, drawn.index) & (keep.gather(1, cell.index_select(0, drawn.index)) < 0.5)
        return _choose(own, other, real, generator)


def _bounding_box(x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The corners (B, 1, 3) of the bounding box of each cloud's real points."""
    points, there = x.detach()[..., :3], real[..., None]
    check(points.isfinite() | ~there, "x must hold finite coordinates, and padding be marked with valid", points)
    low = torch.where(there, points, torch.inf).amin(1, keepdim=True)
    return low, torch.where(there, points, -torch.inf).amax(1, keepdim=True)


def _choose(own: Tensor, other: Tensor, real: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Which point of each side each place of the result takes, -1 for none, (B, N) each.

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
    key, again = torch.rand(2, *candidate.shape, dtype=torch.float32, device=device, **source(generator)).to(
        real.device
    )
    shuffled = torch.where(candidate, key, 2).argsort(1)
    count, points = candidate.sum(1, keepdim=True), real.shape[1]
    place = torch.arange(points, device=real.device)
    repeated = torch.minimum((again[:, :points] * count).long(), (count - 1).clamp(min=0))
    chosen = shuffled.gather(1, torch.where(place < count, place, repeated))
    beyond = candidate.shape[1]
    ordered = torch.where(place < real.sum(1, keepdim=True), chosen, beyond).sort(1).values
    chosen = torch.where(real, ordered.gather(1, (real.cumsum(1) - 1).clamp(min=0)), -1)
    return torch.where(chosen < points, chosen, -1), torch.where(chosen >= points, chosen - points, -1)


def _all_hard(mixer: Draws) -> bool:
    """Whether a mixer, or every mixer that a policy chooses from, declares its masks hard."""
    if isinstance(mixer, Policy):
        return all(map(_all_hard, mixer.mixers))
    return getattr(mixer, "hard", True)


def _check_hard(hard: bool, mixer: Draws) -> None:
    if not hard:
        raise TypeError(
            f"mixer={mixer} draws soft masks, and points are chosen, never blended: use a method with a hard mask "
            f"(CutMix, FMix with max_soft=0), or mix voxels, mixer(voxelize(points, resolution))"
        )
