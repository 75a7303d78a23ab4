"""What the readers of published files share."""

import codecs
import tarfile
import zlib
from pathlib import Path

from torch import Tensor

Examples = tuple[Tensor, Tensor]


UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error)
UTF8 = "utf-8-sig"
"""UTF-8 with or without a byte order mark before the text, which is no part of it."""
OTHER = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
"""First bytes of text in other encodings."""


def listed(bases: tuple[Path, ...]) -> str:
    """Name the places that were looked at."""
    return " or ".join(str(base) for base in bases)


def is_hidden(path: Path) -> bool:
    """Tell whether a file is one that systems put beside the others, such as ``._x.png``."""
    return path.name.startswith(".")


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """List the files in a folder with one of some suffixes, upper case or lower, sorted; none if it is not there.

    Hidden ones are left out.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in suffixes and not is_hidden(path))


def check_encoding(start: bytes, file: str) -> None:
    """Raise unless the first bytes of ``file`` can be those of UTF-8.

    Raises:
        ValueError: they are the mark of another encoding.
    """
    for name, marks in OTHER.items():
        if start.startswith(marks):
            raise ValueError(f"{file} is {name}, expected UTF-8: convert it, as with iconv -f {name} -t UTF-8")


def check_text(text: str, place: str) -> None:
    """Raise if a text has a zero byte, which no text has, and every one in UTF-16 without its mark.

    Raises:
        ValueError: it has.
    """
    if "\0" in text:
        raise ValueError(f"{place} has a zero byte, as damaged files and UTF-16 have: fetch it again, or convert it")


def text_of(raw: bytes, file: str) -> str:
    r"""Decode the content of a text file in UTF-8, without the byte order mark that it may have.

    Raises:
        ValueError: it is in another encoding, or damaged.

    >>> text_of(b"\xef\xbb\xbfgood", "a.txt")
    'good'
    """
    check_encoding(raw[:4], file)
    try:
        text = raw.decode(UTF8)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no UTF-8 ({error}): fetch it again") from error
    check_text(text, file)
    return text
