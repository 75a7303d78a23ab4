"""The mask generators: exact counts, distributions in space, and independent references."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import mixmodal as mm
from mixmodal.core import masks
from mixmodal.core.grids import own_share
from mixmodal.core.masks import fields, selection

CPU = torch.device("cpu")
SHAPES = [(9,), (16,), (1,), (5, 8), (1, 6), (7, 1), (3, 4, 5), (2, 1, 3, 4)]
Z = 4.5  # bound of a statistical test in standard errors; every sample size is stated where it is drawn


def fmix(lam: float, shape: Sequence[int], n: int = 1, **settings: object) -> Tensor:
    return masks.fourier(torch.full((n,), lam), shape, **settings)  # type: ignore[arg-type]


def changes(mask: Tensor, axis: int, *, cyclic: bool = False) -> Tensor:
    """Mean number of changes along the lines of an axis of the grid, for each mask: (n,)."""
    moved = mask.movedim(axis + 1, -1)
    step = (moved - moved.roll(1, -1) if cyclic else moved.diff(dim=-1)).abs()
    return step.reshape(len(mask), -1).mean(1) * step.shape[-1]


def standard_error(sample: Tensor) -> float:
    return float(sample.std() / len(sample) ** 0.5)


# ---------------------------------------------------------------- FMix: counts


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    lam=st.floats(0, 1, width=32),
    decay_power=st.sampled_from([0.0, 1.0, 3.0]),
    seed=st.integers(0, 2**31),
)
def test_fourier_holds_floor_or_ceil_of_the_share(shape: list[int], lam: float, decay_power: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = fmix(lam, shape, 3, decay_power=decay_power, generator=generator)
    cells = math.prod(shape)
    assert mask.shape == (3, *shape)
    assert mask.dtype == torch.float32
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    asked = float(np.float32(lam) * np.float32(cells))
    assert all(count in (math.floor(asked), math.ceil(asked)) for count in mask.flatten(1).sum(1).tolist())


ENDS = [("paper", shape) for shape in SHAPES] + [("upstream", shape) for shape in [(9,), (5, 8), (7, 1), (3, 4, 5)]]


@pytest.mark.parametrize(("spectrum", "shape"), ENDS)
@pytest.mark.parametrize("max_soft", [0.0, 0.5])
def test_fourier_at_the_ends_is_exact(spectrum: masks.Spectrum, shape: tuple[int, ...], max_soft: float) -> None:
    mask = masks.fourier(torch.tensor([0.0, 1.0]), shape, max_soft=max_soft, spectrum=spectrum)
    assert (mask[0] == 0).all()
    assert (mask[1] == 1).all()


def test_each_mask_of_a_call_has_its_own_share() -> None:
    lam = torch.arange(17) / 16
    mask = masks.fourier(lam, (4, 4))
    torch.testing.assert_close(mask.sum((1, 2)), torch.arange(17.0), rtol=0, atol=0)


@pytest.mark.parametrize("lam", [0.3, 0.5, 0.97])
def test_floor_and_ceil_come_with_even_odds(lam: float) -> None:
    n = 2000
    count = fmix(lam, (5, 3), n).sum((1, 2))
    low, high = math.floor(lam * 15), math.ceil(lam * 15)
    assert set(count.tolist()) == {float(low), float(high)}
    ups = int((count == high).sum())
    assert abs(ups - n / 2) < Z * (n / 4) ** 0.5


@pytest.fixture(params=[True, False], ids=["host", "device"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The top share is selected in one way where values can be read, in another where they cannot."""
    monkeypatch.setattr(selection, "on_host", lambda field: request.param)
    return request.param


@pytest.mark.parametrize("cells", [60, 5000, 40_000])
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.usefixtures("host")
def test_ties_do_not_change_the_count(monkeypatch: pytest.MonkeyPatch, cells: int, levels: int) -> None:
    field = torch.randint(-levels, levels, (40, cells)) + 0.5
    monkeypatch.setattr(fields, "paper_field", lambda *_, **__: field)
    lam = torch.linspace(0, 1, 40)
    count = masks.fourier(lam, (cells,)).sum(1)
    assert ((count - lam * cells).abs() < 1).all()


