"""Published corruptions, in small files of their form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from recipes.data.images.altering.published import read_corrupted


def test_arrays_hold_five_severities(tmp_path: Path) -> None:
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    images = np.random.default_rng(0).integers(256, size=(20, 32, 32, 3), dtype=np.uint8)
    labels = np.tile(np.array([3, 1, 4, 1], dtype=np.uint8), 5)
    np.save(folder / "fog.npy", images)
    np.save(folder / "labels.npy", labels)
    for root in (tmp_path, folder):
        x, y = read_corrupted(root, "cifar10", "fog", 2)
        assert torch.equal(x, torch.from_numpy(images[4:8]).permute(0, 3, 1, 2))
        assert y.tolist() == [3, 1, 4, 1]
        assert y.dtype == torch.int64
    np.save(folder / "labels.npy", labels[1:])
    with pytest.raises(ValueError, match=r"labels.npy has 19 labels and .*fog.npy 20 images: fetch both again"):
        read_corrupted(tmp_path, "cifar10", "fog", 2)
    np.save(folder / "fog.npy", images[1:])
    with pytest.raises(ValueError, match=r"fog.npy is uint8 \(19, 32, 32, 3\), expected"):
        read_corrupted(tmp_path, "cifar10", "fog", 2)


def test_folders_hold_classes(tmp_path: Path) -> None:
    for level, wnid in enumerate(("n02", "n01")):
        place = tmp_path / "Tiny-ImageNet-C" / "snow" / "4" / wnid
        place.mkdir(parents=True)
        for name in "ab":
            Image.new("RGB", (64, 64), (100 * level,) * 3).save(place / f"{name}.png")
    x, y = read_corrupted(tmp_path, "tiny-imagenet", "snow", 4)
    assert y.tolist() == [0, 0, 1, 1]
    assert x.shape == (4, 3, 64, 64)
    assert x[:2].unique().tolist() == [100]
    assert x[2:].unique().tolist() == [0]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fog.npy is not there: get CIFAR-100-C from https"):
        read_corrupted(tmp_path, "cifar100", "fog", 1)
    with pytest.raises(
        ValueError, match=r"data='digits' has no published corruptions, unlike cifar10, cifar100, tiny-imagenet"
    ):
        read_corrupted(tmp_path, "digits", "fog", 1)


@pytest.mark.parametrize("name", ["fog.npy", "labels.npy"])
@pytest.mark.parametrize(
    "raw",
    [b"", b"\x93NUMPY\x01\x00v\x00{'d", b"PK\x05\x06" + bytes(18), b"no array", b"\x80\x04."],
    ids=["empty", "header", "zip", "other", "pickle"],
)
def test_a_damaged_array_is_named(tmp_path: Path, name: str, raw: bytes) -> None:
    np.save(tmp_path / "fog.npy", np.zeros((5, 2, 2, 3), np.uint8))
    np.save(tmp_path / "labels.npy", np.zeros(5, np.int64))
    read_corrupted(tmp_path, "cifar10", "fog", 1)
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ValueError, match=rf"{name} cannot be read .*: fetch it again"):
        read_corrupted(tmp_path, "cifar10", "fog", 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(list("abcde")), r"cannot be read \(it claims <U1 \(5,\), expected numbers"),
        (np.zeros(5), r"is float64 \(5,\), expected whole numbers"),
        (np.zeros((5, 1), int), r"is int64 \(5, 1\), expected whole numbers"),
        (np.array([0, 1, 2, 3, 10]), "has labels 0 to 10, expected 0 to 9"),
        (np.array([0, 1, 2, 3, 2**64 - 1], np.uint64), "has labels 0 to 18446744073709551615"),
        (np.array([0, 1, 2, 3, -1]), "has labels -1 to 3"),
    ],
)
def test_labels_of_no_class_are_named(tmp_path: Path, labels: Any, message: str) -> None:
    np.save(tmp_path / "fog.npy", np.zeros((5, 2, 2, 3), np.uint8))
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match=rf"labels\.npy {message}.*: fetch it again"):
        read_corrupted(tmp_path, "cifar10", "fog", 1)
