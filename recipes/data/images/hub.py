"""Image sets from the Hugging Face hub."""

from typing import Any

import torch

from recipes.data.files import Examples
from recipes.data.hub import fetch
from recipes.data.images.facts import HubSource
from recipes.data.images.folders import stack_images


def read_hub(source: HubSource) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Fetch the training and test split of a hub repository, or of a local folder of the same form.

    Returns:
        training and test examples, images (N, C, H, W) uint8 and labels (N,) int64, and the names of the classes, none
        where the repository has numbers only.

    Raises:
        ImportError: the package ``datasets`` is missing.
        ConnectionError: the repository cannot be reached.
    """
    splits = fetch(source.repo, source.config)
    train, test = splits["train"], splits[source.test]
    names = getattr(train.features[source.label], "names", ())
    return to_tensors(train, source), to_tensors(test, source), tuple(names)


def to_tensors(split: Any, source: HubSource) -> Examples:
    """Decode a ``datasets.Dataset`` into images (N, C, H, W) uint8 and labels (N,) int64."""
    images = ((f"image {index}", row[source.image]) for index, row in enumerate(split))
    labels = torch.tensor(list(split[source.label]), dtype=torch.int64)
    return stack_images(images, len(labels), source.mode), labels
