"""Decode the published files of CIFAR-10, CIFAR-100, Fashion-MNIST and SVHN.

Sizes are checked against the published ones, so that a truncated download is found before training starts.

Source: https://www.cs.toronto.edu/~kriz/cifar.html, https://github.com/zalandoresearch/fashion-mnist and
http://ufldl.stanford.edu/housenumbers.
"""

import io
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.data.disk.lazy import read
from recipes.data.disk.matlab import read_mat
from recipes.data.files import Examples, in_one_line, listed, members, unzipped

PIXELS = 3 * 32 * 32
TOO_LARGE = (MemoryError, OverflowError, RecursionError)
"""What a damaged pickle raises if it claims sizes that it does not have."""
MOST = 2**28
"""Most bytes that a published file may unpack to; the largest, SVHN's, has 225 MB, and CIFAR-100's 155 MB: its archive
has less than twice as many as this."""


@dataclass(frozen=True)
class CifarLayout:
    """One published form of a CIFAR set.

    Args:
        folder: name of the unpacked folder.
        archive: name of the archive that holds it.
        train: file name to number of images, for the training split.
        test: the same for the test split.
        decode: (file contents, file name, number of images) to images (N, 3, 32, 32) uint8 and labels (N,) int64.
    """

    folder: str
    archive: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    decode: Callable[[bytes, str, int], Examples]


@dataclass(frozen=True)
class IdxLayout:
    """The published form of an idx set: the files of images and labels of a split, and its number of images."""

    train: tuple[str, str, int]
    test: tuple[str, str, int]
    size: tuple[int, int]


def decode_records(raw: bytes, file: str, images: int, *, label_bytes: int) -> Examples:
    """Decode CIFAR's binary form: ``label_bytes`` bytes, of which the last is the label, then 3072 pixels."""
    record = label_bytes + PIXELS
    if len(raw) != images * record:
        raise ValueError(f"{file} has {len(raw):,} bytes, expected {images * record:,}: fetch it again")
    table = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(images, record)
    return table[:, label_bytes:].reshape(images, 3, 32, 32), table[:, label_bytes - 1].long()


def decode_pickle(raw: bytes, file: str, images: int, *, labels: bytes) -> Examples:
    """Decode CIFAR's pickled form, a dict with the pixels under ``b"data"`` and the labels under ``labels``."""
    try:
        content = ArrayUnpickler(io.BytesIO(raw), encoding="bytes").load()
        pixels, targets = content[b"data"], content[labels]
    except (pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError, *TOO_LARGE) as error:
        raise ValueError(
            f"{file} is not a CIFAR batch or is truncated ({in_one_line(error)}): fetch it again"
        ) from error
    if not isinstance(pixels, _Pixels) or not isinstance(targets, list):
        raise ValueError(f"{file} is not a CIFAR batch or is truncated (it has no array and list): fetch it again")
    if any(type(label) is not int or not 0 <= label < 256 for label in targets):
        raise ValueError(f"{file} has labels that are not numbers from 0 to 255: fetch it again")
    if pixels.shape != (images, PIXELS) or len(targets) != images:
        raise ValueError(
            f"{file} has pixels {pixels.shape} and labels {(len(targets),)}, expected {(images, PIXELS)} and "
            f"{(images,)}: fetch it again"
        )
    table = torch.frombuffer(bytearray(pixels.raw), dtype=torch.uint8)
    return table.view(images, 3, 32, 32), torch.tensor(targets, dtype=torch.int64)


class _Dtype:
    """The type of an array in a pickle."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore the state: bytes have no byte order."""


