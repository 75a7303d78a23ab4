"""What mixing a batch costs, beside torchvision and beside the least that torch can do: `python -m recipes.speed`.

The floor is `torch.where` of two batches that exist into a buffer that exists. Figures of FMix's and PatchUp's own code
were measured against the same floor on another day (one mask for the batch), so they are compared as ratios to the
floor. Everything else is measured here, in one run, each for a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch.utils.benchmark import Timer
from torchvision.transforms import v2

import mixmodal as mm
from mixmodal.memory import LARGE
from recipes import records

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


@dataclass(frozen=True)
class Settings:
    """Measure and print a table."""

    out: Path | None = None
    """File for the table, in Markdown."""
    threads: int = 2
    """Threads of torch."""


def milliseconds(function: Callable[[], object]) -> float:
    """Median time of a call, in blocks of calls over a second."""
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    return 1000 * timer.blocked_autorange(min_run_time=1.0).median


def fmix_row(shape: tuple[int, ...]) -> str:
    """Floor, FMix and upstream for a batch of this shape."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    fmix = mm.FMix(axes="b * d" if shape in CHANNELS_LAST else "b c *")
    grid = (shape[1], 1) if shape in CHANNELS_LAST else (1, *shape[2:])
    keep = torch.rand(1, *grid) > 0.5
    floor = milliseconds(lambda: torch.where(keep, x, y, out=out))
    draw, new, buffer = (
        milliseconds(call) for call in (lambda: fmix.draw(x), lambda: fmix(x), lambda: fmix(x, out=out))
    )
    their_floor, _, theirs = UPSTREAM[shape]
    upstream = theirs / their_floor
    cells = [floor, draw, new, buffer, new / floor, upstream, upstream * floor / new]
    return f"| {shape} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |"


def per_sample_row(shape: tuple[int, ...]) -> str:
    """Floor and FMix with a mask for each sample, and upstream's masks one after the other, where it was measured."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    fmix = mm.FMix(per_sample=True)
    keep = torch.rand(shape) > 0.5
    floor = milliseconds(lambda: torch.where(keep, x, y, out=out))
    draw, new = (milliseconds(call) for call in (lambda: fmix.draw(x), lambda: fmix(x)))
    cells = [f"{cell:.3g}" for cell in (floor, draw, new, new / floor, 1e6 * new / x.numel())]
    if shape in UPSTREAM:
        their_floor, mask, both = UPSTREAM[shape]
        upstream = ((shape[0] - 1) * mask + both) / their_floor
        cells += [f"{upstream:.3g}", f"{1e6 * mask / x[0].numel():.3g}", f"{upstream * floor / new:.3g}"]
    return f"| {shape} | " + " | ".join([*cells, "–", "–", "–"][:8]) + " |"


def voxels_row(clouds: int, points: int, resolution: int) -> str:
    """Voxelising clouds, and drawing as many points from the voxels."""
    x = torch.rand(clouds, points, 3) * 2 - 1
    voxels = mm.voxelize(x, resolution)
    there, back = milliseconds(lambda: mm.voxelize(x, resolution)), milliseconds(lambda: mm.devoxelize(voxels, points))
    cloud = mm.OnPoints(mm.FMix(), resolution=resolution)
    on_points = milliseconds(lambda: cloud(x))
    cells = [there, back, on_points]
    return f"| {clouds} × {points:,} | {resolution}³ | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |"


def patchup_row(shape: tuple[int, ...], blocks: mm.PatchUp, upstream: float) -> str:
    """Floor, PatchUp and upstream for features of this shape."""
    x = torch.rand(shape)
    y, out = x.clone(), torch.empty_like(x)
    keep = torch.rand(1, *shape[1:]) > 0.5
    floor = milliseconds(lambda: torch.where(keep, x, y, out=out))
    draw, new, buffer = (
        milliseconds(call) for call in (lambda: blocks.draw(x), lambda: blocks(x), lambda: blocks(x, out=out))
    )
    cells = [floor, draw, new, buffer, upstream, upstream * floor / new, upstream * floor / buffer]
    return f"| {shape} | {'soft' if blocks.soft else 'hard'} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |"


def torchvision_row(shape: tuple[int, ...], ours: mm.Mixer, theirs: Callable[..., object]) -> str:
    """A mixer alone and with soft targets, and torchvision's, which always makes them, for a batch of this shape."""
    x, y = torch.rand(shape), torch.randint(10, shape[:1])

    def with_targets() -> None:
        _, mix = ours(x)
        mix.targets(y, num_classes=10)

    alone, both, other = (milliseconds(call) for call in (lambda: ours(x), with_targets, lambda: theirs(x, y)))
    cells = [alone, both, other, alone / other, both / other]
    return f"| {shape} | {type(ours).__name__} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |"


