"""Sets of shapes: folders of meshes, packed voxels, the cache, downloads from a local archive, and every error."""

import io
import math
import shutil
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes.data.disk import kept
from recipes.data.disk.lazy import read
from recipes.data.points import sets
from recipes.data.points.modelnet import MODELNETS, ModelNet, _unpack, download
from recipes.data.points.sets import ShapeSet, load
from recipes.data.points.shapes import Shape, read_shape
from tests.recipes.data.test_download import Response

BOX = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
SIDES = ["4 0 1 3 2", "4 4 5 7 6", "4 0 1 5 4", "4 2 3 7 6", "4 0 2 6 4", "4 1 3 7 5"]


def box(*size: float) -> str:
    """An OFF file of a box with the sides `size`."""
    corners = [" ".join(str(side * place) for side, place in zip(size, corner, strict=True)) for corner in BOX]
    return "\n".join(["OFF", "8 6 12", *corners, *SIDES, ""])


def folder(root: Path, train: int = 3, test: int = 2) -> Path:
    """Boxes: flat ones are tables, tall ones lamps; no two of the same size."""
    for split, count in (("train", train), ("test", test)):
        for name, height in (("table", 0.5), ("lamp", 4.0)):
            (root / name / split).mkdir(parents=True)
            for k in range(count):
                text = box(1 + k / 10, 2 if split == "train" else 3, height)
                (root / name / split / f"{name}_{k:04}.off").write_text(text)
    return root


def test_a_folder_becomes_standardised_clouds(tmp_path: Path) -> None:
    data = load("folder", folder(tmp_path / "Boxes"), points=50)
    assert (data.name, data.classes) == ("folder-Boxes", ("lamp", "table"))
    assert data.train_x.shape == (6, 50, 3)
    assert data.test_x.shape == (4, 50, 3)
    assert data.train_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test_y.tolist() == [0, 0, 1, 1]
    for cloud in torch.cat([data.train_x, data.test_x]):
        for values in cloud.T.tolist():
            assert sum(values) / 50 == pytest.approx(0, abs=1e-5)
            assert sum(value**2 for value in values) / 50 == pytest.approx(1, abs=1e-4)
        # undone along each axis, every point lies on a side of its box
        place = (cloud - cloud.amin(0)) / (cloud.amax(0) - cloud.amin(0))
        assert ((place < 0.02) | (place > 0.98)).any(1).float().mean() > 0.9


def test_a_folder_becomes_voxels(tmp_path: Path) -> None:
    """Boxes stand at the origin: scaled by their greatest extent, which is an axis of its own for either class."""
    data = load("folder", folder(tmp_path), form="voxels", resolution=8)
    assert data.train_x.shape == (6, 1, 8, 8, 8)
    assert data.train_x.dtype == torch.bool
    for k, (size, voxels) in enumerate(
        zip([(1 + k / 10, 2, h) for h in (4.0, 0.5) for k in range(3)], data.train_x[:, 0], strict=True)
    ):
        cells = [min(math.floor(side / max(size) * 8), 7) for side in size]
        expected = torch.zeros(8, 8, 8, dtype=torch.bool)
        expected[: cells[0] + 1, : cells[1] + 1, : cells[2] + 1] = True
        expected[1 : cells[0], 1 : cells[1], 1 : cells[2]] = False
        assert torch.equal(voxels, expected), k


