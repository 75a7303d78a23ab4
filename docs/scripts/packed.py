"""Pack the sets that come with the recipes, from Speech Commands, Jigsaw's toxic comments and furniture on disk.

    PYTHONPATH=. python docs/scripts/packed.py data recipes/data/packed

reads `data/speech_commands`, `data/toxic` and `data/furniture10`, writes the packed files, and prints the hash of each
for `recipes/data/packed/files.py`. The same data and versions give the same bytes. Source, licence and the rules by
which clips, comments and shapes are chosen are in the README.md beside the files.
"""

import csv
import hashlib
import io
import lzma
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from mixmodal.modalities.points.meshes import Mesh, sample_surface
from recipes.data.audio.files import RATE, decoded
from recipes.data.audio.folders import COMMANDS, clips, names_in
from recipes.data.audio.sets import LISTS
from recipes.data.packed import comments, furniture, speech
from recipes.data.text.files import read_toxic

OF_WORD = {"training": 70, "validation": 10, "testing": 20}
"""Clips of each word in each split."""
COMPRESSION = 0.7
"""Of the clips: 0 is the best sound, 1 the smallest file."""
POINTS = 2048
LEVELS = 255
"""Greatest coordinate of a shape; the least is 0."""
LICENCES = {
    "KatorLegaz": "CC BY 3.0 US",
    "Reallusion": "CC BY 3.0 US",
    "Scopia": "CC BY 3.0",
    "BlendSwap-CC-BY": "CC BY 3.0",
    "BlendSwap-CC-0": "CC0 1.0",
}
"""Of the libraries of furniture, by COPYRIGHT.debian beside them."""
CRC = 0x04C11DB7
"""Polynomial of the checksum of a page of Ogg."""


def pack_speech(folder: Path, out: Path) -> None:
    """Of each word and split the clips whose names have the least SHA-256, one after the other as Ogg Vorbis."""
    listed = {split: names_in(folder / file, COMMANDS) or set() for split, file in LISTS.items()}
    every = {*clips(folder, COMMANDS)}
    sides = {**listed, "training": every.difference(*listed.values())}
    chosen = [
        (split, name)
        for split, count in OF_WORD.items()
        for word in COMMANDS
        for name in sorted((n for n in sides[split] if n.split("/")[0] == word), key=_hash)[:count]
    ]
    waves, broken = decoded(folder, [name for _, name in chosen])
    if broken:
        raise ValueError(f"{folder} has clips that cannot be read: {', '.join(broken)}")
    packed = io.BytesIO()
    vorbis = {"format": "OGG", "subtype": "VORBIS", "compression_level": COMPRESSION}
    with soundfile.SoundFile(packed, "w", RATE, 1, **vorbis) as file:
        for wave in waves:
            file.write(wave.numpy())
    (out / speech.CLIPS).write_bytes(numbered(packed.getvalue()))
    _write(out / speech.LIST, ("split", "clip"), chosen)


def numbered(raw: bytes) -> bytes:
    """An Ogg file whose stream has the number 0, where the encoder draws one at random.

    Source: RFC 3533, section 6.
    """
    table = [_crc(byte << 24) for byte in range(256)]
    pages, start = bytearray(raw), 0
    while start < len(pages):
        sizes = pages[start + 27 : start + 27 + pages[start + 26]]
        end = start + 27 + len(sizes) + sum(sizes)
        pages[start + 14 : start + 18] = pages[start + 22 : start + 26] = bytes(4)
        checksum = 0
        for byte in pages[start:end]:
            checksum = checksum << 8 & 0xFFFFFFFF ^ table[checksum >> 24 ^ byte]
        pages[start + 22 : start + 26] = checksum.to_bytes(4, "little")
        start = end
    return bytes(pages)


def pack_comments(folder: Path, out: Path) -> None:
    """All comments with labels, in the split of the challenge."""
    sides = zip(comments.SPLITS, read_toxic((folder,)), strict=True)
    rows = [
        (split, text, *map(int, flags))
        for split, (texts, labels) in sides
        for text, flags in zip(texts, labels.tolist(), strict=True)
    ]
    _write(out / comments.TABLE, comments.FIELDS, rows)


def pack_furniture(folder: Path, out: Path) -> None:
    """Points of the surface of every shape, on a grid of 256 along its greatest extent, sorted."""
    with (folder / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        manifest = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] in ("train", "test")]
    columns = ("split", "class", "file", "licence", "creator", "catalog_name", "id")
    rows = [{**row, "licence": LICENCES[row["library"]]} for row in manifest]
    clouds = [
        _cloud(folder / "Furniture10" / row["class"] / row["split"] / row["file"], seed)
        for seed, row in enumerate(rows)
    ]
    whole = io.BytesIO()
    np.save(whole, np.stack(clouds))
    (out / furniture.CLOUDS).write_bytes(lzma.compress(whole.getvalue(), preset=9))
    _write(out / furniture.LIST, columns, ([row[name] for name in columns] for row in rows))


def _cloud(path: Path, seed: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Points (3, POINTS) of a mesh of triangles, read at once: `read_off`, which checks each line, takes minutes."""
    head, counts, body = path.read_text(encoding="ascii").split("\n", 2)
    corners, triangles, _ = map(int, counts.split())
    numbers = np.fromstring(body, sep=" ")
    faces = numbers[3 * corners :].reshape(triangles, 4)
    if head != "OFF" or not (faces[:, 0] == 3).all():
        raise ValueError(f"{path} is no OFF file of triangles")
    mesh = Mesh(torch.from_numpy(numbers[: 3 * corners].reshape(-1, 3)), torch.from_numpy(faces[:, 1:]).long())
    points = sample_surface(mesh, POINTS, seed=seed).numpy()
    extent = points - points.min(0)
    grid = np.rint(extent / extent.max() * LEVELS).astype(np.uint8)
    return grid[np.lexsort(grid.T[::-1])].T


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a packed table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(lzma.compress(text.getvalue().encode(), preset=9))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _crc(value: int) -> int:
    """Checksum of a byte, which stands in the first eight of 32 bits."""
    for _ in range(8):
        value = value << 1 & 0xFFFFFFFF ^ (CRC if value >> 31 else 0)
    return value


def main(data: Path, out: Path) -> None:
    """Pack all three."""
    pack_speech(data / "speech_commands", out)
    pack_comments(data / "toxic", out)
    pack_furniture(data / "furniture10", out)
    for path in sorted(path for path in out.iterdir() if path.suffix in (".xz", ".ogg")):
        print(f'    "{path.name}": "{hashlib.sha256(path.read_bytes()).hexdigest()}",')


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
