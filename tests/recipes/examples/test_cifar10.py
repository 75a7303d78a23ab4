"""The example in one file does what the recipe does: part by part, and in its scores."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch

import mixmodal as mm
from recipes import images
from recipes.data.images.augment import Augment
from recipes.data.images.facts import FACTS
from recipes.examples import cifar10
from recipes.models.images.preact_resnet import preact_resnet
from recipes.training.engine import Training
from recipes.training.methods import Method


def test_the_network_is_the_recipes() -> None:
    ours, theirs = cifar10.PreActResNet18(4), preact_resnet(18, width=4)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 3, 32, 32)
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), rtol=0, atol=0)


def test_augmentation_is_the_recipes() -> None:
    """The same draws in the same order, so that equal seeds give equal images."""
    facts = FACTS["cifar10"]
    augment = Augment(facts.mean, facts.std, facts.pad, facts.flip)
    x = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)
    torch.manual_seed(3)
    expected = augment(x, train=True)
    torch.manual_seed(3)
    torch.testing.assert_close(cifar10.normalised(cifar10.augmented(x)), expected)
    torch.testing.assert_close(cifar10.normalised(x), augment(x, train=False))


def test_the_learning_rate_is_the_papers() -> None:
    training = Training(epochs=200, schedule="step", milestones=(100, 150))
    for epoch in (0, 50.5, 99.9, 100, 149.9, 150, 199.9):
        assert cifar10.rate(epoch / 200) == pytest.approx(training.lr_at(epoch))


def test_an_epoch_takes_every_sample_once_in_another_order() -> None:
    x = torch.arange(10)
    first, second = (torch.cat([part for part, _ in cifar10.batches(x, x, 4)]) for _ in range(2))
    assert first.sort().values.equal(x)
    assert not first.equal(second)


def test_what_is_read_is_what_the_recipe_reads(real: Callable[[str], Path]) -> None:
    root = real("cifar10")
    data = images.load(images.Settings(data="cifar10", data_root=root))
    for ours, theirs in zip(cifar10.load(root), (data.train_x, data.train_y, data.test_x, data.test_y), strict=True):
        assert ours.equal(theirs)


def test_its_score_is_beside_the_engines(
    real: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 images, width 8, 6 epochs, 2,000 test images, three seeds each: means less than 4 standard errors apart."""
    settings = {"data": "cifar10", "data_root": real("cifar10"), "per_class": 50, "width": 8}
    data = images.load(images.Settings(**settings))
    data = replace(data, test_x=data.test_x[:2000], test_y=data.test_y[:2000])
    monkeypatch.setattr(images, "load", lambda settings: data)
    steps = {"epochs": 6, "batch_size": 25, "schedule": "step", "milestones": (3,), "evaluate_every": 0}
    monkeypatch.setattr(cifar10, "MILESTONES", (0.5,))
    scores: dict[str, list[float]] = {"engine": [], "example": []}
    for seed in range(3):
        training = Training(seed=seed, device="cpu", **steps)
        run = images.Settings(mixing=Method("fmix"), out=tmp_path / f"{seed}", training=training, **settings)
        scores["engine"].append(images.run(run, "")["score"])
        torch.manual_seed(seed)
        model = cifar10.PreActResNet18(8)
        given = {"epochs": 6, "batch_size": 25, "say": lambda line: None}
        cifar10.fit(model, mm.FMix(), data.train_x, data.train_y, **given)
        scores["example"].append(cifar10.score(model, data.test_x, data.test_y))
    engine, example = scores.values()
    error = ((stdev(engine) ** 2 + stdev(example) ** 2) / 3) ** 0.5
    assert min(engine + example) > 15, scores  # 10 is what guessing scores
    assert abs(mean(engine) - mean(example)) < 4 * error, scores


def test_the_command_line_trains_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records = torch.randint(256, (6, 1 + 3072), dtype=torch.uint8)
        records[:, 0] = torch.arange(6)
        (folder / name).write_bytes(records.numpy().tobytes())
    accuracy = cifar10.main([str(tmp_path), "--epochs", "1", "--width", "4", "--images", "12", "--batch-size", "6"])
    said = capsys.readouterr().out
    assert "epoch 1 of 1: loss" in said
    assert "FMix(axes='b c *', per_sample=False, alpha=1.0" in said
    assert f"{accuracy:.2f} % of the test images" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "has no folder cifar-10-batches-bin: unpack the binary version of CIFAR-10 there"),
        (["--images", "0"], "images=0, .*: images, width, epochs and batch-size must be 1 or more"),
        (["--epochs", "ten"], "argument --epochs: invalid int value: 'ten'"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words:
        (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(SystemExit, match="2"):
        cifar10.main([str(tmp_path), *words])
    assert re.search(said, capsys.readouterr().err)
