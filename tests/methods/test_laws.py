"""The laws of mixing, over the table of methods, ranks 1 to 4, odd sizes, axes of size 1 and odd batches.

What is expected is computed from inputs, by loops in numpy, or from what came out for batches in which one sample is
one and all others zero; never from a mask alone.
"""

import copy
import itertools
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

import mixmodal as mm
from tests.methods_table import ASKED, GRIDS, PARTNERED, TABLE, Method, cells, over, over_grids, roll

Z = 4.5  # bound of a statistical test in standard errors; every sample size is stated where it is drawn
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]
PATTERNS = {  # axes pattern -> the shape of a batch with this grid
    "b c *": lambda batch, grid: (batch, 2, *grid),
    "b *": lambda batch, grid: (batch, *grid),
    "b * d": lambda batch, grid: (batch, *grid, 3),
    "b c f *": lambda batch, grid: (batch, 2, 3, *grid),
    "b c * t": lambda batch, grid: (batch, 2, *grid, 3),
}
over_patterns = pytest.mark.parametrize("axes", PATTERNS)

grids = st.lists(st.integers(1, 6), min_size=1, max_size=4)
shares = st.floats(0, 1, width=32)
seeds = st.integers(0, 2**31)


def spread(mask: np.ndarray, axes: str) -> np.ndarray:
    """A mask (*grid) with axes of size 1 for the names of the pattern, without the batch axis."""
    names = axes.split()
    star = names.index("*")
    return mask.reshape((1,) * (star - 1) + mask.shape + (1,) * (len(names) - star - 1))


def factor(mix: mm.Mix, method: Method) -> float:
    """What a mix is multiplied by: cells over cells that are left, if the method scales; in float32, as masks are."""
    return mix.mask.numel() / max(float(mix.mask.double().sum()), 1.0) if method.scales else 1.0


def mixed_by_hand(x: Tensor, mix: mm.Mix, method: Method, axes: str = "b c *") -> np.ndarray:
    """Sample by sample in float64: m · x + (1 - m) · x[index], or m · x, scaled, without a partner."""
    source, masks, index = x.double().numpy(), mix.mask.double().numpy(), mix.index.tolist()
    scale, result = factor(mix, method), np.empty_like(source)
    for b, i in enumerate(index):
        own = spread(masks[b if len(masks) > 1 else 0], method.span(axes))
        result[b] = own * source[b] + (1 - own) * source[i] if method.partner else scale * (own * source[b])
    return result


def shares_of_samples(mix: mm.Mix, grid: Sequence[int]) -> Tensor:
    """(B, B, 2, *grid): the share of sample c in the mixed sample b. Sample c is one and the others are zero."""
    batch = len(mix.index)
    ones = torch.eye(batch, dtype=torch.float64).view(batch, batch, *[1] * (1 + len(grid)))
    return torch.stack([mix(one.expand(batch, 2, *grid)) for one in ones], dim=1)


def own_shares(mix: mm.Mix, grid: Sequence[int]) -> Tensor:
    """The share of the own sample at each location of two channels: (B, 2, *grid)."""
    return shares_of_samples(mix, grid).diagonal(dim1=0, dim2=1).movedim(-1, 0)


def empty(batch: int, grid: Sequence[int]) -> Tensor:
    """A batch to draw for, of two channels."""
    return torch.empty(batch, 2, *grid)


# ---------------------------------------------------------------- convexity, shares, ends


@over(PARTNERED)
@given(grid=grids, batch=st.integers(1, 5), seed=seeds, axes=st.sampled_from(list(PATTERNS)))
def test_ones_stay_ones(method: Method, grid: list[int], batch: int, seed: int, axes: str) -> None:
    assume(method.takes(grid))
    torch.manual_seed(seed)
    for dtype in FLOATS:
        mixed, _ = method.build(axes)(torch.ones(PATTERNS[axes](batch, grid), dtype=dtype))
        assert (mixed == 1).all()


@over(PARTNERED)
@given(grid=grids, batch=st.integers(1, 5), seed=seeds)
def test_a_mix_lies_between_the_two(method: Method, grid: list[int], batch: int, seed: int) -> None:
    assume(method.takes(grid))
    torch.manual_seed(seed)
    x = torch.randn(batch, 2, *grid, dtype=torch.float64)
    mixed, mix = method.build("b c *")(x)
    low, high = torch.minimum(x, x[mix.index]), torch.maximum(x, x[mix.index])
    assert ((mixed >= low - 1e-9) & (mixed <= high + 1e-9)).all()
    if method.hard:
        assert ((mixed == x) | (mixed == x[mix.index])).all()


@over([method for method in PARTNERED if method.exact])
@given(grid=grids, batch=st.integers(2, 5), seed=seeds)
def test_lam_is_the_share_that_was_kept(method: Method, grid: list[int], batch: int, seed: int) -> None:
    """Counted in mixed batches of zeros and ones, whose partners are other samples."""
    assume(method.takes(grid))
    torch.manual_seed(seed)
    mix = method.build("b c *").draw(empty(batch, grid), index=roll(batch))
    kept = own_shares(mix, grid).flatten(1).mean(1)
    assert mix.lam.shape == (batch,)
    torch.testing.assert_close(mix.lam.double(), kept, rtol=0, atol=1e-6)
    mean = mix.mask.double().flatten(1).mean(1).expand(batch)
    torch.testing.assert_close(mix.lam.double(), mean, rtol=0, atol=1e-6)


@over(ASKED)
@given(grid=grids, batch=st.integers(2, 4), lam=shares, seed=seeds)
def test_lam_asked_is_met_up_to_a_cell(method: Method, grid: list[int], batch: int, lam: float, seed: int) -> None:
    assume(method.takes(grid))
    torch.manual_seed(seed)
    mix = method.build("b c *").draw(empty(batch, grid), index=roll(batch), lam=lam)
    kept = own_shares(mix, grid).flatten(1).mean(1)
    if method.meets:
        assert ((kept - lam).abs() * cells(grid) < 1 + 1e-4).all()
    elif method.name.startswith("PatchUp") or (method.name.startswith("CutMix") and max(grid) > 1):
        assert (kept >= lam - 1e-4).all()  # what is clipped, or lies between the blocks, only adds
    if not method.exact:
        torch.testing.assert_close(mix.lam, torch.full((batch,), lam))


@over_grids(ASKED)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_lam_one_is_the_identity(method: Method, grid: tuple[int, ...], batch: int) -> None:
    x = torch.randn(batch, 3, *grid)
    mixer = method.build("b c *")
    for lam in (1.0, 1, torch.tensor(1.0), torch.ones(batch)):
        mixed, mix = mixer(x, lam=lam)
        assert torch.equal(mixed, x)
        assert (mix.lam == 1).all()


