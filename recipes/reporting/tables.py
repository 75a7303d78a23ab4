"""The texts of a report: the Markdown page and the CSV file, made from summarised runs without touching a file."""

import csv
import io
import json
import re
import shlex
from dataclasses import asdict, dataclass

from recipes.reporting.cells import markdown_table, mean_and_std, plain
from recipes.reporting.published import Published
from recipes.reporting.summary import ABSENT, Difference, Row, Run
from recipes.training.methods import Method

DEFAULTS = asdict(Method())
"""Values of a method's settings that are not given."""


@dataclass(frozen=True)
class Report:
    """All that is shown: rows with the baseline first, published tables of one `key` = (data, model), and origin."""

    title: str
    name: str
    command: str
    metric: str
    rows: tuple[Row, ...]
    tables: tuple[Published, ...]
    key: tuple[str, str]

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return self.rows[0].method

    @property
    def runs(self) -> list[Run]:
        """All runs, in the order of the rows."""
        return [run for row in self.rows for run in row.runs]

    @property
    def of(self) -> str:
        """The samples that are scored, `test` or `validation`."""
        return str(self.runs[0].settings.get("score_on", "test"))

    @property
    def scored(self) -> str:
        """What is scored, such as `test accuracy`."""
        return f"{self.of} {self.metric}"

    @property
    def has_nll(self) -> bool:
        """Whether the NLL of any method is known."""
        return any(row.nll is not None for row in self.rows)

    @property
    def when(self) -> str:
        """Which epochs the score of a run is taken from."""
        epochs = self.runs[0].settings.get("median_of", 1)
        return "last epoch" if epochs == 1 else f"median of the last {epochs} epochs"

    def published_difference(self, table: Published, method: str) -> float | None:
        """Published mean of `method` minus that of the baseline in percentage points; None if either is missing."""
        score, baseline = table.score(self.key, method), table.score(self.key, self.baseline)
        return (
            None if score is None or baseline is None or method == self.baseline else round(score[0] - baseline[0], 6)
        )


def difference_cell(difference: Difference | None, n: int) -> str:
    """Mean ± half of the 95 % interval, and the verdict; says so if there are fewer pairs than the `n` runs."""
    if difference is None:
        return "–"
    if difference.found is None:
        return difference.verdict
    notes = [difference.verdict] if difference.verdict != "resolved" else []
    if 1 < difference.found.n < n:
        notes.append(f"{difference.found.n} common seeds")
    half = "" if difference.found.n == 1 else f" ± {plain(difference.found.half)}"
    return f"{plain(difference.found.mean, '+')}{half}" + (f" ({'; '.join(notes)})" if notes else "")


def score_table(report: Report) -> str:
    """The main table, one row per method."""
    head = [
        "method",
        "n",
        f"{report.scored} (%)",
        f"train {report.metric} (%)",
        f"difference to {report.baseline}",
    ]
    head += [f"{report.of} NLL (nats)"] if report.has_nll else []
    head += [cell for table in report.tables for cell in (f"{table.name} (%)", "its difference")]
    lines = []
    for row in report.rows:
        cells = [row.method, str(len(row.runs)), mean_and_std(row.mean, row.std), plain(row.train_mean)]
        cells.append(difference_cell(row.difference, len(row.runs)))
        if report.has_nll:
            cells.append("–" if row.nll is None else mean_and_std(*row.nll, digits=3))
        for table in report.tables:
            score = table.score(report.key, row.method)
            difference = report.published_difference(table, row.method)
            cells.append("–" if score is None else mean_and_std(*score))
            cells.append("–" if difference is None else plain(difference, "+"))
        lines.append(cells)
    return markdown_table(head, lines)


def reading(report: Report) -> str:
    """How to read the table: which epoch, what ± means, when a difference is unresolved, where tables are from."""
    notes = [
        f"The score of a run is its {report.scored} in percent, {report.when}; nothing is selected on it. "
        "± is the sample standard deviation (ddof 1) over the n seeds; with one seed there is none (–).",
        "The train score is taken on the clean training set, mean over the seeds.",
        f"The difference is method minus {report.baseline} in percentage points, paired by seed: mean ± half of the "
        "95 % t-interval, which is 4.30 standard errors for 3 seeds and 2.78 for 5 (the standard error is the standard "
        "deviation of the pairs / √pairs).",
        "A difference is called unresolved if its interval contains 0: these seeds cannot distinguish it from zero.",
    ]
    if report.has_nll:
        notes.append(
            f"NLL is the negative log-likelihood of the {report.of} labels, a mean over the samples, {report.when}."
        )
    methods = {row.method for row in report.rows}
    for table in report.tables:
        converted = " Published as error (%), shown here as accuracy = 100 − error." if table.metric == "error" else ""
        absent = [method for method in table.scores[report.key] if method not in methods]
        left = f" Published there but not run here: {', '.join(absent)}." if absent else ""
        notes.append(f"{table.name}, {'/'.join(report.key)}: {table.source}.{converted}{left}")
    return "\n".join(f"* {note}" for note in notes)


