"""The interface of anything that draws a record: what is asked of a draw, and what it returns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixmodal.core.checks import shown
from mixmodal.core.records.mix import Mix


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The arguments of a draw in one object, which `Draws.record` takes and a policy passes on.

    Args:
        valid: real locations; None for all. See `Draws.draw` for this and the others.
        index: partner of each sample; drawn if None.
        lam: own share; drawn if None.
        saliency: how much each location matters; None if no mixer needs it.
        generator: source of randomness; torch's global one if None.

    >>> import mixmodal as mm
    >>> mix = mm.FMix().record(torch.rand(4, 3, 8, 8), Asked(lam=0.25))
    >>> mix.lam
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    valid: Tensor | None = None
    index: Tensor | None = None
    lam: Tensor | float | None = None
    saliency: Tensor | None = None
    generator: torch.Generator | None = None


class Draws(ABC):
    """Anything that draws a record for a batch: a mixer, or a policy that chooses one.

    >>> import mixmodal as mm
    >>> isinstance(mm.FMix(), mm.Draws), isinstance(mm.OneOf([mm.FMix(), mm.NoMix()]), mm.Draws)
    (True, True)
    """

    @property
    @abstractmethod
    def partner(self) -> bool:
        """Whether there is, or may be, a partner."""

    @property
    def needs_saliency(self) -> bool:
        """Whether a draw needs to be given the saliency of the batch."""
        return False

    @property
    def exact(self) -> bool:
        """Whether records hold the realised share rather than the one asked for, in all mixers within."""
        return all(mixer.exact for _, mixer in self._within())

    @abstractmethod
    def record(self, x: Tensor, asked: Asked) -> Mix:
        """The record of a draw, for your own class to implement: `draw` with its arguments in one object.

        Args:
            x: the batch, (B, ...).
            asked: the arguments of the draw.
        """

    def state_dict(self) -> dict[str, Any]:
        """State that changes from draw to draw, including that of the mixers within, by place; empty if there is none.

        A `HiddenMix` and a `TokenMix` have one for all their mixers; for a `MixCollate`, use that of its `mixer`.
        """
        states = {place: mixer.state_dict() for place, mixer in self._within()}
        return {place: state for place, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from where a `state_dict` was taken.

        Raises:
            ValueError: the state is that of another mixer.
        """
        places = self.state_dict().keys()
        if not isinstance(state, Mapping) or state.keys() != places:
            raise ValueError(
                f"state={shown(state)} belongs to another mixer: {self!r} has a state of "
                f"{', '.join(sorted(places)) or 'nothing'}"
            )
        for place, mixer in self._within():
            if place in places:
                mixer.load_state_dict(state[place])

    def _within(self) -> Iterator[tuple[str, "Draws"]]:
        """The mixers that this one holds as attributes, alone or in a list, by place."""
        for name, value in vars(self).items():
            if isinstance(value, Draws):
                yield name, value
            elif isinstance(value, list | tuple):
                yield from ((f"{name}.{place}", each) for place, each in enumerate(value) if isinstance(each, Draws))

    def draw(
        self,
        x: Tensor,
        *,
        valid: Tensor | None = None,
        index: Tensor | None = None,
        lam: Tensor | float | None = None,
        saliency: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Mix:
        """Draw a record for a batch without mixing it. Any part of the draw can be fixed.

        Args:
            x: the batch, (B, ...); only its shape, dtype and device matter, except to Puzzle Mix.
            valid: real locations, bool (B, *grid), with size 1 along grid axes on which it does not vary; the mask is
                fitted to what is real in the pair. All locations if None.
            index: partner of each sample, int64 (B,); a uniformly random permutation if None.
            lam: own share to draw the masks for, in [0, 1]: a number or 0-d tensor for the batch, or a floating (B,)
                for a draw per sample; sampled if None. `Mix.lam` holds the realised share.
            saliency: how much each location matters, floating (B, *grid), see `saliency`; for mixers that need it.
            generator: source of all randomness, on its own device; if None, torch's global one, on the device of `x`.

        Returns:
            The record.

        Raises:
            TypeError: `x` is not a tensor; `valid` is not bool or has another shape; `index` is not int64; `lam` is not
                floating; `saliency` is needed and missing, or given and not needed.
            ValueError: `x` does not fit `axes`; `index` has another length or points outside the batch; `lam` has
                another shape or lies outside [0, 1].
        """
        if self.needs_saliency and saliency is None:
            raise TypeError(
                f"{self!r} needs to know what is salient: saliency = mm.saliency(model, x, y, criterion), then "
                f"mixer(x, saliency=saliency)"
            )
        if saliency is not None and not self.needs_saliency:
            raise TypeError(f"saliency is given, but {self!r} does not use it; leave it out")
        return self.record(x, Asked(valid=valid, index=index, lam=lam, saliency=saliency, generator=generator))

    def __call__(
        self,
        x: Tensor,
        *,
        valid: Tensor | None = None,
        index: Tensor | None = None,
        lam: Tensor | float | None = None,
        saliency: Tensor | None = None,
        generator: torch.Generator | None = None,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Mix]:
        """Draw a record and mix the batch with it: `draw`, then `Mix.__call__`.

        Args:
            x: the batch, (B, ...).
            valid: see `draw`.
            index: see `draw`.
            lam: see `draw`.
            saliency: see `draw`.
            generator: see `draw`.
            out: buffer for the result, see `Mix.__call__`.

        Returns:
            The mixed batch, like `x`, and the record.

        Raises:
            TypeError, ValueError: see `draw` and `Mix.__call__`.
        """
        mix = self.draw(x, valid=valid, index=index, lam=lam, saliency=saliency, generator=generator)
        return mix(x, out=out), mix


def without_saliency(mixer: Draws, who: str) -> None:
    """Raise TypeError unless it is a mixer or a policy that needs no saliency, which `who` cannot provide."""
    if not isinstance(mixer, Draws):
        raise TypeError(f"mixer is {type(mixer).__name__} and must be a mixer or a policy, such as FMix()")
    if mixer.needs_saliency:
        raise TypeError(
            f"{mixer!r} needs saliency, which {who} cannot give it: mix the batch in the training step, as in "
            f"mixer(x, saliency=mm.saliency(model, x, y))"
        )


def with_realised_share(mixer: Draws, who: str) -> None:
    """Raise ValueError if a mixer records the share that it is asked for, since `who` counts what is kept."""
    if not mixer.exact:
        raise ValueError(
            f"{mixer!r} records the share that was asked for, and {who} the one that results: set it to record "
            f"the realised share, as adjust_lam=True does"
        )