class _Pixels:
    """An array of bytes in a pickle, which takes memory for what is there, not for what is claimed."""

    shape: tuple[int, ...] = (0,)
    raw = b""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        """Take the contents.

        Raises:
            ValueError: they are not bytes, or not as many as the shape claims.
        """
        _, shape, dtype, by_columns, raw = state
        if dtype.code not in ("u1", b"u1") or by_columns or math.prod(shape) != len(raw):
            raise ValueError(f"it claims {shape} of {dtype.code!r} and has {len(raw):,} bytes")
        self.shape, self.raw = tuple(shape), bytes(raw)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds Python's plain types and arrays of bytes, and refuses to import anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for one of numpy's three array constructors."""
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if (module, name) == ("numpy", "ndarray"):
            return _Pixels
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _Pixels
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image file needs")


def decode_idx(raw: bytes, file: str, shape: tuple[int, ...]) -> Tensor:
    """Decode an idx file of unsigned bytes into a uint8 tensor of ``shape``."""
    header = bytes((0, 0, 8, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape)
    expected = len(header) + int(np.prod(shape))
    if len(raw) != expected:
        raise ValueError(f"{file} has {len(raw):,} bytes, expected {expected:,}: fetch it again")
    if not raw.startswith(header):
        raise ValueError(f"{file} starts with {raw[: len(header)].hex()}, expected {header.hex()} for shape {shape}")
    return torch.frombuffer(bytearray(raw[len(header) :]), dtype=torch.uint8).view(shape)


CIFAR10 = (
    CifarLayout(
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        train={f"data_batch_{i}.bin": 10_000 for i in range(1, 6)},
        test={"test_batch.bin": 10_000},
        decode=partial(decode_records, label_bytes=1),
    ),
    CifarLayout(
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        train={f"data_batch_{i}": 10_000 for i in range(1, 6)},
        test={"test_batch": 10_000},
        decode=partial(decode_pickle, labels=b"labels"),
    ),
)
CIFAR100 = (
    CifarLayout(
        "cifar-100-binary",
        "cifar-100-binary.tar.gz",
        train={"train.bin": 50_000},
        test={"test.bin": 10_000},
        decode=partial(decode_records, label_bytes=2),
    ),
    CifarLayout(
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        train={"train": 50_000},
        test={"test": 10_000},
        decode=partial(decode_pickle, labels=b"fine_labels"),
    ),
)
FASHION_MNIST = IdxLayout(
    train=("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000),
    test=("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000),
    size=(28, 28),
)
SVHN = {"train_32x32.mat": 73_257, "test_32x32.mat": 26_032}


def read_cifar(bases: tuple[Path, ...], layouts: tuple[CifarLayout, ...]) -> tuple[Examples, Examples]:
    """Read the first of ``layouts`` found under ``bases``, as a folder or as its archive.

    A base may also be the folder or the archive itself.

    Returns:
        training and test examples, images (N, 3, 32, 32) uint8 and labels (N,) int64.

    Raises:
        FileNotFoundError: no layout is there.
        ValueError: a file is missing from a layout that is there, is truncated, or has another form.
    """
    for layout in layouts:
        inside = (base / name for base in bases for name in (layout.folder, layout.archive))
        for place in (*inside, *bases):
            if _is_layout(place, layout):
                return _read_layout(place, layout)
    names = ", ".join(name for layout in layouts for name in (f"{layout.folder}/", layout.archive))
    raise FileNotFoundError(f"none of {names} is in {listed(bases)}")


def read_idx(bases: tuple[Path, ...], layout: IdxLayout) -> tuple[Examples, Examples]:
    """Read an idx set, gzipped or not, from the first of ``bases`` that holds one of its files.

    Returns:
        training and test examples, images (N, 1, H, W) uint8 and labels (N,) int64.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is truncated or has another form.
    """

    def split(base: Path, images: str, labels: str, count: int) -> Examples:
        x = decode_idx(*_read_maybe_gzipped(base, images), (count, *layout.size))
        y = decode_idx(*_read_maybe_gzipped(base, labels), (count,))
        return x.unsqueeze(1), y.long()

    for base in bases:
        if any(base.glob(f"{layout.train[0]}*")):
            return split(base, *layout.train), split(base, *layout.test)
    raise FileNotFoundError(f"{layout.train[0]}[.gz] is not in {listed(bases)}")


def read_svhn(bases: tuple[Path, ...], layout: Mapping[str, int]) -> tuple[Examples, Examples]:
    """Read SVHN's cropped digits from the first of ``bases`` that holds one of its MATLAB files.

    Args:
        bases: folders to look in.
        layout: name and number of images of the training and of the test file.

    Returns:
        training and test examples, images (N, 3, 32, 32) uint8 and labels (N,) int64.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is truncated or has another form.
    """
    base = next((base for base in bases if any((base / name).is_file() for name in layout)), None)
    if base is None:
        raise FileNotFoundError(f"neither of {', '.join(layout)} is in {listed(bases)}")
    train, test = (_read_mat(base / name, count) for name, count in layout.items())
    return train, test


def _read_mat(path: Path, images: int) -> Examples:
    """Decode one MATLAB file of SVHN: images ``X`` (32, 32, 3, N), labels ``y`` (N, 1) from 1 to 10, where 10 is 0."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} lacks {path.name}")
    try:
        content = read_mat(path, most=MOST)
    except ValueError as error:
        raise ValueError(f"{path} is not an SVHN file or is truncated ({error}): fetch it again") from error
    if not {"X", "y"} <= content.keys():
        raise ValueError(
            f"{path} is not an SVHN file or is truncated (it has {in_one_line(', '.join(content)) or 'no array'}, "
            f"expected X and y): fetch it again"
        )
    pixels, labels = content["X"], content["y"]
    expected = (32, 32, 3, images)
    if pixels.shape != expected or pixels.dtype != np.uint8 or labels.shape != (images, 1):
        raise ValueError(
            f"{path} has pixels {pixels.dtype} {pixels.shape} and labels {labels.shape}, expected uint8 {expected} and "
            f"{(images, 1)}: fetch it again"
        )
    if not np.isin(labels, range(1, 11)).all():
        raise ValueError(
            f"{path} has labels {labels.min()} to {labels.max()}, expected whole numbers from 1 to 10: fetch it again"
        )
    digits = torch.from_numpy(labels[:, 0].astype(np.int64)) % 10
    return torch.from_numpy(np.array(pixels.transpose(3, 2, 0, 1), order="C")), digits


