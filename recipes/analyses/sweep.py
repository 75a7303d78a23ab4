"""Run a recipe over a grid of its options and seeds, with a table and a plot; finished runs are not repeated.

Claim (Harris et al. 2020, Figure 3): with a PreAct-ResNet18 on CIFAR-10 accuracy hardly depends on FMix's alpha, and
falls for a decay power below 2. Claim (Figure 4): alternating FMix and MixUp is best for training sets of any size.

    python -m recipes.analyses.sweep --figure fmix-3-alpha --words="--preset fmix-paper --data cifar10 --data-root DIR"

Claim (Faramarzi et al. 2022, Table 7): hard PatchUp errs less at a random one of the input and the first stages than
at any fixed site, and more the later that site is; with blocks at the input it errs more than with a box there.

`--figure scaling` is ours: gains over the baseline for 500 to 50,000 images and widths of 8 to 32.

`--figure fmix-4` changes epochs with the size of the training set: keep the cosine schedule, which follows them;
milestones do not.

Any other grid: `--grid` with one or more of NAME=VALUE,VALUE,..., and NAME+NAME=VALUE+VALUE,... for options that change
together. A value may have several words, separated by spaces: `--grid "sites=input,layer1,input layer1 layer2"`.
"""

import itertools
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from recipes.analyses.shared.plans import FIGURES, SMOKE, Options, Plan
from recipes.pictures import conditions
from recipes.reporting import intervals, pages
from recipes.reporting.cells import markdown_table
from recipes.reporting.intervals import Claim
from recipes.reporting.summary import read_json


@dataclass(frozen=True)
class Settings:
    """Run a recipe for every cell of a grid and every seed, and write its table."""

    recipe: str = "images"
    """Which one: images, audio, text or points."""
    figure: str | None = None
    """A figure or table of a paper: its claim, and its grid unless `--grid` gives other values of its options."""
    grid: tuple[str, ...] = ()
    """NAME=VALUE,VALUE,... for each option that is varied."""
    words: str = ""
    """Further words of every command line, as in --words="--data cifar10 --data-root DIR"."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of every cell."""
    runs: Path = Path("runs/sweep")
    """Folder of the runs; each has a subfolder named after its options and seed."""
    jobs: int = 1
    """Runs at a time."""
    launcher: str = sys.executable
    """What starts a run, before `-m recipes.NAME`: a Python, or for example "srun python"."""
    smoke: bool = False
    """Use two values, two seeds and a few batches, to check that it works."""
    out: Path | None = None
    """File for the page, in Markdown; a plot and a table of all numbers are put beside it."""

    def __post_init__(self) -> None:
        if self.recipe not in ("images", "audio", "text", "points"):
            raise ValueError(f"recipe={self.recipe!r} must be images, audio, text or points")
        if self.figure is not None and self.figure not in FIGURES:
            raise ValueError(f"figure={self.figure!r} is unknown; choose {', '.join(FIGURES)}")
        if bool(self.figure or self.grid) == self.smoke:
            raise ValueError("give figure, grid or both to say what is varied, or else smoke")
        if self.figure and self.grid and options(self.grid) != options(FIGURES[self.figure].grid):
            usual = ", ".join(FIGURES[self.figure].grid)
            raise ValueError(f"grid={self.grid} must have the options of figure={self.figure!r}, which are {usual}")
        over = FIGURES[self.figure].over if self.figure else ""
        if over and self.grid and not any(("method", over) in cell for cell in cells(self.grid)):
            raise ValueError(f"grid={self.grid} needs method={over}: figure={self.figure!r} shows gains over it")
        if self.jobs < 1 or not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"jobs={self.jobs} must be 1 or more, and seeds={self.seeds} different ones")


