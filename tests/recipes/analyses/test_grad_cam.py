"""Grad-CAM against maps worked out by hand."""

import csv
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("captum")

from recipes.analyses import grad_cam
from recipes.analyses.shared.trained import load, module_of


class Pooled(nn.Module):
    """Two channels as they are, means over the map, and logits of fixed weights."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.layer, self.head = nn.Identity(), nn.Linear(2, len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(x).mean((2, 3)))
        return logits


def test_a_map_worked_out_by_hand() -> None:
    net = Pooled([[2.0, -1.0], [0.0, -1.0]])
    x = torch.tensor(
        [
            [[[4.0, 0.0], [2.0, 2.0]], [[1.0, 0.0], [6.0, 0.0]]],  # means 2 and 1.75: logits 2.25 and -1.75: class 0
            [[[0.0, 0.0], [0.0, -9.0]], [[2.0, 1.0], [0.0, 1.0]]],  # logits -5.5 and -1: class 1, nothing above 0
        ]
    ).requires_grad_()
    # Gradients of a logit are its weights / 4 everywhere: the map is relu(2 a - b), here 7, 0, -2, 4 before relu.
    expected = torch.tensor([[[1.0, 0.0], [0.0, 4 / 7]], [[0.0, 0.0], [0.0, 0.0]]])
    assert torch.allclose(grad_cam.maps(net, net.layer, x), expected)


def by_hand(net: nn.Module, name: str, x: Tensor) -> Tensor:
    """The map of one image (1, C, H, W), with the mean over the channels, as the paper's notebook has it."""
    kept: list[Tensor] = []
    handle = module_of(net, name).register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = net(x)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0, logits[0].argmax()], kept[0])
    heat = torch.zeros(kept[0].shape[2:])
    for channel in range(kept[0].shape[1]):
        heat += gradient[0, channel].mean() * kept[0][0, channel].detach() / kept[0].shape[1]
    heat = heat.clamp(min=0)
    return heat / heat.max() if heat.max() > 0 else heat


@pytest.mark.parametrize("name", ["layer1", "layer2"])
def test_maps_of_the_real_network_are_those_of_its_hooks(smoke_runs: Path, name: str) -> None:
    trained = load(smoke_runs / "mixup-0")
    pixels, _ = next(trained.batches(6))
    x = trained.normalise(pixels)
    found = grad_cam.maps(trained.net, module_of(trained.net, name), x)
    for place in range(6):
        assert torch.allclose(found[place], by_hand(trained.net, name, x[place : place + 1]), atol=1e-4)
    assert found.amax((1, 2)).unique().tolist() in ([1.0], [0.0, 1.0])


def test_the_page_has_sums_and_pictures(smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen.md"
    grad_cam.main([str(smoke_runs), "--images", "7", "--batch-size", "3", "--layer", "layer1", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    assert "output of layer1, 64 cells" in text
    claim = r"\| sum of the map: baseline below mixup \(FMix: 131, 146 and 162\)"
    assert re.search(claim + r" \| 2 \| [+−][\d.]+ ± [\d.]+ \| (open|holds|contradicted) \|", text)
    assert "Claims about methods that were not run are omitted: cutmix." in text
    with (tmp_path / "seen.csv").open(newline="") as file:
        rows = {(row["method"], row["seed"]): float(row["sum of the map"]) for row in csv.DictReader(file)}
    trained = load(smoke_runs / "baseline-1")
    pixels, _ = next(trained.batches(7))
    sums = [by_hand(trained.net, "layer1", each[None]).sum().item() for each in trained.normalise(pixels)]
    assert rows["baseline", "1"] == pytest.approx(sum(sums) / 7, rel=1e-3)


@pytest.mark.usefixtures("made_in_advance")
def test_a_smoke_test_needs_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    grad_cam.main(["--smoke"])
    assert "20 test images." in capsys.readouterr().out


def test_an_unknown_layer_is_named(smoke_runs: Path) -> None:
    message = r"^recipes.analyses.grad_cam: layer='layer9' is not a module of this network; choose from stem, layer1"
    with pytest.raises(SystemExit, match=message):
        grad_cam.main([str(smoke_runs), "--layer", "layer9"])
