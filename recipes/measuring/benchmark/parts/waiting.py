"""Whether a mixer waits for CUDA: a draw, a blend, targets and a loss, asked for errors where they do."""

from functools import partial
from typing import Any

from torch import Tensor

from mixmodal import Draws
from recipes.measuring.benchmark.cases import CLASSES, DRAWS, Batch, Bench, Part, methods_for
from recipes.measuring.benchmark.clock import waits
from recipes.measuring.benchmark.figures import Figures, Key, section, table

NAME = "waiting"


def measure(bench: Bench, figures: Figures) -> None:
    """1 for each method that waits on a size, and 0; nothing but a sentence on a CPU, which has nothing to wait for."""
    if not bench.clock.on_cuda:
        figures.note(NAME, "Measured on CUDA alone: `--device cuda`.")
        return
    for shape in (*bench.inputs, *bench.features):
        batch = Batch(shape, bench)
        y, preds = bench.labels(batch.count), bench.rand(batch.count, CLASSES)
        for method in methods_for(shape):
            for draws in DRAWS:
                mixer = batch.mixer(method, draws)
                said = waits(partial(everything, mixer, batch.x, y, preds, batch.saliency(mixer)))
                figures.add(Key(NAME, str(shape), method, draws, "waits"), float(said is not None))
                if said is not None:
                    figures.note(NAME, f"{method}, a draw for each {draws}, on {shape}: {said}")


def everything(mixer: Draws, x: Tensor, y: Tensor, preds: Tensor, asked: dict[str, Any]) -> None:
    """What a training step asks of a mixer."""
    _, mix = mixer(x, **asked)
    mix.targets(y, num_classes=CLASSES)
    mix.loss(preds, y)


def waiting(figures: Figures) -> dict[str, float | None]:
    """1 for what waits and 0 for what does not, by batch and method."""
    return {
        f"{case}, {method}, a draw for each {draws}": figures.get(NAME, case, method, draws, "waits")
        for case, method, draws in figures.rows(NAME)
    }


def sections(figures: Figures) -> list[str]:
    """How many of how many wait, and which."""
    found = [number for number in waiting(figures).values() if number is not None]
    text = (
        'A draw, a blend, soft targets and a loss of each mixer under `torch.cuda.set_sync_debug_mode("error")`, which '
        "raises where the host waits for the device."
    )
    rows = [(f"{len(found):d}", [sum(found)])] if found else []
    return section(
        "Waiting for the device", text, table("mixers and sizes | that wait", rows), notes=figures.said.get(NAME, ())
    )


PART = Part(measure, sections)