def axis(text: str) -> list[Options]:
    """The options of each place on an axis of a grid.

    Raises:
        ValueError: it is not NAME=VALUE,VALUE,... or does not have as many values as names.

    >>> axis("alpha=0.2,1")
    [(('alpha', '0.2'),), (('alpha', '1'),)]
    >>> axis("per_class+epochs=50+4,100+2")
    [(('per_class', '50'), ('epochs', '4')), (('per_class', '100'), ('epochs', '2'))]
    """
    left, equals, right = text.partition("=")
    names = left.split("+")
    places = []
    for value in right.split(","):
        values = value.split("+") if len(names) > 1 else [value]
        if not equals or not all(names) or not all(values) or len(values) != len(names):
            raise ValueError(f"grid={text!r} must be NAME=VALUE,VALUE,... or NAME+NAME=VALUE+VALUE,...")
        places.append(tuple(zip(names, values, strict=True)))
    if len({*places}) < len(places):
        raise ValueError(f"grid={text!r} has a value twice")
    return places


def cells(grid: Sequence[str]) -> list[Options]:
    """All cells of a grid.

    Raises:
        ValueError: an axis is not valid, or an option is on two of them.
    """
    found = [tuple(itertools.chain(*places)) for places in itertools.product(*map(axis, grid))]
    names = [name for name, _ in found[0]]
    if len({*names}) < len(names):
        raise ValueError(f"grid={tuple(grid)} has an option on two axes")
    return found


def options(grid: Sequence[str]) -> set[str]:
    """Names of the options that are varied."""
    return {name for name, _ in cells(grid)[0]}


def command_of(settings: Settings, figure: Plan, cell: Options, seed: int) -> tuple[list[str], Path]:
    """The words of a run's command line after the name of its recipe, and its folder."""
    options = [[f"--{name.replace('_', '-')}", *value.split(" ")] for name, value in cell]
    name = ",".join(f"{name}={value.replace(' ', '-')}" for name, value in (*cell, ("seed", str(seed))))
    out = settings.runs / name
    given = [*shlex.split(figure.words), *shlex.split(settings.words), *itertools.chain(*options)]
    return [*given, "--seed", str(seed), "--out", str(out)], out


def run(settings: Settings, words: Sequence[str], out: Path) -> dict[str, Any]:
    """The result of a run, which is started, resumed, or read if it is finished.

    Raises:
        ValueError: there is another run in its folder, or it failed.
    """
    command = f"python -m recipes.{settings.recipe} {shlex.join(words)}"
    result = out / "result.json"
    if not result.exists():
        again = ["--resume"] if (out / "config.json").exists() else []
        start = [*shlex.split(settings.launcher), "-m", f"recipes.{settings.recipe}", *words, *again]
        done = subprocess.run(start, capture_output=True, text=True, check=False, env=dict(os.environ))
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(f"{command} failed: {last}")
    found = read_json(result, ("metric", "score", "command"))
    if found["command"].removesuffix(" --resume") != command:
        raise ValueError(f"{out} holds the run of `{found['command']}`, not of `{command}`: choose other --runs")
    print(f"{out.name}: {found['metric']} {found['score']:.2f} %", file=sys.stderr)
    return found


def page(settings: Settings, command: str) -> pages.Page:
    """Run the grid; returns the page and the files beside it."""
    figure = SMOKE if settings.smoke else FIGURES.get(settings.figure or "", Plan(settings.grid, "", "none"))
    figure = replace(figure, grid=settings.grid or figure.grid)
    seeds = settings.seeds[:2] if settings.smoke else settings.seeds
    grid = cells(figure.grid)
    jobs = [(cell, seed, *command_of(settings, figure, cell, seed)) for cell in grid for seed in seeds]
    with ThreadPoolExecutor(settings.jobs) as pool:
        results = list(pool.map(lambda job: run(settings, *job[2:]), jobs))
    scores: dict[Options, dict[int, float]] = {}
    for (cell, seed, *_), result in zip(jobs, results, strict=True):
        scores.setdefault(cell, {})[seed] = float(result["score"])
    name = "" if settings.out is None else settings.out.stem
    measure = f"Gain over {figure.over} (points)" if figure.over else f"{results[0]['metric']} (%)"
    first = f"python -m recipes.{settings.recipe} {shlex.join(jobs[0][2])}"
    text = [
        f"# {settings.recipe} over {' and '.join(each.partition('=')[0] for each in figure.grid)}",
        f"Made by `{command}`; each run by a command like `{first}`. "
        f"Revisions: {', '.join(sorted({str(result['git']) for result in results}))}.",
        f"The {results[0]['metric']} of the last epoch, in percent:",
        table(scores),
        f"![{measure} over the grid]({name}.png)",
        f"*Claim: {figure.claim}. Bands are 95 % t-intervals over the seeds.*",
        *judged(figure, scores),
    ]
    drawn = gains(scores, figure.over) if figure.over else scores
    figures = {".png": plot(drawn, figure.grid, measure)}
    return pages.Page("\n\n".join(text) + "\n", figures, {".csv": intervals.csv_text({"score": _named(scores)})})


