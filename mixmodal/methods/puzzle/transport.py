"""A grid cut into blocks, and blocks moved to other positions in it."""

import functools
import importlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mixmodal.core.devices import on_host

HELD = 2**24
"""Number of transport costs held in memory at once: larger batches are planned in parts."""


@dataclass(frozen=True)
class Blocks:
    """A grid cut into blocks: cell p of an axis with s cells and n blocks belongs to block floor(p · n / s).

    Args:
        grid: sizes of the grid, any rank.
        counts: number of blocks along each axis, from 1 to its size.

    >>> blocks = Blocks((5,), (2,))
    >>> blocks.sums(torch.arange(5.0)), blocks.spread(torch.tensor([0, 1]))
    (tensor([3., 7.]), tensor([0, 0, 0, 1, 1]))
    """

    grid: tuple[int, ...]
    counts: tuple[int, ...]

    def split(self, side: int) -> "Blocks":
        """Each block cut into blocks of about `side` cells along each axis, at least one."""
        sizes = [size // count for size, count in zip(self.grid, self.counts, strict=True)]
        parts = [size // min(side, size) for size in sizes]
        return Blocks(self.grid, tuple(count * part for count, part in zip(self.counts, parts, strict=True)))

    def sums(self, x: Tensor) -> Tensor:
        """The sum (..., *counts) of `x` (..., *grid) in each block."""
        for axis, (size, count) in enumerate(zip(self.grid, self.counts, strict=True)):
            start, end = self._borders(axis, x.device)
            cells = start[:, None] + torch.arange(-(-size // count), device=x.device)
            inside = (cells < end[:, None]).view(*cells.shape, *[1] * (len(self.grid) - axis - 1))
            dim = axis - len(self.grid)
            x = cut(x.index_select(dim, cells.clamp(max=size - 1).flatten()), dim, count)
            x = torch.where(inside, x, 0).sum(dim)
        return x

    def means(self, x: Tensor) -> Tensor:
        """The mean (..., *counts) of `x` (..., *grid) in each block."""
        return self.sums(x) / self.sums(torch.ones(self.grid, dtype=x.dtype, device=x.device))

    def shares(self, x: Tensor) -> Tensor:
        """Each block's share (B, *counts) of its sample's sum, for `x` (B, *grid); equal shares if the sum is 0."""
        sums = self.sums(x)
        total = sums.flatten(1).sum(1).view(-1, *[1] * len(self.counts))
        return torch.where(total > 0, sums / torch.where(total > 0, total, 1), 1 / math.prod(self.counts))

    def spread(self, x: Tensor) -> Tensor:
        """For each cell the value of its block, (..., *grid), for `x` (..., *counts)."""
        for axis in range(len(self.grid)):
            x = x.index_select(axis - len(self.grid), self._block(axis, x.device))
        return x

    def distances(self, device: torch.device) -> Tensor:
        """Distances between blocks, (N, N) for N blocks: sums of squared offsets, as fractions of each axis's extent.

        They are scaled by N^(2 / rank) / N, where rank counts the axes with several blocks, so that the distance to the
        next block weighs as much against 1 / N, the mean saliency of a block, as it does in two dimensions.
        """
        total = torch.zeros(1, 1, dtype=torch.float32, device=device)
        for count in self.counts:
            place = torch.arange(count, dtype=torch.float32, device=device) / max(count - 1, 1)
            along = (place[:, None] - place).square()
            total = (total[:, None, :, None] + along[:, None]).reshape(len(total) * count, -1)
        rank = max(sum(count > 1 for count in self.counts), 1)
        return total * float(math.prod(self.counts) ** (2 / rank - 1))

    def cells(self, source: Tensor) -> Tensor:
        """Where each cell takes its value from when each block takes the values of another.

        A cell keeps its offset in the block, or takes the last cell along an axis on which the other block is shorter.

        Args:
            source: the block to take, as an index into the flattened blocks, int64 (B, N); -1 for none.

        Returns:
            int64 (B, *grid), indices into the flattened grid; -1 for none.
        """
        rank = len(self.grid)
        taken = self.spread(source.view(-1, *self.counts))
        left, cell, stride = taken.clamp(min=0), torch.zeros_like(taken), 1
        for axis in reversed(range(rank)):
            start, end = self._borders(axis, source.device)
            offset = torch.arange(self.grid[axis], device=source.device) - start[self._block(axis, source.device)]
            block = left % self.counts[axis]
            place = torch.minimum(start[block] + offset.view(-1, *[1] * (rank - axis - 1)), end[block] - 1)
            left, cell, stride = left // self.counts[axis], cell + place * stride, stride * self.grid[axis]
        return torch.where(taken >= 0, cell, -1)

    def _block(self, axis: int, device: torch.device) -> Tensor:
        """The block of each cell along an axis."""
        return torch.arange(self.grid[axis], device=device) * self.counts[axis] // self.grid[axis]

    def _borders(self, axis: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """First cell of each block along an axis, and the first one after it."""
        border = -(-torch.arange(self.counts[axis] + 1, device=device) * self.grid[axis] // self.counts[axis])
        return border[:-1], border[1:]


def cut(x: Tensor, dim: int, count: int) -> Tensor:
    """`x` with the axis `dim` split in two: `count` parts of equal length, and the cells of a part.

    >>> cut(torch.tensor([1, 2, 3, 4]), 0, 2)
    tensor([[1, 2],
            [3, 4]])
    """
    dim %= x.ndim
    return x.reshape(*x.shape[:dim], count, x.shape[dim] // count, *x.shape[dim + 1 :])


def plan(
    blocks: Blocks, saliency: Tensor, kept: Tensor, *, t_eps: float, method: Literal["heuristic", "exact"]
) -> Tensor:
    """Which block each block takes, so that salient blocks end up where they are kept without moving far.

    Args:
        blocks: the grid and its blocks.
        saliency: saliency of each block, (B, *counts), 0 or more.
        kept: share of each block that the mix shows, (B, *counts).
        t_eps: cost of distance relative to saliency.
        method: "heuristic" for `assign_greedily` with as many rounds as the longest axis has blocks, "exact" for
            `assign_exactly`.

    Returns:
        int64 (B, N), indices into the flattened blocks; -1 for none.

    >>> plan(Blocks((2,), (2,)), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), t_eps=0.1, method="exact")
    tensor([[1, 0]])

    Source: Kim et al., Puzzle Mix (ICML 2020), the transport; the code published with it, mixup.py, mask_transport.
    """
    far = float(t_eps) * blocks.distances(saliency.device)
    rounds = functools.partial(assign_greedily, rounds=max(blocks.counts))
    assign = assign_exactly if method == "exact" else rounds
    size = max(HELD // far.numel(), 1)
    gain, seen = saliency.flatten(1)[:, :, None], (kept > 0).flatten(1)[:, None]
    starts = range(0, len(gain), size)
    return torch.cat([assign(far - gain[start : start + size] * seen[start : start + size]) for start in starts])


def assign_greedily(cost: Tensor, *, rounds: int) -> Tensor:
    """Sources and targets matched by bids, for the whole batch at once.

    In each round a source bids for its cheapest target, and of those that bid for the same target the cheapest wins,
    if its cost is not above 0. For each of the others, that target costs 1 more from then on. The winners of the last
    round are the plan.

    Args:
        cost: cost of sending each source to each target, (B, sources, targets).
        rounds: number of rounds, 1 or more.

    Returns:
        The source of each target, int64 (B, targets); -1 for none.

    >>> assign_greedily(torch.tensor([[[-2.0, -1.5], [-3.0, -2.5]]]), rounds=2)
    tensor([[1, 0]])

    Source: the code published with Puzzle Mix, mixup.py, mask_transport. Deviations: the losers' penalty is added in
    every round, as was intended; among ties, the first source wins; a cost of exactly 0 wins.
    """
    cost, sources = cost.clone(), torch.arange(cost.shape[1], device=cost.device)
    nobody = torch.full_like(cost[:, 0], len(sources), dtype=torch.int64)
    for _ in range(rounds):
        wish = cost.argmin(2, keepdim=True)
        bid, wish = cost.gather(2, wish)[..., 0], wish[..., 0]
        lowest = torch.full_like(cost[:, 0], torch.inf).scatter_reduce(1, wish, bid, "amin")
        fits = (bid <= 0) & (bid == lowest.gather(1, wish))
        winner = nobody.scatter_reduce(1, wish, torch.where(fits, sources, len(sources)), "amin")
        lost = winner.gather(1, wish) != sources
        if on_host(cost) and not (lost & (bid <= 0)).any():
            break  # none of the remaining sources can win
        cost.scatter_(2, wish[..., None], (bid + lost)[..., None])
    return torch.where(winner < len(sources), winner, -1)


def assign_exactly(cost: Tensor) -> Tensor:
    """One-to-one assignment of sources to targets at the least total cost, sample by sample on the CPU.

    Args:
        cost: cost of sending each source to each target, (B, N, N).

    Returns:
        The source of each target, int64 (B, N), on the device of `cost`.

    Raises:
        ImportError: scipy is missing.

    >>> assign_exactly(torch.tensor([[[-2.0, -1.0], [-3.0, -2.5]]]))
    tensor([[0, 1]])

    Source: Kuhn, The Hungarian Method for the Assignment Problem (1955), as scipy solves it.
    """
    assign = needs_scipy("optimize").linear_sum_assignment
    plans = [torch.from_numpy(assign(each.T.double().numpy())[1]) for each in cost.cpu()]
    return torch.stack(plans).to(cost.device)


def needs_scipy(module: str) -> Any:
    """A module of scipy, or an ImportError that says how to install it."""
    try:
        return importlib.import_module(f"scipy.{module}")
    except ImportError as error:
        raise ImportError(
            "the exact solver and the exact transport of PuzzleMix need scipy: pip install 'mixmodal[puzzle]', or use "
            "PuzzleMix(solver='torch', transport='heuristic')"
        ) from error
