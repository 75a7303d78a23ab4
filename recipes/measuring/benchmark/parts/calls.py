"""What a call costs before there is anything to mix: microseconds by step on a tiny batch, and by function."""

import cProfile
import pstats
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from recipes.measuring.benchmark.cases import CLASSES, Batch, Bench, Part
from recipes.measuring.benchmark.figures import Figures, Key, section, table
from recipes.measuring.benchmark.parts import peers
from recipes.training.methods import AT_INPUT

NAME = "calls"
SHAPE = (2, 3, 8, 8)
STEPS = ("draw", "blend", "targets", "call", "whole")
MOST = 12
"""Functions of a call that are shown."""
CALLS = 200
"""Calls of a profile."""


def measure(bench: Bench, figures: Figures) -> None:
    """Microseconds of the steps of a call, of a whole with soft targets, and of each peer's; profiles of the wholes."""
    batch, y = Batch(SHAPE, bench), bench.labels(SHAPE[0])
    others, _ = peers.found()
    for method in AT_INPUT:
        mixer = batch.mixer(method, "batch")
        mix = mixer.draw(batch.x)
        whole = partial(peers.with_targets, mixer, batch.x, y)
        calls: dict[str, Callable[[], object]] = {
            "draw": partial(mixer.draw, batch.x),
            "blend": partial(mix, batch.x),
            "targets": partial(mix.targets, y, num_classes=CLASSES),
            "call": partial(mixer, batch.x),
            "whole": whole,
        }
        calls |= {name: partial(of[method], batch.y, y) for name, of in others.items() if method in of}
        for what, call in calls.items():
            figures.add(Key(NAME, str(SHAPE), method, "", what), 1000 * bench.clock.milliseconds(call))
        if method in peers.COMPARED:
            for where, microseconds in profile(whole, 2 if bench.small else CALLS):
                figures.add(Key(NAME, where, method, "", "function"), microseconds)


def profile(call: Callable[[], object], times: int) -> Iterator[tuple[str, float]]:
    """Functions and the microseconds that each takes of a call itself, under Python's profiler, which slows them."""
    profiler = cProfile.Profile()
    call()
    profiler.enable()
    for _ in range(times):
        call()
    profiler.disable()
    for (file, line, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        where = name.strip("<>") if file == "~" else f"{Path(file).parent.name}/{Path(file).name}:{line} {name}"
        yield where, 1e6 * own / times


def sections(figures: Figures) -> list[str]:
    """The table of steps, and that of functions."""
    columns = (
        "batch | method | `mixer.draw(x)` | `mix(x)` | `mix.targets(y)` | `mixer(x)` | with targets "
        f"| {' | '.join(peers.COLUMNS)}"
    )
    rows = [
        (f"{case} | {method}", [figures.get(NAME, case, method, "", what) for what in (*STEPS, *peers.COLUMNS)])
        for case, method, _ in figures.rows(NAME)
        if case == str(SHAPE)
    ]
    text = (
        "Microseconds of a call on a batch so small that all of it is fixed cost. Below, the functions that take most "
        "themselves, in microseconds of a call under Python's profiler, which makes short ones look longer."
    )
    return section("A call", text, table(columns, rows), _functions(figures))


def _functions(figures: Figures) -> list[str]:
    rows = []
    for method in peers.COMPARED:
        taken = {
            case: figures.get(NAME, case, method, "", "function") or 0.0
            for case, of, _ in figures.rows(NAME)
            if of == method and case != str(SHAPE)
        }
        for case in sorted(taken, key=lambda case: -taken[case])[:MOST]:
            share = 100 * taken[case] / (sum(taken.values()) or 1)
            rows.append((f"{method} | `{case}`", [taken[case], share]))
    return table("method | function | microseconds | share of the call (%)", rows)


PART = Part(measure, sections)
