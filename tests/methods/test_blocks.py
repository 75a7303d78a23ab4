"""PatchUp and DropBlock: blocks against brute force and exact chances, the published table, and the loss by hand."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import mixmodal as mm
from mixmodal.core import masks
from mixmodal.core.grids import move
from tests.methods_table import roll

CPU = torch.device("cpu")
Z = 4.5  # bound of a statistical test in standard errors; every sample size is stated where it is drawn
REGIONS: tuple[masks.SeedRegion, ...] = ("everywhere", "valid")
SHAPES = [(9,), (8,), (5, 8), (6, 7), (1, 6), (3, 4, 5), (2, 1, 3, 4)]
regions = pytest.mark.parametrize("region", REGIONS)


def cell_range(size: int, block_size: int, seed: int) -> tuple[int, int]:
    """First and last cell of the block about a seed, along an axis: patchup.md §2.3."""
    side = min(block_size, size)
    return seed - (side - 1 - side // 2), seed + side // 2


def covering(size: int, block_size: int, region: str) -> list[int]:
    """For each cell of an axis the number of seeds along it whose block covers the cell."""
    found = []
    for cell in range(size):
        ranges = [cell_range(size, block_size, seed) for seed in range(size)]
        if region == "valid":
            ranges = [(low, high) for low, high in ranges if low >= 0 and high < size]
        found.append(sum(low <= cell <= high for low, high in ranges))
    return found


def chance_of_a_seed(shape: Sequence[int], block_size: int, gamma: float) -> float:
    """γ · ΠF / (Πb · Π(F - b + 1))."""
    chance = gamma
    for size in shape:
        side = min(block_size, size)
        chance *= size / (side * (size - side + 1))
    return chance


def altered_chances(shape: Sequence[int], block_size: int, chance: float, region: str) -> np.ndarray:
    """The exact chance of each cell (*shape) to be altered: 1 - (1 - p)^k, where the blocks of k seeds cover it."""
    along = [covering(size, block_size, region) for size in shape]
    counts = [math.prod(axis[c] for axis, c in zip(along, cell, strict=True)) for cell in np.ndindex(*shape)]
    return 1 - (1 - chance) ** np.array(counts, dtype=np.float64).reshape(shape)


def close_in_standard_errors(mean: Tensor, chance: np.ndarray | float, n: int) -> bool:
    """Whether means of n outcomes of 0 or 1 are those of their chances.

    Three outcomes more are allowed where both occur, as the count of rare ones is far from normal.
    """
    expected = torch.as_tensor(chance, dtype=torch.float64)
    variance = expected * (1 - expected)
    return bool(((mean - expected).abs() <= Z * (variance / n).sqrt() + (variance > 0) * 3 / n + 1e-6).all())


def altered(mixer: mm.Mixer, shape: Sequence[int], **parts: Any) -> Tensor:
    """What a mixer with a partner alters in a batch whose samples are 0 and 1 in turn, each the other's partner."""
    x = (torch.arange(shape[0]) % 2).double().view(-1, *[1] * (len(shape) - 1)).expand(*shape)
    mixed, _ = mixer(x, index=torch.arange(shape[0]).view(-1, 2).flip(1).flatten(), **parts)
    return mixed != x


# ---------------------------------------------------------------- blocks about given seeds


def seeds_are(patch: pytest.MonkeyPatch, seeds: Tensor) -> None:
    """Uniform numbers that make seeds of these cells, (n, *shape), and of no others."""
    patch.setattr(torch, "rand", lambda *size, **_: torch.where(seeds, 0.0, 1.0).reshape(size))


def holes(seeds: np.ndarray, block_size: int, region: str) -> np.ndarray:
    """Union of the blocks about seeds (*shape), seed by seed."""
    hole = np.zeros(seeds.shape, dtype=bool)
    for seed in np.argwhere(seeds).tolist():
        ranges = [cell_range(size, block_size, s) for size, s in zip(seeds.shape, seed, strict=True)]
        if region == "valid" and any(a < 0 or b >= size for (a, b), size in zip(ranges, seeds.shape, strict=True)):
            continue
        hole[tuple(slice(max(low, 0), high + 1) for low, high in ranges)] = True
    return hole


@regions
@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    block_size=st.integers(1, 8),
    rarity=st.sampled_from([0.02, 0.1, 0.4]),
    seed=st.integers(0, 2**31),
)
def test_holes_are_the_blocks_about_the_seeds(
    region: masks.SeedRegion, shape: list[int], block_size: int, rarity: float, seed: int
) -> None:
    """Any rank, odd and even blocks, blocks longer than an axis, grids that are no squares."""
    seeds = torch.rand(3, *shape, generator=torch.Generator().manual_seed(seed)) < rarity
    with pytest.MonkeyPatch.context() as patch:
        seeds_are(patch, seeds)
        kept = masks.blocks(3, shape, block_size, 0.5, seed_region=region, device=CPU)
    assert kept.dtype == torch.float32
    for mask, of in zip(kept, seeds, strict=True):
        np.testing.assert_array_equal(mask.numpy(), 1.0 - holes(of.numpy(), block_size, region))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 5, 7])
