"""The image readers against files of known content, written here in the published forms."""

import gzip
import io
import math
import pickle
import pickletools
import struct
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes.data.images import files, sets
from recipes.data.images.facts import FACTS, PATCHUP_SPLITS, HubSource
from recipes.data.images.files import CIFAR10, CIFAR100, FASHION_MNIST, SVHN, CifarLayout, decode_pickle
from recipes.data.images.folders import TINY_IMAGENET, TinyLayout
from recipes.data.images.hub import read_hub, to_tensors
from recipes.data.images.sets import ImageSet, as_in_patchup, load, split_off

COUNT = 4


def pickled(content: dict[bytes, Any]) -> bytes:
    """Pickle as Python 2 did, in which bytes and text are one type: the form of the published CIFAR batches."""
    raw = bytearray(pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    python2 = {"BINBYTES": pickle.BINSTRING, "BINUNICODE": pickle.BINSTRING, "SHORT_BINBYTES": pickle.SHORT_BINSTRING}
    for opcode, _, at in pickletools.genops(bytes(raw)):
        assert at is not None
        raw[at : at + 1] = python2.get(opcode.name, raw[at : at + 1])
    return bytes(raw)


def examples(seed: int, classes: int) -> tuple[np.ndarray, list[int]]:
    """COUNT random images of 3072 bytes, with labels that include the last class."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8), [classes - 1, *rng.integers(0, classes, COUNT - 1)]


def shortened(layout: CifarLayout) -> CifarLayout:
    return replace(layout, train=dict.fromkeys(layout.train, COUNT), test=dict.fromkeys(layout.test, COUNT))


def cifar_files(layout: CifarLayout, classes: int) -> dict[str, bytes]:
    """File name to contents of a whole CIFAR set; the seed of a file is its place in the order train, test."""
    files = {}
    for seed, name in enumerate([*layout.train, *layout.test]):
        pixels, labels = examples(seed, classes)
        label_columns = np.array(labels, np.uint8)[:, None]
        if classes == 100:
            label_columns = np.concatenate([label_columns // 5, label_columns], axis=1)
        if name.endswith(".bin"):
            files[name] = np.concatenate([label_columns, pixels], axis=1).tobytes()
        else:
            plain = [int(label) for label in labels]
            key = b"fine_labels" if classes == 100 else b"labels"
            files[name] = pickled({b"batch_label": b"x", key: plain, b"data": pixels, b"coarse_labels": [0] * COUNT})
    return files


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    """Pack the files in reverse order, so that a reader that trusts the order of the archive fails."""
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in reversed(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))


def expected_cifar(classes: int, seeds: range) -> tuple[Tensor, Tensor]:
    parts = [examples(seed, classes) for seed in seeds]
    x = torch.from_numpy(np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, 32, 32))
    return x, torch.tensor([int(label) for _, labels in parts for label in labels])


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let published files have few images."""
    monkeypatch.setattr(sets, "CIFAR10", tuple(map(shortened, CIFAR10)))
    monkeypatch.setattr(sets, "CIFAR100", tuple(map(shortened, CIFAR100)))
    small = replace(FASHION_MNIST, train=(*FASHION_MNIST.train[:2], 6), test=(*FASHION_MNIST.test[:2], 3))
    monkeypatch.setattr(sets, "FASHION_MNIST", small)
    monkeypatch.setattr(sets, "SVHN", dict(zip(SVHN, (5, 3), strict=True)))
    monkeypatch.setattr(sets, "TINY_IMAGENET", TinyLayout(TINY_IMAGENET.folder, classes=3, per_class=2, test=4))


CASES = [("cifar10", layout, 10) for layout in CIFAR10] + [("cifar100", layout, 100) for layout in CIFAR100]
cifar = pytest.mark.parametrize(("name", "layout", "classes"), CASES, ids=[layout.folder for _, layout, _ in CASES])


@cifar
@pytest.mark.parametrize("form", ["folder", "parent", "grandparent", "archive", "archive itself"])
def test_cifar_is_read_wherever_it_lies(
    tmp_path: Path, name: str, layout: CifarLayout, classes: int, form: str
) -> None:
    files = cifar_files(layout, classes)
    if form.startswith("archive"):
        write_archive(tmp_path / layout.archive, layout.folder, files)
        root = tmp_path / layout.archive if form == "archive itself" else tmp_path
    else:
        write_folder(tmp_path / name / layout.folder, files)
        root = {"folder": tmp_path / name / layout.folder, "parent": tmp_path / name, "grandparent": tmp_path}[form]
    data = load(name, root=root)
    train = len(layout.train)
    for found, expected in zip(
        (data.train_x, data.train_y, data.test_x, data.test_y),
        (*expected_cifar(classes, range(train)), *expected_cifar(classes, range(train, train + 1))),
        strict=True,
    ):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    assert (len(data.classes), data.pad, data.flip) == (classes, 4, True)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">I{values.ndim}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()


def fashion_files() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    files = {}
    for prefix, count in (("train", 6), ("t10k", 3)):
        files[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{prefix}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    return files


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("where", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_fashion_mnist_is_read_wherever_it_lies(tmp_path: Path, where: str, zipped: bool) -> None:
    files = fashion_files()
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        raw = gzip.compress(idx(values)) if zipped else idx(values)
        (tmp_path / where / (f"{name}.gz" if zipped else name)).write_bytes(raw)
    data = load("fashion-mnist", root=tmp_path)
    for x, y, prefix in ((data.train_x, data.train_y, "train"), (data.test_x, data.test_y, "t10k")):
        assert torch.equal(x[:, 0], torch.from_numpy(files[f"{prefix}-images-idx3-ubyte"]))
        assert y.tolist() == files[f"{prefix}-labels-idx1-ubyte"].tolist()
    assert (data.train_x.shape, data.mean, data.std) == ((6, 1, 28, 28), (0.1307,), (0.3081,))


def test_published_sizes() -> None:
    """The sizes of the real files, CIFAR's records of 3,073 and 3,074 bytes among them."""
    for layouts in (CIFAR10, CIFAR100):
        for layout in layouts:
            assert (sum(layout.train.values()), sum(layout.test.values())) == (50_000, 10_000)
    with pytest.raises(ValueError, match="has 0 bytes, expected 30,730,000"):
        CIFAR10[0].decode(b"", "data_batch_1.bin", CIFAR10[0].train["data_batch_1.bin"])
    with pytest.raises(ValueError, match="has 0 bytes, expected 153,700,000"):
        CIFAR100[0].decode(b"", "train.bin", CIFAR100[0].train["train.bin"])
    with pytest.raises(ValueError, match="has 0 bytes, expected 47,040,016"):
        files.decode_idx(b"", "train-images-idx3-ubyte", (FASHION_MNIST.train[2], *FASHION_MNIST.size))
    assert SVHN == {"train_32x32.mat": 73_257, "test_32x32.mat": 26_032}
    assert TinyLayout("tiny-imagenet-200", classes=200, per_class=500, test=10_000) == TINY_IMAGENET


def test_a_truncated_binary_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    files = cifar_files(CIFAR10[0], 10)
    files["data_batch_3.bin"] = files["data_batch_3.bin"][:-1]
    write_folder(tmp_path / "cifar-10-batches-bin", files)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin has 12,291 bytes, expected 12,292"):
        load("cifar10", root=tmp_path)


def test_a_missing_file_of_a_layout_is_named(tmp_path: Path) -> None:
    files = cifar_files(CIFAR10[0], 10)
    del files["data_batch_3.bin"]
    write_folder(tmp_path / "anywhere", files)
    with pytest.raises(ValueError, match=r"anywhere lacks data_batch_3\.bin"):
        load("cifar10", root=tmp_path / "anywhere")


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cifar-100-binary.tar.gz"
    write_archive(path, "cifar-100-binary", cifar_files(CIFAR100[0], 100))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"cifar-100-binary\.tar\.gz cannot be read to its end"):
        load("cifar100", root=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda raw: gzip.compress(raw)[:10] + b"\7" + raw,
            r"train-images-idx3-ubyte\.gz cannot be .*invalid block type",
        ),
        (lambda raw: gzip.compress(raw)[:-9], r"train-images-idx3-ubyte\.gz cannot be read to its end"),
        (lambda raw: gzip.compress(raw[:-1]), r"train-images-idx3-ubyte\.gz has 4,719 bytes, expected 4,720"),
        (lambda raw: gzip.compress(b"\1" + raw[1:]), "starts with 01000803"),
        (lambda raw: raw, r"train-images-idx3-ubyte\.gz cannot be read to its end"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, damage: Any, message: str) -> None:
    for name, values in fashion_files().items():
        raw = idx(values)
        (tmp_path / f"{name}.gz").write_bytes(damage(raw) if name.startswith("train-images") else gzip.compress(raw))
    with pytest.raises(ValueError, match=message):
        load("fashion-mnist", root=tmp_path)


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(fashion_files()["train-images-idx3-ubyte"]))
    with pytest.raises(FileNotFoundError, match="lacks train-labels-idx1-ubyte"):
        load("fashion-mnist", root=tmp_path)


def svhn_file(path: Path, count: int, **changes: Any) -> dict[str, Any]:
    """Write ``count`` images as a MATLAB file, with every label from 1 to 10 if there are as many; changes win."""
    scipy = pytest.importorskip("scipy.io")
    rng = np.random.default_rng(count)
    labels = np.array([[10, 1, 9, 10, 4][:count]], np.uint8).T
    content = {"X": rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8), "y": labels, **changes}
    scipy.savemat(path, {key: value for key, value in content.items() if value is not None}, do_compression=True)
    return content


