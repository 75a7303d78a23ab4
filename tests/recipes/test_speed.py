"""The page of speed: medians over the sweeps, ratios of medians, and the committed page's tables."""

from functools import partial
from pathlib import Path

import pytest

from recipes import speed

PAGE = Path(__file__).parents[2] / "docs" / "results" / "speed.md"


def test_a_cell_is_of_the_medians_over_the_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is timed once a sweep, after all others of the page; a sweep that was disturbed is voted out."""
    made: list[str] = []
    ours = {"a": iter([3.0, 1.0, 50.0]), "b": iter([6.0, 5.0, 900.0]), "c": iter([7.0] * 3)}

    def row(head: str, *names: str) -> speed.Row:
        calls = [partial(made.append, name) for name in names]
        return speed.Row(head, calls, lambda first, *rest: [first, *(first / other for other in rest), None])

    def milliseconds(call: partial[None]) -> float:
        call()
        return next(ours[call.args[0]])

    monkeypatch.setattr(speed, "milliseconds", milliseconds)
    tables = [
        speed.Table("One", "Said before.", "batch | a (ms) | a / b | more", [partial(row, "x", "a", "b")]),
        speed.Table("Two", "", "batch | c (ms) | more", [partial(row, "y", "c")]),
    ]
    page = speed.page(speed.Settings(), "the command", tables)
    assert made == ["a", "b", "c"] * 3
    assert page.startswith("# Speed\n\nMade by `the command` at ")
    assert page.splitlines()[4:] == [
        *["## One", "", "Said before.", "", "| batch | a (ms) | a / b | more |", "|---|---|---|---|"],
        *["| x | 3 | 0.5 | – |", "", "## Two", "", "| batch | c (ms) | more |", "|---|---|---|", "| y | 7 | – |"],
    ]


@pytest.mark.parametrize("table", speed.TABLES, ids=[table.title for table in speed.TABLES])
def test_calls_of_a_row_run_and_fill_its_columns(table: speed.Table) -> None:
    row = table.rows[0]()
    for call in row.calls:
        call()
    cells = row.cells(*[1.0] * len(row.calls))
    assert len(row.head.split("|")) + len(cells) == len(table.columns.split("|"))


def test_the_committed_page_has_these_tables() -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    for block, table in zip(blocks, speed.TABLES, strict=True):
        title, *rest = block.splitlines()
        lines = [line for line in rest if line.startswith("|")]
        assert (title, lines[0], len(lines)) == (table.title, f"| {table.columns} |", 2 + len(table.rows))
