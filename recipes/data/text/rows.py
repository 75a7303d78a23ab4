"""Rows of published tables: their files, fields and labels, each with its file and line for errors."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.data.files import UTF8, check_encoding, check_text, listed


class Quoted(csv.excel):
    """Fields separated by commas, with quotes doubled inside a field."""

    strict = True


class Tabbed(csv.excel_tab):
    """Fields separated by tabs, in which quotes mean nothing."""

    quoting = csv.QUOTE_NONE


def folder_with(bases: tuple[Path, ...], *names: str) -> Path:
    """Return the first of ``bases`` that has the first of ``names``; it must have them all."""
    base = next((base for base in bases if (base / names[0]).is_file()), None)
    if base is None:
        raise FileNotFoundError(f"{listed(bases)} lacks {', '.join(names)}")
    missing = [name for name in names if not (base / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{base} lacks {', '.join(missing)}")
    return base


def table(path: Path, header: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the fields of the rows under the header of a csv file."""
    rows = rows_of(path, Quoted)
    place, first = next(rows, (f"{path} line 1", []))
    if tuple(first) != header:
        raise ValueError(f"{place} is {','.join(first)!r}, expected the header {','.join(header)!r}")
    for place, row in rows:
        expect(row, header, place)
        yield place, row


def rows_of(path: Path, dialect: type[csv.Dialect]) -> Iterator[tuple[str, list[str]]]:
    """Yield the place (file and line, for errors) and the fields of each row of a file."""
    with path.open("rb") as file:
        check_encoding(file.read(4), f"{path}")
    with path.open(encoding=UTF8, newline="") as file, _fields_of(path.stat().st_size):
        reader = csv.reader(_lines(file, path), dialect)
        line = 1
        try:
            for row in reader:
                place, line = f"{path} line {reader.line_num}", reader.line_num + 1
                yield place, row
        except csv.Error as error:
            raise ValueError(
                f"{path} line {line} cannot be read ({error}), expected quotes in pairs: fetch it again"
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 after line {reader.line_num} ({error}): fetch it again") from error


def _lines(file: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the lines of a file, each checked before it is parsed."""
    for number, line in enumerate(file, 1):
        check_text(line, f"{path} line {number}")
        yield line


@contextmanager
def _fields_of(size: int) -> Iterator[None]:
    """Allow fields as long as a file of this size can hold; the limit, 131,072 by default, is global to `csv`."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, size))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def expect(row: list[str], fields: tuple[str, ...], place: str) -> None:
    """Raise unless ``row`` has as many fields as there are ``fields``."""
    if len(row) != len(fields):
        raise ValueError(f"{place} has {len(row)} fields, expected {len(fields)}: {', '.join(fields)}")


def label_of(value: str, known: dict[str, int], place: str) -> int:
    """Return the class number of a label."""
    if value not in known:
        first, *_, last = known
        raise ValueError(f"{place} has the label {value!r}, expected {first} to {last}")
    return known[value]


def binary(values: list[str], place: str) -> list[float]:
    """Return labels of 0 and 1 as numbers."""
    return [float(label_of(value, {"0": 0, "1": 1}, place)) for value in values]
