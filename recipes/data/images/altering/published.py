"""Corrupted test images as published: CIFAR-10-C, CIFAR-100-C and Tiny-ImageNet-C."""

from pathlib import Path

import numpy as np
import torch

from recipes.data.disk.arrays import mapped
from recipes.data.files import Examples
from recipes.data.images.altering.constants import SEVERITIES
from recipes.data.images.folders import read_images

FOLDERS = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C", "tiny-imagenet": "Tiny-ImageNet-C"}
CLASSES = {"cifar10": 10, "cifar100": 100}
URL = "https://github.com/hendrycks/robustness"


def read_corrupted(root: Path, data: str, name: str, severity: int) -> Examples:
    """Read the images (N, 3, H, W) uint8 of a corruption and severity, and their labels (N,) int64.

    Labels of Tiny-ImageNet-C number the sorted WordNet ids, as those of Tiny-ImageNet here do.

    Args:
        root: unpacked folder, or its parent.
        data: set of the clean images: cifar10, cifar100 or tiny-imagenet.
        name: corruption, such as "gaussian_noise".
        severity: 1 to 5.

    Raises:
        ValueError: there is no such set, or a file is damaged.
        FileNotFoundError: it is not in `root`.
    """
    if data not in FOLDERS:
        raise ValueError(f"data={data!r} has no published corruptions, unlike {', '.join(FOLDERS)}: make them instead")
    folder = root / FOLDERS[data] if (root / FOLDERS[data]).is_dir() else root
    place = folder / name / str(severity) if data == "tiny-imagenet" else folder / f"{name}.npy"
    if not place.exists():
        raise FileNotFoundError(f"{place} is not there: get {FOLDERS[data]} from {URL} and unpack it")
    return read_images(place) if data == "tiny-imagenet" else _read_arrays(place, severity, CLASSES[data])


def _read_arrays(file: Path, severity: int, classes: int) -> Examples:
    """The part of a severity in an array (5 N, H, W, 3), and its labels."""
    place = file.with_name("labels.npy")
    images, labels = mapped(file), mapped(place)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) % len(SEVERITIES):
        raise ValueError(f"{file} is {images.dtype} {images.shape}, expected uint8 (5 N, H, W, 3): fetch it again")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{place} is {labels.dtype} {labels.shape}, expected whole numbers (5 N,): fetch it again")
    if len(labels) != len(images):
        raise ValueError(f"{place} has {len(labels):,} labels and {file} {len(images):,} images: fetch both again")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"{place} has labels {labels.min()} to {labels.max()}, expected 0 to {classes - 1}: fetch it again"
        )
    n = len(images) // len(SEVERITIES)
    part = slice((severity - 1) * n, severity * n)
    x = torch.from_numpy(np.array(images[part].transpose(0, 3, 1, 2), order="C"))
    return x, torch.from_numpy(labels[part].astype(np.int64))
