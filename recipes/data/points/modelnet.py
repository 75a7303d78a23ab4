"""ModelNet as it is published: its contents and its download.

Source: Wu et al. 2015, "3D ShapeNets", https://modelnet.cs.princeton.edu.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from recipes.data.download import fetch, temporary
from recipes.data.files import in_one_line

SPLITS = ("train", "test")
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, UnicodeDecodeError)
"""What damaged archives raise."""
MOST = 2**36
"""Most bytes that an archive may unpack to."""


@dataclass(frozen=True)
class ModelNet:
    """The published form of a ModelNet: folder, address of its archive, and numbers of training and test meshes."""

    folder: str
    url: str
    meshes: tuple[int, int]


MODELNETS = {
    "modelnet10": ModelNet(
        "ModelNet10", "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip", (3_991, 908)
    ),
    "modelnet40": ModelNet("ModelNet40", "https://modelnet.cs.princeton.edu/ModelNet40.zip", (9_843, 2_468)),
}


def download(root: Path, name: str) -> Path:
    """Fetch ``"modelnet10"`` (450 MB) or ``"modelnet40"`` (2 GB) and unpack it in ``root``.

    No hash is published: the length, the archive's own checksums and its numbers of meshes are checked.

    Returns:
        The folder of the set; one that is already there is left as it is.

    Raises:
        ValueError: the name is another one, or the archive is damaged or not the published one.
        ConnectionError: it cannot be fetched, or breaks off.
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
        fetch(facts.url, archive)
        _unpack(archive, partial_folder, facts)
        (partial_folder / facts.folder).rename(target)
    return target


def _unpack(archive: Path, folder: Path, facts: ModelNet) -> None:
    """Check the archive of a ModelNet and unpack it into ``folder``."""
    try:
        names = _checked(archive, facts)
    except DAMAGED as error:
        said = in_one_line(error)
        raise ValueError(f"{facts.url} gave no readable zip archive ({said}): fetch it again") from error
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, names)


def _checked(archive: Path, facts: ModelNet) -> list[str]:
    """The names of the meshes in an archive, checked to be there in full and undamaged; nothing else is unpacked."""
    form = re.compile(rf"{facts.folder}/[^./\\][^/\\]*/({'|'.join(SPLITS)})/[^./\\][^/\\]*\.off")
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if form.fullmatch(name)]
        size = sum(packed.getinfo(name).file_size for name in names)
        if size > MOST:
            raise ValueError(
                f"{facts.url} gave an archive of {size:,} bytes, expected {MOST:,} at most: fetch it again"
            )
        damaged = packed.testzip()
    found = tuple(sum(f"/{split}/" in name for name in names) for split in SPLITS)
    if damaged is not None or found != facts.meshes:
        reason = f"{in_one_line(damaged)} is damaged" if damaged else f"it has {found} meshes, expected {facts.meshes}"
        raise ValueError(f"{facts.url} gave an archive that cannot be used, {reason}: fetch it again")
    return names
