"""Memory of 10,000 steps of each recipe's loop: `python -m tests.faults.growth`, which writes docs/results/growth.*.

The recipes run as they are typed, on their own small data and with narrow networks; the resident memory of the process
is read at every 1,000th step.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from unittest import mock

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from recipes.data.disk.kept import whole
from recipes.training import records
from recipes.training.faults.nonfinite import Step, Watch

STEPS, EVERY = 10_000, 1_000
COMMON = ["--device", "cpu", "--batch-size", "2", "--epochs", "100000", "--evaluate-every", "0", "--lr", "0.001"]
COMMON += ["--schedule", "constant"]
WORDS = {
    "images": ["--augment", "none", "--method", "fmix"],
    "audio": ["--augment", "none", "--method", "fmix"],
    "text": ["--model", "cnn", "--width", "4", "--vector-width", "5", "--size", "500", "--method", "fmix"],
    "points": ["--points", "16", "--resolution", "8", "--width", "2", "--method", "fmix"],
}
TEXT = """# Memory of long runs

Ten thousand steps of each recipe's loop, on data that need no download, in batches of two: the resident memory of the
process after every thousand steps, in MiB, including the checkpoints written in between. A loop that kept the values of
a batch would grow by as many MiB as the batches hold. The networks are as small as possible; those for images and audio
are a mean and one layer, since what matters over ten thousand steps is the memory of the loop and the data. Batches of
text have many lengths, and oneDNN keeps the code it compiled for up to 1,024 shapes, which takes 3 MiB here; in these
runs it keeps one (`ONEDNN_PRIMITIVE_CACHE_CAPACITY=1`), so that any growth is ours.
"""


class Narrow(nn.Module):
    """A mean over places and one layer, with the stages that recipes mix at."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layer1, self.layer2, self.layer3, self.layer4 = (nn.Identity() for _ in range(4))
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer4(self.layer3(self.layer2(self.layer1(x)))).flatten(2).mean(2))
        return logits


NARROW: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "images": ("network", lambda settings, data: Narrow(len(data.mean), len(data.classes))),
    "audio": ("preact_resnet", lambda depth, *, channels, classes, width: Narrow(channels, classes)),
}


class Enough(BaseException):
    """All steps are taken."""


def resident() -> float:
    """The resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def measured(recipe: str, *, steps: int, every: int, tell: Callable[[str], None] = lambda _: None) -> list[float]:
    """Memory in MiB after each `every` of so many steps of a recipe."""
    found: list[float] = []
    count, see = 0, Watch.see

    def seen(watch: Watch, step: Step) -> None:
        nonlocal count
        see(watch, step)
        count += 1
        if count % every == 0:
            found.append(resident())
            tell(f"{recipe}: {count:,} steps, {found[-1]:.1f} MiB")
        if count == steps:
            raise Enough

    module = import_module(f"recipes.{recipe}")
    with contextlib.ExitStack() as held, tempfile.TemporaryDirectory() as folder:
        held.enter_context(contextlib.suppress(Enough))
        held.enter_context(contextlib.redirect_stdout(io.StringIO()))
        held.enter_context(mock.patch.object(Watch, "see", seen))
        if recipe in NARROW:
            held.enter_context(mock.patch.object(module, *NARROW[recipe]))
        module.main([*COMMON, *WORDS[recipe], "--out", str(Path(folder, "run"))])
    return found


def plot(memory: dict[str, list[float]], every: int) -> Figure:
    """Memory by step."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, values in memory.items():
        axes.plot([every * (place + 1) for place in range(len(values))], values, "o-", markersize=3, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("resident memory (MiB)")
    axes.set_ylim(0, 1.1 * max(map(max, memory.values())))
    axes.legend(frameon=False, ncols=4, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def page(memory: dict[str, list[float]], seconds: float, every: int) -> str:
    """The table, in Markdown."""
    steps = [every * (place + 1) for place in range(len(next(iter(memory.values()))))]
    head = "| recipe | " + " | ".join(f"{step:,}" for step in steps) + " | from the second to the last |"
    rows = [
        f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + f" | {values[-1] - values[1]:+.1f} |"
        for name, values in memory.items()
    ]
    made = f"Made by `python -m tests.faults.growth` at {records.environment()['git']} in {seconds:,.0f} seconds, with "
    made += f"torch {torch.__version__}, {platform.system()}, {records.device_name(torch.device('cpu'))}."
    picture = "![Resident memory of each recipe by step](growth.png)"
    return "\n\n".join([TEXT.rstrip(), "\n".join([head, "|---" * (len(steps) + 2) + "|", *rows]), picture, made]) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/growth"))
    parser.add_argument(
        "--one", choices=WORDS, help="measure one recipe and print its numbers, as the whole does for each"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.one is not None:
        print(
            json.dumps(
                measured(
                    given.one, steps=STEPS, every=EVERY, tell=lambda words: print(words, file=sys.stderr, flush=True)
                )
            )
        )
        return
    start = time.perf_counter()
    command = [sys.executable, "-m", "tests.faults.growth", "--one"]
    alone = os.environ | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1"}
    runs = {name: subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=alone) for name in WORDS}
    memory: dict[str, list[float]] = {name: json.loads(run.communicate()[0]) for name, run in runs.items()}
    with whole(given.out.with_suffix(".png")) as place:
        plot(memory, EVERY).savefig(place, dpi=90)
    records.write_text(given.out.with_suffix(".md"), page(memory, time.perf_counter() - start, EVERY))


if __name__ == "__main__":
    main()
