"""A row of the list, and which rows a name on the command line selects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recipes.reporting.published import Key, Published, Score

RECIPES = ("images", "audio", "text", "points")
SMALL_NETWORKS = "networks trained on 5,000 images of CIFAR-10, width 16, 20 epochs"
"""The networks that we analyse."""
OURS = "ours: "
"""Start of a note on a setting that the paper does not give."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A part of a table or figure whose runs differ only in method and seed, or that one command makes.

    Words in capitals stand for what is only known when it is run: DATA for the folder of the data, VECTORS for the file
    of word vectors, RUNS for the folder of the networks that are analysed, SEEDS for the seeds, COUNT for their number,
    OUT for the folder of all that the row makes, and PAGE for its page.

    Args:
        name: table or figure, "/", and the row in it.
        module: recipe or analysis that runs it.
        words: of its command line. A recipe's are followed by method, seed and folder of the run.
        each: words of the command line of each run, for a command that starts runs itself.
        runs: number of runs per seed that such a command trains.
        data: the data that it needs, a key of `recipes.experiments.data.DATA`.
        measure: what the published values are.
        published: values as printed, by method or by the row of the paper's table; for a figure, its claim.
        options: more words by method.
        of: the row whose networks are analysed.
        of_methods: those of its methods that are trained for it; all if empty.
        report: data and model by which `recipes.report` finds the published values.
        ours: pages of docs/results with our runs, and how these differ from the row.
        notes: how it differs from the paper, and settings that are ours because the paper gives none.
    """

    name: str
    module: str
    words: str
    data: str
    measure: str
    published: Mapping[str, str]
    each: str = ""
    runs: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    of: str = ""
    of_methods: tuple[str, ...] = ()
    report: str = ""
    ours: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Name of its table or figure."""
        return self.name.partition("/")[0]

    @property
    def trains(self) -> bool:
        """Whether its command is a recipe's, with one run for each method and seed."""
        return self.module in RECIPES

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that are run; none for an analysis, which has those of its networks."""
        return tuple(self.published) if self.trains else ()

    def option(self, name: str) -> str:
        """Value of an option of the training commands; empty if it is not given."""
        words = (self.each or self.words).split()
        return words[words.index(name) + 1] if name in words else ""


def printed(score: Score) -> str:
    """A mean and its deviation, as in the papers.

    >>> printed((96.14, 0.1)), printed((98.64, None))
    ('96.14 ± 0.10', '98.64')
    """
    mean, std = score
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def scores(table: Published, key: Key, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of a published table by method, each followed by what else is printed."""
    return {method: printed(score) + (more or {}).get(method, "") for method, score in table.scores[key].items()}


def choose(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """Rows whose paper, table, full name or data is one of some names; all rows if there are no names.

    Raises:
        ValueError: a name selects none.
    """
    rows = list(rows)
    picked: dict[str, Row] = {}
    for name in names:
        found = [row for row in rows if f"{row.name}/".startswith(f"{name}/") or name in (row.data, _paper(row))]
        if not found:
            known = ", ".join(dict.fromkeys([_paper(row) for row in rows] + [row.table for row in rows]))
            raise ValueError(f"{name!r} is not a paper, table, row or data set: choose {known}, or TABLE/ROW")
        picked |= {row.name: row for row in found}
    return [row for row in rows if row.name in picked or not names]


def _paper(row: Row) -> str:
    return row.table.partition("-")[0]
