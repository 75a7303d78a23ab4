"""Networks of finished runs, read back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from recipes import images
from recipes.analyses.shared.trained import SMOKE_IMAGES, Choice, load, networks
from recipes.data.images import sets
from recipes.data.images.augment import Augment
from recipes.training import command, engine
from recipes.training.methods import Method


@pytest.fixture
def run(smoke_runs: Path, tmp_path: Path) -> Path:
    """A run of its own, to be spoiled."""
    return shutil.copytree(smoke_runs / "mixup-1", tmp_path / "run")


def test_the_network_is_the_one_that_the_run_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run without `--smoke`, which scores the whole test set, of a method with a hidden site."""
    nets = []
    fit = engine.fit

    def seen(task: engine.Task, training: engine.Training, **given: Any) -> dict[str, Any]:
        nets.append(task.model)
        return fit(task, training, **given)

    monkeypatch.setattr(engine, "fit", seen)
    method = ["--method", "patchup-soft", "--block-size", "3", "--seed", "5"]
    words = ["--epochs", "1", "--per-class", "20", "--width", "4", "--device", "cpu", *method]
    images.main([*words, "--out", str(tmp_path)])
    found = load(tmp_path)
    assert not found.net.training
    assert found.net.state_dict().keys() == nets[0].state_dict().keys()
    assert all(torch.equal(value, nets[0].state_dict()[name]) for name, value in found.net.state_dict().items())
    hits = (found.logits(batch_size=100).argmax(1) == found.data.test_y).double().mean().item()
    assert found.result["score"] == pytest.approx(100 * hits)
    assert found.result["nll"] == pytest.approx(F.cross_entropy(found.logits(), found.data.test_y).item(), rel=1e-5)
    assert (found.method, found.seed, found.settings.mixing.block_size) == ("patchup-soft", 5, 3)


def test_images_are_normalised_as_in_the_recipe(smoke_runs: Path) -> None:
    found = load(smoke_runs / "baseline-0")
    digits = sets.load("digits")
    pixels, y = zip(*found.batches(100), strict=True)
    assert [len(each) for each in y] == [100, 100, 100, 55]
    assert torch.equal(torch.cat(y), digits.test_y)
    expected = Augment.of(digits)(digits.test_x, train=False)
    assert torch.equal(found.normalise(torch.cat(pixels)), expected)


def test_settings_come_back_from_plain_values() -> None:
    settings = images.Settings(
        mixing=Method(method="patchup-hard", sites=("input", "layer1"), prob=0.5),
        data_root=Path("data"),
        per_class=3,
        training=engine.Training(schedule="step", milestones=(1, 2), seed=4),
    )
    config = json.loads(json.dumps(command.config("images", settings)))
    assert command.settings_of(images.Settings, config) == settings
    del config["per_class"], config["prob"]  # of a version that did not have them
    assert command.settings_of(images.Settings, config) == replace(
        settings, per_class=None, mixing=replace(settings.mixing, prob=1.0)
    )
    with pytest.raises(ValueError, match=r"unknown settings: colour, a shape; read it with the version that wrote it"):
        command.settings_of(images.Settings, config | {"colour": 1, "a\nshape": 2})


@pytest.mark.parametrize("changes", [{"epochs": -1}, {"epochs": "4"}, {"lr": None}, {"method": "x"}], ids=str)
def test_settings_that_no_run_has_are_said_to_be_those_of_the_file(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^config\.json has invalid settings \(.*\): restore it$"):
        command.settings_of(images.Settings, command.config("images", images.Settings()) | changes)


def test_the_folder_of_the_data_can_be_another(run: Path) -> None:
    config = json.loads((run / "config.json").read_text()) | {"data": "cifar10", "data_root": "/old"}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match="/old"):
        load(run)
    with pytest.raises(FileNotFoundError, match="/new"):
        load(run, data_root=Path("/new"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", None, r"run='.*/run' has no config.json: give the folder of a run of recipes.images"),
        ("result.json", None, r"run='.*/run' has no result.json: finish it with --resume"),
        ("checkpoint.safetensors", None, r"run='.*/run' has no checkpoint.safetensors: finish it with --resume"),
        ("config.json", {"recipe": "audio"}, r"is a run of recipes.audio: give one of recipes.images"),
        ("config.json", {"width": 8}, r"its checkpoint does not fit its settings: .*size mismatch"),
        ("result.json", {"epochs": 3}, r"its checkpoint is of epoch 2 and its result of epoch 3"),
    ],
)
def test_what_is_no_finished_run_is_refused(run: Path, name: str, change: dict[str, Any] | None, message: str) -> None:
    if change is None:
        (run / name).unlink()
    else:
        (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | change))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load(run)


def test_networks_come_by_method_and_seed_with_the_first_images(smoke_runs: Path) -> None:
    found = list(networks(Choice(smoke_runs, images=30)))
    expected = [(method, seed) for method in ("baseline", "mixup") for seed in (0, 1)]
    assert [(each.method, each.seed) for each in found] == expected
    digits = sets.load("digits")
    assert all(torch.equal(each.data.test_x, digits.test_x[:30]) for each in found)
    assert all(torch.equal(each.data.test_y, digits.test_y[:30]) for each in found)
    assert {len(each.data.test_y) for each in networks(Choice(smoke_runs, smoke=True))} == {SMOKE_IMAGES}


def test_only_some_methods(smoke_runs: Path) -> None:
    found = list(networks(Choice(smoke_runs, methods=("mixup", "fmix"))))
    assert [(each.method, each.seed) for each in found] == [("mixup", 0), ("mixup", 1)]
    with pytest.raises(ValueError, match=r"no finished runs of methods=\('fmix',\)"):
        list(networks(Choice(smoke_runs, methods=("fmix",))))
    for wrong in (("rain",), ()):
        with pytest.raises(ValueError, match=r"methods=\(.*\) must be among baseline, mixup"):
            Choice(smoke_runs, methods=wrong)


def test_images_are_read_once_for_networks_that_share_them(smoke_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And anew for one that was tested on others."""
    read, usual = [], images.load
    monkeypatch.setattr(images, "load", lambda settings: read.append(settings) or usual(settings))
    found = list(networks(Choice(smoke_runs, images=3)))
    assert len(read) == 1
    assert all(torch.equal(each.data.test_x, found[0].data.test_x) for each in found)
    other = replace(found[0], settings=replace(found[0].settings, per_class=5))
    assert len(load(smoke_runs / "mixup-0", like=other).data.test_x) == 355
    assert len(read) == 2


def test_unfinished_runs_are_listed_and_others_refused(
    run: Path, smoke_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(smoke_runs / "mixup-0", run.parent / "other")
    (run / "result.json").unlink()
    assert [each.method for each in networks(Choice(run.parent))] == ["mixup"]
    assert capsys.readouterr().err == f"unfinished, left out: {run}\n"
    config = json.loads((run.parent / "other" / "config.json").read_text())
    shutil.copytree(smoke_runs / "baseline-0", run.parent / "third")
    (run.parent / "other" / "config.json").write_text(json.dumps(config | {"per_class": 7}))
    with pytest.raises(ValueError, match="runs cannot be compared: per_class"):
        next(networks(Choice(run.parent)))
    with pytest.raises(ValueError, match="no runs were given"):
        next(networks(Choice()))
    with pytest.raises(ValueError, match="images=0 must be 1 or more"):
        Choice(images=0)
