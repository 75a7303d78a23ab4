"""The one table of methods that the laws run over. A new method is one row here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import mixmodal as mm


@dataclass(frozen=True)
class Method:
    """A row: how to build the mixer for an axes pattern, and what its laws may count on."""

    name: str
    build: Callable[[str], mm.Mixer | mm.Policy]
    hard: bool
    """Masks hold 0 and 1 only."""
    partner: bool = True
    """There is a partner."""
    meets: bool = True
    """`mix.lam` is the share asked for, up to one cell."""
    exact: bool = True
    """`mix.lam` is the realised share."""
    per_sample: bool = False
    """Samples of a batch have masks of their own."""
    any_rank: bool = False
    """Takes a batch of any rank, whatever `axes` says."""
    letters: bool = False
    """Masks vary on the letter axes of the pattern too; the axes of the record are then "b *"."""
    asks: bool = True
    """A share can be asked for."""
    scales: bool = False
    """What is left of the batch is scaled up to the whole."""
    compiles: bool = True
    """Draws inside compiled code."""
    max_rank: int = 4
    min_first: int = 1
    """Least size of the first axis of the grid."""

    def takes(self, grid: Sequence[int]) -> bool:
        return len(grid) <= self.max_rank and grid[0] >= self.min_first

    def span(self, axes: str) -> str:
        """The axes of the record that a mixer for this pattern draws."""
        return "b *" if self.letters else axes

    def ask(self, lam: Tensor | float | None) -> dict[str, Tensor | float | None]:
        """The argument that asks for a share, if one can be asked for."""
        return {"lam": lam} if self.asks else {}


TABLE = [
    Method("MixUp", lambda axes: mm.MixUp(axes=axes), hard=False, any_rank=True),
    Method(
        "MixUp-per-sample",
        lambda axes: mm.MixUp(alpha=0.4, axes=axes, per_sample=True),
        hard=False,
        any_rank=True,
        per_sample=True,
    ),
    Method("CutMix", lambda axes: mm.CutMix(axes=axes), hard=True, meets=False),
    Method(
        "CutMix-per-sample",
        lambda axes: mm.CutMix(axes=axes, per_sample=True),
        hard=True,
        meets=False,
        per_sample=True,
    ),
    Method("CutMix-asked", lambda axes: mm.CutMix(adjust_lam=False, axes=axes), hard=True, meets=False, exact=False),
    Method("FMix", lambda axes: mm.FMix(axes=axes), hard=True),
    Method("FMix-per-sample", lambda axes: mm.FMix(axes=axes, per_sample=True), hard=True, per_sample=True),
    Method("FMix-white", lambda axes: mm.FMix(alpha=2.0, decay_power=0, axes=axes), hard=True),
    Method("FMix-soft", lambda axes: mm.FMix(max_soft=0.3, axes=axes), hard=False),
    Method(
        "FMix-soft-per-sample",
        lambda axes: mm.FMix(max_soft=0.5, axes=axes, per_sample=True),
        hard=False,
        per_sample=True,
    ),
    Method("FMix-upstream", lambda axes: mm.FMix(spectrum="upstream", axes=axes), hard=True, max_rank=3, min_first=2),
    Method("Cutout", lambda axes: mm.Cutout(size=3, axes=axes), hard=True, partner=False, per_sample=True),
    Method("Cutout-shared", lambda axes: mm.Cutout(size=2, axes=axes, per_sample=False), hard=True, partner=False),
    Method("PatchUp", lambda axes: mm.PatchUp(block_size=2, axes=axes), hard=False, meets=False, letters=True),
    Method(
        "PatchUp-hard",
        lambda axes: mm.PatchUp(block_size=3, soft=False, axes=axes),
        hard=True,
        meets=False,
        letters=True,
        asks=False,
    ),
    Method(
        "PatchUp-shared",
        lambda axes: mm.PatchUp(block_size=3, gamma=0.5, channels="shared", seed_region="valid", axes=axes),
        hard=False,
        meets=False,
    ),
    Method(
        "PatchUp-hard-shared-per-sample",
        lambda axes: mm.PatchUp(
            block_size=2, soft=False, channels="shared", gamma_mode="calibrated", axes=axes, per_sample=True
        ),
        hard=True,
        meets=False,
        asks=False,
        per_sample=True,
    ),
    Method(
        "DropBlock",
        lambda axes: mm.DropBlock(block_size=2, drop_prob=0.3, axes=axes),
        hard=True,
        partner=False,
        per_sample=True,
        letters=True,
        scales=True,
    ),
    Method("NoMix", lambda axes: mm.NoMix(axes=axes), hard=True, partner=False, any_rank=True),
    Method(
        "OneOf",
        lambda axes: mm.OneOf([mm.FMix(axes=axes), mm.CutMix(axes=axes)], p=[0.7, 0.3]),
        hard=True,
        meets=False,
        compiles=False,
    ),
    Method(
        "OneOf-per-sample",
        lambda axes: mm.OneOf(
            [mm.MixUp(axes=axes, per_sample=True), mm.CutMix(axes=axes, per_sample=True)], per_sample=True
        ),
        hard=False,
        meets=False,
        per_sample=True,
        compiles=False,
    ),
    Method(
        "Alternate",
        lambda axes: mm.Alternate([mm.FMix(axes=axes, max_soft=0.2), mm.MixUp(axes=axes)]),
        hard=False,
        compiles=False,
    ),
]

PARTNERED = [method for method in TABLE if method.partner]
ASKED = [method for method in PARTNERED if method.asks]
GRIDS = [(9,), (1,), (5, 8), (1, 6), (3, 4, 5), (2, 1, 3, 4)]
"""Ranks 1 to 4, odd sizes, axes of size 1."""


def over(methods: Sequence[Method]) -> pytest.MarkDecorator:
    """Run a test over rows of the table."""
    return pytest.mark.parametrize("method", methods, ids=[method.name for method in methods])


def over_grids(methods: Sequence[Method], grids: Sequence[tuple[int, ...]] = GRIDS) -> pytest.MarkDecorator:
    """Run a test over rows of the table and the grids that each takes."""
    cases = [(method, grid) for method in methods for grid in grids if method.takes(grid)]
    names = [f"{method.name}-{'x'.join(map(str, grid))}" for method, grid in cases]
    return pytest.mark.parametrize(("method", "grid"), cases, ids=names)


def roll(batch: int) -> Tensor:
    """Partners that are never the sample itself (in a batch of two or more)."""
    return torch.arange(batch).roll(1)


def cells(grid: Sequence[int]) -> int:
    return math.prod(grid)
