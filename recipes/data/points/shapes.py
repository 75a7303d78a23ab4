"""Files of one shape: meshes in OFF, and meshes or clouds of points in PLY and npz."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixmodal.modalities.points.off import Mesh, read_off
from mixmodal.modalities.points.polygons import triangulated
from recipes.data.disk.arrays import DAMAGED, read_array
from recipes.data.files import in_one_line

SUFFIXES = (".off", ".ply", ".npz")
MOST = 2**27
"""Most vertices, points or faces of a shape."""
MOST_BYTES = 2**32
"""Most bytes of an array in an npz file."""
NUMBERS = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")

Shape = Mesh | Tensor


def read_shape(path: Path) -> Shape:
    """Read a mesh, or a cloud of points (N, 3) float64, depending on the suffix of its file.

    An npz file has ``points`` (N, 3 or more), of which the first three columns are read; or ``vertices`` (V, 3) and
    ``faces`` (F, 3), which count from 0. A PLY file without faces is a cloud. See ``read_off`` for OFF.

    Raises:
        ValueError: the file is damaged, of another form, or all its points are in one place.
    """
    read: dict[str, Callable[[Path], Shape]] = {".off": read_off, ".ply": read_ply, ".npz": _read_npz}
    shape = read[path.suffix.lower()](path)
    places = shape if isinstance(shape, Tensor) else shape.vertices
    extent = places.amax(0) - places.amin(0)
    if not places.isfinite().all() or not extent.any():
        raise ValueError(f"{path} has points that are not finite, or all in one place: leave this shape out")
    return shape


def _read_npz(path: Path) -> Shape:
    """Read ``points``, or ``vertices`` and ``faces``; no pickles are read."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as packed:
            names = [name.removesuffix(".npy") for name in packed.namelist()]
            for name in {"points", "vertices", "faces"} & {*names}:
                with packed.open(f"{name}.npy") as file:
                    arrays[name] = read_array(file, most=MOST_BYTES)
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read ({in_one_line(error)}): write it again with numpy.savez") from error
    if not ("points" in arrays or {"vertices", "faces"} <= {*arrays}):
        found = in_one_line(", ".join(names)) or "nothing"
        raise ValueError(f"{path} has {found}, expected points, or vertices and faces")
    places = arrays["points"] if "points" in arrays else arrays["vertices"]
    if places.ndim != 2 or not len(places) or places.shape[1] < 3 or places.dtype.kind not in "fiu":
        raise ValueError(f"{path} has points {places.dtype} {places.shape}, expected numbers (N, 3), one or more")
    vertices = torch.from_numpy(places[:, :3].astype(np.float64))
    if "points" in arrays:
        return vertices
    faces = arrays["faces"]
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        raise ValueError(f"{path} has faces {faces.dtype} {faces.shape}, expected whole numbers (F, 3), one or more")
    if int(faces.min()) < 0 or int(faces.max()) >= len(places):
        raise ValueError(f"{path} has faces with corners outside 0..{len(places) - 1}, the numbers of its vertices")
    return Mesh(vertices, torch.from_numpy(faces.astype(np.int64)))


@dataclass(frozen=True)
class Property:
    """A property of a PLY element: its name, the type of its numbers, and that of their count if it is a list."""

    name: str
    kind: str
    count: str | None = None


@dataclass
class Element:
    """Elements of one kind in a PLY file."""

    name: str
    count: int
    properties: list[Property]


def read_ply(path: Path) -> Shape:
    """Read the vertices and faces of a PLY file, in ASCII or binary of either byte order.

    Other elements and other properties are skipped. Polygons of more than three corners become triangles, as in
    ``read_off``; a file without faces is a cloud (N, 3) float64.

    Raises:
        ValueError: the file is not a PLY file, is cut off, or has no vertices, or faces with invalid corners.

    Source: Turk 1994, "The PLY Polygon File Format".
    """
    raw = path.read_bytes()
    order, elements, start = _header(path, raw)
    read = _in_words(path, raw, start) if not order else _in_bytes(path, raw, start, order)
    columns: list[list[float]] = []
    listed: list[list[float]] = []
    for element in elements:
        places = [_place(element, name, path) for name in "xyz"] if element.name == "vertex" else []
        corners = next((i for i, each in enumerate(element.properties) if each.name in CORNERS), None)
        if element.name == "face" and corners is None and element.count:
            raise ValueError(f"{path} has faces without a list vertex_indices: write it again with one")
        if element.count and not element.properties:  # reading them would take no bytes and never end
            raise ValueError(f"{path} has {element.count:,} elements {element.name} without a property: write it again")
        for number in range(element.count):
            values = read(element, number)
            if places:
                columns.append([values[place][0] for place in places])
            elif element.name == "face" and corners is not None:
                listed.append(values[corners])
    if not columns:
        raise ValueError(f"{path} has no vertices: leave this shape out")
    vertices = torch.tensor(columns, dtype=torch.float64)
    if not listed:
        return vertices
    wrong = next(
        (i for i, each in enumerate(listed) if len(each) < 3 or not all(_is_place(value, columns) for value in each)),
        None,
    )
    if wrong is not None:
        corners_of = ", ".join(f"{value:g}" for value in listed[wrong][:9])
        raise ValueError(
            f"{path}: face {wrong} has the corners [{corners_of}], expected three or more in 0..{len(columns) - 1}"
        )
    polygons = [[int(value) for value in each] for each in listed]
    faces = [[each[k] for k in three] for each in polygons for three in triangulated([columns[c] for c in each])]
    return Mesh(vertices, torch.tensor(faces))