@over_grids(ASKED)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_lam_zero_is_the_partner(method: Method, grid: tuple[int, ...], batch: int) -> None:
    x = torch.randn(batch, 3, *grid)
    mixer = method.build("b c *")
    for lam in (0.0, 0, torch.tensor(0.0), torch.zeros(batch)):
        mixed, mix = mixer(x, lam=lam)
        whole = mix.lam == 0
        if method.meets:
            assert whole.all()
        if method.exact:  # a clipped box leaves some, and so do blocks
            assert torch.equal(mixed[whole], x[mix.index][whole])


def test_cutmix_at_lam_zero_meets_the_partner_when_the_box_is_not_clipped() -> None:
    """Per axis of 4 only one centre in four leaves a box of 4 whole: 1/16 of 1600 masks, within 4.5 standard errors."""
    n = 1600
    _, mix = mm.CutMix(per_sample=True)(torch.zeros(n, 1, 4, 4), lam=0.0)
    rate = (mix.lam == 0).float().mean()
    assert abs(rate - 1 / 16) < Z * (1 / 16 * 15 / 16 / n) ** 0.5


# ---------------------------------------------------------------- what is recorded is what was blended


@over_grids(TABLE)
@over_patterns
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_are_those_of_mixing_by_hand(method: Method, grid: tuple[int, ...], axes: str, batch: int) -> None:
    x = torch.randn(PATTERNS[axes](batch, grid), dtype=torch.float64)
    mixer = method.build(axes)
    for lam in (None, 0.35, torch.rand(batch)):
        mixed, mix = mixer(x, **method.ask(lam))
        assert mix.axes == method.span(axes)
        assert (mix.scale is not None) == method.scales
        expected = mixed_by_hand(x, mix, method, axes)
        np.testing.assert_allclose(mixed.numpy(), expected, rtol=1e-6 if method.scales else 0, atol=1e-7)
        if method.hard and not method.scales:
            np.testing.assert_array_equal(mixed.numpy(), expected)


@over(TABLE)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dtype_and_device_are_kept_and_blending_is_in_float32_at_least(method: Method, dtype: torch.dtype) -> None:
    x = (torch.randn(5, 3, 5, 7) * 3).to(dtype)
    mixed, mix = method.build("b c *")(x)
    assert mixed.dtype == dtype
    assert mixed.device == x.device
    assert mixed.shape == x.shape
    assert mix.mask.dtype == mix.lam.dtype == torch.float32
    expected = torch.from_numpy(mixed_by_hand(x, mix, method))
    error, single = (mixed.double() - expected).abs(), 3 * torch.finfo(torch.float32).eps * x.abs().max()
    assert (error <= expected.abs() * torch.finfo(dtype).eps / 2 + 2 * single).all()  # one rounding, at the end


@over([method for method in TABLE if method.asks])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("lam_dtype", FLOATS, ids=str)
def test_a_lam_of_any_floating_dtype_mixes_a_batch_of_any(
    method: Method, dtype: torch.dtype, lam_dtype: torch.dtype
) -> None:
    x = torch.rand(3, 2, 4, 5).to(dtype)
    for lam in (torch.tensor(0.25, dtype=lam_dtype), torch.tensor([0.0, 0.25, 1.0], dtype=lam_dtype)):
        mixed, mix = method.build("b c *")(x, lam=lam)
        assert mixed.dtype == dtype
        expected = torch.from_numpy(mixed_by_hand(x, mix, method))
        torch.testing.assert_close(mixed.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)


@over([method for method in TABLE if method.hard])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_chosen(method: Method, dtype: torch.dtype) -> None:
    x = torch.randint(0, 2 if dtype == torch.bool else 100, (5, 2, 5, 7)).to(dtype)
    before = x.clone()
    mixed, mix = method.build("b c *")(x)
    assert mixed.dtype == dtype
    assert torch.equal(x, before)
    if method.partner:
        np.testing.assert_array_equal(mixed.double().numpy(), mixed_by_hand(x, mix, method))
    else:
        assert torch.equal(mixed, x)


