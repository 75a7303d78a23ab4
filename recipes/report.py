"""Tables and plots of finished runs: `python -m recipes.report RUNS --out docs/results/NAME`.

Writes NAME.md (the table, how to read it, how to reproduce it), NAME.csv (full precision, every seed) and NAME.png.
Scores are in percent, differences in percentage points; the same runs give the same bytes of NAME.md and NAME.csv.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recipes.data.disk.kept import whole
from recipes.reporting.published import Published, published_for
from recipes.reporting.summary import ReportError, Run, check_comparable, find_runs, summarise
from recipes.reporting.tables import Report, csv_text, markdown
from recipes.training import records
from recipes.training.command import mistakes_as_sentences

DARK, GREY, ORANGE = "#1f3550", "0.55", "#d08a3c"
MARKERS = "Ds^vP"


@dataclass(frozen=True)
class Options:
    """What to report, and where to write it."""

    runs: tyro.conf.Positional[Path]
    """Folder that holds the runs, at any depth."""
    out: Path
    """Where to write, without a suffix: .md, .csv and .png are added."""
    baseline: str = "baseline"
    """Method that the others are compared with."""
    published: Annotated[str | None, tyro.conf.arg(metavar="DATA/MODEL")] = None
    """Show published scores of this data and model beside ours, such as cifar10/preact18."""
    title: str | None = None
    """Heading; by default recipe, data and model of the runs."""
    order: tuple[str, ...] = ()
    """Methods in the order of their rows; the baseline is always first, methods not named come last."""

    @property
    def command(self) -> str:
        """The command line that gives these options."""
        words = ["python", "-m", "recipes.report", str(self.runs), "--out", str(self.out), "--baseline", self.baseline]
        words += ["--published", self.published] if self.published else []
        words += ["--title", self.title] if self.title else []
        return shlex.join(words + (["--order", *self.order] if self.order else []))


def build_report(runs: Sequence[Run], options: Options) -> Report:
    """Check that the runs can be compared, summarise them and find the published tables asked for.

    Raises: ReportError if runs or options do not allow it.
    """
    check_comparable(runs)
    rows = summarise(runs, options.baseline, options.order)
    settings = runs[0].settings
    metric = str(settings["metric"])
    key = ("", "")
    tables: tuple[Published, ...] = ()
    if options.published is not None:
        data, _, model = options.published.partition("/")
        key = (data, model)
        try:
            tables = published_for(key)
        except KeyError as error:
            raise ReportError(f"published={options.published!r}: {error.args[0]}") from None
        for table in tables:
            if table.shown_metric != metric:
                raise ReportError(
                    f"published={options.published!r}: {table.name} reports {table.shown_metric}, but the runs "
                    f"report {metric}: leave the argument out"
                )
    names = [str(settings[name]) for name in ("recipe", "data", "model") if name in settings]
    title = options.title or ", ".join(names) or options.out.name
    return Report(title, options.out.name, options.command, metric, tuple(rows), tables, key)


def plot(report: Report) -> Figure:
    """Scores of every method in percent (left), and differences from the baseline in percentage points (right)."""
    figure = Figure(figsize=(9.0, 1.7 + (0.42 + 0.1 * len(report.tables)) * len(report.rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
    for place, row in enumerate(report.rows):
        scores = list(row.scores.values())
        left.plot([row.mean], [place], "|", color=DARK, markersize=17, markeredgewidth=2.2)
        heights = [place + 0.28 * ((step + 0.5) / len(scores) - 0.5) for step in range(len(scores))]
        left.plot(scores, heights, "o", color=GREY, markersize=5.5, markeredgecolor="white")
        gap = row.difference
        if gap is not None and gap.found is not None:
            if gap.found.n > 1:
                right.errorbar(
                    [gap.found.mean], [place], xerr=gap.found.half, fmt="none", ecolor=DARK, elinewidth=1.5, capsize=4
                )
            face = DARK if gap.verdict == "resolved" else "white"
            right.plot([gap.found.mean], [place], "o", color=DARK, markerfacecolor=face, markersize=7)
        for level, table in enumerate(report.tables):
            published = report.published_difference(table, row.method)
            if published is not None:
                right.plot([published], [place + 0.24 + 0.14 * level], MARKERS[level], color=ORANGE, markersize=5)
    left.set_yticks(range(len(report.rows)), [row.method for row in report.rows])
    left.set_ylim(len(report.rows) - 0.4, -0.6)
    left.set_xlabel(f"{report.scored}, {report.when} (%)")
    right.set_xlabel(f"difference to {report.baseline} (points)")
    right.axvline(0.0, color=DARK, linewidth=1.0, linestyle="--", zorder=1)
    for axes in (left, right):
        axes.grid(axis="x", color="0.9")
        for place in range(1, len(report.rows), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=0)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(report.title)
    figure.legend(handles=legend(report), loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def legend(report: Report) -> list[Line2D]:
    """What the markers of `plot` stand for; only those that appear in it."""
    verdicts = {row.difference.verdict for row in report.rows if row.difference is not None}
    marks = [("o", GREY, GREY, "score of a seed"), ("|", DARK, DARK, "mean score")]
    marks += [("o", DARK, DARK, "difference and its 95 % interval")] if "resolved" in verdicts else []
    marks += (
        [("o", DARK, "white", "difference, unresolved or of one seed")] if verdicts & {"unresolved", "one seed"} else []
    )
    marks += [
        (MARKERS[level], ORANGE, ORANGE, f"difference in {table.name}") for level, table in enumerate(report.tables)
    ]
    return [Line2D([], [], linestyle="", marker=m, color=c, markerfacecolor=f, label=text) for m, c, f, text in marks]


def write_report(options: Options) -> list[Path]:
    """Report the runs found; list unfinished runs on stderr and return the files written."""
    runs, unfinished = find_runs(options.runs)
    for folder in unfinished:
        print(f"unfinished, left out: {folder}", file=sys.stderr)
    report = build_report(runs, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    paths = [options.out.with_name(options.out.name + suffix) for suffix in (".md", ".csv", ".png")]
    records.write_text(paths[0], markdown(report))
    records.write_text(paths[1], csv_text(report))
    with whole(paths[2]) as place:
        plot(report).savefig(place, dpi=150)
    return paths


def main() -> None:
    """The command line."""
    options = tyro.cli(Options, description=__doc__)
    with mistakes_as_sentences("report"):
        print("\n".join(str(path) for path in write_report(options)))


if __name__ == "__main__":
    main()
