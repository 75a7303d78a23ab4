"""What was measured: numbers by what they are of, medians over the sweeps, and tables of them."""

import csv
import io
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

DASH = "–"


class Key(NamedTuple):
    """What a number is of.

    Args:
        part: the part that measured it.
        case: the shape of a batch, or the name of a network.
        method: a name of the recipes' table of methods.
        draws: "batch" or "sample"; "" where it plays no part.
        what: the number, with its unit.
    """

    part: str
    case: str
    method: str
    draws: str
    what: str


@dataclass
class Figures:
    """All numbers of a run, in the order in which they were first measured, and what is to be said beside them.

    Args:
        comparable: whether what was recorded of the papers' code on a CPU may be held against them.
    """

    comparable: bool = True
    taken: dict[Key, list[float]] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)

    def add(self, key: Key, number: float | None) -> None:
        """Take one measurement; None is none."""
        if number is not None:
            self.taken.setdefault(key, []).append(number)

    def note(self, part: str, sentence: str) -> None:
        """Have a sentence on the page, once."""
        if sentence not in self.said.setdefault(part, []):
            self.said[part].append(sentence)

    def get(self, *key: str) -> float | None:
        """The median over the sweeps; None where nothing was measured.

        >>> figures = Figures()
        >>> for number in (1.0, 9.0, 2.0):
        ...     figures.add(Key("mixing", "(2, 3)", "fmix", "batch", "draw"), number)
        >>> figures.get("mixing", "(2, 3)", "fmix", "batch", "draw"), figures.get("mixing", "", "", "", "")
        (2.0, None)
        """
        numbers = self.taken.get(Key(*key))
        return None if numbers is None else statistics.median(numbers)

    def rows(self, part: str) -> Iterator[tuple[str, str, str]]:
        """Case, method and draws of each row of a part, once."""
        yield from dict.fromkeys((key.case, key.method, key.draws) for key in self.taken if key.part == part)

    def text(self) -> str:
        """All of it as CSV, a line for each median."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Key._fields, "median", "sweeps"])
        writer.writerows([*key, f"{self.get(*key):.6g}", len(numbers)] for key, numbers in self.taken.items())
        return file.getvalue()


def ratio(number: float | None, of: float | None, times: float = 1.0) -> float | None:
    """`times * number / of`, and None where either is missing."""
    return None if number is None or of is None else times * number / of


def table(columns: str, rows: Iterable[tuple[str, Sequence[float | None]]]) -> list[str]:
    """A table in Markdown: its head, and rows of first cells and numbers; none if there are no rows.

    >>> table("batch | ms | ratio", [("(2, 3)", [0.12345, None])])
    ['| batch | ms | ratio |', '|---|---|---|', '| (2, 3) | 0.123 | – |', '']
    """
    lines = [f"| {head} | " + " | ".join(map(cell, cells)) + " |" for head, cells in rows]
    return [f"| {columns} |", "|---" * (columns.count("|") + 1) + "|", *lines, ""] if lines else []


def cell(number: float | None) -> str:
    """A number with three digits.

    >>> cell(1234.5), cell(0.00012), cell(None)
    ('1230', '0.00012', '–')
    """
    if number is None:
        return DASH
    short = f"{number:.3g}"
    return f"{float(short):.0f}" if abs(float(short)) >= 1000 else short


def section(title: str, text: str, *tables: Sequence[str], notes: Sequence[str] = ()) -> list[str]:
    """A section of the page: what is said before, tables, what is said after; none where all tables are empty."""
    if not any(tables) and not notes:
        return []
    said = [f"## {title}", "", text, ""] if text else [f"## {title}", ""]
    return [*said, *(line for each in tables for line in each), *(line for note in notes for line in (note, ""))]


Section = Callable[[Figures], list[str]]
