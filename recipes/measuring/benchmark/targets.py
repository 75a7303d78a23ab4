"""What mixing should cost at most, and whether it did in this run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from recipes.measuring.benchmark import recorded
from recipes.measuring.benchmark.cases import INPUTS
from recipes.measuring.benchmark.figures import Figures, cell, ratio
from recipes.measuring.benchmark.parts import mixing, peers, steps, waiting
from recipes.measuring.benchmark.parts.compiling import compiled, graphs

Found = Mapping[str, float | None]
"""Numbers by what they are of; None is one that was not measured."""
BY_SAMPLE = ((128, 3, 224, 224), (32, 1, 32, 32, 32), (128, 1, 16000))
"""Batches on which a mask for each sample is bounded."""
COMPILED = ("mixup", "cutmix", "fmix")
"""Methods whose compiled code is bounded, by the names of the recipes' table."""


@dataclass(frozen=True)
class Target:
    """A bound on the worst of some numbers.

    Args:
        what: what is bounded, in words.
        bound: the bound.
        least: whether it is a lower one.
        numbers: what it bounds, from the figures of a run.
        unit: what the numbers are.
    """

    what: str
    bound: float
    numbers: Callable[[Figures], Found]
    least: bool = False
    unit: str = ""

    def row(self, figures: Figures) -> list[str]:
        """What, the bound, the worst number and where, and whether it keeps the bound."""
        found = self.numbers(figures)
        goal = f"{'≥' if self.least else '≤'} {self.bound:g}{self.unit}"
        known = {name: number for name, number in found.items() if number is not None}
        if not known:
            return [self.what, goal, "not measured", "–"]
        worst = (min if self.least else max)(known, key=lambda name: known[name])
        kept = known[worst] >= self.bound if self.least else known[worst] <= self.bound
        said = f"{cell(known[worst])}{self.unit} ({worst})"
        if kept and len(known) < len(found):
            return [self.what, goal, f"{said}, {len(known)} of {len(found)} measured", "–"]
        return [self.what, goal, said, "yes" if kept else "**no**"]


def lines(figures: Figures) -> list[str]:
    """The table with which the page begins."""
    rows = ["| " + " | ".join(target.row(figures)) + " |" for target in TARGETS]
    return [
        "## Targets",
        "",
        "Each is held against the worst number of this run, which is named beside it.",
        "",
        "| | target | measured | met |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _speedups(figures: Figures) -> Found:
    return {str(shape): mixing.speedup(figures, shape, method) for method in recorded.MASKS for shape in INPUTS}


def _by_sample(figures: Figures) -> Found:
    return {
        str(shape): mixing.floors(figures, shape, method, "sample", "call")
        for method in recorded.MASKS
        for shape in BY_SAMPLE
    }


def _masks(figures: Figures) -> Found:
    return {
        str(shape): mixing.masks_speedup(figures, shape, method) for method in recorded.MASKS for shape in BY_SAMPLE
    }


def _against(peer: str, figures: Figures) -> Found:
    return {
        f"{method} on {shape}": peers.against(figures, str(shape), method, peer)
        for shape in INPUTS
        if len(shape) == 4
        for method in peers.COMPARED
    }


def _blends(figures: Figures) -> Found:
    return {
        f"{method}, a draw for each {draws}, on {case}": ratio(
            figures.get(mixing.NAME, case, method, draws, "blend"),
            figures.get(mixing.NAME, case, "", draws, "floor"),
        )
        for case, method, draws in figures.rows(mixing.NAME)
        if method
    }


def _compiled(figures: Figures) -> Found:
    return {
        f"{method}, a draw for each {draws}, on {case}": compiled.floors(figures, case, method, draws)
        for case, method, draws in figures.rows(compiled.NAME)
        if method in COMPILED
    }


TARGETS = (
    Target(
        "FMix, one draw a batch, all six sizes, as a multiple of the speed of its authors' code", 8, _speedups, True
    ),
    Target("FMix, a draw for each sample, in floors", 4, _by_sample),
    Target("its masks, as a multiple of the speed of its authors' code", 10, _masks, True),
    *(
        Target(f"MixUp and CutMix, per batch with targets, as a multiple of {peer}'s time", 1, partial(_against, peer))
        for peer in peers.COLUMNS
    ),
    Target("any blend with `out=`, in floors", 1.5, _blends),
    Target("MixUp, CutMix and FMix compiled, in floors", 1.3, _compiled),
    Target("share of a training step", 1, steps.shares, unit=" %"),
    Target("graphs for 16 lengths and 3 batch sizes, `dynamic=True`", 2, graphs.counts),
    Target("mixers that wait for the device", 0, waiting.waiting),
)
"""What is promised of the library, from the speed of one call to what a training sees of it."""
