"""Samples that stay on disk and are read on demand, however many there are."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor
from tqdm import tqdm

AT_ONCE = 2**26
"""Bytes that are read at once when all samples are gone through."""


class Reader(Protocol):
    """Reads samples by their numbers; it is sent to the workers of a loader, so what it holds must be small."""

    @property
    def decodes(self) -> bool:
        """Whether reading takes enough work to make starting a worker worthwhile."""

    def __call__(self, numbers: Sequence[int], draws: Sequence[int] | None) -> Tensor:
        """Samples (n, ...), one or more; what is random in each depends on its draw, and without draws nothing is."""


@dataclass(frozen=True, eq=False)
class Lazy:
    """Samples (N, ...) of one shape. Indexing them like a tensor reads nothing; `read` does.

    Args:
        reader: reads them.
        index: their numbers, int64 (N,); -1 is a sample of zeros.
        row: shape of each.
        dtype: of each.
        random: whether draws change what is read.

    >>> class Squares:
    ...     decodes = False
    ...
    ...     def __call__(self, numbers, draws):
    ...         return torch.tensor([[number**2] for number in numbers])
    >>> squares = Lazy(Squares(), torch.arange(1_000_000), (1,), torch.int64)
    >>> squares.shape, squares[-2:].read().tolist()
    (torch.Size([1000000, 1]), [[999996000004], [999998000001]])
    """

    reader: Reader = field(repr=False)
    index: Tensor = field(repr=False)
    row: tuple[int, ...]
    dtype: torch.dtype
    random: bool = False

    @property
    def shape(self) -> torch.Size:
        """(N, ...), as of a tensor."""
        return torch.Size((len(self.index), *self.row))

    @property
    def ndim(self) -> int:
        """Number of axes, as of a tensor."""
        return 1 + len(self.row)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, which: Tensor | slice) -> "Lazy":
        """Some of the samples, by numbers int64 (n,), by flags bool (N,) or by a slice."""
        return replace(self, index=self.index[which])

    def with_zeros(self, count: int) -> "Lazy":
        """The samples, followed by that many of zeros."""
        return replace(self, index=torch.cat([self.index, self.index.new_full((count,), -1)]))

    def read(self, draws: Sequence[int] | None = None) -> Tensor:
        """Read the samples (N, ...); random ones are changed by the draws, one for each."""
        draws = draws if self.random else None
        real = self.index >= 0
        if len(real) and real.all():
            return self.reader(self.index.tolist(), draws)
        found = torch.zeros(self.shape, dtype=self.dtype)
        if real.any():
            kept = None if draws is None else [draw for draw, each in zip(draws, real.tolist(), strict=True) if each]
            found[real] = self.reader(self.index[real].tolist(), kept)
        return found

    def parts(self) -> Iterator[Tensor]:
        """Read all samples, some at a time."""
        size = max(1, AT_ONCE // (self.dtype.itemsize * max(1, torch.Size(self.row).numel())))
        yield from (self[start : start + size].read() for start in range(0, len(self), size))


Samples = Tensor | Lazy


def read(samples: Samples, draws: Sequence[int] | None = None) -> Tensor:
    """Samples as a tensor, read if necessary."""
    return samples.read(draws) if isinstance(samples, Lazy) else samples


def parts(samples: Samples) -> Iterator[Tensor]:
    """Go through all samples in parts that fit into memory."""
    return samples.parts() if isinstance(samples, Lazy) else iter([samples])


def held(samples: Lazy, title: str) -> Tensor:
    """Read all samples into memory, with a progress bar of this title in a terminal."""
    found, done = torch.empty(samples.shape, dtype=samples.dtype), 0
    with tqdm(total=len(samples), desc=title, leave=False, disable=None) as bar:
        for part in samples.parts():
            found[done : done + len(part)] = part
            done += len(part)
            bar.update(len(part))
    return found


def draw_of(seed: int, epoch: int, number: int) -> int:
    """A seed of 63 bits for what is random in a sample in an epoch, the same in every process.

    >>> draw_of(0, 1, 2) == draw_of(0, 1, 2), draw_of(0, 1, 2) == draw_of(0, 2, 1)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {epoch} {number}".encode()).digest()[:8], "big") >> 1
