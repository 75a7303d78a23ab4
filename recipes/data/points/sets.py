"""Sets of shapes as clouds of points or as voxels: ModelNet, folders of meshes, and a synthetic set.

They are held in memory, or in a cache and read on demand.

Source: Wu et al. 2015, "3D ShapeNets", https://modelnet.cs.princeton.edu.
"""

import hashlib
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mixmodal.modalities.points.meshes import import_open3d, into_frame, normalise, sample_surface, surface_voxels
from mixmodal.modalities.points.off import Mesh
from mixmodal.modalities.points.voxels import voxelize
from recipes.data.disk.arrays import DAMAGED, header_of
from recipes.data.disk.kept import kept, lazy
from recipes.data.disk.lazy import Samples
from recipes.data.files import Examples, files_in, is_hidden, listed
from recipes.data.packed import files as packed
from recipes.data.points.modelnet import MODELNETS, SPLITS
from recipes.data.points.shapes import SUFFIXES, Shape, read_shape
from recipes.data.splits import Split, files_by_class, held_out

Form = Literal["points", "voxels"]
PACKED = "modelnet10-voxels"
SIDE = 32
PRIMITIVES = ("box", "cone", "cylinder", "octahedron", "sphere", "torus")
PER_CLASS = (40, 10)
MOST_PACKED = 2**14
"""Most shapes in a file of packed voxels; the largest published has 889."""
READER = 2
"""Version of what is cached: change it when meshes are read or sampled differently."""
Listing = dict[str, dict[Path, str]]
"""Files of the training and of the test shapes, and the class of each."""

NAMES = (*MODELNETS, "folder", PACKED, "synthetic")


@dataclass(frozen=True, eq=False)
class ShapeSet:
    """A labelled set of shapes.

    Args:
        name: name of the set.
        train_x: training shapes: clouds (N, points, 3) float32, or voxels (N, 1, R, R, R) bool.
        train_y: training labels (N,) int64, below the number of classes.
        test_x: test shapes, of the same form.
        test_y: test labels (M,) int64.
        classes: name of each class.

    Raises:
        ValueError: a tensor has the wrong shape, dtype or values.
    """

    name: str
    train_x: Samples = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Samples = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        for split, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            cloud = x.ndim == 3 and x.shape[2] == 3 and x.dtype == torch.float32
            grid = x.ndim == 5 and x.shape[1] == 1 and len({*x.shape[2:]}) == 1 and x.dtype == torch.bool
            if not (cloud or grid) or x.shape[1:] != self.train_x.shape[1:]:
                raise ValueError(
                    f"{self.name}: {split}_x is {x.dtype} {tuple(x.shape)}, expected float32 (N, points, 3) or bool "
                    f"(N, 1, R, R, R), the same in both splits"
                )
            if y.shape != x.shape[:1] or y.dtype != torch.int64:
                raise ValueError(f"{self.name}: {split}_y is {y.dtype} {tuple(y.shape)}, expected int64 ({len(x)},)")
            if len(y) == 0 or int(y.min()) < 0 or int(y.max()) >= len(self.classes):
                raise ValueError(f"{self.name}: {split}_y must hold labels in 0..{len(self.classes) - 1}")


def load(
    name: str,
    root: Path | None = None,
    *,
    form: Form = "points",
    points: int = 1000,
    resolution: int = 32,
    cache: Path | None = None,
    seed: int = 0,
    split: Split | None = None,
) -> ShapeSet:
    """Load a set of shapes by name.

    Clouds are drawn uniformly from the surface and have zero mean and unit deviation along each axis. Voxels are those
    that the surface crosses, in the frame that the mesh's greatest extent fills. If a file is a cloud, points are drawn
    from it, each once if there are enough, and voxels are those that hold one. Labels number the sorted names of the
    classes.

    Args:
        name: ``"modelnet10"`` or ``"modelnet40"`` as published; ``"folder"``, your own OFF, PLY and npz files in a
            folder for each class, see ``recipes.data.splits.files_by_class`` and ``recipes.data.points.shapes``;
            ``"modelnet10-voxels"``, packed voxels of some ModelNet10 classes, ``CLASS_train.npz`` and
            ``CLASS_test.npz``; ``"synthetic"``, six primitive solids, deformed at random: ``root`` plays no part.
        root: folder of the files, or its parent; for ``"folder"`` the folder itself.
        form: ``"points"`` or ``"voxels"``.
        points: number of points of a cloud; ignored for voxels.
        resolution: cells along each axis of voxels; ignored for points.
        cache: folder in which the samples made from meshes are kept and read on demand; other settings or files get new
            ones. By default nothing is cached, and all is held in memory.
        seed: of the points, and of the synthetic set.
        split: which shapes of ``"folder"`` are for testing; by hash or by folders ``train`` and ``test`` if None.

    Raises:
        ValueError: an argument is unknown, or a file is damaged.
        FileNotFoundError: the files are not there.
        ImportError: open3d is missing.

    >>> load("synthetic", points=16).train_x.shape
    torch.Size([240, 16, 3])
    """
    if name not in NAMES:
        raise ValueError(f"name={name!r} is unknown: choose {', '.join((packed.NAME, *NAMES))}")
    check(form, points, resolution)
    if name == PACKED:
        return _packed(root, form, resolution)
    make = partial(sample, form=form, points=points, resolution=resolution, seed=seed)
    if name == "synthetic":
        return _synthetic(make, seed)
    folder, paths = _published(name, root) if name in MODELNETS else _own(root, Split() if split is None else split)
    drawn = {"points": points, "seed": seed} if form == "points" else {"resolution": resolution}
    what: dict[str, Any] = {"form": form, "reader": READER, **drawn}
    classes = tuple(sorted({*paths["train"].values()}))
    tensors: dict[str, Any] = {}
    for side in SPLITS:
        shapes = _made(folder, paths[side], what, make, cache, f"{name} {form} {side}")
        tensors |= {f"{side}_x": shapes, f"{side}_y": torch.tensor([classes.index(of) for of in paths[side].values()])}
    title = name if name in MODELNETS else f"folder-{folder.resolve().name}"
    return ShapeSet(title, **tensors, classes=classes)


