"""Image sets from the Hugging Face hub."""

from typing import Any

import torch

from recipes.data.files import Examples
from recipes.data.hub import fetch
from recipes.data.images.facts import HubSource
from recipes.data.images.reading.decoding import Square
from recipes.data.images.reading.lazily import Rows, images_of


def read_hub(
    source: HubSource, *, train: Square | None = None, test: Square | None = None
) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Fetch the training and test split of a hub repository, or of a local folder of the same form.

    Args:
        source: where it lives.
        train: what to cut out of training images, at random in training; images must have one size if None.
        test: what to cut out of test images.

    Returns:
        training and test examples, images (N, C, H, W) uint8 and labels (N,) int64, and the names of the classes, none
        if the repository only has numbers.

    Raises:
        ImportError: the package ``datasets`` is missing.
        ConnectionError: the repository cannot be reached.
    """
    splits = fetch(source.repo, source.config)
    names = getattr(splits["train"].features[source.label], "names", ())
    read = to_tensors(splits["train"], source, train, random=train is not None)
    return read, to_tensors(splits[source.test], source, test), tuple(names)


def to_tensors(split: Any, source: HubSource, square: Square | None = None, *, random: bool = False) -> Examples:
    """Images (N, C, H, W) uint8 and labels (N,) int64 of a ``datasets.Dataset``; see ``images_of``."""
    labels = torch.tensor(list(split[source.label]), dtype=torch.int64)
    return images_of(Rows(split, source.image), square, source.mode, random=random), labels
