"""The list has every table and figure, says what the papers print, and its page is made from it."""

import re
from importlib import import_module
from itertools import cycle
from pathlib import Path

import pytest
import tyro

from recipes import images
from recipes.analyses import sweep
from recipes.experiments import ROWS, TITLES, page
from recipes.experiments.data import DATA
from recipes.experiments.rows import OURS, RECIPES, Row, choose
from recipes.experiments.running import How, commands
from recipes.reporting.published import TABLES
from recipes.training import methods
from tests.recipes.experiments.faked import start

DOCS = Path(__file__).parents[3] / "docs"
EXPECTED = {
    "fmix-table-1": 1,
    "fmix-grad-cam": 1,
    "fmix-figure-1": 1,
    "fmix-table-2": 14,  # eleven of images, two of clips, one of points
    "fmix-table-3": 4,
    "fmix-table-4": 3,
    "fmix-table-5": 9,
    "fmix-figure-3": 2,
    "fmix-figure-4": 1,
    "patchup-table-1": 3,
    "patchup-table-2": 9,
    "patchup-table-3": 1,
    "patchup-table-4": 1,
    "patchup-table-5": 2,  # the networks, which have another alpha than those of Table 1, and their robustness
    "patchup-table-6": 2,
    "patchup-table-7": 2,
    "patchup-table-10": 1,
    "patchup-figure-4": 3,
    "patchup-figure-5": 1,
    "patchup-figure-6": 1,
    "patchup-tuning": 3,
}
"""Rows by table and figure: all of both papers of which there are facts."""
UNKNOWN = (
    *("fmix-table-1", "fmix-table-5/toxic-bert", "fmix-table-5/imdb-cnn", "fmix-table-5/yelp-full-bilstm"),
    *("fmix-figure-3", "fmix-figure-4", "fmix-table-2/modelnet10", "fmix-grad-cam", "patchup-table-1/"),
    *("patchup-table-2", "patchup-table-3", "patchup-table-5/tiny", "patchup-tuning", "patchup-figure-5"),
)
"""Beginnings of the names of rows with settings that the papers do not give."""
each = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def test_every_table_and_figure_is_listed() -> None:
    found = dict.fromkeys(TITLES, 0)
    for row in ROWS.values():
        found[row.table] += 1
    assert found == EXPECTED


def test_every_published_score_is_in_a_row() -> None:
    for table in TABLES:
        for key, scores in table.scores.items():
            data, model = key
            paper = table.name.partition(",")[0].lower()
            whole = data == "bengali"  # graphemes, printed beside each of their three targets
            listed = [
                row
                for row in ROWS.values()
                if row.table.startswith(paper) and (row.data == data if whole else row.report == f"{data}/{model}")
            ]
            assert listed, key
            for row in listed:
                for method, (mean, std) in scores.items():
                    if method == "baseline" and "-alpha-0.2" in data and "imagenet" in data:
                        assert method not in row.published  # it has no alpha: one run is of both
                        continue
                    said = row.published[method]
                    number = f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"
                    assert number in said if whole else said.startswith(number)


@each
def test_a_row_says_what_there_is(row: Row) -> None:
    assert row.data in DATA
    assert row.published
    assert (row.trains, bool(row.of)) != (True, True)
    if row.of:
        trained = ROWS[row.of]
        assert trained.trains
        assert trained.data == row.data
        assert {*row.of_methods} <= {*trained.methods}
    for name in row.ours:
        assert (DOCS / "results" / f"{name}.md").is_file()
    assert {*row.options} <= {*row.methods}


def test_our_pages_are_named_by_the_rows_that_they_are_of() -> None:
    for path in (DOCS / "results").glob("*.md"):
        published = re.search(r"recipes\.report .*--published (\S+)", path.read_text(encoding="utf-8"))
        if published:
            assert any(path.stem in row.ours for row in ROWS.values() if row.report == published[1]), path.name


@pytest.mark.parametrize("name", UNKNOWN)
def test_settings_that_the_papers_do_not_give_are_marked(name: str) -> None:
    rows = [row for row in ROWS.values() if row.name.startswith(name)]
    assert rows
    for row in rows:
        assert any(note.startswith(OURS) for note in row.notes)
        assert "ours:" in page.plain([row])


def test_the_page_is_the_list() -> None:
    assert (DOCS / "experiments.md").read_text(encoding="utf-8") == page.markdown(ROWS.values(), TITLES)


def rotating() -> dict[str, str]:
    """A method for each row that trains, such that every method comes up."""
    turns: dict[tuple[str, ...], cycle[str]] = {}
    return {row.name: next(turns.setdefault(row.methods, cycle(row.methods))) for row in ROWS.values() if row.trains}


METHODS = rotating()


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_every_command_is_one_of_its_recipe(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are parsed, with the preset that they name, and no run begins; one method, and those with options."""
    seen: list[object] = []
    for recipe in RECIPES:
        monkeypatch.setattr(f"recipes.{recipe}.run", lambda settings, words: seen.append(settings) or {})
    wanted = tuple(dict.fromkeys((METHODS[row.name], *row.options))) if row.trains else ()
    how = How(tmp_path, methods=wanted, data_root=tmp_path, vectors=tmp_path / "words.vec")
    *_, own = commands(row, ROWS, how)
    if row.trains:
        for command in commands(row, ROWS, how):
            start(command)
        assert len(seen) == len(wanted)
        return
    settings = tyro.cli(import_module(f"recipes.{row.module}").Settings, args=own.words)
    assert settings.out == tmp_path / row.name / "page.md"
    if row.each:
        grid = sweep.FIGURES[settings.figure]
        found = sweep.cells(grid.grid)
        assert len(found) == row.runs
        run, _ = sweep.command_of(settings, grid, found[0], 0)
        images.main(run)
        assert len(seen) == 1


@each
def test_every_method_is_one_of_the_table(row: Row) -> None:
    assert {*row.methods} <= {*methods.METHODS}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fmix-table-5"], 9),
        (["fmix-table-5/imdb-cnn", "fmix-table-5/imdb-cnn"], 1),
        (["svhn"], 3),
        (["patchup", "fmix"], len(ROWS)),
        ([], len(ROWS)),
        (["patchup-table-1"], 3),  # and not Table 10
    ],
)
def test_names_choose_rows(names: list[str], expected: int) -> None:
    assert len(choose(ROWS.values(), names)) == expected


@pytest.mark.parametrize("name", ["fmix-table", "fmix-table-2/cifar10", "mnist", ""])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r} is not a paper, table, row or data set: choose fmix, patchup, "):
        choose(ROWS.values(), ["svhn", name])
