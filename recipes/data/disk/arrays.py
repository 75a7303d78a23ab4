"""Arrays in NumPy's own form; nothing that their headers claim is believed before it is there."""

import math
import tokenize
import zlib
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

Array = np.ndarray[Any, Any]
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
DAMAGED = (
    *(ValueError, TypeError, SyntaxError, tokenize.TokenError, LookupError, AttributeError, RecursionError),
    *(OverflowError, MemoryError, EOFError, OSError, RuntimeError, BadZipFile, zlib.error),
)
"""What NumPy and zip archives raise for arrays that are damaged."""


def header_of(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: its shape, whether columns come first, and its type.

    Raises:
        ValueError: it has none.
    """
    try:
        shape, by_columns, dtype = HEADERS[np.lib.format.read_magic(file)](file)  # type: ignore[arg-type]
        return shape, by_columns, dtype
    except DAMAGED as error:
        raise ValueError(f"its header is damaged: {error!s:.100}") from error


def read_array(file: IO[bytes], *, most: int) -> Array:
    """Read an array of numbers.

    Args:
        file: open at its start; it ends with the array.
        most: bytes of its numbers at most.

    Raises:
        ValueError: it claims more than it has or more than ``most``, or holds other things than numbers.
    """
    shape, by_columns, dtype = header_of(file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size > most:
        raise ValueError(f"it claims {dtype} {shape}, expected numbers, of {most:,} bytes at most")
    raw = file.read(size)
    if len(raw) < size or file.read(1):
        raise ValueError(f"it claims {dtype} {shape} of {size:,} bytes and has another number of them")
    return np.ndarray(shape, dtype, raw, order="F" if by_columns else "C")


def mapped(path: Path) -> Array:
    """An array in a file of its own, of which parts are read when they are used.

    Raises:
        ValueError: the file is damaged, or shorter than it claims.
    """
    try:
        found = np.load(path, mmap_mode="r")
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read ({error!s:.100}): fetch it again".replace("\n", " ")) from error
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path} is an archive, expected one array: fetch it again")
    return found