def commands(row: Row) -> list[str]:
    """The commands of a method's runs: those that differ only in their seed become one loop over their seeds.

    The folder passed to `--out` is named after method and seed, so that no run overwrites another.
    """
    seeds: dict[str, list[int]] = {}
    for run in row.runs:
        words = shlex.join(shlex.split(run.result["command"]))
        words = re.sub(r"(?<= --out[ =])('[^']*'|\S+)", f"runs/{row.method}-$seed", words)
        template, found = re.subn(r"(?<= --seed[ =])\S+", "$seed", words)
        seeds.setdefault(template if found else f"{words} --seed $seed", []).append(run.seed)
    return [
        f"for seed in {' '.join(map(str, values))}; do {template}; done"
        if len(values) > 1
        else template.replace("$seed", str(values[0]))
        for template, values in seeds.items()
    ]


def settings_tables(report: Report) -> str:
    """The settings that all runs share, and those that differ between methods."""

    def shown(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    runs = report.runs
    keys = sorted({key for run in runs for key in run.settings})
    shared = [key for key in keys if len({json.dumps(run.settings.get(key, ABSENT)) for run in runs}) == 1]
    text = markdown_table(["setting", "value"], ([key, shown(runs[0].settings[key])] for key in shared))
    own = [
        [row.method, key, shown(row.runs[0].settings[key])]
        for row in report.rows
        for key in keys
        if key not in shared and row.runs[0].settings.get(key, DEFAULTS.get(key)) != DEFAULTS.get(key)
    ]
    if own:
        text += "\n\nSettings that differ between methods, except defaults:\n\n" + markdown_table(
            ["method", "setting", "value"], own
        )
    return text


def origin(report: Report) -> str:
    """Versions, revisions, devices and time of the runs."""
    results = [run.result for run in report.runs]
    versions = sorted(
        {", ".join(f"{name} {number}" for name, number in sorted(r["versions"].items())) for r in results}
    )
    revisions = sorted({str(r["git"]) for r in results})
    dirty = " (+dirty: with uncommitted changes)" if any("+dirty" in name for name in revisions) else ""
    notes = [
        f"Versions: {' / '.join(versions)}",
        f"Revision: {', '.join(revisions)}{dirty}",
        f"Device: {' / '.join(sorted({str(r['device']) for r in results}))}",
        f"Training time of all {len(results)} runs: {sum(r['wall_s'] for r in results) / 3600.0:.2f} h",
    ]
    return "\n".join(f"* {note}" for note in notes)


def markdown(report: Report) -> str:
    """The text of NAME.md."""
    parts = [
        f"# {report.title}",
        f"Generated by recipes.report with `{report.command}`; change the runs, not this file.",
        score_table(report),
        f"![{report.metric} of every method, and its difference to {report.baseline}]({report.name}.png)",
        f"Every seed, in full precision: [{report.name}.csv]({report.name}.csv).",
        "## How to read it",
        reading(report),
        "## Commands",
        "If `--out` is given, its folder is renamed here after method and seed.",
        "```bash\n" + "\n".join(line for row in report.rows for line in commands(row)) + "\n```",
        "## Settings of all runs",
        settings_tables(report),
        "## Origin",
        origin(report),
    ]
    return "\n\n".join(parts) + "\n"


def csv_text(report: Report) -> str:
    """The text of NAME.csv: one row per method in full precision (percent, percentage points), one column per seed."""
    seeds = sorted({run.seed for run in report.runs})
    head = ["method", "n", "mean", "std", "train_mean", "pairs", "difference", "half_interval", "verdict"]
    head += ["nll_mean", "nll_std"] if report.has_nll else []
    for table in report.tables:
        head += [f"{table.name} {column}" for column in ("mean", "std", "difference")]
    lines: list[list[object]] = [[*head, *(f"seed_{seed}" for seed in seeds)]]
    for row in report.rows:
        gap = row.difference
        line: list[object] = [row.method, len(row.runs), row.mean, row.std, row.train_mean]
        found = None if gap is None else gap.found
        half = None if found is None or found.n == 1 else found.half
        line += [None if gap is None else 0] if found is None else [found.n]
        line += [None if found is None else found.mean, half, None if gap is None else gap.verdict]
        if report.has_nll:
            line += row.nll or (None, None)
        for table in report.tables:
            line += [
                *(table.score(report.key, row.method) or (None, None)),
                report.published_difference(table, row.method),
            ]
        lines.append([*line, *(row.scores.get(seed) for seed in seeds)])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
