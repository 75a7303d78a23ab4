"""Mixers in compiled code, a draw and a blend in one graph, beside the same without."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mixmodal import Draws
from recipes.measuring.benchmark.cases import DRAWS, Batch, Bench, Part
from recipes.measuring.benchmark.figures import Figures, Key, ratio, section, table
from recipes.training.methods import AT_INPUT

NAME = "compiled"


def measure(bench: Bench, figures: Figures) -> None:
    """Floor, mixers as they are and compiled in milliseconds, and the first call of the latter in seconds."""
    backend = "eager" if bench.small else "inductor"
    for shape in bench.inputs[: bench.compiled]:
        batch = Batch(shape, bench)
        bench.clock.milliseconds(batch.floor("batch"), bench.settling)
        for draws in DRAWS:
            floor = partial(bench.clock.milliseconds, batch.floor(draws))
            figures.add(Key(NAME, str(shape), "", draws, "floor"), floor())
            for method in bench.some(list(AT_INPUT)):
                of = (NAME, str(shape), method, draws)
                mixed = _mixed(batch.mixer(method, draws))
                figures.add(Key(*of, "eager"), bench.clock.milliseconds(partial(mixed, batch.x)))
                try:
                    compiled, seconds = _compiled(mixed, batch.x, backend)
                except Exception as error:  # whatever the compiler raises: it is what a user would see
                    figures.note(NAME, f"{method}, a draw for each {draws}: {first_line(error)}")
                    continue
                figures.add(Key(*of, "compiled"), bench.clock.milliseconds(partial(compiled, batch.x)))
                figures.add(Key(*of, "seconds"), seconds)
            figures.add(Key(NAME, str(shape), "", draws, "floor"), floor())
    torch.compiler.reset()


def floors(figures: Figures, case: str, method: str, draws: str) -> float | None:
    """What a compiled mixer takes in multiples of the floor of its kind of masks."""
    return ratio(figures.get(NAME, case, method, draws, "compiled"), figures.get(NAME, case, "", draws, "floor"))


def sections(figures: Figures) -> list[str]:
    """The one table."""
    rows = []
    for case, method, draws in figures.rows(NAME):
        if method:
            floor = figures.get(NAME, case, "", draws, "floor")
            eager, compiled, seconds = (
                figures.get(NAME, case, method, draws, what) for what in ("eager", "compiled", "seconds")
            )
            cells = [floor, eager, compiled, ratio(compiled, floor), ratio(eager, compiled), seconds]
            rows.append((f"{case} | {method} | {draws}", cells))
    columns = (
        "batch | method | a draw for each | floor (ms) | eager (ms) | compiled (ms) | compiled / floor "
        "| times as fast as eager | first call (s)"
    )
    text = (
        "`torch.compile(fullgraph=True)` of a draw and a blend, for one size of batches. The first call compiles; what "
        "an earlier run compiled is found on the disk again."
    )
    return section("Compiled", text, table(columns, rows), notes=figures.said.get(NAME, ()))


def _mixed(mixer: Draws) -> Callable[[Tensor], Tensor]:
    """The mixer as a function of a batch to the mixed one."""

    def mixed(x: Tensor) -> Tensor:
        return mixer(x)[0]

    return mixed


def _compiled(mixed: Callable[[Tensor], Tensor], x: Tensor, backend: str) -> tuple[Callable[[Tensor], Tensor], float]:
    """The compiled function and the seconds of its first call."""
    torch.compiler.reset()
    compiled: Callable[[Tensor], Tensor] = torch.compile(mixed, fullgraph=True, backend=backend)
    begin = time.perf_counter()
    compiled(x)
    return compiled, time.perf_counter() - begin


def first_line(error: BaseException) -> str:
    """The kind of an error and its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


PART = Part(measure, sections, once=True)