@pytest.mark.parametrize("cells", [1, 7, 4096, 4097, 5000, 40_000])
@pytest.mark.parametrize("ties", [False, True])
def test_the_top_share_is_that_of_numpys_argsort(
    monkeypatch: pytest.MonkeyPatch, host: bool, cells: int, ties: bool
) -> None:
    """Of equal cells at the edge any may be chosen on the host, and the first are chosen elsewhere."""
    n = 24
    field = (torch.randint(-4, 5, (n, cells)) + 0.5) if ties else torch.randn(n, cells) * 10.0 ** torch.randn(n, 1)
    monkeypatch.setattr(fields, "paper_field", lambda *_, **__: field)
    mask = masks.fourier(torch.linspace(0, 1, n), (cells,)).numpy()
    for lam, row, got in zip(torch.linspace(0, 1, n).tolist(), field.numpy(), mask, strict=True):
        count = int(got.sum())
        assert set(np.unique(got)) <= {0, 1}
        assert abs(count - lam * cells) < 1
        expected = np.zeros(cells, dtype=np.float32)
        expected[np.argsort(-row, kind="stable")[:count]] = 1
        if ties and host:
            np.testing.assert_array_equal(np.sort(row[got == 1]), np.sort(row[expected == 1]))
        else:
            np.testing.assert_array_equal(got, expected)


