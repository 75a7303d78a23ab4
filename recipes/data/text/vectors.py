"""Lines of published files of word vectors."""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes.data.files import UTF8, check_encoding, check_text

MOST = 2**20
"""Most characters of a line; a published vector has a few thousand."""


def vector_lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the place (file and line), the word and the unparsed numbers of every vector.

    A tab counts as a space. In a word that is not UTF-8, each wrong byte is a lone surrogate, which no text has. The
    first number of each vector is checked, so that a file with another separator after the words is not taken for one
    of words that no text has.

    Raises:
        ValueError: see ``recipes.data.text.words.read_vectors``.
    """
    dim, promised, count = 0, None, 0
    for number, line in enumerate(_lines(path), 1):
        place, parts = f"{path} line {number}", line.replace("\t", " ").rstrip(" \r\n").split(" ")
        check_text(line, place)
        if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
            promised, dim = (int(part) for part in parts)
            continue
        dim = dim or len(parts) - 1
        if len(parts) <= dim or dim < 1 or (len(parts) > dim + 1 and _is_number(parts[-dim - 1])):
            raise ValueError(f"{place} has {len(parts) - 1} numbers, expected {dim or 'at least 1'}: fetch it again")
        if not _is_number(parts[-dim]):
            raise ValueError(f"{place} has {parts[-dim]!r:.40} after the word, expected a number: fetch it again")
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
    """Yield the lines of a plain or gzipped file."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            check_encoding(file.read(4), f"{path}")
        with opened(path, "rt", encoding=UTF8, errors="surrogateescape", newline="\n") as file:
            while line := file.readline(MOST):
                if len(line) == MOST and not line.endswith("\n"):
                    raise ValueError(f"{path} has a line of {MOST:,} characters or more: fetch it again")
                yield line
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read to its end ({error}): fetch it again") from error


def is_broken(word: str) -> bool:
    """Tell whether a word was not UTF-8."""
    return not word.isascii() and any("\udc80" <= character <= "\udcff" for character in word)


def _is_number(text: str) -> bool:
    """Tell whether ``text`` reads like a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
