"""Clouds of points: to voxels, from voxels, and mixed by way of them."""

from collections.abc import Callable
from functools import partial

import mixmodal as mm
from recipes.measuring.benchmark.cases import Bench, Part
from recipes.measuring.benchmark.figures import Figures, Key, section, table

NAME = "points"
CLOUDS = (32, 10_000, 64)
"""Clouds, points of each, and cells along each axis."""
CALLS = ("voxelize", "devoxelize", "on points")


def measure(bench: Bench, figures: Figures) -> None:
    """Milliseconds of the three calls."""
    clouds, points, resolution = (2, 100, 8) if bench.small else CLOUDS
    x = bench.rand(clouds, points, 3) * 2 - 1
    voxels = mm.voxelize(x, resolution)
    cloud = mm.OnPoints(mm.FMix(), resolution=resolution)
    calls: dict[str, Callable[[], object]] = {
        CALLS[0]: partial(mm.voxelize, x, resolution),
        CALLS[1]: partial(mm.devoxelize, voxels, points),
        CALLS[2]: partial(cloud, x),
    }
    case = f"{clouds} × {points:,} | {resolution}³"
    for what, call in calls.items():
        figures.add(Key(NAME, case, "", "", what), bench.clock.milliseconds(call))


def sections(figures: Figures) -> list[str]:
    """The one table."""
    rows = [(case, [figures.get(NAME, case, "", "", what) for what in CALLS]) for case, _, _ in figures.rows(NAME)]
    columns = "clouds × points | cells | `voxelize` (ms) | `devoxelize` (ms) | `OnPoints(FMix())` (ms)"
    return section("Points and voxels", "", table(columns, rows))


PART = Part(measure, sections)
