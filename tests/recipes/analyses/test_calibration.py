"""Calibration against a table made by hand, and against a loop."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes.analyses import calibration
from recipes.analyses.shared.trained import load

HAND = [  # confidence, whether right; four bins of a quarter
    (0.60, True),  # bin [0.5, 0.75): confidence 0.65, accuracy 2/3
    (0.65, False),
    (0.70, True),
    (0.75, True),  # bin [0.75, 1]: confidence 0.91, accuracy 4/5; an edge belongs to the bin above
    (0.80, True),
    (1.00, True),  # and 1 to the last one
    (1.00, True),
    (1.00, False),
]


def of_hand() -> tuple[Tensor, Tensor]:
    sure = torch.tensor([confidence for confidence, _ in HAND])
    return torch.stack([sure, 1 - sure], 1), torch.tensor([0 if right else 1 for _, right in HAND])


def test_a_table_made_by_hand() -> None:
    found = calibration.reliability(*of_hand(), 4)
    assert found.count.tolist() == [0, 0, 3, 5]
    assert found.confidence.tolist() == pytest.approx([0, 0, 0.65, 0.91], abs=1e-6)
    assert found.accuracy.tolist() == pytest.approx([0, 0, 2 / 3, 0.8], abs=1e-6)
    expected = 100 * (3 / 8 * (2 / 3 - 0.65) + 5 / 8 * (0.91 - 0.8))
    assert calibration.ece(*of_hand(), 4) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("scale", [0.5, 3.0, 60.0])  # the last has confidences of exactly 1
def test_the_error_is_that_of_a_loop_and_of_the_diagram(scale: float) -> None:
    torch.manual_seed(0)
    probabilities, y = (scale * torch.randn(500, 4, dtype=torch.float64)).softmax(1), torch.randint(4, (500,))
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for row, label in zip(probabilities.float().numpy(), y.numpy(), strict=True):
        bins[min(int(row.max() * 15), 14)].append((row.max(), row.argmax() == label))
    gaps = [len(b) / 500 * abs(np.mean([s for s, _ in b]) - np.mean([r for _, r in b])) for b in bins if b]
    assert calibration.ece(probabilities, y, 15) == pytest.approx(100 * sum(gaps), abs=1e-3)
    found = calibration.reliability(probabilities, y, 15)
    of_diagram = (found.count / 500 * (found.confidence - found.accuracy).abs()).sum().item()
    assert of_diagram == pytest.approx(sum(gaps), abs=1e-5)


def test_the_page_has_every_run(smoke_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sure.md"
    calibration.main([str(smoke_runs), "--images", "200", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text + "\n"
    assert f"`python -m recipes.analyses.calibration {smoke_runs} --images 200 --out {out}`" in text
    assert "Claims about methods that were not run are omitted: patchup-soft, patchup-hard, puzzlemix, cutmix," in text
    assert "(sure.png)" in text
    assert (tmp_path / "sure.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "sure.csv").open(newline="") as file:
        rows = {(row["method"], int(row["seed"])): row for row in csv.DictReader(file)}
    assert list(rows) == [("baseline", 0), ("baseline", 1), ("mixup", 0), ("mixup", 1)]
    trained = load(smoke_runs / "mixup-1")
    odds, y = trained.logits()[:200].double().numpy(), trained.data.test_y[:200].numpy()
    nll = np.log(np.exp(odds).sum(1)) - odds[np.arange(200), y]
    assert float(rows["mixup", 1]["NLL (nats)"]) == pytest.approx(nll.mean(), rel=1e-5)
    assert float(rows["mixup", 1]["error (%)"]) == pytest.approx(100 * (odds.argmax(1) != y).mean())
    assert "| mixup | 2 |" in text


@pytest.mark.usefixtures("made_in_advance")
def test_a_smoke_test_needs_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    calibration.main(["--smoke"])
    text = capsys.readouterr().out
    assert "4 runs of preact18, width 4, trained for 2 epochs on 1442 images of digits (a smoke test" in text
    assert "20 test images." in text


def test_mistakes_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^recipes.analyses.calibration: no runs were given: name the folder"):
        calibration.main([])
    with pytest.raises(SystemExit):
        calibration.main(["--smoke", "--bins", "0"])
    assert "bins=0 must be 1 or more" in capsys.readouterr().err
