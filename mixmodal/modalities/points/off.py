"""Triangle meshes, and the OFF files that hold them."""

import codecs
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from mixmodal.modalities.points.polygons import triangulated

Line = tuple[int, list[bytes]]


T = TypeVar("T")
KEYWORD = re.compile(rb"((?:ST|C|N)*)OFF(\d*)")
"""The first word: what vertices have besides their coordinates, and the first count if it is joined on."""
EXTRAS = {b"N": (3,), b"C": (3, 4), b"ST": (2,)}
"""How many numbers make up a normal, a colour without and with opacity, and texture coordinates."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Args:
        vertices: corners (V, 3), float64, in any unit.
        faces: the three corners of each triangle, int64 (F, 3), from 0 to V - 1.

    >>> Mesh(torch.eye(3).double(), torch.tensor([[0, 1, 2]])).faces
    tensor([[0, 1, 2]])
    """

    vertices: Tensor
    faces: Tensor


def read_off(path: Path | str) -> Mesh:
    r"""Read a mesh from an OFF file, allowing for how files of ModelNet and of common programs depart from the format.

    The header may be joined to the counts ("OFF1568 1320 0"), counts may be spread over several lines, and that of the
    edges may be missing. Comments (#), blank lines, colours of faces, and colours, normals and texture coordinates of
    vertices are ignored: the header announces them (COFF, NOFF, CNOFF, STOFF and so on), except that vertices may also
    have colours under plain OFF, if all of them do. A polygon of more than three corners is split into triangles, even
    if it is concave: see `polygons.triangulated`, also for polygons that cross themselves, have no area, or are not
    planar. Triangles without area are kept.

    Args:
        path: the file.

    Returns:
        The mesh.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a three-dimensional OFF file in ASCII, is cut off, or goes on after its last face; a
            count is negative or not a whole number; a coordinate is not a finite number; a vertex has more or fewer
            numbers than the header announces, or than the first; a face has fewer than three corners, or one that is
            not a vertex; there is no vertex or face; all vertices coincide. The message names the file and the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "square.off"
    ...     size = path.write_text("OFF4 1 0  # a square\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
    ...     mesh = read_off(path)
    >>> mesh.vertices.shape, mesh.faces
    (torch.Size([4, 3]), tensor([[0, 1, 2],
            [0, 2, 3]]))

    Source: http://www.geomview.org/docs/html/OFF.html, in ASCII and without other dimensions (4OFF, nOFF).
    """
    path = Path(path)
    header, lines = _header(_lines(path))
    keyword, vertex_count, face_count = _read(path, iter(header), 1, "headers", _counts)[0]
    vertex = functools.partial(_vertex, sizes=_sizes(keyword), seen=set())
    vertices = _read(path, lines, vertex_count, "vertices", vertex)
    polygons = _read(path, lines, face_count, "faces", functools.partial(_polygon, vertices=vertex_count))
    for number, words in lines:
        raise ValueError(f"{path}, line {number}: {_shown(words)} comes after the last of {face_count} faces")
    places = torch.tensor(vertices, dtype=torch.float64)
    extent = (places.amax(0) - places.amin(0)).max().item()
    if not 0 < extent < math.inf:
        raise ValueError(f"{path}: the {vertex_count} vertices span {extent}; leave this mesh out")
    faces = [
        [corners[k] for k in triangle]
        for corners in polygons
        for triangle in triangulated([vertices[corner] for corner in corners])
    ]
    return Mesh(places, torch.tensor(faces))


def _lines(path: Path) -> Iterator[Line]:
    """Number and words of each non-empty line, without comments."""
    for number, line in enumerate(path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        content = line.split(b"#")[0]
        words = content.split()
        if b"_" in content:  # which Python allows in numbers
            raise ValueError(f"{path}, line {number}: {_shown(words)} has an underscore and must hold numbers")
        if words:
            yield number, words


def _header(lines: Iterator[Line]) -> tuple[list[Line], Iterator[Line]]:
    """The header as one line, completed with missing counts from the next lines, and the lines after it.

    A one-word line after the numbers of vertices and faces is the number of edges: a vertex has three words or more.
    """
    number, words = next(lines, (0, []))
    found = KEYWORD.fullmatch(words[0]) if words else None
    if not found:
        return [(number, words)], lines
    joined = bool(found[2])
    rest: list[Line] = []
    while len(words) + joined < 4:
        following = next(lines, None)
        if following is None or (len(words) + joined == 3 and len(following[1]) > 1):
            rest = [following] if following else []
            break
        words = [*words, *following[1]]
    return [(number, words)], itertools.chain(rest, lines)


def _read(path: Path, lines: Iterator[Line], count: int, what: str, parse: Callable[[list[bytes]], T]) -> list[T]:
    """The parsed content of the next `count` lines."""
    found: list[T] = []
    while len(found) < count:
        number, words = next(lines, (0, []))
        if not words:
            raise ValueError(f"{path}: the file ends after {len(found)} of {count} {what}; fetch it again")
        try:
            found.append(parse(words))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {_shown(words)}: {error}") from error
    return found


def _counts(words: list[bytes]) -> tuple[bytes, int, int]:
    """What vertices have besides their coordinates, and the numbers of vertices and faces."""
    expected = "expected OFF and three counts, of vertices and faces, 1 or more, and edges, 0 or more or left out"
    found = KEYWORD.fullmatch(words[0])
    if not found:
        raise ValueError(f"{expected}; C, N and ST may precede OFF, for what vertices have besides three coordinates")
    counts = [int(word) for word in (found[2], *words[1:]) if word]
    if len(counts) not in (2, 3) or min(counts) < 0 or 0 in counts[:2]:
        raise ValueError(expected)
    return found[1], counts[0], counts[1]


def _sizes(keyword: bytes) -> tuple[int, ...]:
    """How many numbers a vertex may have under a header."""
    extras = [EXTRAS[name] for name in re.findall(rb"ST|C|N", keyword)] or [(0, 3, 4)]
    return tuple(3 + sum(each) for each in itertools.product(*extras))


def _vertex(words: list[bytes], *, sizes: tuple[int, ...], seen: set[int]) -> list[float]:
    """The three coordinates of a vertex, which must have as many numbers as the one before it."""
    numbers = [float(word) for word in words]
    place = numbers[:3]
    if len(numbers) not in (seen or sizes) or not all(map(math.isfinite, place)):
        more = sorted({size - 3 for size in seen or sizes} - {0})
        also = f", and {' or '.join(map(str, more))} numbers of what else it has" if more else ""
        raise ValueError(f"expected 3 finite coordinates{also}")
    seen.add(len(numbers))
    return place


def _polygon(words: list[bytes], *, vertices: int) -> list[int]:
    """The corners of a polygon; what follows them is its colour."""
    end = 1 + max(int(words[0]), 0)
    corners, colour = [int(word) for word in words[1:end]], [float(word) for word in words[end:]]
    if len(corners) < max(end - 1, 3) or len(colour) > 4:
        raise ValueError("expected a number of corners, 3 or more, the corners, and at most 4 numbers of a colour")
    if not 0 <= min(corners) <= max(corners) < vertices:
        raise ValueError(f"expected corners in 0..{vertices - 1}")
    return corners


def _shown(words: list[bytes]) -> str:
    """The words of a line for a message, truncated to 60 characters."""
    return repr(b" ".join(words).decode("ascii", "backslashreplace")[:60])
