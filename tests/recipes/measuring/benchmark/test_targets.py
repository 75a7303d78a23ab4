"""Targets are held against the worst number, and what was not measured is not met."""

import pytest

from recipes.measuring.benchmark import recorded, targets
from recipes.measuring.benchmark.cases import INPUTS
from recipes.measuring.benchmark.figures import Figures, Key, cell, section
from recipes.measuring.benchmark.targets import Target


@pytest.mark.parametrize(
    ("least", "numbers", "measured", "met"),
    [
        (True, {"a": 8.0, "b": 9.0}, "8 (a)", "yes"),
        (True, {"a": 9.0, "b": 7.99}, "7.99 (b)", "**no**"),
        (False, {"a": 8.0, "b": 7.0}, "8 (a)", "yes"),
        (False, {"a": 8.01, "b": 9.0}, "9 (b)", "**no**"),
        (False, {"a": 7.0, "b": None}, "7 (a), 1 of 2 measured", "–"),
        (False, {"a": 9.0, "b": None}, "9 (a)", "**no**"),
        (False, {"a": None}, "not measured", "–"),
        (False, {}, "not measured", "–"),
    ],
)
def test_a_row_names_the_worst_number(least: bool, numbers: dict[str, float | None], measured: str, met: str) -> None:
    row = Target("Something", 8, lambda _: numbers, least).row(Figures())
    assert row == ["Something", "≥ 8" if least else "≤ 8", measured, met]


def rows(figures: Figures) -> dict[str, list[str]]:
    return {target.what: target.row(figures) for target in targets.TARGETS}


def test_of_an_empty_run_nothing_is_met() -> None:
    assert {tuple(row[2:]) for row in rows(Figures()).values()} == {("not measured", "–")}


def test_speed_beside_the_authors_code_is_of_floors_of_the_same_run() -> None:
    """A machine of which every floor is 3 ms: FMix takes a tenth of its authors' floors, but a fifth on one size."""
    figures = Figures()
    for shape, theirs in recorded.MASKS["fmix"].items():
        floors = theirs.both / theirs.floor
        figures.add(Key("mixing", str(shape), "", "batch", "floor"), 3.0)
        figures.add(
            Key("mixing", str(shape), "fmix", "batch", "call"), 3.0 * floors / (5 if shape == INPUTS[2] else 10)
        )
    row = next(row for what, row in rows(figures).items() if what.startswith("FMix, one draw a batch"))
    assert row[2:] == [f"5 ({INPUTS[2]})", "**no**"]


def test_masks_for_samples_are_counted_one_after_the_other() -> None:
    figures = Figures()
    shape = (32, 1, 32, 32, 32)
    theirs = 32 * 3.7 / 0.6  # masks of 3.7 ms, on a machine whose floor was 0.6
    figures.add(Key("mixing", str(shape), "", "sample", "floor"), 2.0)
    figures.add(Key("mixing", str(shape), "fmix", "sample", "draw"), 2.0 * theirs / 12)
    figures.add(Key("mixing", str(shape), "fmix", "sample", "call"), 2.0 * 5)
    found = rows(figures)
    assert found["its masks, as a multiple of the speed of its authors' code"][2].startswith(f"12 ({shape})")
    assert found["FMix, a draw for each sample, in floors"][2:] == [f"5 ({shape})", "**no**"]


def test_blends_of_all_methods_and_draws_are_held_against_the_floor_of_their_masks() -> None:
    figures = Figures()
    for draws, floor in (("batch", 1.0), ("sample", 4.0)):
        figures.add(Key("mixing", "(2, 3)", "", draws, "floor"), floor)
        figures.add(Key("mixing", "(2, 3)", "mixup", draws, "blend"), 5.0)
    assert rows(figures)["any blend with `out=`, in floors"][2:] == [
        "5 (mixup, a draw for each batch, on (2, 3))",
        "**no**",
    ]


def test_the_table_comes_with_a_row_for_each_target() -> None:
    lines = targets.lines(Figures())
    assert lines[0] == "## Targets"
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(targets.TARGETS)


def test_cells_have_three_digits_and_sections_without_tables_are_none() -> None:
    assert [cell(number) for number in (0.0, -0.0123, 12.345, 999.6, 12345.6)] == [
        "0",
        "-0.0123",
        "12.3",
        "1000",
        "12300",
    ]
    assert section("Title", "Text", []) == []
    assert section("Title", "", ["| a |"], notes=["Said."]) == ["## Title", "", "| a |", "Said.", ""]
