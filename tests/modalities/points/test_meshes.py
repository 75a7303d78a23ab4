"""Triangle meshes: OFF files good and bad, points of surfaces, and voxels against dense sampling."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mixmodal.modalities.points.meshes import import_open3d, into_frame, normalise, sample_surface, surface_voxels
from mixmodal.modalities.points.off import Mesh, read_off

CUBE = """OFF
# a cube
8 6 12

-1 -1 -1
1 -1 -1   # a corner
1 1 -1
-1 1 -1
-1 -1 1
1 -1 1
1 1 1
-1 1e0 1.0
4 0 1 2 3 255 0 0
4 4 5 6 7 0.1 0.2 0.3 1

4 0 1 5 4
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
"""
CORNERS = [[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def written(folder: Path, text: str | bytes, name: str = "mesh.off") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def cube() -> Mesh:
    faces = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
    triangles = [t for a, b, c, d in faces for t in ([a, b, c], [a, c, d])]
    return Mesh(torch.tensor(CORNERS, dtype=torch.float64), torch.tensor(triangles))


def soup(count: int, seed: int) -> Mesh:
    """Triangles at random places of [-1, 1]^3, large and small."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 1, 3, generator=generator, dtype=torch.float64) * 2 - 1
    size = torch.rand(count, 1, 1, generator=generator, dtype=torch.float64).pow(3) * 2
    offset = torch.rand(count, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    corners = (centre + size * offset).clamp(-1, 1)
    return Mesh(corners.view(-1, 3), torch.arange(3 * count).view(-1, 3))


def lattice(mesh: Mesh, steps: int) -> Tensor:
    """Points of every triangle at even steps along two sides, borders included: (F · points, 3), float64."""
    first, second = torch.meshgrid(torch.arange(steps + 1), torch.arange(steps + 1), indexing="ij")
    inside = first + second <= steps
    weights = torch.stack([first[inside], second[inside]], dim=1).double() / steps
    corners = mesh.vertices[mesh.faces]
    sides = corners[:, 1:] - corners[:, :1]
    return (corners[:, :1] + weights @ sides).flatten(0, 1)


# ---------------------------------------------------------------- OFF files


def test_a_file_with_comments_blanks_colours_and_squares(tmp_path: Path) -> None:
    mesh = read_off(written(tmp_path, CUBE))
    assert mesh.vertices.dtype == torch.float64
    assert mesh.vertices.tolist() == CORNERS
    assert mesh.faces.dtype == torch.int64
    assert mesh.faces[:4].tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    assert torch.equal(mesh.faces, cube().faces)


@pytest.mark.parametrize("header", ["OFF8 6 12", "OFF 8 6 12", "OFF\n8 6 12", "OFF#\n\n# x\n8 6 12", "OFF8 6 0  # y"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_headers_may_be_joined_to_their_counts(tmp_path: Path, header: str, newline: str) -> None:
    text = (header + CUBE.removeprefix("OFF\n# a cube\n8 6 12")).replace("\n", newline)
    mesh = read_off(written(tmp_path, text))
    assert torch.equal(mesh.vertices, cube().vertices)
    assert torch.equal(mesh.faces, cube().faces)


def test_polygons_become_fans(tmp_path: Path) -> None:
    around = [(math.cos(k), math.sin(k)) for k in range(6)]
    text = "OFF\n6 1 0\n" + "".join(f"{x} {y} 0\n" for x, y in around) + "6 5 3 1 0 2 4\n"
    faces = read_off(written(tmp_path, text)).faces.tolist()
    assert faces == [[5, 3, 1], [5, 1, 0], [5, 0, 2], [5, 2, 4]]


def area(mesh: Mesh) -> float:
    """The area of a mesh by Heron's formula, from the lengths of its edges alone."""
    total = 0.0
    for corners in mesh.vertices[mesh.faces].tolist():
        a, b, c = sorted(math.dist(corners[k], corners[k - 1]) for k in range(3))
        total += math.sqrt(max(0.0, (a + (b + c)) * (c - (b - a)) * (c + (b - a)) * (a + (b - c)))) / 4
    return total


def polygon_file(folder: Path, corners: list[tuple[float, ...]]) -> Path:
    lines = "".join(" ".join(map(repr, corner)) + "\n" for corner in corners)
    around = " ".join(map(str, range(len(corners))))
    return written(folder, f"OFF\n{len(corners)} 1 0\n{lines}{len(corners)} {around}\n")


ARROW = [(0.0, 0.0), (2.0, 0.0), (0.5, 0.5), (0.0, 2.0)]
TEE = [(0, 2), (0, 3), (3, 3), (3, 2), (2, 2), (2, 0), (1, 0), (1, 2)]
COMB = [
    (0, 0),
    (0, 3),
    *((2 * k + x, y) for k in range(5) for x, y in ((1, 3), (1, 1), (2, 1), (2, 3))),
    (11, 3),
    (11, 0),
]
RING = [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]
"""A square with a square hole that is cut open at a corner."""


@pytest.mark.parametrize(
    ("outline", "expected"), [(ARROW, 1.0), (TEE, 5.0), (COMB, 23.0), (RING, 8.0)], ids=["arrow", "tee", "comb", "ring"]
)
@pytest.mark.parametrize("turned", [False, True])
def test_concave_polygons_have_their_area(
    tmp_path: Path, outline: list[tuple[float, float]], expected: float, turned: bool
) -> None:
    """From whichever corner they start, whichever way they turn, and however they stand in space."""
    frame, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    for start in range(len(outline)):
        around = outline[start:] + outline[:start]
        flat = [(float(x), float(y), 7.0) for x, y in (reversed(around) if turned else around)]
        mesh = read_off(polygon_file(tmp_path, flat))
        assert (len(mesh.faces), area(mesh)) == (len(outline) - 2, pytest.approx(expected))
        normal = torch.linalg.cross(
            *(mesh.vertices[mesh.faces[:, k]] - mesh.vertices[mesh.faces[:, 0]] for k in (1, 2))
        )
        assert normal[:, 2].min() >= 0 or normal[:, 2].max() <= 0  # all are turned as the polygon is
        places = (torch.tensor(flat, dtype=torch.float64) @ frame * 1000).tolist()
        assert area(read_off(polygon_file(tmp_path, list(map(tuple, places))))) == pytest.approx(expected * 1e6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reach=st.lists(st.floats(0.05, 1.0), min_size=4, max_size=24), start=st.integers(0, 23))
def test_random_polygons_have_the_area_of_the_shoelace_formula(tmp_path: Path, reach: list[float], start: int) -> None:
    """Around a centre, at any distance from it, so that none crosses itself; and every place inside is covered once."""
    count = len(reach)
    angles = [2 * math.pi * k / count for k in range(count)]
    flat = [(r * math.cos(angle), r * math.sin(angle)) for r, angle in zip(reach, angles, strict=True)]
    flat = flat[start % count :] + flat[: start % count]
    expected = sum(a * d - b * c for (a, b), (c, d) in zip(flat, flat[1:] + flat[:1], strict=True)) / 2
    mesh = read_off(polygon_file(tmp_path, [(x, y, x + 2 * y) for x, y in flat]))
    assert area(mesh) == pytest.approx(expected * math.sqrt(1 + 1 + 4))


def test_polygons_that_bend_are_cut_along_diagonals(tmp_path: Path) -> None:
    """An arrow whose point is lifted: two triangles that meet at the line from its tip to the notch."""
    lifted = [(0.0, 0.0, 1.0), (2.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 2.0, 0.0)]
    mesh = read_off(polygon_file(tmp_path, lifted[1:] + lifted[:1]))
    halves = {tuple(sorted(map(tuple, corners))) for corners in mesh.vertices[mesh.faces].tolist()}
    assert halves == {tuple(sorted((lifted[0], lifted[2], lifted[k]))) for k in (1, 3)}


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0, 0), (1, 1, 0), (1, 0, 0), (0, 1, 0)],  # crosses itself
        [(0, 0, 0), (3, 0, 0), (3, 2, 0), (0, 1, 0), (1, 3, 0)],  # crosses itself and has ears nevertheless
        [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)],  # a line
        [(5, 5, 5), (5, 5, 5), (5, 5, 5), (5, 5, 5), (6, 5, 5)],  # a line there and back
    ],
)
def test_polygons_without_an_inside_are_fans(tmp_path: Path, corners: list[tuple[float, ...]]) -> None:
    faces = read_off(polygon_file(tmp_path, corners)).faces.tolist()
    assert faces == [[0, k, k + 1] for k in range(1, len(corners) - 1)]