def table(settings: Settings) -> str:
    """The whole page."""
    torch.set_num_threads(settings.threads)
    torch.zeros(LARGE // 4 - 2**16)  # from now on the C library keeps freed blocks up to this size
    environment = records.environment()
    command = "python -m recipes.speed" + (f" --out {settings.out}" if settings.out else "")
    return "\n".join(
        [
            "# Speed",
            "",
            f"Made by `{command}` at {environment['git']} with torch {environment['versions']['torch']} on "
            f"{records.device_name(torch.device('cpu'))}. Milliseconds are medians over a second of calls; they move "
            "from run to run and machine to machine, ratios within a run hold. A block of 32 MB was freed first, as a "
            "training step frees activations: until then the C library gives the memory of each result back.",
            "",
            "## FMix, one mask a batch",
            "",
            "The floor is `torch.where(keep, x, y, out=out)`: both batches exist, and so does the result. The code of "
            "the FMix paper was measured against the same floor in another run, hence the ratio.",
            "",
            "| batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x, out=)` (ms) | `fmix(x)` / floor "
            "| upstream / floor | times as fast as upstream |",
            "|---|---|---|---|---|---|---|---|",
            *[fmix_row(shape) for shape in UPSTREAM],
            "",
            "## FMix, a mask for each sample",
            "",
            "The authors' code draws one mask for a batch; here its masks are counted one after the other and applied "
            "together. It was not measured at 64³; a cell of its mask costs 113 ns at 32³ and 138 at 128³.",
            "",
            "| batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x)` / floor | ns a cell | upstream / floor "
            "| upstream: ns a cell of the mask alone | times as fast as upstream |",
            "|---|---|---|---|---|---|---|---|---|",
            *[per_sample_row(shape) for shape in VOXELS],
            "",
            "## Points and voxels",
            "",
            "| clouds × points | cells | `voxelize` (ms) | `devoxelize` (ms) | `OnPoints(FMix())` (ms) |",
            "|---|---|---|---|---|",
            voxels_row(*CLOUDS),
            "",
            "## PatchUp, a pattern for each channel, shared by the batch",
            "",
            "| features | | floor (ms) | draw (ms) | `patchup(x)` (ms) | `patchup(x, out=)` (ms) | upstream / floor "
            "| times as fast as upstream | with `out=` |",
            "|---|---|---|---|---|---|---|---|---|",
            *[
                patchup_row(shape, mm.PatchUp(soft=soft), upstream)
                for shape, both in PATCHUP.items()
                for soft, upstream in zip((True, False), both, strict=True)
            ],
            "",
            "## MixUp and CutMix, beside torchvision",
            "",
            "`mix.loss` needs no soft targets; torchvision's transforms always make them.",
            "",
            "| batch | method | `mixer(x)` (ms) | with targets (ms) | torchvision (ms) | ratio | ratio with targets |",
            "|---|---|---|---|---|---|---|",
            *[
                torchvision_row(shape, ours, theirs)
                for shape in UPSTREAM
                if len(shape) == 4
                for ours, theirs in ((mm.MixUp(), v2.MixUp(num_classes=10)), (mm.CutMix(), v2.CutMix(num_classes=10)))
            ],
            "",
        ]
    )


if __name__ == "__main__":
    chosen = tyro.cli(Settings, prog="python -m recipes.speed")
    page = table(chosen)
    print(page)
    if chosen.out is not None:
        chosen.out.write_text(page, encoding="utf-8")
