"""Grids of runs."""

import itertools
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from recipes import images
from recipes.analyses import sweep
from recipes.analyses.shared import plans
from recipes.reporting import pages
from recipes.training import presets
from recipes.training.command import Choice, with_preset

SCORES = {("a", "1"): 50.0, ("a", "2"): 60.0, ("b", "1"): 70.0, ("b", "2"): 90.0}


def fake(calls: list[list[str]]) -> Any:
    """A process that writes the result of a run by its words, as a recipe does."""

    def run(start: list[str], **_: object) -> Any:
        words = start[start.index("-m") + 2 :]
        calls.append(start)
        options = dict(zip(words[::2], words[1::2], strict=False))
        out = Path(options["--out"])
        out.mkdir(parents=True, exist_ok=True)
        score = SCORES[options["--method"], options["--lr"]] + int(options["--seed"])
        command = f"python -m {start[start.index('-m') + 1]} {shlex.join(words)}"
        content = {"metric": "accuracy", "score": score, "command": command, "git": "abc"}
        (out / "result.json").write_text(json.dumps(content))
        return type("Done", (), {"returncode": 0, "stderr": ""})()

    return run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []
    monkeypatch.setattr(sweep.subprocess, "run", fake(found))
    return found


def settings(tmp_path: Path, **given: Any) -> sweep.Settings:
    usual = {"grid": ("method=a,b", "lr=1,2"), "seeds": (0, 2), "runs": tmp_path / "runs"}
    return sweep.Settings(**usual | given)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_cell_is_run_with_every_seed(tmp_path: Path, calls: list[list[str]], jobs: int) -> None:
    page = sweep.page(settings(tmp_path, words="--width 4", launcher="srun python", jobs=jobs), "the command")
    assert len(calls) == 8
    assert all(start[:6] == ["srun", "python", "-m", "recipes.images", "--width", "4"] for start in calls)
    rows = re.findall(r"^\| (\w) \| (\d) \| 2 \| (\S+) ± (\S+) \|$", page.text, re.MULTILINE)
    assert rows == [(*cell, f"{score + 1:.2f}", "12.71") for cell, score in SCORES.items()]  # of 0 and 2
    assert "Made by `the command`" in page.text
    lines = page.texts[".csv"].splitlines()
    assert len(lines) == 1 + 8
    assert "method=b lr=2,2,92.0" in lines


