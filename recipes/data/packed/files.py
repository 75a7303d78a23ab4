"""Read the packed files; an error says which one is missing or damaged."""

import csv
import hashlib
import io
import lzma
from pathlib import Path

NAME = "packed"
"""What `--data` calls the set that comes with a recipe."""
FOLDER = Path(__file__).parent
DIGESTS = {
    "comments.csv.xz": "743219599e4d50fdae8c2ec366c4699903fbcd5632d917c9bcd79f4bef7a1e0a",
    "declarations.csv.xz": "1eb87614eda0e6f9e228d9e11b7e979d0ea6165ffb49ef38dc0cd4060914f78e",
    "furniture.csv.xz": "768393c1a14b7fd1027e1e4b2a841e8698ab2ad6680cdc13da198ab9415b11a3",
    "furniture.npy.xz": "d24e6b4a2175d02bc6f94632d0abf05c6942bf674abf06f93436f10a9ce1fe44",
    "speech.csv.xz": "5382059d3473bdb7fc5ac90181a37e818885aba051f443714d4646289f90035d",
    "speech.ogg": "af24426b30b9491f175c8fe8adf161f4675aff9d878d1ce77cb4ba7999b4c99c",
}
"""SHA-256 of each file."""


def content(name: str) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or not the one that comes with the recipes.

    >>> len(content("declarations.csv.xz"))
    36336
    """
    path = FOLDER / name
    remedy = "get the recipes again, from the repository or with python -m mixmodal.recipes --copy DIR"
    if not path.is_file():
        raise FileNotFoundError(f"{path}, which comes with the recipes, is not there: {remedy}")
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != DIGESTS[name]:
        raise ValueError(f"{path} has {len(raw):,} bytes that differ from those that come with the recipes: {remedy}")
    return raw


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a packed table, by the names in its header.

    Raises:
        FileNotFoundError, ValueError: see ``content``.

    >>> list(rows("declarations.csv.xz")[0])
    ['language', 'article', 'text']
    """
    return [*csv.DictReader(io.StringIO(lzma.decompress(content(name)).decode(), newline=""))]
