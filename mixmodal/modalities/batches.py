"""Batches of many fields: which are mixed, which are labels, which mark padding; also in a DataLoader."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import default_collate

from mixmodal.core.checks import check_tensor, is_number, require
from mixmodal.core.draws import Draws, without_saliency
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.arguments import marked

Key = str | int
"""What identifies a field: a name in a mapping or a named tuple, a position in a tuple or a list."""
_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class _Fields:
    """The role of each field of a batch, see `MixBatch`."""

    mixer: Draws
    _: KW_ONLY
    inputs: Key | Mapping[Key, str | None] = 0
    labels: Key | Mapping[Key, int | None] | None = 1
    num_classes: int | None = None
    label_smoothing: float = 0.0
    valid: Key | None = None
    lengths: Key | None = None
    carried: Sequence[Key] = ()

    def __post_init__(self) -> None:
        without_saliency(self.mixer, f"a {type(self).__name__}")
        if self.num_classes is not None and (self.labels is None or isinstance(self.labels, Mapping)):
            raise ValueError(
                f"num_classes={self.num_classes} is for one field of labels that is given by its name, and labels is "
                f"{self.labels!r}; write labels={{name: {self.num_classes}}}"
            )
        share = is_number(self.label_smoothing) and 0 <= self.label_smoothing <= 1
        require(share, "label_smoothing", self.label_smoothing, "lie in [0, 1]")
        if self.label_smoothing and not all(self._label_fields().values()):
            raise ValueError(
                f"label_smoothing={self.label_smoothing} is for class labels, and no number of classes is given for "
                f"each of labels={self.labels!r}"
            )
        if self.lengths is not None and self.valid is None:
            raise ValueError(f"lengths={self.lengths!r} needs valid=, the field that marks real locations")
        told = self._told()
        if isinstance(self.carried, str):
            raise ValueError(f"carried={self.carried!r} must be several names, as in carried=({self.carried!r},)")
        if not self._input_fields():
            raise ValueError(f"inputs={self.inputs!r} names no field; name one to be mixed")
        for key in told:
            if told.count(key) > 1:
                raise ValueError(
                    f"field {key!r} is named twice; a field is an input, a label, valid, lengths or carried along"
                )

    def _mixed(self, batch: _Batch, generator: torch.Generator | None = None) -> tuple[_Batch, Mix]:
        inputs, told = self._input_fields(), self._told()
        for key in told[: len(told) - len(self.carried)]:
            _field(batch, key)  # report a missing field before one that is there but not named
        for names in _keys(batch):
            if set(told).isdisjoint(names):
                raise ValueError(
                    f"the batch has a field {names[-1]!r}, and nothing says what to do with it: name it in inputs if "
                    f"it is to be mixed, in labels if it is to be a soft target, else carried=({names[-1]!r},)"
                )
        first = _field(batch, next(iter(inputs)))
        marks = None if self.valid is None else _field(batch, self.valid)
        valid = None if marks is None else marked(marks, f"field {self.valid!r}")
        mix = self.mixer.draw(first, valid=valid, generator=generator)
        changed: dict[Key, Tensor] = {key: mix(_field(batch, key), axes=axes) for key, axes in inputs.items()}
        for key, classes in self._label_fields().items():
            labels = _field(batch, key)
            changed[key] = mix.targets(labels, num_classes=classes, label_smoothing=self.label_smoothing)
        if self.valid is not None and marks is not None and mix.valid is not None:
            changed[self.valid] = mix.valid.to(marks.dtype)
            if self.lengths is not None:
                changed[self.lengths] = mix.lengths.to(_field(batch, self.lengths))
        return _with(batch, changed), mix

    def _told(self) -> list[Key]:
        """The names of all fields that have been given a role."""
        single = [key for key in (self.valid, self.lengths) if key is not None]
        return [*self._input_fields(), *self._label_fields(), *single, *self.carried]

    def _input_fields(self) -> Mapping[Key, str | None]:
        return self.inputs if isinstance(self.inputs, Mapping) else {self.inputs: None}

    def _label_fields(self) -> Mapping[Key, int | None]:
        if self.labels is None:
            return {}
        return self.labels if isinstance(self.labels, Mapping) else {self.labels: self.num_classes}


@dataclass(frozen=True)
class MixBatch(_Fields):
    """Mix a batch of many fields with one draw, whatever the fields are called.

    A batch is a mapping (a dictionary, the output of a tokeniser or `datasets`, a TensorDict), a tuple, a named tuple
    or a list. Each of its fields is named here once, so that none is left unmixed by oversight.

    Args:
        mixer: the mixer or policy that draws.
        inputs: the fields to mix, each with its axes pattern: None for the mixer's own, "b *" for a label map
            (B, H, W), see `Mix.__call__`. A single field may be given by name alone. The draw is made for the first.
        labels: the fields that become soft targets, each with its number of classes: None for soft, multi-label and
            regression targets. A single field may be given by name alone, with its number of classes as `num_classes`.
            None to leave labels as they are, for `mix.loss`.
        num_classes: number of classes if `labels` is a name.
        label_smoothing: the share of a class label that is spread evenly over all classes, in [0, 1].
        valid: the field that marks real locations, (B, *grid) of ones and zeros of any dtype, such as
            "attention_mask". The draw is fitted to it, and in the mixed batch it marks what is real there.
        lengths: the field that counts the real locations of each sample, (B,), such as that of `Padded`. It is set to
            `mix.lengths`; give `valid` as well.
        carried: the fields that are passed through unchanged, if a batch has them.

    Raises:
        TypeError: a mixer that needs saliency.
        ValueError: a field that is named twice; `num_classes` as well as classes by field; `label_smoothing` out of
            range, or for labels without a number of classes; `lengths` without `valid`.

    >>> import torch, mixmodal as mm
    >>> mixing = MixBatch(mm.CutMix(), inputs={"image": None, "map": "b *"}, labels={"label": 5})
    >>> batch = {"image": torch.rand(2, 3, 8, 8), "map": torch.ones(2, 8, 8), "label": torch.tensor([0, 4])}
    >>> mixed, mix = mixing(batch)
    >>> mixed["label"].shape
    torch.Size([2, 5])
    """

    def __call__(self, batch: _Batch, *, generator: torch.Generator | None = None) -> tuple[_Batch, Mix]:
        """Draw a record and mix the batch with it. The given batch is not modified.

        Args:
            batch: the batch.
            generator: see `Draws.draw`.

        Returns:
            A batch of the same kind, and the record.

        Raises:
            KeyError: the batch has no such field.
            TypeError: a batch of another kind; a field to be mixed that is not a tensor; integers, such as label maps,
                with a mixer that has soft masks.
            ValueError: the batch has a field that is not named; class numbers without a number of classes; fields of
                different batch sizes.
        """
        return self._mixed(batch, generator)


@dataclass(frozen=True)
class MixCollate(_Fields):
    """A `collate_fn` that mixes each batch; picklable, so that workers can run it. (image, label) pairs by default.

    It draws from torch's global generator, which a DataLoader reseeds for every worker and epoch: draws differ
    between workers and epochs, and `torch.manual_seed` before the loop makes them reproducible.

    Args:
        mixer: the mixer or policy that draws; in a worker an `Alternate` starts at a random turn and counts on from
            there, see `Alternate`.
        inputs: see `MixBatch`.
        labels: the fields that become soft targets; the second field by default.
        num_classes: number of classes if labels are class numbers.
        label_smoothing: see `MixBatch`.
        valid: see `MixBatch`.
        lengths: see `MixBatch`.
        carried: see `MixBatch`.
        collate: function that makes a batch from the samples.

    >>> import torch, mixmodal as mm
    >>> samples = [(torch.rand(3, 8, 8), 0), (torch.rand(3, 8, 8), 2)]
    >>> x, y = MixCollate(mm.FMix(), num_classes=3)(samples)
    >>> x.shape, y.shape
    (torch.Size([2, 3, 8, 8]), torch.Size([2, 3]))
    """

    _: KW_ONLY
    collate: Callable[[list[Any]], Any] = default_collate

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Collate and mix.

        Args:
            samples: the samples for `collate`, such as (image, label) pairs.

        Returns:
            The mixed batch, with soft targets for labels.

        Raises:
            KeyError, TypeError, ValueError: see `MixBatch.__call__`.
            TypeError, ValueError: there is no sample, or `default_collate` cannot batch them.
        """
        given = list(samples)
        if not given:
            raise ValueError("samples=[] makes no batch; leave empty batches out")
        return self._mixed(stacked("fields", given) if self.collate is default_collate else self.collate(given))[0]


