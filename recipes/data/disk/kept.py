"""A cache of what is made from files: rows in one Arrow file, which is memory-mapped and read on demand.

The file gets its name once complete, one process makes it while others wait, and the system can reclaim its memory.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from recipes.data.disk.lazy import Lazy
from recipes.data.files import in_one_line

AT_ONCE = 512
"""Rows that are written at once."""
DTYPES = {"bool": torch.bool, "int16": torch.int16, "float": torch.float32}
"""Types of tensors that can be cached, by Arrow's names."""

Row = Mapping[str, Any]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write a file, which gets its name when it is complete and on disk.

    It is in a folder beside `path` that is removed at the end; what a killed process left there is removed when the
    file is next written.

    Raises:
        OSError: it cannot be written.
    """
    own = path.with_name(f"{path.name}.partial")
    shutil.rmtree(own, ignore_errors=True)
    try:
        own.mkdir()
        yield own / path.name
        with (own / path.name).open("rb+") as file:
            os.fsync(file.fileno())
        (own / path.name).replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(own, ignore_errors=True)


def kept(
    cache: Path,
    title: str,
    what: object,
    columns: Mapping[str, Any],
    rows: Callable[[], Iterable[Row]],
    count: int | None = None,
) -> Any:
    """The rows of a table, made at the first call and read from its file at later ones.

    Args:
        cache: folder for the file; it is made if it is not there.
        title: of the file and the progress bar.
        what: all that the rows depend on, which determines the file's name; it must be valid in JSON.
        columns: ``pyarrow`` type of each column; arrays of fixed or varying length are flat lists.
        rows: makes the rows, each with a value for each column: an array for a list, else a text or a number.
        count: number of rows, if it is known.

    Returns:
        a ``datasets.Dataset``, which holds in memory only what is looked at.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be written.
        ImportError: the package ``datasets`` is missing.
    """
    try:
        import datasets
        import filelock
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("a cache needs the package datasets: pip install 'mixmodal[recipes]'") from error
    schema = pa.schema(list(columns.items()))
    key = hashlib.sha256(json.dumps([what, str(schema)], sort_keys=True).encode()).hexdigest()[:20]
    path = cache / f"{title.replace(' ', '-')}-{key}.arrow"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / f".{path.name}.lock"):
            if not path.is_file():
                _write(path, schema, tqdm(rows(), total=count, desc=title, leave=False, disable=None))
    try:
        _check(path, schema, count)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({in_one_line(error)}): delete it, and it is made again") from error
    return datasets.Dataset.from_file(str(path))


@dataclass(frozen=True, eq=False)
class Column:
    """Reads one column of a table whose rows have arrays of one length, for `Lazy`."""

    data: Any
    name: str
    row: tuple[int, ...]
    decodes: bool = field(default=False, init=False)

    def __call__(self, numbers: Sequence[int], draws: Sequence[int] | None) -> Tensor:
        """Read rows (n, ...)."""
        values, _ = flat(self.data, self.name, numbers)
        return torch.from_numpy(values).view(len(numbers), *self.row)


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """A column of texts, each of which is read on demand."""

    data: Any = field(repr=False)
    name: str = "text"

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: Any) -> Any:
        return self.data[number][self.name]

    def __iter__(self) -> Iterator[str]:
        for some in self.data.iter(batch_size=AT_ONCE):
            yield from some[self.name]

    @property
    def file(self) -> str:
        """Name of the file, which identifies what is in it."""
        return Path(self.data.cache_files[0]["filename"]).name


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[Tensor]):
    """A column of whole numbers (T,) int64, of any length T, which are read on demand."""

    data: Any = field(repr=False)
    name: str = "ids"

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: Any) -> Any:
        return self.read([number])[0]

    def read(self, numbers: Sequence[int]) -> list[Tensor]:
        """Read some rows."""
        values, lengths = flat(self.data, self.name, numbers)
        return [torch.from_numpy(part).long() for part in np.split(values, lengths.cumsum()[:-1])]

    @property
    def lengths(self) -> list[int]:
        """Length of each row, without reading it."""
        import pyarrow.compute

        found: list[int] = pyarrow.compute.list_value_length(self.data.data.column(self.name)).to_pylist()
        return found


def lazy(data: Any, name: str, row: tuple[int, ...], index: Tensor) -> Lazy:
    """Some rows of a column, each an array of shape `row`."""
    dtype = DTYPES[str(data.data.schema.field(name).type.value_type)]
    return Lazy(Column(data, name, row), index, row, dtype)


def flat(data: Any, name: str, numbers: Sequence[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The arrays of some rows, one after the other, and the length of each."""
    import pyarrow as pa
    import pyarrow.compute

    column = data.with_format("arrow")[list(numbers)].column(name)
    values = pa.compute.list_flatten(column).to_numpy()
    return np.array(values), pa.compute.list_value_length(column).to_numpy()


def _write(path: Path, schema: Any, rows: Iterable[Row]) -> None:
    """Write rows into a file, some at a time."""
    import pyarrow as pa

    with whole(path) as place, pa.OSFile(str(place), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for some in _some(rows):
            arrays = [_array([row[field.name] for row in some], field.type) for field in schema]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _check(path: Path, schema: Any, count: int | None) -> None:
    """Raise unless a file has the rows that it should; where each begins and ends is checked before any is read.

    Raises:
        ValueError, OSError, pyarrow.ArrowException: it is damaged.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        rows, same = 0, stream.schema.equals(schema, check_metadata=True)
        for batch in stream if same else ():
            batch.validate(full=True)
            if any(column.null_count for column in batch.columns):
                raise ValueError("it lacks values")
            rows += len(batch)
        if not same or count not in (None, rows):
            found, expected = (", ".join(f"{each.name} {each.type}" for each in of) for of in (stream.schema, schema))
            raise ValueError(f"it has {rows:,} rows of {found}, expected {count or 'rows'} of {expected}")


def _some(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows, a few hundred at a time."""
    found: list[Row] = []
    for row in rows:
        found.append(row)
        if len(found) == AT_ONCE:
            yield found
            found = []
    if found:
        yield found


def _array(values: list[Any], kind: Any) -> Any:
    """The values of some rows as an Arrow array."""
    import pyarrow as pa

    if not pa.types.is_list(kind) and not pa.types.is_fixed_size_list(kind):
        return pa.array(values, kind)
    content = pa.array(np.concatenate(values), kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(content, type=kind)
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), content, type=kind)
