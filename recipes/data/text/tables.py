"""Your own texts: a csv or jsonl file with named columns, with one label or several that are 0 or 1."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipes.data.files import text_of
from recipes.data.splits import SIDES, Entry, Split, held_out
from recipes.data.text.files import Examples, many_hot
from recipes.data.text.rows import Quoted, expect, rows_of
from recipes.data.text.sets import TextSet


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table.

    Args:
        text: of the texts.
        labels: of the label, or of several labels, each 0 or 1.

    Raises:
        ValueError: there is no label, a column is named twice, or there are two labels, the form of two mutually
            exclusive classes.
    """

    text: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels or len({self.text, *self.labels}) <= len(self.labels):
            raise ValueError(f"labels={self.labels} must be one or more columns, each once, and not {self.text!r}")
        if len(self.labels) == 2:
            raise ValueError(
                f"labels={self.labels} must be one column, or three or more of 0 and 1: combine the two into one"
            )


@dataclass(frozen=True)
class Row:
    """A row of a table: its place for errors, its text, and the values of its labels."""

    place: str
    text: str
    labels: tuple[str, ...]


def load(kind: str, root: Path | None, columns: Columns, split: Split) -> TextSet:
    r"""Load texts and labels from a table.

    Texts are split into words in the style ``"basic"``. The values of a single label become sorted classes, whole
    numbers by value. Rows without a text or label are refused. Without a group, a row is split by the hash of its text.

    Args:
        kind: ``"csv"``, with commas and a header, or ``"jsonl"``, with an object in each line.
        root: a file, or a folder with ``train.csv`` and ``test.csv``, or the same in jsonl.
        columns: which to read; others are ignored.
        split: of a file; ``split.group`` names a column.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged, lacks a column or a value, has fewer than two classes, or cannot be split
            this way.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.csv"
    ...     size = path.write_text("text,mood,who\nso good,up,1\nso bad,down,1\nfine,up,2\n")
    ...     list_of_groups = Path(folder) / "test.txt"
    ...     size = list_of_groups.write_text("2")
    ...     data = load("csv", path, Columns("text", ("mood",)), Split(test_list=list_of_groups, group="who"))
    >>> data.classes, data.test_x, data.test_y.tolist()
    (('down', 'up'), ('fine',), [[1.0]])
    """
    files = _files(kind, root)
    if split.test_list is not None and split.group is None:
        raise ValueError(
            f"test_list={str(split.test_list)!r} needs --group COLUMN for a table, such as an id: it names values "
            "of that column"
        )
    read = _csv if kind == "csv" else _jsonl
    title = files[0][1].stem if files[0][0] is None else files[0][1].resolve().parent.name
    rows: list[Row] = []
    entries: list[Entry] = []
    for side, path in files:
        for place, values in read(path):
            row = _row(place, values, columns)
            group = None if split.group is None else _value(values, split.group, place)
            rows.append(row)
            entries.append(Entry(place, _classes_of(row, columns), row.text, group, side))
    if not rows:
        raise ValueError(f"{files[0][1]} has no rows: give one with texts")
    tests = held_out(entries, split, f"{root}")
    classes = columns.labels if len(columns.labels) > 1 else _sorted({row.labels[0] for row in rows})
    if len(classes) < 2:
        raise ValueError(
            f"{files[0][1]} has only the label {classes[0]!r}, expected two or more: choose another column"
        )
    train, test = (
        _examples([row for row, each in zip(rows, tests, strict=True) if each is side], classes, columns)
        for side in (False, True)
    )
    return TextSet(f"{kind}-{title}", *train, *test, classes, "basic")


def _files(kind: str, root: Path | None) -> list[tuple[str | None, Path]]:
    """The files of a table, and the side that each is for."""
    remedy = f"give --data-root FILE.{kind}, or a folder with train.{kind} and test.{kind}"
    if root is None:
        raise FileNotFoundError(f"no file was given for --data {kind}: {remedy}")
    if root.is_file():
        return [(None, root)]
    paths = [(side, root / f"{side}.{kind}") for side in SIDES]
    missing = [path.name for _, path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{root} is not a file and lacks {' and '.join(missing)}: {remedy}")
    return list(paths)


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values of the rows of a csv file under its header."""
    rows = rows_of(path, Quoted)
    place, header = next(rows, (f"{path} line 1", []))
    twice = next((name for name in header if header.count(name) > 1), None)
    if not header or twice is not None:
        reason = "no header" if not header else f"the column {twice!r} twice"
        raise ValueError(f"{place} has {reason}, expected names of columns, each once: correct it")
    for place, row in rows:
        if row:  # an empty line has no fields
            expect(row, tuple(header), place)
            yield place, dict(zip(header, row, strict=True))


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values of the lines of a file, each a JSON object."""
    for number, line in enumerate(text_of(path.read_bytes(), f"{path}").split("\n"), 1):
        place = f"{path} line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number with thousands of digits raises no JSONDecodeError
            raise ValueError(f"{place} is not JSON ({error}), expected one object in each line: correct it") from error
        if not isinstance(values, dict):
            raise ValueError(f"{place} is {line.strip()!r:.80}, expected an object with columns: correct it")
        yield place, values


def _row(place: str, values: dict[str, Any], columns: Columns) -> Row:
    """A row with the columns that are asked for."""
    return Row(
        place, _value(values, columns.text, place), tuple(_value(values, name, place) for name in columns.labels)
    )


def _value(values: dict[str, Any], column: str, place: str) -> str:
    """The value of a column as text, which must not be blank."""
    if column not in values:
        raise ValueError(f"{place} has no column {column!r}, it has {', '.join(values)}: name one of these")
    value = values[column]
    if not isinstance(value, str | int | float):
        raise ValueError(
            f"{place} has {value!r:.80} in {column!r}, expected a text or a number; each of several labels has a "
            "column of 0 and 1"
        )
    said = str(int(value)) if isinstance(value, bool) else str(value)
    if not said.strip():
        raise ValueError(f"{place} has nothing in {column!r}: fill it in, or leave the row out")
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place} has half a character in {column!r} ({error}), like \\ud800: correct it") from error
    return said


def _classes_of(row: Row, columns: Columns) -> tuple[str, ...]:
    """Names of the classes of a row.

    Raises:
        ValueError: one of several labels is neither 0 nor 1.
    """
    if len(columns.labels) == 1:
        return row.labels
    for name, value in zip(columns.labels, row.labels, strict=True):
        if value not in ("0", "1"):
            raise ValueError(
                f"{row.place} has {value!r:.80} in {name!r}, expected 0 or 1, as for each of several labels"
            )
    return tuple(name for name, value in zip(columns.labels, row.labels, strict=True) if value == "1")


def _sorted(labels: set[str]) -> tuple[str, ...]:
    """Classes in order, whole numbers by value."""
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label) if whole else 0, label)))


def _examples(rows: Sequence[Row], classes: tuple[str, ...], columns: Columns) -> Examples:
    """Texts, and labels in the form of `TextSet`."""
    texts = tuple(row.text for row in rows)
    if len(columns.labels) > 1:
        flags = [[place for place, value in enumerate(row.labels) if value == "1"] for row in rows]
        return texts, many_hot(flags, len(classes))
    y: Tensor = torch.tensor([classes.index(row.labels[0]) for row in rows], dtype=torch.int64)
    return texts, y.to(torch.float32)[:, None] if len(classes) == 2 else y
