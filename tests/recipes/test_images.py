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
from torch import nn

import mixmodal as mm
from recipes import images
from recipes.data.images.sets import ImageSet
from recipes.images import MODELS, Settings
from recipes.models.images.preact_resnet import preact_resnet
from recipes.training import methods, presets
from recipes.training.command import Choice, with_preset
from recipes.training.methods import METHODS, Method

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


@pytest.mark.parametrize(
    "words",
    [
        "densenet190 --depth 10 --width 8 --method patchup-soft",
        "pyramid272 --depth 11 --width 4 --method patchup-soft",
        "timm:resnet10t --method dropblock",
        "torchvision:shufflenet_v2_x0_5 --method patchup-soft --sites input stage2 stage3",
    ],
)
def test_networks_of_libraries_and_deeper_ones_run(tmp_path: Path, words: str) -> None:
    if words.startswith(("densenet", "timm")):
        pytest.importorskip("timm")
    images.main(["--smoke", "--device", "cpu", "--per-class", "10", "--out", str(tmp_path), "--model", *words.split()])
    assert 0 <= json.loads((tmp_path / "result.json").read_text())["score"] <= 100


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
        images.run(Settings(augment=augment, out=tmp_path), "")
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


def network() -> nn.Module:
    return preact_resnet(18, width=4)


def made(name: str, **settings: Any) -> tuple[dict[str, Any], Any]:
    """The mixers of a method by the names of its sites, or by "saliency"; and its mixing."""
    net = network()
    sites = [net, net.layer1, net.layer2]
    mixing = methods.make(Method(method=name, **settings), methods.Place(net, sites, "b c *", 32))
    if name == "puzzlemix":
        return {"saliency": mixing.mixer}, mixing
    names = {module: name or "input" for name, module in net.named_modules()}
    return {names[site]: mixer for site, mixer in mixing.hidden.at.items()}, mixing


def test_methods_are_the_librarys() -> None:
    given = {"alpha": 0.3, "decay_power": 2.0, "block_size": 3, "gamma": 0.4, "drop_prob": 0.2}
    fmix, mixup, cutmix = mm.FMix(alpha=0.3, decay_power=2.0), mm.MixUp(alpha=0.3), mm.CutMix(alpha=0.3)
    soft = mm.PatchUp(block_size=3, gamma=0.4, alpha=0.3)
    hard = mm.PatchUp(block_size=3, gamma=0.4, alpha=0.3, soft=False)
    blocks = mm.DropBlock(block_size=3, drop_prob=0.2)
    everywhere = ("input", "layer1", "layer2")
    expected = {
        "baseline": {"input": mm.NoMix()},
        "mixup": {"input": mixup},
        "cutmix": {"input": cutmix},
        "fmix": {"input": fmix},
        "spec-time": {"input": mm.CutMix(alpha=0.3, axes="b c f *")},
        "spec-frequency": {"input": mm.CutMix(alpha=0.3, axes="b c * t")},
        "cutout": {"input": mm.Cutout(size=16)},
        "manifold-mixup": dict.fromkeys(everywhere, mixup),
        "feature-cutmix": dict.fromkeys(everywhere, cutmix),
        "patchup-soft": {"input": mm.CutMix(), "layer1": soft, "layer2": soft},
        "patchup-hard": {"input": mm.CutMix(), "layer1": hard, "layer2": hard},
        "dropblock": {"layer1": blocks, "layer2": blocks},
        "puzzlemix": {"saliency": mm.PuzzleMix(alpha=0.3)},
    }
    hybrids = {"fmix+mixup": [fmix, mixup], "cutmix+mixup": [mixup, cutmix], "fmix+cutmix": [fmix, cutmix]}
    assert METHODS.keys() == expected.keys() | hybrids.keys()
    for name, mixers in expected.items():
        assert made(name, **given)[0] == mixers
    for name, turns in hybrids.items():
        policy = made(name, **given)[0]["input"]
        assert [policy.choose(), policy.choose(), policy.choose()] == [*turns, turns[0]]


def test_methods_have_their_own_alpha() -> None:
    assert made("mixup")[0]["input"] == mm.MixUp(alpha=1.0)
    assert made("manifold-mixup")[0]["layer1"] == mm.MixUp(alpha=2.0)
    assert made("patchup-soft")[0]["layer1"] == mm.PatchUp(alpha=2.0)