def check(form: str, points: int, resolution: int) -> None:
    """Raise unless samples can be of this form.

    Raises:
        ValueError: they cannot.
    """
    if form not in get_args(Form):
        raise ValueError(f"form={form!r} is unknown: choose {' or '.join(map(repr, get_args(Form)))}")
    if points < 1 or resolution < 1:
        raise ValueError(f"points={points} and resolution={resolution} must be at least 1")


def sample(shape: Shape, key: str, *, form: Form, points: int, resolution: int, seed: int) -> Tensor:
    """A standardised cloud (points, 3), drawn by the seed and the shape's own key, or its voxels (1, R, R, R)."""
    if isinstance(shape, Tensor):
        if form == "voxels":
            return voxelize(into_frame(shape)[None], resolution)[0].bool()
        generator = torch.Generator().manual_seed(_seed(seed, key))
        enough = len(shape) >= points
        order = torch.randperm if enough else partial(torch.randint, size=(points,))
        return normalise(shape[order(len(shape), generator=generator)[:points]].float())
    mesh = shape
    if form == "points":
        return normalise(sample_surface(mesh, points, seed=_seed(seed, key)))
    return surface_voxels(Mesh(into_frame(mesh.vertices), mesh.faces), resolution)[None]


def _own(root: Path | None, split: Split) -> tuple[Path, Listing]:
    """The folder of your own shapes, and its files."""
    if root is None:
        raise FileNotFoundError("no folder was given for 'folder': give --data-root DIR with shapes in DIR/CLASS")
    found = files_by_class(root, SUFFIXES, split.group)
    tests = held_out([entry for entry, _ in found], split, f"{root}")
    sides = zip(SPLITS, (False, True), strict=True)
    return root, {
        side: {path: entry.classes[0] for (entry, path), each in zip(found, tests, strict=True) if each is test}
        for side, test in sides
    }


def _published(name: str, root: Path | None) -> tuple[Path, Listing]:
    """The folder that holds the classes of a ModelNet, and its meshes, of which none may be missing."""
    facts = MODELNETS[name]
    remedy = f"get {facts.url} (--download does) and give its folder with --data-root"
    if root is None:
        raise FileNotFoundError(f"no folder was given for {name!r}: {remedy}")
    bases = tuple(root / place for place in (".", facts.folder, name, f"{name}/{facts.folder}"))
    folder = next((base for base in bases if _meshes(base, "train")), None)
    if folder is None:
        raise FileNotFoundError(f"{name!r} was not found, there is no CLASS/train/*.off in {listed(bases)}: {remedy}")
    paths = {split: _meshes(folder, split) for split in SPLITS}
    unknown = sorted({*paths["test"].values()} - {*paths["train"].values()})
    if unknown or not paths["test"]:
        reason = f"classes without training meshes: {', '.join(unknown)}" if unknown else "no CLASS/test/*.off"
        raise ValueError(f"{folder} has {reason}")
    found = tuple(len(paths[split]) for split in SPLITS)
    if found != facts.meshes:
        raise ValueError(
            f"{folder} has {found} training and test meshes, {name} has {facts.meshes}: unpack it again, or load a "
            f"part of it as 'folder'"
        )
    return folder, paths


def _meshes(folder: Path, split: str) -> dict[Path, str]:
    """The meshes of all classes in a split, and their classes, sorted; hidden files and folders are left out."""
    classes = sorted(path for path in folder.glob("*") if path.is_dir() and not is_hidden(path))
    return {path: each.name for each in classes for path in files_in(each / split, ".off")}