def test_corners_in_a_line_and_twice_change_no_area(tmp_path: Path) -> None:
    arrow = [(x, y, 0.0) for x, y in (ARROW[0], (1.0, 0.0), ARROW[1], ARROW[2], ARROW[2], ARROW[3], (0.0, 1.0))]
    for start in range(len(arrow)):
        mesh = read_off(polygon_file(tmp_path, arrow[start:] + arrow[:start]))
        assert (len(mesh.faces), area(mesh)) == (5, pytest.approx(1.0))


COLOURED = {
    "COFF": " 255 0 0 255",
    "COFF ": " 0.1 0.2 0.3",
    "NOFF": " 0 0 nan",
    "NOFF ": " 0 0 1",
    "CNOFF": " 0 0 1 255 0 0 128",
    "NCOFF": " 0 0 1 255 0 0",
    "STOFF": " 0.5 1",
    "STCNOFF": " 0 0 1 255 0 0 128 0.5 1",
    "OFF": " 255 0 0",
    "OFF ": " 255 0 0 255",
}


@pytest.mark.parametrize("keyword", COLOURED)
@pytest.mark.parametrize("joined", [False, True])
def test_what_vertices_have_beside_their_place_is_left_out(tmp_path: Path, keyword: str, joined: bool) -> None:
    lines = CUBE.replace("   # a corner", "").split("\n")
    coloured = "\n".join(line + COLOURED[keyword] * (4 < k < 13) for k, line in enumerate(lines, start=1))
    header = keyword.strip() + ("" if joined else "\n") + "8 6 12"
    mesh = read_off(written(tmp_path, coloured.replace("OFF\n# a cube\n8 6 12", header)))
    assert mesh.vertices.tolist() == CORNERS
    assert torch.equal(mesh.faces, cube().faces)


