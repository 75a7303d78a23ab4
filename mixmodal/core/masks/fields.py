"""Mask generators: `(lam (n,), shape) -> mask (n, *shape)` in any rank, 1 where a sample keeps itself.

All of them are pure functions of their arguments and of torch's random state, run on the device of `lam`, and never
wait for that device.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.selection import on_host, ramp, source, top

Spectrum = Literal["paper", "upstream"]
SeedRegion = Literal["everywhere", "valid"]
GammaMode = Literal["nominal", "calibrated"]


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
    if on_host(sides):
        return _cut(sides.tolist(), shape, generator)
    (n, rank), device = sides.shape, sides.device
    centre = [torch.randint(size, (n,), device=device, **source(generator)) for size in shape]
    low = torch.stack(centre, dim=1) - sides // 2
    cell = torch.arange(max(shape), device=device)
    beside = (cell < low[..., None]) | (cell >= (low + sides)[..., None])
    along = [
        beside[:, axis, :size].view(n, *[size if a == axis else 1 for a in range(rank)])
        for axis, size in enumerate(shape)
    ]
    return functools.reduce(torch.logical_or, along).float()


def _cut(sides: Sequence[Sequence[int]], shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """`hole` on the host: a box is written into its mask, not compared with every cell."""
    mask = torch.ones(len(sides), *shape)
    centre = [torch.randint(size, (len(sides),), **source(generator)).tolist() for size in shape]
    for row, *place in zip(mask.unbind(), sides, zip(*centre, strict=True), strict=True):
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
    if on_host(lam):
        sides = [[int(side) for side in _sides(share, shape)] for share in lam.tolist()]
        return _cut(sides, shape, generator)
    return hole(torch.stack(_sides(lam, shape), dim=1).long(), shape, generator=generator)


def _sides(lam: Any, shape: Sequence[int]) -> list[Any]:
    """Sides of `box` for one share, or as tensors (n,) for shares (n,)."""
    edge = (1 - lam) ** (1 / max(sum(size > 1 for size in shape), 1))
    roundoff = 1e-4  # keeps 8 · (1/8)^(1/3) at 4 cells
    return [(edge * size + roundoff) // 1 if size > 1 else -(-edge // 1) for size in shape]


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
    if not len(lam):
        return lam.new_empty(0, *shape)  # not every FFT takes none
    draw = {"paper": paper_field, "upstream": upstream_field}[spectrum]
    field = draw(len(lam), shape, decay_power, device=lam.device, generator=generator).flatten(1)
    cells = field.shape[1]
    coin = torch.rand(len(lam), device=lam.device, **source(generator)) < 0.5
    ones = lam * cells
    count = torch.where(coin, ones.floor(), ones.ceil()).long()
    if max_soft == 0:
        return top(field, count).view(-1, *shape)
    width = (torch.minimum(lam, 1 - lam).clamp(max=max_soft) * cells).long()
    return ramp(field, count, torch.minimum(width, torch.minimum(count, cells - count))).view(-1, *shape)


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
    rank, last = len(shape), shape[-1]
    white = torch.randn(n, *shape[:-1], last // 2 + 1, 2, device=device, **source(generator))
    lasting = on_host(white) and type(white) is Tensor  # neither traced nor recorded for a device
    amplitude = (_kept_amplitude if lasting else _amplitude)(tuple(shape), decay_power, device)
    half_spectrum = torch.view_as_complex(white).mul_(amplitude)
    if rank > 1:
        half_spectrum = torch.fft.ifftn(half_spectrum, dim=tuple(range(1, rank)))
    field: Tensor = torch.fft.irfft(half_spectrum, n=last)
    return field


def _amplitude(shape: tuple[int, ...], decay_power: float, device: torch.device) -> Tensor:
    """Amplitudes of `paper_field` in its half spectrum."""
    longest, rank, last = max(shape), len(shape), shape[-1]
    square = torch.zeros((), device=device)
    for axis, size in enumerate(shape):
        frequencies = torch.fft.rfftfreq if axis == rank - 1 else torch.fft.fftfreq
        along = (frequencies(size, device=device) * longest).square()
        square = square + along.view(-1, *[1] * (rank - 1 - axis))
    amplitude = square.clamp(min=1).rsqrt() ** decay_power
    amplitude[..., :: (last + 1) // 2] *= math.sqrt(2)  # of a column that is its own mirror, irfft keeps one half
    return amplitude


_kept_amplitude = functools.lru_cache(maxsize=8)(_amplitude)


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
    amplitude = (rows * longest**2).clamp(min=1).rsqrt() ** decay_power
    noise = torch.randn(n, *amplitude.shape, 2, device=device, **source(generator)) * amplitude[..., None]
    half_spectrum = torch.complex(noise[:, 0], noise[:, 1])
    field: Tensor = torch.fft.irfftn(half_spectrum, s=tuple(shape), dim=tuple(range(1, len(shape) + 1)))
    return field


def blocks(
    n: int,
    shape: Sequence[int],
    block_size: int,
    gamma: float,
    *,
    seed_region: SeedRegion = "everywhere",
    gamma_mode: GammaMode = "nominal",
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """PatchUp's and DropBlock's mask: 0 in blocks about random seeds, clipped at the border, 1 elsewhere.

    A block of side b about a seed at s covers the cells from s - (b - 1 - b // 2) to s + b // 2.

    Args:
        n: number of masks.
        shape: grid of a mask, any rank.
        block_size: side of a block in cells; on a shorter axis the whole axis.
        gamma: nominal share of zeros, in [0, 1]; see `seed_probability`.
        seed_region: "everywhere", or "valid" for seeds whose block lies inside the grid.
        gamma_mode: see `seed_probability`.
        device: where to draw.
        generator: source of the seeds, on `device`; torch's global one if None.

    Returns:
        (n, *shape) float32, values 0 and 1.

    >>> blocks(1, (3, 4), 2, 0.0, device=torch.device("cpu")).min(), blocks(1, (4,), 4, 1.0, device=torch.device("cpu"))
    (tensor(1.), tensor([[0., 0., 0., 0.]]))

    Source: Faramarzi et al., PatchUp (AAAI 2022), section 3, equation 2; Ghiasi et al., DropBlock (NeurIPS 2018),
    algorithm 1. Deviations from PatchUp's code: any rank, sides cut to the axis, even sides, grids that are no squares.
    """
    probability = seed_probability(shape, block_size, gamma, gamma_mode=gamma_mode)
    hit = torch.rand(n, *shape, device=device, **source(generator)) < probability
    for axis, size in enumerate(shape, start=1):
        side = min(block_size, size)
        before, after = side // 2, side - 1 - side // 2
        if seed_region == "valid":
            hit = hit.narrow(axis, after, size - side + 1)
            before, after = side - 1, side - 1
        hit = _dilate(F.pad(hit, [0, 0] * (len(shape) - axis) + [before, after]), axis, side)
    return (~hit).float()


def seed_probability(
    shape: Sequence[int], block_size: int, gamma: float, *, gamma_mode: GammaMode = "nominal"
) -> float:
    """The chance of a cell to be the seed of a block.

    Args:
        shape: grid, any rank.
        block_size: side of a block; on a shorter axis the whole axis.
        gamma: share of cells in a block that is aimed at, in [0, 1].
        gamma_mode: "nominal" for the papers' gamma · ΠF / (Πb · Π(F - b + 1)) with sizes F and sides b, at most 1. It
            neglects overlaps, and it is made for seeds whose block lies inside the grid while they draw seeds
            everywhere, so that 0.5 with blocks of 7 alters 0.49 of a 32 x 32 grid and 0.99 of an 8 x 8 one.
            "calibrated" for 1 - (1 - gamma)^(1 / Πb): off the border a cell is altered with the chance gamma exactly.

    >>> round(seed_probability((32, 32), 7, 0.5), 5)
    0.01546

    Source: PatchUp, equation 2; DropBlock, equation 1.
    """
    probability, cells = gamma, 1
    for size in shape:
        side = min(block_size, size)
        probability *= size / (side * (size - side + 1))
        cells *= side
    calibrated: float = 1 - (1 - gamma) ** (1 / cells)
    return calibrated if gamma_mode == "calibrated" else min(probability, 1.0)


def _dilate(hit: Tensor, axis: int, side: int) -> Tensor:
    """Whether any of the `side` cells from each on along an axis is hit; `side` - 1 cells shorter."""
    reach = 1
    while reach < side:
        step = min(reach, side - reach)
        left = hit.shape[axis] - step
        hit = hit.narrow(axis, 0, left) | hit.narrow(axis, step, left)
        reach += step
    return hit
