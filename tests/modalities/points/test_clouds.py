"""Point clouds: voxels by hand and back, and mixing raw clouds by the masks of the methods."""

import itertools
import math
import pickle
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import mixmodal as mm
from mixmodal.modalities.points.clouds import OnPoints
from mixmodal.modalities.points.voxels import _placed, devoxelize, voxelize

LOW, HIGH = (-1.0, -3.0, 0.5), (2.0, -1.0, 0.75)
FRAME: dict[str, Any] = {"low": torch.tensor(LOW), "high": torch.tensor(HIGH)}
HARD = [
    mm.FMix(),
    mm.FMix(per_sample=True),
    mm.CutMix(),
    mm.CutMix(per_sample=True),
    mm.PatchUp(block_size=3, soft=False),
    mm.PatchUp(block_size=3, soft=False, channels="shared", per_sample=True),
    mm.OneOf([mm.FMix(), mm.CutMix()]),
    mm.Alternate([mm.CutMix(), mm.FMix()]),
]
over_mixers = pytest.mark.parametrize("mixer", HARD, ids=str)


def roll(batch: int) -> Tensor:
    return torch.arange(batch).roll(1)


def numbered(batch: int, points: int) -> Tensor:
    """Clouds in [-1, 1]^3 whose points carry the number of their cloud and their own."""
    x = torch.rand(batch, points, 3) * 2 - 1
    cloud = torch.arange(batch).view(-1, 1).expand(-1, points)
    return torch.cat([x, torch.stack([cloud, torch.arange(points).expand(batch, -1)], dim=2)], dim=2)


def sides(mixed: Tensor, cloud: int, partner: int) -> tuple[list[int], list[int]]:
    """Numbers of the own points and of the partner's in one mixed cloud of `numbered`."""
    assert set(mixed[:, 3].tolist()) <= {cloud, partner}
    own, other = (mixed[mixed[:, 3] == side, 4].int().tolist() for side in (cloud, partner))
    return own, other


def cell(point: Tensor, resolution: int, low: Any = -1.0, high: Any = 1.0) -> tuple[int, ...]:
    """The cell of a point, in Python's own arithmetic."""
    lows, highs = (list(bound) if isinstance(bound, tuple) else [bound] * 3 for bound in (low, high))
    return tuple(
        min(math.floor((p - a) / (b - a) * resolution), resolution - 1)
        for p, a, b in zip(point.tolist()[:3], lows, highs, strict=True)
    )


# ---------------------------------------------------------------- voxels


@given(st.integers(1, 7), st.integers(1, 30), st.integers(0, 2**16))
def test_voxels_are_the_cells_of_the_points(resolution: int, count: int, seed: int) -> None:
    """Point by point in Python, in a frame with another size along each axis; float64, so that both round alike."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(3, count, 3, generator=generator, dtype=torch.float64)
    points = FRAME["low"] + points * (FRAME["high"] - FRAME["low"])
    expected = torch.zeros(3, 1, *[resolution] * 3)
    for cloud, grid in zip(points, expected, strict=True):
        for point in cloud:
            grid[(0, *cell(point, resolution, LOW, HIGH))] = 1
    voxels = voxelize(points, resolution, **FRAME)
    assert voxels.dtype == torch.float32
    assert torch.equal(voxels, expected)


def test_borders_belong_to_the_upper_cell_and_the_last_border_to_the_last() -> None:
    for place, expected in [(-1.0, 0), (-0.5, 1), (0.0, 2), (0.5, 3), (1.0, 3)]:
        for axis in range(3):
            points = torch.full((1, 1, 3), -1.0)
            points[0, 0, axis] = place
            where = [0, 0, 0]
            where[axis] = expected
            assert voxelize(points, 4)[0, 0].nonzero().tolist() == [where]


def test_voxels_know_no_order_and_no_repetition() -> None:
    points = torch.rand(3, 50, 3) * 2 - 1
    voxels = voxelize(points, 8)
    assert torch.equal(voxelize(points[:, torch.randperm(50)], 8), voxels)
    assert torch.equal(voxelize(torch.cat([points, points[:, :9]], dim=1), 8), voxels)


@given(st.integers(0, 2**16), st.integers(-4, 4))
def test_clouds_may_move_with_their_frame(seed: int, shift: int) -> None:
    """By whole numbers and in eighths, so that nothing is rounded."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(-8, 9, (2, 20, 3), generator=generator) / 8
    moved = voxelize(points + shift, 4, low=shift - 1.0, high=shift + 1.0)
    assert torch.equal(moved, voxelize(points, 4))
    assert torch.equal(voxelize(points * 4, 4, low=-4, high=4), moved)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_dtype_makes_voxels(dtype: torch.dtype) -> None:
    points = (torch.randint(-8, 9, (2, 30, 3)) / 8).to(dtype)
    assert torch.equal(voxelize(points, 8), voxelize(points.float(), 8))


def test_padding_leaves_no_voxels() -> None:
    points = torch.rand(3, 20, 3) * 2 - 1
    valid = torch.rand(3, 20) < 0.5
    expected = torch.cat([voxelize(cloud[real][None], 6) for cloud, real in zip(points, valid, strict=True)])
    points[~valid] = torch.tensor([torch.nan, 1e9, -torch.inf])
    assert torch.equal(voxelize(points, 6, valid=valid), expected)
    assert not voxelize(points, 6, valid=torch.zeros_like(valid)).any()


def test_points_to_voxels_to_points_stays_within_a_cell() -> None:
    """Both ways: every drawn point lies in an occupied cell, and every point has a drawn one in its own cell.

    2,000 draws from at most 30 cells: one stays out with a chance below 30 · (29/30)^2000 < 1e-27.
    """
    resolution = 16
    edge = (FRAME["high"] - FRAME["low"]) / resolution
    points = FRAME["low"] + torch.rand(4, 30, 3) * (FRAME["high"] - FRAME["low"])
    voxels = voxelize(points, resolution, **FRAME)
    drawn = devoxelize(voxels, 2_000, **FRAME)
    assert drawn.shape == (4, 2_000, 3)
    assert torch.equal(voxelize(drawn, resolution, **FRAME), voxels)
    apart = ((points[:, :, None] - drawn[:, None]).abs() / edge).amax(-1)
    assert (apart.amin(2) < 1).all()
    assert (apart.amin(1) < 1).all()


