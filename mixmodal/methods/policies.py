"""Policies: a choice among mixers for every batch."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

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
        chosen = self.choose(generator=asked.generator)
        return chosen.record(x, asked if chosen.needs_saliency else replace(asked, saliency=None))


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
        device = "cpu" if generator is None else generator.device
        p = torch.tensor(self.p, dtype=torch.float64, device=device)
        return self.mixers[int(torch.multinomial(p, 1, generator=generator))]


class Alternate(Policy):
    """The mixers in turn, batch by batch; the paper's hybrids. The turn goes on across epochs.

    The only mixer with state: which turn comes next. Worker processes of a DataLoader have a turn each.

    Args:
        mixers: the mixers or policies, in the order of their turns.

    >>> import mixmodal as mm
    >>> hybrid = Alternate([mm.FMix(), mm.MixUp()])
    >>> [hybrid(torch.rand(2, 1, 4, 4))[1].uniform for _ in range(4)]
    [False, True, False, True]

    Source: Harris et al., FMix (2020), the hybrid of section 5: a batch each, in turn.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, mixers: Sequence[Draws]) -> None:
        self.mixers = _choices(mixers)
        self.turn = 0

    def __repr__(self) -> str:
        return f"Alternate({list(self.mixers)})"

    def choose(self, *, generator: torch.Generator | None = None) -> Draws:
        chosen = self.mixers[self.turn]
        self.turn = (self.turn + 1) % len(self.mixers)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """The turn that comes next."""
        return {"turn": self.turn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the turn of a `state_dict`."""
        require(state.get("turn") in range(len(self.mixers)), "state", state, f"hold a turn below {len(self.mixers)}")
        self.turn = state["turn"]


def _choices(mixers: Sequence[Draws]) -> tuple[Draws, ...]:
    fine = isinstance(mixers, Sequence) and len(mixers) > 0 and all(isinstance(mixer, Draws) for mixer in mixers)
    require(fine, "mixers", mixers, "be a list of one mixer or more, as in [FMix(), NoMix()]")
    return tuple(mixers)