def _header(path: Path, raw: bytes) -> tuple[str, list[Element], int]:
    """The byte order, empty for ASCII; the elements; and where their data begin."""
    end = raw.find(b"end_header")
    if not raw.startswith(b"ply") or end < 0:
        raise ValueError(f"{path} is not a PLY file, which begins with ply and has a header up to end_header")
    order, elements = None, list[Element]()
    for number, line in enumerate(raw[:end].decode("ascii", "replace").splitlines(), 1):
        match line.split():
            case ["ply"] | ["comment" | "obj_info", *_] | []:
                continue
            case ["format", form, "1.0"] if form in ORDERS:
                order = ORDERS[form]
            case ["element", name, count] if count.isdecimal() and int(count) <= MOST:
                elements.append(Element(name, int(count), []))
            case ["property", "list", count, kind, name] if elements and count in NUMBERS and kind in NUMBERS:
                elements[-1].properties.append(Property(name, NUMBERS[kind], NUMBERS[count]))
            case ["property", kind, name] if elements and kind in NUMBERS:
                elements[-1].properties.append(Property(name, NUMBERS[kind]))
            case _:
                raise ValueError(
                    f"{path} line {number} is {line!r:.80}, which is not valid in a PLY header: write it again"
                )
    if order is None:
        raise ValueError(f"{path} has no line with its format, such as 'format ascii 1.0': write it again")
    after = raw.find(b"\n", end)
    return order, elements, len(raw) if after < 0 else after + 1


def _is_place(value: float, of: Sequence[object]) -> bool:
    """Whether a number is a place in a list."""
    return float(value).is_integer() and 0 <= value < len(of)


def _count(value: float) -> int:
    """How many numbers a list has.

    Raises:
        ValueError: it is not a whole number of at least 0.
    """
    if not (float(value).is_integer() and value >= 0):
        raise ValueError
    return int(value)


def _place(element: Element, name: str, path: Path) -> int:
    """Number of a coordinate among the properties of the vertices."""
    found = next((i for i, each in enumerate(element.properties) if each.name == name and not each.count), None)
    if found is None:
        raise ValueError(f"{path} has vertices without {name}, expected x, y and z")
    return found


Reader = Callable[[Element, int], list[list[float]]]


def _in_words(path: Path, raw: bytes, start: int) -> Reader:
    """A reader of the lines of an ASCII file."""
    first = raw.count(b"\n", 0, start) + 1
    lines: Iterator[tuple[int, list[bytes]]] = (
        (number, line.split()) for number, line in enumerate(raw[start:].splitlines(), first) if line.strip()
    )

    def read(element: Element, number: int) -> list[list[float]]:
        at, words = next(lines, (0, []))
        if not words:
            raise ValueError(f"{path} ends after {number:,} of {element.count:,} {element.name} lines: fetch it again")
        values, place = [], 0
        try:
            numbers = [float(word) for word in words]
            for each in element.properties:
                count = _count(numbers[place]) if each.count else 1
                place += bool(each.count)
                values.append(numbers[place : place + count])
                place += count
        except (ValueError, LookupError, OverflowError):
            place = -1
        if place != len(words):
            said = b" ".join(words).decode("ascii", "replace")
            raise ValueError(
                f"{path} line {at} is {said!r:.80}, expected the numbers that the header describes: fetch it again"
            )
        return values

    return read


def _in_bytes(path: Path, raw: bytes, start: int, order: str) -> Reader:
    """A reader of a binary file."""
    place = start

    def take(kind: str, count: int) -> list[float]:
        nonlocal place
        dtype: np.dtype[Any] = np.dtype(order + kind)
        if count < 0 or place + count * dtype.itemsize > len(raw):
            raise ValueError
        found: list[float] = np.frombuffer(raw, dtype, count, place).tolist()
        place += count * dtype.itemsize
        return found

    def read(element: Element, number: int) -> list[list[float]]:
        try:
            return [take(each.kind, _count(take(each.count, 1)[0]) if each.count else 1) for each in element.properties]
        except (ValueError, OverflowError):
            raise ValueError(
                f"{path} ends after {number:,} of {element.count:,} of its elements {element.name}: fetch it again"
            ) from None

    return read
