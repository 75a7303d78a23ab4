"""Small data in the place of what the experiments need, and networks narrowed."""

from collections.abc import Callable
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest
import torch
from PIL import Image

from recipes import images
from recipes.data.audio import sets as audio_sets
from recipes.data.images import sets as image_sets
from recipes.data.images.altering.constants import CORRUPTIONS, SEVERITIES
from recipes.data.images.facts import FACTS
from recipes.data.images.graphemes import bengali
from recipes.data.points import sets as point_sets
from recipes.data.text import sets as text_sets
from recipes.experiments.costs import SIDES
from recipes.experiments.rows import Row
from recipes.experiments.running import Command
from recipes.reporting import pages

NARROW = {
    "preact18": "--width 2",
    "preact34": "--width 2",
    "preact101": "--width 2",
    "preact152": "--width 2",
    "wrn28-10": "--width 16 --depth 10",
    "densenet190": "--width 4 --depth 10",
    "pyramid272": "--width 4 --depth 11",
    "cnn": "--width 4",
    "bilstm": "--width 4",
    "bert": "--bert minilm --most-tokens 16 --size 12",
}
"""By model, for images and texts."""
OTHERS = {"audio": "--width 2", "points": "--width 4 --resolution 8 --points 32"}
CLASSES, OF_CLASS = 3, 4


def narrowed(row: Row) -> str:
    """Words that make what a row trains small."""
    return f"--device cpu {OTHERS.get(row.module) or NARROW.get(row.option('--model'), '')}"


def image_set(name: str) -> image_sets.ImageSet:
    """A few random images of the size of a set's, or of 64 pixels; always the same."""
    facts, side = FACTS.get(name, FACTS["tiny-imagenet"]), min(SIDES.get(name, 32), 64)
    size = CLASSES * OF_CLASS, len(facts.mean), side, side
    x = torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(len(x)) % CLASSES
    classes = tuple("abc")
    return image_sets.ImageSet(name, x, y, x, y, classes, facts.mean, facts.std, facts.pad, facts.flip)


def text_set(name: str) -> text_sets.TextSet:
    """A few texts with labels like a set's."""
    classes, style = text_sets.FACTS[name].classes, text_sets.FACTS[name].style
    texts = tuple(f"the {word} film was {word} and long" for word in ("good", "bad", "fine", "dull", "odd", "new"))
    place = torch.arange(len(texts))
    y = {2: (place % 2)[:, None].float(), 5: place % 5, 6: torch.eye(6)}[len(classes)]
    return text_sets.TextSet(name, texts * 2, torch.cat([y, y]), texts, y, classes, style)


def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every recipe small data, whatever it asks for."""
    shapes: Callable[..., point_sets.ShapeSet] = point_sets.load
    monkeypatch.setattr(image_sets, "load", lambda name, **_: image_set(name))
    monkeypatch.setattr(bengali, "load", lambda *_, **given: image_set("fashion-mnist"))
    monkeypatch.setattr(images, "subset", lambda data, _: data)  # parts of a set that is a part already
    monkeypatch.setattr(images, "PATCHUP_SPLITS", dict.fromkeys(images.PATCHUP_SPLITS, (OF_CLASS, 1)))
    monkeypatch.setattr(audio_sets, "load", lambda *_, **given: audio_sets.synthetic(classes=2, per_class=3))
    monkeypatch.setattr(text_sets, "load", lambda name, **_: text_set(name))
    monkeypatch.setattr(point_sets, "load", lambda name, root, **given: shapes("synthetic", **given))


def vectors(folder: Path) -> Path:
    """A file of word vectors."""
    path = folder / "words.vec"
    path.write_text("film 1 2 3 4\ngood 0 1 0 1\nbad 2 1 0 0\n")
    return path


def corrupted_images(folder: Path) -> None:
    """Tiny-ImageNet-C with an image of each of three classes."""
    image = Image.new("RGB", (64, 64), "grey")
    for name, severity, label in product(CORRUPTIONS, SEVERITIES, "abc"):
        place = folder / "Tiny-ImageNet-C" / name / str(severity) / label
        place.mkdir(parents=True)
        image.save(place / "0.png")


def start(command: Command) -> None:
    """Run a command in this process."""
    module = import_module(f"recipes.{command.module}")
    if hasattr(module, "main"):
        module.main(list(command.words))
    else:
        pages.main(command.module, module.Settings, module.page, list(command.words))