def test_points_are_drawn_uniformly_from_cells_and_in_cells() -> None:
    """40,000 draws from 5 of 64 cells, whatever their values above 0; all means within 5 standard errors.

    A cell's share has the standard error sqrt(0.2 · 0.8 / 40000) = 0.002; a place in it, uniform on [0, 1), has the
    mean 1/2 and the mean square 1/3, with errors 0.2887 / 200 and 0.2981 / 200.
    """
    voxels = torch.zeros(1, 1, 4, 4, 4)
    cells = torch.tensor([0, 1, 17, 40, 63])
    voxels.view(-1)[cells] = torch.tensor([0.1, 1.0, 1.0, 3.0, 1.0])
    points = devoxelize(voxels, 40_000, low=0, high=4)[0]
    x, y, z = points.long().unbind(1)
    share = ((x * 16 + y * 4 + z)[:, None] == cells).float().mean(0)
    assert share.sum() == pytest.approx(1, abs=1e-6)
    assert (share - 0.2).abs().max() < 5 * 0.002
    within = points - points.floor()
    assert (within.mean(0) - 1 / 2).abs().max() < 5 * 0.2887 / 200
    assert (within.square().mean(0) - 1 / 3).abs().max() < 5 * 0.2981 / 200
    assert torch.corrcoef(within.T).fill_diagonal_(0).abs().max() < 5 / 200


