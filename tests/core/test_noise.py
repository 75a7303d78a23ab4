"""The noise of FMix's fields on a CPU, of which only the strongest numbers are normal."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from mixmodal.core import masks
from mixmodal.core.masks import fields, noise

CPU = torch.device("cpu")
GRIDS = [((700,), 3.0), ((28, 30), 3.0), ((33, 47), 2.0), ((12, 13, 14), 3.0)]


def full_amplitude(shape: Sequence[int], decay_power: float) -> np.ndarray:
    axes = np.meshgrid(*[np.fft.fftfreq(size) for size in shape], indexing="ij")
    return np.maximum(np.sqrt(sum(axis**2 for axis in axes)), 1 / max(shape)) ** -decay_power


def shares(shape: Sequence[int], decay_power: float) -> np.ndarray:
    """What each frequency has of a cell's variance, on the full grid."""
    energy = full_amplitude(shape, decay_power) ** 2
    return energy / energy.sum()


@pytest.mark.parametrize(("shape", "decay_power"), GRIDS)
def test_bytes_are_uniform_independent_and_of_the_variance_of_normal_numbers(
    shape: tuple[int, ...], decay_power: float
) -> None:
    """4.5 standard errors of 400 fields; numbers next to each other come of the same word."""
    n = 400
    found = fields._filter(shape, decay_power, "equal")
    assert found.normal is not None
    drawn = torch.view_as_real(found.noise(n, None)).flatten(1)
    amplitude = found.amplitude.flatten().repeat_interleave(2)
    rest = torch.ones(len(amplitude), dtype=torch.bool).index_fill(0, found.normal, False)
    value = (drawn / amplitude)[:, rest].double()
    level = value * noise.VARIANCE**0.5
    torch.testing.assert_close(level, level.round(), rtol=0, atol=1e-3)
    counts = ((level.round() + 120) / 16).long().flatten().bincount()
    p, size = 1 / 16, value.numel()
    assert len(counts) == 16
    assert ((counts / size - p).abs() < 4.5 * (p * (1 - p) / size) ** 0.5).all()
    assert abs(value.square().mean() - 1) < 4.5 * value.square().std() / size**0.5
    for lag in (1, 2, 8, 16):
        product = value[:, lag:] * value[:, :-lag]
        assert abs(product.mean()) < 4.5 * product.std() / product.numel() ** 0.5
    exact = (drawn / amplitude)[:, found.normal]
    assert abs(exact.square().mean() - 1) < 4.5 * (2 / exact.numel()) ** 0.5
    assert exact.unique().numel() > 0.9 * exact.numel()


@pytest.mark.parametrize(("shape", "decay_power"), [*GRIDS, ((224, 224), 3.0), ((224, 224), 6.0), ((4000,), 3.0)])
def test_a_cell_is_normal_but_for_an_excess_of_a_hundred_millionth(shape: tuple[int, ...], decay_power: float) -> None:
    """By fourth cumulants on the full grid; what is left out is below float32's resolution of the whole."""
    found = fields._filter(shape, decay_power, "equal")
    share = np.moveaxis(shares(shape, decay_power), -1, 0)
    kept = len(found.amplitude)
    columns = shape[-1] // 2 + 1
    assert share[kept : shape[-1] - kept + 1].sum() <= 2**-50
    assert kept == columns or found.normal is not None
    if found.normal is not None:
        pair = np.where(np.arange(columns) % (shape[-1] / 2) == 0, 1, 2).reshape(-1, *[1] * (len(shape) - 1))
        each = (share[:columns] * pair)[:kept].flatten()
        bytes_ = np.delete(each, found.normal[::2].numpy() // 2)
        assert (bytes_**2).sum() * 1.21 < 1e-8
        assert np.all(np.diff(found.normal[::2].numpy()) > 0)


def test_white_and_small_fields_are_all_normal() -> None:
    for shape, decay_power in (((64, 64), 0.0), ((16, 16), 3.0), ((64, 64), 0.5)):
        assert fields._filter(shape, decay_power, "equal").normal is None


@pytest.mark.parametrize(("shape", "decay_power"), GRIDS)
def test_masks_of_bytes_have_the_law_of_the_papers_formula(shape: tuple[int, ...], decay_power: float) -> None:
    """Changes of 250 masks beside those of normal noise on the full grid, transformed and ranked in numpy."""
    n, lam = 250, 0.375
    rng = np.random.default_rng(3)
    white = rng.standard_normal((n, *shape)) + 1j * rng.standard_normal((n, *shape))
    axes = tuple(range(1, len(shape) + 1))
    grey = np.fft.ifftn(white * full_amplitude(shape, decay_power), axes=axes).real.reshape(n, -1)
    ones = round(lam * math.prod(shape))
    reference = np.zeros(grey.shape, dtype=np.float32)
    np.put_along_axis(reference, np.argpartition(-grey, ones, axis=1)[:, :ones], 1, axis=1)
    expected = torch.from_numpy(reference).view(n, *shape)
    mask = masks.fourier(torch.full((n,), ones / math.prod(shape)), shape, decay_power=decay_power)
    for axis in axes:
        a, b = changes(mask, axis), changes(expected, axis)
        assert abs(a.mean() - b.mean()) < 4.5 * math.hypot(float(a.std()), float(b.std())) / n**0.5
        assert abs(a.std() - b.std()) < 9 * math.hypot(float(a.std()), float(b.std())) / (2 * n) ** 0.5


def changes(mask: Tensor, axis: int) -> Tensor:
    """Mean number of changes along the lines of an axis, around the border, for each mask: (n,)."""
    step = (mask != mask.roll(1, axis)).double()
    return step.flatten(1).mean(1) * mask.shape[axis]


def test_what_is_left_out_would_be_below_the_rounding_of_the_field() -> None:
    """With normal noise at all frequencies the field moves by less than float32's own steps at its deviation."""
    found = fields._filter((4000,), 3.0, "equal")
    white = found.noise(8, torch.Generator().manual_seed(1))
    more = torch.randn(8, 2001, dtype=torch.complex64) * fields._amplitude((4000,), 3.0, CPU)
    more[:, : len(found.amplitude)] = 0
    field, rest = torch.fft.irfft(white, n=4000), torch.fft.irfft(more, n=4000)
    assert len(found.amplitude) < 1000
    assert rest.abs().max() < torch.finfo(torch.float32).eps * field.std()


@pytest.mark.parametrize("shape", [(700,), (40, 36)])
def test_bytes_come_of_the_generator_alone(shape: tuple[int, ...]) -> None:
    lam, before = torch.full((3,), 0.4), torch.get_rng_state()
    a, b, c = (masks.fourier(lam, shape, generator=torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a[0], a[1])
    torch.set_num_threads(2)
    assert torch.equal(masks.fourier(lam, shape, generator=torch.Generator().manual_seed(7)), a)
