"""Policies: a choice among mixers for every batch."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from mixmodal.core.checks import require
from mixmodal.core.draws import Asked, Draws
from mixmodal.core.records.mix import Mix


class Policy(Draws):
    """Chooses a mixer for each batch, on the host and outside compiled code."""

    mixers: Sequence[Draws]

    @property
    def partner(self) -> bool:
        return any(mixer.partner for mixer in self.mixers)

    @property
    def needs_saliency(self) -> bool:
        return any(mixer.needs_saliency for mixer in self.mixers)

    @abstractmethod
    def choose(self, *, generator: torch.Generator | None = None) -> Draws:
        """The mixer of the next batch."""

    def record(self, x: Tensor, asked: Asked) -> Mix:
        return self.choose(generator=asked.generator).record(x, asked)


@dataclass(frozen=True)
class OneOf(Policy):
    """One mixer at random for each batch: a method with a probability, or one of several.

    Args:
        mixers: the choices, mixers or policies.
        p: their probabilities, which sum to 1; equal if None.

    >>> import mixmodal as mm
    >>> sometimes = OneOf([mm.FMix(), mm.NoMix()], p=[0.25, 0.75])
    >>> mixed, mix = sometimes(torch.rand(4, 3, 8, 8))
    """

    mixers: Sequence[Draws]
    p: Sequence[float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixers", _choices(self.mixers))
        p = [1 / len(self.mixers)] * len(self.mixers) if self.p is None else [float(share) for share in self.p]
        require(
            len(p) == len(self.mixers) and min(p) >= 0 and math.isclose(sum(p), 1, abs_tol=1e-6),
            "p",
            self.p,
            f"hold {len(self.mixers)} probabilities, one for each mixer, that sum to 1",
        )
        object.__setattr__(self, "p", tuple(p))

    def choose(self, *, generator: torch.Generator | None = None) -> Draws:
        return self.mixers[_place(self.p, generator)]


class Alternate(Policy):
    """The mixers in turn, batch by batch; the paper's hybrids. The turn goes on across epochs.

    The only mixer with state: which turn comes next. `state_dict` holds it, with those of the mixers within.

    A worker of a DataLoader has a copy, which the main process never hears of. So a worker begins at a turn that is
    drawn, from the generator that the DataLoader seeds for each worker and epoch, and takes turns among its own batches
    from there: every mixer has its share however few batches an epoch has, and a seed repeats the turns. For turns
    that are exact across workers and epochs, and that `state_dict` holds, mix in the training step.

    Args:
        mixers: the mixers or policies, in the order of their turns.

    >>> import mixmodal as mm
    >>> hybrid = Alternate([mm.FMix(), mm.MixUp()])
    >>> [hybrid(torch.rand(2, 1, 4, 4))[1].uniform for _ in range(4)]
    [False, True, False, True]

    Source: Harris et al., FMix (2020), the hybrid of section 5: a batch each, in turn.
    """

    __hash__ = None  # type: ignore[assignment]
    _worker: int | None = None
    """Seed of the worker whose turn this is; None in the main process."""

    def __init__(self, mixers: Sequence[Draws]) -> None:
        self.mixers = _choices(mixers)
        self.turn = 0

    def __repr__(self) -> str:
        return f"Alternate({list(self.mixers)})"

    def choose(self, *, generator: torch.Generator | None = None) -> Draws:
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker:
            self._worker, self.turn = worker.seed, _place([1.0] * len(self.mixers), generator)
        chosen = self.mixers[self.turn]
        self.turn = (self.turn + 1) % len(self.mixers)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """The turn that comes next, and the states of the mixers within, by place."""
        return {"turn": self.turn} | super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the turn of a `state_dict`."""
        turn = state.get("turn") if isinstance(state, Mapping) else None
        mine = type(turn) is int and turn in range(len(self.mixers))
        require(mine, "state", state, f"hold a turn below {len(self.mixers)}")
        super().load_state_dict(state)
        self.turn = state["turn"]


def _place(p: Sequence[float] | None, generator: torch.Generator | None) -> int:
    """A place drawn by these probabilities, on the host."""
    device = "cpu" if generator is None else generator.device
    return int(torch.multinomial(torch.tensor(p, dtype=torch.float64, device=device), 1, generator=generator))


def _choices(mixers: Sequence[Draws]) -> tuple[Draws, ...]:
    fine = isinstance(mixers, Sequence) and len(mixers) > 0 and all(isinstance(mixer, Draws) for mixer in mixers)
    require(fine, "mixers", mixers, "be a list of one mixer or more, as in [FMix(), NoMix()]")
    return tuple(mixers)
