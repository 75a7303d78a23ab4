"""Files that claim more than they have, or unpack to more than was published, are named before memory is taken."""

import gzip
import io
import pickle
import resource
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.data import files
from recipes.data.images.files import CIFAR10, FASHION_MNIST, decode_pickle, read_cifar, read_idx
from recipes.data.points import sets as points
from recipes.data.text.files import read_imdb
from recipes.data.text.words import Vocabulary, read_vectors

GIGABYTE = 2**30


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """Two gigabytes of addresses beside those that are in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * GIGABYTE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def zeros(count: int, before: bytes = b"") -> bytes:
    """A gzip file of 2^22 zeros, often, which takes 4 kB each."""
    return gzip.compress(before) + gzip.compress(bytes(2**22)) * (count // 2**22)


def link(path: Path, name: str, kind: bytes, target: str) -> None:
    """An archive with a link as its member."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member that claims to have some bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


CIFAR, IMDB = "cifar-10-batches-bin/data_batch_1.bin", "aclImdb/train/pos/0_9.txt"
READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "cifar": ("cifar-10-binary.tar.gz", CIFAR, lambda path: read_cifar((path,), CIFAR10)),
    "imdb": ("aclImdb_v1.tar.gz", IMDB, lambda path: read_imdb((path,))),
}
readers = pytest.mark.parametrize(("name", "member", "read"), READERS.values(), ids=READERS.keys())


@readers
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["itself", "nowhere", "/etc/passwd"])
def test_a_link_in_an_archive_is_not_followed(
    tmp_path: Path, name: str, member: str, read: Callable[[Path], Any], kind: bytes, target: str
) -> None:
    link(tmp_path / name, member, kind, member if target == "itself" else target)
    with pytest.raises(ValueError, match=rf"{name} has {member} as a link, expected a file: fetch it again"):
        read(tmp_path / name)


@readers
def test_a_member_that_claims_gigabytes_is_not_read(
    tmp_path: Path, name: str, member: str, read: Callable[[Path], Any]
) -> None:
    (tmp_path / name).write_bytes(zeros(4 * GIGABYTE, header(member, 4 * GIGABYTE)))
    with pytest.raises(ValueError, match=rf"{name} has {member} of 4,294,967,296 bytes, expected [\d,]+ at most"):
        read(tmp_path / name)


@pytest.mark.parametrize(("name", "_", "read"), READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_gigabytes_is_not_read(
    tmp_path: Path, name: str, _: str, read: Callable[[Path], Any], kind: bytes
) -> None:
    (tmp_path / name).write_bytes(zeros(3 * GIGABYTE, header("x", 3 * GIGABYTE, kind)))
    with pytest.raises(ValueError, match=rf"{name} unpacks to more than [\d,]+ bytes"):
        read(tmp_path / name)


def test_an_archive_of_much_else_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(zeros(2**24, header("else", 2**40)))
    with pytest.raises(ValueError, match=r"a\.tar\.gz unpacks to more than 8,388,608 bytes"):
        list(files.members(tmp_path / "a.tar.gz", lambda name: name == "mine", most_each=1000, most=2**23))


def test_members_are_read_up_to_their_bound(tmp_path: Path) -> None:
    for suffix, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        path = tmp_path / f"a{suffix}"
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name in ("folder/mine", "folder/other"):
                member = tarfile.TarInfo(name)
                member.size = 1000
                archive.addfile(member, io.BytesIO(bytes(range(250)) * 4))
        found = list(files.members(path, lambda name: name.endswith("mine"), most_each=1000, most=2**20))
        assert found == [("folder/mine", bytes(range(250)) * 4)]
        with pytest.raises(ValueError, match=r"has folder/mine of 1,000 bytes, expected 999 at most"):
            list(files.members(path, lambda name: name.endswith("mine"), most_each=999, most=2**20))


def test_a_gzip_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(5000)))
    assert files.unzipped(path, 5000) == bytes(5000)
    with pytest.raises(ValueError, match=r"x\.gz unpacks to more than 4,999 bytes, expected fewer: fetch it again"):
        files.unzipped(path, 4999)
    path.write_bytes(path.read_bytes()[:-8])  # without its checksum
    with pytest.raises(ValueError, match="cannot be read to its end"):
        files.unzipped(path, 5000)
    images = tmp_path / f"{FASHION_MNIST.train[0]}.gz"
    images.write_bytes(zeros(4 * GIGABYTE))
    with pytest.raises(ValueError, match=r"idx3-ubyte\.gz unpacks to more than 268,435,456 bytes"):
        read_idx((tmp_path,), FASHION_MNIST)