@pytest.mark.parametrize("soft", [True, False])
def test_patchup_mixes_a_box_at_the_input_or_blocks(soft: bool) -> None:
    """As in the last row of the PatchUp paper's Table 7; within it mixes blocks in any case."""
    blocks = mm.PatchUp(block_size=3, soft=soft, alpha=2.0)
    kind = f"patchup-{'soft' if soft else 'hard'}"
    for first, expected in (("box", mm.CutMix()), ("blocks", blocks)):
        mixers, _ = made(kind, block_size=3, patchup_input=first)
        assert mixers == {"input": expected, "layer1": blocks, "layer2": blocks}


@pytest.mark.parametrize("method", METHODS)
def test_methods_mix_with_their_probability(method: str) -> None:
    if method == "baseline":
        return
    mixers, mixing = made(method, prob=0.25)
    if method == "puzzlemix":
        assert mixing.prob == 0.25
    for mixer in mixers.values() if method != "puzzlemix" else ():
        assert mixer.p == (0.25, 0.75)
        assert mixer.mixers[1] == mm.NoMix()


def test_puzzlemix_mixes_at_its_rate_by_the_saliency_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    _, mixing = made("puzzlemix", prob=0.5)
    asked = []

    def saliency(net: nn.Module, x: torch.Tensor, y: torch.Tensor, *, keep: float) -> torch.Tensor:
        asked.append((net, x, y, keep))
        return torch.ones(len(x), *x.shape[2:])

    monkeypatch.setattr("recipes.training.mixing.saliency", saliency)
    x, y = torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    n = 200
    mixed = sum(mixing(mixing.net, x, y)[1].partner for _ in range(n))
    assert len(asked) == mixed
    assert asked[0] == (mixing.net, x, y, 0.0)
    assert abs(mixed - n / 2) < 4.5 * (n / 4) ** 0.5


@pytest.mark.parametrize("data", ["imagenet", "imagenet-a"])
def test_the_papers_settings_of_imagenet(data: str) -> None:
    settings = with_preset(Settings, presets.IMAGES, Choice("fmix-paper", data, "resnet101", "fmix"))
    training = settings.training
    assert (training.epochs, training.batch_size, training.optimizer, settings.width) == (90, 256, "sgd", None)
    assert (training.momentum, training.nesterov, training.weight_decay) == (0.9, False, 1e-4)
    rates = [training.lr_at(epoch) for epoch in range(90)]
    expected = [0.1, 0.16, 0.22, 0.28, 0.34, *[0.4] * 25, *[0.04] * 30, *[0.004] * 20, *[0.0004] * 10]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("data", "model", "epochs", "batch", "milestones", "width"),
    [
        ("cifar10", "preact18", 200, 128, (100, 150), 64),
        ("cifar100", "wrn28-10", 200, 128, (100, 150), 160),
        ("fashion-mnist", "preact18", 200, 128, (100, 150), 64),
        ("fashion-mnist", "wrn28-10", 300, 32, (100, 150, 225), 160),
        ("cifar10", "densenet190", 300, 32, (100, 150, 225), 80),
        ("fashion-mnist", "densenet190", 300, 32, (100, 150, 225), 80),
        ("cifar10", "pyramid272", 1800, 64, (), 16),
    ],
)
def test_the_papers_settings(
    data: str, model: str, epochs: int, batch: int, milestones: tuple[int, ...], width: int
) -> None:
    settings = with_preset(Settings, presets.IMAGES, Choice("fmix-paper", data, model, "fmix"))
    training = settings.training
    assert (training.epochs, training.batch_size, training.milestones) == (epochs, batch, milestones)
    assert (training.lr, training.momentum, training.nesterov, training.weight_decay) == (0.1, 0.9, False, 1e-4)
    schedule = "step" if milestones else "cosine"
    assert (training.optimizer, training.schedule, settings.width) == ("sgd", schedule, width)
    if model == "densenet190":
        pytest.importorskip("timm")
    with torch.device("meta"):
        network = MODELS[model](settings, 1 if data == "fashion-mnist" else 3, 100 if data == "cifar100" else 10)
    count = sum(parameter.numel() for parameter in network.parameters())
    expected = {
        ("cifar10", "preact18"): 11_171_274,
        ("cifar100", "wrn28-10"): 36_536_884,
        ("cifar10", "densenet190"): 25_624_430,
        ("cifar10", "pyramid272"): 26_210_842,
    }
    assert count == expected.get((data, model), count)