def test_points_follow_the_seed_and_the_mesh_alone(tmp_path: Path) -> None:
    """More files of a set change no other file's points, and the global random state is left alone."""
    few, many = folder(tmp_path / "few"), folder(tmp_path / "many", train=5)
    before = torch.get_rng_state()
    first, again, other = (load("folder", few, points=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.train_x, again.train_x)
    assert not torch.equal(first.train_x, other.train_x)
    more = load("folder", many, points=20, seed=1)
    assert torch.equal(more.train_x[[0, 1, 2, 5, 6, 7]], first.train_x)
    assert torch.equal(more.test_x, first.test_x)
    path = few / "lamp" / "train" / "lamp_0000.off"
    shutil.copy(path, path.with_name("lamp_0009.off"))
    twins = load("folder", few, points=20, seed=1).train_x
    assert torch.equal(twins[0], first.train_x[0])
    assert not torch.equal(twins[3], twins[0])


# ---------------------------------------------------------------- the cache


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The meshes that are read, in order."""
    seen: list[Path] = []

    def read(path: Path) -> Shape:
        seen.append(path)
        return read_shape(path)

    monkeypatch.setattr(sets, "read_shape", read)
    return seen


def same(a: ShapeSet, b: ShapeSet) -> bool:
    pairs = [(a.train_x, b.train_x), (a.train_y, b.train_y), (a.test_x, b.test_x), (a.test_y, b.test_y)]
    return all(torch.equal(read(x), read(y)) for x, y in pairs) and (a.name, a.classes) == (b.name, b.classes)


@pytest.mark.parametrize("form", ["points", "voxels"])
def test_meshes_are_read_once(tmp_path: Path, counted: list[Path], form: Any) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache" / "inner"
    plain = load("folder", root, form=form, points=9, resolution=4)
    assert len(counted) == 10
    first = load("folder", root, form=form, points=9, resolution=4, cache=cache)
    assert len(counted) == 20
    second = load("folder", root, form=form, points=9, resolution=4, cache=cache)
    assert len(counted) == 20
    assert same(plain, first)
    assert same(plain, second)
    test, train = sorted(cache.glob("[!.]*"))
    assert test.name.startswith(f"folder-{form}-test-")
    assert train.name.startswith(f"folder-{form}-train-")


def test_other_settings_and_files_are_made_anew(tmp_path: Path, counted: list[Path]) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache"
    settings: list[dict[str, Any]] = [
        {"points": 9},
        {"points": 8},
        {"points": 9, "seed": 1},
        {"form": "voxels", "resolution": 4},
        {"form": "voxels", "resolution": 5},
    ]
    for number, setting in enumerate(settings, start=1):
        load("folder", root, cache=cache, **setting)
        assert len(counted) == 10 * number
    load("folder", root, form="voxels", resolution=4, points=7, seed=9, cache=cache)  # which voxels do not depend on
    assert len(counted) == 50
    path = root / "lamp" / "test" / "lamp_0001.off"
    path.write_text(box(1, 1, 7.25))
    changed = load("folder", root, cache=cache, points=9)
    assert len(counted) == 54  # the split that it is in
    assert same(changed, load("folder", root, points=9))
    path.rename(path.with_name("lamp_0009.off"))
    load("folder", root, cache=cache, points=9)
    assert len(counted) == 68
    assert len(list(cache.glob("[!.]*"))) == 12


def test_an_interrupted_cache_leaves_nothing(tmp_path: Path) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache"
    bad = root / "table" / "train" / "table_0001.off"
    bad.write_text("OFF\n")
    with pytest.raises(ValueError, match="table_0001"):
        load("folder", root, points=9, cache=cache)
    assert not any(cache.glob("[!.]*"))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(kept, "_array", half)
    with pytest.raises(OSError, match=r"folder-points-train-.*arrow cannot be written \(disk full\)"):
        load("folder", folder(tmp_path / "set"), points=9, cache=tmp_path / "cache")
    assert not any((tmp_path / "cache").glob("[!.]*"))


def test_writers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache"
    start, found = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        found.append(load("folder", root, form="voxels", resolution=4, cache=cache))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(same(found[0], other) for other in found)
    assert len(list(cache.glob("[!.]*"))) == 2


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache"
    load("folder", root, points=9, cache=cache)
    file, _ = cache.glob("[!.]*")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{file.name} is damaged .*: delete it, and it is made again"):
        load("folder", root, points=9, cache=cache)


def test_a_cache_with_fewer_shapes_than_meshes_is_named(tmp_path: Path) -> None:
    root, cache = folder(tmp_path / "set"), tmp_path / "cache"
    load("folder", root, points=9, cache=cache)
    test, train = sorted(cache.glob("[!.]*"))
    test.replace(train)
    with pytest.raises(
        ValueError, match=f"{train.name} is damaged .*it has 4 rows .*: delete it, and it is made again"
    ):
        load("folder", root, points=9, cache=cache)


def test_hidden_meshes_are_left_out_and_suffixes_have_any_case(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    plain = load("folder", root, points=9)
    (mesh,) = (root / "table" / "train").glob("*_0001.off")
    mesh.rename(mesh.with_suffix(".OFF"))
    (root / "table" / "train" / "._a.off").write_text("hidden")
    (root / ".cache" / "train").mkdir(parents=True)
    (root / ".cache" / "train" / "b.off").write_text("hidden")
    found = load("folder", root, points=9)
    assert (found.classes, found.train_y.tolist()) == (plain.classes, plain.train_y.tolist())


# ---------------------------------------------------------------- ModelNet


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A ModelNet10 of 6 and 4 meshes, published as an archive of this machine."""
    monkeypatch.setitem(MODELNETS, "modelnet10", ModelNet("ModelNet10", "https://host/a.zip", (6, 4)))

    def serve(url: str, **_: object) -> Response:
        return Response((tmp_path / "a.zip").read_bytes(), url)

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    return tmp_path


def zipped(source: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(source.rglob("*.off")):
            packed.write(path, path.relative_to(source.parent))
            packed.writestr(f"__MACOSX/{path.relative_to(source.parent)}", "x")


def test_published_counts() -> None:
    assert {name: facts.meshes for name, facts in MODELNETS.items()} == {
        "modelnet10": (3_991, 908),
        "modelnet40": (9_843, 2_468),
    }


@pytest.mark.parametrize("within", [".", "ModelNet10", "modelnet10", "modelnet10/ModelNet10"])
def test_modelnet_is_found_where_it_is_usually_put(small: Path, within: str) -> None:
    folder(small / "data" / within)
    data = load("modelnet10", small / "data", form="voxels", resolution=4)
    assert (data.name, len(data.train_y), len(data.test_y)) == ("modelnet10", 6, 4)


@pytest.mark.parametrize(
    ("there", "instead", "message"),
    [
        (b"bed_1", b"b\xffd_1", "no readable zip archive .*utf-8"),
        (b"mesh of", b"mesh if", r"cannot be used, ModelNet10/é bed /train/bed_1\.off is damaged"),
        (
            b"PK\1\2\x14\3\x14\0\0\x08\0\0",
            b"PK\1\2\x14\3\x14\0\0\x08\x63\0",
            "no readable zip archive .*compression",
        ),
        (b"PK\3\4", b"PK\3\5", r"cannot be used, ModelNet10/é bed /train/bed_1\.off is damaged"),
        (b"PK\5\6", b"PK\5\7", "no readable zip archive .*not a zip file"),
    ],
    ids=["name", "content", "method", "member", "end"],
)
def test_a_damaged_archive_of_a_modelnet_is_named(there: bytes, instead: bytes, message: str, tmp_path: Path) -> None:
    """In one line, whatever names it has."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("ModelNet10/é\nbed\n/train/bed_1.off", "a mesh of a bed")
    raw = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(there, instead))
    with pytest.raises(ValueError, match=f"^https://host/a.zip gave .*{message}.*: fetch it again$"):
        _unpack(tmp_path / "a.zip", tmp_path, ModelNet("ModelNet10", "https://host/a.zip", (1, 0)))


def test_a_part_of_modelnet_is_refused(small: Path) -> None:
    root = folder(small / "ModelNet10", train=2)
    with pytest.raises(
        ValueError, match=r"has \(4, 4\) training and test meshes, modelnet10 has \(6, 4\): .* as 'folder'"
    ):
        load("modelnet10", root)
    assert load("folder", root, points=5).name == "folder-ModelNet10"


def test_modelnet_is_fetched_and_unpacked(small: Path) -> None:
    source = folder(small / "source" / "ModelNet10")
    zipped(source, small / "a.zip")
    target = download(small / "new" / "data", "modelnet10")
    assert target == small / "new" / "data" / "ModelNet10"
    files = {path.relative_to(target): path.read_bytes() for path in target.rglob("*.off")}
    assert files == {path.relative_to(source): path.read_bytes() for path in source.rglob("*.off")}
    assert [path.name for path in target.parent.iterdir()] == ["ModelNet10"]
    assert same(load("modelnet10", target.parent, points=5), load("modelnet10", source, points=5))
    (small / "a.zip").unlink()
    assert download(small / "new" / "data", "modelnet10") == target


def check_nothing_is_left(root: Path, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        download(root, "modelnet10")
    assert not any(root.iterdir())


def test_bad_archives_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small / "data"
    check_nothing_is_left(root, ConnectionError, r"a.zip cannot be fetched .*: get it by other means, .* --data-root")
    (small / "a.zip").write_bytes(b"<html>not found</html>")
    check_nothing_is_left(root, ValueError, "gave no readable zip archive")
    source = folder(small / "source" / "ModelNet10")
    zipped(source, small / "a.zip")
    whole = (small / "a.zip").read_bytes()
    (small / "a.zip").write_bytes(whole[: len(whole) // 2])
    check_nothing_is_left(root, ValueError, "gave no readable zip archive")
    place = whole.index(b"OFF\n8 6 12")
    (small / "a.zip").write_bytes(whole[:place] + b"off" + whole[place + 3 :])
    check_nothing_is_left(root, ValueError, r"cannot be used, ModelNet10/lamp/test/lamp_0000.off is damaged")
    next(source.rglob("*.off")).unlink()
    zipped(source, small / "a.zip")
    check_nothing_is_left(root, ValueError, r"it has \(\d, \d\) meshes, expected \(6, 4\)")

    def unreachable(*_: Any, **__: Any) -> io.BytesIO:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    check_nothing_is_left(root, ConnectionError, "cannot be fetched .*no route")


def test_nothing_but_meshes_in_their_places_is_unpacked(small: Path) -> None:
    source = folder(small / "source" / "ModelNet10")
    zipped(source, small / "a.zip")
    with zipfile.ZipFile(small / "a.zip", "a") as packed:
        for name in ("../outside", "lamp/train/../../../outside.off", ".git/train/outside.off", "outside.txt"):
            packed.writestr(f"ModelNet10/{name}", "x")
    download(small / "data", "modelnet10")
    assert not list(small.rglob("outside*"))


@pytest.mark.parametrize(("at", "value"), [(10, 99), (8, 1)], ids=["method", "password"])
def test_an_archive_that_no_library_reads_is_named(small: Path, at: int, value: int) -> None:
    """A method of compression that there is none of, and a password."""
    zipped(folder(small / "source" / "ModelNet10"), small / "a.zip")
    raw = bytearray((small / "a.zip").read_bytes())
    place = raw.index(b"PK\x01\x02") + at
    raw[place : place + 2] = value.to_bytes(2, "little")
    (small / "a.zip").write_bytes(raw)
    check_nothing_is_left(small / "data", ValueError, "gave no readable zip archive")


# ---------------------------------------------------------------- packed voxels and synthetic solids


def packed(root: Path, per_class: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """Packed voxels of random grids, as they are published, and the grids."""
    root.mkdir(parents=True)
    generator = np.random.default_rng(0)
    grids = {}
    for name, counts in per_class.items():
        for split, count in zip(("train", "test"), counts, strict=True):
            grid = generator.random((count, 32, 32, 32)) < 0.1
            bits = np.packbits(grid.reshape(count, -1), axis=1)
            np.savez_compressed(root / f"{name}_{split}.npz", packed=bits, shape=np.array([32, 32, 32]))
            grids[f"{name}_{split}"] = grid
    return grids


@pytest.mark.parametrize("within", [".", "modelnet10_voxels"])
def test_packed_voxels(tmp_path: Path, within: str) -> None:
    grids = packed(tmp_path / "data" / within, {"sofa": (3, 1), "chair": (2, 2)})
    data = load("modelnet10-voxels", tmp_path / "data", form="voxels")
    assert data.classes == ("chair", "sofa")
    assert data.train_y.tolist() == [0, 0, 1, 1, 1]
    assert data.test_y.tolist() == [0, 0, 1]
    for x, split in ((data.train_x, "train"), (data.test_x, "test")):
        assert x.shape[1:] == (1, 32, 32, 32)
        expected = np.concatenate([grids[f"{name}_{split}"] for name in data.classes])
        assert (x[:, 0].numpy() == expected).all()


def test_bad_packed_voxels_are_named(tmp_path: Path) -> None:
    root = tmp_path / "v"
    packed(root, {"chair": (2, 2), "sofa": (1, 1)})
    path = root / "sofa_test.npz"

    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            load("modelnet10-voxels", root, form="voxels")

    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    refused("sofa_test.npz cannot be read .*: unpack it again")
    path.write_bytes(b"")
    refused("sofa_test.npz cannot be read")
    np.savez(path, other=np.zeros(3))
    refused("sofa_test.npz cannot be read")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("packed.npy", b"\x93NUMPY\x01\x00v\x00{'d")
    refused(r"sofa_test.npz cannot be read \(its header is damaged: [^\n]*\): unpack it again$")
    np.savez(path, packed=np.zeros((2, 100), np.uint8))
    refused(r"sofa_test.npz cannot be read \(it has uint8 \(2, 100\), expected uint8 \(N, 4096\)")
    path.unlink()
    refused("lacks sofa_test.npz")


def test_synthetic_solids_follow_their_seed() -> None:
    data, again, other = (load("synthetic", points=24, seed=seed) for seed in (3, 3, 4))
    assert (data.name, other.name) == ("synthetic-seed-3", "synthetic-seed-4")
    assert same(data, again)
    assert not torch.equal(data.train_x, other.train_x)
    assert data.train_x.shape == (240, 24, 3)
    assert data.test_x.shape == (60, 24, 3)
    assert data.train_y.bincount().tolist() == [40] * 6
    assert data.test_y.bincount().tolist() == [10] * 6
    every = torch.cat([data.train_x, data.test_x]).flatten(1).tolist()
    assert len(set(map(tuple, every))) == 300
    voxels = load("synthetic", form="voxels", resolution=6)
    assert voxels.train_x.shape == (240, 1, 6, 6, 6)
    sphere = voxels.train_x[voxels.train_y == voxels.classes.index("sphere")]
    assert len(set(map(tuple, sphere.flatten(1).tolist()))) > 20


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"name": "shapenet"}, ValueError, "name='shapenet' is unknown: choose packed, modelnet10, modelnet40, folder"),
        ({"form": "mesh"}, ValueError, "form='mesh' is unknown: choose 'points' or 'voxels'"),
        ({"points": 0}, ValueError, "points=0 and resolution=32 must be at least 1"),
        ({"resolution": 0}, ValueError, "resolution=0 must be at least 1"),
        ({"name": "folder"}, FileNotFoundError, "no folder was given for 'folder': give --data-root DIR with shapes"),
        ({"name": "modelnet10"}, FileNotFoundError, "no folder was given for 'modelnet10': get http.* --data-root"),
        ({"name": "modelnet10-voxels"}, ValueError, r"got form='points'.*: give form='voxels' .*devoxelize"),
        ({"name": "modelnet10-voxels", "form": "voxels", "resolution": 16}, ValueError, "and resolution=16: give"),
        ({"name": "modelnet10-voxels", "form": "voxels"}, FileNotFoundError, "no folder was given for 'modelnet10-v"),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(**{"name": "synthetic", **given})


@pytest.mark.parametrize("name", ["modelnet10", "modelnet40", "modelnet10-voxels"])
def test_missing_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^'{name}' was not found, there is no CLASS.* --data-root") as caught:
        load(name, tmp_path / "nowhere", form="voxels")
    assert "\n" not in str(caught.value)


def test_splits_must_belong_together(tmp_path: Path) -> None:
    root = folder(tmp_path)
    shutil.rmtree(root / "lamp" / "train")
    with pytest.raises(ValueError, match="no training sample of the class lamp, of which lamp/test/"):
        load("folder", root)
    for name in ("lamp", "table"):
        shutil.rmtree(root / name / "test")
    with pytest.raises(ValueError, match=r"none of 3 samples is a test sample"):
        load("folder", root)


def test_a_name_that_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name='folder' cannot be fetched: choose modelnet10 or modelnet40"):
        download(tmp_path, "folder")


CLOUDS, LABELS = torch.zeros(4, 9, 3), torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train_x": CLOUDS[..., :2]}, r"train_x is torch.float32 \(4, 9, 2\), expected"),
        ({"train_x": CLOUDS.double()}, "train_x is torch.float64"),
        ({"test_x": CLOUDS[:, :5]}, r"test_x is torch.float32 \(4, 5, 3\), expected .* the same in both splits"),
        ({"test_x": torch.zeros(4, 1, 2, 2, 2).bool()}, "test_x is torch.bool"),
        ({"train_x": torch.zeros(4, 1, 2, 2, 3).bool()}, "train_x is torch.bool"),
        ({"train_y": LABELS[:3]}, r"train_y is torch.int64 \(3,\), expected int64 \(4,\)"),
        ({"test_y": LABELS.int()}, "test_y is torch.int32"),
        ({"test_y": LABELS + 1}, r"test_y must hold labels in 0\.\.1"),
        ({"test_y": LABELS - 1}, r"test_y must hold labels in 0\.\.1"),
        ({"test_x": CLOUDS[:0], "test_y": LABELS[:0]}, "test_y must hold labels"),
    ],
)
def test_a_set_checks_what_it_holds(given: dict[str, Tensor], message: str) -> None:
    whole = {"train_x": CLOUDS, "train_y": LABELS, "test_x": CLOUDS, "test_y": LABELS, **given}
    with pytest.raises(ValueError, match=message):
        ShapeSet("set", **whole, classes=("a", "b"))


# ---------------------------------------------------------------- real data


def test_modelnets_own_voxels(real: Callable[[str], Path]) -> None:
    data = load("modelnet10-voxels", real("modelnet10_voxels").parent, form="voxels")
    assert data.classes == ("chair", "monitor")
    assert (len(data.train_y), len(data.test_y)) == (838, 232)
    share = data.train_x.float().mean((1, 2, 3, 4))
    assert 0.005 < share.min() < share.max() < 0.6
