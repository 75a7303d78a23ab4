"""Text classification sets: those of the FMix paper, two more, and a corpus from a grammar.

They are held in memory, except for the large ones, Yelp's, which are kept in a cache and read on demand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from recipes.data.packed import files as packed
from recipes.data.text.files import (
    EMOTIONS,
    TOXIC,
    Examples,
    read_goemotions,
    read_imdb,
    read_sst2,
    read_toxic,
    read_yelp,
)
from recipes.data.text.grammar import synthetic
from recipes.data.text.hub import TextSource, read_texts
from recipes.data.text.words import Style

SENTIMENT = ("negative", "positive")


@dataclass(frozen=True)
class TextFacts:
    """Facts about a public set, known before its files are read.

    Args:
        classes: name of each class.
        style: how its texts are split into words.
        url: where it comes from.
        folders: where it usually is in a folder of several sets.
        read: reads its training and test examples from folders in which it may be, with a cache if it is large.
        hub: where it lives on the Hugging Face hub, if it does.
        large: whether its texts are kept in a cache.
    """

    classes: tuple[str, ...]
    style: Style
    url: str
    folders: tuple[str, ...]
    read: Callable[..., tuple[Examples, Examples]]
    hub: TextSource | None
    large: bool = False


FACTS = {
    "toxic": TextFacts(
        classes=TOXIC,
        style="toxic",
        url="Kaggle (https://www.kaggle.com/c/jigsaw-toxic-comment-classification-challenge)",
        folders=("toxic",),
        read=read_toxic,
        hub=None,
    ),
    "imdb": TextFacts(
        classes=SENTIMENT,
        style="english",
        url="https://ai.stanford.edu/~amaas/data/sentiment",
        folders=("imdb",),
        read=read_imdb,
        hub=TextSource("stanfordnlp/imdb"),
    ),
    "yelp-polarity": TextFacts(
        classes=SENTIMENT,
        style="basic",
        url="https://s3.amazonaws.com/fast-ai-nlp/yelp_review_polarity_csv.tgz",
        folders=("yelp_review_polarity_csv", "yelp/yelp_review_polarity_csv"),
        read=partial(read_yelp, classes=2),
        hub=TextSource("fancyzhx/yelp_polarity", escaped=True),
        large=True,
    ),
    "yelp-full": TextFacts(
        classes=("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
        style="basic",
        url="https://s3.amazonaws.com/fast-ai-nlp/yelp_review_full_csv.tgz",
        folders=("yelp_review_full_csv", "yelp/yelp_review_full_csv"),
        read=partial(read_yelp, classes=5),
        hub=TextSource("Yelp/yelp_review_full", escaped=True),
        large=True,
    ),
    "sst2": TextFacts(
        classes=SENTIMENT,
        style="basic",
        url="https://github.com/clairett/pytorch-sentiment-classification (data/SST2)",
        folders=("sst2", "SST2"),
        read=read_sst2,
        hub=TextSource("stanfordnlp/sst2", text="sentence", test="validation"),
    ),
    "goemotions": TextFacts(
        classes=EMOTIONS,
        style="english",
        url="https://github.com/google-research/google-research/tree/master/goemotions/data",
        folders=("goemotions",),
        read=read_goemotions,
        hub=TextSource("google-research-datasets/go_emotions", label="labels", config="simplified", several=True),
    ),
}
NAMES = (*FACTS, "synthetic")
TABLES = ("csv", "jsonl")
"""Formats of your own tables, which ``recipes.data.text.tables`` reads."""


@dataclass(frozen=True, eq=False)
class TextSet:
    """A labelled text set, and how its texts are split into words.

    Args:
        name: name of the set, extended by ``subset``.
        train_x: N training texts.
        train_y: training labels: class numbers (N,) int64 for three or more mutually exclusive classes, else
            (N, L) float32 of zeros and ones. L is 1 for two classes, where a 1 means the second, and otherwise the
            number of classes, of which a text may have several or none.
        test_x: M test texts.
        test_y: test labels, in the same form.
        classes: name of each class.
        style: how texts are split into words, see ``recipes.data.text.words.split_words``.

    Raises:
        ValueError: texts and labels differ in number, there are none, or labels have the wrong form or values.

    >>> load("synthetic").train_y.shape
    torch.Size([1000, 1])
    """

    name: str
    train_x: Sequence[str] = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Sequence[str] = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    style: Style

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"{self.name}: classes={self.classes} must be at least 2")
        if self.train_y.ndim != self.test_y.ndim:
            raise ValueError(f"{self.name}: train_y has {self.train_y.ndim} dimensions, test_y {self.test_y.ndim}")
        for split, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            _check(f"{self.name}: {split}", x, y, len(self.classes))


def load(name: str, *, root: Path | None = None, hub: bool = False, cache: Path | None = None) -> TextSet:
    """Load a text set by name.

    Args:
        name: ``"toxic"``, ``"imdb"``, ``"yelp-polarity"``, ``"yelp-full"``, ``"sst2"``, ``"goemotions"`` or
            ``"synthetic"`` (500 training and 100 test texts of each of two classes, see ``recipes.data.text.grammar``:
            ``root`` and ``hub`` play no part).
        root: folder of the published files, or its parent. See ``recipes.data.text.files`` for the files.
        hub: fetch the set from the Hugging Face hub instead. SST-2 is then GLUE's, with its validation split as test.
        cache: folder in which texts of Yelp's files are cached and read on demand; nothing is cached if None.

    Raises:
        ValueError: the name is unknown, options contradict each other, or a file is damaged.
        FileNotFoundError: the files are not there.
        ConnectionError: the hub cannot be reached.
        ImportError: an optional package is missing.

    >>> load("synthetic").classes
    ('negative', 'positive')
    """
    if name not in NAMES:
        raise ValueError(f"name={name!r} is unknown: choose {', '.join((packed.NAME, *NAMES, *TABLES))}")
    if name == "synthetic":
        return _synthetic()
    if hub and root is not None:
        raise ValueError(f"root={str(root)!r} and hub=True exclude each other: give one")
    facts = FACTS[name]
    (train_x, train_y), (test_x, test_y) = _from_hub(name, facts) if hub else _from_files(name, facts, root, cache)
    if len(facts.classes) == 2:
        train_y, test_y = _as_column(train_y), _as_column(test_y)
    return TextSet(name, train_x, train_y, test_x, test_y, facts.classes, facts.style)


def subset(data: TextSet, size: int, *, seed: int = 0) -> TextSet:
    """Keep ``size`` training texts, drawn without replacement, in their original order.

    If each text has one class, classes get equal shares; the first ones get one more if ``size`` is not a multiple of
    their number. If a text may have several, the draw ignores them. It depends on ``seed`` alone: the global random
    state is neither used nor changed. The test split stays whole, and the name says what was kept.

    Args:
        data: set to draw from.
        size: number of training texts to keep.
        seed: of the draw.

    Raises:
        ValueError: ``size`` is below 1, or there are too few texts, or too few of a class.

    >>> subset(load("synthetic"), 10).train_y.sum().item()
    5.0
    """
    if not 1 <= size <= len(data.train_x):
        raise ValueError(f"size={size} must be from 1 to the {len(data.train_x)} training texts of {data.name}")
    order = torch.randperm(len(data.train_x), generator=torch.Generator().manual_seed(seed))
    kept = _balanced(data, order, size) if _is_exclusive(data) else order[:size]
    kept = kept.sort().values
    name = f"{data.name}-{size}-texts-seed-{seed}"
    return replace(data, name=name, train_x=tuple(data.train_x[i] for i in kept.tolist()), train_y=data.train_y[kept])


def _check(split: str, x: Sequence[str], y: Tensor, classes: int) -> None:
    """Raise unless there are texts ``x``, and ``y`` has the form and the values of their labels."""
    columns = 1 if classes == 2 else classes
    numbers = classes > 2 and y.dtype == torch.int64 and y.shape == (len(x),)
    flags = y.dtype == torch.float32 and y.shape == (len(x), columns)
    if not numbers and not flags:
        expected = f"int64 ({len(x)},) or " if classes > 2 else ""
        raise ValueError(
            f"{split}_y is {y.dtype} {tuple(y.shape)} for {classes} classes, expected {expected}float32 "
            f"({len(x)}, {columns})"
        )
    if not len(x):
        raise ValueError(f"{split}_x is empty")
    if numbers and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"{split}_y must hold labels in 0..{classes - 1}")
    if flags and not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"{split}_y must hold zeros and ones")


def _is_exclusive(data: TextSet) -> bool:
    """Tell whether a text has exactly one class."""
    return data.train_y.ndim == 1 or len(data.classes) == 2


def _balanced(data: TextSet, order: Tensor, size: int) -> Tensor:
    """Return the first indices in ``order`` of each class, ``size`` in all."""
    labels = data.train_y.view(-1)[order]
    least, rest = divmod(size, len(data.classes))
    parts = []
    for label, name in enumerate(data.classes):
        count, members = least + (label < rest), order[labels == label]
        if count > len(members):
            raise ValueError(f"size={size} takes {count} texts of class {name!r}, which has {len(members)}: take fewer")
        parts.append(members[:count])
    return torch.cat(parts)


def _from_files(name: str, facts: TextFacts, root: Path | None, cache: Path | None) -> tuple[Examples, Examples]:
    """Read the published files of ``name`` from ``root`` or the folders under it where they usually are."""
    remedy = f"get {name} from {facts.url} and give its folder with --data-root DIR"
    if facts.hub is not None:
        remedy = f"{remedy}, or fetch {facts.hub.repo} with --hub"
    if root is None:
        raise FileNotFoundError(f"no folder was given for {name}: {remedy}")
    try:
        more = {"cache": cache} if facts.large else {}
        return facts.read((root, *(root / folder for folder in facts.folders)), **more)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name} was not found, {error}: {remedy}") from error


def _from_hub(name: str, facts: TextFacts) -> tuple[Examples, Examples]:
    """Fetch ``name`` from the hub."""
    if facts.hub is None:
        raise ValueError(
            f"hub=True cannot fetch {name!r}, which is not on the hub: get it from {facts.url} and give its folder "
            "with --data-root DIR"
        )
    return read_texts(facts.hub, len(facts.classes))


def _as_column(y: Tensor) -> Tensor:
    """Turn class numbers (N,) of two classes into (N, 1) float32."""
    return y.to(torch.float32)[:, None]


def _synthetic() -> TextSet:
    """Return the corpus of one seed, whose last sixth is the test split."""
    x, y = synthetic(600, seed=0)
    y = _as_column(y)
    return TextSet("synthetic", x[:1000], y[:1000], x[1000:], y[1000:], SENTIMENT, "basic")
