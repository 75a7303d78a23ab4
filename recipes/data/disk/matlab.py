"""Arrays of numbers in MATLAB's files of version 5; what their headers claim is checked against what is there.

SciPy's own reader looks up types of numbers by what a file claims, and a damaged file crashes the process.

Source: MathWorks, "MAT-File Format", the chapter on level 5.
"""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recipes.data.disk.arrays import Array

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of the numbers of an element."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Types of an array, whose numbers may be stored in a smaller one."""
TEXT, SIZES, FLAGS, MATRIX, PACKED = 1, 5, 6, 14, 15
COMPLEX = 8
ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}
"""The version and the byte order, at the end of the header."""
HEADER = 128
MOST_AXES = 32


def read_mat(path: Path, *, most: int) -> dict[str, Array]:
    """Read the arrays of numbers in a file; other variables, such as texts and structures, are skipped.

    Args:
        path: of the file.
        most: most bytes that all variables may unpack to.

    Returns:
        arrays by the names of their variables.

    Raises:
        ValueError: it is not a file of version 5, is cut off or damaged, or unpacks to more.
    """
    raw = memoryview(path.read_bytes())
    order = ORDERS.get(bytes(raw[HEADER - 4 : HEADER]))
    if order is None:
        raise ValueError("it is not a MAT-file of version 5")
    found: dict[str, Array] = {}
    left = most
    for kind, content in _elements(raw[HEADER:], order):
        if kind == PACKED:
            unpacked = _unpacked(content, left)
            if unpacked is None:
                raise ValueError(f"it unpacks to more than {most:,} bytes")
            left -= len(unpacked)
            kind, content = next(_elements(unpacked, order), (0, content))
        if kind == MATRIX:
            named = _matrix(content, order)
            found |= {} if named is None else dict([named])
    return found


def _elements(raw: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The elements one after the other, each with its type; those of four bytes or fewer are in their own tag."""
    at = 0
    while at < len(raw):
        tag = raw[at : at + 8]
        if len(tag) < 8:
            raise ValueError(f"it ends within the tag of an element, {len(tag)} bytes of 8")
        kind, size = (int(each) for each in np.frombuffer(tag, f"{order}u4"))
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            end = at + 8
            if size > 4:
                raise ValueError(f"an element claims {size} bytes in a tag that has 4")
        else:
            start = at + 8
            end = start + size + (0 if kind == PACKED else -size % 8)
        if start + size > len(raw):
            raise ValueError(f"an element claims {size:,} bytes, and {len(raw) - start:,} are there")
        yield kind, raw[start : start + size]
        at = end


def _unpacked(raw: memoryview, most: int) -> memoryview | None:
    """The bytes of a packed element; None if there are more than `most`."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(raw, most + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(content) > most:
        return None
    if not unpacker.eof:
        raise ValueError("a packed variable is cut off")
    return memoryview(content)


def _matrix(raw: memoryview, order: str) -> tuple[str, Array] | None:
    """Name and numbers of an array; None for anything else."""
    parts = _elements(raw, order)
    kind, flags = next(parts, (0, memoryview(b"")))
    if kind != FLAGS or len(flags) != 8:
        raise ValueError("a variable has no flags")
    number = int(np.frombuffer(flags, f"{order}u4")[0])
    if number & 0xFF not in CLASSES or number >> 8 & COMPLEX:
        return None
    try:
        (a, sizes), (b, name), (c, content) = next(parts), next(parts), next(parts)
    except StopIteration:
        raise ValueError("a variable lacks its size, its name or its numbers") from None
    if a != SIZES or len(sizes) % 4 or len(sizes) > 4 * MOST_AXES or b != TEXT or c not in NUMBERS:
        raise ValueError(f"a variable has elements of the types {a}, {b} and {c}, expected a size, a name and numbers")
    shape = tuple(int(each) for each in np.frombuffer(sizes, f"{order}i4"))
    dtype = np.dtype(order + NUMBERS[c])
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array claims {dtype} {shape} and has {len(content):,} bytes")
    values = np.frombuffer(content, dtype).astype(CLASSES[number & 0xFF], copy=False)
    return bytes(name).decode("ascii", "replace"), values.reshape(shape, order="F")
