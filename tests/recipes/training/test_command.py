"""What command lines refuse: options that nothing reads, and numbers that cannot be trained with."""

from dataclasses import replace
from typing import Any

import pytest

from recipes import audio, images, points, text
from recipes.training import command, methods
from recipes.training.command import Training
from recipes.training.methods import METHODS, Method

RECIPES: dict[str, Any] = {"images": images, "audio": audio, "text": text, "points": points}

READ = {
    "baseline": "",
    "mixup": "prob alpha mixed_weight",
    "cutmix": "prob alpha mixed_weight",
    "fmix": "prob alpha mixed_weight decay_power",
    "cutout": "prob cutout_size",
    "puzzlemix": "prob alpha mixed_weight clean_lam",
    "spec-time": "prob alpha mixed_weight",
    "spec-frequency": "prob alpha mixed_weight",
    "fmix+mixup": "prob alpha mixed_weight decay_power",
    "cutmix+mixup": "prob alpha mixed_weight",
    "fmix+cutmix": "prob alpha mixed_weight decay_power",
    "manifold-mixup": "prob alpha mixed_weight sites",
    "feature-cutmix": "prob alpha mixed_weight sites",
    "patchup-soft": "prob alpha mixed_weight sites block_size gamma patchup_input",
    "patchup-hard": "prob alpha mixed_weight sites block_size gamma patchup_input",
    "dropblock": "prob sites block_size drop_prob",
}


def parsed(monkeypatch: pytest.MonkeyPatch, recipe: str, line: str) -> Any:
    """The settings that a command line asks for."""
    seen: list[Any] = []
    monkeypatch.setattr(RECIPES[recipe], "run", lambda settings, words: seen.append(settings) or {})
    RECIPES[recipe].main(line.split())
    return seen[0]


def test_what_each_method_reads() -> None:
    assert METHODS.keys() == READ.keys()
    for name, read in READ.items():
        assert methods.options_of(name) == {"method", *read.split()}, name


@pytest.mark.parametrize(
    ("recipe", "line", "message"),
    [
        ("images", "--method baseline --alpha 1", "alpha=1.0 is not read by --method baseline, which has no options"),
        ("images", "--method baseline --prob 0.5", "prob=0.5 is not read by --method baseline"),
        ("images", "--sites layer1", r"sites=\('layer1',\) is not read by --method fmix, which has alpha, decay_power"),
        ("audio", "--method mixup --decay-power=3", "decay_power=3.0 is not read by --method mixup"),
        ("text", "--method cutout --mixed_weight 2", "mixed_weight=2.0 is not read by --method cutout"),
        ("points", "--method fmix --gamma 0.5", "gamma=0.5 is not read by --method fmix"),
        (
            "images",
            "--preset patchup-paper --data cifar10 --method mixup --cutout-size 8",
            "cutout_size=8 is not read by --method mixup",
        ),
        (
            "images",
            "--data-root x",
            "data_root='x' is for data from a folder or the web, but --data is digits: choose another --data",
        ),
        ("images", "--hub", "hub=True is for data from a folder or the web, but --data is digits"),
        ("audio", "--data-root x", "data_root='x' is for data from a folder or the web, but --data is packed"),
        ("audio", "--download v0.01", "download='v0.01' is for data from a folder or the web, but --data is packed"),
        ("audio", "--words twelve", "words='twelve' is for data from a folder or the web, but --data is packed"),
        ("audio", "--cache x", "cache='x' is for data from a folder or the web, but --data is packed"),
        ("points", "--data synthetic --cache x", "cache='x' is for .*, but --data is synthetic"),
        ("text", "--hub", "hub=True is for data from a folder or the web, but --data is packed"),
        ("points", "--data-root x", "data_root='x' is for data from a folder or the web, but --data is packed"),
        ("points", "--data synthetic --data-root x", "data_root='x' is for .*, but --data is synthetic"),
        ("points", "--momentum 0.5", "momentum=0.5 is for --optimizer sgd, but this is adam"),
        ("images", "--optimizer adam --nesterov", "nesterov=True is for --optimizer sgd, but this is adam"),
    ],
)
def test_options_that_nothing_reads_are_refused(
    monkeypatch: pytest.MonkeyPatch, recipe: str, line: str, message: str
) -> None:
    with pytest.raises(SystemExit, match=f"recipes.{recipe}: {message}.*leave it out"):
        parsed(monkeypatch, recipe, line)