@pytest.mark.parametrize(("dtype", "result"), [(torch.bool, torch.float32), (torch.float64, torch.float64)])
def test_points_follow_the_generator_and_the_dtype(dtype: torch.dtype, result: torch.dtype) -> None:
    voxels = (torch.rand(2, 1, 4, 4, 4) < 0.3).to(dtype)
    draws = [devoxelize(voxels, 9, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draws[0].dtype == result
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    before = torch.get_rng_state()
    devoxelize(voxels, 9, generator=torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)


FRAMES = [(-1.0, 1.0), (0.1, 0.3), (100.0, 101.0), (-5.3, 7.7), (-0.7, -0.1), (1e4, 1e4 + 3), (LOW, HIGH)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64]


def exact(bound: Any, dtype: torch.dtype) -> list[Fraction]:
    """A corner of a frame as the points' dtype has it, float32 at least."""
    return [
        Fraction(x) for x in torch.tensor(bound, dtype=torch.promote_types(dtype, torch.float32)).expand(3).tolist()
    ]


def fine(frame: Any, resolution: int, dtype: torch.dtype) -> bool:
    """Whether numbers of a dtype lie no further apart than the cells of a frame."""
    lows, highs = (exact(bound, dtype) for bound in frame)
    gap = Fraction(torch.finfo(dtype).eps) * max(map(abs, (*lows, *highs)))
    return all(gap <= (high - low) / resolution for low, high in zip(lows, highs, strict=True))


CASES = [
    (frame, resolution, dtype, dtype if dtype.is_floating_point else torch.float32)
    for frame in FRAMES
    for resolution in (1, 5, 7, 16, 33)
    for dtype in DTYPES
    if fine(frame, resolution, dtype if dtype.is_floating_point else torch.float32)
]


@pytest.mark.parametrize(("frame", "resolution", "dtype", "result"), CASES)
def test_drawn_points_stay_in_their_cells_in_any_dtype(
    frame: Any, resolution: int, dtype: torch.dtype, result: torch.dtype
) -> None:
    """20,000 draws of a third of the cells, by `voxelize` and by fractions, which know no rounding but the frame's."""
    low, high = frame
    voxels = (torch.rand(2, 1, *[resolution] * 3) < 0.3).to(dtype)
    voxels[:, :, 0, 0, 0] = 1
    points = devoxelize(voxels, 20_000, low=low, high=high)
    assert points.dtype == result
    again = voxelize(points, resolution, low=low, high=high)
    assert not (again > voxels).any()
    if resolution <= 7:  # of 16 a cell stays out now and then
        assert torch.equal(again > 0, voxels > 0)
    lows, highs = exact(low, result), exact(high, result)
    edges = [(b - a) / resolution for a, b in zip(lows, highs, strict=True)]
    eps = Fraction(torch.finfo(torch.promote_types(result, torch.float32)).eps)
    slack = [4 * eps * (abs(a) + abs(b)) for a, b in zip(lows, highs, strict=True)]
    for cloud, grid in zip(points, voxels, strict=True):
        for point in cloud[:100].tolist():
            places = []
            for x, a, edge, more in zip(map(Fraction, point), lows, edges, slack, strict=True):
                reach = {math.floor((x + step - a) / edge) for step in (-more, Fraction(0), more)}
                places.append({min(max(place, 0), resolution - 1) for place in reach})
            assert any(grid[(0, *place)] > 0 for place in itertools.product(*places))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("resolution", [2, 5, 16, 33])
def test_points_at_the_very_border_of_a_cell_stay_in_it(dtype: torch.dtype, resolution: int) -> None:
    """The first and the last place that a draw can have in each cell, where one number beside is not enough."""
    cells = torch.arange(resolution)
    for bounds in ((-1.0, 1.0), (-5.3, 7.7), (0.1, 0.3)):
        low, high = (torch.full((3,), bound, dtype=torch.promote_types(dtype, torch.float32)) for bound in bounds)
        for jitter in (0.0, 1 - 2**-24):
            place = cells.view(1, -1, 1).expand(1, -1, 3)
            points = _placed(place, torch.full((1, resolution, 3), jitter), resolution, low, high, dtype)
            voxels = voxelize(points, resolution, low=bounds[0], high=bounds[1])
            assert voxels[0, 0].nonzero().tolist() == [[k, k, k] for k in range(resolution)]


@pytest.mark.parametrize(
    ("frame", "resolution", "dtype"),
    [((100.0, 101.0), 64, torch.float16), ((1e4, 1e4 + 3), 1, torch.bfloat16), ((1e6, 1e6 + 1), 33, torch.float32)],
)
def test_cells_without_a_number_of_the_dtype_are_named(frame: Any, resolution: int, dtype: torch.dtype) -> None:
    message = rf"a cell of resolution={resolution} in this frame holds no number of {dtype}; pass voxels\."
    with pytest.raises(ValueError, match=message):
        devoxelize(torch.ones(1, 1, *[resolution] * 3).to(dtype), 2_000, low=frame[0], high=frame[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_moves_no_more_than_it_must(dtype: torch.dtype) -> None:
    """Points of one seed are those of float64, rounded to the nearest number or to the one beside it."""
    voxels = torch.rand(2, 1, 16, 16, 16) < 0.3
    rough = devoxelize(voxels.to(dtype), 5_000, generator=torch.Generator().manual_seed(1))
    fine = devoxelize(voxels.double(), 5_000, generator=torch.Generator().manual_seed(1))
    gap = torch.finfo(dtype).eps * fine.abs().clamp(min=2**-14)
    assert ((rough.double() - fine).abs() <= gap).all()
    assert ((rough.double() - fine).abs() <= gap / 2 * 1.001).double().mean() > 0.95


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_own_frames_of_clouds_in_half_precision_are_measured_in_float32(dtype: torch.dtype) -> None:
    """From -50,000 to 50,000: the extent is not a number of float16, and of bfloat16 a rough one."""
    x = (torch.rand(4, 300, 3) * 100_000 - 50_000).to(dtype)
    on_points = OnPoints(mm.FMix(), frame="own", resolution=9)
    given = {"lam": 0.5, "index": roll(4)}
    _, mix = on_points(x, generator=torch.Generator().manual_seed(2), **given)
    _, expected = on_points(x.float(), generator=torch.Generator().manual_seed(2), **given)
    assert torch.equal(mix.mask, expected.mask)
    assert 0 < mix.lam.min() <= mix.lam.max() < 1


# ---------------------------------------------------------------- mixing clouds


def masked(mixer: Any, batch: int, resolution: int, seed: int, **given: Any) -> mm.Mix:
    """The record that a mixer draws on voxels first of all from a seed."""
    generator = torch.Generator().manual_seed(seed)
    record: mm.Mix = mixer.draw(torch.empty(batch, 1, *[resolution] * 3), generator=generator, **given)
    return record


@pytest.mark.parametrize("frame", ["common", "own"])
@over_mixers
def test_points_come_from_their_side_of_the_mask(mixer: Any, frame: Any) -> None:
    """The candidates of either side are found point by point from the mask that the mixer draws by itself.

    More of them than points: all different, and none but candidates. Fewer: every one of them is there.
    """
    mixer = pickle.loads(pickle.dumps(mixer))  # an Alternate of its own
    alone = pickle.loads(pickle.dumps(mixer))
    more = fewer = 0
    x = numbered(4, 40)
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        cloud, mix = OnPoints(mixer, resolution=6, frame=frame)(x, generator=generator)
        record = masked(alone, 4, 6, seed)
        assert torch.equal(mix.index, record.index)
        mask = record.mask.reshape(-1, 6, 6, 6).expand(4, -1, -1, -1)
        bounds = [
            ((-1.0,) * 3, (1.0,) * 3)
            if frame == "common"
            else (tuple(points[:, :3].amin(0).tolist()), tuple(points[:, :3].amax(0).tolist()))
            for points in x
        ]
        for k, partner in enumerate(mix.index.tolist()):
            own, other = sides(cloud[k], k, partner) if partner != k else (cloud[k, :, 4].int().tolist(), [])
            if partner == k:
                assert set(own) <= set(range(40))
                continue
            keep = {i for i in range(40) if mask[k][cell(x[k, i].double(), 6, *bounds[k])] == 1}
            take = {i for i in range(40) if mask[k][cell(x[partner, i].double(), 6, *bounds[partner])] == 0}
            keep = keep if keep or take else set(range(40))
            assert len(own) + len(other) == 40
            assert set(own) <= keep
            assert set(other) <= take
            if len(keep) + len(take) >= 40:
                more += 1
                assert len(set(own)) + len(set(other)) == 40
            else:
                fewer += 1
                assert (set(own), set(other)) == (keep, take)
            assert mix.lam[k].item() == pytest.approx(len(own) / 40)
    assert more > 0
    assert fewer > 0


def test_every_point_carries_all_of_itself_and_stays_in_place() -> None:
    x = numbered(5, 60)
    cloud, mix = OnPoints(mm.FMix())(x)
    for k in range(5):
        for point in cloud[k]:
            assert torch.equal(point, x[int(point[3]), int(point[4])])
            assert int(point[3]) in (k, int(mix.index[k]))
    assert 0 < (cloud[..., 3] == torch.arange(5).view(-1, 1)).sum() < 300


@over_mixers
def test_the_record_replays_on_whatever_points_carry(mixer: Any) -> None:
    """Floats, integers and masks of points, in any layout with the points as grid; loss and targets use the share."""
    x = numbered(6, 50)
    cloud, mix = OnPoints(mixer, resolution=8)(x)
    assert (mix.axes, mix.hard, mix.mask.shape) == ("b * d", True, (6, 50))
    assert torch.equal(mix(x), cloud)
    assert torch.equal(mix(x.transpose(1, 2), axes="b c *"), cloud.transpose(1, 2))
    labels = (x[..., 3] * 50 + x[..., 4]).long()
    assert torch.equal(mix(labels, axes="b *"), (cloud[..., 3] * 50 + cloud[..., 4]).long())
    assert torch.equal(mix(labels % 2 == 0, axes="b *"), cloud[..., 4] % 2 == 0)
    share = (cloud[..., 3] == torch.arange(6).view(-1, 1)).float().mean(1)
    moved = mix.index != torch.arange(6)
    torch.testing.assert_close(mix.lam[moved], share[moved])
    y, preds = torch.tensor([0, 1, 2, 1, 0, 2]), torch.randn(6, 3)
    soft = mix.lam[:, None] * F.one_hot(y, 3) + (1 - mix.lam[:, None]) * F.one_hot(y[mix.index], 3)
    torch.testing.assert_close(mix.targets(y, num_classes=3), soft)
    torch.testing.assert_close(mix.loss(preds, y), F.cross_entropy(preds, soft))


@pytest.mark.parametrize("frame", ["common", "own"])
@pytest.mark.parametrize("mixer", [mm.FMix(), mm.CutMix()], ids=str)
def test_share_one_is_the_own_cloud_and_share_zero_the_partner(mixer: Any, frame: Any) -> None:
    x = numbered(5, 30)
    on_points = OnPoints(mixer, frame=frame, resolution=4)
    whole, mix = on_points(x, lam=1.0, index=roll(5))
    assert torch.equal(whole, x)
    assert (mix.lam == 1).all()
    cloud, mix = on_points(x, lam=0.0, index=roll(5), generator=torch.Generator().manual_seed(1))
    if mixer == mm.FMix():  # a box is clipped at the border
        assert torch.equal(cloud, x[roll(5)])
        assert (mix.lam == 0).all()


def test_one_share_for_each_sample() -> None:
    x = numbered(4, 500)
    asked = torch.tensor([0.0, 1.0, 0.2, 0.8])
    _, mix = OnPoints(mm.FMix(), resolution=12)(x, lam=asked, index=roll(4))
    assert mix.lam[:2].tolist() == [0, 1]
    assert mix.lam[2] < 0.5 < mix.lam[3]


def test_shares_follow_the_volume_for_points_that_fill_it() -> None:
    """64 clouds of 400 uniform points: the mean share is within 5 standard errors of the share of the volume.

    A cloud keeps a binomial number of own points with the chance 0.3, and as many of the partner's with 0.7: a share
    of own / (own + other) with an error below sqrt(0.3 · 0.7 / 400) = 0.023, a mean of 64 with 0.0029.
    """
    x = torch.rand(64, 400, 3) * 2 - 1
    _, mix = OnPoints(mm.FMix(per_sample=True), resolution=16)(x, lam=0.3)
    assert mix.lam.mean().item() == pytest.approx(0.3, abs=5 * 0.0029)


def left_half(x: Tensor, lam: float = 0.5) -> mm.Mix:
    """A mask that is 1 on the lower half of the first axis."""
    mask = torch.zeros(1, *x.shape[2:])
    mask[:, : x.shape[2] // 2] = 1
    index = roll(len(x))
    return mm.Mix(index=index, mask=mask, lam=torch.full((len(x),), lam), hard=True)


class LeftHalf(mm.FMix):
    """Keeps the lower half along the first axis, whatever is asked for."""

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return left_half(x)


def halves(lower: list[int], points: int) -> Tensor:
    """Clouds of which so many points lie on the lower side of the first axis, the first ones; numbered."""
    x = numbered(len(lower), points)
    for cloud, count in zip(x, lower, strict=True):
        cloud[:, 0] = torch.where(torch.arange(points) < count, -0.5, 0.5)
    return x


def test_too_many_candidates_are_thinned_uniformly() -> None:
    """30 own points and 15 of the partner's for 30 places, 4,000 times: each is taken with the chance 2/3.

    Within 5 standard errors of sqrt(2/9 / 4000) = 0.00745; so is the share of any two, (30 · 29) / (45 · 44) = 0.4394,
    with 0.00785.
    """
    x = halves([30, 15], 30)
    cloud, mix = OnPoints(LeftHalf())(x.repeat(4_000, 1, 1))
    taken = torch.zeros(8_000, 2, 30)
    side = torch.stack([mix.mask, 1 - mix.mask], dim=1)
    taken.scatter_add_(2, cloud[..., 4].long()[:, None].expand(-1, 2, -1), side)
    taken = taken[::2]  # own cloud all below, partner with 15 above
    candidates = torch.cat([taken[:, 0], taken[:, 1, 15:]], dim=1)
    assert candidates.shape == (4_000, 45)
    assert not taken[:, 1, :15].any()
    assert candidates.max() == 1
    assert (candidates.sum(1) == 30).all()
    assert (candidates.mean(0) - 2 / 3).abs().max() < 5 * 0.00745
    both = (candidates[:, :-1] * candidates[:, 1:]).mean(0)
    assert (both - 30 * 29 / (45 * 44)).abs().max() < 5 * 0.00785


def test_too_few_candidates_are_repeated_uniformly() -> None:
    """2 own points and 3 of the partner's for 30 places, 4,000 times: each once, and 25 more draws among the 5.

    The mean number of copies is 1 + 25 / 5 = 6, with a standard error of sqrt(25 · 0.2 · 0.8 / 4000) = 0.0316; the
    variance 25 · 0.16 = 4, with one of about 4 · sqrt(2 / 4000) = 0.09.
    """
    pair = halves([2, 27], 30)
    cloud, mix = OnPoints(LeftHalf())(pair.repeat(4_000, 1, 1))
    own = (cloud[::2, :, None, 4] == torch.arange(2)) & (mix.mask[::2, :, None] == 1)
    other = (cloud[::2, :, None, 4] == torch.arange(27, 30)) & (mix.mask[::2, :, None] == 0)
    copies = torch.cat([own, other], dim=2).sum(1).float()
    assert (copies.sum(1) == 30).all()
    assert copies.min() >= 1
    assert (copies.mean(0) - 6).abs().max() < 5 * 0.0316
    assert (copies.var(0) - 4).abs().max() < 5 * 0.09


def test_where_nothing_is_left_the_own_cloud_stays() -> None:
    x = halves([0, 12, 12], 12)
    cloud, mix = OnPoints(LeftHalf())(x)
    assert mix.index.tolist() == [2, 0, 1]
    assert torch.equal(cloud[0], x[0])  # own points above, the partner's below
    assert mix.lam[0] == 1
    assert set(cloud[1, :, 3].tolist()) == {0.0, 1.0}
    assert torch.equal(cloud[2], x[2])
    assert mix.lam[2] == 1


@over_mixers
def test_padding_takes_no_part(mixer: Any) -> None:
    """Sizes 30, 7, 1, 18 and 0 in any order: as many real points as the own cloud has, where it has them, of real ones.

    What padding holds plays no part, and it is zero in the mixed cloud.
    """
    x = numbered(5, 30)
    x[..., 4] += 1
    valid = torch.rand(5, 30).argsort(1) < torch.tensor([30, 7, 1, 18, 0]).view(-1, 1)
    spoiled = x.masked_fill(~valid[..., None], torch.nan)
    for draw in range(6):
        generator = torch.Generator().manual_seed(draw)
        cloud, mix = OnPoints(mixer, resolution=5, frame=("own", "common")[draw % 2])(
            spoiled, valid=valid, generator=generator
        )
        assert mix.valid is not None
        assert torch.equal(mix.valid, valid)
        assert torch.equal(cloud.isfinite().all(2), torch.ones_like(valid))
        assert not cloud[~valid].any()
        for k, partner in enumerate(mix.index.tolist()):
            real = cloud[k][valid[k]]
            own, other = sides(real, k, partner) if partner != k else (real[:, 4].int().tolist(), [])
            assert all(valid[k, i - 1] for i in own)
            assert all(valid[partner, i - 1] for i in other)
            if partner != k:
                assert mix.lam[k].item() == pytest.approx(len(own) / len(real) if len(real) else 1)
        numbers = torch.arange(150).view(5, 30)
        replayed = mix(numbers, axes="b *")
        assert torch.equal(replayed[valid], (cloud[..., 3] * 30 + cloud[..., 4] - 1).long()[valid])
        assert torch.equal(replayed[~valid], numbers[~valid])


def test_thinning_favours_no_side_under_padding() -> None:
    """10 real points of 30 on either side, all candidates: half of the result is own, 2,000 times.

    The share of 10 drawn from 10 and 10 without replacement has the variance 1/4 / 10 · 10/19; the mean of 2,000 of
    them has a standard error of 0.00256.
    """
    pair = halves([30, 0], 30)
    valid = (torch.arange(30) % 3 == 1).expand(4_000, -1)
    _, mix = OnPoints(LeftHalf())(pair.repeat(2_000, 1, 1), valid=valid)
    assert mix.lam[::2].mean().item() == pytest.approx(0.5, abs=5 * 0.00256)


def test_frames_of_their_own_fit_clouds_of_any_place_and_size() -> None:
    """Clouds scaled and moved along each axis mix alike by their own frames, and none is moved for it.

    By powers of 2 and in sixteenths, so that nothing is rounded; one cloud is flat.
    """
    x = torch.randint(-16, 17, (4, 50, 3)) / 16
    x[2, :, 1] = 0
    scale = torch.tensor([1.0, 4.0, 0.5, 16.0]).view(-1, 1, 1) * torch.tensor([1.0, 2.0, 0.25])
    far = x * scale + torch.tensor([0.0, 64.0, -8.0, 32.0]).view(-1, 1, 1)
    on_points = OnPoints(mm.FMix(), frame="own", resolution=8)
    _, near_mix = on_points(x, generator=torch.Generator().manual_seed(3), index=roll(4), lam=0.5)
    cloud, far_mix = on_points(far, generator=torch.Generator().manual_seed(3), index=roll(4), lam=0.5)
    assert near_mix.moves is not None
    assert far_mix.moves is not None
    assert torch.equal(near_mix.moves[0], far_mix.moves[0])
    assert torch.equal(near_mix.moves[1], far_mix.moves[1])
    assert 0 < near_mix.lam.mean() < 1
    for k in range(4):
        known = {tuple(point) for point in torch.cat([far[k], far[k - 1]]).tolist()}
        assert {tuple(point) for point in cloud[k].tolist()} <= known


def test_clouds_may_move_with_their_common_frame_in_a_mix() -> None:
    x = torch.randint(-8, 9, (4, 40, 3)) / 8
    draws = [
        OnPoints(mm.FMix(), resolution=4, low=shift - 1.0, high=shift + 1.0)(
            x + shift, generator=torch.Generator().manual_seed(5)
        )
        for shift in (0, 3)
    ]
    assert torch.equal(draws[0][0] + 3, draws[1][0])
    assert torch.equal(draws[0][1].lam, draws[1][1].lam)


def test_frames_may_differ_by_axis() -> None:
    points = torch.rand(3, 40, 3) * (FRAME["high"] - FRAME["low"]) + FRAME["low"]
    cloud, mix = OnPoints(LeftHalf(), low=list(LOW), high=HIGH)(points)
    middle = (LOW[0] + HIGH[0]) / 2
    assert (cloud[..., 0][mix.mask == 1] < middle).all()
    assert (cloud[..., 0][mix.mask == 0] >= middle).all()
    assert 0 < mix.mask.mean() < 1


@pytest.mark.parametrize("mixer", [mm.NoMix(), mm.OneOf([mm.NoMix()]), mm.Alternate([mm.NoMix(), mm.FMix()])], ids=str)
def test_without_a_partner_the_cloud_stays(mixer: Any) -> None:
    x = numbered(4, 20)
    cloud, mix = OnPoints(mixer)(x)
    assert cloud is x
    assert (mix.lam == 1).all()
    assert torch.equal(mix.index, torch.arange(4))
    assert (mix.partner, mix.hard) == (False, True)
    labels = torch.arange(80).view(4, 20)
    assert torch.equal(mix(labels, axes="b *"), labels)
    y, preds = torch.tensor([0, 1, 2, 1]), torch.randn(4, 3)
    torch.testing.assert_close(mix.loss(preds, y), F.cross_entropy(preds, y))


def test_without_a_partner_padding_is_zeroed_all_the_same() -> None:
    x, valid = numbered(3, 20), torch.rand(3, 20) < 0.5
    cloud, mix = OnPoints(mm.NoMix())(x.masked_fill(~valid[..., None], torch.nan), valid=valid)
    assert torch.equal(cloud, x * valid[..., None])
    assert mix.valid is not None
    assert torch.equal(mix.valid, valid)
    assert (mix.lam == 1).all()


def test_whether_there_is_a_partner() -> None:
    assert OnPoints(mm.FMix()).partner
    assert OnPoints(mm.OneOf([mm.NoMix(), mm.FMix()])).partner
    assert not OnPoints(mm.NoMix()).partner


def test_gradients_flow_to_the_points_that_are_taken() -> None:
    """Each coordinate's gradient is the number of its copies in the mixed clouds, and none comes of the mask."""
    x = numbered(4, 25).requires_grad_()
    cloud, _ = OnPoints(mm.FMix(), resolution=6)(x)
    (gradient,) = torch.autograd.grad(cloud[..., :3].sum(), x)
    copies = torch.zeros(4, 25)
    for cloud_number, number in cloud.detach()[..., 3:].flatten(0, 1).int().tolist():
        copies[cloud_number, number] += 1
    assert torch.equal(gradient[..., :3], copies[..., None].expand(-1, -1, 3))
    assert not gradient[..., 3:].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_clouds_keep_their_dtype_and_stay_untouched(dtype: torch.dtype) -> None:
    x = (torch.rand(3, 20, 4) * 2 - 1).to(dtype)
    before = x.clone()
    cloud, mix = OnPoints(mm.CutMix())(x)
    assert cloud.dtype == dtype
    assert mix.lam.dtype == torch.float32
    assert torch.equal(x, before)
    known = {tuple(point) for point in x.flatten(0, 1).tolist()}
    assert {tuple(point) for point in cloud.flatten(0, 1).tolist()} <= known


@over_mixers
def test_draws_follow_the_generator(mixer: Any) -> None:
    x = numbered(4, 40)
    before = torch.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        fresh = pickle.loads(pickle.dumps(OnPoints(mixer, resolution=6)))
        draws.append(fresh(x, generator=torch.Generator().manual_seed(seed))[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    if type(mixer) not in (mm.OneOf, mm.Alternate):
        assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    first, _ = OnPoints(mm.FMix())(x)
    torch.manual_seed(4)
    assert torch.equal(OnPoints(mm.FMix())(x)[0], first)


def test_order_makes_no_difference_but_for_the_draw() -> None:
    """Candidates are the same points in any order; with all of them taken so is the mixed cloud."""
    x = halves([10, 18], 20)
    shuffled = torch.stack([cloud[torch.randperm(20)] for cloud in x])
    points: list[set[tuple[float, ...]]] = []
    for clouds in (x, shuffled):
        cloud, _ = OnPoints(LeftHalf())(clouds)
        points.append({tuple(point) for point in cloud[0].tolist()})
    assert points[0] == points[1]
    assert len(points[0]) == 12  # 10 own points and 2 of the partner's


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("points", [1, 2, 7])
@pytest.mark.parametrize("resolution", [1, 2, 5])
def test_small_batches_clouds_and_grids(batch: int, points: int, resolution: int) -> None:
    x = numbered(batch, points)
    for mixer in HARD[:6]:
        cloud, mix = OnPoints(mixer, resolution=resolution, axes="b * d")(x)
        assert cloud.shape == x.shape
        assert ((mix.lam >= 0) & (mix.lam <= 1)).all()


def test_finer_masks_differ_ever_less() -> None:
    """A field averaged over the cells of a coarser grid moves about as many points as the border has cells beside it.

    Halving the cells about halves the share that changes side: 12 smooth fields of 64^3 cells, 4,000 points each.
    """
    from mixmodal.core.masks.fields import paper_field

    points = torch.rand(1, 4_000, 3)
    changed = {4: 0.0, 16: 0.0}
    for field in paper_field(12, (64, 64, 64), 3.0, device=torch.device("cpu")):
        side = {}
        for size in (4, 16, 64):
            coarse = F.avg_pool3d(field[None, None], 64 // size)[0, 0]
            x, y, z = (points[0] * size).long().unbind(1)
            side[size] = (coarse >= coarse.median())[x, y, z]
        for size in changed:
            changed[size] += (side[size] != side[64]).float().mean().item() / 12
    assert changed[16] < changed[4] / 2
    assert changed[16] < 0.1


def test_on_points_is_frozen_hashable_and_picklable() -> None:
    mixer = OnPoints(mm.FMix(alpha=0.5), resolution=16, low=[-1, -2, 0], high=(1, 2, 4), frame="own")
    assert mixer == OnPoints(mm.FMix(alpha=0.5), resolution=16, low=(-1, -2, 0), high=(1, 2, 4), frame="own")
    assert hash(mixer) == hash(pickle.loads(pickle.dumps(mixer)))
    assert "alpha=0.5" in repr(mixer)
    assert "resolution=16" in repr(mixer)
    with pytest.raises(AttributeError):
        mixer.resolution = 8  # type: ignore[misc]


def test_drawing_and_mixing_compile_in_one_graph() -> None:
    x = numbered(4, 30)
    torch._dynamo.reset()

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        cloud, mix = OnPoints(mm.FMix(), resolution=4)(x, index=roll(4))
        return cloud, mix.lam

    compiled = torch.compile(step, fullgraph=True, backend="eager")
    cloud, lam = compiled(x)
    share = (cloud[..., 3] == torch.arange(4).view(-1, 1)).float().mean(1)
    torch.testing.assert_close(lam, share)


# ---------------------------------------------------------------- layouts


@pytest.mark.parametrize("values", [3, 5, 40, 60])
@pytest.mark.parametrize("frame", ["common", "own"])
@over_mixers
def test_coordinates_may_come_first_where_axes_say_so(mixer: Any, frame: Any, values: int) -> None:
    """The same clouds either way, also with as many values as points, or more."""
    x = torch.cat([numbered(4, 40)[..., :3], torch.randn(4, 40, values - 3)], dim=2)
    valid = torch.rand(4, 40) < 0.8
    draws = []
    for axes, clouds in (("b * d", x), ("b c *", x.transpose(1, 2).contiguous())):
        on_points = OnPoints(pickle.loads(pickle.dumps(mixer)), resolution=6, frame=frame, axes=axes)
        torch.manual_seed(1)  # of the choice of a policy
        draws.append(on_points(clouds, valid=valid, generator=torch.Generator().manual_seed(1)))
    (cloud, mix), (turned, other) = draws
    assert turned.shape == (4, values, 40)
    assert torch.equal(turned.transpose(1, 2), cloud)
    assert (mix.axes, other.axes) == ("b * d", "b c *")
    assert torch.equal(mix.lam, other.lam)
    assert torch.equal(other(x, axes="b * d"), mix(x))


@pytest.mark.parametrize("shape", [(2, 3, 100), (2, 3, 4), (2, 3, 3), (2, 6, 1024), (2, 5, 5)])
def test_layouts_that_fit_by_accident_are_refused_until_they_are_told(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    rows, columns = shape[1:]
    message = (
        rf"x has shape \({', '.join(map(str, shape))}\), which may be {rows} points of {columns} values each, or "
        rf"{columns} points of {rows}: tell OnPoints axes='b \* d' or axes='b c \*'"
    )
    with pytest.raises(ValueError, match=message):
        OnPoints(mm.FMix())(x)
    for axes, points in (("b * d", rows), ("b c *", columns)):
        cloud, mix = OnPoints(mm.FMix(), axes=axes)(x)
        assert cloud.shape == shape
        assert mix.mask.shape == (2, points)


@pytest.mark.parametrize("shape", [(2, 1, 9), (2, 2, 9), (2, 4, 3), (2, 100, 6)])
def test_layouts_that_leave_no_doubt_need_not_be_told(shape: tuple[int, ...]) -> None:
    """Fewer than three rows are no coordinates, and more points than values are the rule."""
    assert OnPoints(mm.FMix())(torch.rand(shape))[1].mask.shape == shape[:2]


@pytest.mark.parametrize(
    ("axes", "x", "message"),
    [
        ("b c *", torch.zeros(2, 2, 9), r"x has shape \(2, 2, 9\) and must be clouds \(B, 3 or more, N\) by axes="),
        ("b * d", torch.zeros(2, 9, 2), r"x has shape \(2, 9, 2\) and must be clouds \(B, N, 3 or more\)"),
        ("b c *", torch.zeros(9, 3), r"x has shape \(9, 3\).*pass x\[None\] for one cloud.*with valid"),
        (None, torch.zeros(9, 3), r"x has shape \(9, 3\).*pass x\[None\] for one cloud"),
        (None, torch.zeros(2, 9, 3, 1), r"x has shape \(2, 9, 3, 1\)"),
    ],
)
def test_clouds_of_another_layout_are_named(axes: str | None, x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnPoints(mm.FMix(), axes=axes)(x)


@pytest.mark.parametrize("axes", ["b *", "b c d *", "b * d e", "b c * d", "b n c", "", 3])
def test_axes_of_no_clouds_are_named(axes: Any) -> None:
    with pytest.raises(ValueError, match=r"axes=.*('b \* d' for \(B, N, 3 or more\)|is not an axes pattern)"):
        OnPoints(mm.FMix(), axes=axes)


def test_coordinates_that_come_first_make_no_voxels() -> None:
    with pytest.raises(
        ValueError, match=r"must be \(B, N, 3\).*points\.transpose\(1, 2\) of coordinates that come first"
    ):
        voxelize(torch.zeros(2, 3, 50), 4)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"points": torch.zeros(3, 3)}, ValueError, r"points has shape \(3, 3\) and must be clouds"),
        ({"points": torch.zeros(2, 0, 3)}, ValueError, r"points has shape \(2, 0, 3\)"),
        ({"points": torch.zeros(2, 5, 4)}, ValueError, r"must be \(B, N, 3\); pass points\[\.\.\., :3\]"),
        ({"points": torch.zeros(2, 5, 3).int()}, TypeError, r"points is torch.int32 .*; pass points.float\(\)"),
        ({"points": [[0.0]]}, TypeError, "points is list and must be a torch.Tensor"),
        ({"resolution": 0}, ValueError, "resolution=0 must be a whole number"),
        ({"resolution": 2.0}, ValueError, r"resolution=2\.0 must be a whole number"),
        ({"low": 1.0}, ValueError, "high - low must be above 0 along each axis; got values from 0 to 0"),
        ({"low": torch.tensor([0.0, 0.0, 1.0])}, ValueError, "high - low must be above 0"),
        ({"low": float("nan")}, ValueError, "high - low must be above 0"),
        ({"high": torch.ones(2)}, ValueError, r"high has shape \(2,\) and must be a number or \(3,\)"),
        ({"valid": torch.ones(2, 5)}, TypeError, r"valid is torch.float32 \(2, 5\) and must be bool \(2, 5\)"),
        ({"valid": torch.ones(2, 4).bool()}, TypeError, r"valid is torch.bool \(2, 4\) and must be bool \(2, 5\)"),
        ({"valid": True}, TypeError, "valid is bool and must be bool"),
    ],
)
def test_wrong_arguments_of_voxels_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"points": torch.zeros(2, 5, 3), "resolution": 4, **change}
    with pytest.raises(error, match=message):
        voxelize(arguments.pop("points"), arguments.pop("resolution"), **arguments)


@pytest.mark.parametrize("bad", [1.5, -1.001, torch.nan, torch.inf])
def test_points_outside_the_frame_are_counted(bad: float) -> None:
    x = torch.zeros(2, 5, 3)
    x[1, 2, 1] = x[0, 0, 2] = bad
    message = "2 of 10 points lie outside the frame from .* with coordinates from .*: give low and high"
    with pytest.raises(ValueError, match=message):
        voxelize(x, 4)
    with pytest.raises(ValueError, match=message):
        OnPoints(mm.FMix())(x)
    if math.isfinite(bad):
        OnPoints(mm.FMix(), frame="own")(x)
    else:
        with pytest.raises(ValueError, match="x must hold finite coordinates"):
            OnPoints(mm.FMix(), frame="own")(x)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"voxels": torch.zeros(2, 4, 4, 4)}, ValueError, r"voxels has shape \(2, 4, 4, 4\) and must be \(B, 1, R"),
        ({"voxels": torch.ones(2, 2, 4, 4, 4)}, ValueError, "must be"),
        ({"voxels": torch.ones(2, 1, 4, 4, 5)}, ValueError, "must be"),
        ({"voxels": None}, TypeError, "voxels is NoneType"),
        ({"count": 0}, ValueError, "count=0 must be a whole number of points"),
        ({"count": True}, ValueError, "count=True must be"),
        ({"low": 2}, ValueError, "high - low must be above 0"),
    ],
)
def test_wrong_arguments_of_points_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"voxels": torch.ones(2, 1, 4, 4, 4), "count": 5, **change}
    with pytest.raises(error, match=message):
        devoxelize(arguments.pop("voxels"), arguments.pop("count"), **arguments)