def gains(scores: Mapping[Options, Mapping[int, float]], over: str) -> dict[Options, dict[int, float]]:
    """By how much each cell's score exceeds that of the cell with the method `over`, seed by seed.

    >>> gains({(("method", "none"),): {0: 50.0}, (("method", "fmix"),): {0: 52.5}}, "none")
    {(('method', 'fmix'),): {0: 2.5}}
    """
    found = {}
    for cell, seeds in scores.items():
        base = scores[tuple((name, over if name == "method" else value) for name, value in cell)]
        if base is not seeds:
            found[cell] = {seed: score - base[seed] for seed, score in seeds.items()}
    return found


def table(scores: Mapping[Options, Mapping[int, float]]) -> str:
    """A row for each cell."""
    rows = []
    for cell, seeds in scores.items():
        found = intervals.interval(list(seeds.values()))
        rows.append([*(value for _, value in cell), str(found.n), intervals.cell(found, 2)])
    return markdown_table([*(name for name, _ in next(iter(scores))), "n", "score (%)"], rows)


def judged(figure: Plan, scores: Mapping[Options, Mapping[int, float]]) -> list[str]:
    """Whether a paper's claims about cells hold here, and how to read the table."""
    below, source = figure.below, figure.claim.partition(":")[0]
    pairs = [
        Claim("score", name_of(low), name_of(high), source)
        for low, high in itertools.permutations(scores, 2)
        if below is not None and below(dict(low), dict(high))
    ]
    if not pairs:
        return [intervals.READING.partition(" Differences")[0]]
    return [intervals.claim_table(pairs, {"score": _named(scores)}, 2), intervals.READING]


def plot(scores: Mapping[Options, Mapping[int, float]], grid: Sequence[str], measure: str) -> Figure:
    """Scores against the last axis of the grid, a curve for each place on the others."""
    marks = axis(grid[-1])
    size, names = len(marks[0]), [name for name, _ in marks[0]]
    if len({place[0] for place in marks}) == len(marks):
        names = names[:1]  # one option tells places apart
    values: dict[str, dict[str, conditions.Band]] = {}
    for cell, seeds in scores.items():
        found = intervals.interval(list(seeds.values()))
        curve = ", ".join(value for _, value in cell[:-size]) or measure
        at = ", ".join(value for _, value in cell[-size:][: len(names)])
        values.setdefault(at, {})[curve] = found.mean, found.half
    name = ", ".join(names)
    try:
        places = [float(value) for value in values]
    except ValueError:
        return conditions.points(values, ylabel=measure, xlabel=name)
    curves: dict[str, dict[float, conditions.Band]] = {}
    for place, by_curve in zip(places, values.values(), strict=True):
        for curve, band in by_curve.items():
            curves.setdefault(curve, {})[place] = band
    return conditions.curves({"": curves}, xlabel=name, ylabel=measure, threshold=None)


def name_of(cell: Options) -> str:
    """What pages call a cell.

    >>> name_of((("method", "fmix"), ("alpha", "0.2")))
    'method=fmix alpha=0.2'
    """
    return " ".join(f"{name}={value}" for name, value in cell)


def _named(scores: Mapping[Options, Mapping[int, float]]) -> dict[str, Mapping[int, float]]:
    return {name_of(cell): seeds for cell, seeds in scores.items()}


if __name__ == "__main__":
    pages.main("analyses.sweep", Settings, page)
