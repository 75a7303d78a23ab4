"""What the mask generators build on: where values may be read, sources of randomness, and the selection of cells."""

import torch
from torch import Tensor

from mixmodal.core.devices import on_host

MANY = 2**15
"""Values from which on a row's histogram is cheaper than a search in all of them."""

LEVELS = 1024
"""Bins of that histogram."""


def top(field: Tensor, count: Tensor) -> Tensor:
    """1 on the `count` (n,) largest of each row of `field` (n, N), exactly, also where cells are equal."""
    if on_host(field):
        mask = torch.empty_like(field)
        mark = _mark_top if field.shape[1] < MANY else _mark_top_of_many
        for row, ones, into in zip(field.unbind(), count.tolist(), mask.unbind(), strict=True):
            mark(row, ones, into)
        return mask
    key = _ordered(field)
    kth = _kth_largest(key, count.clamp(min=1))[:, None]
    above, equal = key > kth, key == kth
    left = count - above.sum(1)
    return (above | (equal & (equal.cumsum(1) <= left[:, None]))).float()


def _mark_top(row: Tensor, ones: int, into: Tensor) -> None:
    """Fill `into` (N,) with 1 on the `ones` largest of `row` and 0 elsewhere, by a search in the smaller side."""
    few = min(ones, len(row) - ones)
    chosen = row.topk(few, largest=few == ones, sorted=False).indices
    into.fill_(few != ones).index_fill_(0, chosen, few == ones)


def _mark_top_of_many(row: Tensor, ones: int, into: Tensor) -> None:
    """`_mark_top` by a histogram: only the level that the boundary runs through is searched."""
    low, high = row.aminmax()
    scale = (LEVELS - 1) / (high - low).clamp(min=torch.finfo(row.dtype).tiny)
    level = (row - low).mul_(scale).short()
    up_to = level.bincount(minlength=LEVELS).cumsum(0)
    zeros = len(row) - ones
    boundary = int(torch.searchsorted(up_to, zeros))
    torch.ge(level, boundary, out=into)
    there = (level == boundary).nonzero()[:, 0]
    left = zeros - int(up_to[boundary]) + len(there)
    into.index_fill_(0, there[row[there].topk(left, largest=False, sorted=False).indices], 0)


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


def ramp(field: Tensor, count: Tensor, width: Tensor) -> Tensor:
    """By falling rank in `field` (n, N): 1, then 2 · `width` even steps from 1 to 0 about rank `count`, then 0."""
    order = field.argsort(1, descending=True)
    rank = torch.arange(field.shape[1], device=field.device)
    width = width.clamp(min=1)[:, None]  # one step is the hard edge itself
    value = 1 - (rank - (count[:, None] - width)).to(field.dtype) / (2 * width - 1)
    return torch.zeros_like(field).scatter(1, order, value.clamp(0, 1))
