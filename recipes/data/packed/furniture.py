"""Furniture and other objects, in ten classes: 295 clouds of points from models that artists made.

Source: Debian's `sweethome3d-furniture`, models of Sweet Home 3D under CC BY 3.0 and CC0; author, name and licence of
each are in `furniture.csv.xz`, what was changed in the README.md beside it.
"""

import io
import lzma

import numpy as np
import torch

from recipes.data.files import Examples
from recipes.data.packed import files
from recipes.data.points.modelnet import SPLITS
from recipes.data.points.sets import Form, ShapeSet, check, sample

CLOUDS, LIST = "furniture.npy.xz", "furniture.csv.xz"
"""Points of all shapes, and the split, class, file, licence, author and name of each."""


def load(*, form: Form = "points", points: int = 1000, resolution: int = 32, seed: int = 0) -> ShapeSet:
    """Clouds, or the voxels that their points are in; the last axis is up.

    A shape has 2,048 points, on a grid of 256 along its greatest extent. See ``recipes.data.points.sets.load`` for how
    samples are made from a cloud.

    Args:
        form: ``"points"`` or ``"voxels"``.
        points: number of points of a cloud, drawn from those that it has; ignored for voxels.
        resolution: cells along each axis of voxels; ignored for points.
        seed: of the points.

    Returns:
        232 training and 63 test shapes, clouds (N, points, 3) float32 or voxels (N, 1, R, R, R) bool.

    Raises:
        FileNotFoundError: a packed file is not there.
        ValueError: one is damaged, or an argument is unknown.

    >>> load(points=16).train_x.shape
    torch.Size([232, 16, 3])
    """
    check(form, points, resolution)
    listed = files.rows(LIST)
    places = np.load(io.BytesIO(lzma.decompress(files.content(CLOUDS))), allow_pickle=False)  # (N, 3, points)
    clouds = torch.from_numpy(places).mT.double()
    classes = tuple(sorted({row["class"] for row in listed}))

    def part(split: str) -> Examples:
        where = [number for number, row in enumerate(listed) if row["split"] == split]
        made = [
            sample(clouds[i], listed[i]["file"], form=form, points=points, resolution=resolution, seed=seed)
            for i in where
        ]
        return torch.stack(made), torch.tensor([classes.index(listed[i]["class"]) for i in where])

    train, test = map(part, SPLITS)
    return ShapeSet("packed-furniture", *train, *test, classes)