def test_a_row_of_equal_values_has_a_top_share() -> None:
    mask = selection.top(torch.full((2, 40_000), 0.25), torch.tensor([0, 7]))
    assert mask.sum(1).tolist() == [0, 7]


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field without noise, which takes no time."""
    monkeypatch.setattr(
        fields, "paper_field", lambda n, shape, *_, **__: torch.arange(n * shape[0]).float().view(n, -1)
    )


@pytest.mark.parametrize(("cells", "lam"), [(2**24 + 3, 1.0), (2**24 + 3, 0.3), (2**25 + 6, 0.75)])
@pytest.mark.usefixtures("flat")
def test_more_cells_than_float32_counts_are_counted(cells: int, lam: float) -> None:
    """Floor or ceil of lam · N in exact arithmetic, for the lam that float32 holds; a mean that is lam again."""
    mask = fmix(lam, (cells,))
    count = int(mask.sum(dtype=torch.float64))
    exact = Fraction(float(torch.tensor(lam))) * cells
    assert count in (math.floor(exact), math.ceil(exact))
    share = own_share(mask, torch.tensor([0]))
    assert abs(float(share) - count / cells) <= 2**-24
    assert (float(share) == 1) == (count == cells)
    everywhere = own_share(mask, torch.tensor([0]), torch.ones(1, cells, dtype=torch.bool))
    assert abs(float(everywhere) - count / cells) <= 2**-24


# ---------------------------------------------------------------- FMix: soft edge


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    lam=st.floats(0, 1, width=32),
    max_soft=st.floats(2**-6, 0.5, width=16),
    seed=st.integers(0, 2**31),
)
def test_a_soft_edge_keeps_the_sum(shape: list[int], lam: float, max_soft: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = fmix(lam, shape, 2, max_soft=max_soft, generator=generator).flatten(1)
    cells = math.prod(shape)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert ((mask.sum(1) - lam * cells).abs() < 1 + 1e-4).all()
    torch.testing.assert_close(mask.sum(1), mask.sum(1).round(), rtol=0, atol=1e-4)
    width = min(max_soft, lam, 1 - lam)
    fractional = ((mask > 1e-6) & (mask < 1 - 1e-6)).sum(1)
    assert (fractional <= 2 * int(cells * width + 1e-4)).all()


def test_a_soft_edge_is_an_even_ramp_about_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    field = torch.randn(1, 40)
    monkeypatch.setattr(fields, "paper_field", lambda *_, **__: field)
    mask = fmix(0.5, (40,), max_soft=0.1)[0].numpy()
    descending = mask[np.argsort(-field[0].numpy())]
    expected = np.concatenate([np.ones(16), np.linspace(1, 0, 8), np.zeros(16)])  # 2 · int(40 · 0.1) steps
    np.testing.assert_allclose(descending, expected, atol=1e-6)


def test_a_soft_edge_is_narrowed_by_the_smaller_side(monkeypatch: pytest.MonkeyPatch) -> None:
    field = torch.randn(1, 40)
    monkeypatch.setattr(fields, "paper_field", lambda *_, **__: field)
    mask = fmix(0.9, (40,), max_soft=0.5)[0].numpy()
    descending = mask[np.argsort(-field[0].numpy())]
    np.testing.assert_allclose(descending, np.concatenate([np.ones(32), np.linspace(1, 0, 8)]), atol=1e-6)


# ---------------------------------------------------------------- FMix: the field

DECAYS = (0, 1, 2, 3, 4, 6)
TRANSITIONS = {
    (32,): "16.05 6.04 2.66 2.07 1.96 1.93",
    (128,): "63.9 12.6 2.91 2.12 2.02 1.98",
    (28, 28): "13.5 7.39 2.45 1.60 1.45 1.40",
    (32, 32): "15.5 8.32 2.52 1.60 1.44 1.38",
    (64, 64): "31.5 15.2 2.82 1.61 1.48 1.43",
    (224, 224): "111.5 47.1 3.2 1.6 1.5 1.4",
    (16, 16, 16): "7.50 5.62 2.72 1.44 1.19 1.09",
    (32, 32, 32): "15.5 11.4 3.89 1.51 1.24 1.18",
}


@pytest.mark.parametrize(
    ("shape", "decay_power", "published"),
    [
        (shape, decay, text)
        for shape, row in TRANSITIONS.items()
        for decay, text in zip(DECAYS, row.split(), strict=True)
    ],
)
def test_changes_per_line_are_those_of_the_papers_formula(
    shape: tuple[int, ...], decay_power: int, published: str
) -> None:
    """Bound: 4.5 standard errors of n draws and of the table, 0.03 (0.1 where it has one decimal), and its rounding."""
    n = max(24, min(1000, 1_000_000 // math.prod(shape)))
    mask = fmix(0.5, shape, n, decay_power=float(decay_power))
    count = torch.stack([changes(mask, axis) for axis in range(len(shape))]).mean(0)
    unit = 10.0 ** -len(published.split(".")[1])
    table_error = 0.03 if unit < 0.1 else 0.1
    bound = Z * math.hypot(standard_error(count), table_error) + unit / 2
    assert abs(count.mean() - float(published)) < bound


@pytest.mark.parametrize("lam", [0.25, 0.5])
@pytest.mark.parametrize("shape", [(32,), (8, 12), (4, 6, 8)])
def test_without_decay_a_field_is_white(lam: float, shape: tuple[int, ...]) -> None:
    n, cells = 1500, math.prod(shape)
    mask = fmix(lam, shape, n, decay_power=0.0)
    for axis, size in enumerate(shape):
        count = changes(mask, axis)
        expected = 2 * lam * (1 - lam) * (size - 1) * cells / (cells - 1)
        assert abs(count.mean() - expected) < Z * standard_error(count)


@pytest.mark.parametrize("lam", [0.2, 0.5])
@pytest.mark.parametrize("shape", [(15,), (10, 10), (5, 4, 5)])
@pytest.mark.parametrize("decay_power", [1.0, 3.0, 5.0])
def test_masks_are_stationary(lam: float, shape: tuple[int, ...], decay_power: float) -> None:
    n = 3000
    mean = fmix(lam, shape, n, decay_power=decay_power).mean(0)
    assert (mean - lam).abs().max() < Z * (lam * (1 - lam) / n) ** 0.5


@pytest.mark.parametrize("shape", [(16, 16), (15, 15), (8, 8, 8), (5, 5, 5, 5)])
@pytest.mark.parametrize("decay_power", [1.0, 3.0])
def test_masks_are_isotropic(shape: tuple[int, ...], decay_power: float) -> None:
    n = 1500
    mask = fmix(0.5, shape, n, decay_power=decay_power)
    for axis in range(len(shape) - 1):
        difference = changes(mask, axis, cyclic=True) - changes(mask, len(shape) - 1, cyclic=True)
        assert abs(difference.mean()) < Z * standard_error(difference)


@pytest.mark.parametrize("shape", [(16, 5), (4, 6, 9)])
def test_swapping_the_axes_of_the_grid_swaps_those_of_the_masks(shape: tuple[int, ...]) -> None:
    n = 1500
    mask, swapped = fmix(0.4, shape, n), fmix(0.4, shape[::-1], n)
    for axis in range(len(shape)):
        a, b = changes(mask, axis, cyclic=True), changes(swapped, len(shape) - 1 - axis, cyclic=True)
        assert abs(a.mean() - b.mean()) < Z * math.hypot(standard_error(a), standard_error(b))


@pytest.mark.parametrize("lam", [0.1, 0.3])
def test_both_sides_of_a_mask_have_one_law(lam: float) -> None:
    n = 2500
    mask, other = fmix(lam, (12, 11), n, decay_power=2.0), 1 - fmix(1 - lam, (12, 11), n, decay_power=2.0)
    for statistic in (
        lambda m: changes(m, 0, cyclic=True),
        lambda m: changes(m, 1),
        lambda m: (m * m.roll((1, 2), (1, 2)) * m.roll((2, 1), (1, 2))).mean((1, 2)),
        lambda m: m[:, 4, 7],
    ):
        a, b = statistic(mask), statistic(other)
        assert abs(a.mean() - b.mean()) < Z * math.hypot(standard_error(a), standard_error(b))


@pytest.mark.parametrize("axis", [0, 1])
def test_masks_are_cyclic_and_shift_invariant(axis: int) -> None:
    """A change is as likely over the border as at any other place."""
    n = 2500
    mask = fmix(0.3, (9, 12), n).movedim(axis + 1, 1)
    change = (mask - mask.roll(1, 1)).abs().mean(2)  # (n, places along the axis)
    for place in range(change.shape[1]):
        difference = change[:, place] - change.mean(1)
        assert abs(difference.mean()) < Z * standard_error(difference)


@pytest.mark.parametrize("shape", [(9,), (8,), (6, 7), (7, 6), (1, 8), (5, 1), (4, 3, 6), (3, 2, 4, 5)])
@pytest.mark.parametrize("decay_power", [0.0, 1.5, 3.0])
def test_the_field_has_the_covariance_of_noise_filtered_on_the_full_frequency_grid(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], decay_power: float
) -> None:
    """A field is linear in its Gaussian noise, so what each unit of noise makes of it gives its law exactly."""

    def units(*size: int, **_: object) -> Tensor:
        return torch.eye(math.prod(size[1:])).view(-1, *size[1:])

    monkeypatch.setattr(torch, "randn", units)
    response = masks.paper_field(1, shape, decay_power, device=CPU).flatten(1).double().numpy()
    power = np.fft.ifftn(full_amplitude(shape, decay_power) ** 2).real
    cells = list(np.ndindex(*shape))
    lags = [[tuple((i - j) % s for i, j, s in zip(a, b, shape, strict=True)) for b in cells] for a in cells]
    expected = np.array([[power[lag] for lag in row] for row in lags])
    covariance = response.T @ response
    np.testing.assert_allclose(covariance / covariance[0, 0], expected / expected[0, 0], atol=1e-5)


@pytest.mark.parametrize("shape", [(24,), (11, 8), (5, 6, 4)])
@pytest.mark.parametrize("decay_power", [1.0, 3.0])
def test_masks_have_the_law_of_the_papers_formula(shape: tuple[int, ...], decay_power: float) -> None:
    """Complex noise on the full grid, real part of the inverse transform, top share by sorting: all in numpy."""
    n, lam = 1500, 0.375
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((n, *shape)) + 1j * rng.standard_normal((n, *shape))
    axes = tuple(range(1, len(shape) + 1))
    grey = np.fft.ifftn(noise * full_amplitude(shape, decay_power), axes=axes).real.reshape(n, -1)
    cells = math.prod(shape)
    reference = np.zeros((n, cells), dtype=np.float32)
    np.put_along_axis(reference, np.argsort(-grey, axis=1)[:, : round(lam * cells)], 1, axis=1)
    expected, mask = torch.from_numpy(reference).view(n, *shape), fmix(lam, shape, n, decay_power=decay_power)
    for axis in range(len(shape)):
        for cyclic in (False, True):
            a, b = changes(mask, axis, cyclic=cyclic), changes(expected, axis, cyclic=cyclic)
            assert abs(a.mean() - b.mean()) < Z * math.hypot(standard_error(a), standard_error(b))
            spread = abs(
                a.std() - b.std()
            )  # the standard error of a deviation is near s / sqrt(2 n), doubled for tails
            assert spread < Z * 2 * math.hypot(float(a.std()), float(b.std())) / (2 * n) ** 0.5


def full_amplitude(shape: Sequence[int], decay_power: float) -> np.ndarray:
    axes = np.meshgrid(*[np.fft.fftfreq(size) for size in shape], indexing="ij")
    frequency = np.sqrt(sum(axis**2 for axis in axes))
    return np.maximum(frequency, 1 / max(shape)) ** -decay_power


def normal(field: np.ndarray) -> np.ndarray:
    """Without its mean, and with deviation 1: what the rank of cells depends on."""
    field = field.astype(np.float64) - field.mean()
    return field / max(float(field.std()), 1e-12)


def test_steep_decay_stays_in_range() -> None:
    field = masks.paper_field(2, (256, 256), 6.0, device=CPU)
    assert field.isfinite().all()
    assert (fmix(0.5, (256, 256), 2, decay_power=6.0).mean((1, 2)) == 0.5).all()


def test_amplitudes_are_not_kept_of_traced_draws() -> None:
    shape = (9, 11)
    with FakeTensorMode():
        assert isinstance(masks.paper_field(2, shape, 3.25, device=CPU), FakeTensor)
    assert type(masks.paper_field(2, shape, 3.25, device=CPU)) is Tensor


def test_amplitudes_are_kept_by_all_they_depend_on() -> None:
    def draw(shape: tuple[int, ...], decay: float) -> Tensor:
        return masks.paper_field(1, shape, decay, device=CPU, generator=torch.Generator().manual_seed(1))

    first, turned, rough, again = draw((8, 12), 3.0), draw((12, 8), 3.0), draw((8, 12), 1.0), draw((8, 12), 3.0)
    assert torch.equal(first, again)
    assert turned.shape == (1, 12, 8)
    assert not torch.equal(first, rough)


# ---------------------------------------------------------------- FMix: the authors' field

UPSTREAM = {0: (15.73, 1.76), 1: (4.70, 1.83), 2: (1.72, 1.88), 3: (1.27, 1.89), 4: (1.17, 1.88), 5: (1.16, 1.89)}


@pytest.mark.parametrize(("decay_power", "published"), UPSTREAM.items())
def test_upstream_changes_per_line(decay_power: int, published: tuple[float, float]) -> None:
    """The table's figures are of 2000 draws to two decimals; ours of 1000."""
    n = 1000
    mask = fmix(0.5, (32, 32), n, decay_power=float(decay_power), spectrum="upstream")
    for axis in (0, 1):
        count = changes(mask, axis)
        bound = Z * standard_error(count) * (1 + n / 2000) ** 0.5 + 0.005
        assert abs(count.mean() - published[axis]) < bound


