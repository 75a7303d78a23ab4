"""One's own shapes: PLY in its three forms, meshes and clouds in npz, splits, and every error."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes import points
from recipes.data.points.sets import load
from recipes.data.points.shapes import read_shape
from recipes.data.splits import Split

CORNERS = [(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0), (0.5, 0.5, 3)]
FACES = [[0, 1, 2, 3], [0, 1, 4], [1, 2, 4]]
HEADER = """ply
format {form} 1.0
comment of a program
element vertex 5
property float y
property float x
property uchar red
property double z
element face 3
property float weight
property list uchar int vertex_indices
element edge 1
property int vertex1
end_header
"""


def ply(form: str) -> bytes:
    """A pyramid with an open side: coordinates in another order, a colour, a weight, and an edge."""
    header = HEADER.format(form=form).encode()
    if form == "ascii":
        lines = [f"{y} {x} 7 {z}" for x, y, z in CORNERS]
        lines += [f"0.5 {len(face)} {' '.join(map(str, face))}" for face in FACES]
        return header + "\n".join([*lines, "3", ""]).encode()
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}[form]
    vertices = np.array(
        [(y, x, 7, z) for x, y, z in CORNERS],
        dtype=[(n, order + k) for n, k in zip("yxrz", ("f4", "f4", "u1", "f8"), strict=True)],
    )
    faces = [
        np.float32(0.5).astype(f"{order}f4").tobytes() + bytes([len(f)]) + np.array(f, f"{order}i4").tobytes()
        for f in FACES
    ]
    return header + vertices.tobytes() + b"".join(faces) + np.array([3], f"{order}i4").tobytes()


def cloud(path: Path, seed: int, count: int = 40, stretch: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    places = np.random.default_rng(seed).normal(size=(count, 4)) * np.array([1, stretch, 1, 1])
    np.savez(path, points=places)
    return path


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_files_are_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.PLY"
    path.write_bytes(ply(form))
    mesh: Any = read_shape(path)
    assert mesh.vertices.tolist() == [list(map(float, corner)) for corner in CORNERS]
    square, *rest = mesh.faces.tolist()[:2], *mesh.faces.tolist()[2:]
    assert sorted(corner for face in square for corner in face) in ([0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 3, 3])
    assert rest == FACES[1:]


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_a_ply_file_that_is_cut_off_is_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.ply"
    whole = ply(form)
    for end in (len(whole) - 3, len(whole) - 30, whole.index(b"end_header") + 30):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"a.ply (ends after \d|line \d+ is .*, expected the numbers)"):
            read_shape(path)


def test_a_ply_file_without_faces_is_a_cloud(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    vertex = "element vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    path.write_text(f"ply\nformat ascii 1.0\n{vertex}end_header\n0 1 2\n3 4 5\n")
    assert read_shape(path).tolist() == [[0, 1, 2], [3, 4, 5]]  # type: ignore[union-attr]


def test_npz_files_are_meshes_or_clouds(tmp_path: Path) -> None:
    path = cloud(tmp_path / "a.npz", 0)
    found = read_shape(path)
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == np.load(path)["points"][:, :3].tolist()
    np.savez(tmp_path / "b.npz", vertices=np.float32(CORNERS), faces=np.uint16(FACES[1:]))
    mesh: Any = read_shape(tmp_path / "b.npz")
    assert mesh.vertices.tolist() == [list(map(float, corner)) for corner in CORNERS]
    assert mesh.faces.tolist() == FACES[1:]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 3))}, "has x, expected points, or vertices and faces"),
        ({"points": np.zeros((4, 2))}, r"has points float64 \(4, 2\), expected numbers \(N, 3\), one or more"),
        ({"points": np.zeros((4, 3))}, "all in one place: leave this shape out"),
        ({"points": np.full((4, 3), np.nan)}, "not finite"),
        ({"points": np.array([[None] * 3])}, "cannot be read .*: write it again with numpy.savez"),
        ({"vertices": np.eye(3), "faces": np.array([[0, 1, 3]])}, r"corners outside 0\.\.2"),
        ({"vertices": np.eye(3), "faces": np.array([[0.0, 1, 2]])}, "has faces float64"),
    ],
)
def test_bad_npz_files_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=f"a.npz .*{message}"):
        read_shape(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ply\n", "plx\n", "is not a PLY file"),
        ("format ascii 1.0\n", "", "has no line with its format"),
        ("element vertex 5", "element vertex -5", r"line 4 is 'element vertex -5', which is not valid in a PLY header"),
        ("property float x", "property float u", "has vertices without x, expected x, y and z"),
        ("0.5 3 0 1 4", "0.5 3 0 1 5", r"face 1 has the corners \[0, 1, 5\], expected three or more in 0\.\.4"),
        ("0.5 3 0 1 4", "0.5 3 0 one 4", r"line 21 is '0.5 3 0 one 4', expected the numbers"),
        ("0.5 3 0 1 4", "0.5 4 0 1 4", r"line 21 is '0.5 4 0 1 4', expected the numbers"),
        ("vertex_indices", "corners", "has faces without a list vertex_indices"),
    ],
)
def test_bad_ply_files_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = ply("ascii").decode()
    assert old in text
    (tmp_path / "a.ply").write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"a.ply:? .*{message}"):
        read_shape(tmp_path / "a.ply")


def test_points_are_drawn_from_clouds(tmp_path: Path) -> None:
    """Each once where there are enough; what is drawn is told by its place after the least and greatest are undone."""
    for side in ("train", "test"):
        cloud(tmp_path / side / "a" / "0.npz", 1 + (side == "test"), count=20)
    data = load("folder", tmp_path, points=20)
    places = torch.from_numpy(np.load(tmp_path / "train" / "a" / "0.npz")["points"][:, :3])
    standard = (places - places.mean(0)) / places.std(0, correction=0)
    order = lambda x: sorted(tuple(round(value, 3) for value in row) for row in x.tolist())
    assert order(data.train_x[0]) == order(standard)
    assert load("folder", tmp_path, points=50).train_x.shape == (1, 50, 3)
    assert torch.equal(load("folder", tmp_path, points=7).train_x, load("folder", tmp_path, points=7).train_x)


def test_voxels_of_a_cloud_hold_its_points(tmp_path: Path) -> None:
    for side in ("train", "test"):
        (tmp_path / side / "a").mkdir(parents=True)
        last = 0.9 if side == "train" else 0.8
        np.savez(tmp_path / side / "a" / "0.npz", points=np.array([[0, 0, 0], [1, 0.4, last]]))
    data = load("folder", tmp_path, form="voxels", resolution=2)
    assert data.train_x.dtype == torch.bool
    assert data.train_x[0, 0].nonzero().tolist() == [[0, 0, 0], [1, 0, 1]]


def test_another_split_is_another_cache(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(4):
        cloud(root / "a" / f"{k}.npz", k)
    file = tmp_path / "list.txt"
    for tests in (["a/3.npz"], ["a/2.npz", "a/3.npz"]):
        file.write_text("\n".join(tests))
        data = load("folder", root, points=5, cache=tmp_path / "cache", split=Split(test_list=file))
        assert len(data.test_y) == len(tests)
        assert len(data.train_y) == 4 - len(tests)


def test_the_recipe_runs_on_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    for k in range(8):
        cloud(root / "flat" / f"scan{k}_a.npz", k, stretch=0.1)
        cloud(root / "round" / f"scan{k}_b.npz", k + 100)
    small = ["--smoke", "--points", "16", "--width", "4", "--batch-size", "6", "--device", "cpu", "--method", "fmix"]
    own = ["--data", "folder", "--data-root", str(root), "--group", "(scan[0-9])", "--cache", str(tmp_path / "cache")]
    points.main([*small, *own, "--test-share", "0.4", "--out", str(tmp_path / "run")])
    assert 0 <= json.loads((tmp_path / "run" / "result.json").read_text())["score"] <= 100
    with pytest.raises(SystemExit):
        points.main(["--group", "x"])
    assert "group='x' is not for --data packed: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("corner", ["nan", "inf", "1.5", "-1", "5"])
def test_a_corner_is_the_number_of_a_vertex(tmp_path: Path, corner: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(ply("ascii").replace(b"0.5 3 0 1 4", f"0.5 3 0 1 {corner}".encode()))
    with pytest.raises(ValueError, match=r"a\.ply: face 1 has the corners \[.*\], expected three or more in 0\.\.4"):
        read_shape(path)


@pytest.mark.parametrize("count", ["3.5", "-1", "nan", "inf"])
def test_a_list_has_a_number_of_numbers(tmp_path: Path, count: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(ply("ascii").replace(b"0.5 3 0 1 4", f"0.5 {count} 0 1 4".encode()))
    with pytest.raises(ValueError, match=r"a\.ply line \d+ is .*, expected the numbers that the header describes"):
        read_shape(path)


def npy(shape: str, dtype: str = "<f8") -> bytes:
    """An array whose header says anything, with no number after it."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (npy("(2, 3)"), r"it claims float64 \(2, 3\) of 48 bytes and has another number of them"),
        (
            npy("(1000000000000, 3)"),
            r"it claims float64 \(1000000000000, 3\), expected [\d,]+ bytes at most",
        ),
        (npy("(-1, 3)"), r"it claims float64 \(-1, 3\)"),
        (npy("(2, 3)", "|O"), r"it claims object \(2, 3\), expected numbers"),
        (npy("(2, 3")[:-4], "its header is damaged"),
        (b"no array", "its header is damaged"),
        (b"", "its header is damaged"),
    ],
    ids=["cut off", "terabytes", "negative", "objects", "header", "other", "empty"],
)
def test_an_array_that_claims_what_it_has_not(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("points.npy", raw)
    with pytest.raises(ValueError, match=rf"a\.npz cannot be read \({message}.*: write it again"):
        read_shape(path)


def test_an_archive_of_something_else_is_named_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a\n.npy", b"")
        archive.writestr("b" * 999, b"")
    with pytest.raises(ValueError, match=r"a\.npz has a , b{196}, expected points, or vertices and faces$"):
        read_shape(tmp_path / "a.npz")


def test_arrays_are_read_in_either_order(tmp_path: Path) -> None:
    places = np.random.default_rng(0).normal(size=(4, 3))
    for array in (places, np.asfortranarray(places), places.astype(">f4")):
        np.savez(tmp_path / "a.npz", points=array)
        shape: Any = read_shape(tmp_path / "a.npz")
        assert shape.tolist() == array.astype(np.float64).tolist()


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_elements_without_properties_are_refused(tmp_path: Path, form: str) -> None:
    """Of which a file of a line may claim any number."""
    path = tmp_path / "a.ply"
    path.write_bytes(ply(form).replace(b"element edge 1\nproperty int vertex1\n", b"element edge 100000000\n"))
    with pytest.raises(ValueError, match=r"a\.ply has 100,000,000 elements edge without a property: write it again"):
        read_shape(path)
