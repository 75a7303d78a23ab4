"""Files of MATLAB's version 5: what SciPy writes is read, and damage is told, whatever a file claims."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.data.disk.matlab import read_mat

NUMBERS = {
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "negative": np.array([[-3, 200]], np.int16),
    "long": np.array([[2**60]], np.int64),
    "fractions": np.array([[0.1, np.nan]]),
    "short": np.float32([[0.5]]),
    "deep": np.arange(24, dtype=np.uint16).reshape(2, 3, 4),
    "none": np.zeros((0, 2)),
}
START = b"MATLAB 5.0".ljust(124) + b"\0\1IM"


def number(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=value < 0) for value in values)


def element(kind: int, content: bytes) -> bytes:
    return number(kind, len(content)) + content + bytes(-len(content) % 8)


def variable(
    *, flags: bytes = number(9, 0), shape: tuple[int, ...] = (1, 2), name: bytes = b"X", kind: int = 2, size: int = 2
) -> bytes:
    """An array of bytes, by parts that may be wrong."""
    parts = [(6, flags), (5, number(*shape)), (1, name), (kind, bytes(range(size)))]
    return element(14, b"".join(element(*part) for part in parts))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(START + content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_is_read(packed: bool, tmp_path: Path) -> None:
    others: dict[str, Any] = {"text": "abc", "nested": {"a": 1.0}, "complex": np.array([[1j]])}
    pytest.importorskip("scipy.io").savemat(tmp_path / "a.mat", NUMBERS | others, do_compression=packed)
    found = read_mat(tmp_path / "a.mat", most=2**20)
    assert found.keys() == NUMBERS.keys()
    for name, expected in NUMBERS.items():
        assert found[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(found[name], expected)


def test_parts_in_their_own_tag_and_numbers_in_a_smaller_type_are_read(tmp_path: Path) -> None:
    """As MATLAB writes them."""
    parts = element(6, number(6, 0)) + element(5, number(1, 2)) + b"\1\0\1\0y\0\0\0" + b"\2\0\2\0\7\1\0\0"
    found = read_mat(written(tmp_path / "a.mat", element(14, parts)), most=0)
    assert (found["y"].dtype, found["y"].tolist()) == (np.float64, [[7.0, 1.0]])


def test_the_other_order_of_bytes_is_read(tmp_path: Path) -> None:
    words, numbers = variable()[:-8], variable()[-8:]
    turned = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4)).replace(b"\0\0\0X", b"X\0\0\0")
    (tmp_path / "a.mat").write_bytes(START[:124] + b"\1\0MI" + turned + numbers)
    assert read_mat(tmp_path / "a.mat", most=0)["X"].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (number(14), "ends within the tag of an element, 4 bytes of 8"),
        (number(14, 2**32 - 1), r"claims 4,294,967,295 bytes, and 0 are there"),
        (number(5 << 16 | 14, 0), "claims 5 bytes in a tag that has 4"),
        (element(14, b""), "has no flags"),
        (variable(flags=b""), "has no flags"),
        (element(14, element(6, number(9, 0))), "lacks its size, its name or its numbers"),
        (variable(kind=0x1002), "types 5, 1 and 4098"),  # ended the process within SciPy
        (variable(kind=255), "types 5, 1 and 255"),
        (variable(shape=(1,) * 33), "types 5, 1 and 2"),
        (variable(shape=(1, 3)), r"claims uint8 \(1, 3\) and has 2 bytes"),
        (variable(shape=(-1, -2)), r"claims uint8 \(-1, -2\) and has 2 bytes"),
        (variable(shape=(2**31 - 1,) * 9), r"claims uint8 .* and has 2 bytes"),
        (variable(shape=()), r"claims uint8 \(\) and has 2 bytes"),
        (number(15, 4) + b"zlib", "cannot be unpacked"),
        (number(15, 9) + zlib.compress(variable())[:9], "a packed variable is cut off"),
        (number(15, len(zlib.compress(bytes(2**21)))) + zlib.compress(bytes(2**21)), "more than 1,048,576 bytes"),
    ],
    ids=[
        *("tag", "size", "size in a tag", "empty", "flags", "parts", "type", "type of none", "axes", "shape"),
        *("negative", "petabytes", "no shape", "packed", "packed and cut off", "packed and large"),
    ],
)
def test_a_file_that_claims_what_it_has_not_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_mat(written(tmp_path / "a.mat", content), most=2**20)


def test_variables_unpack_to_a_bound_together(tmp_path: Path) -> None:
    one, two = (zlib.compress(variable(name=name, size=6, shape=(6,))) for name in (b"a", b"b"))
    path = written(tmp_path / "a.mat", b"".join(number(15, len(each)) + each for each in (one, two)))
    size = len(variable(size=6))
    assert read_mat(path, most=2 * size).keys() == {"a", "b"}
    with pytest.raises(ValueError, match=f"unpacks to more than {2 * size - 1} bytes"):
        read_mat(path, most=2 * size - 1)


@pytest.mark.parametrize("flags", [number(4, 0), number(255, 0), number(6 | 0x800, 0)], ids=["text", "none", "complex"])
def test_other_variables_are_passed_over(flags: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "a.mat", variable(flags=flags) + element(99, b"x") + variable(name=b"y"))
    assert read_mat(path, most=0).keys() == {"y"}


@pytest.mark.parametrize("start", [b"", b"MATLAB", START[:124] + b"\0\2IM", START[:124] + b"\1\0IM"])
def test_files_of_other_versions_are_refused(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(start)
    with pytest.raises(ValueError, match="not a MAT-file of version 5"):
        read_mat(tmp_path / "a.mat", most=0)