@pytest.mark.parametrize(
    "header",
    ["OFF\n8 6", "OFF 8 6", "OFF8 6", "OFF\n8\n6", "OFF\n8\n6\n12", "OFF 8\n6 12", "OFF8\n6\n12", "OFF 8 6\n# x\n\n12"],
)
def test_counts_may_stand_on_several_lines_and_without_edges(tmp_path: Path, header: str) -> None:
    mesh = read_off(written(tmp_path, CUBE.replace("OFF\n# a cube\n8 6 12", header)))
    assert torch.equal(mesh.vertices, cube().vertices)
    assert torch.equal(mesh.faces, cube().faces)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    assert torch.equal(read_off(written(tmp_path, CUBE.encode("utf-8-sig"))).faces, cube().faces)


def edited(old: str, new: str) -> str:
    assert CUBE.count(old) == 1
    return CUBE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mesh.off: the file ends after 0 of 1 headers"),
        ("# nothing\n\n", "ends after 0 of 1 headers"),
        ("OFF\n", "line 1: 'OFF': expected OFF and three counts"),
        ("PLY\n8 6 12\n", "line 1: 'PLY': expected OFF and three counts"),
        (b"\x93NUMPY\x01\x00", r"line 1: .*: expected OFF"),
        (edited("8 6 12", "8"), r"line 1: 'OFF 8 -1 -1 -1': expected OFF and three counts"),
        ("OFF\n8\n", "line 1: 'OFF 8': expected OFF and three counts"),
        (edited("8 6 12", "8 6 12 3"), "line 1: 'OFF 8 6 12 3': expected OFF and three counts"),
        ("4OFF\n8 6 12\n", "line 1: '4OFF': expected OFF and three counts.*C, N and ST may precede OFF"),
        ("nOFF 3\n8 6 12\n", "line 1: 'nOFF 3': expected OFF and three counts"),
        (b"OFF BINARY\n\x00\x00\x00\x08", "line 1: 'OFF BINARY .*': invalid literal"),
        ("OFF\n8 6 12\n".encode("utf-16"), "line 1: .*: expected OFF and three counts"),
        (CUBE.replace("OFF", "NOFF"), "line 5: '-1 -1 -1': expected 3 finite coordinates, and 3 numbers of what else"),
        (CUBE.replace("OFF", "CNOFF"), "line 5: .*: expected 3 finite coordinates, and 6 or 7 numbers of what else"),
        (edited("1 -1 -1   # a corner", "1 -1 -1 0 0 0"), "line 6: '1 -1 -1 0 0 0': expected 3 finite coordinates$"),
        (edited("-1 1e0 1.0", "-1 1 1 9 9 9 9 9"), "line 12: .*: expected 3 finite coordinates"),
        (edited("8 6 12", "8 -6 12"), "'OFF 8 -6 12': expected OFF and three counts"),
        (edited("8 6 12", "0 6 12"), "'OFF 0 6 12': expected OFF and three counts"),
        (edited("8 6 12", "8 0 12"), "vertices and faces, 1 or more"),
        (edited("8 6 12", "8 6.5 12"), r"'OFF 8 6\.5 12': invalid literal"),
        (edited("8 6 12", "8 6 -1"), "and edges, 0 or more"),
        (edited("8 6 12", "9 6 12"), "line 13: '4 0 1 2 3 255 0 0': expected 3 finite coordinates"),
        (edited("8 6 12", "8 7 12"), "the file ends after 6 of 7 faces"),
        (edited("8 6 12", "8 5 12"), "line 19: '4 3 0 4 7' comes after the last of 5 faces"),
        (edited("8 6 12", "7 6 12"), "line 12: '-1 1e0 1.0': expected a number of corners"),
        (edited("1 -1 -1   # a corner", "1 -1 nan"), "line 6: '1 -1 nan': expected 3 finite coordinates"),
        (edited("1 -1 -1   # a corner", "1 -1 inf"), "line 6: '1 -1 inf': expected 3 finite coordinates"),
        (edited("1 -1 -1   # a corner", "1 -1 1e999"), "expected 3 finite coordinates"),
        (edited("1 -1 -1   # a corner", "1 -1"), "line 6: '1 -1': expected 3 finite coordinates"),
        (edited("1 -1 -1   # a corner", "1 -1 one"), "line 6: '1 -1 one': could not convert"),
        (edited("1 -1 -1   # a corner", "1 -1 -1_0"), "line 6: '1 -1 -1_0' has an underscore"),
        (edited("4 3 0 4 7", "4 3 0 4 8"), r"line 19: '4 3 0 4 8': expected corners in 0\.\.7"),
        (edited("4 3 0 4 7", "4 3 0 4 -1"), r"expected corners in 0\.\.7"),
        (edited("4 3 0 4 7", "2 3 0"), "line 19: '2 3 0': expected a number of corners, 3 or more"),
        (edited("4 3 0 4 7", "-4 3 0 4 7"), "expected a number of corners, 3 or more"),
        (edited("4 3 0 4 7", "4 3 0 4"), "line 19: '4 3 0 4': expected a number of corners"),
        (edited("4 3 0 4 7", "4 3 0 4 7 1 2 3 4 5"), "at most 4 numbers of a colour"),
        (edited("4 3 0 4 7", "4 3 0 4 7 red"), "line 19: .* could not convert"),
        (edited("4 3 0 4 7", "4 3 0 4.0 7"), "line 19: .* invalid literal"),
        (edited("4 3 0 4 7", ""), "the file ends after 5 of 6 faces"),
        ("OFF\n3 1 0\n" + "5 5 5\n" * 3 + "3 0 1 2\n", r"mesh.off: the 3 vertices span 0\.0; leave this mesh out"),
        ("OFF\n3 1 0\n1e308 0 0\n-1e308 0 0\n0 1 0\n3 0 1 2\n", "span inf"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        read_off(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_off(tmp_path / "nowhere.off")


fuzzed = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_damaged(path: Path, damaged: bytes) -> None:
    """What is left is refused with the file's name, or is a mesh with the counts and numbers that the file has."""
    path.write_bytes(damaged)
    try:
        mesh = read_off(path)
    except ValueError as error:
        assert str(error).startswith(str(path)), error  # noqa: PT017
        return
    words = [line.split(b"#")[0].split() for line in damaged.splitlines()]
    plain = [word for line in words for word in line]
    header = plain[1:4] if plain[0] == b"OFF" else [plain[0][3:], *plain[1:3]]
    assert len(mesh.vertices) == int(header[0])
    assert mesh.vertices.isfinite().all()
    after = 4 if plain[0] == b"OFF" else 3
    if any(sum(map(len, words[:k])) == after - 1 and len(words[k]) > 1 for k in range(len(words))):
        after -= 1  # the number of edges is missing
    numbers = [float(word) for word in plain[after : after + 3 * len(mesh.vertices)]]
    assert mesh.vertices.flatten().tolist() == numbers
    assert mesh.faces.shape[0] >= int(header[1])
    assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)


@fuzzed
@given(end=st.integers(0, len(CUBE) - 1))
@example(end=len(CUBE) - 1)
def test_cut_files_are_refused(tmp_path: Path, end: int) -> None:
    """A cut that leaves all lines and no less than the last digit is no cut that can be seen."""
    path = tmp_path / "cut.off"
    check_damaged(path, CUBE.encode()[:end])
    if end < len(CUBE.rstrip()):
        with pytest.raises(ValueError, match="cut"):
            read_off(path)


@fuzzed
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(CUBE) - 1),
            st.one_of(st.integers(0, 255), st.sampled_from(list(b"0123456789-+.e_ \n\r#nainf\x00\x0b\x85\xa0"))),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_edited_files_are_refused_or_read_as_they_say(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(CUBE.encode())
    for place, byte in edits:
        damaged[place] = byte
    check_damaged(tmp_path / "edited.off", bytes(damaged))


@fuzzed
@given(start=st.integers(0, len(CUBE) - 1), length=st.integers(1, 40), at=st.integers(0, len(CUBE)))
def test_spliced_files_are_refused_or_read_as_they_say(tmp_path: Path, start: int, length: int, at: int) -> None:
    whole = CUBE.encode()
    check_damaged(tmp_path / "less.off", whole[:start] + whole[start + length :])
    check_damaged(tmp_path / "more.off", whole[:at] + whole[start : start + length] + whole[at:])


def test_modelnets_own_files(real: Callable[[str], Path]) -> None:
    files = sorted(real("modelnet10_samples").rglob("*.off"))
    assert len(files) == 3
    for path in files:
        words = path.read_text().split()
        vertices, faces = int(words[1]), int(words[2])
        mesh = read_off(path)
        numbers = [float(word) for word in words[4 : 4 + 3 * vertices]]
        assert mesh.vertices.flatten().tolist() == numbers
        rest = torch.tensor([int(word) for word in words[4 + 3 * vertices :]]).view(faces, 4)
        assert torch.equal(mesh.faces, rest[:, 1:])


# ---------------------------------------------------------------- points of surfaces


def test_points_lie_on_the_surface_and_normals_stand_on_it() -> None:
    points = sample_surface(cube(), 500, normals=True)
    assert (points.shape, points.dtype) == ((500, 6), torch.float32)
    place, normal = points[:, :3], points[:, 3:]
    torch.testing.assert_close(place.abs().amax(1), torch.ones(500))
    on = (place.abs() > 1 - 1e-6) & (normal.abs() > 1 - 1e-6)
    assert (on.sum(1) == 1).all()
    torch.testing.assert_close(normal.norm(dim=1), torch.ones(500))


def test_points_are_uniform_by_area() -> None:
    """40,000 points on two triangles of areas 3 and 1: the share of the larger within 5 standard errors.

    sqrt(0.75 · 0.25 / 40000) = 0.00217. In a triangle, the weight of a corner has the mean 1/3 and the variance 1/18:
    an error of 0.2357 / sqrt(10000) for the 10,000 points of the smaller one.
    """
    vertices = torch.tensor([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [2, 0, 5], [0, 1, 5]], dtype=torch.float64)
    points = sample_surface(Mesh(vertices, torch.arange(6).view(2, 3)), 40_000, seed=3)
    lower = points[:, 2] == 0
    assert lower.float().mean().item() == pytest.approx(0.75, abs=5 * 0.00217)
    upper = points[~lower]
    assert (upper[:, 0] / 2).mean().item() == pytest.approx(1 / 3, abs=5 * 0.0024)
    assert upper[:, 1].mean().item() == pytest.approx(1 / 3, abs=5 * 0.0024)


@pytest.mark.parametrize("method", ["uniform", "poisson"])
def test_seeds_repeat_points(method: Any) -> None:
    draws = [sample_surface(cube(), 100, method=method, seed=seed) for seed in (1, 1, 2)]
    assert draws[0].shape == (100, 3)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("method", ["uniform", "poisson"])
def test_seeds_draw_triangles_too(method: Any) -> None:
    """How many of 60 points lie on each of the 12 triangles of a cube differs between seeds, as independent draws do.

    Of uniform points the count on the first triangle is binomial: over 400 seeds its variance, 60 / 12 · 11 / 12 =
    4.58, lies within 5 standard errors of 4.58 · sqrt(2 / 400) = 0.32.
    """
    mesh = cube()
    normal = torch.linalg.cross(*(mesh.vertices[mesh.faces][:, k] - mesh.vertices[mesh.faces][:, 0] for k in (1, 2)))
    normal = normal / normal.norm(dim=1, keepdim=True)
    offset = (normal * mesh.vertices[mesh.faces][:, 0]).sum(1)
    counts = []
    for seed in range(400 if method == "uniform" else 8):
        points = sample_surface(mesh, 60, method=method, seed=seed).double()
        on = (points @ normal.T - offset).abs() < 1e-6
        first = mesh.vertices[mesh.faces[0]]
        weight = torch.linalg.lstsq(first.T, points[on[:, 0]].T).solution if on[:, 0].any() else torch.zeros(3, 0)
        counts.append(int(((weight > -1e-6).all(0)).sum()))
    assert len(set(counts)) > 1
    if method == "uniform":
        sample = torch.tensor(counts, dtype=torch.float64)
        assert sample.mean().item() == pytest.approx(5, abs=5 * (4.58 / 400) ** 0.5)
        assert sample.var().item() == pytest.approx(4.58, abs=5 * 0.32)


def test_triangles_without_area_get_no_points() -> None:
    vertices = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]], dtype=torch.float64)
    mesh = Mesh(vertices, torch.tensor([[3, 3, 3], [0, 1, 2], [0, 1, 1]]))
    points = sample_surface(mesh, 2_000, normals=True)
    assert (points[:, 2] == 0).all()
    assert torch.equal(points[:, 3:].abs(), torch.tensor([0.0, 0.0, 1.0]).expand(2_000, 3))
    tiny = sample_surface(Mesh(vertices * 1e-60, mesh.faces), 10, normals=True)
    assert torch.equal(tiny[:, 3:].abs(), torch.tensor([0.0, 0.0, 1.0]).expand(10, 3))