def test_an_empty_grid_is_named() -> None:
    voxels = torch.ones(4, 1, 3, 3, 3)
    voxels[2] = 0
    with pytest.raises(ValueError, match="voxels of sample 2 has no occupied cell"):
        devoxelize(voxels, 5)


SOFT = [
    mm.MixUp(),
    mm.FMix(max_soft=0.1),
    mm.PatchUp(block_size=3),
    mm.OneOf([mm.FMix(), mm.MixUp()]),
    mm.Alternate([mm.OneOf([mm.FMix(max_soft=0.5)])]),
]


@pytest.mark.parametrize("mixer", SOFT, ids=str)
def test_soft_masks_are_refused_at_once(mixer: Any) -> None:
    with pytest.raises(TypeError, match=r"draws soft masks, and points are chosen.* hard mask .*voxelize\(points"):
        OnPoints(mixer)


class SaysNothing(LeftHalf):
    """Draws a soft mask without saying so."""

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return mm.Mix(index=roll(len(x)), mask=torch.full((1, *x.shape[2:]), 0.5), lam=torch.full((len(x),), 0.5))


def test_soft_masks_are_refused_where_they_are_drawn() -> None:
    with pytest.raises(TypeError, match="draws soft masks"):
        OnPoints(SaysNothing())(torch.zeros(2, 5, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mixer": "fmix"}, TypeError, r"mixer is str and must be a mixer or a policy, such as FMix\(\)"),
        ({"resolution": 0}, ValueError, "resolution=0 must be"),
        ({"low": 1.0}, ValueError, "high - low must be above 0"),
        ({"low": "left"}, ValueError, "low='left' must be a number or three"),
        ({"low": (0.0, 0.0)}, ValueError, r"low=\(0\.0, 0\.0\) must be a number or three"),
        ({"high": math.inf}, ValueError, "high=inf must be a number or three"),
        ({"frame": "mine"}, ValueError, "frame='mine' must be 'common' or 'own'"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OnPoints(**{"mixer": mm.FMix(), **arguments})


@pytest.mark.parametrize(
    ("x", "given", "error", "message"),
    [
        (torch.zeros(2, 5, 2), {}, ValueError, r"x has shape \(2, 5, 2\) and must be clouds"),
        (torch.zeros(5, 3), {}, ValueError, r"x has shape \(5, 3\)"),
        (torch.zeros(2, 5, 3).long(), {}, TypeError, r"x is torch.int64 and must be floating; pass x.float\(\)"),
        (torch.zeros(2, 5, 3), {"valid": torch.ones(2, 5)}, TypeError, "valid is torch.float32"),
        (torch.zeros(2, 5, 3), {"valid": torch.ones(2, 1).bool()}, TypeError, r"must be bool \(2, 5\)"),
        (torch.zeros(2, 5, 3), {"lam": 2.0}, ValueError, r"lam=2\.0 must be a number in \[0, 1\]"),
        (torch.zeros(2, 5, 3), {"index": torch.tensor([0])}, ValueError, r"index has shape \(1,\)"),
    ],
)
def test_wrong_batches_are_named(x: Tensor, given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OnPoints(mm.FMix())(x, **given)


def test_axes_that_take_no_voxels_are_named() -> None:
    with pytest.raises(ValueError, match=r"must have axes that take voxels \(B, 1, R, R, R\), such as 'b c \*'"):
        OnPoints(mm.FMix(axes="b * d"))(torch.zeros(2, 5, 3))


DROPPING = [mm.Cutout(size=3), mm.DropBlock(block_size=3), mm.OneOf([mm.Cutout(size=3)])]


@pytest.mark.parametrize("mixer", DROPPING, ids=str)
def test_what_drops_points_is_refused(mixer: Any) -> None:
    with pytest.raises(TypeError, match="drops points, but a cloud must keep its number of points; mix voxels with it"):
        OnPoints(mixer)(torch.rand(2, 10, 3))


def test_a_share_that_is_asked_for_is_not_replaced_in_silence() -> None:
    for make in (mm.OnPoints, mm.KeepEnds):
        for mixer in (mm.CutMix(adjust_lam=False), mm.OneOf([mm.FMix(), mm.CutMix(adjust_lam=False)])):
            with pytest.raises(ValueError, match=f"{make.__name__} the one that results.*adjust_lam=True"):
                make(mixer)
