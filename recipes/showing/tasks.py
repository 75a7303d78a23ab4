"""Two small tasks of real data that need no download, made noisy: training labels are replaced at random."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from recipes.data.packed import declarations
from recipes.data.subsets import pick

REPLACED = 0.4
"""Share of the training labels that are redrawn uniformly from all classes."""


class Reader(nn.Module):
    """A network in two parts, between which samples are mixed: `embed` and `forward`."""

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn samples into what is mixed, and say which locations are real; None if all are."""
        return x, None


class DigitReader(Reader):
    """Three convolutions for images (B, 1, 16, 16), of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for inputs, outputs in ((1, 16), (16, 32)):
            parts += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        self.net = nn.Sequential(*parts, nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10))

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Map images (B, 1, 16, 16) to logits (B, 10)."""
        logits: Tensor = self.net(x)
        return logits


class LetterReader(Reader):
    """Embedded characters, two convolutions and a maximum, for texts in several languages."""

    def __init__(self, characters: int, languages: int, width: int = 32) -> None:
        super().__init__()
        self.letters = nn.Embedding(characters + 2, 16, padding_idx=0)
        self.first = nn.Sequential(nn.Conv1d(16, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv1d(width, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, languages)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, T, 16) of characters (B, T), and which of them are real."""
        return self.letters(x), x > 0

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map embeddings (B, T, 16), of which some are real, to logits."""
        real = valid[:, None].float()
        states = F.max_pool1d(self.first(x.mT) * real, 2)
        states = self.second(states) * F.max_pool1d(real, 2)  # padding is 0, and ReLU leaves the rest at 0 or above
        logits: Tensor = self.head(states.amax(2))
        return logits


@dataclass(frozen=True, eq=False)
class Task:
    """Samples with clean labels, and how to learn from them.

    Args:
        name: in a table.
        train_x: samples (N, ...).
        train_y: classes (N,) int64.
        test_x: samples (M, ...).
        test_y: classes (M,).
        classes: number of classes.
        axes: of what is mixed.
        network: makes an untrained network.
        epochs: to train.
        rate: Adam's learning rate.
    """

    name: str
    train_x: Tensor = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Tensor = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: int
    axes: str
    network: Callable[[], Reader] = field(repr=False)
    epochs: int
    rate: float

    def smoke(self) -> "Task":
        """The same with a hundred samples and an epoch, to check that it works."""
        few = {name: getattr(self, name)[::17][:100] for name in ("train_x", "train_y", "test_x", "test_y")}
        return replace(self, **few, epochs=1)


def noisy(labels: Tensor, classes: int, seed: int) -> Tensor:
    """Redraw 40 % of the labels (N,) from all classes, so that of ten classes 36 % are wrong; `labels` is unchanged.

    >>> labels = torch.zeros(1000, dtype=torch.int64)
    >>> (noisy(labels, 10, seed=0) != labels).float().mean().round(decimals=1)
    tensor(0.4000)
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(len(labels), generator=generator) < REPLACED
    return torch.where(chosen, torch.randint(classes, labels.shape, generator=generator), labels)


def digits() -> Task:
    """Scikit-learn's 1,797 handwritten digits, enlarged to 16 x 16; 45 of each class are for testing."""
    found = load_digits()
    x = F.interpolate(torch.tensor(found.images, dtype=torch.float32)[:, None] / 16, (16, 16), mode="bilinear")
    y = torch.tensor(found.target)
    tested = torch.zeros(len(y), dtype=torch.bool)
    tested[pick(y, [45] * 10, seed=0)] = True
    parts = (x[~tested], y[~tested], x[tested], y[tested])
    return Task("digits", *parts, classes=10, axes="b c *", network=DigitReader, epochs=30, rate=2e-3)


def languages() -> Task:
    """Pieces of the Declaration of Human Rights in ten languages; every fifth article is for testing."""
    found = declarations.load()
    count, of = len(found.languages), len(found.characters)
    parts = (found.train_x, found.train_y, found.test_x, found.test_y)
    network = lambda: LetterReader(of, count)
    return Task("languages", *parts, classes=count, axes="b * d", network=network, epochs=15, rate=3e-3)


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "languages": languages}
