"""The image recipe, on the digits that come with scikit-learn."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import mixmodal as mm
from recipes import images
from recipes.images import METHODS, MODELS, Choice, Settings, with_preset

ROOT = Path(__file__).parents[2]


def smoke(out: Path, *words: str) -> dict[str, Any]:
    images.main(["--smoke", "--width", "4", "--device", "cpu", "--out", str(out), *words])
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_draws_its_picture(tmp_path: Path, method: str) -> None:
    result = smoke(tmp_path, "--method", method)
    assert 0 <= result["score"] <= 100
    for name in ("curves.png", "samples.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "config.json").read_text())["method"] == method


@pytest.mark.parametrize(("model", "width"), [("preact34", "2"), ("wrn28-10", "16")])
def test_every_model_runs(tmp_path: Path, model: str, width: str) -> None:
    smoke(tmp_path, "--model", model, "--width", width, "--per-class", "10")


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_training_learns_the_digits(tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--method", "fmix+mixup", "--epochs", "8", "--evaluate-every", "0", "--precision", precision]
    images.main([*words, "--device", "cpu", "--width", "8"])
    result = json.loads((tmp_path / "runs/images/digits-fmix+mixup-0/result.json").read_text())
    assert result["score"] > 80  # chance is 10
    assert "--epochs 8" in result["command"]


def test_images_are_cropped_and_flipped_unless_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []
    monkeypatch.setattr(images.engine, "fit", lambda task, training, **given: tasks.append(task) or {})
    for augment in ("crop-flip", "none"):
        images.run(Settings(augment=augment, out=tmp_path), command="")
    raw = next(iter(tasks[0].train))
    for task, moved in zip(tasks, (True, False), strict=True):
        as_is, _ = task.prepare(raw, False)
        assert torch.equal(task.prepare(raw, True)[0], as_is) != moved


def test_a_seed_repeats_a_run(tmp_path: Path) -> None:
    runs = [smoke(tmp_path / name, "--method", "fmix", "--seed", seed) for name, seed in (("a", "3"), ("b", "3"))]
    assert runs[0]["score"] == runs[1]["score"]
    losses = [(tmp_path / name / "metrics.jsonl").read_text().split('"train_loss": ')[1][:8] for name in "ab"]
    assert losses[0] == losses[1]


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    words = ["-m", "recipes.images", "--smoke", "--width", "4", "--device", "cpu", "--out", str(tmp_path)]
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first["samples"] == 2 * 2 * 128  # processes, batches of a smoke test, batch size
    assert json.loads((tmp_path / "result.json").read_text())["device"].startswith("2 x cpu")


def test_methods_are_the_librarys() -> None:
    settings = Settings(alpha=0.3, decay_power=2.0)
    made = {name: make(settings, 32) for name, make in METHODS.items()}
    assert made["baseline"] == mm.NoMix()
    assert made["mixup"] == mm.MixUp(alpha=0.3)
    assert made["cutmix"] == mm.CutMix(alpha=0.3)
    assert made["fmix"] == mm.FMix(alpha=0.3, decay_power=2.0)
    assert made["cutout"] == mm.Cutout(size=16)
    first = {name: made[name].choose() for name in METHODS if "+" in name}
    assert first == {"fmix+mixup": made["fmix"], "cutmix+mixup": made["mixup"], "fmix+cutmix": made["fmix"]}


@pytest.mark.parametrize(
    ("data", "model", "epochs", "batch", "milestones", "width"),
    [
        ("cifar10", "preact18", 200, 128, (100, 150), 64),
        ("cifar100", "wrn28-10", 200, 128, (100, 150), 160),
        ("fashion-mnist", "preact18", 200, 128, (100, 150), 64),
        ("fashion-mnist", "wrn28-10", 300, 32, (100, 150, 225), 160),
    ],
)
def test_the_papers_settings(
    data: str, model: str, epochs: int, batch: int, milestones: tuple[int, ...], width: int
) -> None:
    settings = with_preset(Choice("fmix-paper", data, model))
    training = settings.training
    assert (training.epochs, training.batch_size, training.milestones) == (epochs, batch, milestones)
    assert (training.lr, training.momentum, training.nesterov, training.weight_decay) == (0.1, 0.9, False, 1e-4)
    assert (training.optimizer, training.schedule, settings.width) == ("sgd", "step", width)
    with torch.device("meta"):
        network = MODELS[model](settings, 1 if data == "fashion-mnist" else 3, 100 if data == "cifar100" else 10)
    count = sum(parameter.numel() for parameter in network.parameters())
    expected = {("cifar10", "preact18"): 11_171_274, ("cifar100", "wrn28-10"): 36_536_884}
    assert count == expected.get((data, model), count)


def test_options_win_over_a_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(
        images, "run", lambda settings, command: seen.append(settings) or {"score": 0, "train_score": 0}
    )
    words = [
        "--preset",
        "fmix-paper",
        "--data",
        "cifar10",
        "--batch-size",
        "32",
        "--seed",
        "5",
        "--milestones",
        "3",
        "9",
    ]
    images.main(words)
    (settings,) = seen
    assert (settings.data, settings.preset, settings.width) == ("cifar10", "fmix-paper", 64)
    assert (settings.training.batch_size, settings.training.epochs, settings.training.seed) == (32, 200, 5)
    assert (settings.training.schedule, settings.training.milestones) == ("step", (3, 9))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "mixcut"], r"method='mixcut' is unknown; choose baseline, mixup"),
        (["--model", "vgg"], r"model='vgg' is unknown; choose preact18"),
        (["--data", "mnist"], r"name='mnist' is unknown"),
        (["--data", "cifar10", "--data-root", "/nowhere"], r"cifar10.*/nowhere.*--data-root"),
        (["--preset", "fmix-paper"], r"preset='fmix-paper' has no digits with preact18; it has cifar10 with preact18"),
        (["--width", "0"], r"width=0"),
        (["--model", "wrn28-10", "--width", "24"], r"width=24 must be a multiple of 16"),
        (["--alpha", "0"], r"alpha=0.0 must be a positive number"),
        (["--epochs", "0"], r"epochs"),
    ],
)
def test_wrong_options_end_in_one_sentence(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        images.main(["--out", str(tmp_path / "run"), *words])
    text = str(error.value) + capsys.readouterr().err
    assert re.search(message, text.replace("\n", " ")), text
    assert "Traceback" not in text