def test_sampling_leaves_open3ds_random_state_alone() -> None:
    random = import_open3d().utility.random
    random.seed(5)
    expected = import_open3d().geometry.TriangleMesh.create_box().sample_points_uniformly(5)
    random.seed(5)
    sample_surface(cube(), 10)
    sample_surface(cube(), 10, method="poisson", seed=9)
    drawn = import_open3d().geometry.TriangleMesh.create_box().sample_points_uniformly(5)
    assert [list(point) for point in drawn.points] == [list(point) for point in expected.points]


def test_poisson_points_keep_their_distance() -> None:
    """The least distance of 200 points: a third or less of the mean spacing for uniform ones, more for the others."""
    least = {}
    for method in ("uniform", "poisson"):
        points = sample_surface(cube(), 200, method=method)
        least[method] = torch.cdist(points, points).fill_diagonal_(9).min().item()
    spacing = math.sqrt(24 / 200)
    assert least["uniform"] < spacing / 3 < spacing / 2 < least["poisson"]


def test_sampling_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    sample_surface(cube(), 10)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "count=0 must be a whole number of points"),
        ({"count": 1.5}, r"count=1\.5 must be"),
        ({"method": "dense"}, "method='dense' must be 'uniform' or 'poisson'"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0"),
        ({"seed": 2**31}, "seed=2147483648 must be"),
        ({"mesh": Mesh(torch.eye(3).double(), torch.tensor([[0, 1, 1]]))}, r"1 triangles has an area of 0\.0"),
    ],
)
def test_wrong_arguments_of_samples_are_named(given: dict[str, Any], message: str) -> None:
    arguments = {"mesh": cube(), "count": 5, **given}
    with pytest.raises(ValueError, match=message):
        sample_surface(arguments.pop("mesh"), arguments.pop("count"), **arguments)