@over(TABLE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_large_batches_are_mixed_as_small_ones(method: Method, dtype: torch.dtype) -> None:
    """8 MiB, which may take another path than what a cache holds."""
    x = torch.randn(4, 2, 2**20 // dtype.itemsize).to(dtype)
    mix = method.build("b c *").draw(x)
    ends = slice(999), slice(-999, None)
    parts = [mm.Mix(**{**vars(mix), "mask": mix.mask[..., end]})(x[..., end]) for end in ends]
    mixed = mix(x)
    assert x.nbytes >= 2**23
    assert torch.equal(mixed[:, :, :999], parts[0])
    assert torch.equal(mixed[:, :, -999:], parts[1])
    expected = torch.from_numpy(mixed_by_hand(x, mix, method))
    torch.testing.assert_close(mixed.double(), expected, rtol=torch.finfo(dtype).eps, atol=2e-6)
    assert mix(x, out=torch.empty_like(x)).equal(mixed)


def test_large_integers_are_exact() -> None:
    x = 2**60 + torch.arange(24).view(3, 8)
    mixed, mix = mm.FMix(axes="b *")(x, lam=0.5, index=roll(3))
    keep = mix.mask.bool()
    assert torch.equal(mixed, torch.where(keep, x, x.roll(1, 0)))


@over(TABLE)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_tensors_are_blended(method: Method, dtype: torch.dtype) -> None:
    x = torch.randn(3, 2, 6, dtype=dtype)
    mixed, mix = method.build("b c *")(x)
    real, imaginary = (torch.from_numpy(mixed_by_hand(part, mix, method)) for part in (x.real, x.imag))
    torch.testing.assert_close(mixed, torch.complex(real, imaginary).to(dtype), rtol=1e-5, atol=1e-6)


@over(TABLE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_the_input_is_untouched(method: Method, dtype: torch.dtype) -> None:
    x = torch.randn(4, 3, 5, 6).to(dtype)
    before, version = x.clone(), x._version
    _, mix = method.build("b c *")(x)
    mix(x)
    assert torch.equal(x, before)
    assert x._version == version


@over([method for method in TABLE if method.partner or not method.any_rank])
def test_the_result_shares_no_memory_with_the_input(method: Method) -> None:
    x = torch.randn(4, 3, 5, 6)
    before = x.clone()
    mixed, _ = method.build("b c *")(x)
    mixed.zero_()
    assert torch.equal(x, before)


@over(TABLE)
def test_inputs_need_not_be_contiguous(method: Method) -> None:
    permuted = torch.randn(6, 5, 3, 4).permute(3, 2, 1, 0)
    channels_last = torch.randn(4, 3, 5, 6).contiguous(memory_format=torch.channels_last)
    one_for_all = torch.randn(1, 3, 5, 6).expand(4, 3, 5, 6)
    negated = torch.randn(4, 3, 5, 6, dtype=torch.complex64).conj().imag  # its sign is a note beside its memory
    assert negated.is_neg()
    for x in (permuted, channels_last, one_for_all, negated):
        mixed, mix = method.build("b c *")(x)
        expected = mixed_by_hand(x, mix, method)
        np.testing.assert_allclose(mixed.double().numpy(), expected, rtol=0, atol=2e-6)


@over([method for method in PARTNERED if method.hard])
def test_nothing_of_the_other_side_leaks_through_a_hard_mask(method: Method) -> None:
    x = torch.full((2, 2, 6, 6), math.nan)
    x[0] = 1
    mixed, mix = method.build("b c *")(x, index=torch.tensor([1, 0]), **method.ask(0.5))
    for b in (0, 1):
        own = (mix.mask[b if len(mix.mask) > 1 else 0] > 0.5).expand(2, 6, 6)
        assert torch.equal(mixed[b].isnan(), own if b == 1 else ~own)


@over([method for method in PARTNERED if method.hard])
@pytest.mark.parametrize("value", [3e38, math.inf])
def test_values_at_the_end_of_the_range_are_chosen_exactly(method: Method, value: float) -> None:
    x = torch.stack([torch.full((1, 6, 6), value), torch.full((1, 6, 6), -value)])
    mixed, _ = method.build("b c *")(x, index=torch.tensor([1, 0]), **method.ask(0.5))
    assert set(mixed.unique().tolist()) == set(x.unique().tolist())


@over(TABLE)
def test_an_empty_batch_is_mixed(method: Method) -> None:
    x, none = torch.empty(0, 2, 5, 5), torch.empty(0, dtype=torch.long)
    mixed, mix = method.build("b c *")(x, index=none)
    assert mixed.shape == x.shape
    assert mix.targets(none, num_classes=3).shape == (0, 3)


EVERY_BIT = [*FLOATS, *INTEGERS[:-1], torch.uint16, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", EVERY_BIT, ids=str)
@pytest.mark.parametrize("buffer", [False, True], ids=["new", "out="])
@pytest.mark.parametrize("long", [1, 2**16], ids=["sample by sample", "at once"])
def test_a_hard_mask_keeps_every_bit(
    dtype: torch.dtype, buffer: bool, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes at random: among them zeros of both signs, infinities and numbers that are none, with any payload."""
    monkeypatch.setattr("mixmodal.core.records.blends.LONG", long)
    size = torch.empty((), dtype=dtype).element_size()
    x = torch.randint(256, (6, 3, 16, 16 * size), dtype=torch.uint8).view(dtype)
    mix = mm.CutMix(per_sample=True).draw(x)
    mixed = mix(x, out=torch.empty_like(x) if buffer else None)
    data, own = x.view(torch.uint8).numpy(), mix.mask.bool().repeat_interleave(size, -1).numpy()[:, None]
    np.testing.assert_array_equal(mixed.view(torch.uint8).numpy(), np.where(own, data, data[mix.index.numpy()]))


# ---------------------------------------------------------------- one draw, many tensors


@over_grids(TABLE)
def test_a_record_can_be_replayed(method: Method, grid: tuple[int, ...]) -> None:
    x = torch.randn(3, 2, *grid)
    mixed, mix = method.build("b c *")(x)
    assert torch.equal(mix(x), mixed)
    more = "b s *" if method.letters else "b s c *"
    assert torch.equal(mix(torch.stack([x, -x], 1), axes=more), torch.stack([mixed, -mixed], 1))
    if method.letters:  # other tensors need the axes that the mask varies on
        assert torch.equal(mix(torch.stack([x, -x], -1), axes="b * s"), torch.stack([mixed, -mixed], -1))
    else:
        assert torch.equal(mix(x[:, 0], axes="b *"), mixed[:, 0])
        assert torch.equal(mix(x.movedim(1, -1), axes="b * d"), mixed.movedim(1, -1))


@over([method for method in PARTNERED if method.hard])
def test_label_maps_move_with_their_images(method: Method) -> None:
    """Every pixel holds its label, before and so after mixing: one label for all channels, or one for each."""
    label_map = torch.randint(20, (4, 3, 7, 5) if method.letters else (4, 7, 5))
    image = (label_map if method.letters else label_map[:, None]).float().expand(4, 3, 7, 5)
    mixed, mix = method.build("b c *")(image)
    mixed_map = mix(label_map, axes="b *")
    assert mixed_map.dtype == torch.int64
    assert torch.equal(mixed_map if method.letters else mixed_map[:, None].expand(4, 3, 7, 5), mixed.long())


@over(PARTNERED)
def test_paired_modalities_share_who_and_how_much(method: Method) -> None:
    image, sound = torch.randn(4, 3, 6, 6), torch.randn(4, 1, 40)
    _, mix = method.build("b c *")(image)
    mixed, other = mm.FMix()(sound, index=mix.index, lam=mix.lam)
    assert torch.equal(other.index, mix.index)
    assert ((other.lam - mix.lam).abs() * 40 < 1 + 1e-4).all()
    assert other.mask.shape == (4, 40)
    fmix = next(row for row in TABLE if row.name == "FMix")
    np.testing.assert_allclose(mixed.double().numpy(), mixed_by_hand(sound, other, fmix), atol=1e-6)


@over([method for method in TABLE if method.any_rank])
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 5), (4, 3, 5, 2), (4, 2, 2, 2, 2, 2)])
def test_any_rank_will_do_where_a_mask_is_one_number(method: Method, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    mixed, mix = method.build("b c *")(x)
    for b, i in enumerate(mix.index.tolist()):
        lam = mix.lam[b].double()
        torch.testing.assert_close(mixed[b], lam * x[b] + (1 - lam) * x[i], rtol=0, atol=1e-7)
    other = torch.randn(4, 9)
    expected = [mix.lam[b] * other[b] + (1 - mix.lam[b]) * other[i] for b, i in enumerate(mix.index.tolist())]
    torch.testing.assert_close(mix(other), torch.stack(expected), rtol=0, atol=1e-6)


# ---------------------------------------------------------------- parts of a draw that are given


@over(TABLE)
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_a_given_index_is_who_is_mixed_in(method: Method, batch: int) -> None:
    index = torch.randint(batch, (batch,))
    mix = method.build("b c *").draw(empty(batch, (4, 5)), index=index)
    assert mix.index.dtype == torch.int64
    if not method.partner:
        assert mix.index.tolist() == list(range(batch))
        return
    assert torch.equal(mix.index, index)
    shares = shares_of_samples(mix, (4, 5))
    for b, i in enumerate(index.tolist()):
        others = [c for c in range(batch) if c not in (b, i)]
        assert (shares[b, others] == 0).all()
        torch.testing.assert_close(shares[b, [b, i] if b != i else [b]].sum(0), torch.ones(2, 4, 5).double())


@over([method for method in PARTNERED if method.meets])
def test_a_given_lam_is_drawn_for(method: Method) -> None:
    mixer = method.build("b c *")
    each = torch.tensor([0.0, 0.25, 0.5, 1.0])
    for lam, expected in ((0.25, 0.25), (torch.tensor(0.25), 0.25), (each, each.double())):
        mix = mixer.draw(empty(4, (10, 10)), lam=lam, index=roll(4))
        kept = own_shares(mix, (10, 10)).flatten(1).mean(1)
        torch.testing.assert_close(kept, torch.as_tensor(expected).double().expand(4), rtol=0, atol=1e-6)
        torch.testing.assert_close(mix.lam.double(), kept, rtol=0, atol=1e-6)


@over([method for method in ASKED if not method.any_rank])
def test_a_lam_per_sample_draws_per_sample(method: Method) -> None:
    """Grids of 64 cells at one half: two equal masks in a row have odds below 1 in 100."""
    mix = method.build("b c *").draw(empty(6, (8, 8)), index=roll(6), lam=torch.full((6,), 0.5))
    assert len({tuple(row) for row in own_shares(mix, (8, 8)).flatten(1).tolist()}) > 2


@over(PARTNERED)
def test_one_draw_a_batch_unless_per_sample(method: Method) -> None:
    mixer = method.build("b c *")
    per_sample = shared = 0
    for _ in range(10):
        mix = mixer.draw(empty(5, (9, 9)), index=roll(5))
        kept = own_shares(mix, (9, 9))
        same = all(torch.equal(kept[0], kept[b]) for b in range(5))
        shared += same
        per_sample += not same
        assert len(mix.mask) == (5 if method.per_sample else 1)
    assert (shared, per_sample) == ((0, 10) if method.per_sample else (10, 0))


# ---------------------------------------------------------------- randomness


def signature(mixer: mm.Mixer | mm.Policy, generator: torch.Generator | None) -> Tensor:
    mix = mixer.draw(torch.empty(7, 1, 9, 9), generator=generator)
    return torch.cat([mix.index.float(), mix.lam, mix.mask.expand(7, *mix.mask.shape[1:]).flatten()])


@over(TABLE)
def test_the_same_generator_gives_the_same_draw_and_another_does_not(method: Method) -> None:
    before = torch.get_rng_state()
    drawn = [signature(method.build("b c *"), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    if method.name != "NoMix":
        assert not torch.equal(drawn[0], drawn[2])


@over([method for method in TABLE if method.name != "NoMix"])
def test_a_generator_moves_on(method: Method) -> None:
    generator = torch.Generator().manual_seed(1)
    assert not torch.equal(signature(method.build("b c *"), generator), signature(method.build("b c *"), generator))


@over(TABLE)
def test_without_a_generator_the_global_one_is_used(method: Method) -> None:
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(signature(method.build("b c *"), None))
    assert torch.equal(drawn[0], drawn[1])
    assert method.name == "NoMix" or not torch.equal(drawn[0], drawn[2])


@over(TABLE)
def test_no_other_randomness_is_used(method: Method) -> None:
    """The states of numpy and of Python's random stay as they are."""
    import random

    numpy_before, python_before = np.random.get_state()[1].copy(), random.getstate()  # type: ignore[union-attr]
    method.build("b c *")(torch.randn(4, 3, 5, 6))
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[union-attr]
    assert random.getstate() == python_before


CDF: dict[float, Callable[[np.ndarray], np.ndarray]] = {
    0.5: lambda q: 2 / np.pi * np.arcsin(np.sqrt(q)),
    1.0: lambda q: q,
    2.0: lambda q: 3 * q**2 - 2 * q**3,
    3.0: lambda q: 10 * q**3 - 15 * q**4 + 6 * q**5,
}


@pytest.mark.parametrize("alpha", CDF)
@pytest.mark.parametrize("build", [mm.MixUp, mm.FMix, mm.CutMix], ids=lambda build: build.__name__)
def test_lam_is_drawn_from_beta(build: Any, alpha: float) -> None:
    """The empirical distribution of 4000 draws is within 4.5 standard errors, at their largest, everywhere."""
    n = 4000
    extra = {"adjust_lam": False} if build is mm.CutMix else {}
    mix = build(alpha=alpha, per_sample=True, **extra).draw(torch.empty(n, 1, 64))
    lam = np.sort(mix.lam.numpy().astype(np.float64))
    steps = np.abs(CDF[alpha](lam) - (np.arange(n) + 0.5) / n)
    cell = CDF[alpha](np.minimum(lam + 1 / 64, 1)) - CDF[alpha](np.maximum(lam - 1 / 64, 0)) if build is mm.FMix else 0
    assert (steps - cell).max() < Z * 0.5 / n**0.5


def test_one_lam_a_batch_is_drawn_from_beta() -> None:
    """2000 draws for batches of 3 against Beta(2, 2): 4.5 standard errors everywhere."""
    n, mixer = 2000, mm.MixUp(alpha=2.0)
    drawn = torch.stack([mixer.draw(torch.empty(3, 1)).lam for _ in range(n)])
    assert (drawn == drawn[:, :1]).all()
    lam = np.sort(drawn[:, 0].numpy().astype(np.float64))
    assert np.abs(CDF[2.0](lam) - (np.arange(n) + 0.5) / n).max() < Z * 0.5 / n**0.5


@pytest.mark.parametrize(("alpha", "ends"), [(0.01, 0.9), (0.001, 0.98)])
def test_small_alphas_draw_one_side_or_the_other(alpha: float, ends: float) -> None:
    """Half of the draws near 0 and half near 1 (0.955 and 0.995 in all, exactly): 4.5 standard errors of 4000 draws."""
    n = 4000
    lam = mm.MixUp(alpha=alpha, per_sample=True).draw(torch.empty(n, 1)).lam
    assert ((lam >= 0) & (lam <= 1)).all()
    assert abs((lam > 0.5).float().mean() - 0.5) < Z * 0.5 / n**0.5
    assert ((lam < 0.01) | (lam > 0.99)).float().mean() > ends


@over([method for method in PARTNERED if method.any_rank or method.name in ("FMix", "CutMix", "OneOf")])
def test_partners_are_a_uniform_permutation(method: Method) -> None:
    """All 6 orders of a batch of 3 equally often, fixed points included: 4.5 standard errors of 1500 draws."""
    n, mixer, x = 1500, method.build("b c *"), torch.empty(3, 1, 2, 2)
    drawn = [tuple(mixer.draw(x).index.tolist()) for _ in range(n)]
    for order in itertools.permutations(range(3)):
        assert abs(drawn.count(order) / n - 1 / 6) < Z * (1 / 6 * 5 / 6 / n) ** 0.5
    assert sum(drawn.count(order) for order in itertools.permutations(range(3))) == n


def test_partners_and_shares_are_independent() -> None:
    """Correlation of lam with the partner of sample 0 over 2000 draws: below 4.5 / sqrt(2000)."""
    n, mixer, x = 2000, mm.FMix(), torch.empty(4, 1, 32)
    drawn = torch.stack([torch.stack([(m := mixer.draw(x)).index[0].float(), m.lam[0]]) for _ in range(n)], 1)
    assert abs(float(torch.corrcoef(drawn)[0, 1])) < Z / n**0.5


# ---------------------------------------------------------------- policies


@pytest.mark.parametrize("with_generator", [False, True])
@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
def test_one_of_mixes_at_its_rate(p: float, with_generator: bool) -> None:
    """A rate of p, not p² (kornia#4649): 4.5 standard errors of 1500 batches."""
    n, x = 1500, torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]]])
    generator = torch.Generator().manual_seed(0) if with_generator else None
    policy = mm.OneOf([mm.MixUp(), mm.NoMix()], p=[p, 1 - p])
    mixed = sum(not torch.equal(policy(x, index=roll(2), generator=generator)[0], x) for _ in range(n))
    assert abs(mixed / n - p) < Z * (p * (1 - p) / n) ** 0.5


def test_one_of_is_even_by_default_and_never_draws_what_has_no_share() -> None:
    n = 1200
    names = [type(mm.OneOf([mm.MixUp(), mm.FMix(), mm.NoMix()]).choose()).__name__ for _ in range(n)]
    for name in ("MixUp", "FMix", "NoMix"):
        assert abs(names.count(name) / n - 1 / 3) < Z * (2 / 9 / n) ** 0.5
    never = mm.OneOf([mm.MixUp(), mm.NoMix()], p=[0, 1])
    assert all(isinstance(never.choose(), mm.NoMix) for _ in range(200))


def test_alternate_takes_turns_and_goes_on_where_it_was_saved() -> None:
    x = torch.randn(2, 1, 4, 4)

    def kind(mix: mm.Mix) -> str:
        return "none" if not mix.partner else "hard" if mix.hard else "soft"

    policy = mm.Alternate([mm.FMix(), mm.MixUp(), mm.NoMix()])
    assert [kind(policy(x)[1]) for _ in range(7)] == ["hard", "soft", "none", "hard", "soft", "none", "hard"]
    saved = policy.state_dict()
    other = mm.Alternate([mm.FMix(), mm.MixUp(), mm.NoMix()])
    assert kind(other.draw(x)) == "hard"
    other.load_state_dict(pickle.loads(pickle.dumps(saved)))
    assert [kind(other.draw(x)) for _ in range(3)] == ["soft", "none", "hard"]
    assert [kind(policy.draw(x)) for _ in range(3)] == ["soft", "none", "hard"]
    assert kind(pickle.loads(pickle.dumps(policy)).draw(x)) == "soft"


def test_policies_nest() -> None:
    x = torch.randn(2, 1, 4, 4)
    policy = mm.Alternate([mm.OneOf([mm.FMix()]), mm.NoMix()])
    assert [policy(x)[1].partner for _ in range(4)] == [True, False, True, False]


# ---------------------------------------------------------------- mixers and records as values

EXAMPLES = [
    mm.MixUp(),
    mm.MixUp(alpha=0.2, axes="b * d", per_sample=True),
    mm.CutMix(alpha=0.5, adjust_lam=False),
    mm.FMix(alpha=0.2, decay_power=2.5, max_soft=0.1, spectrum="upstream"),
    mm.Cutout(size=16),
    mm.PatchUp(),
    mm.PatchUp(block_size=5, gamma=0.6, soft=False, channels="shared", seed_region="valid", gamma_mode="calibrated"),
    mm.DropBlock(block_size=3, drop_prob=0.2, axes="b * d", per_sample=False),
    mm.NoMix(),
    mm.OneOf([mm.FMix(), mm.NoMix()], p=[0.25, 0.75]),
    mm.OneOf([mm.FMix(), mm.MixUp(), mm.CutMix()]),
    mm.OneOf([mm.FMix(), mm.MixUp(), mm.CutMix()], per_sample=True),
    mm.InPairs(mm.CutMix()),
]


@pytest.mark.parametrize("mixer", EXAMPLES, ids=lambda mixer: type(mixer).__name__)
def test_mixers_are_frozen_values(mixer: Any) -> None:
    assert eval(repr(mixer), vars(mm)) == mixer
    assert pickle.loads(pickle.dumps(mixer)) == mixer
    assert copy.deepcopy(mixer) == mixer
    assert hash(copy.deepcopy(mixer)) == hash(mixer)
    assert [other == mixer for other in EXAMPLES].count(True) == 1
    with pytest.raises((AttributeError, TypeError)):
        mixer.alpha = 2.0
    with pytest.raises((AttributeError, TypeError)):
        mixer.p = None


def test_alternate_is_a_value_but_for_its_turn() -> None:
    policy = mm.Alternate([mm.FMix(), mm.MixUp(alpha=0.2)])
    assert repr(eval(repr(policy), vars(mm))) == repr(policy)
    with pytest.raises(TypeError, match="unhashable"):
        hash(policy)


@over(TABLE)
def test_records_are_pickled_and_moved(method: Method) -> None:
    x = torch.randn(4, 3, 5, 6)
    mixed, mix = method.build("b c *")(x, valid=torch.rand(4, 5, 6) > 0.3)
    for twin in (pickle.loads(pickle.dumps(mix)), copy.deepcopy(mix), mix.to("cpu"), mix.to(torch.device("cpu"))):
        assert torch.equal(twin(x), mixed)
        assert torch.equal(twin.lam, mix.lam)
        assert torch.equal(twin.index, mix.index)
        assert torch.equal(twin.valid, mix.valid)
        assert (twin.axes, twin.hard, twin.uniform, twin.partner) == (mix.axes, mix.hard, mix.uniform, mix.partner)
        assert len(twin.terms) == len(mix.terms)
        for part, twin_part in zip(itertools.chain(*mix.terms), itertools.chain(*twin.terms), strict=True):
            assert torch.equal(torch.as_tensor(part), torch.as_tensor(twin_part))
    meta = mix.to("meta")
    shares = [part for part in itertools.chain(*meta.terms) if isinstance(part, Tensor)]
    tensors = (meta.index, meta.mask, meta.lam, meta.valid, meta.real, meta.scale, *shares)
    assert {tensor.device.type for tensor in tensors if tensor is not None} == {"meta"}
    with pytest.raises(AttributeError):
        mix.lam = torch.ones(4)  # type: ignore[misc]


# ---------------------------------------------------------------- out=


@over_grids(TABLE, [(9,), (5, 8), (2, 1, 3, 4)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_buffer_takes_the_result(method: Method, grid: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(3, 2, *grid).to(dtype)
    before = x.clone()
    mix = method.build("b c *").draw(x, valid=torch.rand(3, *grid) > 0.3)
    out = torch.full_like(x, math.nan)
    assert mix(x, out=out) is out
    assert torch.equal(out, mix(x))
    assert torch.equal(x, before)
    strided = torch.full((2, *grid, 3), math.nan, dtype=dtype).movedim(-1, 0)
    assert mix(x, out=strided) is strided
    assert torch.equal(strided, mix(x))


@over([method for method in TABLE if method.name != "Alternate"])
def test_a_buffer_goes_through_a_mixer(method: Method) -> None:
    x, mixer = torch.randn(3, 2, 5, 6), method.build("b c *")
    out = torch.empty_like(x)
    mixed, _ = mixer(x, out=out, generator=torch.Generator().manual_seed(3))
    assert mixed is out
    assert torch.equal(out, mixer(x, generator=torch.Generator().manual_seed(3))[0])


@over([method for method in TABLE if method.hard])
def test_a_buffer_takes_integers(method: Method) -> None:
    x = torch.randint(100, (3, 2, 5, 6))
    mix = method.build("b c *").draw(x)
    out = torch.full_like(x, -1)
    assert mix(x, out=out) is out
    assert torch.equal(out, mix(x))


# ---------------------------------------------------------------- gradients


@over(TABLE)
def test_gradients_reach_both_samples(method: Method) -> None:
    x = torch.randn(3, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    mix = method.build("b c *").draw(x, index=roll(3))
    assert torch.autograd.gradcheck(mix, (x,))
    weight = torch.randn(3, 2, 3, 2, dtype=torch.float64)
    (mix(x) * weight).sum().backward()
    expected = np.zeros((3, 2, 3, 2))
    for b in range(3):
        own = mix.mask[b if len(mix.mask) > 1 else 0].double().numpy()
        expected[b] += factor(mix, method) * own * weight[b].numpy()
        if method.partner:
            expected[(b - 1) % 3] += (1 - own) * weight[b].numpy()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6 if method.scales else 1e-7, atol=1e-7)


@over(PARTNERED)
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # of torch's own, in its rules
def test_forward_derivatives_are_those_of_the_mix(method: Method) -> None:
    """A mix is linear in the batch, so its derivative is the mix of the tangent."""
    x, tangent = torch.randn(2, 3, 2, 3, 2, dtype=torch.float64)
    mix = method.build("b c *").draw(x, index=roll(3))
    mixed, derivative = torch.func.jvp(mix, (x,), (tangent,))
    torch.testing.assert_close(mixed, mix(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(derivative, mix(tangent), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="out= cannot be used where x requires grad"):
        torch.func.jvp(lambda y: mix(y, out=torch.empty_like(tangent)), (x,), (tangent,))


@over(TABLE)
def test_nothing_in_a_record_asks_for_a_gradient(method: Method) -> None:
    lam = torch.tensor([0.3, 0.6, 0.1], requires_grad=True)
    x = torch.randn(3, 2, 3, 2, requires_grad=True)
    _, mix = method.build("b c *")(x, **method.ask(lam))
    made = (mix.mask, mix.lam, mix.scale, *itertools.chain(*mix.terms))
    assert not any(part.requires_grad for part in made if isinstance(part, Tensor))


# ---------------------------------------------------------------- labels and losses


@over_grids(TABLE)
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_the_loss_is_the_criterion_of_the_soft_targets(method: Method, grid: tuple[int, ...], batch: int) -> None:
    x, y = torch.randn(batch, 2, *grid), torch.randint(6, (batch,))
    preds = torch.randn(batch, 6, dtype=torch.float64)
    _, mix = method.build("b c *")(x)
    expected = 0.0
    for b, i in enumerate(mix.index.tolist()):  # by hand
        log = (preds[b] - preds[b].logsumexp(0)).tolist()
        lam = float(mix.lam[b])
        expected -= (lam * log[int(y[b])] + (1 - lam) * log[int(y[i])]) / batch
    torch.testing.assert_close(mix.loss(preds, y).double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6)
    targets = mix.targets(y, num_classes=6)
    torch.testing.assert_close(
        mix.loss(preds, y).double(), F.cross_entropy(preds, targets.double()), rtol=1e-5, atol=1e-6
    )
    if not method.partner:
        assert torch.equal(targets, F.one_hot(y, 6).float())


@over([method for method in PARTNERED if method.exact])
def test_labels_are_mixed_as_the_inputs_were(method: Method) -> None:
    """The mean share of each sample in each mixed one is the soft target of the sample numbers."""
    for grid in GRIDS:
        if method.takes(grid):
            mix = method.build("b c *").draw(empty(4, grid))
            shares = shares_of_samples(mix, grid).flatten(2).mean(2)
            targets = mix.targets(torch.arange(4), num_classes=4)
            torch.testing.assert_close(shares, targets.double(), rtol=0, atol=1e-6)


# ---------------------------------------------------------------- padding


@over(TABLE)
@given(grid=st.lists(st.integers(1, 6), min_size=1, max_size=3), batch=st.integers(1, 4), seed=seeds, data=st.data())
def test_padding_anywhere(method: Method, grid: list[int], batch: int, seed: int, data: st.DataObject) -> None:
    """Padding is zero and junk in it never seen; `mix.valid` and `lam` are those of loops over all locations."""
    assume(method.takes(grid))
    torch.manual_seed(seed)
    valid = torch.rand(batch, *grid) < data.draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    x = torch.randn(batch, 2, *grid)
    junk = torch.where(valid[:, None], x, data.draw(st.sampled_from([math.nan, math.inf, -1e30])))
    mix = method.build("b c *").draw(x, valid=valid)
    mixed = mix(junk)
    assert mixed.isfinite().all()
    assert torch.equal(mixed, mix(torch.where(valid[:, None], x, 0)))
    assert mix.valid is not None
    assert mix.valid.shape == (batch, *grid)
    own, scale = valid.numpy(), factor(mix, method)
    masks = (mix.mask if method.letters else mix.mask[:, None]).double().expand(x.shape).numpy()
    for b, i in enumerate(mix.index.tolist()):
        kept = total = 0.0
        for place in itertools.product(*map(range, grid)):
            m, mine, theirs = masks[(b, slice(None), *place)], own[b][place], own[i][place]
            kept += (m * mine).sum()
            total += (m * mine + (1 - m) * theirs).sum()
            is_real = (mine and m.max() > 0) or (theirs and m.min() < 1) if method.partner else mine
            assert bool(mix.valid[(b, *place)]) == bool(is_real)
            there = mixed[(b, slice(None), *place)]
            a, c = (x[(sample, slice(None), *place)].numpy() * own[sample][place] for sample in (b, i))
            expected = torch.from_numpy(m * a + (1 - m) * c if method.partner else scale * m * a)
            assert ((there - expected).abs() < 1e-5).all()
            assert is_real or (there == 0).all()
        if method.partner and method.exact:
            assert abs(float(mix.lam[b]) - (kept / total if total else 1.0)) < 1e-5
        elif not method.partner:
            assert mix.lam[b] == 1


@over([method for method in PARTNERED if method.exact])
def test_lam_counts_real_locations_of_the_output(method: Method) -> None:
    """Ones in, padding zero: the own share of all that is left in the output."""
    valid = torch.rand(5, 12) < 0.6
    valid[2] = False
    valid[0, 0] = valid[1, 3] = valid[3, 7] = valid[4, 11] = True
    mix = method.build("b c *").draw(empty(5, (12,)), valid=valid, index=torch.tensor([1, 2, 2, 4, 0]))
    shares = shares_of_samples(mix, (12,))
    for b in range(5):
        total = shares[b].sum()
        expected = shares[b, b].sum() / total if total > 0 else torch.ones(()).double()
        torch.testing.assert_close(mix.lam[b].double(), expected, rtol=0, atol=1e-6)
    assert mix.lam[2] == 1  # nothing is real in it nor in its partner, itself
    assert not mix.valid[2].any()  # type: ignore[index]


@over(TABLE)
def test_a_batch_without_real_locations(method: Method) -> None:
    valid = torch.zeros(3, 6, dtype=torch.bool)
    mixed, mix = method.build("b c *")(torch.full((3, 2, 6), math.nan), valid=valid)
    assert (mixed == 0).all()
    assert (mix.lam == 1).all() or not method.exact
    assert not mix.valid.any()  # type: ignore[union-attr]


@over(TABLE)
def test_all_valid_is_as_none(method: Method) -> None:
    x = torch.randn(4, 2, 5, 6)
    plain, mix = method.build("b c *")(x, generator=torch.Generator().manual_seed(1))
    mixed, padded = method.build("b c *")(
        x, valid=torch.ones(4, 5, 6, dtype=torch.bool), generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(mixed, plain)
    torch.testing.assert_close(padded.lam, mix.lam)
    assert padded.valid.all()  # type: ignore[union-attr]
    assert mix.valid is None


@over(TABLE)
def test_valid_may_be_constant_along_axes_of_the_grid(method: Method) -> None:
    """Frames of a spectrogram, `valid[:, None]`, are as the same marks written out for every frequency."""
    x = torch.randn(4, 1, 3, 10)
    frames = torch.arange(10) < torch.tensor([10, 4, 7, 1])[:, None]
    _, short = method.build("b c *")(x, valid=frames[:, None], generator=torch.Generator().manual_seed(1))
    _, full = method.build("b c *")(
        x, valid=frames[:, None].expand(4, 3, 10), generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(short.valid, full.valid)  # type: ignore[arg-type]
    assert torch.equal(short(x), full(x))
    torch.testing.assert_close(short.lam, full.lam)
    assert short.valid.shape == (4, 3, 10)  # type: ignore[union-attr]


@over([method for method in TABLE if method.hard])
def test_integers_are_chosen_under_padding(method: Method) -> None:
    ids, valid = torch.randint(1, 100, (4, 12)), torch.arange(12) < torch.tensor([12, 5, 8, 3])[:, None]
    mixed, mix = method.build("b *")(ids, valid=valid)
    for b, i in enumerate(mix.index.tolist()):
        own = mix.mask[b if len(mix.mask) > 1 else 0].bool()
        expected = torch.where(own, ids[b], ids[i]) if method.partner else ids[b]
        assert torch.equal(mixed[b], expected)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given(mm.Mixer):
    """A mask given as a pattern over the whole of a grid, of any length."""

    pattern: Tensor

    @property
    def hard(self) -> bool:
        return bool(((self.pattern == 0) | (self.pattern == 1)).all())

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        mask = self.pattern
        for axis, size in enumerate(shape):
            old = mask.shape[axis]
            mask = mask.index_select(axis, (torch.arange(size) * 2 + 1) * old // (2 * size))
        return mask.expand(len(lam), *shape)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_more_padding_changes_nothing(soft: bool, left: bool) -> None:
    """Six real locations in the longer of each pair, in grids of 6 to 40: one mixed real part, one lam."""
    pattern = torch.tensor([0.9, 0.2, 0.0, 1.0, 0.7, 0.4]) if soft else torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    lengths, index = [6, 4, 2, 6], torch.tensor([1, 0, 3, 2])
    real = [torch.randn(length, 3) for length in lengths]
    seen = []
    for size in (6, 7, 9, 13, 24, 40):
        x, valid = torch.full((4, size, 3), math.nan), torch.zeros(4, size, dtype=torch.bool)
        for b, tokens in enumerate(real):
            place = slice(size - len(tokens), size) if left else slice(0, len(tokens))
            x[b, place], valid[b, place] = tokens, True
        mixed, mix = Given(pattern=pattern, axes="b * d")(x, valid=valid, index=index)
        window = slice(size - 6, size) if left else slice(0, 6)
        assert (mixed[:, [t for t in range(size) if not window.start <= t < window.stop]] == 0).all()
        seen.append((mixed[:, window], mix.lam, mix.valid[:, window]))  # type: ignore[index]
    for mixed, lam, valid in seen[1:]:
        assert torch.equal(mixed, seen[0][0])
        assert torch.equal(valid, seen[0][2])
        torch.testing.assert_close(lam, seen[0][1], rtol=0, atol=1e-6)
    lengths_t = torch.tensor(lengths)[:, None]
    places = torch.arange(5, -1, -1) if left else torch.arange(6)  # distance from the end where padding is on the left
    mine, theirs = places < lengths_t, places < lengths_t[index]
    kept = (mine * pattern).sum(1)
    torch.testing.assert_close(seen[0][1], kept / (kept + (theirs * (1 - pattern)).sum(1)), rtol=0, atol=1e-6)


@given(seed=seeds, size=st.integers(5, 30), batch=st.integers(1, 4))
def test_a_mask_is_stretched_over_what_is_real_of_a_pair(seed: int, size: int, batch: int) -> None:
    """Five locations, anywhere, are real: they take the five values of the pattern in their order."""
    torch.manual_seed(seed)
    pattern = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    union = torch.stack([torch.randperm(size)[:5].sort().values for _ in range(batch)])
    valid = torch.zeros(batch, size, dtype=torch.bool).scatter(1, union, True)
    mix = Given(pattern=pattern).draw(torch.empty(batch, 1, size), valid=valid, index=torch.arange(batch))
    torch.testing.assert_close(mix.mask.gather(1, union), pattern.expand(batch, 5))


def test_a_mask_is_fitted_along_the_axes_on_which_valid_varies() -> None:
    pattern = torch.rand(3, 4)
    frames = torch.arange(12) < torch.tensor([4, 12])[:, None]
    x = torch.empty(2, 1, 3, 12)
    mix = Given(pattern=pattern).draw(x, valid=frames[:, None], index=torch.arange(2))
    assert torch.equal(mix.mask[0, :, :4], pattern)
    assert torch.equal(mix.mask[1], pattern.repeat_interleave(3, 1))
    both = torch.zeros(2, 6, 12, dtype=torch.bool)
    both[0, :3, :4] = both[1, 3:, 8:] = True
    mix = Given(pattern=pattern).draw(torch.empty(2, 1, 6, 12), valid=both, index=torch.arange(2))
    assert torch.equal(mix.mask[0, :3, :4], pattern)
    assert torch.equal(mix.mask[1, 3:, 8:], pattern)
    pair = Given(pattern=pattern).draw(x, valid=frames[:, None], index=torch.tensor([1, 1]))
    assert torch.equal(pair.mask[0], pattern.repeat_interleave(3, 1))  # the partner is the longer one


def test_fmix_keeps_its_share_of_a_short_text() -> None:
    """Of 10 real tokens in 100, lam = 0.5: within 2 of 5 for a mask of one or two intervals, on average 0.5.

    Mean over 400 masks within 4.5 standard errors.
    """
    n = 400
    valid = torch.zeros(n, 100, dtype=torch.bool)
    valid[:, 20:30] = True
    mix = mm.FMix(axes="b * d", per_sample=True).draw(torch.empty(n, 100, 1), valid=valid, lam=0.5)
    assert abs(mix.lam.mean() - 0.5) < Z * float(mix.lam.std()) / n**0.5
    assert ((mix.lam - 0.5).abs() <= 0.2).float().mean() > 0.95


# ---------------------------------------------------------------- resize


def test_resize_takes_nearest_cells_of_a_hard_mask() -> None:
    mask = (torch.rand(3, 4, 6) > 0.5).float()
    mix = mm.Mix(index=roll(3), mask=mask, lam=mask.mean((1, 2)), hard=True)
    for grid in ((4, 6), (8, 12), (2, 3), (5, 7), (1, 1), (9, 1)):
        other = mix.resize(grid)
        assert other.mask.shape == (3, *grid)
        assert torch.equal(other.lam, mix.lam)
        assert torch.equal(other.index, mix.index)
        for row, column in itertools.product(*map(range, grid)):  # the cell that holds the centre
            source = (int((row + 0.5) * 4 / grid[0]), int((column + 0.5) * 6 / grid[1]))
            assert torch.equal(other.mask[:, row, column], mask[:, *source])


@pytest.mark.parametrize("mixer", [mm.MixUp(), mm.FMix(max_soft=0.4)], ids=["MixUp", "FMix-soft"])
def test_resize_takes_means_of_areas_of_a_soft_mask(mixer: mm.Mixer) -> None:
    mix = mixer.draw(torch.empty(3, 1, 4, 6))
    small = mix.resize((2, 3)).mask
    blocks = mix.mask.reshape(len(mix.mask), 2, 2, 3, 2).mean((2, 4))
    torch.testing.assert_close(small, blocks, rtol=0, atol=1e-6)
    torch.testing.assert_close(mix.resize((1, 1)).mask.flatten(1), mix.mask.mean((1, 2))[:, None])
    large = mix.resize((8, 12)).mask
    torch.testing.assert_close(large[:, ::2, ::2], mix.mask, rtol=0, atol=1e-6)
    assert torch.equal(mix.resize((8, 12)).lam, mix.lam)


@over_grids(TABLE)
def test_a_resized_record_mixes_a_tensor_of_that_grid(method: Method, grid: tuple[int, ...]) -> None:
    """Of other channels too: those that masks vary on are sizes of the new grid."""
    mix = method.build("b c *").draw(torch.empty(3, 2, *grid))
    x = torch.randn(3, 4, *[2 * size + 1 for size in grid])
    other = x.shape[1 if method.letters else 2 :]
    resized = mix.resize(other)
    assert resized.mask.shape[1:] == other
    scale = factor(mix, method)
    for b, i in enumerate(mix.index.tolist()):
        own = resized.mask[b if len(resized.mask) > 1 else 0].double()
        expected = own * x[b] + (1 - own) * x[i] if method.partner else scale * own * x[b]
        torch.testing.assert_close(resized(x)[b].double(), expected, rtol=1e-6, atol=1e-6)
    if method.hard and method.partner:
        assert ((resized(x) == x) | (resized(x) == x[mix.index])).all()
    same = torch.randn(3, 2, *grid)
    torch.testing.assert_close(mix.resize(same.shape[1 if method.letters else 2 :])(same), mix(same), rtol=0, atol=1e-6)


@over_grids([method for method in TABLE if not method.letters], [(9,), (5, 8), (3, 4, 5)])
def test_a_resized_record_marks_what_is_real(method: Method, grid: tuple[int, ...]) -> None:
    """Nothing is outside `valid`, also where a soft mask blurs over what was chosen whole."""
    mix = method.build("b c *").draw(torch.empty(3, 2, *grid), valid=torch.rand(3, *grid) > 0.2)
    for other in ([2 * size + 1 for size in grid], [max(size // 2, 1) for size in grid]):
        resized = mix.resize(other)
        mixed = resized(torch.randn(3, 4, *other))
        assert resized.valid is not None
        assert resized.valid.shape == (3, *other)
        assert (mixed[~resized.valid[:, None].expand_as(mixed)] == 0).all()


@pytest.mark.parametrize("size", [12, 10**6, 10**30])
def test_a_hole_of_any_size_covers_the_grid(size: int) -> None:
    """From wherever its centre lies."""
    for _ in range(20):
        assert not mm.Cutout(size=size).draw(torch.zeros(8, 1, 6, 5)).mask.any()


@pytest.mark.parametrize("mixer", [mm.FMix(), mm.MixUp()])
@pytest.mark.parametrize("wrap", [mm.InPairs, lambda mixer: mixer])
def test_a_batch_without_axes_is_refused(mixer: mm.Mixer, wrap: Callable[[mm.Mixer], mm.Draws]) -> None:
    with pytest.raises(ValueError, match=r"shape \(\)|batch"):
        wrap(mixer)(torch.tensor(1.0))


@pytest.mark.parametrize("alpha", [10**30, 1e39, 1e300, 1e-30, 1e-46, 1e-300, 5e-324])
def test_an_extreme_alpha_draws_a_share(alpha: float) -> None:
    """Of whole numbers that no tensor holds, and of fractions that are none in float32."""
    lam = mm.MixUp(alpha=alpha, per_sample=True).draw(torch.zeros(200, 2)).lam
    assert (lam == lam.round()).all() if alpha < 1 else torch.allclose(lam, torch.tensor(0.5))
    if alpha < 1:
        assert 0.3 < lam.mean() < 0.7


def test_an_alpha_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha=10+ must be a positive number"):
        mm.MixUp(alpha=10**400)


def test_what_has_no_class_and_no_whole_grid_is_refused() -> None:
    mix = mm.FMix().draw(torch.zeros(2, 1, 4, 4))
    for preds, y in ((torch.zeros(2, 0), torch.tensor([0, 1])), (torch.zeros(2, 3), torch.zeros(2, 0))):
        with pytest.raises(ValueError, match=r"accuracy needs preds \(B, C\)"):
            mix.accuracy(preds, y)
    for grid in ([2.5, 2], [2, True], [0, 1]):
        with pytest.raises(ValueError, match=r"grid=.* must hold 2 sizes of 1 or more"):
            mix.resize(grid)  # type: ignore[arg-type]
