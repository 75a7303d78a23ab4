"""Triangle meshes, and the OFF files that hold them."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

Line = tuple[int, list[bytes]]


T = TypeVar("T")


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
    r"""Read a mesh from an OFF file, with what ModelNet's files do otherwise than the format says.

    The header may be joined to the counts ("OFF1568 1320 0"). Comments (#), blank lines and colours of faces are left
    out. A polygon of more than three corners becomes a fan of triangles about its first.

    Args:
        path: the file.

    Returns:
        The mesh.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no OFF file, is cut off, or goes on after its last face; a count is negative or none; a
            coordinate is no finite number; a face has fewer than three corners, or one that is no vertex; there is no
            vertex or face; all vertices are in one place. The file and the line are named.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "square.off"
    ...     size = path.write_text("OFF4 1 0  # a square\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
    ...     mesh = read_off(path)
    >>> mesh.vertices.shape, mesh.faces
    (torch.Size([4, 3]), tensor([[0, 1, 2],
            [0, 2, 3]]))

    Source: http://www.geomview.org/docs/html/OFF.html, in ASCII and without colours, normals or other dimensions.
    """
    path = Path(path)
    lines = _lines(path)
    vertex_count, face_count, *_ = _read(path, _counts_first(lines), 1, "headers", _counts)[0]
    vertices = _read(path, lines, vertex_count, "vertices", _vertex)
    polygons = _read(path, lines, face_count, "faces", functools.partial(_polygon, vertices=vertex_count))
    for number, words in lines:
        raise ValueError(f"{path}, line {number}: {_shown(words)} comes after the last of {face_count} faces")
    faces = [[corners[0], *edge] for corners in polygons for edge in itertools.pairwise(corners[1:])]
    mesh = Mesh(torch.tensor(vertices, dtype=torch.float64), torch.tensor(faces))
    extent = (mesh.vertices.amax(0) - mesh.vertices.amin(0)).max().item()
    if not 0 < extent < math.inf:
        raise ValueError(f"{path}: the {vertex_count} vertices span {extent}; leave this mesh out")
    return mesh


def _lines(path: Path) -> Iterator[Line]:
    """Number and words of each line that has any, without comments."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        content = line.split(b"#")[0]
        words = content.split()
        if b"_" in content:  # which Python's numbers may have
            raise ValueError(f"{path}, line {number}: {_shown(words)} has an underscore and must hold numbers")
        if words:
            yield number, words


def _counts_first(lines: Iterator[Line]) -> Iterator[Line]:
    """The header as one line, with its counts joined to it or on the next line."""
    for number, words in lines:
        yield number, words if words != [b"OFF"] else [*words, *next(lines, (number, []))[1]]


def _read(path: Path, lines: Iterator[Line], count: int, what: str, parse: Callable[[list[bytes]], T]) -> list[T]:
    """What the next `count` lines hold."""
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


def _counts(words: list[bytes]) -> list[int]:
    """Numbers of vertices, faces and edges."""
    expected = "expected OFF and three counts, of vertices and faces, 1 or more, and edges, 0 or more"
    if not words[0].startswith(b"OFF"):
        raise ValueError(expected)
    counts = [int(word) for word in (words[0].removeprefix(b"OFF"), *words[1:]) if word]
    if len(counts) != 3 or min(counts) < 0 or 0 in counts[:2]:
        raise ValueError(expected)
    return counts


def _vertex(words: list[bytes]) -> list[float]:
    """Three coordinates."""
    place = [float(word) for word in words]
    if len(place) != 3 or not all(map(math.isfinite, place)):
        raise ValueError("expected 3 finite coordinates")
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
    """The words of a line for a message, cut at 60 characters."""
    return repr(b" ".join(words).decode("ascii", "backslashreplace")[:60])