@pytest.mark.parametrize("where", [".", "svhn"])
def test_svhn_is_read_wherever_it_lies(tmp_path: Path, where: str) -> None:
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    content = {file: svhn_file(folder / file, count) for file, count in zip(SVHN, (5, 3), strict=True)}
    data = load("svhn", root=tmp_path)
    for x, y, file, digits in (
        (data.train_x, data.train_y, "train_32x32.mat", [0, 1, 9, 0, 4]),
        (data.test_x, data.test_y, "test_32x32.mat", [0, 1, 9]),
    ):
        expected = content[file]["X"]
        assert x.shape == (len(digits), 3, 32, 32)
        for n, c, i, j in [(0, 0, 0, 0), (1, 2, 3, 4), (2, 1, 31, 0)]:
            assert x[n, c, i, j] == expected[i, j, c, n]
        assert np.array_equal(x.numpy(), np.moveaxis(expected, (3, 2), (0, 1)))
        assert y.tolist() == digits
    assert (data.classes, data.pad, data.flip) == (tuple("0123456789"), 2, False)
    assert (data.mean, data.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"X": np.zeros((32, 32, 3, 4), np.uint8)},
            r"pixels uint8 \(32, 32, 3, 4\) and .*, expected uint8 \(32, 32, 3, 5\)",
        ),
        ({"X": np.zeros((32, 32, 3, 5))}, "pixels float64"),
        ({"y": np.ones((4, 1), np.uint8)}, r"labels \(4, 1\), expected .* \(5, 1\)"),
        ({"y": np.zeros((5, 1), np.uint8)}, "labels 0 to 0, expected whole numbers from 1 to 10"),
        ({"y": np.full((5, 1), 11, np.uint8)}, "labels 11 to 11, expected"),
        ({"y": np.full((5, 1), 1.5)}, "labels 1.5 to 1.5, expected whole numbers"),
        ({"y": np.full((5, 1), np.nan)}, "labels nan to nan, expected whole numbers"),
        ({"y": None}, r"is not an SVHN file or is truncated \(it has X, expected X and y\)"),
    ],
)
def test_a_wrong_svhn_file_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    svhn_file(tmp_path / "train_32x32.mat", 5, **changes)
    with pytest.raises(ValueError, match=rf"train_32x32\.mat .*{message}"):
        load("svhn", root=tmp_path)