def _is_layout(place: Path, layout: CifarLayout) -> bool:
    """Tell whether ``place`` is the folder or archive of ``layout``, or a folder with one of its files."""
    if place.is_dir():
        return place.name == layout.folder or any((place / name).is_file() for name in (*layout.train, *layout.test))
    return place.is_file() and place.name == layout.archive


def _read_layout(place: Path, layout: CifarLayout) -> tuple[Examples, Examples]:
    """Decode every file of ``layout``, in the order in which the layout names them."""
    counts = {**layout.train, **layout.test}
    found = {name: layout.decode(raw, f"{place / name}", counts[name]) for name, raw in _contents(place, counts)}
    missing = [name for name in counts if name not in found]
    if missing:
        raise ValueError(f"{place} lacks {', '.join(missing)}: fetch it again")
    return _joined([found[name] for name in layout.train]), _joined([found[name] for name in layout.test])


def _contents(place: Path, names: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the contents of those of ``names`` that are in the folder or archive ``place``."""
    if place.is_dir():
        yield from ((name, (place / name).read_bytes()) for name in names if (place / name).is_file())
        return
    for name, raw in members(place, lambda name: Path(name).name in names, most_each=MOST, most=2 * MOST):
        yield Path(name).name, raw


def _read_maybe_gzipped(base: Path, name: str) -> tuple[bytes, str]:
    """Return the contents and the path of ``base / name``, or of its gzipped form."""
    plain, zipped = base / name, base / f"{name}.gz"
    if plain.is_file():
        return plain.read_bytes(), f"{plain}"
    if not zipped.is_file():
        raise FileNotFoundError(f"{base} lacks {name} and {name}.gz")
    return unzipped(zipped, MOST), f"{zipped}"


def _joined(parts: list[Examples]) -> Examples:
    """Concatenate the examples of several files."""
    return torch.cat([read(x) for x, _ in parts]), torch.cat([y for _, y in parts])
