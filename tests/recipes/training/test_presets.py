"""The papers' settings that go with large images, written down by hand."""

from typing import Any

import pytest

from recipes import images
from recipes.training import presets
from recipes.training.command import Choice, with_preset


def settings(preset: str, data: str, model: str, method: str = "fmix") -> images.Settings:
    return with_preset(images.Settings, presets.IMAGES, Choice(preset, data, model, method))


@pytest.mark.parametrize(
    ("data", "model", "epochs", "batch", "lr", "milestones", "warmup"),
    [
        ("tiny-imagenet", "preact18", 200, 128, 0.1, (150, 180), 0),
        ("imagenet", "resnet101", 90, 256, 0.4, (30, 60, 80), 5),
        ("imagenet-a", "resnet101", 90, 256, 0.4, (30, 60, 80), 5),
        ("bengali", "seresnext50", 100, 512, 0.1, (50, 75), 0),
    ],
)
def test_the_fmix_papers(
    data: str, model: str, epochs: int, batch: int, lr: float, milestones: tuple[int, ...], warmup: int
) -> None:
    chosen = settings("fmix-paper", data, model)
    training = chosen.training
    assert (training.epochs, training.batch_size, training.lr) == (epochs, batch, lr)
    assert (training.milestones, training.warmup, training.schedule) == (milestones, warmup, "step")
    assert (training.momentum, training.nesterov, training.weight_decay) == (0.9, False, 1e-4)
    assert chosen.width == (64 if model == "preact18" else None)


def test_imagenets_rate_rises_as_in_the_fmix_code() -> None:
    training = settings("fmix-paper", "imagenet", "resnet101").training
    assert [training.lr_at(epoch) for epoch in range(6)] == pytest.approx([0.1, 0.16, 0.22, 0.28, 0.34, 0.4])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("baseline", {"prob": 1.0, "mixed_weight": 1.0}),
        ("cutmix", {"prob": 1.0, "alpha": None}),
        ("patchup-soft", {"prob": 1.0, "gamma": 0.6, "mixed_weight": 2.0}),
        ("patchup-hard", {"prob": 0.6, "gamma": 0.5, "mixed_weight": 2.0}),
    ],
)
def test_the_patchup_papers_imagenet(method: str, expected: dict[str, Any]) -> None:
    chosen = settings("patchup-paper", "imagenet", "resnet50", method)
    training = chosen.training
    assert (training.epochs, training.batch_size, training.lr) == (300, 256, 0.1)
    assert (training.milestones, training.nesterov) == ((75, 150, 225), True)
    assert (chosen.width, chosen.loss, chosen.validation, chosen.stem_stride) == (None, "cross-entropy", False, 1)
    for name, value in expected.items():
        assert getattr(chosen.mixing, name) == value


@pytest.mark.parametrize(("method", "alpha"), [("mixup", 1.0), ("manifold-mixup", 2.0), ("puzzlemix", 0.2)])
def test_alpha_on_tiny_imagenet_is_that_of_table_1(method: str, alpha: float) -> None:
    assert settings("patchup-paper", "tiny-imagenet", "wrn28-10", method).mixing.alpha == alpha
