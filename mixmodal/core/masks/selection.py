"""What the mask generators build on: the selection of the largest cells, exact even among ties."""

import torch
from torch import Tensor

from mixmodal.core.devices import on_host
from mixmodal.core.masks.operators import compiled_on_cpu, operator

ALONE = 2**13
"""Total number of cells up to which each row is searched separately."""

BYTES = 8
"""Bools in a word."""

WORDS = 128
"""Words whose bools are counted byte by byte, as a byte holds up to 255."""


def top(field: Tensor, count: Tensor) -> Tensor:
    """1 on the `count` (n,) largest cells of each row of `field` (n, N), exactly that many even if cells are equal."""
    if on_host(field) and on_host(count):
        return _top(field, count)
    if compiled_on_cpu(field) and compiled_on_cpu(count):
        found: Tensor = torch.ops.mixmodal.top(field, count)
        return found
    key = _ordered(field)
    kth = _kth_largest(key, count.clamp(min=1))[:, None]
    above, equal = key > kth, key == kth
    left = count - above.sum(1)
    return (above | (equal & (equal.cumsum(1) <= left[:, None]))).float()


@operator("top(Tensor field, Tensor count) -> Tensor", lambda field, count: torch.empty_like(field))
def _top(field: Tensor, count: Tensor) -> Tensor:
    mask = torch.empty_like(field)
    for row in range(len(field)) if field.numel() <= ALONE else _mark_between(field, count, mask):
        _mark_top(field[row], int(count[row]), mask[row])
    return mask


def _mark_top(row: Tensor, ones: int, into: Tensor) -> None:
    """Fill `into` (N,) with 1 on the `ones` largest of `row` and 0 elsewhere, searching for the smaller side."""
    few = min(ones, len(row) - ones)
    chosen = row.topk(few, largest=few == ones, sorted=False).indices
    into.fill_(few != ones).index_fill_(0, chosen, few == ones)


def _mark_between(field: Tensor, count: Tensor, into: Tensor) -> list[int]:
    """`_mark_top` for all rows at once: two thresholds around the boundary, and a search between them.

    A sample of each row gives the first threshold, and the number of cells above it gives the second. The sample is
    about as large, by order of magnitude, as the number of cells left between them.

    Returns:
        The rows whose boundary does not lie between their thresholds, which remain to be done.
    """
    n, cells = field.shape
    step = int(1.6 * cells ** (1 / 3)) | 1  # not a multiple of a grid axis, nor close to one in a cube
    sample = field[:, ::step].sort(1).values
    group = min(WORDS, -(-cells // BYTES))
    words = torch.zeros(2, n, -(-cells // (BYTES * group)), group, dtype=torch.int64, device=field.device)
    place = (1 - count.double() / cells) * sample.shape[1]
    above: list[Tensor] = []
    for flags in words.unbind():
        torch.ge(field, _threshold(sample, place), out=flags.view(torch.bool).view(n, -1)[:, :cells])
        above.append(flags.sum(2).view(torch.uint8).view(n, -1).sum(1))
        off = above[0] - count
        place += off.double() * (1.75 * sample.shape[1] / cells) + off.sign()
    both = words.view(2, n, -1)
    width = BYTES * both.shape[2]
    low, high = torch.minimum(*above), torch.maximum(*above)
    missed = (count < low) | (count > high)
    into.copy_(torch.where((above[0] == low)[:, None], both[0], both[1]).view(torch.uint8)[:, :cells])
    between = torch.bitwise_xor(*both).masked_fill_(missed[:, None], 0).view(-1)
    word = between.nonzero()[:, 0]
    bit = between[word].view(torch.bool).nonzero()[:, 0]
    cell = word[bit // BYTES] * BYTES + bit % BYTES
    row = cell // width
    cell -= row * (width - cells)
    order = ((row << 32) - _ordered(field.flatten()[cell])).argsort()  # row by row, the largest first
    first = torch.searchsorted(row, torch.arange(n, device=field.device))
    rank = torch.arange(len(row), device=field.device) - first[row]
    into.view(-1).index_fill_(0, cell[order[rank < (count - low)[row]]], 1)
    return missed.nonzero()[:, 0].tolist()


def _threshold(sample: Tensor, place: Tensor) -> Tensor:
    """A value (n, 1) with `place` (n,) of the values in each row of the sorted `sample` (n, m) below it."""
    last, place = sample.shape[1] - 1, place[:, None] - 0.5
    before = place.floor().clamp(0, max(last - 1, 0))
    value = torch.lerp(
        sample.gather(1, before.long()),
        sample.gather(1, (before + 1).clamp(max=last).long()),
        (place - before).to(sample.dtype),
    )
    return value.masked_fill(place < 0, -torch.inf).masked_fill(place > last, torch.inf)


def _ordered(field: Tensor) -> Tensor:
    """int32 keys that sort like the float32 values of `field`."""
    bits = field.contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _kth_largest(key: Tensor, k: Tensor) -> Tensor:
    """The `k`-th largest (n,) of each row of the int32 `key` (n, N), without reading `k`.

    Short rows are sorted. Long rows are bisected by value, bit by bit: sorting millions costs more than 32 counts.
    """
    if key.shape[1] <= 4096:
        return key.sort(1, descending=True).values.gather(1, k[:, None] - 1)[:, 0]
    kth = torch.full_like(k, torch.iinfo(torch.int32).min)
    for bit in reversed(range(32)):
        higher = kth + (1 << bit)
        kth = torch.where((key >= higher[:, None].int()).sum(1, dtype=torch.int32) >= k, higher, kth)
    return kth.int()


def ramp(field: Tensor, count: Tensor, width: Tensor) -> Tensor:
    """By decreasing value in `field` (n, N): 1, then 2 · `width` even steps from 1 to 0 around rank `count`, then 0."""
    order = field.argsort(1, descending=True)
    rank = torch.arange(field.shape[1], device=field.device)
    width = width.clamp(min=1)[:, None]  # a width of one is the hard edge itself
    value = 1 - (rank - (count[:, None] - width)).to(field.dtype) / (2 * width - 1)
    return torch.zeros_like(field).scatter(1, order, value.clamp(0, 1))
