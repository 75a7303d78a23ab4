"""Weights to begin with, from files that are made here; the hub is stood in for."""

import json
import re
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recipes import images
from recipes.models.images import libraries, pretrained

CLASSES = 4


def network(classes: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, classes))


def load(net: nn.Module, where: object) -> str:
    return pretrained.load(net, "small", str(where), channels=3, classes=CLASSES)


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


SAVED: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "a.safetensors": save_file,
    "a.pth": torch.save,
    "beside.pt": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "parallel.bin": lambda state, path: torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, path),
}


@pytest.mark.parametrize("name", SAVED)
def test_weights_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    state = {key: torch.randn(value.shape).to(value.dtype) for key, value in network().state_dict().items()}
    SAVED[name](state, tmp_path / name)
    for where in (tmp_path / name, tmp_path):
        net = network()
        assert load(net, where) == f"weights from {tmp_path / name}"
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_a_classifier_of_other_classes_begins_anew(tmp_path: Path) -> None:
    other, net = network(classes=7), network()
    save_file(other.state_dict(), tmp_path / "a.safetensors")
    before = tensors(net)
    assert load(net, tmp_path).endswith("; 3.weight, 3.bias start afresh, for 4 classes, not 7")
    for name, value in net.state_dict().items():
        expected = before[name] if name.startswith("3.") else other.state_dict()[name]
        assert torch.equal(value, expected)


def test_counters_that_old_files_lack_stay(tmp_path: Path) -> None:
    state = {name: value for name, value in tensors(network()).items() if "num_batches" not in name}
    torch.save(state, tmp_path / "a.pth")
    load(network(), tmp_path)


def test_the_layout_of_the_network_stays(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "a.safetensors")
    net = network().to(memory_format=torch.channels_last)
    load(net, tmp_path)
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)


MISFITS: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (lambda state: state.pop("1.bias"), r"it lacks 1\.bias$"),
    "headless": (lambda state: [state.pop("3.weight"), state.pop("3.bias")], r"it lacks 3\.weight, 3\.bias$"),
    "unexpected": (lambda state: state.update({f"x{i}": torch.ones(1) for i in range(5)}),
                   "it also has x0, x1, x2 and 2 more$"),
    "shape": (lambda state: state.update({"0.weight": torch.ones(6, 1, 3, 3)}),
              r"it has 0\.weight \(6, 1, 3, 3\), expected \(6, 3, 3, 3\)$"),
    "width": (lambda state: state.update({"1.weight": torch.ones(5)}), r"it has 1\.weight \(5,\), expected \(6,\)$"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    state, net = tensors(network()), network()
    before = tensors(net)
    change(state)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"from {re.escape(str(tmp_path))}.* do not fit the network: {message}"):
        load(net, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Opened:
    """What a pickle may build, and with it run code."""


BROKEN: dict[str, Callable[[Path], object]] = {
    "a.safetensors": lambda path: path.write_bytes(b"\x08\0\0\0\0\0\0\0{}"),
    "empty.pth": lambda path: path.write_bytes(b""),
    "noise.pth": lambda path: path.write_bytes(bytes(range(200))),
    "code.pth": lambda path: torch.save({"weight": Opened()}, path),
    "list.pth": lambda path: torch.save([torch.ones(2)], path),
    "numbers.pth": lambda path: torch.save({"lr": 0.1}, path),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_weights_are_named(tmp_path: Path, name: str) -> None:
    BROKEN[name](tmp_path / name)
    with pytest.raises(
        ValueError, match=rf"{re.escape(name)} (cannot be read as weights|has no tensors by name).*: give"
    ):
        load(network(), tmp_path)


def test_a_folder_has_one_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is not a file, nor a folder with one of \.safetensors"):
        load(network(), tmp_path)
    for name in ("a.pth", "b.pt"):
        torch.save(tensors(network()), tmp_path / name)
    with pytest.raises(ValueError, match=r"has a\.pth, b\.pt: name one of them"):
        load(network(), tmp_path)


def fetched(error: BaseException) -> Callable[..., Any]:
    def fetch(*_: Any, **__: Any) -> Any:
        raise error

    return fetch


@pytest.mark.parametrize("error", [OSError("no route"), urllib.error.URLError("no network"), FileNotFoundError("none")])
def test_a_hub_out_of_reach_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    monkeypatch.setitem(libraries.WEIGHTS, "timm", fetched(error))
    with pytest.raises(
        ConnectionError, match=r"weights of timm:resnet18 cannot be fetched .*check the network, or give"
    ):
        pretrained.load(network(), "timm:resnet18", "hub", channels=3, classes=CLASSES)


def test_a_hub_without_weights_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries.WEIGHTS, "timm", fetched(RuntimeError("No pretrained weights exist")))
    with pytest.raises(ValueError, match=r"timm has no weights for resnet10 .*: give a file"):
        pretrained.load(network(), "timm:resnet10", "hub", channels=3, classes=CLASSES)
    with pytest.raises(ValueError, match="pretrained='hub' is for timm:NAME and torchvision:NAME, not for preact18"):
        pretrained.load(network(), "preact18", "hub", channels=3, classes=CLASSES)


def test_the_hubs_weights_are_loaded_and_draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library makes a network of its own to fetch them, with random weights."""
    asked = []

    def fetch(name: str, channels: int) -> dict[str, Tensor]:
        asked.append((name, channels))
        return network(7).state_dict()

    monkeypatch.setitem(libraries.WEIGHTS, "torchvision", fetch)
    torch.manual_seed(0)
    net, expected = network(), torch.rand(())
    torch.manual_seed(0)
    network()
    said = pretrained.load(net, "resnet50", "hub", channels=3, classes=CLASSES)
    assert torch.equal(torch.rand(()), expected)
    assert asked == [("resnet50", 3)]
    assert said.startswith("weights from the hub, resnet50; 3.weight, 3.bias start afresh")


def test_a_run_begins_with_weights_and_goes_on_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "torchvision:shufflenet_v2_x0_5"
    file = tmp_path / "a.safetensors"
    save_file(libraries.from_library(model, channels=1, classes=3).state_dict(), file)
    words = ["--smoke", "--device", "cpu", "--per-class", "10", "--method", "mixup"]
    words += ["--model", model, "--pretrained", str(file)]
    images.main([*words, "--out", str(tmp_path / "run")])
    assert f"weights from {file}; fc.weight, fc.bias start afresh, for 10 classes, not 3" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/config.json").read_text())["pretrained"] == str(file)
    file.unlink()
    images.main([*words, "--resume", "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match="is not a file"):
        images.main([*words, "--out", str(tmp_path / "other")])