def test_a_line_of_gigabytes_is_no_vector(tmp_path: Path) -> None:
    path = tmp_path / "wiki.vec.gz"
    path.write_bytes(zeros(GIGABYTE, b"good 1 2\n"))
    vocabulary = Vocabulary(("<pad>", "<unk>", "good"))
    with pytest.raises(ValueError, match=r"wiki\.vec\.gz has a line of 1,048,576 characters or more"):
        read_vectors(path, vocabulary)
    path.write_bytes(gzip.compress(b"good 1 2\n"))
    assert read_vectors(path, vocabulary).table[2].tolist() == [1, 2]


# ---------------------------------------------------------------- pickles


class Made:
    """An array as a pickle makes it: a call, and a state."""

    def __init__(self, call: tuple[Any, ...], state: Any = None) -> None:
        self.call, self.state = call, state

    def __reduce__(self) -> tuple[Any, ...]:
        return (*self.call, self.state) if self.state is not None else self.call


def pickled(pixels: Any, labels: Any) -> bytes:
    raw = pickle.dumps({b"data": pixels, b"labels": labels}, protocol=3)
    return raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


START = np.empty(0).__reduce__()[0]
BYTES, OBJECTS = np.dtype("u1"), np.dtype("O")
FEW = np.zeros((4, 3072), np.uint8)
HUGE = (10**9, 3072)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "an array that is made at its size": (pickled(Made((np.ndarray, (HUGE, BYTES))), [0] * 4), r"pixels \(0,\)"),
    "the same by another call": (pickled(Made((START, (np.ndarray, HUGE, b"b"))), [0] * 4), r"pixels \(0,\)"),
    "a state that claims terabytes": (
        pickled(Made((START, (np.ndarray, (0,), b"b")), (1, HUGE, BYTES, False, b"few")), [0] * 4),
        r"it claims \(1000000000, 3072\) of 'u1' and has 3 bytes",
    ),
    "a state of objects": (
        pickled(Made((START, (np.ndarray, (0,), b"b")), (1, HUGE, OBJECTS, False, [])), [0] * 4),
        r"it claims \(1000000000, 3072\) of 'O8' and has 0 bytes",
    ),
    "bytes that are claimed": (
        b"\x80\x04}(C\x04data\x8e" + (2**40).to_bytes(8, "little") + b"few",
        "is not a CIFAR batch",
    ),
    "labels within labels": (pickled(FEW, [[0], [0], [0], [0]]), "labels that are not numbers from 0 to 255"),
    "labels beyond 64 bits": (pickled(FEW, [2**70, 0, 0, 0]), "labels that are not numbers from 0 to 255"),
    "brackets": (b"\x80\x03" + b"(" * 10**6 + b"t" * 10**6, "is not a CIFAR batch"),
}


@pytest.mark.parametrize(("raw", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_pickle_that_claims_more_than_it_has(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^batch .*{message}"):
        decode_pickle(raw, "batch", 4, labels=b"labels")


def test_a_pickle_that_has_what_it_claims() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(4, 3072), dtype=np.uint8)
    x, y = decode_pickle(pickled(pixels, [3, 1, 0, 9]), "batch", 4, labels=b"labels")
    assert (x.numpy().reshape(4, 3072) == pixels).all()
    assert y.tolist() == [3, 1, 0, 9]
    with pytest.raises(ValueError, match="and has 12,288 bytes"):
        decode_pickle(pickled(np.asfortranarray(pixels), [3, 1, 0, 9]), "batch", 4, labels=b"labels")


# ---------------------------------------------------------------- packed voxels


def npz(path: Path, shape: tuple[int, ...], dtype: str = "|u1", content: bytes = b"", fortran: bool = False) -> None:
    """A file of packed voxels whose header says something else than it has."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": fortran, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("packed.npy", head.getvalue() + content)


@pytest.mark.parametrize(
    ("shape", "dtype", "content", "message"),
    [
        ((10**12, 4096), "|u1", b"", r"it has uint8 \(1000000000000, 4096\), expected .* up to 16,384"),
        ((-1, 4096), "|u1", b"", r"it has uint8 \(-1, 4096\)"),
        ((2, 4096), "<f8", b"", r"it has float64 \(2, 4096\)"),
        ((2, 4096), "|u1", bytes(4096), "it promises 2 shapes and has another number"),
        ((1, 4096), "|u1", bytes(2**26), "it promises 1 shapes and has another number"),
    ],
)
def test_packed_voxels_that_claim_more_than_they_have(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, content: bytes, message: str
) -> None:
    for split in ("train", "test"):
        npz(tmp_path / f"chair_{split}.npz", shape, dtype, content)
    with pytest.raises(ValueError, match=rf"chair_train\.npz cannot be read \({message}.*: unpack it again"):
        points.load("modelnet10-voxels", tmp_path, form="voxels")
