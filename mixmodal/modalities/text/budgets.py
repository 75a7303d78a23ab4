"""Batches within a budget of padded tokens, with the same number of batches in each epoch and process."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class BudgetPlan:
    """How long the samples of each batch may be, fixed for all epochs, so that each has the same number of batches.

    Args:
        order: samples by batch, all processes together, int64 (N,).
        sizes: number of samples in each batch, all processes together.
        bounds: the length that each sample counts as, int64 (N,); samples that count as equally long change places.
    """

    order: Tensor
    sizes: list[int]
    bounds: Tensor

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """The order of an epoch: samples change places with others that count as equally long."""
        places = self.bounds[self.order].argsort(stable=True)
        drawn = torch.randperm(len(self.order), generator=generator)
        order = torch.empty_like(self.order)
        order[places] = drawn[self.bounds[drawn].argsort(stable=True)]
        return order


def plan_batches(
    lengths: Tensor, order: Tensor, *, max_tokens: int, most: int, chunk: int, world_size: int, exact: bool
) -> BudgetPlan:
    """Cut samples into batches that are filled one after the other, leaving no process without a sample.

    Args:
        lengths: length of each sample, int64 (N,).
        order: all samples in the order in which chunks are cut, int64 (N,).
        max_tokens: maximum of samples times longest length for a batch, in each process.
        most: maximum number of samples in a batch, in each process.
        chunk: number of batches, at their mean size, in a chunk, which is sorted by decreasing length.
        world_size: number of processes, each of which takes its share of every batch.
        exact: whether samples count with their exact lengths; if False, with these rounded up, by less than an eighth.

    Raises:
        ValueError: a sample is longer than `max_tokens`; samples are left over that do not fit into any batch.

    >>> lengths = torch.tensor([9, 2, 4, 3, 4])
    >>> plan = plan_batches(lengths, torch.arange(5), max_tokens=9, most=5, chunk=9, world_size=1, exact=True)
    >>> [batch.tolist() for batch in plan.order.split(plan.sizes)]
    [[0], [2, 4], [3, 1]]
    """
    if lengths.max() > max_tokens:
        longest = int(lengths.argmax())
        raise ValueError(
            f"max_tokens={max_tokens} must be at least {int(lengths[longest])}, the length of sample {longest}; or cut "
            f"texts to it"
        )
    bounds = lengths.clamp(min=1)
    if not exact:
        bounds = _rounded_up(bounds).clamp(max=max_tokens)
    typical = min(max(max_tokens * len(bounds) // int(bounds.sum()), 1), most)
    batches: list[Tensor] = []
    rest = order[:0]
    for part in torch.split(order, chunk * typical * world_size):
        rest = torch.cat([rest, part])
        rest = rest[bounds[rest].argsort(descending=True, stable=True)]
        while len(rest) and len(rest) >= (size := world_size * min(max_tokens // int(bounds[rest[0]]), most)):
            batches.append(rest[:size])
            rest = rest[size:]
    if len(rest) >= world_size:
        batches.append(rest)
    elif len(rest):
        batches = _with_few(batches, rest, max_tokens, world_size)
    return BudgetPlan(torch.cat(batches), [len(batch) for batch in batches], bounds)


def largest(batches: list[Tensor], lengths: Tensor, world_size: int) -> int:
    """The index of the batch with the most padded tokens in a process; among ties, the one with the longest sample."""
    longest = [int(lengths[batch].max()) for batch in batches]
    tokens = [-(-len(batch) // world_size) * length for batch, length in zip(batches, longest, strict=True)]
    return max(range(len(batches)), key=lambda place: (tokens[place], longest[place]))


def _with_few(batches: list[Tensor], few: Tensor, max_tokens: int, world_size: int) -> list[Tensor]:
    """Batches, and one more from too few samples to give each process one, filled up from another batch."""
    lacking = world_size - len(few)
    for place in reversed(range(len(batches))):
        batch = batches[place]
        if len(batch) >= world_size + lacking:
            filled = torch.cat([batch[-lacking:], few])
            return [*batches[:place], batch[:-lacking], *batches[place + 1 :], filled]
    raise ValueError(
        f"max_tokens={max_tokens} leaves {len(few)} of {sum(map(len, [*batches, few]))} samples for {world_size} "
        f"processes, which must have the same number of batches, and all others make a batch alone; leave so many "
        f"samples out, or give more tokens or a larger batch_size"
    )


def _rounded_up(lengths: Tensor) -> Tensor:
    """Lengths rounded up to four significant bits, 1 to 16 unchanged; int64, 1 or more.

    >>> _rounded_up(torch.tensor([7, 16, 17, 33, 1000]))
    tensor([   7,   16,   18,   36, 1024])
    """
    bits = torch.floor(torch.log2(lengths.double())).long()
    step = 2 ** (bits - 3).clamp(min=0)
    return -(-lengths // step) * step
