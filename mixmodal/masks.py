"""Mask generators: `(lam (n,), shape) -> mask (n, *shape)` in any rank, 1 where a sample keeps itself.

All of them are pure functions of their arguments and of torch's random state, run on the device of `lam`, and never
wait for that device.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

Spectrum = Literal["paper", "upstream"]


def constant(lam: Tensor, shape: Sequence[int]) -> Tensor:
    """The same share everywhere: MixUp's mask, as a view that takes no memory.

    Args:
        lam: own share of each mask, (n,), in [0, 1].
        shape: grid of a mask, any rank.

    Returns:
        (n, *shape), `lam` expanded.

    >>> constant(torch.tensor([0.25]), (2, 2))
    tensor([[[0.2500, 0.2500],
             [0.2500, 0.2500]]])

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018), section 2.
    """
    return lam.view(-1, *[1] * len(shape)).expand(-1, *shape)


def hole(sides: Tensor, shape: Sequence[int], *, generator: torch.Generator | None = None) -> Tensor:
    """0 in one box with a uniform centre, clipped at the border, 1 elsewhere.

    A box of side s centred on cell c covers the s cells from c - s // 2.

    Args:
        sides: whole side lengths of the boxes in cells, (n, rank).
        shape: grid of a mask, any rank.
        generator: source of the centres, on the device of `sides`; torch's global one if None.

    Returns:
        (n, *shape) float32, values 0 and 1.

    >>> hole(torch.tensor([[9, 0]]), (2, 2)), hole(torch.tensor([[9, 9]]), (2, 2))
    (tensor([[[1., 1.],
             [1., 1.]]]), tensor([[[0., 0.],
             [0., 0.]]]))

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017), section 3.
    """
    (n, rank), device = sides.shape, sides.device
    centre = [torch.randint(size, (n,), device=device, generator=generator) for size in shape]
    if on_host(sides):
        return _cut(sides.tolist(), zip(*(along.tolist() for along in centre), strict=True), shape)
    low = torch.stack(centre, dim=1) - sides // 2
    cell = torch.arange(max(shape), device=device)
    beside = (cell < low[..., None]) | (cell >= (low + sides)[..., None])
    along = [
        beside[:, axis, :size].view(n, *[size if a == axis else 1 for a in range(rank)])
        for axis, size in enumerate(shape)
    ]
    return functools.reduce(torch.logical_or, along).float()


def _cut(sides: Sequence[Sequence[int]], centres: Iterable[Sequence[int]], shape: Sequence[int]) -> Tensor:
    """`hole` on the host: a box is written into its mask, not compared with every cell."""
    mask = torch.ones(len(sides), *shape)
    for row, *place in zip(mask, sides, centres, strict=True):
        row[tuple(slice(max(c - s // 2, 0), max(c - s // 2 + s, 0)) for s, c in zip(*place, strict=True))] = 0
    return mask


def box(lam: Tensor, shape: Sequence[int], *, generator: torch.Generator | None = None) -> Tensor:
    """CutMix's mask: 0 in a box that holds a share 1 - `lam` of the grid before it is clipped at the border.

    The side along an axis of s cells is floor(s · (1 - lam)^(1 / rank)). An axis of one cell has nothing to cut: the
    box spans it, and it does not count in the rank.

    Args:
        lam: share outside the box before clipping, (n,), in [0, 1].
        shape: grid of a mask, any rank.
        generator: source of the centres, on the device of `lam`; torch's global one if None.

    Returns:
        (n, *shape) float32, values 0 and 1; its mean is at least about `lam`, more where the border clips the box.

    >>> box(torch.tensor([1.0]), (2, 3))
    tensor([[[1., 1., 1.],
             [1., 1., 1.]]])

    Source: Yun et al., CutMix (ICCV 2019), section 3.1, equation 2, carried from rank 2 to any rank. Deviation from the
    authors' code: a box of odd side keeps all its cells (theirs loses one).
    """
    edge = (1 - lam) ** (1 / max(sum(size > 1 for size in shape), 1))
    roundoff = 1e-4  # keeps 8 · (1/8)^(1/3) at 4 cells
    sides = torch.stack([edge * size if size > 1 else edge.ceil() for size in shape], dim=1)
    return hole((sides + roundoff).long(), shape, generator=generator)


def fourier(
    lam: Tensor,
    shape: Sequence[int],
    *,
    decay_power: float = 3.0,
    max_soft: float = 0.0,
    spectrum: Spectrum = "paper",
    generator: torch.Generator | None = None,
) -> Tensor:
    """FMix's mask: 1 on the top `lam` share of a random low-frequency field.

    The number of ones is exact, also where cells tie: floor or ceil of lam · N with even odds, for N cells.

    Args:
        lam: share of ones, (n,), in [0, 1].
        shape: grid of a mask, any rank.
        decay_power: amplitudes fall as frequency^-decay_power; 0 is white noise.
        max_soft: half-width of the ramp from 1 to 0 as a share of N, in [0, 1/2], narrowed to min(lam, 1 - lam). The
            sum stays exact.
        spectrum: "paper" or "upstream", see `paper_field` and `upstream_field`.
        generator: source of the field, on the device of `lam`; torch's global one if None.

    Returns:
        (n, *shape) float32 in [0, 1]; 0 and 1 only where `max_soft` is 0.

    >>> fourier(torch.tensor([0.5, 0.25]), (8, 8)).sum((1, 2))
    tensor([32., 16.])

    Source: Harris et al., FMix (2020), section 4. Deviation from the authors' code: the field is that of the formula.
    """
    draw = {"paper": paper_field, "upstream": upstream_field}[spectrum]
    field = draw(len(lam), shape, decay_power, device=lam.device, generator=generator).flatten(1)
    cells = field.shape[1]
    coin = torch.rand(len(lam), device=lam.device, generator=generator) < 0.5
    count = torch.where(coin, torch.floor(lam * cells), torch.ceil(lam * cells)).long()
    if max_soft == 0:
        return _top(field, count).view(-1, *shape)
    width = (torch.minimum(lam, 1 - lam).clamp(max=max_soft) * cells).long()
    return _ramp(field, count, torch.minimum(width, torch.minimum(count, cells - count))).view(-1, *shape)


def paper_field(
    n: int, shape: Sequence[int], decay_power: float, *, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Isotropic, shift-stationary low-frequency noise: real white noise filtered by frequency^-decay_power.

    Args:
        n: number of fields.
        shape: grid of a field, any rank; frequencies are in cycles per sample of the grid.
        decay_power: decay of the amplitude; the filter is scaled to a maximum of 1.
        device: where to draw.
        generator: source of the noise, on `device`; torch's global one if None.

    Returns:
        (n, *shape) float32.

    >>> paper_field(2, (5, 1, 4), 3.0, device=torch.device("cpu")).shape
    torch.Size([2, 5, 1, 4])

    The noise is drawn in its half spectrum, where that of white noise is white again.

    Source: Harris et al., FMix (2020), section 4. The real part of filtered complex noise, as the paper writes it, has
    the law of filtered real noise up to scale.
    """
    longest, rank, last = max(shape), len(shape), shape[-1]
    square = torch.zeros((), device=device)
    for axis, size in enumerate(shape):
        frequencies = torch.fft.rfftfreq if axis == rank - 1 else torch.fft.fftfreq
        along = frequencies(size, device=device).square()
        square = square + along.view(-1, *[1] * (rank - 1 - axis))
    amplitude = (square * longest**2).clamp(min=1) ** (-decay_power / 2)
    amplitude[..., :: (last + 1) // 2] *= math.sqrt(2)  # of a column that is its own mirror, irfft keeps one half
    white = torch.randn(n, *amplitude.shape, 2, device=device, generator=generator)
    half_spectrum = torch.view_as_complex(white) * amplitude
    if rank > 1:
        half_spectrum = torch.fft.ifftn(half_spectrum, dim=tuple(range(1, rank)))
    field: Tensor = torch.fft.irfft(half_spectrum, n=last)
    return field


def upstream_field(
    n: int, shape: Sequence[int], decay_power: float, *, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """The field that the FMix authors' code draws, for comparison with their numbers.

    Their code takes the first two rows of the frequency grid for real and imaginary part, and the axis of length two
    for the half spectrum of the last mask axis. So along the last axis only the mean and the first harmonic are left
    (in rank 1 the mask is one cyclic interval whatever the decay), and the masks are neither isotropic nor stationary.

    Args:
        n: number of fields.
        shape: grid of a field, of rank 1, 2 or 3, with two cells or more along the first axis.
        decay_power: decay of the amplitude; the filter is scaled to a maximum of 1.
        device: where to draw.
        generator: source of the noise, on `device`; torch's global one if None.

    Returns:
        (n, *shape) float32.

    Raises:
        ValueError: for a shape that the authors' code cannot draw.

    >>> upstream_field(2, (8, 6), 3.0, device=torch.device("cpu")).shape
    torch.Size([2, 8, 6])

    Source: the code published with FMix, fmix.py, lines 17 to 69.
    """
    if len(shape) > 3 or shape[0] < 2:
        raise ValueError(
            f"spectrum='upstream' draws ranks 1 to 3 with two cells or more along the first axis, got the grid "
            f"{tuple(shape)}; use spectrum='paper'"
        )
    longest = max(shape)
    square = torch.zeros((), device=device)
    for size in reversed(shape[2:]):
        square = square[..., None] + torch.fft.fftfreq(size, device=device).square()
    if len(shape) > 1:
        half = torch.fft.fftfreq(shape[1], device=device)[: shape[1] // 2 + 1 + shape[1] % 2]
        square = square[..., None] + half.square()
    rows = torch.stack([square, square + shape[0] ** -2])
    amplitude = (rows * longest**2).clamp(min=1) ** (-decay_power / 2)
    noise = torch.randn(n, *amplitude.shape, 2, device=device, generator=generator) * amplitude[..., None]
    half_spectrum = torch.complex(noise[:, 0], noise[:, 1])
    field: Tensor = torch.fft.irfftn(half_spectrum, s=tuple(shape), dim=tuple(range(1, len(shape) + 1)))
    return field


def _top(field: Tensor, count: Tensor) -> Tensor:
    """1 on the `count` (n,) largest of each row of `field` (n, N), exactly, also where cells are equal."""
    if on_host(field):
        mask = torch.empty_like(field)
        for row, ones, into in zip(field, count.tolist(), mask, strict=True):
            into.copy_(_top_of_row(row, ones))
        return mask
    key = _ordered(field)
    kth = _kth_largest(key, count.clamp(min=1))[:, None]
    above, equal = key > kth, key == kth
    left = count - above.sum(1)
    return (above | (equal & (equal.cumsum(1) <= left[:, None]))).float()


def _top_of_row(row: Tensor, count: int) -> Tensor:
    """`_top` of one row (N,) on the host: the smaller of the two sides is selected, not sorted."""
    few = min(count, len(row) - count)
    chosen = row.topk(few, largest=few == count, sorted=False).indices
    return torch.full_like(row, few != count).index_fill_(0, chosen, few == count)


def on_host(x: Tensor) -> bool:
    """Whether values can be read without waiting for a device or breaking a compiled graph.

    Args:
        x: the tensor, of any shape.

    >>> on_host(torch.zeros(1)), on_host(torch.zeros(1, device="meta"))
    (True, False)
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _ordered(field: Tensor) -> Tensor:
    """int32 keys in the order of the float32 values of `field`."""
    bits = field.contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _kth_largest(key: Tensor, k: Tensor) -> Tensor:
    """The `k`-th largest (n,) of each row of the int32 `key` (n, N), without reading `k`.

    Short rows are sorted. Long rows are bisected on the value, bit by bit: sorting millions costs more than 32 counts.
    """
    if key.shape[1] <= 4096:
        return key.sort(1, descending=True).values.gather(1, k[:, None] - 1)[:, 0]
    kth = torch.full_like(k, torch.iinfo(torch.int32).min)
    for bit in reversed(range(32)):
        higher = kth + (1 << bit)
        kth = torch.where((key >= higher[:, None].int()).sum(1, dtype=torch.int32) >= k, higher, kth)
    return kth.int()


def _ramp(field: Tensor, count: Tensor, width: Tensor) -> Tensor:
    """By falling rank in `field` (n, N): 1, then 2 · `width` even steps from 1 to 0 about rank `count`, then 0."""
    order = field.argsort(1, descending=True)
    rank = torch.arange(field.shape[1], device=field.device)
    width = width.clamp(min=1)[:, None]  # one step is the hard edge itself
    value = 1 - (rank - (count[:, None] - width)) / (2 * width - 1)
    return torch.zeros_like(field).scatter(1, order, value.clamp(0, 1))
