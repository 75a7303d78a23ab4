"""Lines of the published files of word vectors."""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def vector_lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the place, which is file and line, the word and the unread numbers of every vector."""
    dim, promised, count = 0, None, 0
    for number, line in enumerate(_lines(path), 1):
        place, parts = f"{path} line {number}", line.rstrip(" \r\n").split(" ")
        if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
            promised, dim = (int(part) for part in parts)
            continue
        dim = dim or len(parts) - 1
        if len(parts) <= dim or dim < 1 or (len(parts) > dim + 1 and _is_number(parts[-dim - 1])):
            raise ValueError(f"{place} has {len(parts) - 1} numbers, expected {dim or 'at least 1'}: fetch it again")
        count += 1
        yield place, " ".join(parts[:-dim]), parts[-dim:]
    if promised is not None and count != promised:
        raise ValueError(f"{path} has {count:,} vectors, its first line says {promised:,}: fetch it again")


def finite(numbers: list[str], place: str) -> list[float]:
    """Read the numbers of a vector."""
    wrong = [number for number in numbers if not _is_number(number) or not math.isfinite(float(number))]
    if wrong:
        raise ValueError(f"{place} has {wrong[0]!r}, expected a finite number: fetch it again")
    return [float(number) for number in numbers]


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a plain or gzipped file; what is no UTF-8 belongs to words that no text has."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
            yield from file
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read to its end ({error}): fetch it again") from error


def _is_number(text: str) -> bool:
    """Tell whether ``text`` reads like a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
