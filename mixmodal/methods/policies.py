"""Policies: choosing among mixers for every batch, or for every sample."""

import functools
import itertools
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from mixmodal.core.checks import check_tensor, require
from mixmodal.core.devices import source
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
    """One mixer chosen at random for each batch, or for each sample: apply a method with a probability, or one of many.

    The switch of DeiT, ConvNeXt and timm, MixUp or CutMix with equal probability, is the first line below; setting
    `per_sample` in all three places makes the choice for each sample.

    Args:
        mixers: the choices, mixers or policies.
        p: their probabilities, which sum to 1; equal if None.
        per_sample: whether to choose a mixer for each sample. All of them draw for the whole batch, with one `index`,
            and each sample takes the mask of its mixer: a mask of its own only if that mixer is `per_sample` too. The
            record is soft if any mixer is. Not supported are mixers that move cells (Puzzle Mix) or scale what is left
            (DropBlock), and combining mixers without a partner, other than `NoMix`, with mixers that have one.

    >>> import mixmodal as mm
    >>> switch = OneOf([mm.MixUp(alpha=0.8), mm.CutMix(alpha=1.0)])
    >>> each = OneOf([mm.MixUp(alpha=0.8, per_sample=True), mm.CutMix(per_sample=True)], per_sample=True)
    >>> mixed, mix = each(torch.rand(4, 3, 8, 8))
    >>> mix.mask.shape, bool(torch.isclose(mix.lam, mix.mask.mean((1, 2))).all())
    (torch.Size([4, 8, 8]), True)

    Source: the training recipes of Touvron et al., DeiT (ICML 2021), and Liu et al., ConvNeXt (CVPR 2022).
    """

    mixers: Sequence[Draws]
    p: Sequence[float] | None = field(default=None, kw_only=True)
    per_sample: bool = field(default=False, kw_only=True)

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
        require(isinstance(self.per_sample, bool), "per_sample", self.per_sample, "be True or False")

    def choose(self, *, generator: torch.Generator | None = None) -> Draws:
        if self.per_sample:
            raise TypeError(f"{self!r} has no mixer for a batch, since each sample has its own; call draw or record")
        return self.mixers[_place(self.p, generator)]

    def record(self, x: Tensor, asked: Asked) -> Mix:
        if not self.per_sample:
            return super().record(x, asked)
        check_tensor(x, "x")
        batch = len(x) if x.ndim else 0
        device = x.device if asked.generator is None else asked.generator.device
        if asked.index is None:
            index = torch.randperm(batch, device=device, **source(asked.generator)).to(x.device)
            asked = replace(asked, index=index)
        records = [mixer.record(x, asked) for mixer in self.mixers]
        for mixer, record in zip(self.mixers, records, strict=True):
            _check_joins(mixer, record, any(each.partner for each in records))
        drawn = torch.rand(batch, dtype=torch.float32, device=device, **source(asked.generator)).to(x.device)
        bounds = torch.tensor([*itertools.accumulate(self.p or ())][:-1], dtype=torch.float32, device=x.device)
        return _each_its_own(records, torch.bucketize(drawn, bounds, right=True))


