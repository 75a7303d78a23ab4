"""What the readers of published files share."""

import codecs
import csv
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from recipes.data.disk.lazy import Samples

Examples = tuple[Samples, Tensor]


UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error)
UTF8 = "utf-8-sig"
"""UTF-8, with or without a byte order mark, which is not part of the text."""
OTHER = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
"""First bytes of text in other encodings."""


class Bounded:
    """A file that is read up to a limit, so that one that unpacks to gigabytes does not fill the memory.

    Args:
        file: the file to read.
        most: most bytes to read in total.
        at_once: most bytes to read at once.
        name: of the file, for errors.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, *, most: int, at_once: int, name: str) -> None:
        self.file, self.most, self.at_once, self.name = file, most, at_once, name

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all if negative.

        Raises:
            ValueError: the file has more bytes than the limit, or too many are read at once.
        """
        found = self.file.read(self.at_once + 1 if size < 0 else min(size, self.at_once + 1))
        if len(found) > self.at_once or self.file.tell() > self.most:
            most = self.at_once if len(found) > self.at_once else self.most
            raise ValueError(f"{self.name} unpacks to more than {most:,} bytes, expected fewer: fetch it again")
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(min(offset, self.most + 1), whence)

    def tell(self) -> int:
        return self.file.tell()


def unzipped(path: Path, most: int) -> bytes:
    """Read a gzipped file.

    Raises:
        ValueError: it is damaged, or unpacks to more than `most` bytes.
    """
    try:
        with gzip.open(path) as file:
            return Bounded(file, most=most, at_once=most, name=f"{path}").read()
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read to its end ({in_one_line(error)}): fetch it again") from error


def members(path: Path, wanted: Callable[[str], bool], *, most_each: int, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and contents of members of a tar archive, plain or gzipped; nothing is written to disk.

    Args:
        path: the archive.
        wanted: tells from a member's name whether to read it.
        most_each: number of bytes that a member may have.
        most: number of bytes that the archive may unpack to.

    Raises:
        ValueError: the archive is damaged or larger, or a wanted member is larger or a link.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            content = gzip.GzipFile(fileobj=raw) if packed else raw
            whole: Any = Bounded(content, most=most, at_once=most_each + tarfile.BLOCKSIZE, name=f"{path}")
            with tarfile.open(fileobj=whole, mode="r:") as archive:
                for member in archive:
                    if member.isdir() or not wanted(member.name):
                        continue
                    name = in_one_line(member.name)
                    if not member.isreg():
                        raise ValueError(f"{path} has {name} as a link, expected a file: fetch it again")
                    if member.size > most_each:
                        raise ValueError(
                            f"{path} has {name} of {member.size:,} bytes, expected {most_each:,} at most: "
                            f"fetch it again"
                        )
                    file = archive.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()
    except (*UNREADABLE, RecursionError, OverflowError) as error:
        raise ValueError(f"{path} cannot be read to its end ({in_one_line(error)}): fetch it again") from error


def in_one_line(said: object, most: int = 200) -> str:
    r"""The message of an error, or a name in a file, in one line of at most `most` characters.

    >>> in_one_line("damaged\n  \u2028header")
    'damaged header'
    """
    return " ".join(f"{said}".split())[:most]


def listed(bases: tuple[Path, ...]) -> str:
    """Name the places that were searched."""
    return " or ".join(str(base) for base in bases)


def is_hidden(path: Path) -> bool:
    """Tell whether a file is hidden, like those that operating systems add, such as ``._x.png``."""
    return path.name.startswith(".")


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """List the files in a folder that have one of the suffixes, in any case, sorted; none if there is no folder.

    Hidden files are left out.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in suffixes and not is_hidden(path))


def check_encoding(start: bytes, file: str) -> None:
    """Raise if the first bytes of ``file`` are the mark of an encoding other than UTF-8.

    Raises:
        ValueError: they are.
    """
    for name, marks in OTHER.items():
        if start.startswith(marks):
            raise ValueError(f"{file} is {name}, expected UTF-8: convert it, for example with iconv -f {name} -t UTF-8")


def check_text(text: str, place: str) -> None:
    """Raise if a text has a zero byte: no valid text has one, but any in UTF-16 without its mark does.

    Raises:
        ValueError: it has one.
    """
    if "\0" in text:
        raise ValueError(f"{place} has a zero byte, as damaged files and UTF-16 do: fetch it again, or convert it")


def text_of(raw: bytes, file: str) -> str:
    r"""Decode the content of a text file in UTF-8, without its byte order mark if it has one.

    Raises:
        ValueError: it is in another encoding, or damaged.

    >>> text_of(b"\xef\xbb\xbfgood", "a.txt")
    'good'
    """
    check_encoding(raw[:4], file)
    try:
        text = raw.decode(UTF8)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 ({error}): fetch it again") from error
    check_text(text, file)
    return text


def csv_rows(path: Path) -> Iterator[list[str]]:
    """Read the rows of a comma-separated table in UTF-8.

    Raises:
        ValueError: it is in another encoding, or damaged.
    """
    reader = csv.reader(io.StringIO(text_of(path.read_bytes(), f"{path}"), newline=""))
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num} cannot be read ({error}): fetch it again") from error