def test_what_is_done_is_not_done_again(tmp_path: Path, calls: list[list[str]]) -> None:
    chosen = settings(tmp_path)
    first = sweep.page(chosen, "")
    (tmp_path / "runs" / "method=a,lr=2,seed=0" / "result.json").unlink()
    (tmp_path / "runs" / "method=a,lr=2,seed=0" / "config.json").write_text("{}")
    calls.clear()
    again = sweep.page(chosen, "")
    assert [start[-1] for start in calls] == ["--resume"]
    assert again.text == first.text
    with pytest.raises(
        ValueError, match=r"holds the run of `.*--lr 1 .*`, not of `.*--width 8.*`: choose other --runs"
    ):
        sweep.page(replace(chosen, words="--width 8"), "")


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = type("Done", (), {"returncode": 1, "stderr": "x\nrecipes.images: no such data\n"})()
    monkeypatch.setattr(sweep.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        ValueError, match=r"python -m recipes.images --method a .* failed: recipes.images: no such data"
    ):
        sweep.page(settings(tmp_path), "")


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (("alpha",), "must be NAME=VALUE"),
        (("alpha=",), "must be NAME=VALUE"),
        (("a+b=1+2,3",), "must be NAME=VALUE"),
        (("a=1,1",), "has a value twice"),
        (("a=1,2", "a=3"), "on two axes"),
    ],
)
def test_grids_that_are_none_are_refused(grid: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sweep.cells(grid)


def test_settings_that_contradict_are_refused(tmp_path: Path) -> None:
    for wrong in ({"smoke": True}, {"grid": ()}, {"jobs": 0}, {"seeds": (1, 1)}, {"recipe": "demo"}):
        with pytest.raises(ValueError):
            settings(tmp_path, **wrong)


def test_a_figure_has_its_claim_on_another_grid_of_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores rise with the decay power up to 3, but for a seed in which 0.5 is ahead of it."""
    scores = {("0.5", "0"): 50.0, ("1.5", "0"): 60.0, ("3", "0"): 70.0, ("0.5", "2"): 80.0, ("1.5", "2"): 61.0,
              ("3", "2"): 71.5}  # fmt: skip

    def run(start: list[str], **_: object) -> Any:
        words = start[start.index("-m") + 2 :]
        options = dict(itertools.pairwise(words))
        out = Path(options["--out"])
        out.mkdir(parents=True)
        score = scores[options["--decay-power"], options["--seed"]]
        command = f"python -m recipes.images {shlex.join(words)}"
        (out / "result.json").write_text(json.dumps({"metric": "a", "score": score, "command": command, "git": "b"}))
        return type("Done", (), {"returncode": 0, "stderr": ""})()

    monkeypatch.setattr(sweep.subprocess, "run", run)
    chosen = settings(tmp_path, figure="fmix-3-delta", grid=("decay_power=0.5,1.5,3",))
    text = sweep.page(chosen, "").text
    claims = re.findall(r"^\| score: (\S+) below (\S+) \(Harris .*\| 2 \| (\S+) .* \| (\w+) \|$", text, re.MULTILINE)
    assert claims == [
        ("decay_power=0.5", "decay_power=3", "+5.75", "open"),  # of 20 and -8.5
        ("decay_power=1.5", "decay_power=3", "+10.25", "holds"),  # of 10 and 10.5
    ]
    with pytest.raises(ValueError, match=r"must have the options of figure='fmix-3-delta', which are decay_power=0.5,"):
        settings(tmp_path, figure="fmix-3-delta", grid=("alpha=1,2",))
    few = ("method=mixup,fmix", "width+per_class+epochs=8+50+1")
    with pytest.raises(ValueError, match="needs method=baseline: figure='scaling' shows gains over it"):
        settings(tmp_path, figure="scaling", grid=few)
    settings(tmp_path, figure="scaling", grid=("method=baseline,fmix", few[1]))


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        ("fmix-4", "method=mixup per_class=500", "method=fmix+mixup per_class=500", True),
        ("fmix-4", "method=mixup per_class=50", "method=fmix+mixup per_class=500", False),
        ("fmix-4", "method=fmix+mixup per_class=500", "method=mixup per_class=500", False),
        ("fmix-4", "method=fmix per_class=50", "method=mixup per_class=50", True),
        ("fmix-4", "method=mixup per_class=50", "method=fmix per_class=50", False),
        ("fmix-4", "method=mixup per_class=5000", "method=fmix per_class=5000", True),
        ("fmix-4", "method=fmix per_class=5000", "method=mixup per_class=5000", False),
        ("scaling", "method=baseline width=8", "method=fmix width=8", True),
        ("scaling", "method=baseline width=8", "method=fmix width=16", False),
        ("scaling", "method=fmix width=8", "method=baseline width=8", False),
        ("scaling", "method=mixup width=8", "method=fmix width=8", False),
        ("patchup-table-7", "sites=layer3 patchup_input=box", "sites=layer2 patchup_input=box", True),
        ("patchup-table-7", "sites=layer2 patchup_input=box", "sites=layer3 patchup_input=box", False),
    ],
)
def test_what_the_papers_say_of_cells(name: str, low: str, high: str, expected: bool) -> None:
    below = sweep.FIGURES[name].below
    assert below is not None
    cells = [dict(option.split("=") for option in cell.split()) for cell in (low, high)]
    assert below(*cells) is expected


def test_table_7_compares_sites_with_the_next_and_blocks_with_a_box() -> None:
    """Three steps from the last stage to all sites, and one at the input."""
    figure = sweep.FIGURES["patchup-table-7"]
    assert figure.below is not None
    pairs = [
        (low, high)
        for low, high in itertools.permutations(map(dict, sweep.cells(figure.grid)), 2)
        if figure.below(low, high)
    ]
    assert [(low["sites"], high["sites"]) for low, high in pairs if low["patchup_input"] == "box"] == [
        ("layer1", plans.ALL),
        ("layer2", "layer1"),
        ("layer3", "layer2"),
    ]
    assert [(low["sites"], high["patchup_input"]) for low, high in pairs if low["patchup_input"] == "blocks"] == [
        (plans.ALL, "box")
    ]


def test_places_that_one_option_does_not_tell_apart_are_all_drawn() -> None:
    grid = ("sites+patchup_input=layer1+box,layer2+box,layer2+blocks",)
    figure = sweep.plot({cell: {0: 1.0, 1: 2.0} for cell in sweep.cells(grid)}, grid, "accuracy")
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["layer1, box", "layer2, box", "layer2, blocks"]
    assert figure.axes[0].get_xlabel() == "sites, patchup_input"


def test_an_option_that_tells_places_apart_names_the_axis() -> None:
    for grid in (("per_class+epochs=50+4,100+2",), ("lr=0.1,0.2",), ("schedule+lr=step+0.1,cosine+0.1",)):
        figure = sweep.plot({cell: {0: 1.0, 1: 2.0} for cell in sweep.cells(grid)}, grid, "accuracy")
        assert figure.axes[0].get_xlabel() == grid[0].partition("=")[0].partition("+")[0]


@pytest.mark.parametrize("name", sweep.FIGURES)
def test_the_figures_are_command_lines_of_the_recipe(name: str, tmp_path: Path) -> None:
    """Each cell is understood, and does what it says."""
    chosen = sweep.Settings(figure=name, runs=tmp_path)
    usual = with_preset(images.Settings, presets.IMAGES, Choice("fmix-paper", "cifar10", "preact18", "fmix"))
    figure = sweep.FIGURES[name]
    for cell in sweep.cells(figure.grid):
        words, out = sweep.command_of(chosen, figure, cell, 7)
        given = tyro.cli(images.Settings, args=words, default=usual)
        assert (given.out, given.training.seed) == (out, 7)
        flat = vars(given) | vars(given.mixing) | vars(given.training)
        for option, value in cell:
            found = " ".join(flat[option]) if isinstance(flat[option], tuple) else flat[option]
            assert str(found) == value or float(found) == float(value)


def test_training_sets_of_any_size_get_as_many_steps() -> None:
    """As 200 epochs of 50,000 images in batches of 128, within the last batches and the rounding of epochs."""
    for _, (_, per_class), (_, epochs) in sweep.cells(sweep.FIGURES["fmix-4"].grid):
        steps = int(epochs) * -(-10 * int(per_class) // 128)
        assert steps == pytest.approx(200 * 391, rel=0.03)


def test_cells_of_the_scaling_series_get_as_many_steps() -> None:
    for cell in sweep.cells(sweep.FIGURES["scaling"].grid):
        given = dict(cell)
        assert int(given["epochs"]) * -(-10 * int(given["per_class"]) // 64) == pytest.approx(1580, abs=30)


def test_gains_are_those_of_a_seed_over_the_same_cell_of_the_baseline() -> None:
    scores = {
        (("method", method), ("lr", lr)): {0: SCORES[method, lr], 1: SCORES[method, lr] + 5 * (method == "b")}
        for method, lr in SCORES
    }
    assert sweep.gains(scores, "a") == {
        (("method", "b"), ("lr", "1")): {0: 20.0, 1: 25.0},
        (("method", "b"), ("lr", "2")): {0: 30.0, 1: 35.0},
    }


@pytest.mark.slow  # four processes
def test_the_smoke_run_trains(tmp_path: Path) -> None:
    out = tmp_path / "sweep.md"
    words = ["--smoke", "--runs", str(tmp_path / "runs"), "--out", str(out)]
    pages.main("analyses.sweep", sweep.Settings, sweep.page, words)
    assert re.findall(r"^\| fmix \| (\S+) \| 2 \| ", out.read_text(), re.MULTILINE) == ["0.5", "1"]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
