"""Batches of texts: samples of like length together, padded, with marks of what is real."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, SequentialSampler

from mixmodal.core.checks import is_whole, require


class LengthBucketBatchSampler(BatchSampler):
    """Batches of samples of like length, so that little is padded, in an order that is random all the same.

    All samples are shuffled and cut into chunks of `chunk` batches; each chunk is sorted by falling length and cut into
    batches; whole batches are shuffled, and a smaller one comes last. The order follows from the seed and the epoch
    alone. In several processes each takes an even share of every batch of `world_size` · `batch_size` samples: no
    sample is lost or repeated, and all processes have the same number of batches.

    Args:
        lengths: length of each sample in any unit, integers of 0 or more, (N,).
        batch_size: samples in a batch, of each process; the last batch of an epoch may be smaller.
        chunk: batches in a chunk; 1 does not sort at all but within a batch.
        shuffle: whether to shuffle; if False chunks and batches come in order.
        seed: seed of the order.
        drop_last: leave out the samples that do not fill a batch.
        rank: number of this process.
        world_size: number of processes; 1 also where a framework such as Accelerate shards the loader itself.

    Raises:
        ValueError: an argument out of range; fewer samples than processes.

    >>> batches = LengthBucketBatchSampler([3, 9, 4, 8, 2], 2, shuffle=False)
    >>> list(batches)
    [[1, 3], [2, 0], [4]]

    Source: Harris et al., FMix (2020), section 5, by torchtext's BucketIterator.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Tensor,
        batch_size: int,
        *,
        chunk: int = 100,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        for name, value in {"batch_size": batch_size, "chunk": chunk, "world_size": world_size}.items():
            require(is_whole(value) and value > 0, name, value, "be a whole number, 1 or more")
        require(is_whole(rank) and 0 <= rank < world_size, "rank", rank, f"be one of {world_size} processes, from 0")
        require(is_whole(seed), "seed", seed, "be a whole number")
        self.lengths = torch.as_tensor(lengths)
        if self.lengths.ndim != 1 or self.lengths.is_floating_point() or (self.lengths < 0).any():
            raise ValueError(
                f"lengths has dtype {self.lengths.dtype} and shape {tuple(self.lengths.shape)} and must hold one whole "
                f"number, 0 or more, for each sample"
            )
        if len(self.lengths) < world_size:
            raise ValueError(f"lengths has {len(self.lengths)} samples, fewer than the {world_size} processes")
        super().__init__(SequentialSampler(range(len(self.lengths))), int(batch_size), drop_last)
        self.chunk, self.shuffle, self.seed = int(chunk), shuffle, int(seed)
        self.rank, self.world_size = int(rank), int(world_size)
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Give the batches the order of this epoch, and go on from batch number `start`, to resume within it."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        whole, size = self.batch_size * self.world_size, len(self.lengths)
        left = size % whole
        return size // whole + (not self.drop_last and left >= self.world_size) - self.start

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        size, whole = len(self.lengths), self.batch_size * self.world_size
        order = torch.randperm(size, generator=generator) if self.shuffle else torch.arange(size)
        order = torch.cat([self._sorted(part) for part in _cut(order, self.chunk * whole)])
        batches, left = _cut(order[: size // whole * whole], whole), order[size // whole * whole :]
        if self.shuffle:
            batches = [batches[turn] for turn in torch.randperm(len(batches), generator=generator).tolist()]
        if not self.drop_last and 0 < len(left) < self.world_size:  # too few for a batch of their own
            batches[-1] = torch.cat([batches[-1], left])
        elif not self.drop_last and len(left):
            batches.append(left)
        for batch in batches[self.start :]:
            yield batch[self.rank :: self.world_size].tolist()

    def _sorted(self, samples: Tensor) -> Tensor:
        """Samples by falling length, those of the same length in their order."""
        return samples[self.lengths[samples].argsort(descending=True, stable=True)]


def _cut(order: Tensor, size: int) -> list[Tensor]:
    """Pieces of a size; the last may be shorter."""
    return [order[start : start + size] for start in range(0, len(order), size)]