def _made(
    folder: Path,
    paths: Mapping[Path, str],
    what: Mapping[str, Any],
    make: Callable[[Shape, str], Tensor],
    cache: Path | None,
    title: str,
) -> Samples:
    """Read all shapes of a split and make its samples, which are kept if there is a cache.

    The cache file is named by a hash of the settings and of the files' names, sizes and times.
    """
    names = [path.relative_to(folder).as_posix() for path in paths]
    made = (make(read_shape(path), name) for path, name in zip(paths, names, strict=True))
    if cache is None:
        return torch.stack([*made])
    import pyarrow as pa

    row = (what["points"], 3) if "points" in what else (1, *(what["resolution"],) * 3)
    stats = [path.stat() for path in paths]
    listing = [[name, st.st_size, st.st_mtime_ns] for name, st in zip(names, stats, strict=True)]
    kind = pa.list_(pa.float32() if "points" in what else pa.bool_(), math.prod(row))
    rows = ({"shape": each.flatten().numpy()} for each in made)
    data = kept(cache, title, [what, listing], {"shape": kind}, lambda: rows, len(names))
    return lazy(data, "shape", row, torch.arange(len(names)))


def _seed(seed: int, key: str) -> int:
    """A seed for one shape, below 2^31."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:4], "big") >> 1


def _packed(root: Path | None, form: Form, resolution: int) -> ShapeSet:
    """ModelNet10's packed voxels, 32 along each axis, the last axis up."""
    if form != "voxels" or resolution != SIDE:
        raise ValueError(
            f"{PACKED!r} has voxels with {SIDE} cells along each axis, got form={form!r} and resolution={resolution}: "
            f"give form='voxels' and resolution={SIDE} (mixmodal.points.devoxelize turns them into points)"
        )
    remedy = "give --data-root DIR with DIR/CLASS_train.npz and DIR/CLASS_test.npz"
    if root is None:
        raise FileNotFoundError(f"no folder was given for {PACKED!r}: {remedy}")
    bases = (root, root / "modelnet10_voxels")
    base = next((base for base in bases if any(base.glob("*_train.npz"))), None)
    if base is None:
        raise FileNotFoundError(f"{PACKED!r} was not found, there is no CLASS_train.npz in {listed(bases)}: {remedy}")
    classes = tuple(sorted(path.name.removesuffix("_train.npz") for path in base.glob("[!.]*_train.npz")))
    examples = [_unpacked([base / f"{name}_{split}.npz" for name in classes]) for split in SPLITS]
    return ShapeSet(PACKED, *examples[0], *examples[1], classes)


def _unpacked(paths: list[Path]) -> Examples:
    """The voxels (N, 1, 32, 32, 32) and labels of the classes in one split."""
    grids = []
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path.parent} lacks {path.name}: unpack it again")
        packed = _packed_bits(path)
        bits = np.unpackbits(packed, axis=1).astype(bool)
        grids.append(torch.from_numpy(bits).view(-1, 1, SIDE, SIDE, SIDE))
    return torch.cat(grids), torch.arange(len(grids)).repeat_interleave(torch.tensor([len(grid) for grid in grids]))


def _packed_bits(path: Path) -> np.ndarray[Any, Any]:
    """The packed voxels of a class; the claims of its header are checked before any memory is taken for them."""
    width = SIDE**3 // 8
    try:
        with zipfile.ZipFile(path) as archive, archive.open("packed.npy") as file:
            shape, fortran, dtype = header_of(file)
            if dtype != np.uint8 or len(shape) != 2 or shape[1] != width or not 0 <= shape[0] <= MOST_PACKED or fortran:
                raise ValueError(f"it has {dtype} {shape}, expected uint8 (N, {width}) with N up to {MOST_PACKED:,}")
            raw = file.read(shape[0] * width)
            if len(raw) < shape[0] * width or file.read(1):
                raise ValueError(f"it promises {shape[0]:,} shapes and has another number")
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read ({error}): unpack it again") from error
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _synthetic(make: Callable[[Shape, str], Tensor], seed: int) -> ShapeSet:
    """Primitive solids, each stretched, sheared and turned about the upright axis; not real data."""
    tensors: dict[str, Tensor] = {}
    for split, count in zip(SPLITS, PER_CLASS, strict=True):
        keys = [(name, f"{name}/{split}/{number}") for name in PRIMITIVES for number in range(count)]
        tensors[f"{split}_x"] = torch.stack([make(_primitive(name, _seed(seed, key)), key) for name, key in keys])
        tensors[f"{split}_y"] = torch.arange(len(PRIMITIVES)).repeat_interleave(count)
    return ShapeSet(f"synthetic-seed-{seed}", **tensors, classes=PRIMITIVES)


def _primitive(name: str, seed: int) -> Mesh:
    """One of open3d's solids, deformed by a random linear map."""
    solid = getattr(import_open3d().geometry.TriangleMesh, f"create_{name}")()
    generator = torch.Generator().manual_seed(seed)
    stretch = torch.diag(torch.exp(0.4 * torch.randn(3, generator=generator)))
    shear = torch.eye(3) + 0.2 * torch.randn(3, 3, generator=generator).triu(1)
    angle = 2 * torch.pi * torch.rand((), generator=generator)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(())
    turn = torch.stack([cos, sin, zero, -sin, cos, zero, zero, zero, zero + 1]).view(3, 3)
    vertices = torch.from_numpy(np.array(solid.vertices))
    return Mesh(vertices @ (stretch @ shear @ turn).double(), torch.from_numpy(np.array(solid.triangles)).long())
