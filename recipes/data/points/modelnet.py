"""ModelNet as it is published: what it holds, and fetching it.

Source: Wu et al. 2015, "3D ShapeNets", https://modelnet.cs.princeton.edu.
"""

import shutil
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

SPLITS = ("train", "test")
MOST = 2**36
"""Bytes that an archive unpacks to at most."""


@dataclass(frozen=True)
class ModelNet:
    """The published form of a ModelNet: folder, address of its archive, and numbers of training and test meshes."""

    folder: str
    url: str
    meshes: tuple[int, int]


MODELNETS = {
    "modelnet10": ModelNet(
        "ModelNet10", "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip", (3_991, 908)
    ),
    "modelnet40": ModelNet("ModelNet40", "http://modelnet.cs.princeton.edu/ModelNet40.zip", (9_843, 2_468)),
}


def download(root: Path, name: str) -> Path:
    """Fetch ``"modelnet10"`` (450 MB) or ``"modelnet40"`` (2 GB) and unpack it in ``root``.

    No checksum is published: the archive's own checksums and its numbers of meshes are checked.

    Returns:
        The folder of the set; one that is there already is left as it is.

    Raises:
        ValueError: another name, or the archive is damaged or another one.
        ConnectionError: it cannot be fetched.
    """
    if name not in MODELNETS:
        raise ValueError(f"name={name!r} cannot be fetched: choose {' or '.join(MODELNETS)}")
    facts = MODELNETS[name]
    target = root / facts.folder
    if target.exists():
        return target
    root.mkdir(parents=True, exist_ok=True)
    with temporary(target) as partial_folder:
        partial_folder.mkdir()
        archive = partial_folder / "archive.zip"
        try:
            with urllib.request.urlopen(facts.url, timeout=60) as response, archive.open("wb") as file:
                shutil.copyfileobj(response, file)
        except (OSError, HTTPException) as error:
            raise ConnectionError(
                f"{facts.url} cannot be fetched ({error}): get it by other means, unpack it and give its folder with "
                f"--data-root"
            ) from error
        _unpack(archive, partial_folder, facts)
        (partial_folder / facts.folder).rename(target)
    return target


def _unpack(archive: Path, folder: Path, facts: ModelNet) -> None:
    """Unpack the archive of a ModelNet into ``folder`` after it was checked."""
    try:
        with zipfile.ZipFile(archive) as packed:
            names = [name for name in packed.namelist() if name.startswith(f"{facts.folder}/")]
            found = tuple(sum(f"/{split}/" in name and name.endswith(".off") for name in names) for split in SPLITS)
            size = sum(packed.getinfo(name).file_size for name in names)
            if size > MOST:
                raise ValueError(
                    f"{facts.url} gave an archive of {size:,} bytes, expected {MOST:,} at most: fetch it again"
                )
            damaged = packed.testzip()
            if damaged is not None or found != facts.meshes:
                reason = f"{damaged} is damaged" if damaged else f"it has {found} meshes, expected {facts.meshes}"
                raise ValueError(f"{facts.url} gave an archive that cannot be used, {reason}: fetch it again")
            packed.extractall(folder, names)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{facts.url} gave no zip archive ({error}): fetch it again") from error


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A path beside ``target`` of which nothing is left in the end."""
    path = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
