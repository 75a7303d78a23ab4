"""What mixing costs, compared with the least that torch can do and with others: `python -m recipes.benchmark`.

The floor is `torch.where` of two existing batches into an existing buffer. All mixers are measured on batches of six
sizes and on features of three, with one draw for the batch or one for each sample, eager and compiled; they are
compared with torchvision, timm and kornia, and with the code of the FMix and PatchUp papers, whose times are recorded
as ratios to the same floor. Then come the effects on training: the share of a step, the workers of a DataLoader, graphs
for changing sizes, the fixed cost of a call, and whether anything waits for the device.

Times are medians over several sweeps: a few seconds of other load on the machine fall on one of them and are voted out.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from recipes.measuring.benchmark import picture, targets
from recipes.measuring.benchmark.cases import Bench, Part
from recipes.measuring.benchmark.clock import Clock, settle
from recipes.measuring.benchmark.figures import Figures
from recipes.measuring.benchmark.parts import calls, loading, mixing, peers, points, steps, waiting
from recipes.measuring.benchmark.parts.compiling import compiled, graphs
from recipes.reporting import pages
from recipes.training import records

PARTS: dict[str, Part] = {
    module.NAME: module.PART for module in (loading, mixing, peers, compiled, steps, graphs, calls, points, waiting)
}
"""Parts by name, in the order in which they are measured: workers fork before anything has threads."""
SHORTEST = 1e-6
"""Seconds so short that a call is made only once."""
ON_THE_PAGE = ("mixing", "peers", "compiled", "steps", "loading", "graphs", "calls", "points", "waiting")


@dataclass(frozen=True)
class Settings:
    """Measure what mixing costs, and print tables, headed by the targets that the library should meet."""

    parts: tuple[str, ...] = tuple(PARTS)
    """What to measure, out of mixing, peers, compiled, steps, loading, graphs, calls, points and waiting."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to measure on."""
    threads: int = 2
    """Number of torch threads."""
    sweeps: int = 3
    """How often every call is measured, each time after all others of its part; slow parts are measured once."""
    seconds: float = 0.04
    """How long a call is repeated in a sweep."""
    compiled_sizes: int = 2
    """Number of sizes, out of six, that mixers are compiled for; each takes some minutes the first time."""
    smoke: bool = False
    """One size, one sweep, a call or two and small networks, to check that it works."""
    out: Path | None = None
    """Markdown file for the page; the plot and all numbers, as CSV, are written next to it."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.parts if name not in PARTS]
        if unknown or not self.parts:
            raise ValueError(f"parts={self.parts} must be among {', '.join(ON_THE_PAGE)}")
        for name, least in {"threads": 1, "sweeps": 1, "compiled_sizes": 0, "seconds": SHORTEST}.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device='cuda' is not available: torch finds no GPU; leave the option out")


def page(settings: Settings, command: str) -> pages.Page:
    """Measure the requested parts, and make their page."""
    settle(settings.threads)
    torch.manual_seed(0)
    seconds, sweeps = (SHORTEST, 1) if settings.smoke else (settings.seconds, settings.sweeps)
    device = torch.device(settings.device)
    figures, begin = Figures(comparable=device.type == "cpu"), time.perf_counter()
    for name, part in PARTS.items():
        if name in settings.parts:
            clock = Clock(device, sweeps * seconds, sweeps) if part.once else Clock(device, seconds)
            bench = Bench(clock, compiled=settings.compiled_sizes, small=settings.smoke)
            for _ in range(1 if part.once else sweeps):
                part.measure(bench, figures)
            print(f"{name}: done {time.perf_counter() - begin:.0f} s after the start", file=sys.stderr)
    sections = [line for name in ON_THE_PAGE for line in PARTS[name].sections(figures)]
    text = "\n".join([*_head(settings, command), *targets.lines(figures), *_plot(settings), *sections])
    return pages.Page(text, {".png": picture.ratios(figures)}, {".csv": figures.text()})


def _head(settings: Settings, command: str) -> list[str]:
    """Title, origin, and what the numbers are."""
    environment = records.environment()
    about = (
        f"Made by `{command}` at {environment['git']} with torch {environment['versions']['torch']} on "
        f"{records.device_name(torch.device(settings.device))}. Times are medians over at least {settings.seconds} s "
        f"of calls, and then over {settings.sweeps} sweeps of a part; slow parts have one sweep, as long as "
        f"{settings.sweeps}: {', '.join(name for name in ON_THE_PAGE if PARTS[name].once)}. Times vary from run to run "
        "and machine to machine; ratios within a run hold. On a CPU a block of 32 MB was freed first, as a training "
        "step frees activations: before that, the C library returns the memory of each result to the system."
    )
    return ["# Speed", "", about, *(["", "**A smoke run: its numbers mean nothing.**"] if settings.smoke else []), ""]


def _plot(settings: Settings) -> list[str]:
    """The plot, which is next to the page if one is written."""
    said = "Mixers compared with the floor and with others"
    return [] if settings.out is None else [f"![{said}]({settings.out.stem}.png)", ""]


if __name__ == "__main__":
    pages.main("benchmark", Settings, page)
