"""Text sets from the Hugging Face hub."""

from dataclasses import dataclass
from typing import Any

import torch

from recipes.data.hub import fetch
from recipes.data.text.files import Examples, many_hot, unescaped


@dataclass(frozen=True)
class TextSource:
    """Where a set lives on the Hugging Face hub.

    Args:
        repo: repository, or a local folder of the same form.
        text: name of the text column.
        label: name of the label column.
        config: which of the repository's sets, if it has several.
        test: name of the test split.
        escaped: whether line breaks and quotes in texts are escaped by a backslash.
        several: whether a text has a list of labels.
    """

    repo: str
    text: str = "text"
    label: str = "label"
    config: str | None = None
    test: str = "test"
    escaped: bool = False
    several: bool = False


def read_texts(source: TextSource, classes: int) -> tuple[Examples, Examples]:
    """Fetch the training and test split of a hub repository, or of a local folder of the same form.

    Args:
        source: where it lives.
        classes: number of classes.

    Returns:
        training and test examples: texts, and labels (N,) int64, or (N, classes) float32 of zeros and ones.

    Raises:
        ImportError: the package ``datasets`` is missing.
        ConnectionError: the repository cannot be reached.
    """
    splits = fetch(source.repo, source.config)
    return _examples(splits["train"], source, classes), _examples(splits[source.test], source, classes)


def _examples(split: Any, source: TextSource, classes: int) -> Examples:
    """Return texts and labels of a ``datasets.Dataset``."""
    texts, labels = list(split[source.text]), list(split[source.label])
    y = many_hot(labels, classes) if source.several else torch.tensor(labels, dtype=torch.int64)
    return tuple(unescaped(text) for text in texts) if source.escaped else tuple(texts), y
