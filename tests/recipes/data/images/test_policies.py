"""AutoAugment's policies, and those of a file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from recipes import images
from recipes.data.images.policies import Policies
from recipes.images import Settings
from recipes.training import presets
from recipes.training.command import Choice, with_preset

X = torch.randint(256, (6, 3, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("data", "policy"),
    [("cifar100", "CIFAR10"), ("svhn-100-per-class", "SVHN"), ("imagenet-a", "IMAGENET"), ("folder-mine", "CIFAR10")],
)
def test_policies_are_torchvisions_for_the_set(data: str, policy: str) -> None:
    torch.manual_seed(3)
    found = Policies(data)(X)
    torch.manual_seed(3)
    change = AutoAugment(AutoAugmentPolicy[policy])
    assert torch.equal(found, torch.stack([change(picture) for picture in X]))
    assert not torch.equal(found, X)


def written(folder: Path, content: Any) -> Path:
    (folder / "policies.json").write_text(json.dumps(content))
    return folder / "policies.json"


def test_policies_of_a_file_are_drawn_alike(tmp_path: Path) -> None:
    """To invert or to leave; 600 pictures, each share within 4.5 standard errors of a half."""
    policies = Policies("cifar10", written(tmp_path, [[["Invert", 1, None]], [["Invert", 0, None]]]))
    torch.manual_seed(0)
    x = torch.full((600, 3, 2, 2), 10, dtype=torch.uint8)
    found = policies(x)[:, 0, 0, 0]
    assert {*found.tolist()} == {10, 245}
    assert abs((found == 10).float().mean() - 0.5) < 4.5 * 0.5 / 600**0.5


def test_levels_are_torchvisions(tmp_path: Path) -> None:
    """Posterize keeps 8 bits at level 0 and 4 at level 9."""
    for level, kept in ((0, 8), (9, 4)):
        policies = Policies("cifar10", written(tmp_path, [[["Posterize", 1.0, level]]]))
        assert torch.equal(policies(X), X >> (8 - kept) << (8 - kept))


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        [[]],
        [[["Invert", 1, None]] * 3],
        [[["Cutout", 0.5, 3]]],
        [[["Invert", 1, 3]]],
        [[["Rotate", 1, None]]],
        [[["Rotate", 1, 10]]],
        [[["Rotate", 1, 0.5]]],
        [[["Rotate", 1.5, 3]]],
        [[["Rotate", True, 3]]],
        [[["Rotate", 0.5]]],
        [["Rotate", 0.5, 3]],
    ],
    ids=str,
)
def test_files_of_another_form_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ValueError, match=r"policies\.json has .*: give \[\[\[NAME, PROBABILITY, LEVEL\]"):
        Policies("cifar10", written(tmp_path, content))


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"policy={str(tmp_path)!r} is not a file")):
        Policies("cifar10", tmp_path)
    (tmp_path / "a.json").write_text("[")
    with pytest.raises(ValueError, match=r"a\.json is not JSON .*: give"):
        Policies("cifar10", tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"policy='a\.json' needs --augment autoaugment"):
        Settings(policy=Path("a.json"))


def test_training_pictures_are_changed_and_test_pictures_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Any] = []
    monkeypatch.setattr(images.engine, "fit", lambda task, training, **given: tasks.append(task) or {})
    file = written(tmp_path, [[["Invert", 1, None]]])
    for augment, policy in (("none", None), ("autoaugment", file)):
        images.run(Settings(augment=augment, policy=policy, out=tmp_path), "")  # type: ignore[arg-type]
    plain, changed = tasks
    x, y = next(iter(plain.test))
    assert torch.equal(plain.prepare((x, y), False)[0], changed.prepare((x, y), False)[0])
    flat = torch.full_like(x, 255)  # cropping cannot hide it: what was white is black, as the padding
    assert (
        changed.prepare((flat, y), True)[0].unique().tolist()
        == changed.prepare((255 - flat, y), False)[0].unique().tolist()
    )


def test_the_papers_pyramidnet_has_them() -> None:
    chosen = {
        model: with_preset(Settings, presets.IMAGES, Choice("fmix-paper", "cifar10", model, "fmix")).augment
        for model in ("pyramid272", "preact18")
    }
    assert chosen == {"pyramid272": "autoaugment", "preact18": "crop-flip"}


def test_the_papers_graphemes() -> None:
    settings = with_preset(Settings, presets.IMAGES, Choice("fmix-paper", "bengali", "seresnext50", "fmix"))
    training = settings.training
    assert (training.epochs, training.batch_size, training.milestones, training.lr) == (100, 512, (50, 75), 0.1)
    assert settings.width is None
