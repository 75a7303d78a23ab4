"""Some samples of every class, drawn by a seed alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from recipes.data.disk.lazy import Samples


class Labelled(Protocol):
    """A frozen set of training samples and their classes."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """Name of the set."""

    @property
    def train_x(self) -> Samples:
        """Training samples (N, ...)."""

    @property
    def train_y(self) -> Tensor:
        """Their labels (N,), below the number of classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""


S = TypeVar("S", bound=Labelled)


def subset(data: S, per_class: int, *, seed: int = 0) -> S:
    """Keep ``per_class`` training samples of every class, drawn without replacement, in their original order.

    The draw depends on ``seed`` alone: the global random state is neither used nor changed. Other splits stay whole,
    and the name says what was kept.

    Raises:
        ValueError: ``per_class`` is below 1 or above the size of a class.
    """
    if per_class < 1:
        raise ValueError(f"per_class={per_class} must be at least 1")
    kept = pick(data.train_y, [per_class] * len(data.classes), seed)
    name = f"{data.name}-{per_class}-per-class-seed-{seed}"
    return replace(data, name=name, train_x=data.train_x[kept], train_y=data.train_y[kept])


def pick(labels: Tensor, per_class: Sequence[int], seed: int) -> Tensor:
    """Return the sorted indices of ``per_class[c]`` random samples of every class ``c``."""
    picked = []
    for label, (members, count) in enumerate(zip(shuffled(labels, len(per_class), seed), per_class, strict=True)):
        if count > len(members):
            raise ValueError(f"per_class={count} exceeds the {len(members)} training samples of class {label}")
        picked.append(members[:count])
    return torch.cat(picked).sort().values


def shuffled(labels: Tensor, classes: int, seed: int) -> list[Tensor]:
    """Return the indices of the samples of every class, in an order that depends on ``seed`` alone."""
    generator = torch.Generator().manual_seed(seed)
    members = ((labels == label).nonzero().squeeze(1) for label in range(classes))
    return [each[torch.randperm(len(each), generator=generator)] for each in members]
