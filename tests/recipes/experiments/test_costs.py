"""Hours are estimated from operations that are counted."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from recipes import images
from recipes.data.images.facts import FACTS
from recipes.experiments import ROWS
from recipes.experiments.costs import FORWARD, POINTS, TEXT, hours, total
from recipes.models.images import libraries
from recipes.models.points import PointNet
from recipes.training import presets
from recipes.training.command import Choice, with_preset

SLOW = ("densenet190", "pyramid272", "preact152", "preact101", "resnet101")
DATA = {28: ("fashion-mnist", 1, 10), 32: ("cifar10", 3, 10), 64: ("tiny-imagenet", 3, 200), 224: ("imagenet", 3, 1000)}


def counted(net: torch.nn.Module, x: torch.Tensor) -> float:
    """10⁹ operations of a forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(x)
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize(
    ("paper", "model", "side"),
    [pytest.param(*key, marks=pytest.mark.slow if key[1] in SLOW else ()) for key in FORWARD],
)
def test_operations_of_a_forward_pass(paper: str, model: str, side: int) -> None:
    data, channels, classes = ("bengali", 1, 168) if model == "seresnext50" else DATA[side]
    if model in ("densenet190", "seresnext50"):
        pytest.importorskip("timm")
    settings = with_preset(images.Settings, presets.IMAGES, Choice(f"{paper}-paper", data, model, "baseline"))
    with torch.device("meta"):
        if model in libraries.PUBLISHED:
            net = libraries.from_library(libraries.PUBLISHED[model], channels=channels, classes=classes)
        else:
            net = images.MODELS[model](settings, channels, classes)
        found = counted(net, torch.empty(1, channels, side, side))
    assert FORWARD[paper, model, side] == pytest.approx(found, rel=0.01)


def test_operations_of_clouds_and_texts() -> None:
    with torch.device("meta"):
        assert pytest.approx(counted(PointNet(classes=10), torch.empty(1, 1000, 3)), rel=0.01) == POINTS
    convolutions = 3 * 128 * (300 + 128 + 128)
    recurrent = 2 * 4 * 128 * (300 + 128) + 2 * 4 * 128 * (256 + 128)
    assert TEXT["cnn"] == pytest.approx(2e-9 * convolutions, rel=0.02)
    assert TEXT["bilstm"] == pytest.approx(2e-9 * recurrent, rel=0.02)


def test_hours_by_hand() -> None:
    row = ROWS["fmix-table-2/cifar10-preact18"]
    expected = 200 * 391 * 3 * 1.11e9 * 128 / 20e12 / 3600
    assert hours(row) == pytest.approx(expected)
    assert total(row, 5) == pytest.approx(5 * 7 * expected)
    assert hours(ROWS["patchup-table-1/tiny-imagenet-wrn28-10"], "puzzlemix") == pytest.approx(
        53 / 23 * (400 * 1000 * 3 * 11.9e9 * 100 / 20e12 / 3600)
    )
    assert hours(ROWS["patchup-table-2/svhn-wrn28-10"]) == pytest.approx(400 * 572 * 3 * 11.9e9 * 100 / 20e12 / 3600)
    assert hours(ROWS["fmix-table-2/modelnet10-pointnet"]) == pytest.approx(
        50 * 250 * 0.01 / 3600
    )  # waits for the host
    assert hours(ROWS["fmix-figure-1/cifar10-preact18"]) is None


def test_every_row_that_trains_has_hours() -> None:
    for row in ROWS.values():
        assert (hours(row) is None) == bool(row.of)


def test_svhns_training_images_without_validation() -> None:
    """Counts of the published set, which are in the order of its digits."""
    counts = [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659]
    assert sum(counts) == 73_257
    assert FACTS["svhn"].classes[0] == "0"
    assert sum(min(count - 733, 7325) for count in counts) == 57_158
