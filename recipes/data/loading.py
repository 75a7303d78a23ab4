"""Whole batches by index, in an order that follows from seed and epoch alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler


class Tensors(Dataset[tuple[Tensor, ...]]):
    """Tensors of one length, read a batch at a time."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The samples of a whole batch at once, stacked."""
        chosen = torch.tensor(indices)
        return tuple(tensor[chosen] for tensor in self.tensors)


class Shuffled(Sampler[int]):
    """Samples in an order that is drawn anew for every epoch, from the seed and the epoch alone.

    With weights (size,) samples are drawn with replacement, as often as their weights say.
    """

    def __init__(self, size: int, *, seed: int, weights: Tensor | None = None) -> None:
        self.size = size
        self.seed = seed
        self.weights = weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Give the samples the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**64)
        if self.weights is None:
            return iter(torch.randperm(self.size, generator=generator).tolist())
        return iter(torch.multinomial(self.weights, self.size, replacement=True, generator=generator).tolist())


class ShuffledBatches(BatchSampler):
    """Batches of `Shuffled` samples; the last may be short.

    The sampler keeps the epoch, since it is there that Accelerate sets it, however it wraps the batches.

    >>> batches = ShuffledBatches(5, 2, seed=0)
    >>> first = list(batches)
    >>> batches.set_epoch(1)
    >>> sorted(sum(first, [])), list(batches) == first
    ([0, 1, 2, 3, 4], False)
    """

    sampler: Shuffled

    def __init__(self, size: int, batch_size: int, *, seed: int, weights: Tensor | None = None) -> None:
        super().__init__(Shuffled(size, seed=seed, weights=weights), batch_size, drop_last=False)

    def set_epoch(self, epoch: int) -> None:
        """Give the batches the order of this epoch."""
        self.sampler.set_epoch(epoch)


def shuffled_loader(
    *tensors: Tensor, batch_size: int, seed: int, weights: Tensor | None = None
) -> DataLoader[tuple[Tensor, ...]]:
    """A loader of shuffled batches."""
    data = Tensors(*tensors)
    batches = ShuffledBatches(len(data), batch_size, seed=seed, weights=weights)
    return DataLoader(data, batch_sampler=batches, collate_fn=as_is)


def ordered_loader(*tensors: Tensor, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
    """A loader of batches in order."""
    return DataLoader(Tensors(*tensors), batch_size=batch_size, collate_fn=as_is)


def as_is(batch: Any) -> Any:
    """The batch, which needs no collating."""
    return batch
