"""FMix's masks: the top share of a random low-frequency field, `(lam (n,), shape) -> mask (n, *shape)` in any rank.

They are pure functions of their arguments and torch's random state, run on the device of `lam`, and never wait for
that device.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor

from mixmodal.core.checks import require
from mixmodal.core.devices import COUNTED, on_host, source, widest
from mixmodal.core.masks.noise import Filter
from mixmodal.core.masks.operators import compiled_on_cpu, operator
from mixmodal.core.masks.selection import ramp, top

Spectrum = Literal["paper", "upstream"]
Spacing = Literal["equal", "relative"] | tuple[float, ...]


def fourier(
    lam: Tensor,
    shape: Sequence[int],
    *,
    decay_power: float = 3.0,
    max_soft: float = 0.0,
    spectrum: Spectrum = "paper",
    spacing: Spacing = "equal",
    generator: torch.Generator | None = None,
) -> Tensor:
    """FMix's mask: 1 on the top `lam` share of a random low-frequency field.

    The number of ones is exact, even if cells tie: floor or ceil of lam · N with equal probability, for N cells.

    Args:
        lam: share of ones, (n,), in [0, 1].
        shape: grid of a mask, any rank.
        decay_power: amplitudes fall as frequency^-decay_power; 0 is white noise.
        max_soft: half-width of the ramp from 1 to 0 as a share of N, in [0, 1/2], narrowed to min(lam, 1 - lam). The
            sum stays exact.
        spectrum: "paper" or "upstream", see `paper_field` and `upstream_field`.
        spacing: distance of neighbouring cells along each axis, see `paper_field`; "equal" for "upstream".
        generator: source of the field, on the device of `lam`; torch's global one if None.

    Returns:
        (n, *shape) float32 in [0, 1]; only 0 and 1 if `max_soft` is 0.

    Raises:
        ValueError: a `spacing` for "upstream", or of another rank than `shape`.

    >>> fourier(torch.tensor([0.5, 0.25]), (8, 8)).sum((1, 2))
    tensor([32., 16.])

    Source: Harris et al., FMix (2020), section 4. Deviation from the authors' code: the field is that of the formula.
    """
    if not len(lam):
        return lam.new_empty(0, *shape)  # not every FFT accepts an empty batch
    if spectrum == "upstream":
        require(spacing == "equal", "spacing", spacing, "be 'equal' for spectrum='upstream', which has no other")
        field = upstream_field(len(lam), shape, decay_power, device=lam.device, generator=generator)
    else:
        field = paper_field(len(lam), shape, decay_power, spacing=spacing, device=lam.device, generator=generator)
    field = field.flatten(1)
    cells = field.shape[1]
    coin = torch.rand(len(lam), dtype=torch.float32, device=lam.device, **source(generator)) < 0.5
    ones = (lam if cells <= COUNTED else lam.to(widest(lam.device))) * cells
    count = torch.where(coin, ones.floor(), ones.ceil()).long().clamp(max=cells)
    if max_soft == 0:
        return top(field, count).view(-1, *shape)
    width = (torch.minimum(lam, 1 - lam).clamp(max=max_soft) * cells).long()
    return ramp(field, count, torch.minimum(width, torch.minimum(count, cells - count))).view(-1, *shape)


def paper_field(
    n: int,
    shape: Sequence[int],
    decay_power: float,
    *,
    spacing: Spacing = "equal",
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Isotropic, shift-stationary low-frequency noise: real white noise filtered by frequency^-decay_power.

    Args:
        n: number of fields.
        shape: grid of a field, any rank.
        decay_power: decay of the amplitude; the filter is scaled to a maximum of 1.
        spacing: distance between neighbouring cells along each axis, in whose unit frequencies are measured: "equal"
            for the same along all axes; "relative" for one over the number of cells along the axis, so that the grid
            counts as a cube whatever its shape; or numbers above 0, one for each axis, in millimetres, say.
        device: where to draw.
        generator: source of the noise, on `device`; torch's global one if None.

    Returns:
        (n, *shape) float32.

    Raises:
        ValueError: `spacing` holds more or fewer numbers than `shape`.

    >>> paper_field(2, (5, 1, 4), 3.0, device=torch.device("cpu")).shape
    torch.Size([2, 5, 1, 4])

    The noise is drawn directly in the half spectrum, since the spectrum of white noise is white too. On the CPU it is
    the noise of `noise.Filter`; on other devices, all of it is normal.

    Source: Harris et al., FMix (2020), section 4. The real part of filtered complex noise, as in the paper, has the
    distribution of filtered real noise up to scale.
    """
    rank, last = len(shape), shape[-1]
    spacing = spacing if isinstance(spacing, str) else tuple(spacing)
    drawn = torch.rand(0, device=device, **source(generator))
    if compiled_on_cpu(drawn) and generator is None:
        named, apart = (spacing, []) if isinstance(spacing, str) else ("", list(spacing))
        found: Tensor = torch.ops.mixmodal.paper_field(drawn, n, list(shape), float(decay_power), named, apart)
        return found
    if on_host(drawn):
        half_spectrum = _filter(tuple(shape), decay_power, spacing).noise(n, generator)
    else:
        amplitude = _amplitude(tuple(shape), decay_power, device, spacing).movedim(-1, 0)
        white = torch.randn(n, *amplitude.shape, 2, dtype=torch.float32, device=device, **source(generator))
        half_spectrum = torch.view_as_complex(white).mul_(amplitude)
    if rank > 1:  # in memory order, which takes half the time
        half_spectrum = torch.fft.ifftn(half_spectrum, dim=tuple(range(2, rank + 1)))
    field: Tensor = torch.fft.irfft(half_spectrum, n=last, dim=1)
    return field.movedim(1, -1)


