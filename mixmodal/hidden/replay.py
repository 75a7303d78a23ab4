"""What happened in a forward, for activation checkpointing, which recomputes parts of it in the backward pass."""

import sys
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn

from mixmodal.core.records.mix import Mix

State = list[Tensor]
Site = nn.Module | tuple[nn.Module, str]
"""A module, for its first tensor argument; or `(module, "output")`; or `(module, name of an argument)`."""


def recomputing() -> bool:
    """Whether this code runs within a backward pass.

    >>> recomputing()
    False
    """
    return torch._C._current_graph_task_id() != -1


def exporting() -> bool:
    """Whether this code runs for a program to be made of it, by `torch.export` or `torch.jit.trace`.

    >>> exporting()
    False
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return traced or torch.compiler.is_compiling()


def random_state(device: torch.device) -> State:
    """State of torch's global generators: the CPU's and that of `device`.

    >>> len(random_state(torch.device("cpu")))
    1
    """
    own = [] if device.type in ("cpu", "meta") else [torch.get_device_module(device).get_rng_state(device)]
    return [torch.get_rng_state(), *own]


def restore(state: State, device: torch.device) -> None:
    """Restore torch's global generators to a `random_state` of this device.

    >>> state = random_state(torch.device("cpu"))
    >>> first = torch.rand(2)
    >>> restore(state, torch.device("cpu"))
    >>> torch.equal(first, torch.rand(2))
    True
    """
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.get_device_module(device).set_rng_state(state[1], device)


def other_state() -> tuple[Any, Any]:
    """State of the global generators of Python and, if it is loaded, NumPy, which some networks draw from.

    >>> state = other_state()
    >>> restore_other(state)
    """
    numpy = sys.modules.get("numpy")
    return sys.modules["random"].getstate(), None if numpy is None else numpy.random.get_state()


def restore_other(state: tuple[Any, Any]) -> None:
    """Restore them to an `other_state`."""
    sys.modules["random"].setstate(state[0])
    if state[1] is not None:
        sys.modules["numpy"].random.set_state(state[1])


class Forward:
    """One forward of a network: what it mixes and where, and everything that it mixed or left alone, by place.

    A call is recognised by the state of the random generators, which checkpointing restores; so calling a module twice
    is no problem, and a forward other than this one is detected.

    Args:
        site: where to mix with a partner; None for nowhere.
        mixing: whether anything is mixed in it.
        running: whether it has begun but not ended.
        valid: real locations, bool (B, *grid), as last given; None if there is no padding.
    """

    def __init__(
        self,
        site: Site | None = None,
        *,
        mixing: bool = False,
        running: bool = False,
        valid: Tensor | None = None,
    ) -> None:
        self.site, self.mixing, self.running, self.valid = site, mixing, running, valid
        self.done = False
        """Whether it ended normally."""
        self.mix: Mix | None = None
        """The record of the mix with a partner; if there was none, of the first mix."""
        self.ahead: dict[Hashable, Mix] = {}
        """Records that were drawn before their places were reached."""
        self.given: Tensor | None = None
        """The mask of real locations that the model was given, for a mix inside it."""
        self.lent: Tensor | None = None
        """The copy of it that the model holds."""
        self.followed: set[Hashable] = set()
        """Places whose mask of real locations was made to follow the mix."""
        self._mixed: dict[Hashable, tuple[Mix, State, State]] = {}
        self._passed: list[State] = []

    def __contains__(self, place: Hashable) -> bool:
        return place in self._mixed

    def note(self, place: Hashable, record: Mix, before: State, after: State) -> None:
        """Note a mix at a place, with the states of the generators before and after its draw."""
        self._mixed[place] = record, before, after

    def note_passed(self, state: State) -> None:
        """Note a call in which nothing was mixed."""
        self._passed.append(state)

    def again(self, place: Hashable, device: torch.device) -> Mix | None:
        """The record used at a place the first time; None if nothing was mixed there.

        Raises:
            RuntimeError: there was no such call in this forward.
        """
        state = random_state(device)
        if place in self._mixed:
            record, before, after = self._mixed[place]
            if _same(state, before):
                restore(after, device)
                return record
        if any(_same(state, passed) for passed in self._passed):
            return None
        raise RuntimeError(
            "activation checkpointing recomputes a forward that is not the last one of this HiddenMix, or with "
            "other random numbers: call backward after each training forward, and keep preserve_rng_state=True"
        )

    def repeat(self, place: Hashable, x: Tensor) -> Tensor:
        """What was done with `x` at a place the first time; see `again`."""
        record = self.again(place, x.device)
        return x if record is None else record(x)


def _same(a: State, b: State) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))