@pytest.mark.parametrize("size", [0, 60, 200, 9_000])
def test_a_truncated_svhn_file_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "train_32x32.mat"
    svhn_file(path, 5)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"train_32x32\.mat is not an SVHN file or is truncated .*fetch it again"):
        load("svhn", root=tmp_path)


def test_a_missing_svhn_file_is_named(tmp_path: Path) -> None:
    svhn_file(tmp_path / "train_32x32.mat", 5)
    with pytest.raises(FileNotFoundError, match=r"lacks test_32x32\.mat: get svhn from .*--data-root"):
        load("svhn", root=tmp_path)


def write_image(path: Path, pixels: np.ndarray, form: str = "PNG") -> None:
    """Write an image without loss, whatever its name says: what reads it goes by the content."""
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path, form, **({"lossless": True} if form == "WEBP" else {}))


def rgb(pixels: np.ndarray) -> Tensor:
    """A picture (H, W, 3), or a grey one (H, W), as planes (3, H, W)."""
    x = torch.from_numpy(pixels)
    return x.expand(3, -1, -1) if x.ndim == 2 else x.permute(2, 0, 1)


WORDS = {"n03": "brick", "n01": "goldfish, Carassius auratus", "n02": "American alligator", "n09": "never"}


def tiny_imagenet(root: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Write three classes, in no order, with grey images among them; returns what has to be read, in its order."""
    rng = np.random.default_rng(0)
    train = [rng.integers(0, 256, (64, 64, 3) if i != 2 else (64, 64), dtype=np.uint8) for i in range(6)]
    test = [rng.integers(0, 256, (64, 64, 3) if i != 1 else (64, 64), dtype=np.uint8) for i in range(4)]
    for label, wnid in enumerate(["n01", "n02", "n03"]):
        for i in range(2):
            write_image(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", train[2 * label + i])
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("ignored")
    for place, i in enumerate([3, 0, 2, 1]):
        write_image(root / "val" / "images" / f"val_{i}.JPEG", test[place])
    write_image(root / "test" / "images" / "test_0.JPEG", test[0])
    rows = [("val_3.JPEG", "n01"), ("val_0.JPEG", "n01"), ("val_1.JPEG", "n03"), ("val_2.JPEG", "n02")]
    lines = [f"{file}\t{wnid}\t0\t32\t44\t62\n" for file, wnid in rows]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("n03\nn01\nn02\n")
    (root / "words.txt").write_text("".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    return train, test


@pytest.mark.parametrize("where", [".", "tiny-imagenet-200", "tiny-imagenet/tiny-imagenet-200"])
def test_tiny_imagenet_is_read_wherever_it_lies(tmp_path: Path, where: str) -> None:
    train, test = tiny_imagenet(tmp_path / where)
    data = load("tiny-imagenet", root=tmp_path)
    assert torch.equal(data.train_x, torch.stack(list(map(rgb, train))))
    assert torch.equal(data.test_x, torch.stack(list(map(rgb, test))))
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 0, 1, 1, 2, 2], [0, 0, 1, 2])
    assert data.classes == ("goldfish", "American alligator", "brick")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert (data.mean, data.std, data.pad, data.flip) == (mean, std, 0, True)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("words.txt", None, r"tiny-imagenet-200 lacks words\.txt"),
        ("wnids.txt", b"n01\nn02\n", r"wnids\.txt has 2 lines, expected 3"),
        ("val/val_annotations.txt", b"val_0.JPEG\tn01\n", r"val_annotations\.txt has 1 lines, expected 4"),
        ("val/val_annotations.txt", b"a\tn01\nb\tn09\n\n\n", r"has 'b' in 'n09', which wnids\.txt lacks"),
        ("val/val_annotations.txt", b"nonsense\n\n\n\n", r"has 'nonsense' in '', which wnids\.txt lacks"),
        ("val/val_annotations.txt", b"../a.png\tn01\n\n\n\n", r"has '\.\./a\.png', expected names of images"),
        ("val/val_annotations.txt", b"/a.png\tn01\n\n\n\n", r"has '/a\.png', expected names of images"),
        ("wnids.txt", b"n01\nn02\n/etc\n", r"wnids\.txt has '/etc', expected names of folders"),
        ("wnids.txt", b"n01\nn02\n..\n", r"wnids\.txt has '\.\.', expected names of folders"),
        ("wnids.txt", b"n01\nn02\n\n", r"wnids\.txt has '', expected names of folders"),
        ("train/n02/images/n02_1.JPEG", None, r"n02/images has 1 images, expected 2"),
        ("train/n02/images", None, r"n02/images has no images"),
        ("train/n02/images/n02_1.JPEG", b"nonsense", r"n02_1\.JPEG cannot be decoded"),
        ("val/images/val_2.JPEG", None, r"val_2\.JPEG cannot be decoded .*No such file"),
    ],
)
def test_a_damaged_tiny_imagenet_is_named(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    tiny_imagenet(tmp_path / "tiny-imagenet-200")
    path = tmp_path / "tiny-imagenet-200" / file
    if content is not None:
        path.write_bytes(content)
    elif path.is_dir():
        path.rename(tmp_path / "elsewhere")
    else:
        path.unlink()
    with pytest.raises(ValueError, match=message):
        load("tiny-imagenet", root=tmp_path)


FORMS = {"a.png": "PNG", "B.PNG": "PNG", "c.webp": "WEBP", "d.bmp": "BMP", "e.JPEG": "PNG", "f.jpg": "PNG"}


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_folder_of_classes_is_read(tmp_path: Path, held_out: str) -> None:
    rng = np.random.default_rng(0)
    root = tmp_path / "things"
    train = {}
    for label, name in enumerate(["zebra", "Ant", "bee"]):
        for file, form in list(FORMS.items())[2 * label :]:
            grey = (label, file) == (0, "d.bmp")
            train[name, file] = rng.integers(0, 256, (5, 7) if grey else (5, 7, 3), dtype=np.uint8)
            write_image(root / "train" / name / file, train[name, file], form)
        for ignored in ("._a.png", "notes.txt"):
            (root / "train" / name / ignored).write_bytes(b"ignored")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "readme.md").touch()
    test = [rng.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in range(2)]
    write_image(root / held_out / "bee" / "x.png", test[0])
    write_image(root / held_out / "zebra" / "y.png", test[1])
    if held_out == "val":
        write_image(root / "test" / "unlabelled.png", test[0])
    data = load("folder", root=root)
    order = [(name, file) for name in ("Ant", "bee", "zebra") for file in sorted(FORMS) if (name, file) in train]
    assert torch.equal(data.train_x, torch.stack([rgb(train[key]) for key in order]))
    assert data.train_y.tolist() == [["Ant", "bee", "zebra"].index(name) for name, _ in order]
    assert torch.equal(data.test_x, torch.stack(list(map(rgb, test))))
    assert data.test_y.tolist() == [1, 2]
    assert (data.name, data.classes) == ("folder-things", ("Ant", "bee", "zebra"))
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (data.pad, data.flip) == (4, True)


def test_a_folder_with_test_and_val_is_scored_on_test(tmp_path: Path) -> None:
    for place, level in (("train", 0), ("test", 1), ("val", 2)):
        write_image(tmp_path / place / "a" / "x.png", np.full((2, 2), level, np.uint8))
    assert {*load("folder", root=tmp_path).test_x.flatten().tolist()} == {1}


@pytest.mark.parametrize("side", [1, 8, 17, 64])
@pytest.mark.parametrize("size", [(40, 40), (41, 64), (64, 41), (16, 9), (100, 33)])
def test_larger_images_are_resized_and_cropped(tmp_path: Path, size: tuple[int, int], side: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    write_image(tmp_path / "train" / "a" / "x.png", pixels)
    write_image(tmp_path / "val" / "a" / "x.png", np.zeros((50, 50), np.uint8))
    image = pytest.importorskip("PIL.Image").fromarray(pixels)
    expected = transforms.CenterCrop(side)(transforms.Resize(side)(image))
    data = load("folder", root=tmp_path, side=side)
    assert torch.equal(data.train_x[0], rgb(np.array(expected)))
    assert data.test_x.shape == (1, 3, side, side)


BLANK = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, FileNotFoundError, "has no folder train with a folder of images for each class: give --data-root DIR"),
        ({"train/x.png": BLANK}, FileNotFoundError, "has no folder train with"),
        ({"train/a/x.png": BLANK}, FileNotFoundError, "has no folder test or val with"),
        ({"train/a/x.png": BLANK, "val/x.png": BLANK}, FileNotFoundError, "has no folder test or val with"),
        (
            {"train/b/x.png": BLANK, "val/c/x.png": BLANK, "val/b/x.png": BLANK, "val/a/x.png": BLANK},
            ValueError,
            "val has classes that .*train lacks: a, c",
        ),
        ({"train/a/x.txt": BLANK, "val/a/x.png": BLANK}, ValueError, "train/a has no images .png, jpg"),
        ({"train/a/x.png": BLANK, "val/a/x.txt": BLANK}, ValueError, "val/a has no images .png, jpg"),
        (
            {"train/a/x.png": BLANK, "train/a/y.png": BLANK[:3], "val/a/x.png": BLANK},
            ValueError,
            r"y\.png has 4x3 pixels and .*x\.png 4x4: .*--side",
        ),
        (
            {"train/a/x.png": BLANK, "val/a/x.png": BLANK[:, :3]},
            ValueError,
            "train has images of 4x4 pixels, .*val of 3x4: .*--side",
        ),
        ({"train/a/x.png": BLANK, "val/a/x.png": None}, ValueError, r"x\.png cannot be decoded"),
    ],
)
def test_a_wrong_folder_is_named(
    tmp_path: Path, files: dict[str, np.ndarray | None], error: type[Exception], message: str
) -> None:
    for file, pixels in files.items():
        if pixels is not None:
            write_image(tmp_path / file, pixels)
        else:
            (tmp_path / file).parent.mkdir(parents=True)
            (tmp_path / file).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(error, match=message):
        load("folder", root=tmp_path)


def test_no_folder_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no folder was given for 'folder': give --data-root DIR"):
        load("folder")


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("this must never be printed",)


def test_a_pickle_that_runs_code_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    raw = pickle.dumps({b"data": Hostile(), b"labels": []}, protocol=3)
    with pytest.raises(ValueError, match=r"data_batch_1 is not a CIFAR batch .*print"):
        decode_pickle(raw, "data_batch_1", COUNT, labels=b"labels")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"nonsense", pickled({b"data": b"x"}), pickled({})])
def test_a_damaged_pickle_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match="test_batch is not a CIFAR batch or is truncated"):
        decode_pickle(content, "test_batch", COUNT, labels=b"labels")


def test_what_a_pickle_asks_for_is_told_in_one_line() -> None:
    raw = b"\x80\x04\x8c\x03o\ns\x8c\x07sys\ntem\x93."
    with pytest.raises(ValueError, match=r"b is not a CIFAR batch or is truncated \(it asks for o s.sys tem, which"):
        decode_pickle(raw, "b", COUNT, labels=b"labels")


def test_a_pickle_of_the_wrong_size_is_named() -> None:
    pixels, labels = examples(0, 10)
    with pytest.raises(ValueError, match=r"pixels \(3, 3072\) and labels \(4,\), expected \(4, 3072\) and \(4,\)"):
        decode_pickle(pickled({b"data": pixels[:3], b"labels": list(map(int, labels))}), "x", COUNT, labels=b"labels")


@pytest.mark.parametrize("name", FACTS)
def test_missing_data_says_what_where_and_how(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load(name, root=tmp_path)
    message = str(error.value)
    for part in (name, str(tmp_path), FACTS[name].url, FACTS[name].hub.repo, "--data-root", "--hub"):
        assert part in message
    with pytest.raises(FileNotFoundError, match="no folder was given"):
        load(name)


def test_unknown_names_and_contradictions_are_errors(tmp_path: Path) -> None:
    known = "digits, cifar10, cifar100, fashion-mnist, svhn, tiny-imagenet, imagenet, imagenet-a, folder"
    with pytest.raises(ValueError, match=f"name='mnist' is unknown: choose {known}"):
        load("mnist")
    with pytest.raises(ValueError, match="exclude each other"):
        load("cifar10", root=tmp_path, hub=True)
    with pytest.raises(ValueError, match="side=64 is for 'folder' and the ImageNets, not for 'svhn'"):
        load("svhn", root=tmp_path, side=64)
    with pytest.raises(ValueError, match="side=0 must be a number of pixels of at least 1"):
        load("folder", root=tmp_path, side=0)
    with pytest.raises(ValueError, match="hub=True is for named sets, not for 'folder'"):
        load("folder", hub=True)


CARD = """---
configs:
- config_name: full_numbers
  data_files: [{split: train, path: "full_numbers/train-*"}, {split: test, path: "full_numbers/test-*"}]
- config_name: CONFIG
  data_files: [{split: train, path: "data/train-*"}, {split: test, path: "data/test-*"}]
---
"""


def hub_folder(folder: Path, mode: str, source: HubSource) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Write parquet files of both splits as the hub keeps them, and return what they hold."""
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    shape = (8, 6, 3) if mode == "RGB" else (8, 6)
    label = datasets.ClassLabel(names=[f"class {i}" for i in range(10)])
    features = datasets.Features({source.image: datasets.Image(), source.label: label})
    content = {}
    (folder / "data").mkdir(parents=True)
    if source.config is not None:
        (folder / "README.md").write_text(CARD.replace("CONFIG", source.config))
    for split, count in (("train", 5), (source.test, 3)):
        pixels = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        labels = [int(label) for label in rng.integers(0, 10, count)]
        columns = {source.image: [image.fromarray(array) for array in pixels], source.label: labels}
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        if source.config is not None:
            (folder / "full_numbers").mkdir(exist_ok=True)
            table.select([0]).to_parquet(folder / "full_numbers" / f"{split}-00000-of-00001.parquet")
        content[split] = (pixels, labels)
    return content


@pytest.mark.parametrize(
    ("name", "mode"),
    [("cifar10", "RGB"), ("fashion-mnist", "L"), ("svhn", "RGB"), ("tiny-imagenet", "RGB"), ("tiny-imagenet", "L")],
)
def test_hub_form_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    datasets = pytest.importorskip("datasets")
    source = replace(FACTS[name].hub, repo=str(tmp_path / "repo"))
    content = hub_folder(tmp_path / "repo", mode, source)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setitem(FACTS, name, replace(FACTS[name], hub=source))
    data = load(name, hub=True)
    channels = 1 if name == "fashion-mnist" else 3
    for x, y, split in ((data.train_x, data.train_y, "train"), (data.test_x, data.test_y, source.test)):
        pixels, labels = content[split]
        planes = torch.from_numpy(pixels).permute(0, 3, 1, 2) if mode == "RGB" else torch.from_numpy(pixels)[:, None]
        assert torch.equal(x, planes.expand(-1, channels, -1, -1))
        assert y.tolist() == labels
    assert data.classes == (FACTS[name].classes or tuple(f"class {i}" for i in range(10)))


def test_splits_in_memory_become_tensors() -> None:
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    features = datasets.Features({"img": datasets.Image(), "fine_label": datasets.Value("int64")})
    columns = {"img": [image.fromarray(array) for array in pixels], "fine_label": [7, 3]}
    x, y = to_tensors(datasets.Dataset.from_dict(columns, features=features), FACTS["cifar100"].hub)
    assert torch.equal(x, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert (y.tolist(), y.dtype) == ([7, 3], torch.int64)


def test_the_hub_sources_are_the_published_ones() -> None:
    """As their cards on the hub have them."""
    assert FACTS["svhn"].hub == HubSource("ufldl-stanford/svhn", "image", "label", config="cropped_digits")
    assert FACTS["tiny-imagenet"].hub == HubSource("zh-plus/tiny-imagenet", "image", "label", test="valid")


def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"nobody/nothing cannot be fetched .*--data-root"):
        read_hub(HubSource("nobody/nothing", "img", "label"))


@pytest.mark.parametrize(("package", "name"), [("datasets", "cifar10"), ("sklearn.datasets", "digits")])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'mixmodal\[recipes\]'"):
        load(name, hub=True)


def test_digits_are_split_once_and_for_all() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    torch.manual_seed(0)
    data = load("digits")
    torch.manual_seed(1)
    again = load("digits")
    assert torch.equal(data.test_x, again.test_x)
    assert torch.equal(data.train_y, again.train_y)
    assert (len(data.train_x), len(data.test_x), data.pad, data.flip) == (1442, 355, 1, False)
    bunch = sklearn.load_digits()
    assert (data.test_y.bincount() == torch.from_numpy(bunch.target).bincount() // 5).all()
    both = torch.cat([data.train_x, data.test_x]).flatten(1).double() * 16 / 255
    rows = [sorted(map(tuple, values)) for values in (both.round().tolist(), bunch.data.tolist())]
    assert rows[0] == rows[1]
    assert data.mean == pytest.approx((np.mean(data.train_x.numpy() / 255),), abs=1e-5)
    assert data.std == pytest.approx((np.std(data.train_x.numpy() / 255),), abs=1e-4)


SVHN_COUNTS = (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659)


def numbered(counts: tuple[int, ...]) -> ImageSet:
    """Images of one pixel that holds their number in the set, classes in turn as long as they last."""
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    y = y[torch.cat([torch.arange(count) for count in counts]).argsort(stable=True)]
    number = torch.arange(len(y))
    x = torch.stack([number // 65536, number // 256 % 256, number % 256], 1).to(torch.uint8).view(-1, 3, 1, 1)
    names = tuple(map(str, range(len(counts))))
    return ImageSet("numbered", x, y, x[:1], y[:1], names, (0.5,) * 3, (0.5,) * 3, pad=0, flip=False)


def numbers(x: Tensor) -> list[int]:
    return (x.flatten(1).long() @ torch.tensor([65536, 256, 1])).tolist()


@pytest.mark.parametrize(
    ("counts", "limit", "validation"),
    [
        ((5000,) * 10, *PATCHUP_SPLITS["cifar10"]),
        ((500,) * 100, *PATCHUP_SPLITS["cifar100"]),
        (SVHN_COUNTS, *PATCHUP_SPLITS["svhn"]),
        ((3, 2, 9), 4, 1),
        ((7,), 1, 6),
    ],
    ids=["cifar10", "cifar100", "svhn", "unequal", "one class"],
)
def test_split_off_sizes(counts: tuple[int, ...], limit: int, validation: int) -> None:
    data = numbered(counts)
    few, (x, y) = split_off(data, limit, validation, seed=1)
    assert y.bincount().tolist() == [validation] * len(counts)
    assert few.train_y.bincount().tolist() == [min(limit, count - validation) for count in counts]
    kept, held = numbers(few.train_x), numbers(x)
    assert not {*kept} & {*held}
    assert (kept, held) == (sorted(kept), sorted(held))
    assert torch.equal(few.train_y, data.train_y[kept])
    assert torch.equal(y, data.train_y[held])
    assert torch.equal(few.test_x, data.test_x)


def test_split_off_in_patchups_numbers() -> None:
    """4,500 and 450 training images a class; of SVHN at most 7,325, and 733 less where there are fewer."""
    assert PATCHUP_SPLITS == {"cifar10": (5_000, 500), "cifar100": (500, 50), "svhn": (7_325, 733)}
    few, (x, _) = split_off(numbered(SVHN_COUNTS), *PATCHUP_SPLITS["svhn"])
    assert few.train_y.bincount().tolist() == [4215, 7325, 7325, 7325, 6725, 6149, 4994, 4862, 4312, 3926]
    assert len(x) == 7330


def test_split_off_depends_on_its_seed_alone() -> None:
    data = numbered((40, 60))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    few, (x, _) = split_off(data, 20, 10, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    same, (same_x, _) = split_off(data, 20, 10, seed=3)
    other, (other_x, _) = split_off(data, 20, 10, seed=4)
    assert torch.equal(few.train_x, same.train_x)
    assert torch.equal(x, same_x)
    assert numbers(few.train_x) != numbers(other.train_x)
    assert numbers(x) != numbers(other_x)
    assert few.name == "numbered-without-10-per-class-seed-3"


def test_split_off_is_uniform() -> None:
    """400 splits of 10 images into 2 and 3: each is drawn 80 and 120 times, within 5 standard errors (40, 49)."""
    data = numbered((10,))
    held, kept = torch.zeros(10), torch.zeros(10)
    for seed in range(400):
        few, (x, _) = split_off(data, 3, 2, seed=seed)
        held[numbers(x)] += 1
        kept[numbers(few.train_x)] += 1
    assert (held - 80).abs().max() < 5 * math.sqrt(400 * 0.2 * 0.8)
    assert (kept - 120).abs().max() < 5 * math.sqrt(400 * 0.3 * 0.7)


def test_split_off_refuses_impossible_sizes() -> None:
    data = numbered((5, 3))
    with pytest.raises(ValueError, match="per_class_limit=0 and validation=1 must be at least 1"):
        split_off(data, 0, 1)
    with pytest.raises(ValueError, match="per_class_limit=1 and validation=0 must be at least 1"):
        split_off(data, 1, 0)
    with pytest.raises(ValueError, match="validation=3 leaves no training image of class 1, which has 3"):
        split_off(data, 1, 3)


@pytest.mark.parametrize(
    ("name", "mean", "std", "pad", "flip"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7), 2, True),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4), 2, True),
        ("cifar100-7-per-class-seed-3", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4), 2, True),
        ("svhn", (127.5,) * 3, (127.5,) * 3, 2, False),
        ("tiny-imagenet", (127.5,) * 3, (127.5,) * 3, 4, True),
    ],
)
def test_patchups_facts(name: str, mean: tuple[float, ...], std: tuple[float, ...], pad: int, flip: bool) -> None:
    data = replace(numbered((2, 2)), name=name, pad=9, flip=not flip)
    paper = as_in_patchup(data)
    assert paper.mean == pytest.approx([level / 255 for level in mean])
    assert paper.std == pytest.approx([level / 255 for level in std])
    assert (paper.name, paper.pad, paper.flip) == (name, pad, flip)
    assert paper.train_x is data.train_x


