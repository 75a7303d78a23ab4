"""How many graphs the compiler makes of a draw, a blend and a loss while batch sizes and lengths of texts change."""

from collections.abc import Sequence

import torch
import torch._dynamo
from torch import Tensor
from torch._dynamo.utils import counters

from mixmodal import Draws
from recipes.measuring.benchmark.cases import CLASSES, DRAWS, Bench, Part, mixer_of
from recipes.measuring.benchmark.figures import Figures, Key, section, table
from recipes.measuring.benchmark.parts.compiling.compiled import first_line
from recipes.training.methods import AT_INPUT, AT_SITES

NAME = "graphs"
LENGTHS = tuple(range(40, 40 + 16 * 7, 7))
BATCHES = (8, 12, 20)
WIDTH = 16
DYNAMIC = {"default": None, "dynamic": True}
"""Values of `dynamic=` of `torch.compile`, by the names of the figures."""
MOST = 8
"""Graphs of a function after which `torch.compile` gives up by default, as does the count."""


def measure(bench: Bench, figures: Figures) -> None:
    """The graphs of each method, or what keeps it from being one graph."""
    shapes = [(batch, length) for length in bench.some(LENGTHS) for batch in bench.some(BATCHES)]
    for method in bench.some([*AT_INPUT, *AT_SITES]):
        for draws in DRAWS:
            mixer = mixer_of(method, "b * d", max(LENGTHS), draws)
            for name, dynamic in DYNAMIC.items():
                try:
                    count = graphs(mixer, shapes, bench, dynamic=dynamic)
                except Exception as error:  # whatever the compiler raises: it is what a user would see
                    figures.note(NAME, f"{method}, a draw for each {draws}, {name}: {first_line(error)}")
                    continue
                figures.add(Key(NAME, str(len(shapes)), method, draws, name), count)
    torch.compiler.reset()


def graphs(mixer: Draws, shapes: Sequence[tuple[int, int]], bench: Bench, *, dynamic: bool | None = None) -> int:
    """The graphs that are made for batches (B, T, D) of these sizes and lengths; `MOST` and one if they are more."""

    def step(x: Tensor, preds: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mixed, mix = mixer(x)
        return mixed, mix.loss(preds, y)

    torch.compiler.reset()
    counters.clear()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    with torch._dynamo.config.patch(recompile_limit=MOST + 1):
        for batch, length in shapes:
            compiled(bench.rand(batch, length, WIDTH), bench.rand(batch, CLASSES), bench.labels(batch))
            if counters["stats"]["unique_graphs"] > MOST:
                break
    return int(counters["stats"]["unique_graphs"])


def counts(figures: Figures) -> dict[str, float | None]:
    """The graphs by method under `dynamic=True`."""
    return {
        f"{method}, a draw for each {draws}": figures.get(NAME, case, method, draws, "dynamic")
        for case, method, draws in figures.rows(NAME)
    }


def sections(figures: Figures) -> list[str]:
    """The one table."""
    cases = {case: method for case, method, _ in figures.rows(NAME)}
    rows = [
        (f"{case} | {method}", [figures.get(NAME, case, method, draws, name) for name in DYNAMIC for draws in DRAWS])
        for case in cases
        for method in dict.fromkeys(method for of, method, _ in figures.rows(NAME) if of == case)
    ]
    text = (
        'A draw, a blend and a loss in one function, `torch.compile(fullgraph=True, backend="aot_eager")`, called '
        f"with texts (B, T, {WIDTH}) of {len(LENGTHS)} lengths in batches of {', '.join(map(str, BATCHES))}. By "
        "default the compiler assumes that all sizes of the first call are fixed, and makes an axis dynamic, at a "
        f"graph each time, when it first sees it change. Counted to {MOST + 1}, which stands for more than {MOST}."
    )
    columns = (
        "sizes | method | a draw a batch | a draw a sample | a draw a batch, `dynamic=True` | "
        "a draw a sample, `dynamic=True`"
    )
    return section("Graphs for changing sizes", text, table(columns, rows), notes=figures.said.get(NAME, ()))


PART = Part(measure, sections, once=True)
