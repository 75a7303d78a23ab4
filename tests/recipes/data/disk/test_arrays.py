"""Arrays in files of their own, which are mapped into memory: nothing that a header claims is believed."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.data.disk.arrays import mapped, read_array


def npy(shape: tuple[int, ...], descr: Any = "<i8", numbers: int = 0, by_columns: bool = False) -> bytes:
    """An array whose header says what it will, with so many bytes after it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": by_columns, "shape": shape})
    return file.getvalue() + bytes(range(numbers))


@pytest.mark.parametrize("by_columns", [False, True])
def test_what_is_there_is_mapped(by_columns: bool, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if by_columns else array)
    found = mapped(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (npy((-1,), numbers=40), r"it claims int64 \(-1,\), expected numbers"),  # a division by zero within NumPy
        (npy((2, -3), numbers=40), r"it claims int64 \(2, -3\), expected numbers"),
        (npy((6,), numbers=40), r"it claims int64 \(6,\) of 48 bytes and has 40"),
        (npy((4,), numbers=40), r"it claims int64 \(4,\) of 32 bytes and has 40"),
        (npy((2**62, 4), numbers=40), r"of [\d,]+ bytes and has 40"),
        (npy((0,)), r"of 0 bytes and has 0"),
        (npy((10**30, 0)), r"of 0 bytes and has 0"),
        (npy((5,), "|O", 40), r"it claims object \(5,\), expected numbers"),
        (npy((5,), "<U2", 40), r"it claims <U2 \(5,\), expected numbers"),
        (npy((10**18,), "|V0"), r"expected numbers"),
        (npy((5,), [("a\n", "<i4"), ("b", "<i4")], 40), r"expected numbers"),
        (npy((1,) * 65, numbers=8), "dimension"),
    ],
)
def test_what_claims_another_size_is_refused(raw: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(raw)
    with pytest.raises(ValueError, match=rf"a\.npy cannot be read \(.*{message}.*: fetch it again") as caught:
        mapped(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("descr", ["|O", "<U2", "|V0"])
def test_what_is_no_number_is_not_read(descr: str) -> None:
    with pytest.raises(ValueError, match="expected numbers"):
        read_array(io.BytesIO(npy((5,), descr, 40)), most=100)