class Alternate(Policy):
    """The mixers in turn, batch by batch, as in the paper's hybrids. Turns continue across epochs.

    The only mixer with state: which turn comes next. `state_dict` holds it, along with the states of the mixers within.

    A DataLoader worker has a copy, whose state never reaches the main process. So a worker starts at a random turn,
    drawn from the generator that the DataLoader seeds for each worker and epoch, and takes turns among its own batches
    from there: every mixer gets its share however few batches an epoch has, and a seed reproduces the turns. For turns
    that are exact across workers and epochs, and that `state_dict` holds, mix in the training step.

    Args:
        mixers: the mixers or policies, in the order of their turns.

    >>> import mixmodal as mm
    >>> hybrid = Alternate([mm.FMix(), mm.MixUp()])
    >>> [hybrid(torch.rand(2, 1, 4, 4))[1].uniform for _ in range(4)]
    [False, True, False, True]

    Source: Harris et al., FMix (2020), the hybrid of section 5: one batch each, in turn.
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
        """Resume from the turn of a `state_dict`."""
        turn = state.get("turn") if isinstance(state, Mapping) else None
        mine = type(turn) is int and turn in range(len(self.mixers))
        require(mine, "state", state, f"hold a turn below {len(self.mixers)}")
        super().load_state_dict(state)
        self.turn = state["turn"]


def _each_its_own(records: Sequence[Mix], chosen: Tensor) -> Mix:
    """A record in which each sample comes from the record chosen for it, int64 (B,)."""

    def of(values: Sequence[Tensor]) -> Tensor:
        """For each sample the value from its record, given as (B or 1, ...)."""
        places = (chosen == place for place in range(1, len(values)))
        pairs = zip(places, values[1:], strict=True)
        first = values[0].expand(len(chosen), *values[0].shape[1:])
        return functools.reduce(lambda all, pair: torch.where(_beside(pair[0], pair[1]), pair[1], all), pairs, first)

    like = next((record for record in records if not record.uniform), records[0])
    masks = [_on_the_grid_of(like, record) for record in records]
    valid = [record.valid for record in records if record.valid is not None]
    parts = None
    if any(record.parts is not None for record in records):
        parts = tuple(
            (weight * (chosen == place), share)
            for place, record in enumerate(records)
            for weight, share in record.terms
        )
    return replace(
        like,
        index=of([record.index for record in records]),
        mask=of(masks),
        lam=of([record.lam for record in records]),
        valid=of(valid) if valid else None,
        hard=all(record.hard for record in records),
        uniform=all(record.uniform for record in records),
        partner=any(record.partner for record in records),
        parts=parts,
    )


def _beside(chosen: Tensor, value: Tensor) -> Tensor:
    """Per-sample values (B,), with axes of size 1 for all other axes of a value."""
    return chosen.view(-1, *[1] * (value.ndim - 1))


def _on_the_grid_of(like: Mix, record: Mix) -> Tensor:
    """The mask of a record on the grid of another record; a uniform mask is expanded to it.

    Raises:
        ValueError: masks with different axes or grids.
    """
    if record.uniform:
        share = record.mask
        while share.ndim > 1:
            share = share.select(-1, 0)
        return _beside(share, like.mask).expand(-1, *like.mask.shape[1:])
    if record.axes != like.axes or record.mask.shape[1:] != like.mask.shape[1:]:
        raise ValueError(
            f"the mixers of a policy with per_sample=True must have masks on the same grid, and "
            f"{tuple(like.mask.shape[1:])} of axes={like.axes!r} is not {tuple(record.mask.shape[1:])} of "
            f"axes={record.axes!r}"
        )
    return record.mask


def _check_joins(mixer: Draws, record: Mix, partnered: bool) -> None:
    """Raise TypeError unless samples of a record can share a batch with those of others."""
    if record.moves is not None or record.scale is not None:
        does = "moves cells" if record.scale is None else "scales what is left"
        raise TypeError(f"{mixer!r} {does}, which is one for a whole batch; leave it out, or set per_sample=False")
    if partnered and not record.partner and not record.uniform:
        raise TypeError(
            f"{mixer!r} drops what has no partner, and others of the policy have one: leave it out, or set "
            f"per_sample=False"
        )


def _place(p: Sequence[float] | None, generator: torch.Generator | None) -> int:
    """An index drawn with these probabilities, on the host."""
    device = "cpu" if generator is None else generator.device
    return int(torch.multinomial(torch.tensor(p, dtype=torch.float64, device=device), 1, generator=generator))


def _choices(mixers: Sequence[Draws]) -> tuple[Draws, ...]:
    fine = isinstance(mixers, Sequence) and len(mixers) > 0 and all(isinstance(mixer, Draws) for mixer in mixers)
    require(fine, "mixers", mixers, "be a list of one mixer or more, as in [FMix(), NoMix()]")
    return tuple(mixers)