def test_one_seed_makes_one_block(monkeypatch: pytest.MonkeyPatch, rank: int, block_size: int) -> None:
    """All b^r cells inside; in the first corner (b // 2 + 1)^r, in the last as many if b is odd, else (b // 2)^r."""
    size = 9
    places = [[4] * rank, [0] * rank, [size - 1] * rank]
    seeds = torch.zeros(3, *[size] * rank, dtype=torch.bool)
    for mask, place in zip(seeds, places, strict=True):
        mask[tuple(place)] = True
    seeds_are(monkeypatch, seeds)
    hole = 1 - masks.blocks(3, [size] * rank, block_size, 0.5, device=CPU)
    last = block_size // 2 + block_size % 2
    assert hole.flatten(1).sum(1).tolist() == [block_size**rank, (block_size // 2 + 1) ** rank, last**rank]
    assert all(mask[tuple(place)] == 1 for mask, place in zip(hole, places, strict=True))
    inner = 1 - masks.blocks(3, [size] * rank, block_size, 0.5, seed_region="valid", device=CPU)
    assert torch.equal(inner[0], hole[0])
    assert inner[1:].sum() == (2 if block_size == 1 else 0) + (block_size == 2) * 2**rank  # a pair ends at the border


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_chances_of_a_seed(shape: tuple[int, ...], block_size: int, gamma: float) -> None:
    nominal = masks.seed_probability(shape, block_size, gamma)
    assert nominal == pytest.approx(min(chance_of_a_seed(shape, block_size, gamma), 1), abs=1e-12)
    assert nominal <= gamma + 1e-12
    calibrated = masks.seed_probability(shape, block_size, gamma, gamma_mode="calibrated")
    cells = math.prod(min(block_size, size) for size in shape)
    assert 1 - (1 - calibrated) ** cells == pytest.approx(gamma, abs=1e-12)


# ---------------------------------------------------------------- shares of altered cells

TABLE = """
    32 7 0.50 0.01546 0.492 0.534 0.226 0.375
    32 7 0.75 0.02319 0.633 0.683 0.318 0.493
    16 5 0.50 0.03556 0.533 0.596 0.279 0.374
    16 5 0.75 0.05333 0.679 0.746 0.395 0.492
    16 7 0.50 0.02612 0.633 0.727 0.342 0.363
    16 7 0.75 0.03918 0.772 0.859 0.457 0.470
     8 3 0.50 0.09877 0.539 0.608 0.334 0.390
     8 7 0.50 0.16327 0.989 1.000 0.941 0.406
    56 7 0.50 0.01280 0.445 0.468 0.177 0.383
    56 7 0.60 0.01536 0.506 0.532 0.217 0.437
    28 7 0.60 0.01983 0.573 0.625 0.283 0.423
    64 7 0.75 0.01864 0.579 0.602 0.256 0.511
"""
"""patchup.md §2.4: size, block, γ, chance of a seed; altered shares of 4000 masks: all cells, interior, corner, and all
cells for seeds in the valid region only."""
ROWS = [tuple(map(float, row.split())) for row in TABLE.strip().splitlines()]
OTHER_RANKS = [((128,), 7, 0.41), ((16, 16, 16), 3, 0.49), ((16, 16, 16), 7, 0.75)]
"""The same for γ = 1/2, all cells."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]:.0f}-{row[1]:.0f}-{row[2]}")
def test_altered_shares_are_those_of_the_table(row: tuple[float, ...]) -> None:
    """Of 1000 masks each, within 4.5 standard errors of the exact shares, which the table has within its own errors.

    The table is rounded, which is 0.0005, and of 4000 masks: the mean of all cells and the single one in the corner may
    be off by 4.5 standard errors of those, and the interior, where thousands of cells are averaged, by 0.0005 more.
    """
    n, shape, block_size, gamma = 1000, (int(row[0]),) * 2, int(row[1]), row[2]
    chance = chance_of_a_seed(shape, block_size, gamma)
    assert chance == pytest.approx(row[3], abs=5.1e-6)
    hole = {region: 1 - masks.blocks(n, shape, block_size, gamma, seed_region=region, device=CPU) for region in REGIONS}
    exact = {region: altered_chances(shape, block_size, chance, region) for region in REGIONS}
    for region, printed in (("everywhere", row[4]), ("valid", row[7])):
        share = hole[region].double().mean((1, 2))
        assert abs(float(share.mean()) - exact[region].mean()) < Z * float(share.std()) / n**0.5
        assert exact[region].mean() == pytest.approx(printed, abs=0.0005 + Z * float(share.std()) / 4000**0.5)
    middle, corner = (shape[0] // 2,) * 2, (0, 0)
    for region in REGIONS:
        for cell in (middle, corner, (shape[0] - 1, 0)):
            assert close_in_standard_errors(hole[region][(slice(None), *cell)].mean(), exact[region][cell], n)
    assert exact["everywhere"][middle] == 1 - (1 - chance) ** block_size**2
    assert exact["everywhere"][middle] == pytest.approx(row[5], abs=0.001)
    at_corner = exact["everywhere"][corner]
    assert at_corner == pytest.approx(row[6], abs=0.0005 + Z * (at_corner * (1 - at_corner) / 4000) ** 0.5)


@pytest.mark.parametrize(("shape", "block_size", "printed"), OTHER_RANKS)
def test_altered_shares_in_other_ranks(shape: tuple[int, ...], block_size: int, printed: float) -> None:
    """Of 1000 masks within 4.5 standard errors of the exact share; the table's are two digits of few masks: 0.01."""
    n = 1000
    exact = altered_chances(shape, block_size, chance_of_a_seed(shape, block_size, 0.5), "everywhere").mean()
    share = (1 - masks.blocks(n, shape, block_size, 0.5, device=CPU)).double().flatten(1).mean(1)
    assert abs(float(share.mean()) - exact) < Z * float(share.std()) / n**0.5
    assert exact == pytest.approx(printed, abs=0.01)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block_size", [2, 3])
@regions
def test_every_cell_is_altered_as_often_as_it_must_be(
    shape: tuple[int, ...], block_size: int, region: masks.SeedRegion
) -> None:
    """Each cell of 3000 samples within 4.5 standard errors of its exact chance."""
    n = 3000
    mixer = mm.PatchUp(block_size=block_size, gamma=0.4, seed_region=region, channels="shared", per_sample=True)
    mean = altered(mixer, (n, 1, *shape))[:, 0].double().mean(0)
    chances = altered_chances(shape, block_size, chance_of_a_seed(shape, block_size, 0.4), region)
    assert close_in_standard_errors(mean, chances, n)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.75])