# ---------------------------------------------------------------- voxels of surfaces


def cells_of(points: Tensor, resolution: int) -> Tensor:
    """The cells of points in [-1, 1]^3, bool (R, R, R)."""
    grid = torch.zeros([resolution] * 3, dtype=torch.bool)
    grid[((points + 1) / 2 * resolution).floor().long().clamp(max=resolution - 1).unbind(1)] = True
    return grid


def farthest(points: Tensor, marked: Tensor) -> float:
    """How far a marked cell may be from the next of the points in [-1, 1]^3, in cells, by the greatest coordinate."""
    place = (points + 1) / 2 * len(marked)
    apart = [(low - place).maximum(place - low - 1).amax(1).amin().item() for low in marked.nonzero().double()]
    return max(map(float, [0, *apart]))


@pytest.mark.parametrize("resolution", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("seed", [0, 1])
def test_voxels_are_those_of_dense_points(resolution: int, seed: int) -> None:
    """On random triangles: every cell that holds a point of a fine lattice is marked, and marked ones hold surface.

    The lattice has steps of at most 2 · sqrt(3) / 60, that is sqrt(3) / 60 · R cells, and a marked cell that only a
    corner of the surface enters has a point of it within a step.
    """
    mesh = soup(12, seed)
    dense = lattice(mesh, 60)
    expected = cells_of(dense, resolution)
    marked = surface_voxels(mesh, resolution)
    assert (marked.shape, marked.dtype) == ((resolution,) * 3, torch.bool)
    assert not (expected & ~marked).any()
    assert farthest(dense, marked & ~expected) < math.sqrt(3) / 60 * resolution


@pytest.mark.parametrize("resolution", [4, 7])
def test_faces_on_the_borders_of_cells_go_to_the_upper_one(resolution: int) -> None:
    """A square at each border between cells, across each axis; and at the frame's own borders."""
    for axis in range(3):
        for border in range(resolution + 1):
            # corners within cells, so that no other border takes part
            square = torch.tensor([[0, -0.9, -0.9], [0, 0.9, -0.9], [0, 0.9, 0.9], [0, -0.9, 0.9]]).double()
            square[:, 0] = border / resolution * 2 - 1
            mesh = Mesh(square.roll(axis, 1), torch.tensor([[0, 1, 2], [0, 2, 3]]))
            where = surface_voxels(mesh, resolution).movedim(axis, 0).flatten(1).any(1).nonzero().flatten().tolist()
            place = ((square[0, 0] + 1) / 2 * resolution).floor().int().item()
            assert where == [min(place, resolution - 1)]


def test_a_cube_that_fills_its_frame_marks_the_outer_cells() -> None:
    marked = surface_voxels(cube(), 6)
    inner = torch.zeros_like(marked)
    inner[1:-1, 1:-1, 1:-1] = True
    assert torch.equal(marked, ~inner)


def test_frames_move_and_stretch_with_the_mesh() -> None:
    mesh = soup(10, 4)
    moved = Mesh(mesh.vertices * torch.tensor([1.0, 4.0, 0.5]).double() + 8, mesh.faces)
    low, high = [7, 4, 7.5], (9.0, 12.0, 8.5)
    again = surface_voxels(moved, 8, low=low, high=high)
    assert (again != surface_voxels(mesh, 8)).float().mean() < 1e-3  # where 8 + x rounds over a border


@pytest.mark.parametrize("resolution", [16, 32])
def test_voxels_of_modelnets_meshes_are_those_of_dense_points(resolution: int, real: Callable[[str], Path]) -> None:
    """Every cell with one of 400,000 random points or a vertex is marked; every marked one has one within half a cell.

    Of a mesh with an area of at most 24, a disc with the radius of half a cell holds 50 points or more on average.
    """
    files = sorted(real("modelnet10_samples").rglob("*.off"))
    assert len(files) == 3
    for path in files:
        mesh = read_off(path)
        mesh = Mesh(into_frame(mesh.vertices), mesh.faces)
        corners = mesh.vertices[mesh.faces].flatten(0, 1)
        dense = torch.cat([sample_surface(mesh, 400_000).double().clamp(-1, 1), corners])
        expected, marked = cells_of(dense, resolution), surface_voxels(mesh, resolution)
        assert not (expected & ~marked).any()
        beyond = marked & ~expected
        assert beyond.sum() < 0.02 * marked.sum()
        assert farthest(dense, beyond) < 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"resolution": 0}, "resolution=0 must be a whole number of cells"),
        ({"resolution": 2.5}, r"resolution=2\.5 must be"),
        ({"low": 1.0}, r"high=1\.0 must be greater than low=1\.0 along each axis"),
        ({"low": (0, 0)}, r"low=\(0, 0\) must be a number or three"),
        ({"high": "up"}, "high='up' must be a number or three"),
        ({"high": 0.5}, r"mesh has 7 of 8 vertices outside the frame .* from -1 to 1: pass low and high .* into_frame"),
    ],
)
def test_wrong_arguments_of_voxels_are_named(given: dict[str, Any], message: str) -> None:
    arguments = {"resolution": 4, **given}
    with pytest.raises(ValueError, match=message):
        surface_voxels(cube(), arguments.pop("resolution"), **arguments)