@pytest.mark.parametrize("size", [5, 8, 33, 64, 128])
@pytest.mark.parametrize("decay_power", [0.0, 1.0, 3.0, 6.0])
def test_upstream_in_rank_one_is_a_single_cyclic_interval(size: int, decay_power: float) -> None:
    for lam in (0.3, 0.5, 0.8):
        mask = fmix(lam, (size,), 200, decay_power=decay_power, spectrum="upstream")
        assert (changes(mask, 0, cyclic=True).round() == 2).all()


def test_upstream_has_one_interval_along_the_last_axis() -> None:
    mask = fmix(0.5, (12, 16), 200, decay_power=0.0, spectrum="upstream")
    assert ((mask - mask.roll(1, 2)).abs().sum(2) <= 2).all()


def test_upstream_is_not_stationary_nor_isotropic() -> None:
    """Per-cell means over 2000 draws at 0.2 range from 0.140 to 0.251; noise alone gives 0.17 to 0.23."""
    mask = fmix(0.2, (32, 32), 2000, spectrum="upstream")
    mean = mask.mean(0)
    assert mean.min() < 0.16
    assert mean.max() > 0.235
    difference = changes(mask, 0) - changes(mask, 1)
    assert abs(difference.mean()) > 10 * standard_error(difference)


@pytest.mark.parametrize("shape", [(2,), (9,), (16,), (6, 8), (7, 5), (5, 2), (2, 9), (4, 5, 6), (5, 6, 3), (3, 8, 8)])
@pytest.mark.parametrize("decay_power", [0.0, 2.5])
def test_upstream_is_the_authors_code_for_the_same_noise(shape: tuple[int, ...], decay_power: float) -> None:
    """Their indexing written out in numpy: rows 0 and 1 of the first frequency axis as real and imaginary part."""
    frequency = np.abs(np.fft.fftfreq(shape[0]))
    if len(shape) > 1:
        across = np.fft.fftfreq(shape[1])[: shape[1] // 2 + (2 if shape[1] % 2 else 1)]
        frequency = np.sqrt(frequency[:, None] ** 2 + across**2)
    if len(shape) > 2:
        deep = np.fft.fftfreq(shape[2])
        frequency = np.sqrt((np.fft.fftfreq(shape[0]) ** 2)[:, None, None] + (deep**2)[:, None] + across**2)
    scale = np.maximum(frequency, 1 / max(shape)) ** -decay_power
    noise = torch.randn(2, 2, *scale.shape[1:], 2, generator=torch.Generator().manual_seed(1)).numpy()
    got = masks.upstream_field(2, shape, decay_power, device=CPU, generator=torch.Generator().manual_seed(1)).numpy()
    for field, rows in zip(got, noise, strict=True):
        parameters = np.zeros((*scale.shape, 2))
        parameters[:2] = rows.astype(np.float64) * scale[:2, ..., None]
        spectrum = parameters[0] + 1j * parameters[1]
        expected = np.fft.irfftn(spectrum, shape, axes=tuple(range(len(shape))))
        np.testing.assert_allclose(normal(field), normal(expected), atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 3, 3, 3), (1,), (1, 8)])
