"""Whole batches by index, in an order that depends on seed and epoch alone, read by workers where that pays off."""

import os
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from recipes.data.disk.kept import Ragged
from recipes.data.disk.lazy import Lazy, Samples, draw_of, read

KEPT = (
    *("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "generator"),
    *("prefetch_factor", "persistent_workers", "pin_memory_device", "in_order"),
)
"""Settings that a loader keeps when its batches are dealt out."""
MOST_WORKERS = 8
"""Most workers of each process if no number is asked for."""


class Columns(Dataset[tuple[Tensor, ...]]):
    """N samples and what belongs to each, such as its label, read a batch at a time.

    With a seed and random samples, number n is sample n % N as it is in epoch n // N.
    """

    def __init__(self, *columns: Samples, seed: int | None = None) -> None:
        self.columns = columns
        self.seed = seed if any(isinstance(column, Lazy) and column.random for column in columns) else None

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(column[0] for column in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The samples of a whole batch at once, stacked."""
        size, seed = len(self), self.seed
        chosen = torch.tensor(indices) % size
        draws = None if seed is None else [draw_of(seed, *divmod(index, size)) for index in indices]
        return tuple(read(column[chosen], draws) for column in self.columns)


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Sequences of any length, each with its label."""

    def __init__(self, sequences: Sequence[Tensor], labels: Tensor) -> None:
        self.sequences, self.labels = sequences, labels

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The samples of a batch."""
        of = self.sequences
        found = of.read(indices) if isinstance(of, Ragged) else [of[index] for index in indices]
        return list(zip(found, self.labels[torch.tensor(indices)].unbind(), strict=True))

    @property
    def lengths(self) -> list[int]:
        """Length of each sequence."""
        return self.sequences.lengths if isinstance(self.sequences, Ragged) else [len(each) for each in self.sequences]


class Shuffled(Sampler[int]):
    """Samples in an order that is drawn for each epoch, from the seed and the epoch alone.

    With weights (size,), samples are drawn with replacement, in proportion to their weights. With `counts_on`, numbers
    in epoch e start at e * size, so that they also tell the epoch, in whichever process they are read.
    """

    def __init__(self, size: int, *, seed: int, weights: Tensor | None = None, counts_on: bool = False) -> None:
        self.size = size
        self.seed = seed
        self.weights = weights
        self.counts_on = counts_on
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Use the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**64)
        if self.weights is None:
            order = torch.randperm(self.size, generator=generator)
        else:
            order = torch.multinomial(self.weights, self.size, replacement=True, generator=generator)
        return iter((order + self.epoch * self.size if self.counts_on else order).tolist())


class ShuffledBatches(BatchSampler):
    """Batches of `Shuffled` samples; the last may be short.

    The sampler keeps the epoch, because Accelerate sets it there, however it wraps the batches.

    >>> batches = ShuffledBatches(5, 2, seed=0)
    >>> first = list(batches)
    >>> batches.set_epoch(1)
    >>> sorted(sum(first, [])), list(batches) == first
    ([0, 1, 2, 3, 4], False)
    """

    sampler: Shuffled

    def __init__(self, size: int, batch_size: int, *, seed: int, **how: Any) -> None:
        super().__init__(Shuffled(size, seed=seed, **how), batch_size, drop_last=False)

    def set_epoch(self, epoch: int) -> None:
        """Use the order of this epoch."""
        self.sampler.set_epoch(epoch)


class Dealt(BatchSampler):
    """The batches of a batch sampler, dealt to several processes in turn: no sample is lost or repeated.

    Each round, with a batch for every process, is shared out evenly, including the last. If that would leave a process
    fewer than two samples, which batch norm needs, the last two rounds are merged and split in half. The attribute
    `batch_size` is None, which tells Accelerate that sizes differ; the epoch is that of the given sampler.

    Args:
        batches: batches of one process.
        processes: number of processes.

    Raises:
        ValueError: there are fewer samples than processes, or batches of one sample that cannot be shared out evenly.

    >>> list(Dealt(BatchSampler(range(8), 3, drop_last=False), 2))
    [[0, 1], [2, 3], [4, 5], [6, 7]]
    """

    def __init__(self, batches: BatchSampler, processes: int) -> None:
        self.batches, self.processes = batches, processes
        self.sampler, self.drop_last = batches.sampler, False
        self.batch_size = None  # type: ignore[assignment]
        samples = len(batches.sampler)  # type: ignore[arg-type]
        if samples < processes:
            raise ValueError(f"{samples} samples are fewer than the {processes} processes: start fewer processes")
        if batches.batch_size == 1 and samples % processes:
            raise ValueError(
                f"batch_size=1 with {samples} samples does not give each of {processes} processes the same number of "
                f"batches: set --batch-size to 2 or more"
            )

    def __len__(self) -> int:
        return -(-len(self.batches) // self.processes) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        single = list(self.batches)
        starts = range(0, len(single), self.processes)
        rounds = [list(chain.from_iterable(single[start : start + self.processes])) for start in starts]
        if len(rounds) > 1 and len(rounds[-1]) < 2 * self.processes:
            left = rounds[-2] + rounds[-1]
            rounds[-2:] = [left[: -(-len(left) // 2)], left[-(-len(left) // 2) :]]
        for samples in rounds:
            ends = [len(samples) * process // self.processes for process in range(self.processes + 1)]
            yield from (samples[start:end] for start, end in pairwise(ends))


def dealt(loader: DataLoader[Any], processes: int) -> DataLoader[Any]:
    """A loader whose batches Accelerate deals out to several processes; for one, the same loader."""
    if processes == 1:
        return loader
    kept = {name: getattr(loader, name) for name in KEPT}
    return DataLoader(loader.dataset, batch_sampler=Dealt(loader.batch_sampler, processes), **kept)  # type: ignore[arg-type]


def shuffled_loader(
    *columns: Samples, batch_size: int, seed: int, weights: Tensor | None = None, workers: int | None = None
) -> DataLoader[tuple[Tensor, ...]]:
    """A loader of shuffled batches, read by workers if there are any; `workers_for` says how many None means.

    What is random in a sample depends on the seed, the epoch and its number, so workers change nothing.
    """
    data = Columns(*columns, seed=seed)
    batches = ShuffledBatches(len(data), batch_size, seed=seed, weights=weights, counts_on=data.seed is not None)
    return DataLoader(data, batch_sampler=batches, collate_fn=as_is, num_workers=workers_for(columns, workers))


def ordered_loader(*columns: Samples, batch_size: int, workers: int | None = None) -> DataLoader[tuple[Tensor, ...]]:
    """A loader of batches in order, in which nothing is random; see `shuffled_loader` for the workers."""
    count = workers_for(columns, workers)
    return DataLoader(Columns(*columns), batch_size=batch_size, collate_fn=as_is, num_workers=count)


def workers_for(columns: Sequence[Samples], asked: int | None) -> int:
    """How many workers read samples: as many as asked for, or one per core of this process, up to 8, if they decode.

    >>> workers_for([torch.zeros(3)], None)
    0
    """
    if asked is not None:
        return asked
    if not any(isinstance(column, Lazy) and column.reader.decodes for column in columns):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def as_is(batch: Any) -> Any:
    """The batch unchanged, which needs no collating."""
    return batch
