"""Arrays in NumPy's own format; what their headers claim is checked against what is there."""

import math
import os
import tokenize
import zlib
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

from recipes.data.files import in_one_line

Array = np.ndarray[Any, Any]
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
NUMBERS = "biufc"
"""Kinds of types that are booleans or numbers."""
DAMAGED = (
    *(ValueError, TypeError, SyntaxError, tokenize.TokenError, LookupError, AttributeError, RecursionError),
    *(OverflowError, MemoryError, EOFError, OSError, RuntimeError, BadZipFile, zlib.error),
)
"""What NumPy and zip archives raise for damaged arrays."""


def header_of(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: its shape, whether columns come first, and its type.

    Raises:
        ValueError: it has none that can be read.
    """
    try:
        shape, by_columns, dtype = HEADERS[np.lib.format.read_magic(file)](file)  # type: ignore[arg-type]
        return shape, by_columns, dtype
    except DAMAGED as error:
        raise ValueError(f"its header is damaged: {in_one_line(error, 100)}") from error


def read_array(file: IO[bytes], *, most: int) -> Array:
    """Read an array of numbers.

    Args:
        file: open at its start; it ends with the array.
        most: most bytes of its numbers.

    Raises:
        ValueError: it claims more than it has or more than ``most``, or holds anything but numbers.
    """
    shape, by_columns, dtype = header_of(file)
    size = _size(shape, dtype)
    if size > most:
        raise ValueError(f"it claims {dtype} {shape}, expected {most:,} bytes at most")
    raw = file.read(size)
    if len(raw) < size or file.read(1):
        raise ValueError(f"it claims {dtype} {shape} of {size:,} bytes and has another number of them")
    return np.ndarray(shape, dtype, raw, order="F" if by_columns else "C")


def mapped(path: Path) -> Array:
    """An array of numbers in a file of its own, parts of which are read when they are used.

    Raises:
        ValueError: the file is damaged, claims another size than it has, or holds anything but numbers.
    """
    try:
        with path.open("rb") as file:
            shape, by_columns, dtype = header_of(file)
            start, size = file.tell(), _size(shape, dtype)
            there = file.seek(0, os.SEEK_END) - start
            if there != size or not size:
                raise ValueError(f"it claims {dtype} {shape} of {size:,} bytes and has {there:,}, expected one or more")
            return np.memmap(file, dtype, "r", start, shape, order="F" if by_columns else "C")
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read ({in_one_line(error)}): fetch it again") from error


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes that an array claims.

    Raises:
        ValueError: it holds anything but numbers, or claims a negative size.
    """
    if dtype.kind not in NUMBERS or min(shape, default=0) < 0:
        raise ValueError(f"it claims {in_one_line(dtype, 50)} {shape}, expected numbers")
    return math.prod(shape) * dtype.itemsize