def test_upstream_says_which_grids_it_draws(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"spectrum='upstream'.*ranks 1 to 3.*use spectrum='paper'"):
        fmix(0.5, shape, spectrum="upstream")


# ---------------------------------------------------------------- all generators


def draw_fourier(generator: torch.Generator | None) -> Tensor:
    return masks.fourier(torch.full((3,), 0.41), (7, 6), generator=generator)


def draw_soft(generator: torch.Generator | None) -> Tensor:
    return masks.fourier(torch.full((3,), 0.41), (7, 6), max_soft=0.2, generator=generator)


def draw_upstream(generator: torch.Generator | None) -> Tensor:
    return masks.fourier(torch.full((3,), 0.41), (7, 6), spectrum="upstream", generator=generator)


def draw_box(generator: torch.Generator | None) -> Tensor:
    return masks.box(torch.full((6,), 0.41), (17, 16), generator=generator)


def draw_hole(generator: torch.Generator | None) -> Tensor:
    return masks.hole(torch.full((6, 2), 5), (17, 16), generator=generator)


def draw_blocks(generator: torch.Generator | None) -> Tensor:
    return masks.blocks(6, (17, 16), 3, 0.4, device=CPU, generator=generator)


@pytest.mark.parametrize("draw", [draw_fourier, draw_soft, draw_upstream, draw_box, draw_hole, draw_blocks])
def test_a_generator_is_the_only_source_of_randomness(draw: Callable[[torch.Generator | None], Tensor]) -> None:
    before = torch.get_rng_state()
    a, b = draw(torch.Generator().manual_seed(7)), draw(torch.Generator().manual_seed(7))
    other = draw(torch.Generator().manual_seed(8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b)
    assert not torch.equal(a, other)
    first = draw(None)
    assert not torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(draw(None), first)
    torch.set_rng_state(before)
    assert torch.equal(draw(None), first)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_is_the_share_everywhere(shape: tuple[int, ...]) -> None:
    lam = torch.tensor([0.0, 0.25, 1.0])
    mask = masks.constant(lam, shape)
    assert mask.shape == (3, *shape)
    for share, one in zip((0.0, 0.25, 1.0), mask, strict=True):
        assert (one == share).all()


# ---------------------------------------------------------------- CutMix's box


def enumerate_boxes(shape: Sequence[int], sides: Sequence[int]) -> Counter[tuple[int, ...]]:
    """Every mask that a box of these sides gives, flattened, with the number of centres that give it."""
    found: Counter[tuple[int, ...]] = Counter()
    for centre in itertools.product(*map(range, shape)):
        low = [c - s // 2 for c, s in zip(centre, sides, strict=True)]
        found[
            tuple(
                0 if all(a <= p < a + s for p, a, s in zip(place, low, sides, strict=True)) else 1
                for place in itertools.product(*map(range, shape))
            )
        ] += 1
    return found


def cutmix_sides(shape: Sequence[int], lam: Fraction) -> list[int]:
    """The largest whole s with s^rank <= size^rank · (1 - lam), in exact arithmetic; all of an axis of size 1."""
    rank = max(sum(size > 1 for size in shape), 1)
    return [
        max(s for s in range(size + 1) if s**rank <= size**rank * (1 - lam)) if size > 1 else int(lam < 1)
        for size in shape
    ]


BOXES = [
    ((8,), Fraction(1, 2)),
    ((7,), Fraction(3, 10)),
    ((1,), Fraction(1, 2)),
    ((8, 8), Fraction(3, 4)),
    ((7, 5), Fraction(2, 5)),
    ((4, 9), Fraction(0)),
    ((6, 6), Fraction(9, 10)),
    ((6, 6), Fraction(1)),
    ((1, 8), Fraction(1, 4)),
    ((5, 1), Fraction(3, 5)),
    ((4, 4, 4), Fraction(7, 8)),
    ((8, 3, 2), Fraction(7, 8)),
    ((3, 4, 5), Fraction(1, 3)),
    ((3, 1, 4), Fraction(1, 2)),
    ((3, 3, 2, 3), Fraction(1, 2)),
]
boxes = pytest.mark.parametrize(("shape", "lam"), BOXES)


@boxes
def test_boxes_are_drawn_as_enumerated_over_all_centres(shape: tuple[int, ...], lam: Fraction) -> None:
    """Only enumerated masks occur; each kept share has its frequency, within 4.5 standard errors of 4000 draws."""
    n = 4000
    drawn = masks.box(torch.full((n,), float(lam)), shape).flatten(1).long()
    expected = enumerate_boxes(shape, cutmix_sides(shape, lam))
    centres = math.prod(shape)
    assert {tuple(row) for row in drawn.unique(dim=0).tolist()} <= set(expected)
    share: Counter[int] = Counter()
    for mask, times in expected.items():
        share[sum(mask)] += times
    counted = Counter(drawn.sum(1).tolist())
    assert set(counted) <= set(share)
    for kept, times in share.items():
        p = times / centres
        assert abs(counted[kept] / n - p) <= Z * (p * (1 - p) / n) ** 0.5


@boxes
def test_boxes_lie_uniformly(shape: tuple[int, ...], lam: Fraction) -> None:
    """The mean mask is that of all centres at every cell, the last ones included: 4.5 standard errors of 4000 draws."""
    n = 4000
    mean = masks.box(torch.full((n,), float(lam)), shape).mean(0).flatten()
    expected = torch.zeros(math.prod(shape), dtype=torch.float64)
    for mask, times in enumerate_boxes(shape, cutmix_sides(shape, lam)).items():
        expected += torch.tensor(mask, dtype=torch.float64) * times
    expected /= math.prod(shape)
    assert ((mean - expected).abs() <= Z * (expected * (1 - expected) / n).sqrt() + 1e-6).all()


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_every_position_is_drawn_as_often(size: int) -> None:
    """A box of one cell marks its centre: the last positions too (kornia#4730). 4.5 standard errors of 4000 draws."""
    n = 4000
    place = 1 - masks.hole(torch.ones(n, 1, dtype=torch.long), (size,))
    assert (place.sum(1) == 1).all()
    p = 1 / size
    assert ((place.mean(0) - p).abs() <= Z * (p * (1 - p) / n) ** 0.5 + 1e-6).all()


def test_positions_of_the_masks_of_a_call_are_independent() -> None:
    """Pairs of neighbouring masks have every pair of positions as often (kornia#4712): 4.5 standard errors of 3200."""
    n, size = 3200, 4
    place = (1 - masks.hole(torch.ones(2 * n, 1, dtype=torch.long), (size,))).argmax(1).view(n, 2)
    joint = torch.zeros(size, size).index_put((place[:, 0], place[:, 1]), torch.ones(n), accumulate=True) / n
    p = 1 / size**2
    assert ((joint - p).abs() < Z * (p * (1 - p) / n) ** 0.5).all()


def test_positions_along_two_axes_are_independent() -> None:
    n = 3200
    place = (1 - masks.hole(torch.ones(n, 2, dtype=torch.long), (4, 4))).flatten(1)
    p = 1 / 16
    assert ((place.mean(0) - p).abs() < Z * (p * (1 - p) / n) ** 0.5).all()


def test_the_share_that_clipping_adds_at_32() -> None:
    """The FMix repository's baseline: sampled share .500, kept .690, mean difference .19, kept .677 at one half.

    Theirs rounds sides, ours cuts them down to whole cells, which keeps up to 0.02 more. Bound: that and 4.5 standard
    errors of 4000 draws.
    """
    n = 4000
    record = mm.CutMix(adjust_lam=False, per_sample=True).draw(torch.empty(n, 1, 32, 32))
    asked, kept = record.lam, record.mask.mean((1, 2))
    assert abs(asked.mean() - 0.5) < Z * standard_error(asked)
    assert abs(kept.mean() - 0.690) < Z * standard_error(kept) + 0.02
    assert abs((kept - asked).abs().mean() - 0.19) < Z * standard_error((kept - asked).abs()) + 0.02
    half = masks.box(torch.full((n,), 0.5), (32, 32)).mean((1, 2))
    assert abs(half.mean() - 0.677) < Z * standard_error(half) + 0.02
    exact = sum(sum(mask) * times for mask, times in enumerate_boxes((32,), [22]).items()) / 32**2
    assert abs(half.mean() - (1 - (1 - exact) ** 2)) < Z * standard_error(half)
    adjusted = mm.CutMix(per_sample=True).draw(torch.empty(n, 1, 32, 32))
    torch.testing.assert_close(adjusted.lam, adjusted.mask.mean((1, 2)))


@pytest.mark.parametrize("cut", [2, 4, 8, 16])
def test_boxes_and_labels_are_those_of_torchvision_for_the_same_draw(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """Its own rule for the centre that ours drew; sides are even, so that the two rules agree on the cells."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    size, half = 16, cut // 2
    lam = 1 - (cut / size) ** 2
    x, y = torch.rand(5, 3, size, size), torch.randint(10, (5,))
    transform = v2.CutMix(num_classes=10)
    for _ in range(20):
        got, mix = mm.CutMix()(x, lam=lam, index=torch.arange(5).roll(1))
        foreign = (got != x)[0, 0]
        centre = []
        for axis in (1, 0):  # column first, as there
            (low, *_), (*_, high) = [foreign.any(1 - axis).nonzero().flatten().tolist()] * 2
            centre.append(torch.tensor([low + half if low > 0 else high + 1 - half]))
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randint", Mock(side_effect=centre))
            patch.setattr(transform, "_dist", SimpleNamespace(sample=lambda _: torch.tensor(lam)))
            expected_x, expected_y = transform(x, y)
        assert torch.equal(got, expected_x)
        torch.testing.assert_close(mix.targets(y, num_classes=10), expected_y)


# ---------------------------------------------------------------- Cutout's hole


@pytest.mark.parametrize(("shape", "size"), [((6, 6), 4), ((8, 5), 2), ((9,), 4), ((3, 4, 3), 2), ((4, 4), 16)])
def test_holes_follow_the_original_rule(shape: tuple[int, ...], size: int) -> None:
    """Rows int(clip(y - L/2)) to int(clip(y + L/2)) of a uniform centre; 4.5 standard errors of 4000 draws a mask."""
    n = 4000
    expected: Counter[tuple[int, ...]] = Counter()
    for centre in itertools.product(*map(range, shape)):
        image = np.ones(shape, dtype=int)
        hole = [slice(max(0, c - size // 2), min(s, c + size // 2)) for c, s in zip(centre, shape, strict=True)]
        image[tuple(hole)] = 0
        expected[tuple(image.flatten().tolist())] += 1
    cut, mix = mm.Cutout(size=size)(torch.ones(n, 1, *shape))
    drawn = Counter(map(tuple, cut.flatten(1).long().tolist()))
    assert set(drawn) <= set(expected)
    for mask, times in expected.items():
        p = times / math.prod(shape)
        assert abs(drawn[mask] / n - p) <= Z * (p * (1 - p) / n) ** 0.5
    assert (mix.lam == 1).all()


def test_an_odd_hole_keeps_its_size() -> None:
    place = 1 - masks.hole(torch.full((500, 1), 3), (9,))
    assert set(place.sum(1).tolist()) == {2.0, 3.0}  # 2 where the border clips it
    assert (place[place[:, 0] == 0].sum(1) >= 2).all()


def test_sides_may_differ_between_masks_and_axes() -> None:
    mask = masks.hole(torch.tensor([[0, 3], [9, 1], [9, 9]]), (4, 5))
    assert (mask[0] == 1).all()
    assert mask[1].sum() == 16  # nine rows about any centre cover all four; one column of five is cut
    assert (mask[2] == 0).all()


# ---------------------------------------------------------------- blocks on short axes


@pytest.mark.parametrize("shape", [(3,), (6, 9), (2, 12), (5, 1)])
@pytest.mark.parametrize("block_size", [4, 7])
@pytest.mark.parametrize("seed_region", ["everywhere", "valid"])
def test_blocks_on_axes_shorter_than_they_are_those_of_loops(
    shape: tuple[int, ...], block_size: int, seed_region: masks.SeedRegion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed at a time, at every cell: a block of min(block, size) cells from s - (side - 1 - side // 2)."""
    sides = [min(block_size, size) for size in shape]
    for seed in np.ndindex(*shape):
        seeds = torch.ones(1, *shape)
        seeds[(0, *seed)] = 0
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *_, seeds=seeds, **__: seeds)
            found = masks.blocks(1, shape, block_size, 0.1, seed_region=seed_region, device=CPU)[0]
        first = [s - (side - 1 - side // 2) for s, side in zip(seed, sides, strict=True)]
        inside = all(f >= 0 and f + side <= size for f, side, size in zip(first, sides, shape, strict=True))
        expected = torch.ones(shape)
        if inside or seed_region == "everywhere":
            expected[tuple(slice(max(f, 0), f + side) for f, side in zip(first, sides, strict=True))] = 0
        assert torch.equal(found, expected)
