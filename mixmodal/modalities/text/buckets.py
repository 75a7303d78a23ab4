"""Batches of texts of similar length, in a new order each epoch."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler, Sampler, SequentialSampler

from mixmodal.core.checks import is_whole, require, shown
from mixmodal.modalities.text.budgets import BudgetPlan, largest, plan_batches


class LengthBucketBatchSampler(BatchSampler):
    """Batches of samples of similar length, so that little is padded, yet in a random order.

    All samples are shuffled and cut into chunks of `chunk` batches; each chunk is sorted by decreasing length and cut
    into batches; full batches are shuffled, and smaller ones come last. The order depends on the seed and the epoch
    alone. With several processes, each takes an even share of every batch of `world_size` · `batch_size` samples: no
    sample is lost or repeated, and all processes have the same number of batches.

    The epoch is stored in `sampler`, a torch `DistributedSampler`, where Accelerate, Lightning and the Hugging Face
    Trainer set it, so that each of their epochs has its own order. In your own training loop, call `set_epoch`.

    - Lightning gives each process its share through `sampler`; leave `rank` and `world_size` as they are.
    - Accelerate deals batches out to its processes. With the default arguments it repeats samples until the last
      batches are full (103 samples become 112 in two processes with batches of 8); with `rank=None` and
      `world_size=accelerator.num_processes` it repeats none. To resume within an epoch, call its `skip_first_batches`:
      it sets the epoch itself whenever a loader is iterated, and with it a `start` of 0.
    - Without either, give `rank` and `world_size`, and iterate over the loader directly: a framework that deals out
      shares would leave the rest untrained.

    With `max_tokens`, batches have as many samples as fit: few long ones or many short ones. Which lengths go together
    is drawn once, from the seed, and in every epoch samples change places with others of similar length. So all
    epochs have the same number of batches, which trainers ask for only once.

    Args:
        lengths: length of each sample in any unit, integers of 0 or more, (N,): a list, an array or a tensor.
        batch_size: samples in a batch, in each process; no batch is larger, and the last of an epoch may be smaller.
            None if `max_tokens` alone limits a batch.
        max_tokens: upper limit for the number of samples in a batch, in each process, times its longest length; None
            for no such limit. A length of 0 counts as 1, and with `shuffle` lengths count as up to an eighth longer.
            The attribute `batch_size` is then None. If texts are padded to a multiple, give lengths rounded up to it.
        largest_first: whether each epoch starts with the batch that has the most padded tokens, so that training fails
            at once if memory is insufficient; without `max_tokens`, only full batches are considered.
        chunk: batches in a chunk, at their mean size if sizes differ; 1 sorts only within a batch.
        shuffle: whether to shuffle; if False, chunks and batches come in order.
        seed: seed of the order, of at most 64 bits.
        drop_last: leave out the samples that do not fill a batch; not with `max_tokens`, where sizes differ anyway.
        rank: number of this process; None for the batches of all processes in turn, which a framework deals out. The
            attribute `batch_size` is then None: sizes differ by a sample.
        world_size: number of processes.
        sampler: provides the rank, the number of processes and the epoch, in place of `rank` and `world_size`; its own
            order is not used.

    Raises:
        TypeError: `lengths` are not numbers; `sampler` has an order of its own but is not a `DistributedSampler`.
        ValueError: an argument out of range; neither `batch_size` nor `max_tokens`; a sample longer than `max_tokens`;
            fewer samples than processes; batches of one sample that cannot be shared out evenly; `sampler` is for
            another number of samples or other processes.

    >>> batches = LengthBucketBatchSampler([3, 9, 4, 8, 2], 2, shuffle=False)
    >>> list(batches)
    [[1, 3], [2, 0], [4]]
    >>> list(LengthBucketBatchSampler([3, 9, 4, 8, 2], None, max_tokens=9, shuffle=False))
    [[1], [3], [2, 0], [4]]

    Source: Harris et al., FMix (2020), section 5, which uses torchtext's BucketIterator.
    """

    sampler: DistributedSampler[int]

    def __init__(
        self,
        lengths: Sequence[int] | Tensor,
        batch_size: int | None,
        *,
        max_tokens: int | None = None,
        largest_first: bool = False,
        chunk: int = 100,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        rank: int | None = 0,
        world_size: int = 1,
        sampler: Sampler[int] | None = None,
    ) -> None:
        _check_numbers(batch_size, max_tokens, drop_last, {"chunk": chunk, "world_size": world_size})
        own = rank is None or (is_whole(rank) and 0 <= rank < world_size)
        require(own, "rank", rank, f"be one of {world_size} processes, from 0, or None for all of them")
        require(is_whole(seed) and -(2**63) <= seed < 2**64, "seed", seed, "be a whole number of at most 64 bits")
        self.lengths = _whole_numbers(lengths)
        given = None if isinstance(sampler, SequentialSampler) else sampler
        if given is not None:
            _check_agrees(given, len(self.lengths), rank, world_size)
        share: Any = DistributedSampler(self.lengths, world_size, rank or 0) if given is None else given  # type: ignore[arg-type]
        self._most, self._resumed = int(batch_size or max(len(self.lengths), 1)), (0, 0)
        super().__init__(share, self._most, drop_last)
        self.max_tokens, self.largest_first = max_tokens, largest_first
        self.chunk, self.shuffle, self.seed = int(chunk), shuffle, int(seed)
        self.rank = rank if given is None else share.rank
        if self.rank is None or max_tokens is not None:
            self.batch_size = None  # type: ignore[assignment]
        if len(self.lengths) < self.world_size:
            raise ValueError(f"lengths has {len(self.lengths)} samples, fewer than the {self.world_size} processes")
        if batch_size == 1 and not drop_last and len(self.lengths) % self.world_size:
            raise ValueError(
                f"batch_size=1 with {len(self.lengths)} samples leaves {len(self.lengths) % self.world_size} for "
                f"{self.world_size} processes, which must have the same number of batches; set drop_last=True, or a "
                f"batch_size of 2 or more"
            )
        self._plan = None if max_tokens is None else self._planned(int(max_tokens))
        self._tell_lightning(
            lengths=self.lengths,
            batch_size=batch_size,
            max_tokens=max_tokens,
            largest_first=largest_first,
            chunk=chunk,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            rank=rank,
            world_size=world_size,
            sampler=None,
        )

    @property
    def epoch(self) -> int:
        """The epoch whose order comes next."""
        return _count(self.sampler.epoch, "epoch")

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.sampler.num_replicas

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Give the batches the order of this epoch, and continue from batch number `start`, to resume within it.

        Args:
            epoch: number of the epoch, from 0.
            start: number of this process's batches to skip, in this epoch only.

        Raises:
            TypeError: not a whole number.
            ValueError: negative, or a `start` beyond the last batch.
        """
        epoch, start = _count(epoch, "epoch"), _count(start, "start")
        most = len(self._sizes())
        require(start <= most, "start", start, f"be at most {most}, the number of batches in an epoch")
        self.sampler.set_epoch(epoch)
        self._resumed = (epoch, start)
        vars(self)["__pl_attrs_record"] = [(("_resumed", self._resumed), setattr)]  # see _tell_lightning

    def __len__(self) -> int:
        return (len(self._sizes()) - self._start()) * (self.world_size if self.rank is None else 1)

    def __iter__(self) -> Iterator[list[int]]:
        ranks = range(self.world_size) if self.rank is None else (self.rank,)
        step, rounds = self.world_size, self._rounds()[self._start() :]
        return (samples[rank::step].tolist() for samples in rounds for rank in ranks)

    def _start(self) -> int:
        epoch, start = self._resumed
        return start if epoch == self.epoch else 0

    def _sizes(self) -> list[int]:
        """Number of samples in each batch, all processes together."""
        if self._plan is not None:
            return self._plan.sizes
        whole = self._most * self.world_size
        count, left = divmod(len(self.lengths), whole)
        if self.drop_last or left == 0:
            return [whole] * count
        if left >= self.world_size:
            return [whole] * count + [left]
        return [whole] * (count - 1) + [whole - self.world_size, self.world_size + left]  # one more for each process

    def _rounds(self) -> list[Tensor]:
        """The samples of an epoch, batch by batch, all processes together."""
        sizes, generator = self._sizes(), self._generator(self.epoch)
        order = self._order(generator)
        rounds = list(torch.split(order[: sum(sizes)], sizes)) if sizes else []
        if self._plan is not None:
            rounds, whole = [self._sorted(samples) for samples in rounds], len(sizes)
        else:
            whole = sizes.count(self._most * self.world_size)
        if self.shuffle:
            turns = torch.randperm(whole, generator=generator).tolist()
            rounds[:whole] = [rounds[turn] for turn in turns]
        if self.largest_first and whole:
            rounds.insert(0, rounds.pop(largest(rounds[:whole], self.lengths, self.world_size)))
        return rounds

    def _order(self, generator: torch.Generator) -> Tensor:
        """All samples in the order of an epoch, from which batches are cut."""
        if self._plan is not None:
            return self._plan.shuffled(generator) if self.shuffle else self._plan.order
        size = len(self.lengths)
        order = torch.randperm(size, generator=generator) if self.shuffle else torch.arange(size)
        parts = torch.split(order, self.chunk * self._most * self.world_size)
        return torch.cat([self._sorted(part) for part in parts])

    def _planned(self, max_tokens: int) -> BudgetPlan:
        """Batches within a token budget, for all epochs."""
        size = len(self.lengths)
        drawn = torch.randperm(size, generator=self._generator(-1)) if self.shuffle else torch.arange(size)
        return plan_batches(
            self.lengths,
            drawn,
            max_tokens=max_tokens,
            most=self._most,
            chunk=self.chunk,
            world_size=self.world_size,
            exact=not self.shuffle,
        )

    def _generator(self, epoch: int) -> torch.Generator:
        """The random generator of an epoch's order."""
        return torch.Generator().manual_seed(_folded(self.seed * 1_000_003 + epoch))

    def _sorted(self, samples: Tensor) -> Tensor:
        """Samples by decreasing length, with those of equal length in their given order."""
        return samples[self.lengths[samples].argsort(descending=True, stable=True)]

    def _tell_lightning(self, **arguments: Any) -> None:
        """Store the arguments under the names where Lightning looks for them.

        With several processes it recreates a batch sampler around its own `DistributedSampler`. If the original was not
        made inside one of Lightning's hooks, it would know only the batch size.
        """
        saved = {"args": (), "kwargs": arguments, "default_kwargs": {}, "arg_names": ()}
        vars(self).update({f"__pl_saved_{name}": value for name, value in saved.items()})


