"""Texts padded to one length, with marks of what is real."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import default_collate

from mixmodal.core.checks import is_whole, require


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
        require(is_whole(self.multiple) and self.multiple > 0, "multiple", self.multiple, "be 1 or more")
        object.__setattr__(self, "multiple", int(self.multiple))

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
