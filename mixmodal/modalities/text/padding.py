"""Texts padded to one length, with a mask of real tokens."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor

from mixmodal.core.checks import is_number, is_whole, require
from mixmodal.modalities.batches import stacked


class Padded(NamedTuple):
    """Padded texts.

    Args:
        ids: token ids, int64 (B, T).
        lengths: number of real tokens of each text, int64 (B,).
        valid: bool (B, T), True where a token is real.
        labels: the labels of the samples, collated; None without labels.

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
    """A `collate_fn` that pads texts on the right; picklable, so that workers can run it.

    Samples are pairs of token ids and a label; or mappings, as made by a `transformers` tokeniser and stored by
    `datasets`. Of a mapping, "input_ids", "attention_mask" and the fields of `per_token` are padded, and the others are
    collated under their names: numbers, or equally many of them in each sample, to a tensor; texts to a list.

    A text without tokens has no valid location. A batch of such texts is one location wide.

    Args:
        pad_id: id of the pad token.
        multiple: make T a multiple of this, for tensor cores.
        per_token: the fields of a mapping, besides its ids and mask, that have a value for each token, and the value
            that pads them: {"labels": -100} if tokens are labelled, as a loss with `ignore_index=-100` then ignores the
            padding. It may name fields that samples lack. It adds to "token_type_ids", padded with 0, and
            "special_tokens_mask", padded with 1.

    Raises:
        ValueError: `pad_id` is None, as for a tokeniser without a pad token.

    >>> ids, lengths, valid, labels = PadCollate(0)([([5, 6, 7], 1), ([8], 0)])
    >>> ids, lengths
    (tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([3, 1]))
    >>> tokens = [{"input_ids": [5, 6], "labels": [1, 0]}, {"input_ids": [8], "labels": [2]}]
    >>> PadCollate(0, per_token={"labels": -100})(tokens)["labels"]
    tensor([[   1,    0],
            [   2, -100]])
    """

    pad_id: int
    _: KW_ONLY
    multiple: int = 1
    per_token: Mapping[str, int | float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.pad_id is None:
            raise ValueError(
                "pad_id=None: the vocabulary has no pad token; give it one, as in tokenizer.pad_token = "
                "tokenizer.eos_token, or pass the id of a token that is in no text"
            )
        whole = is_whole(self.pad_id) and -(2**63) <= self.pad_id < 2**63
        require(whole, "pad_id", self.pad_id, "be the id of a token, a whole number of at most 64 bits")
        require(is_whole(self.multiple) and self.multiple > 0, "multiple", self.multiple, "be 1 or more")
        object.__setattr__(self, "multiple", int(self.multiple))
        told = isinstance(self.per_token, Mapping) and all(
            isinstance(pad, bool) or is_number(pad) for pad in self.per_token.values()
        )
        require(told, "per_token", self.per_token, "say by which number each field is padded, as in {'labels': -100}")
        object.__setattr__(self, "per_token", dict(self.per_token))

    @overload
    def __call__(self, samples: Sequence[tuple[Sequence[int] | Tensor, Any]]) -> Padded: ...
    @overload
    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]: ...
    def __call__(self, samples: Sequence[Any]) -> Any:
        """Pad and collate.

        Args:
            samples: token ids, integers (T_i,), and labels; or mappings with "input_ids" (T_i,).

        Returns:
            The texts; for mappings, a dictionary of their fields: "input_ids" (B, T); "attention_mask" int64 (B, T),
            1 where a token is real; those of `per_token` (B, T, ...); and the others.

        Raises:
            TypeError: token ids that are not integers; a field that cannot be collated.
            ValueError: mappings with different fields; a per-token field whose number of values is not the number of
                tokens; a field with different numbers of values that is not named in `per_token`.
        """
        if not len(samples):
            raise ValueError("samples=[] holds no text; leave empty batches out")
        if isinstance(samples[0], Mapping):
            return self._fields(samples)
        texts = [_token_ids(ids) for ids, _ in samples]
        lengths = torch.tensor([len(text) for text in texts])
        width = self._width(texts)
        labels = stacked("labels", [label for _, label in samples])
        return Padded(_padded(texts, width, self.pad_id), lengths, torch.arange(width) < lengths[:, None], labels)

    def _fields(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch of mappings."""
        _check_fields(samples)
        texts = [_token_ids(sample["input_ids"]) for sample in samples]
        width = self._width(texts)
        pads = {**TOKENIZERS_OWN, **self.per_token, "input_ids": self.pad_id, "attention_mask": 0}
        masks = {} if "attention_mask" in samples[0] else {"attention_mask": [torch.ones_like(ids) for ids in texts]}
        batch = {}
        for name in [*samples[0], *masks]:
            values = masks[name] if name in masks else [sample[name] for sample in samples]
            if name in pads:
                rows = texts if name == "input_ids" else [_as_tensor(name, value) for value in values]
                _check_per_token(name, rows, texts)
                batch[name] = _padded(rows, width, pads[name])
            else:
                batch[name] = _collated(name, values)
        return batch

    def _width(self, texts: Sequence[Tensor]) -> int:
        return -(-max(1, *map(len, texts)) // self.multiple) * self.multiple


TOKENIZERS_OWN: Mapping[str, int] = {"token_type_ids": 0, "special_tokens_mask": 1}
"""Fields of a tokeniser with a value for each token, and the values its own `pad` fills them with."""


def _token_ids(ids: Sequence[int] | Tensor) -> Tensor:
    """Token ids as int64 (T,)."""
    text = _as_tensor("token ids", ids)
    if text.ndim != 1 or (text.is_floating_point() and len(text)):
        raise TypeError(f"token ids must be integers (T,), got {text.dtype} of shape {tuple(text.shape)}")
    return text.long()


def _as_tensor(name: str, value: Any) -> Tensor:
    """Numbers as a tensor.

    Raises:
        TypeError: they are not numbers, or are too large for 64 bits.
    """
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be numbers, got {value!r:.80} ({error!s:.100})") from error


def _padded(rows: Sequence[Tensor], width: int, pad: int | float) -> Tensor:
    """Values (T_i, ...) as one tensor (B, width, ...)."""
    filled = [row for row in rows if len(row)]  # an empty list does not reveal its type
    types = [torch.result_type(row, pad) for row in filled]
    dtype = functools.reduce(torch.promote_types, types) if types else None
    padded = torch.full((len(rows), width, *(filled[0].shape[1:] if filled else ())), pad, dtype=dtype)
    for place, row in zip(padded.unbind(), rows, strict=True):
        if len(row):
            place[: len(row)] = row
    return padded


def _collated(name: str, values: Sequence[Any]) -> Any:
    """Values that are not per token, as one tensor if they are numbers."""
    if any(
        isinstance(part, str) for value in values for part in (value if isinstance(value, list | tuple) else [value])
    ):
        return list(values)
    if isinstance(values[0], list | tuple) or hasattr(values[0], "__array__"):
        values = [_as_tensor(name, value) for value in values]
    sizes = {tuple(value.shape) for value in values if isinstance(value, Tensor)}
    if len(sizes) > 1:
        raise ValueError(
            f"{name} has the shapes {sorted(sizes)}, which cannot be batched: if it has a value for each token, say by "
            f"which one it is padded, as in PadCollate(..., per_token={{{name!r}: -100}})"
        )
    return stacked(name, list(values))


def _check_fields(samples: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError unless all samples have the same fields, including token ids."""
    for place, sample in enumerate(samples):
        if "input_ids" not in sample:
            raise ValueError(f"sample {place} has no field 'input_ids' but {', '.join(map(repr, sample)) or 'none'}")
        if sample.keys() != samples[0].keys():
            odd = sorted(sample.keys() ^ samples[0].keys())
            raise ValueError(f"samples 0 and {place} must have the same fields, and one of them lacks {odd}")


def _check_per_token(name: str, rows: Sequence[Tensor], texts: Sequence[Tensor]) -> None:
    """Raise ValueError unless a field has a value for each token, all of one shape."""
    for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
        if row.ndim == 0 or len(row) != len(text):
            raise ValueError(
                f"{name} of sample {place} has the shape {tuple(row.shape)}, and the text {len(text)} tokens: a field "
                f"of `per_token` has a value for each"
            )
    shapes = sorted({tuple(row.shape[1:]) for row in rows if len(row)})  # an empty list does not reveal its shape
    if len(shapes) > 1:
        raise ValueError(f"{name} has values of the shapes {shapes} for a token, and must have them of one shape")


def from_torchtext(field: Tensor | tuple[Tensor, Tensor], *, pad_id: int, batch_first: bool = False) -> Padded:
    """The text of a batch from torchtext's `BucketIterator`, as `Padded`.

    Args:
        field: `batch.text` of a batch: ids (T, B), or (ids, lengths) for a field with `include_lengths=True`.
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