@pytest.mark.parametrize("name", ["digits", "fashion-mnist", "folder-cifar10", "cifar1000"])
def test_patchup_has_no_other_sets(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"{name} is not in the PatchUp paper, which has cifar10, cifar100, svhn, tiny"
    ):
        as_in_patchup(replace(numbered((2, 2)), name=name))


def test_image_sets_are_checked() -> None:
    x, y = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    good = ImageSet("tiny", x, y, x, y, ("a", "b"), (0.5,), (0.5,), pad=0, flip=False)
    with pytest.raises(ValueError, match=r"tiny: train_x is torch.float32 \(2, 1, 4, 4\)"):
        replace(good, train_x=x.float())
    with pytest.raises(ValueError, match=r"tiny: test_x is torch.uint8 \(2, 4, 4\), expected uint8 \(N, 1, H, W\)"):
        replace(good, test_x=x[:, 0])
    with pytest.raises(ValueError, match=r"tiny: test_y is torch.int64 \(1,\), expected int64 \(2,\)"):
        replace(good, test_y=y[:1])
    with pytest.raises(ValueError, match=r"tiny: train_y must hold labels in 0\.\.1"):
        replace(good, train_y=y + 1)


def test_real_cifar10(real: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = real("cifar10")
    monkeypatch.setattr(sets, "CIFAR10", CIFAR10)
    data = load("cifar10", root=root)
    assert data.train_x.shape == (50_000, 3, 32, 32)
    assert data.train_y.bincount().tolist() == [5_000] * 10
    assert data.test_y.bincount().tolist() == [1_000] * 10
    means = data.train_x[:, :, ::4, ::4].double().mean((0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor(data.mean, dtype=torch.float64), atol=5e-3, rtol=0)
