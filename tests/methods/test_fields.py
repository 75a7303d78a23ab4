"""FMix's spacing: in which unit the frequencies of the field are counted, on grids of any shape."""

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import mixmodal as mm
from mixmodal.core import masks
from mixmodal.core.masks.fields import _amplitude

CPU = torch.device("cpu")
GRIDS = [(9,), (1,), (16, 16), (5, 8), (1, 6), (16, 64), (3, 4, 5), (2, 1, 3, 4)]


def drawn(n: int, grid: Sequence[int], lam: float = 0.5, **settings: Any) -> Tensor:
    """Masks of a share, one for each of n samples."""
    return mm.FMix(per_sample=True, **settings).mask(torch.full((n,), lam), grid)


def changes(mask: Tensor, axis: int) -> Tensor:
    """Mean number of changes along the lines of an axis of the grid, around its border, for each mask: (n,)."""
    moved = mask.movedim(axis + 1, -1)
    return (moved != moved.roll(1, -1)).float().sum(-1).reshape(len(mask), -1).mean(1)


def agree(one: Tensor, other: Tensor) -> bool:
    """Whether the means of two samples lie within 4.5 standard errors of their difference."""
    error = ((one.var() + other.var()) / len(one)).sqrt()
    return bool((one.mean() - other.mean()).abs() < 4.5 * error)


@pytest.mark.parametrize(("grid", "n"), [((16, 64), 400), ((48, 20), 400), ((16, 64, 24), 100)])
def test_relative_spacing_has_as_many_changes_along_every_axis(grid: tuple[int, ...], n: int) -> None:
    """Counted around the border, since the field is periodic; axes of 16 cells or more, where cells hide no wave."""
    each = [changes(drawn(n, grid, spacing="relative"), axis) for axis in range(len(grid))]
    assert all(agree(each[0], other) for other in each[1:])
    assert each[0].mean() > 1
    paper = [changes(drawn(n, grid), axis).mean() for axis in range(len(grid))]
    assert max(paper) > 3 * min(paper)


def test_a_spectrogram_is_cut_in_time_by_default_and_not_by_relative_spacing() -> None:
    """128 bands and 1024 frames, 60 draws: changes along frequency and time, as the class and the card say."""
    frequency, time = (changes(drawn(60, (128, 1024)), axis).mean() for axis in (0, 1))
    assert frequency < 0.1 < 2 < time
    relative = drawn(60, (128, 1024), spacing="relative")
    assert agree(changes(relative, 0), changes(relative, 1))