@pytest.mark.parametrize(("shape", "block_size"), [((16,), 5), ((12, 10), 4), ((7, 8, 9), 3)])
def test_calibrated_blocks_alter_gamma_of_the_interior(gamma: float, shape: tuple[int, ...], block_size: int) -> None:
    """The middle of 4000 samples within 4.5 standard errors."""
    n = 4000
    hit = altered(
        mm.PatchUp(block_size=block_size, gamma=gamma, gamma_mode="calibrated", per_sample=True, channels="shared"),
        (n, 1, *shape),
    )
    middle = tuple(size // 2 for size in shape)
    assert close_in_standard_errors(hit[(slice(None), 0, *middle)].double().mean(), gamma, n)


@pytest.mark.parametrize("channels", ["independent", "shared"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("gamma_mode", ["nominal", "calibrated"])
def test_gamma_zero_changes_nothing(channels: Any, soft: bool, gamma_mode: Any) -> None:
    x = torch.randn(4, 3, 6, 5)
    mixer = mm.PatchUp(block_size=3, gamma=0, soft=soft, channels=channels, gamma_mode=gamma_mode)
    for _ in range(5):
        mixed, mix = mixer(x)
        assert torch.equal(mixed, x)
        assert (mix.lam == 1).all()


@pytest.mark.parametrize(
    ("block_size", "gamma_mode"), [(1, "nominal"), (6, "nominal"), (9, "nominal"), (1, "calibrated"), (3, "calibrated")]
)
@pytest.mark.parametrize("channels", ["independent", "shared"])
def test_a_sure_seed_everywhere_alters_all(block_size: int, gamma_mode: Any, channels: Any) -> None:
    """Blocks of one cell, or of the whole map, and γ = 1: no neglected overlap is left."""
    x, settings = torch.randn(4, 3, 6, 6), {"gamma": 1, "gamma_mode": gamma_mode, "channels": channels}
    mixed, mix = mm.PatchUp(block_size=block_size, soft=False, **settings)(x, index=roll(4))
    assert torch.equal(mixed, x.roll(1, 0))
    assert (mix.lam == 0).all()
    mixed, mix = mm.PatchUp(block_size=block_size, **settings)(x, index=roll(4), lam=0.3)
    torch.testing.assert_close(mixed, 0.3 * x + 0.7 * x.roll(1, 0), rtol=0, atol=1e-6)
    torch.testing.assert_close(mix.lam, torch.full((4,), 0.3))


def test_gamma_follows_the_map_at_every_call() -> None:
    """A mixer that was used on a large map draws for a small one what a fresh one draws."""
    used, fresh = mm.PatchUp(block_size=3, soft=False), mm.PatchUp(block_size=3, soft=False)
    used(torch.empty(2, 4, 32, 32))
    drawn = [altered(mixer, (2, 4, 8, 8), generator=torch.Generator().manual_seed(5)) for mixer in (used, fresh)]
    assert torch.equal(*drawn)
    n = 400
    share = torch.stack([altered(used, (2, 4, 8, 8))[0].double().mean() for _ in range(n)])  # 0.539 by the table
    exact = altered_chances((8, 8), 3, chance_of_a_seed((8, 8), 3, 0.5), "everywhere").mean()
    assert abs(float(share.mean()) - exact) < Z * float(share.std()) / n**0.5


# ---------------------------------------------------------------- what the blocks do


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("channels", ["independent", "shared"])
def test_hard_blocks_are_soft_ones_of_share_zero(per_sample: bool, channels: Any) -> None:
    settings: dict[str, Any] = {"block_size": 3, "gamma": 0.6, "per_sample": per_sample, "channels": channels}
    x = torch.randn(5, 3, 7, 6)
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    hard, hard_mix = mm.PatchUp(soft=False, **settings)(x, generator=generators[0])
    soft, soft_mix = mm.PatchUp(soft=True, **settings)(x, lam=0.0, generator=generators[1])
    assert torch.equal(hard, soft)
    assert torch.equal(hard_mix.lam, soft_mix.lam)
    assert not torch.equal(hard, x)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    preds, y = torch.randn(5, 4, dtype=torch.float64), torch.rand(5, 4, dtype=torch.float64)
    for criterion in (squared, focal):
        torch.testing.assert_close(hard_mix.loss(preds, y, criterion), soft_mix.loss(preds, y, criterion))


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("per_sample", [False, True])
def test_soft_blocks_are_blended_with_one_share_and_the_rest_is_left(lam: float, per_sample: bool) -> None:
    x = torch.randn(4, 3, 8, 7, dtype=torch.float64)
    share = torch.tensor([lam, 0.25, 0.5, 0.75]) if per_sample else torch.full((4,), lam)
    mixer = mm.PatchUp(block_size=3, per_sample=per_sample)
    hit = altered(mixer, x.shape, lam=share if per_sample else lam, generator=torch.Generator().manual_seed(1))
    index = torch.arange(4).view(-1, 2).flip(1).flatten()
    mixed, mix = mixer(x, index=index, lam=share if per_sample else lam, generator=torch.Generator().manual_seed(1))
    blend = share.view(4, 1, 1, 1) * x + (1 - share.view(4, 1, 1, 1)) * x[index]
    torch.testing.assert_close(mixed, torch.where(hit, blend, x), rtol=0, atol=1e-6)
    assert torch.equal(mixed[~hit], x[~hit])
    untouched = 1 - hit.double().flatten(1).mean(1)
    torch.testing.assert_close(mix.lam.double(), untouched + (1 - untouched) * share, rtol=0, atol=1e-6)
    assert hit.any() == (lam < 1 or per_sample)


@pytest.mark.parametrize("soft", [True, False])
def test_a_batch_that_is_its_own_partner_stays(soft: bool) -> None:
    x = torch.randn(4, 3, 8, 7)
    assert torch.equal(mm.PatchUp(block_size=3, soft=soft)(x, index=torch.arange(4))[0], x)


def test_the_share_of_hard_blocks_is_the_count_of_cells_that_are_left() -> None:
    for _ in range(20):
        generator = torch.Generator().manual_seed(7)
        hit = altered(mm.PatchUp(block_size=3, soft=False), (2, 3, 5, 7), generator=generator)
        mix = mm.PatchUp(block_size=3, soft=False).draw(
            torch.empty(2, 3, 5, 7), index=roll(2), generator=torch.Generator().manual_seed(7)
        )
        assert mix.lam.tolist() == pytest.approx([int((~hit[b]).sum()) / 105 for b in (0, 1)], abs=1e-7)


def test_shares_in_soft_blocks_are_drawn_from_beta_of_two() -> None:
    """3000 draws, all altered, against 3 q² - 2 q³: 4.5 standard errors, at their largest, everywhere."""
    n = 3000
    x = (torch.arange(n) % 2).double().view(n, 1, 1)
    mixed, _ = mm.PatchUp(block_size=1, gamma=1, per_sample=True)(
        x, index=torch.arange(n).view(-1, 2).flip(1).flatten()
    )
    lam = np.sort(torch.where(x == 1, mixed, 1 - mixed).flatten().numpy())
    assert np.abs(3 * lam**2 - 2 * lam**3 - (np.arange(n) + 0.5) / n).max() < Z * 0.5 / n**0.5


@pytest.mark.parametrize(("soft", "gamma", "other"), [(True, 0.75, 0.5), (False, 0.5, 0.75)])
def test_gamma_is_the_papers_by_default(soft: bool, gamma: float, other: float) -> None:
    drawn = [
        altered(mm.PatchUp(soft=soft, gamma=value), (2, 8, 16, 16), generator=torch.Generator().manual_seed(1))
        for value in (None, gamma, other)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_other_settings_are_the_papers_by_default() -> None:
    blocks, drop = mm.PatchUp(), mm.DropBlock()
    assert (blocks.block_size, blocks.alpha, blocks.soft, blocks.per_sample) == (7, 2.0, True, False)
    assert (blocks.channels, blocks.seed_region, blocks.gamma_mode) == ("independent", "everywhere", "nominal")
    assert (drop.block_size, drop.drop_prob, drop.per_sample, drop.partner) == (7, 0.1, True, False)


# ---------------------------------------------------------------- channels and samples


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1])


def test_channels_have_patterns_of_their_own() -> None:
    """2000 samples: shares of two channels, and one cell in both, are not correlated: 4.5 / sqrt(2000)."""
    n = 2000
    for mixer in (mm.PatchUp(block_size=2, soft=False, per_sample=True), mm.PatchUp(block_size=2, per_sample=True)):
        hit = altered(mixer, (n, 2, 5, 6))
        assert (
            abs(correlation(hit[:, 0].flatten(1).double().mean(1), hit[:, 1].flatten(1).double().mean(1))) < Z / n**0.5
        )
        assert abs(correlation(hit[:, 0, 2, 2], hit[:, 1, 2, 2])) < Z / n**0.5
    dropped = mm.DropBlock(block_size=2, drop_prob=0.4)(torch.ones(n, 2, 5, 6))[0] == 0
    assert abs(correlation(dropped[:, 0, 2, 2], dropped[:, 1, 2, 2])) < Z / n**0.5


def test_samples_have_patterns_of_their_own_if_asked_for() -> None:
    """1000 pairs of neighbours: not correlated, 4.5 / sqrt(1000); by default one pattern for the batch."""
    n = 1000
    hit = altered(mm.PatchUp(block_size=2, soft=False, per_sample=True), (2 * n, 1, 5, 6))[:, 0].view(n, 2, 5, 6)
    assert abs(correlation(hit[:, 0, 2, 2], hit[:, 1, 2, 2])) < Z / n**0.5
    hit = altered(mm.PatchUp(block_size=2, soft=False), (6, 4, 5, 6))
    assert (hit == hit[:1]).all()
    assert not (hit == hit[:, :1]).all()


@pytest.mark.parametrize("soft", [True, False])
def test_channels_may_share_a_pattern(soft: bool) -> None:
    for axes, shape, letters in (("b c *", (4, 5, 8, 7), (1,)), ("b c * d", (4, 3, 9, 2), (1, 3))):
        mixer = mm.PatchUp(block_size=3, soft=soft, channels="shared", axes=axes)
        hit = altered(mixer, shape)
        assert all((hit == hit.narrow(axis, 0, 1)).all() for axis in letters)
        assert hit.any()
        assert mixer.draw(torch.empty(shape)).axes == axes


BUILDS: dict[str, Callable[..., mm.Mixer]] = {
    "PatchUp": mm.PatchUp,
    "PatchUp-hard": lambda **settings: mm.PatchUp(soft=False, **settings),
    "DropBlock": mm.DropBlock,
}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
def test_the_place_of_channels_makes_no_difference(build: Callable[..., mm.Mixer], padded: bool) -> None:
    """The same draw for any order of axes: an index of the letter axes is a channel, wherever they are."""
    orders: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("b * d", lambda x: x.movedim(1, -1)),
        ("b c * d", lambda x: x.unflatten(1, (3, 2)).movedim(2, -1)),
        ("b c d *", lambda x: x.unflatten(1, (3, 2))),
        ("b * c d", lambda x: x.unflatten(1, (3, 2)).movedim((1, 2), (-2, -1))),
    ]
    x, valid = torch.randn(4, 6, 9, 7), torch.rand(4, 9, 7) < 0.7 if padded else None
    expected, plain = build(block_size=3)(x, valid=valid, generator=torch.Generator().manual_seed(2))
    assert not torch.equal(expected, x)
    for axes, arrange in orders:
        mixer, generator = build(block_size=3, axes=axes), torch.Generator().manual_seed(2)
        mixed, mix = mixer(arrange(x), valid=valid, generator=generator)
        assert torch.equal(mixed, arrange(expected)), axes
        assert mix.axes == "b *"
        assert mix.mask.shape[1:] == arrange(x).shape[1:]
        torch.testing.assert_close(mix.lam, plain.lam)
        if padded:
            assert torch.equal(mix.valid, plain.valid)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the loss

Criterion = Callable[..., Tensor]


def reduced(each: Tensor, reduction: str) -> Tensor:
    return {"none": lambda: each, "sum": each.sum, "mean": each.mean}[reduction]()


def squared(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Brier's score: quadratic in the target."""
    return reduced((preds.softmax(1) - y).square().sum(1), reduction)


def focal(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """A focal loss for soft targets: cubic in the target."""
    return reduced(-((y - preds.softmax(1)).square() * y * preds.log_softmax(1)).sum(1), reduction)


def focal_of_classes(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    return focal(preds, F.one_hot(y, preds.shape[1]).to(preds.dtype), reduction)


PATCHUPS = {
    "soft": mm.PatchUp(block_size=3),
    "soft, per sample": mm.PatchUp(block_size=2, per_sample=True),
    "soft, shared": mm.PatchUp(block_size=2, channels="shared", per_sample=True),
    "hard": mm.PatchUp(block_size=3, soft=False),
    "hard, per sample": mm.PatchUp(block_size=2, soft=False, per_sample=True),
}
patchups = pytest.mark.parametrize("mixer", PATCHUPS.values(), ids=PATCHUPS.keys())


def drawn(mixer: mm.PatchUp) -> tuple[mm.Mix, list[float], list[float]]:
    """A record of 4 samples; the share of untouched cells of each, counted, and its share in its blocks, asked for."""
    shape, index = (4, 3, 6, 5), torch.arange(4).view(-1, 2).flip(1).flatten()
    asked: dict[str, Any] = {}
    if mixer.soft:
        asked = {"lam": torch.tensor([0.3, 0.8, 0.55, 0.1]) if mixer.per_sample else 0.3}
    hit = altered(mixer, shape, **asked, generator=torch.Generator().manual_seed(6))
    mix = mixer.draw(torch.empty(shape), index=index, **asked, generator=torch.Generator().manual_seed(6))
    share = torch.as_tensor(asked.get("lam", 0.0)).expand(4).tolist()
    return mix, (1 - hit.double().flatten(1).mean(1)).tolist(), share


def test_the_blocks_of_the_loss_cover_some_cells_and_leave_others() -> None:
    """The records below are no edge cases."""
    for mixer in PATCHUPS.values():
        assert all(0.1 < p < 0.9 for p in drawn(mixer)[1])


@patchups
@pytest.mark.parametrize("criterion", [squared, focal, F.cross_entropy], ids=lambda criterion: criterion.__name__)
def test_the_loss_is_half_the_papers(mixer: mm.PatchUp, criterion: Criterion) -> None:
    """Equation 6 by hand: ½ · {p · ℓ(y) + (1 - p) · ℓ(Y) + ℓ(W)} with Y = Mix_s(y, y'), W = Mix_p(y, Y)."""
    mix, untouched, shares = drawn(mixer)
    preds, y = torch.randn(4, 6, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64).softmax(1)
    expected = torch.zeros(4, dtype=torch.float64)
    for b, (i, p, s) in enumerate(zip(mix.index.tolist(), untouched, shares, strict=True)):
        in_blocks = s * y[b] + (1 - s) * y[i]
        whole = p * y[b] + (1 - p) * in_blocks
        own, other, both = (criterion(preds[b : b + 1], target[None]) for target in (y[b], in_blocks, whole))
        expected[b] = (p * own + (1 - p) * other + both) / 2
    torch.testing.assert_close(mix.loss(preds, y, criterion, reduction="none"), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mix.loss(preds, y, criterion, reduction="sum"), expected.sum(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mix.loss(preds, y, criterion), expected.mean(), rtol=1e-5, atol=1e-6)
    soft = criterion(preds, mix.targets(y))
    same = torch.isclose(mix.loss(preds, y, criterion), soft, rtol=1e-5, atol=1e-6)
    assert bool(same) == (criterion is F.cross_entropy)


@patchups
def test_losses_that_are_affine_in_the_target_are_those_of_the_soft_target(mixer: mm.PatchUp) -> None:
    """Cross entropy of classes and of soft labels, and of independent labels, with gradients."""
    mix, untouched, shares = drawn(mixer)
    preds = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    classes, soft = torch.tensor([5, 0, 3, 3]), torch.rand(4, 6, dtype=torch.float64)
    for criterion, y, target in (
        (F.cross_entropy, classes, mix.targets(classes, num_classes=6)),
        (F.cross_entropy, soft.softmax(1), mix.targets(soft.softmax(1))),
        (F.binary_cross_entropy_with_logits, soft, mix.targets(soft)),
    ):
        loss, expected = mix.loss(preds, y, criterion), criterion(preds, target.double())
        torch.testing.assert_close(loss.detach(), expected.detach(), rtol=1e-5, atol=1e-6)
        gradients = [torch.autograd.grad(each, preds)[0] for each in (loss, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
    for b, (i, p, s) in enumerate(zip(mix.index.tolist(), untouched, shares, strict=True)):
        weights = torch.zeros(6, dtype=torch.float64)
        weights[classes[b]] += p + (1 - p) * s
        weights[classes[i]] += (1 - p) * (1 - s)
        torch.testing.assert_close(mix.targets(classes, num_classes=6)[b].double(), weights, rtol=0, atol=1e-6)


@patchups
def test_classes_cannot_be_blended_so_their_losses_are(mixer: mm.PatchUp) -> None:
    mix, untouched, shares = drawn(mixer)
    preds, y = torch.randn(4, 6, dtype=torch.float64), torch.tensor([5, 0, 3, 2])
    own, other = (focal_of_classes(preds, label, "none") for label in (y, y[mix.index]))
    lam = torch.tensor([p + (1 - p) * s for p, s in zip(untouched, shares, strict=True)], dtype=torch.float64)
    expected = lam * own + (1 - lam) * other
    torch.testing.assert_close(mix.loss(preds, y, focal_of_classes, reduction="none"), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mix.loss(preds, y, focal_of_classes), expected.mean(), rtol=1e-5, atol=1e-6)


@patchups
@given(seed=st.integers(0, 2**31), rate=st.sampled_from([0.0, 0.3, 0.8]))
def test_under_padding_the_own_shares_of_the_terms_add_up_to_lam(mixer: mm.PatchUp, seed: int, rate: float) -> None:
    torch.manual_seed(seed)
    mix = mixer.draw(torch.empty(4, 3, 6, 5), valid=torch.rand(4, 6, 5) < rate)
    weights = torch.stack([weight for weight, _ in mix.terms])
    shares = torch.stack([torch.as_tensor(share).expand(4) for _, share in mix.terms])
    torch.testing.assert_close((weights * shares).sum(0), mix.lam, rtol=0, atol=1e-5)
    torch.testing.assert_close(weights.sum(0), torch.ones(4), rtol=0, atol=1e-6)
    assert ((shares >= 0) & (shares <= 1) & (weights >= 0)).all()


@pytest.mark.parametrize(
    ("mixer", "of_floats"),
    [
        (mm.PatchUp(block_size=3), 3),
        (mm.PatchUp(block_size=3, soft=False), 3),
        (mm.CutMix(), 2),
        (mm.DropBlock(block_size=3), 1),
        (mm.NoMix(), 1),
    ],
    ids=["PatchUp", "PatchUp-hard", "CutMix", "DropBlock", "NoMix"],
)
def test_the_criterion_is_called_as_often_as_there_are_targets(mixer: mm.Mixer, of_floats: int) -> None:
    """Once for each label of classes, once for each target of soft labels; a mean asks for one loss more."""
    mix = mixer.draw(torch.empty(4, 3, 6, 5))
    preds, seen = torch.randn(4, 6), []

    def counted(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        seen.append(reduction)
        return F.cross_entropy(preds, y, reduction=reduction)

    for y, times in ((torch.tensor([5, 0, 3, 3]), min(of_floats, 2)), (torch.rand(4, 6), of_floats)):
        for reduction, more in (("none", []), ("sum", []), ("mean", ["mean"])):
            seen.clear()
            mix.loss(preds, y, counted, reduction=reduction)
            assert sorted(seen) == sorted(["none"] * times + more)


# ---------------------------------------------------------------- DropBlock


@pytest.mark.parametrize("shape", [(4, 3, 9), (3, 8, 7, 6), (2, 4, 5, 3, 4), (1, 2, 6, 6)])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("drop_prob", [0.1, 0.5])
def test_what_is_left_is_scaled_up_to_the_whole(shape: tuple[int, ...], per_sample: bool, drop_prob: float) -> None:
    """Cells over cells that are left, counted over the batch."""
    x = torch.randn(shape)
    for _ in range(5):
        ones, mix = mm.DropBlock(block_size=2, drop_prob=drop_prob, per_sample=per_sample)(torch.ones(shape))
        left = ones != 0
        assert left.any()
        torch.testing.assert_close(ones.mean(), torch.tensor(1.0))
        factor = math.prod(shape) / int(left.sum())
        torch.testing.assert_close(mix(x), torch.where(left, x * factor, 0))
        assert per_sample or (left == left[:1]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_batch_without_anything_left_is_zero(dtype: torch.dtype) -> None:
    x = torch.randn(3, 2, 5, 4).to(dtype).requires_grad_()
    dropped, mix = mm.DropBlock(block_size=1, drop_prob=1)(x)
    assert dropped.dtype == dtype
    assert (dropped == 0).all()
    dropped.sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()
    assert mix.scale is not None
    assert mix.scale.isfinite()


def test_nothing_is_dropped_at_zero() -> None:
    x = torch.randn(3, 2, 5, 4)
    for per_sample in (False, True):
        dropped, mix = mm.DropBlock(drop_prob=0, per_sample=per_sample)(x)
        assert torch.equal(dropped, x)
        assert mix.scale == 1


def test_blocks_are_dropped_for_every_sample_unless_shared() -> None:
    x = torch.ones(6, 3, 9, 9)
    own = mm.DropBlock(block_size=3, drop_prob=0.4)(x)[0] == 0
    assert len({tuple(row) for row in own.flatten(1).tolist()}) == 6
    shared = mm.DropBlock(block_size=3, drop_prob=0.4, per_sample=False)(x)[0] == 0
    assert shared.any()
    assert (shared == shared[:1]).all()


def test_dropping_leaves_integers_labels_and_shares() -> None:
    x, y = torch.randint(100, (4, 3, 9, 9)), torch.tensor([0, 2, 1, 1])
    mix = mm.DropBlock(block_size=3, drop_prob=0.4).draw(x, index=roll(4), lam=0.2)
    assert torch.equal(mix(x), x)
    assert not torch.equal(mix(x.float()), x.float())
    assert mix.index.tolist() == [0, 1, 2, 3]
    assert mix.lam.tolist() == [1.0] * 4
    assert torch.equal(mix.targets(y, num_classes=3), F.one_hot(y, 3).float())
    preds = torch.randn(4, 3)
    torch.testing.assert_close(mix.loss(preds, y), F.cross_entropy(preds, y))
    assert mix.accuracy(preds, y) == (preds.argmax(1) == y).float().mean()


@pytest.mark.parametrize(("shape", "block_size"), [((12,), 3), ((6, 9), 4), ((3, 5, 4), 2)])
def test_cells_are_dropped_as_often_as_they_must_be(shape: tuple[int, ...], block_size: int) -> None:
    """Each cell of 3000 samples of one channel within 4.5 standard errors of its exact chance."""
    n = 3000
    dropped = mm.DropBlock(block_size=block_size, drop_prob=0.3)(torch.ones(n, 1, *shape))[0][:, 0] == 0
    chances = altered_chances(shape, block_size, chance_of_a_seed(shape, block_size, 0.3), "everywhere")
    assert close_in_standard_errors(dropped.double().mean(0), chances, n)


# ---------------------------------------------------------------- cells that are moved


def moved_by_hand(x: Tensor, source: Tensor, axes: str) -> Tensor:
    """Cell by cell: the value of the source; without one zero, or an integer's own."""
    names = axes.split()
    before, after = names.index("*"), len(names) - names.index("*") - 1
    grid = x.shape[before : x.ndim - after]
    result = x.clone()
    for b, *place in np.ndindex(len(x), *grid):
        there = int(source[(b, *place)])
        letters = (slice(None),) * (before - 1)
        if there >= 0:
            result[(b, *letters, *place)] = x[(b, *letters, *map(int, np.unravel_index(there, tuple(grid))))]
        elif x.is_floating_point() or x.is_complex():
            result[(b, *letters, *place)] = 0
    return result


MOVED = [("b *", (3, 7)), ("b c *", (3, 2, 4, 5)), ("b * d", (3, 6, 2)), ("b c * d", (2, 3, 2, 3, 2, 2))]
moved = pytest.mark.parametrize(("axes", "shape"), MOVED)
VALUES = [torch.float32, torch.float16, torch.complex64, torch.int64, torch.uint8, torch.bool]


def random_source(axes: str, shape: Sequence[int]) -> Tensor:
    """Any cell of the grid, or -1 for none."""
    names = axes.split()
    grid = shape[names.index("*") : len(shape) - (len(names) - names.index("*") - 1)]
    return torch.randint(-1, math.prod(grid), (shape[0], *grid))


def random_values(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(*shape, dtype=dtype)
    return torch.randint(1, 2 if dtype == torch.bool else 100, tuple(shape)).to(dtype)


@moved
@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_cells_take_the_values_of_their_sources(axes: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    for _ in range(3):
        x, source = random_values(shape, dtype), random_source(axes, shape)
        before = x.clone()
        got = move(x, source, axes)
        assert got.dtype == dtype
        assert torch.equal(got, moved_by_hand(x, source, axes))
        assert torch.equal(x, before)


@moved
@pytest.mark.parametrize("hard", [True, False])
def test_a_record_mixes_what_was_moved(axes: str, shape: tuple[int, ...], hard: bool) -> None:
    """Each side in its moved place, then by the mask, which stays."""
    index = roll(shape[0])
    moves = random_source(axes, shape), random_source(axes, shape)
    mask = torch.rand(moves[0].shape)
    mask = mask.round() if hard else mask
    mix = mm.Mix(index=index, mask=mask, lam=mask.flatten(1).mean(1), axes=axes, hard=hard, moves=moves)
    names = axes.split()
    after = len(names) - names.index("*") - 1
    keep = mask.view(shape[0], *[1] * (names.index("*") - 1), *mask.shape[1:], *[1] * after)
    for dtype in (torch.float32, torch.float64, *([torch.int64] if hard else [])):
        x = random_values(shape, dtype)
        own, other = moved_by_hand(x, moves[0], axes), moved_by_hand(x[index], moves[1], axes)
        expected = torch.where(keep > 0.5, own, other) if hard else (keep * own + (1 - keep) * other).to(dtype)
        torch.testing.assert_close(mix(x), expected, rtol=0, atol=1e-6)