def test_presets_and_files_may_set_what_nothing_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PatchUp paper's preset has a size of Cutout for every method, and `config.json` every setting."""
    paper = parsed(monkeypatch, "images", "--preset patchup-paper --data cifar10 --method mixup")
    assert paper.mixing.cutout_size == 16
    assert command.settings_of(images.Settings, command.config("images", paper)) == paper
    assert parsed(monkeypatch, "audio", "--preset fmix-paper --data-root x --method baseline").mixing.alpha == 1
    assert Method("baseline", alpha=2.0).alpha == 2


def test_options_that_are_read_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "--method patchup-hard --gamma 0.4 --prob=0.7 --block_size 3 --sites input layer1 --momentum 0.8"
    found = parsed(monkeypatch, "images", line)
    expected = Method("patchup-hard", gamma=0.4, prob=0.7, block_size=3, sites=("input", "layer1"))
    assert (found.mixing, found.training.momentum) == (expected, 0.8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 4}, "warmup=4 must be below epochs=4: the schedule comes after it"),
        ({"warmup": 5}, "warmup=5 must be below epochs=4"),
        ({"median_of": 5}, "median_of=5 must be at most epochs=4: lower --median-of"),
        ({"clip": -1.0}, r"clip=-1.0 must be above 0"),
        ({"clip": 0.0}, r"clip=0.0 must be above 0"),
        ({"clip": float("nan")}, "clip=nan must be a float32 number"),
        ({"seed": 2**64}, "seed=18446744073709551616 must have at most 64 bits"),
        ({"lr": 1e39}, r"lr=1e\+39 must be a float32 number, 3.4e\+38 at most"),
        ({"lr": float("inf")}, "lr=inf must be a float32 number"),
        ({"lr": float("nan")}, "lr=nan must be 0 or more"),
        ({"weight_decay": 1e39}, r"weight_decay=1e\+39 must be a float32 number"),
        ({"momentum": float("nan")}, "momentum=nan must be a float32 number"),
        ({"precision": "fp32"}, r"precision='fp32' is unknown; choose no \(float32 throughout\), bf16 or fp16"),
    ],
)
def test_numbers_that_cannot_be_trained_with_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Training(epochs=4), **changes)


def test_the_largest_that_can_be() -> None:
    Training(epochs=4, warmup=3, median_of=4, clip=1e-9, seed=2**64 - 1, lr=3e38)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--lr 1e39", "lr=1e+39 must be a float32 number"),
        ("--prob 7", "prob=7.0 must be in [0, 1]"),
        ("--precision fp32", "choose no (float32 throughout)"),
        (f"--seed {10**30}", "must have at most 64 bits"),
    ],
)
def test_they_are_refused_without_a_traceback(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        images.main(line.split())
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in said
    assert "Traceback" not in said


def test_the_papers_vectors_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"needs --vectors FILE for --model cnn: .*wiki\.simple\.vec"):
        text.Settings(preset="fmix-paper", data="imdb")
    with pytest.raises(ValueError, match="vectors='x' are not for --model bert"):
        text.Settings(model="bert", vectors="x")  # type: ignore[arg-type]
    line = "--preset fmix-paper --data toxic --data-root x --model"
    assert parsed(monkeypatch, "text", f"{line} bert").vectors is None
    assert str(parsed(monkeypatch, "text", f"{line} bilstm --vectors y").vectors) == "y"
