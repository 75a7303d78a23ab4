"""What mixing a batch costs, beside torchvision and beside the least that torch can do: `python -m recipes.speed`.

The floor is `torch.where` of two batches that exist into a buffer that exists. Figures of FMix's and PatchUp's own code
were measured against the same floor on another day (one mask for the batch), so they are compared as ratios to the
floor. Everything else is measured here, in one run of several sweeps: what else a machine does for some seconds falls
on one of them and is voted out.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.benchmark import Timer
from torchvision.transforms import v2

import mixmodal as mm
from mixmodal.core.devices import LARGE
from recipes.reporting import pages
from recipes.training import records

UPSTREAM = {
    (128, 3, 32, 32): (0.18, 0.29, 8.7),
    (128, 3, 224, 224): (9.3, 5.6, 199),
    (32, 1, 32, 32, 32): (0.6, 3.7, 9.6),
    (8, 1, 128, 128, 128): (34, 290, 545),
    (128, 1, 16000): (1.0, 2.0, 28),
    (64, 300, 200): (1.9, 0.14, 44),
}
"""The floor, one mask of FMix's own code, and such a mask with its application, by the shape of the batch, in
milliseconds of another run."""

VOXELS = ((32, 1, 32, 32, 32), (32, 1, 64, 64, 64), (8, 1, 128, 128, 128))
"""Batches of which each sample gets a mask of its own."""

CLOUDS = (32, 10_000, 64)
"""Clouds, points of each, and cells along each axis."""

PATCHUP = {
    (128, 64, 32, 32): (501 / 6.9, 304 / 6.9),
    (128, 128, 16, 16): (160 / 2.4, 196 / 2.4),
    (100, 160, 32, 32): (832 / 35, 745 / 35),
}
"""PatchUp's own code, soft and hard, in multiples of the floor, by the shape of the features."""

CHANNELS_LAST = {(64, 300, 200)}

SWEEPS = 3
"""Times that every call is measured, each after all others."""


@dataclass(frozen=True)
class Settings:
    """Measure and print a table."""

    out: Path | None = None
    """File for the table, in Markdown."""
    threads: int = 2
    """Threads of torch."""


@dataclass(frozen=True)
class Row:
    """What is timed for a row of a table, and what is printed of the times."""

    head: str
    calls: Sequence[Callable[[], object]]
    cells: Callable[..., list[float | None]]
    """Of the milliseconds of each call; None is a dash."""


@dataclass(frozen=True)
class Table:
    """A table, and what is said before it."""

    title: str
    text: str
    columns: str
    rows: Sequence[Callable[[], Row]]
    """Each makes its batches anew, so that they live while it is measured."""


def milliseconds(function: Callable[[], object]) -> float:
    """Median time of a call, in blocks of calls over half a second, after a second that is not counted.

    A virtual machine fetches memory that it has not used for a while from its host when it is first written, for some
    seconds of calls: no step of a training but the first waits for that.
    """
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    timer.blocked_autorange(min_run_time=1.0)
    return 1000 * timer.blocked_autorange(min_run_time=0.5).median


def fmix_row(shape: tuple[int, ...]) -> Row:
    """Floor, FMix and upstream, one mask a batch, for a batch of this shape."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    fmix = mm.FMix(axes="b * d" if shape in CHANNELS_LAST else "b c *")
    grid = (shape[1], 1) if shape in CHANNELS_LAST else (1, *shape[2:])
    keep = torch.rand(1, *grid) > 0.5
    their_floor, _, theirs = UPSTREAM[shape]
    upstream = theirs / their_floor

    def cells(floor: float, draw: float, new: float, buffer: float) -> list[float | None]:
        return [floor, draw, new, buffer, new / floor, upstream, upstream * floor / new]

    calls = (lambda: torch.where(keep, x, y, out=out), lambda: fmix.draw(x), lambda: fmix(x), lambda: fmix(x, out=out))
    return Row(str(shape), calls, cells)


def per_sample_row(shape: tuple[int, ...]) -> Row:
    """Floor and FMix with a mask for each sample, and upstream's masks one after the other, where it was measured."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    fmix = mm.FMix(per_sample=True)
    keep = torch.rand(shape) > 0.5

    def cells(floor: float, draw: float, new: float) -> list[float | None]:
        own: list[float | None] = [floor, draw, new, new / floor, 1e6 * new / x.numel()]
        if shape not in UPSTREAM:
            return [*own, None, None, None]
        their_floor, mask, both = UPSTREAM[shape]
        upstream = ((shape[0] - 1) * mask + both) / their_floor
        return [*own, upstream, 1e6 * mask / x[0].numel(), upstream * floor / new]

    return Row(str(shape), (lambda: torch.where(keep, x, y, out=out), lambda: fmix.draw(x), lambda: fmix(x)), cells)


def voxels_row(clouds: int, points: int, resolution: int) -> Row:
    """Voxelising clouds, and drawing as many points from the voxels."""
    x = torch.rand(clouds, points, 3) * 2 - 1
    voxels = mm.voxelize(x, resolution)
    cloud = mm.OnPoints(mm.FMix(), resolution=resolution)
    calls = (lambda: mm.voxelize(x, resolution), lambda: mm.devoxelize(voxels, points), lambda: cloud(x))
    return Row(f"{clouds} × {points:,} | {resolution}³", calls, lambda *times: [*times])