@pytest.mark.parametrize(
    ("grid", "spacing", "unit"),
    [
        ((6, 10), "equal", (1.0, 1.0)),
        ((6, 10), "relative", (1 / 6, 1 / 10)),
        ((6, 10), (3.0, 1.0), (3.0, 1.0)),
        ((7,), (2.0,), (2.0,)),
        ((4, 3, 6), "relative", (1 / 4, 1 / 3, 1 / 6)),
        ((4, 3, 6), (1.0, 1.0, 5.0), (1.0, 1.0, 5.0)),
    ],
)
def test_amplitudes_fall_with_the_frequency_in_the_unit_of_the_spacing(
    grid: tuple[int, ...], spacing: Any, unit: tuple[float, ...]
) -> None:
    """The mean power of 4,000 fields in every bin is f^-3, f in cycles per unit, but for the one scale of the filter.

    The power of a bin is exponential, or chi-squared where it is real: a relative error below sqrt(2 / 4000) = 0.0224.
    """
    field = masks.paper_field(4_000, grid, 1.5, spacing=spacing, device=CPU)
    power = torch.fft.fftn(field.double(), dim=tuple(range(1, field.ndim))).abs().square().mean(0)
    square = torch.zeros(())
    for axis, (size, apart) in enumerate(zip(grid, unit, strict=True)):
        along = torch.tensor([min(k, size - k) / (size * apart) for k in range(size)]).square()
        square = square[..., None] + along if axis else along
    there = square > 0
    ratio = power[there] * square[there] ** 1.5
    assert (ratio / ratio.mean() - 1).abs().max() < 5 * 0.0224


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("decay_power", [0.0, 1.3, 3.0])
def test_by_default_amplitudes_are_those_of_the_paper_bit_for_bit(grid: tuple[int, ...], decay_power: float) -> None:
    """Frequencies in cycles per cell times the longest side, written out."""
    square = torch.zeros(())
    for axis, size in enumerate(grid):
        along = torch.fft.rfftfreq(size) if axis == len(grid) - 1 else torch.fft.fftfreq(size)
        square = square + (along * max(grid)).square().view(-1, *[1] * (len(grid) - 1 - axis))
    amplitude = square.clamp(min=1).rsqrt() ** decay_power
    amplitude[..., :: (grid[-1] + 1) // 2] *= 2**0.5
    assert torch.equal(_amplitude(grid, decay_power, CPU), amplitude)
    for ones in ((1,) * len(grid), [2.5] * len(grid)):
        torch.testing.assert_close(_amplitude(grid, decay_power, CPU, tuple(ones)), amplitude)


@pytest.mark.parametrize("grid", [(16,), (16, 16), (8, 8, 8)])
def test_on_a_cube_every_spacing_is_the_paper(grid: tuple[int, ...]) -> None:
    draws = [
        mm.FMix(spacing=spacing).draw(torch.empty(2, 1, *grid), lam=0.4, generator=torch.Generator().manual_seed(1))
        for spacing in ("equal", "relative", (1.0,) * len(grid), (0.25,) * len(grid))  # type: ignore[arg-type]
    ]
    assert all(torch.equal(draws[0].mask, other.mask) for other in draws[1:])


def test_cells_that_lie_far_apart_are_cut_between_and_not_within() -> None:
    """24 slices of 24 x 24, 5 mm apart with cells of 1 mm: 200 draws have more changes from slice to slice."""
    masks_ = drawn(200, (24, 24, 24), spacing=(1.0, 1.0, 5.0))
    first, second, slices = (changes(masks_, axis) for axis in range(3))
    assert agree(first, second)
    assert slices.mean() > 2 * first.mean()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("max_soft", [0.0, 0.3])
def test_shares_are_exact_in_any_rank(grid: tuple[int, ...], max_soft: float) -> None:
    cells = torch.Size(grid).numel()
    apart = tuple(10.0 ** (k % 3) for k in range(len(grid)))
    for spacing in ("relative", apart):
        for lam in (0.0, 0.3, 1.0):
            mask = drawn(3, grid, lam, spacing=spacing, max_soft=max_soft)
            assert mask.shape == (3, *grid)
            assert ((mask.flatten(1).sum(1) - lam * cells).abs() < 1 + 1e-4).all()


def test_spacing_works_under_padding_and_in_compiled_code() -> None:
    x, valid = torch.randn(3, 1, 8, 40), torch.arange(40) < torch.tensor([[40], [25], [10]])
    fmix = mm.FMix(spacing="relative", per_sample=True)
    mixed, mix = fmix(x, valid=valid[:, None], index=torch.tensor([1, 2, 0]))
    assert mixed.isfinite().all()
    assert mix.valid is not None
    torch._dynamo.reset()
    for mixer in (mm.FMix(spacing="relative"), mm.FMix(spacing=(1, 2.5))):
        step = torch.compile(lambda x, mixer=mixer: mixer(x, lam=0.25)[1].lam, fullgraph=True, backend="eager")
        assert step(x).tolist() == [0.25] * 3


def test_spacing_is_a_part_of_the_configuration() -> None:
    fmix = mm.FMix(spacing=[1, 1, 5.0])  # type: ignore[arg-type]
    assert fmix == mm.FMix(spacing=(1, 1, 5)) != mm.FMix()
    assert hash(pickle.loads(pickle.dumps(fmix))) == hash(fmix)
    assert "spacing=(1, 1, 5.0)" in repr(fmix)


@pytest.mark.parametrize(
    "spacing", ["cube", (), (1.0, 0.0), (1.0, -1.0), (1.0, torch.inf), (1.0, "1"), (1.0, True), (1e-7, 1.0), 2.0, None]
)
def test_wrong_spacing_is_named(spacing: Any) -> None:
    with pytest.raises(ValueError, match=r"spacing=.* must be 'equal', 'relative' or numbers above 0"):
        mm.FMix(spacing=spacing)


def test_spacing_of_another_rank_or_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"spacing=\(1, 2\) must hold 3 numbers, one for each axis of \(4, 5, 6\)"):
        mm.FMix(spacing=(1, 2))(torch.zeros(2, 1, 4, 5, 6))
    for spacing in ("relative", (1.0, 2.0)):
        with pytest.raises(ValueError, match=r"spacing=.* must be 'equal' for spectrum='upstream'"):
            mm.FMix(spacing=spacing, spectrum="upstream")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="must be 'equal' for spectrum='upstream'"):
            masks.fourier(torch.ones(1), (4, 4), spacing=spacing, spectrum="upstream")  # type: ignore[arg-type]
