"""The list of experiments, in plain text and as a page of the site."""

from collections.abc import Iterable, Mapping

from recipes.experiments.costs import RATE, SHORTEST, hours, total
from recipes.experiments.data import DATA, VECTORS
from recipes.experiments.rows import OURS, Row
from recipes.reporting.cells import markdown_table

SEEDS = 5
"""Seeds of each experiment in the papers."""
COMMAND = "python -m recipes.experiments --page docs/experiments.md"
PAPERS = {
    "fmix": "FMix (Harris et al. 2020)",
    "patchup": "PatchUp (Faramarzi et al. 2022)",
}
MISSING = {
    "fmix": "Not listed, because their text was not available: Figure 2, and Table VI, which has training settings.",
    "patchup": "Not listed, because their text was not available: Figures 1 to 3 and 8 to 12, and Tables 8 and 9.",
}


def plain(rows: Iterable[Row]) -> str:
    """The list as text, a paragraph for each row."""
    return "\n\n".join(_paragraph(row) for row in rows)


def markdown(rows: Iterable[Row], titles: Mapping[str, str]) -> str:
    """The list as a page, a table for each table or figure."""
    listed = list(rows)
    parts = [HEAD, _data()]
    for paper, name in PAPERS.items():
        parts += [f"## {name}", MISSING[paper]]
        for table, title in titles.items():
            if table.startswith(f"{paper}-"):
                parts.append(_section(table, title, [row for row in listed if row.table == table]))
    return "\n\n".join(parts) + "\n"


HEAD = f"""# Every experiment of both papers

Made by `{COMMAND}` from the list that `python -m recipes.experiments` prints; change the list, not this page.

    python -m recipes.experiments --run fmix-table-2/cifar10-preact18 --seeds {SEEDS} --data-root DIR

runs a row: each method with each seed, one after the other, skipping runs that are already finished; then it says how
to make a table from them. An analysis trains its networks first. `--smoke` tries each with a few batches, `--dry`
prints the commands without running them, `--methods` runs some methods of a row, and `--words` adds options to every
training command, such as `--words="--precision bf16"`. The name of a table, paper or data set in place of a row selects
all of its rows.

In the commands below, DATA is the data folder, VECTORS the file of word vectors, METHOD each of the methods, SEED each
seed, and OUT, RUNS and PAGE are paths in `runs/experiments`.

Hours are for one H100 and **estimated, not timed**: a training step counts as three forward passes, at an assumed
{RATE / 1e12:.0f} · 10¹² operations per second, or as an assumed {SHORTEST * 1000:.0f} ms if it is shorter. The true
time may be a third or three times as much. Analyses of trained networks take little time in comparison; none is given.

"Ours" marks a setting that the paper does not give, at least not in the text available to us."""


def _data() -> str:
    lines = [[f"`{name}`", needed.what] for name, needed in DATA.items()]
    return f"## Data\n\n{markdown_table(['data', 'what, and where to get it'], lines)}\n\nWord vectors are {VECTORS}."


def _section(table: str, title: str, rows: list[Row]) -> str:
    cells = [
        [
            f"`{row.name.partition('/')[2]}`",
            "<br>".join([f"{row.measure}:", *_values(row)]),
            f"`{row.data}`",
            _hours(row),
            "<br>".join(f"[{page}](results/{page}.md): {how}" for page, how in row.ours.items()) or "–",
        ]
        for row in rows
    ]
    head = ["row", "published", "data", f"hours per run; in all with {SEEDS} seeds", "our runs"]
    told = _told(rows)
    commands = "\n".join(dict.fromkeys(f"    {line}" for row in rows for line in command(row)))
    parts = [f"### {title}", f"`--run {table}` and, for a row, `--run {table}/ROW`.", markdown_table(head, cells)]
    return "\n\n".join([*parts, *(["\n".join(told)] if told else []), *([commands] if commands else [])])


def _told(rows: list[Row]) -> list[str]:
    """The notes on the rows, each sentence once."""
    of: dict[str, list[str]] = {}
    for row in rows:
        for note in _notes(row):
            of.setdefault(note, []).append(f"`{row.name.partition('/')[2]}`")
    return [
        f"* {'all rows' if len(names) == len(rows) > 1 else ', '.join(names)}: {note}" for note, names in of.items()
    ]


def command(row: Row) -> list[str]:
    """The command lines of a row, with capitals for what is only known when it is run."""
    start = f"python -m recipes.{row.module} {row.words}"
    if row.each:
        return [f'{start} --words="{row.each}"']
    if not row.trains:
        return [start]
    last = "--method METHOD --seed SEED --out OUT"
    if not row.options:
        return [f"{start} {last}"]
    plainly = [method for method in row.methods if method not in row.options]
    lines = [f"{start} {last}"] if plainly else []
    return lines + [f"{start} {options} {last.replace('METHOD', method)}" for method, options in row.options.items()]


def _values(row: Row) -> list[str]:
    """Published values, each preceded by what it measures."""
    return [value if name == "claim" else f"{name}: {value}" for name, value in row.published.items()]


def _notes(row: Row) -> list[str]:
    trained = [f"uses the networks of `{row.of}`, which are trained first"] if row.of else []
    return [*trained, *(note.replace(OURS, "*ours:* ") for note in row.notes)]


def _hours(row: Row) -> str:
    run, everything = hours(row), total(row, SEEDS)
    return "–" if run is None or everything is None else f"{_rounded(run)}; {_rounded(everything)}"


def _rounded(value: float) -> str:
    """Two digits, more than an estimate is good for."""
    return f"{float(f'{value:.2g}'):,g}"


def _paragraph(row: Row) -> str:
    lines = [f"{row.name}: {row.measure}", *(f"    {value}" for value in _values(row))]
    lines += [f"  $ {line}" for line in command(row)]
    lines.append(f"  needs {DATA[row.data].what}" + (f"; {VECTORS}" if "VECTORS" in row.words else ""))
    if hours(row) is not None:
        lines.append(f"  estimated hours on an H100: {_hours(row)} in all with {SEEDS} seeds")
    lines += [f"  our run: docs/results/{page}.md, {how}" for page, how in row.ours.items()]
    lines += [f"  {note.replace('**', '').replace('*', '').replace('`', '')}" for note in _notes(row)]
    return "\n".join(lines)