def patchup_row(shape: tuple[int, ...], blocks: mm.PatchUp, upstream: float) -> Row:
    """Floor, PatchUp and upstream for features of this shape."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    keep = torch.rand(1, *shape[1:]) > 0.5

    def cells(floor: float, draw: float, new: float, buffer: float) -> list[float | None]:
        return [floor, draw, new, buffer, upstream, upstream * floor / new, upstream * floor / buffer]

    calls = (
        lambda: torch.where(keep, x, y, out=out),
        lambda: blocks.draw(x),
        lambda: blocks(x),
        lambda: blocks(x, out=out),
    )
    return Row(f"{shape} | {'soft' if blocks.soft else 'hard'}", calls, cells)


def torchvision_row(shape: tuple[int, ...], ours: mm.Mixer, theirs: Callable[..., object]) -> Row:
    """A mixer alone and with soft targets, and torchvision's, which always makes them, for a batch of this shape."""
    x, y = torch.rand(shape), torch.randint(10, shape[:1])

    def with_targets() -> None:
        _, mix = ours(x)
        mix.targets(y, num_classes=10)

    def cells(alone: float, both: float, other: float) -> list[float | None]:
        return [alone, both, other, alone / other, both / other]

    return Row(f"{shape} | {type(ours).__name__}", (lambda: ours(x), with_targets, lambda: theirs(x, y)), cells)


TABLES = (
    Table(
        "FMix, one mask a batch",
        "The floor is `torch.where(keep, x, y, out=out)`: both batches exist, and so does the result. The code of the "
        "FMix paper was measured against the same floor in another run, hence the ratio.",
        "batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x, out=)` (ms) | `fmix(x)` / floor "
        "| upstream / floor | times as fast as upstream",
        [partial(fmix_row, shape) for shape in UPSTREAM],
    ),
    Table(
        "FMix, a mask for each sample",
        "The authors' code draws one mask for a batch; here its masks are counted one after the other and applied "
        "together. It was not measured at 64³; a cell of its mask costs 113 ns at 32³ and 138 at 128³.",
        "batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x)` / floor | ns a cell | upstream / floor "
        "| upstream: ns a cell of the mask alone | times as fast as upstream",
        [partial(per_sample_row, shape) for shape in VOXELS],
    ),
    Table(
        "Points and voxels",
        "",
        "clouds × points | cells | `voxelize` (ms) | `devoxelize` (ms) | `OnPoints(FMix())` (ms)",
        [partial(voxels_row, *CLOUDS)],
    ),
    Table(
        "PatchUp, a pattern for each channel, shared by the batch",
        "",
        "features | | floor (ms) | draw (ms) | `patchup(x)` (ms) | `patchup(x, out=)` (ms) | upstream / floor "
        "| times as fast as upstream | with `out=`",
        [
            partial(patchup_row, shape, mm.PatchUp(soft=soft), upstream)
            for shape, both in PATCHUP.items()
            for soft, upstream in zip((True, False), both, strict=True)
        ],
    ),
    Table(
        "MixUp and CutMix, beside torchvision",
        "`mix.loss` needs no soft targets; torchvision's transforms always make them.",
        "batch | method | `mixer(x)` (ms) | with targets (ms) | torchvision (ms) | ratio | ratio with targets",
        [
            partial(torchvision_row, shape, ours, theirs)
            for shape in UPSTREAM
            if len(shape) == 4
            for ours, theirs in ((mm.MixUp(), v2.MixUp(num_classes=10)), (mm.CutMix(), v2.CutMix(num_classes=10)))
        ],
    ),
)


def sweep(tables: Sequence[Table]) -> list[list[list[float]]]:
    """Milliseconds of each call of each row of each table."""
    return [[[milliseconds(call) for call in make().calls] for make in table.rows] for table in tables]


def lines(table: Table, times: Sequence[Sequence[Sequence[float]]]) -> list[str]:
    """A table in Markdown, of the milliseconds of each call of each row in each sweep."""
    said = [f"## {table.title}", ""]
    if table.text:
        said += [table.text, ""]
    said += [f"| {table.columns} |", "|---" * (table.columns.count("|") + 1) + "|"]
    for make, of_row in zip(table.rows, zip(*times, strict=True), strict=True):
        row = make()
        cells = row.cells(*map(statistics.median, zip(*of_row, strict=True)))
        said.append(f"| {row.head} | " + " | ".join("–" if cell is None else f"{cell:.3g}" for cell in cells) + " |")
    return [*said, ""]


def page(settings: Settings, command: str, tables: Sequence[Table] = TABLES) -> str:
    """The whole page."""
    torch.set_num_threads(settings.threads)
    torch.zeros(LARGE // 4 - 2**16)  # from now on the C library keeps freed blocks up to this size
    environment = records.environment()
    times = zip(*(sweep(tables) for _ in range(SWEEPS)), strict=True)
    return "\n".join(
        [
            "# Speed",
            "",
            f"Made by `{command}` at {environment['git']} with torch {environment['versions']['torch']} on "
            f"{records.device_name(torch.device('cpu'))}. Milliseconds are medians over half a second of calls, after "
            f"a second that is not counted, and of these over {SWEEPS} sweeps of the page; they move from run to run "
            "and machine to machine, ratios within a run hold. A block of 32 MB was freed first, as a training step "
            "frees activations: until then the C library gives the memory of each result back.",
            "",
            *(line for table, of_table in zip(tables, times, strict=True) for line in lines(table, of_table)),
        ]
    )


if __name__ == "__main__":
    pages.main("speed", Settings, lambda settings, command: pages.Page(page(settings, command)))
