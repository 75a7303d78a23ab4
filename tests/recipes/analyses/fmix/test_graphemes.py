"""Graphemes from the networks of their parts, against counting by hand, from files in Kaggle's form."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from recipes import images
from recipes.analyses.fmix import graphemes
from recipes.analyses.shared.trained import load
from recipes.data.images.graphemes import bengali
from tests.recipes.data.images.test_graphemes import SMALL, in_kaggles_form

pytest.importorskip("pyarrow")
PARTS = ("root", "vowel", "consonant")
FEW = ("--smoke", "--batch-size", "8", "--width", "4", "--device", "cpu", "--evaluate-every", "0")


def test_scores_are_those_of_a_table_made_by_hand() -> None:
    labels = {
        "root": torch.tensor([0, 0, 0, 7]),  # recalls 2/3 and 0
        "vowel": torch.tensor([1, 1, 2, 2]),  # recalls 1 and 1/2
        "consonant": torch.tensor([3, 3, 3, 3]),  # recall 3/4, and 0 of class 4, which is guessed once
    }
    guesses = {
        "root": torch.tensor([0, 0, 5, 0]),
        "vowel": torch.tensor([1, 1, 2, 1]),
        "consonant": torch.tensor([3, 4, 3, 3]),
    }
    assert graphemes.all_right(guesses, labels) == 25  # the first alone
    recalls = [(2 / 3 + 0 + 0) / 3, (1 + 1 / 2) / 2, (3 / 4 + 0) / 2]  # classes guessed but not there have none
    assert graphemes.combined(guesses, labels) == pytest.approx(100 * (2 * recalls[0] + recalls[1] + recalls[2]) / 4)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bengali, "Layout", lambda: SMALL)


def train(root: Path, part: str, method: str, *more: str) -> None:
    """A run on the graphemes of `root`."""
    words = ["--data", "bengali", "--data-root", f"{root}/set", "--target", part, "--method", method, *FEW, *more]
    images.main([*words, "--out", f"{root}/runs/{'-'.join([part, method, *more])}"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set and runs of two methods for three parts."""
    root = tmp_path_factory.mktemp("graphemes")
    (root / "set").mkdir()
    in_kaggles_form(root / "set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bengali, "Layout", lambda: SMALL)
        for part in PARTS:
            for method in ("baseline", "mixup"):
                train(root, part, method)
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """The runs, to be changed."""
    return Path(shutil.copytree(trained / "runs", tmp_path / "runs"))


def test_the_page_is_that_of_the_three_networks(runs: Path, tmp_path: Path) -> None:
    graphemes.main([f"{runs}", "--out", f"{tmp_path}/page.md"])
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "graphemes (%): baseline below mixup (FMix, Table IV)" in text
    assert "6 runs of preact18, width 4" in text
    right = []
    for part in PARTS:
        trained = load(runs / f"{part}-mixup")
        right.append(trained.logits().argmax(1) == trained.data.test_y)
    with (tmp_path / "page.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    every = sum(all(sample) for sample in zip(*(each.tolist() for each in right), strict=True))
    assert float(rows["mixup"]["graphemes (%)"]) == pytest.approx(100 * every / len(right[0]))
    for part, each in zip(PARTS, right, strict=True):
        assert float(rows["mixup"][f"{part} (%)"]) == pytest.approx(100 * each.double().mean().item())


def test_every_part_is_needed(runs: Path) -> None:
    (runs / "vowel-mixup/result.json").unlink()
    with pytest.raises(SystemExit, match="lack mixup of seed 0 for vowel: train it, or leave mixup out with --methods"):
        graphemes.main([f"{runs}"])
    graphemes.main([f"{runs}", "--methods", "baseline"])
    (runs / "vowel-baseline/result.json").unlink()
    with pytest.raises(SystemExit, match=r"no finished runs of methods=\('baseline',\), data=bengali, target=vowel"):
        graphemes.main([f"{runs}", "--methods", "baseline"])


def test_networks_of_several_folds_are_refused(trained: Path, runs: Path) -> None:
    train(trained, "vowel", "baseline", "--fold", "1")
    shutil.rmtree(runs / "vowel-baseline")
    (trained / "runs/vowel-baseline---fold-1").rename(runs / "other")
    with pytest.raises(SystemExit, match="are of several folds: give those of one"):
        graphemes.main([f"{runs}", "--methods", "baseline"])


@pytest.mark.usefixtures("made_in_advance")
def test_a_smoke_test_needs_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    graphemes.main(["--smoke"])
    assert "12 runs of preact18, width 4" in capsys.readouterr().out
