"""What happened in a forward, for activation checkpointing, which computes parts of it again in the backward pass."""

from collections.abc import Hashable

import torch
from torch import Tensor

from mixmodal.core.records.mix import Mix

State = list[Tensor]


def recomputing() -> bool:
    """Whether this code runs within a backward pass.

    >>> recomputing()
    False
    """
    return torch._C._current_graph_task_id() != -1


def random_state(device: torch.device) -> State:
    """State of torch's global generators: the CPU's, and that of `device`.

    >>> len(random_state(torch.device("cpu")))
    1
    """
    own = [] if device.type == "cpu" else [torch.get_device_module(device).get_rng_state(device)]
    return [torch.get_rng_state(), *own]


class Forward:
    """The mixing and the passing of one forward, by place.

    A call is known again by the state of the random generators, which checkpointing restores; so a module that is
    called twice is no riddle, and a forward that is not this one is found out.
    """

    def __init__(self) -> None:
        self.followed: set[Hashable] = set()
        """Places whose marks of real locations were made to follow the mix."""
        self._mixed: dict[Hashable, tuple[Mix, State, State]] = {}
        self._passed: list[State] = []

    def __contains__(self, place: Hashable) -> bool:
        return place in self._mixed

    def note(self, place: Hashable, record: Mix, before: State, after: State) -> None:
        """A mix at a place, with the states of the generators before its draw and after it."""
        self._mixed[place] = record, before, after

    def note_passed(self, state: State) -> None:
        """A call in which nothing was mixed."""
        self._passed.append(state)

    def repeat(self, place: Hashable, x: Tensor) -> Tensor:
        """What was done with `x` the first time.

        Raises:
            RuntimeError: there was no such call in this forward.
        """
        state = random_state(x.device)
        if place in self._mixed:
            record, before, after = self._mixed[place]
            if _same(state, before):
                _restore(after, x.device)
                return record(x)
        if any(_same(state, passed) for passed in self._passed):
            return x
        raise RuntimeError(
            "activation checkpointing computes a forward again that is not the last one of this HiddenMix, or with "
            "other random numbers: call backward after each training forward, and keep preserve_rng_state=True"
        )


def _same(a: State, b: State) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def _restore(state: State, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[1], device)