def _check_numbers(batch_size: Any, max_tokens: Any, drop_last: bool, counts: dict[str, Any]) -> None:
    """Raise ValueError unless the limits of a batch, and other counts, are 1 or more."""
    limits = {"batch_size": batch_size, "max_tokens": max_tokens}
    given = {name: value for name, value in limits.items() if value is not None}
    if not given:
        raise ValueError("batch_size=None and max_tokens=None: nothing limits a batch; pass one of them")
    for name, value in (given | counts).items():
        require(is_whole(value) and value > 0, name, value, "be a whole number, 1 or more")
    require(isinstance(drop_last, bool), "drop_last", drop_last, "be True or False")
    if max_tokens is not None and drop_last:
        raise ValueError(f"drop_last=True with max_tokens={max_tokens}: batches differ in size anyway; leave it out")


def _whole_numbers(lengths: Any) -> Tensor:
    """Lengths as int64, a copy."""
    try:
        numbers = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"lengths is {type(lengths).__name__} and must hold one whole number for each sample, as in [len(text) for "
            f"text in texts]"
        ) from error
    floating = numbers.is_floating_point() and len(numbers) > 0
    fine = numbers.ndim == 1 and not floating and not numbers.is_complex() and numbers.dtype != torch.bool
    whole = numbers.to("cpu", torch.int64, copy=True) if fine else numbers
    if not fine or (whole < 0).any():
        raise ValueError(
            f"lengths has dtype {numbers.dtype} and shape {tuple(numbers.shape)} and must hold one whole number, 0 or "
            f"more, for each sample"
        )
    return whole