@operator(
    "paper_field(Tensor drawn, SymInt n, SymInt[] shape, float decay_power, str named, float[] apart) -> Tensor",
    lambda drawn, n, shape, *_: torch.empty(n, *shape, dtype=torch.float32, device=drawn.device),
    random=True,
)
def _paper_field(
    drawn: Tensor, n: int, shape: Sequence[int], decay_power: float, named: str, apart: Sequence[float]
) -> Tensor:
    spacing = cast(Spacing, named or tuple(apart))
    return paper_field(n, shape, decay_power, spacing=spacing, device=drawn.device).contiguous()


@functools.lru_cache(maxsize=8)
def _filter(shape: tuple[int, ...], decay_power: float, spacing: Spacing) -> Filter:
    """The filter of `paper_field` on the CPU, with the last axis of the grid first."""
    amplitude = _amplitude(shape, decay_power, torch.device("cpu"), spacing).movedim(-1, 0)
    energy = amplitude.square() * 4
    energy[:: (shape[-1] + 1) // 2] /= 4  # columns that mirror themselves count once
    return Filter.of(amplitude, energy)


def _amplitude(shape: tuple[int, ...], decay_power: float, device: torch.device, spacing: Spacing = "equal") -> Tensor:
    """The amplitudes of `paper_field` in the half spectrum."""
    rank, last = len(shape), shape[-1]
    square = torch.zeros((), dtype=torch.float32, device=device)
    for axis, (size, scale) in enumerate(zip(shape, _scales(shape, spacing), strict=True)):
        kept = last // 2 + 1 if axis == rank - 1 else size
        along = (_frequencies(size, kept, device) * scale).square()
        square = square + along.view(-1, *[1] * (rank - 1 - axis))
    amplitude = square.clamp(min=1).rsqrt() ** float(decay_power)  # torch rejects ints beyond 64 bits
    column = torch.arange(last // 2 + 1, device=device)
    own_mirror = (column == 0) | (2 * column == last)  # irfft keeps one half of such a column
    return torch.where(own_mirror, amplitude * math.sqrt(2), amplitude)


def _scales(shape: tuple[int, ...], spacing: Spacing) -> Sequence[float]:
    """Factors that turn cycles per cell along each axis into multiples of the grid's lowest frequency."""
    if spacing == "equal":
        return [max(shape)] * len(shape)
    if spacing == "relative":
        return shape
    require(len(spacing) == len(shape), "spacing", spacing, f"hold {len(shape)} numbers, one for each axis of {shape}")
    longest = max((size * apart for size, apart in zip(shape, spacing, strict=True) if size > 1), default=1.0)
    return [longest / float(apart) for apart in spacing]


def upstream_field(
    n: int, shape: Sequence[int], decay_power: float, *, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """The field that the FMix authors' code draws, for comparison with their numbers.

    Their code takes the first two rows of the frequency grid as real and imaginary parts, and the axis of length two as
    the half spectrum of the last mask axis. So along the last axis only the mean and the first harmonic remain (in rank
    1 the mask is a single cyclic interval whatever the decay), and the masks are neither isotropic nor stationary.

    Args:
        n: number of fields.
        shape: grid of a field, of rank 1, 2 or 3, with two cells or more along the first axis.
        decay_power: decay of the amplitude; the filter is scaled to a maximum of 1.
        device: where to draw.
        generator: source of the noise, on `device`; torch's global one if None.

    Returns:
        (n, *shape) float32.

    Raises:
        ValueError: the authors' code cannot draw this shape.

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
    square = torch.zeros((), dtype=torch.float32, device=device)
    for size in reversed(shape[2:]):
        square = square[..., None] + _frequencies(size, size, device).square()
    if len(shape) > 1:
        half = _frequencies(shape[1], shape[1] // 2 + 1 + shape[1] % 2, device)
        square = square[..., None] + half.square()
    rows = torch.stack([square, square + shape[0] ** -2])
    amplitude = (rows * longest**2).clamp(min=1).rsqrt() ** float(decay_power)
    noise = torch.randn(n, *amplitude.shape, 2, dtype=torch.float32, device=device, **source(generator))
    noise = noise * amplitude[..., None]
    half_spectrum = torch.complex(noise[:, 0], noise[:, 1])
    field: Tensor = torch.fft.irfftn(half_spectrum, s=tuple(shape), dim=tuple(range(1, len(shape) + 1)))
    return field


def _frequencies(size: int, kept: int, device: torch.device) -> Tensor:
    """The first `kept` frequencies of an axis, as absolute values in cycles per sample."""
    cycles = torch.arange(kept, device=device)
    return torch.minimum(cycles, size - cycles).float() / size
