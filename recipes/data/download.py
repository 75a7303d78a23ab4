"""Published archives, fetched over https as a whole or not at all."""

import shutil
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path

PIECE = 2**20
SECONDS = 60
"""Longest wait for the next byte."""


def fetch(url: str, path: Path, *, digest: str | None = None) -> None:
    """Fetch a file and check its length and, if it is known, its hash.

    Args:
        url: over https; a redirection to anything else is refused.
        path: where it is written; call it within `temporary`, so that no partial file is left behind.
        digest: its SHA-256 in hexadecimal.

    Raises:
        ConnectionError: it cannot be fetched, or breaks off.
        ValueError: it is not the published file, or does not come over https.
    """
    found = sha256()
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response, path.open("wb") as file:
            for place in (url, response.geturl()):
                if not place.startswith("https://"):
                    raise ValueError(f"{url} would come from {place}, expected https: get it by other means")
            promised = response.headers.get("Content-Length")
            while piece := response.read(PIECE):
                found.update(piece)
                file.write(piece)
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"{url} cannot be fetched ({error}): get it by other means, unpack it and give its folder with --data-root"
        ) from error
    size = path.stat().st_size
    if promised is not None and size != int(promised):
        raise ConnectionError(f"{url} broke off after {size:,} of {int(promised):,} bytes: try again")
    if digest is not None and found.hexdigest() != digest:
        raise ValueError(f"{url} gave a file with the SHA-256 {found.hexdigest()}, expected {digest}: try again")


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target``, removed at the end."""
    path = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