def _check_agrees(sampler: Any, samples: int, rank: int | None, world_size: int) -> None:
    """Raise unless a sampler agrees with the other arguments, or fills in what they leave open."""
    if not isinstance(sampler, DistributedSampler):
        raise TypeError(
            f"sampler is {type(sampler).__name__}, whose order would be lost: batches are made of samples of like "
            f"length; give a DistributedSampler, or leave it out and set shuffle and seed"
        )
    if len(sampler.dataset) != samples:  # type: ignore[arg-type]
        raise ValueError(f"sampler is for {len(sampler.dataset)} samples, and lengths has {samples}")  # type: ignore[arg-type]
    if world_size not in (1, sampler.num_replicas) or (world_size > 1 and rank not in (None, sampler.rank)):
        raise ValueError(
            f"sampler is for process {sampler.rank} of {sampler.num_replicas}, and rank={rank} and "
            f"world_size={world_size} say otherwise; leave them out"
        )


def _count(value: Any, name: str) -> int:
    """A whole number, 0 or more, as a Python int; tensors and arrays are accepted too."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name}={shown(value)} must be a whole number, 0 or more") from error
    require(number >= 0, name, value, "be a whole number, 0 or more")
    return number


def _folded(seed: int) -> int:
    """A 64-bit seed folded so that all bits count: torch's CPU generator uses only the lower 32."""
    high, low = divmod(seed % 2**64, 2**32)
    return low ^ high * 0x9E3779B9 % 2**32