# ---------------------------------------------------------------- scaling


def test_the_greatest_extent_fills_the_frame() -> None:
    vertices = torch.tensor([[2.0, 3.0, 4.0], [10.0, 5.0, 6.0], [4.0, 3.0, 8.0]])
    framed = into_frame(vertices)
    torch.testing.assert_close(framed, (vertices - 6) / 4)
    assert [framed.min().item(), framed.max().item()] == [-1, 1]
    for seed in range(50):
        far = into_frame(soup(3, seed).vertices * 7.3 + 11.1)
        assert [far.min().item(), far.max().item()] == [-1, 1]


@pytest.mark.parametrize("bad", [torch.zeros(4, 3), torch.tensor([[0.0, 1.0, torch.nan]])])
def test_vertices_without_extent_have_no_frame(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="must span a finite extent above 0"):
        into_frame(bad)


def test_clouds_are_standardised_one_by_one() -> None:
    points = torch.randn(2, 4, 30, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0, 9, -3])
    points[1, 2, :, 1] = 1 / 3
    points[1, 2, 5, 1] *= 1 + 1e-7
    scaled = normalise(points)
    for batch in range(2):
        for cloud in range(4):
            for axis in range(3):
                values = points[batch, cloud, :, axis].tolist()
                mean = sum(values) / 30
                deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 30)
                flat = (batch, cloud, axis) == (1, 2, 1)
                expected = [0.0 if flat else (value - mean) / deviation for value in values]
                assert scaled[batch, cloud, :, axis].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(3, 50), (2, 3, 50), (50, 4), (3,), (2, 0, 3)])
