"""Batches of texts: samples of like length together, padded, with marks of what is real."""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, SequentialSampler, default_collate

from mixmodal.mixer import require


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
            require(type(value) is int and value > 0, name, value, "be a whole number, 1 or more")
        require(type(rank) is int and 0 <= rank < world_size, "rank", rank, f"be one of {world_size} processes, from 0")
        self.lengths = torch.as_tensor(lengths)
        if self.lengths.ndim != 1 or self.lengths.is_floating_point() or (self.lengths < 0).any():
            raise ValueError(
                f"lengths has dtype {self.lengths.dtype} and shape {tuple(self.lengths.shape)} and must hold one whole "
                f"number, 0 or more, for each sample"
            )
        if len(self.lengths) < world_size:
            raise ValueError(f"lengths has {len(self.lengths)} samples, fewer than the {world_size} processes")
        super().__init__(SequentialSampler(range(len(self.lengths))), batch_size, drop_last)
        self.chunk, self.shuffle, self.seed, self.rank, self.world_size = chunk, shuffle, seed, rank, world_size
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


class Padded(NamedTuple):
    """Padded texts.

    Args:
        ids: token ids, int64 (B, T).
        lengths: number of real tokens of each text, int64 (B,).
        valid: bool (B, T), True where a token is real.
        labels: whatever the samples were labelled with, collated; None without labels.

    >>> ids, lengths, valid, labels = PadCollate(0)([([5, 6, 7], 1), ([8], 0)])
    >>> ids.tolist(), lengths.tolist(), labels.tolist()
    ([[5, 6, 7], [8, 0, 0]], [3, 1], [1, 0])
    """

    ids: Tensor
    lengths: Tensor
    valid: Tensor
    labels: Any


@dataclass(frozen=True)
class PadCollate:
    """A `collate_fn` that pads (token ids, label) samples on the right; picklable, so that workers can run it.

    A text without tokens has no valid location. A batch of such texts is one location wide.

    Args:
        pad_id: id of the pad token.
        multiple: make T a multiple of this, for tensor cores.

    Raises:
        ValueError: `pad_id` is None, as for a tokeniser without a pad token.

    >>> ids, lengths, valid, labels = PadCollate(0)([([5, 6, 7], 1), ([8], 0)])
    >>> ids, lengths
    (tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([3, 1]))
    """

    pad_id: int
    _: KW_ONLY
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.pad_id is None:
            raise ValueError(
                "pad_id=None: the vocabulary has no pad token; give it one, as in tokenizer.pad_token = "
                "tokenizer.eos_token, or pass the id of a token that is in no text"
            )
        require(type(self.multiple) is int and self.multiple > 0, "multiple", self.multiple, "be 1 or more")

    def __call__(self, samples: Sequence[tuple[Sequence[int] | Tensor, Any]]) -> Padded:
        """Pad and collate.

        Args:
            samples: token ids, integers (T_i,), and labels.

        Raises:
            TypeError: token ids that are no integers.
        """
        texts = [torch.as_tensor(ids) for ids, _ in samples]
        for text in texts:
            if text.ndim != 1 or (text.is_floating_point() and len(text)):
                raise TypeError(f"token ids must be integers (T,), got {text.dtype} of shape {tuple(text.shape)}")
        lengths = torch.tensor([len(text) for text in texts])
        width = -(-max(int(lengths.max()), 1) // self.multiple) * self.multiple
        ids = torch.full((len(texts), width), self.pad_id)
        for row, text in zip(ids.unbind(), texts, strict=True):
            row[: len(text)] = text
        labels = default_collate([label for _, label in samples])
        return Padded(ids, lengths, torch.arange(width) < lengths[:, None], labels)


def from_torchtext(field: Tensor | tuple[Tensor, Tensor], *, pad_id: int, batch_first: bool = False) -> Padded:
    """The text of a batch of torchtext's `BucketIterator`, padded as here.

    Args:
        field: `batch.text` of a batch: ids (T, B), or (ids, lengths) of a field with `include_lengths=True`.
        pad_id: id of its pad token, `field.vocab.stoi[field.pad_token]`.
        batch_first: whether the field is `batch_first`, with ids (B, T).

    Returns:
        The texts, without labels.

    >>> from_torchtext(torch.tensor([[4, 5], [6, 1]]), pad_id=1).lengths
    tensor([2, 1])
    """
    ids, lengths = field if isinstance(field, tuple) else (field, None)
    ids = ids if batch_first else ids.T
    if lengths is None:
        place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        lengths = ((ids != pad_id) * place).amax(1)
    valid = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    return Padded(ids, lengths, valid, None)