@pytest.mark.parametrize(
    ("data", "model", "method", "epochs", "milestones", "mixing", "changes"),
    [
        ("cifar10", "preact18", "patchup-soft", 2000, (500, 1000, 1500), {"gamma": 0.75, "mixed_weight": 2.0}, {}),
        ("cifar100", "preact34", "patchup-hard", 2000, (500, 1000, 1500), {"gamma": 0.5, "prob": 0.7}, {"width": 64}),
        ("svhn", "wrn28-10", "cutmix", 400, (200, 300), {"prob": 0.4, "mixed_weight": 1.0}, {"width": 160}),
        ("svhn", "preact18", "cutout", 2000, (500, 1000, 1500), {"cutout_size": 20}, {}),
        ("cifar10", "wrn28-10", "cutout", 400, (200, 300), {"cutout_size": 8}, {}),
        ("cifar10", "preact18", "cutout", 2000, (500, 1000, 1500), {"cutout_size": 16}, {"validation": True}),
        ("cifar10", "preact18", "manifold-mixup", 2000, (500, 1000, 1500), {"alpha": 1.5}, {"loss": "softmax-bce"}),
        ("tiny-imagenet", "preact101", "manifold-mixup", 400, (200, 300), {"alpha": 2.0}, {"stem_stride": 2}),
    ],
)
def test_the_patchup_papers_settings(
    data: str,
    model: str,
    method: str,
    epochs: int,
    milestones: tuple[int, ...],
    mixing: dict[str, Any],
    changes: dict[str, Any],
) -> None:
    settings = with_preset(Settings, presets.IMAGES, Choice("patchup-paper", data, model, method))
    training = settings.training
    assert (training.epochs, training.batch_size, training.milestones) == (epochs, 100, milestones)
    assert (training.lr, training.momentum, training.nesterov, training.weight_decay) == (0.1, 0.9, True, 1e-4)
    assert (settings.variant, settings.facts, settings.loss) == ("patchup", "patchup", "softmax-bce")
    assert settings.validation == (data != "tiny-imagenet")
    for name, value in mixing.items():
        assert getattr(settings.mixing, name) == value
    for name, value in changes.items():
        assert getattr(settings, name) == value


def test_validation_images_are_left_out_of_the_training_and_scored_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randint(256, (40, 3, 4, 4), dtype=torch.uint8), torch.arange(40) % 2
    whole = ImageSet("cifar10", x, y, x[:6], y[:6], ("a", "b"), (0.5,) * 3, (0.2,) * 3, pad=4, flip=True)
    monkeypatch.setattr(images.sets, "load", lambda *a, **k: whole)
    monkeypatch.setattr(images, "PATCHUP_SPLITS", {"cifar10": (20, 5)})
    for score_on in ("test", "validation"):
        data = images.load(Settings(data="cifar10", validation=True, score_on=score_on, facts="patchup"))
        assert len(data.train_x) == 30
        kept = {tuple(image.flatten().tolist()) for image in data.train_x}
        scored = {tuple(image.flatten().tolist()) for image in data.test_x}
        assert data.pad == 2
        assert len(data.test_x) == (6 if score_on == "test" else 10)
        if score_on == "validation":
            assert not kept & scored


def test_options_win_over_a_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(images, "run", lambda settings, words: seen.append(settings) or {})
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
        (["--model", "resnet50", "--width", "64"], r"width=64 does not go with resnet50: leave it out"),
        (["--model", "torchvision:resnet18", "--depth", "34"], r"depth=34 does not go with torchvision:resnet18"),
        (["--model", "pyramid272", "--variant", "patchup"], r"variant='patchup' does not go with pyramid272"),
        (["--model", "torchvision:resnet1"], r"model='torchvision:resnet1' is unknown to torchvision: did you mean"),
        (["--model", "keras:vgg"], r"model='keras:vgg' names no library"),
        (
            ["--model", "torchvision:shufflenet_v2_x0_5", "--method", "patchup-soft"],
            r"sites: no stages were found in torchvision:shufflenet_v2_x0_5; name modules after --sites, within conv1",
        ),
        (["--model", "wrn28-10", "--width", "24"], r"width=24 must be a multiple of 16"),
        (["--preset", "patchup-paper"], r"preset='patchup-paper' has no digits with preact18; it has the data cifar10"),
        (["--prob", "1.5"], r"prob=1.5 must be in \[0, 1\]"),
        (
            ["--method", "patchup-soft", "--sites", "layer9"],
            r"sites: 'layer9' is not a module of this network; choose from",
        ),
        (["--score-on", "validation"], r"score_on='validation' needs --validation"),
        (["--validation"], r"validation: digits has no published split; cifar10"),
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
