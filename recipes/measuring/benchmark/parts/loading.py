"""Mixing in the workers of a DataLoader, beside mixing where the model is."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mixmodal import Draws, MixCollate
from recipes.measuring.benchmark.cases import CLASSES, DRAWS, Bench, Part, mixer_of
from recipes.measuring.benchmark.figures import Figures, Key, section, table
from recipes.training.methods import AT_INPUT

NAME = "loading"
IMAGE = (3, 32, 32)
BATCH = 128
BATCHES = 48
WORKERS = (0, 2)
PLACES = ("workers", "after")


def measure(bench: Bench, figures: Figures) -> None:
    """Milliseconds a batch by number of workers, method and where it mixes."""
    batch, batches = (8, 2) if bench.small else (BATCH, BATCHES)
    count = batch * (1 + batches)
    data = TensorDataset(torch.rand(count, *IMAGE), torch.randint(CLASSES, (count,)))
    for workers in WORKERS[:1] if bench.small else WORKERS:
        loader = partial(DataLoader, data, batch, num_workers=workers, pin_memory=bench.clock.on_cuda)
        case = str(workers)
        figures.add(Key(NAME, case, "", "", "none"), _epoch(loader(), bench, lambda x, y: None))
        for method in bench.some(list(AT_INPUT)):
            for draws in DRAWS:
                mixer = mixer_of(method, "b c *", IMAGE[-1], draws)
                within = loader(collate_fn=MixCollate(mixer, num_classes=CLASSES))
                times = _epoch(within, bench, lambda x, y: None), _epoch(loader(), bench, partial(_mix, mixer))
                for place, milliseconds in zip(PLACES, times, strict=True):
                    figures.add(Key(NAME, case, method, draws, place), milliseconds)


def sections(figures: Figures) -> list[str]:
    """The one table."""
    rows = []
    for case, method, draws in figures.rows(NAME):
        if method:
            none = figures.get(NAME, case, "", "", "none")
            cells = [none, *(figures.get(NAME, case, method, draws, place) for place in PLACES)]
            rows.append((f"{case} | {method} | {draws}", cells))
    columns = (
        "workers | method | a draw for each | no mixing (ms a batch) | `MixCollate` (ms a batch) "
        "| mixed after the loader (ms a batch)"
    )
    text = (
        f"Batches of {BATCH} images of {IMAGE} from a DataLoader, on the device of the model, with nothing else done "
        f"to them: {BATCHES} batches after the first, for which workers start. With 0 workers both are in one process."
    )
    return section("In the workers of a DataLoader", text, table(columns, rows))


def _mix(mixer: Draws, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    mixed, mix = mixer(x)
    return mixed, mix.targets(y, num_classes=CLASSES)


def _epoch(loader: "DataLoader[Any]", bench: Bench, use: Callable[[Tensor, Tensor], object]) -> float:
    """Milliseconds a batch, from when the first is used to when the last is."""
    times = []
    for x, y in loader:
        use(x.to(bench.device, non_blocking=True), y.to(bench.device, non_blocking=True))
        if bench.clock.on_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return 1000 * (times[-1] - times[0]) / (len(times) - 1)


PART = Part(measure, sections, once=True)
