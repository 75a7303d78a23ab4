"""Activations against a loop over images and channels."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recipes.analyses import activations
from recipes.analyses.shared.trained import Trained, load

LAYERS = ("stem", "layer1", "layer2", "layer3")


@pytest.fixture
def trained(smoke_runs: Path) -> Trained:
    """A network with 205 images, the last batch of which is short."""
    found = load(smoke_runs / "mixup-1")
    return replace(found, data=replace(found.data, test_x=found.data.test_x[:205], test_y=found.data.test_y[:205]))


@pytest.mark.parametrize("measure", ["magnitude", "signed-sum", "published"])
def test_values_are_those_of_a_loop(trained: Trained, measure: activations.Measure) -> None:
    mean, std = torch.tensor(trained.data.mean), torch.tensor(trained.data.std)
    expected = {
        name: torch.zeros(4 * width, dtype=torch.float64) for name, width in zip(LAYERS, (1, 1, 2, 4), strict=True)
    }
    with torch.no_grad():
        for place in range(205):
            x = (trained.data.test_x[place : place + 1].float() / 255 - mean) / std
            for name in LAYERS:  # one after the other, without hooks
                x = getattr(trained.net, name)(x)
                for channel in range(x.shape[1]):
                    each = x[0, channel].double()
                    if measure == "magnitude":
                        expected[name][channel] += each.abs().sum() / each.numel()
                    elif measure == "signed-sum" or place in (0, 100, 200):
                        expected[name][channel] += each.sum()
    found = activations.activations(trained, LAYERS, measure)
    assert list(found) == list(LAYERS)
    for name in LAYERS:
        assert torch.allclose(found[name], expected[name] / 205, rtol=1e-4, atol=1e-5)
    assert not any(module._forward_hooks for module in trained.net.modules())


def test_the_page_has_means_of_layers_and_curves(smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "strong.md"
    activations.main([str(smoke_runs), "--images", "30", "--layers", "layer1", "layer4", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert "| method | n | layer1 | layer4 |" in text
    assert "not run are omitted: manifold-mixup, patchup-soft, cutout, cutmix, patchup-hard." in text
    assert (tmp_path / "strong.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "strong.csv").open(newline="") as file:
        rows = {(row["method"], row["seed"]): row for row in csv.DictReader(file)}
    trained = load(smoke_runs / "mixup-1")
    x = trained.normalise(next(trained.batches(30))[0])
    with torch.no_grad():
        strength = trained.net.layer1(trained.net.stem(x)).abs().mean().item()  # type: ignore[operator]
    assert float(rows["mixup", "1"]["layer1"]) == pytest.approx(strength, rel=1e-4)


def test_curves_are_sorted_in_each_run() -> None:
    runs = [torch.tensor([1.0, 3.0, 2.0]), torch.tensor([5.0, 0.0, 1.0])]
    (line,) = activations.curves({"stem": {"mixup": runs}}, "magnitude").axes[0].lines
    assert line.get_ydata().tolist() == [4.0, 1.5, 0.5]  # of 3, 2, 1 and 5, 1, 0


@pytest.mark.usefixtures("made_in_advance")
def test_a_smoke_test_needs_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    activations.main(["--smoke"])
    assert "20 test images." in capsys.readouterr().out