def test_clouds_of_another_layout_are_not_standardised(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"points has shape .* must be clouds \(\.\.\., N, 3\).*transpose\(-2, -1\)"):
        normalise(torch.randn(shape))


# ---------------------------------------------------------------- open3d and its libraries


class Fails:
    """A finder to which a package is there and cannot be imported."""

    def __init__(self, package: str, error: ImportError) -> None:
        self.package, self.error = package, error

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == self.package:
            raise self.error


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match=r"voxels of meshes.* need open3d: pip install 'mixmodal\[points\]'"):
        sample_surface(cube(), 4, method="poisson")
    assert sample_surface(cube(), 4).shape == (4, 3)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    monkeypatch.setitem(sys.modules, "libusb_package", None)
    monkeypatch.setattr(sys, "meta_path", [Fails("open3d", ImportError("libusb-1.0.so.0: gone")), *sys.meta_path])
    message = r"open3d needs libusb \(libusb-1.0.so.0: gone\): apt-get install libusb-1.0-0, or pip install 'mixmodal"
    with pytest.raises(ImportError, match=message):
        surface_voxels(cube(), 4)


FIRST_IMPORT_FAILS = """
import ctypes, sys
import mixmodal.modalities.points.meshes as meshes

assert "open3d" not in sys.modules
opened, load = [], ctypes.CDLL

def watched(name, mode=ctypes.DEFAULT_MODE, *args, **kwargs):
    opened.append((str(name), mode))
    return load(name, mode, *args, **kwargs)

class Fails:
    def find_spec(self, name, path=None, target=None):
        if name == "open3d" and not opened:
            raise ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")

ctypes.CDLL = watched
sys.meta_path.insert(0, Fails())
mesh = meshes.Mesh(meshes.torch.eye(3).double(), meshes.torch.tensor([[0, 1, 2]]))
assert meshes.surface_voxels(mesh, 4).any()
assert [mode for name, mode in opened if "libusb" in name] == [ctypes.RTLD_GLOBAL], opened
print("sampled")
"""


def test_open3d_is_imported_where_the_library_is_missing() -> None:
    """In a process of its own, where the first import fails as it does without the library."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_IMPORT_FAILS], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sampled"]