def stacked(name: str, values: list[Any]) -> Any:
    """Values of samples as torch collates them; `name` identifies them in error messages.

    Raises:
        TypeError, ValueError: they cannot be batched.

    >>> stacked("labels", [3, 4])
    tensor([3, 4])
    """
    try:
        return default_collate(values)
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        said = " ".join(str(error).split())
        raise kind(f"{name} of the samples cannot be batched ({said:.200}): give each sample the same kind") from error


def _keys(batch: Any) -> list[tuple[Key, ...]]:
    """What identifies each field of a batch: a position, a name, or either.

    Raises:
        TypeError: the batch has no fields.
    """
    if isinstance(batch, Mapping):
        fields = batch.keys()  # iterating over a TensorDict itself gives samples
        return [(key,) for key in fields]
    if isinstance(batch, list | tuple):
        names = getattr(batch, "_fields", None)
        return list(enumerate(names)) if names else [(place,) for place in range(len(batch))]
    raise TypeError(
        f"a batch must be a mapping, a tuple or a list of fields, such as (image, label), got {type(batch).__name__}; "
        f"pass collate= for other samples"
    )


def _field(batch: Any, key: Key) -> Tensor:
    """A field of a batch.

    Raises:
        KeyError: there is no field of this name or at this position.
        TypeError: it is not a tensor.
    """
    keys = _keys(batch)
    place = next((place for place, each in enumerate(keys) if key in each), None)
    if place is None:
        there = ", ".join(repr(each[-1]) for each in keys)
        raise KeyError(
            f"the batch has no field {key!r} but {there or 'none'}; name its fields, as in inputs='image', "
            f"labels={{'label': 10}}"
        )
    value: Tensor = batch[key if isinstance(batch, Mapping) else place]
    check_tensor(value, f"field {key!r}")
    return value


def _with(batch: Any, changed: Mapping[Key, Tensor]) -> Any:
    """A batch of the same kind with new values for some fields."""
    if isinstance(batch, Mapping):
        new = batch.copy() if hasattr(batch, "copy") else dict(batch)  # TensorDict, UserDict: keep the type
        for key, value in changed.items():
            new[key] = value
        return new
    keys = _keys(batch)
    values = [
        next((changed[key] for key in each if key in changed), old) for each, old in zip(keys, batch, strict=True)
    ]
    return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
