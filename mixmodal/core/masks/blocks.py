"""Blocks of one size around random seeds."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.core.devices import source

SeedRegion = Literal["everywhere", "valid"]


GammaMode = Literal["nominal", "calibrated"]


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
    """PatchUp's and DropBlock's mask: 0 in blocks around random seeds, clipped at the border, 1 elsewhere.

    A block of side b around a seed at s covers the cells from s - (b - 1 - b // 2) to s + b // 2.

    Args:
        n: number of masks.
        shape: grid of a mask, any rank.
        block_size: side of a block in cells; it covers a shorter axis entirely.
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
    algorithm 1. Deviations from PatchUp's code: any rank, sides cut to the axis, even sides, grids that are not square.
    """
    probability = seed_probability(shape, block_size, gamma, gamma_mode=gamma_mode)
    hit = torch.rand(n, *shape, dtype=torch.float32, device=device, **source(generator)) < probability
    for axis, size in enumerate(shape, start=1):
        side = min(block_size, size)
        before, after = side // 2, side - 1 - side // 2
        if seed_region == "valid":
            hit = hit.narrow(axis, after, size - side + 1)
            before, after = side - 1, side - 1
        hit = F.pad(hit, [0, 0] * (len(shape) - axis) + [before, after])
        hit = _dilate(hit, axis, side) if block_size <= size else _dilate_by_counts(hit, axis, side)
    return (~hit).float()


def seed_probability(
    shape: Sequence[int], block_size: int, gamma: float, *, gamma_mode: GammaMode = "nominal"
) -> float:
    """The probability that a cell is the seed of a block.

    Args:
        shape: grid, any rank.
        block_size: side of a block; it covers a shorter axis entirely.
        gamma: target share of cells in blocks, in [0, 1].
        gamma_mode: "nominal" for the papers' gamma · ΠF / (Πb · Π(F - b + 1)) with sizes F and sides b, at most 1. It
            neglects overlaps, and assumes seeds whose block lies inside the grid although the papers draw seeds
            everywhere, so that 0.5 with blocks of 7 alters 0.49 of a 32 x 32 grid and 0.99 of an 8 x 8 one.
            "calibrated" for 1 - (1 - gamma)^(1 / Πb): away from the border, a cell is altered with probability exactly
            gamma.

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
    """Whether any of the `side` cells starting at each cell along an axis is hit; `side` - 1 cells shorter."""
    reach = 1
    while reach < side:
        step = min(reach, side - reach)
        left = hit.shape[axis] - step
        hit = hit.narrow(axis, 0, left) | hit.narrow(axis, step, left)
        reach += step
    return hit


def _dilate_by_counts(hit: Tensor, axis: int, side: int) -> Tensor:
    """`_dilate` in two steps whatever the side, which on short axes may be a dynamic size in compiled code."""
    before = F.pad(hit.cumsum(axis), [0, 0] * (hit.ndim - 1 - axis) + [1, 0])
    left = before.shape[axis] - side
    return before.narrow(axis, side, left) > before.narrow(axis, 0, left)
