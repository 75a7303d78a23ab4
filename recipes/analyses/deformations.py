"""Errors on rotated, sheared and scaled test images, of networks of `recipes.images`.

Claim (Faramarzi et al. 2022, Table 4): on CIFAR-100 with a PreAct-ResNet34, PatchUp has the lowest errors of six
methods on every deformed test set but one. Soft PatchUp is best on sheared and shrunken images, hard PatchUp on rotated
and slightly enlarged ones; on the largest, Manifold Mixup is ahead of it by 0.4 points.

    python -m recipes.analyses.deformations RUNS --out docs/results/deformations.md
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro
from torch import Tensor

from recipes.analyses.shared import altered, writing
from recipes.analyses.shared.trained import Choice, networks
from recipes.data.disk.lazy import read
from recipes.data.images.altering.affine import DEFORMATIONS, deformed
from recipes.pictures import conditions
from recipes.reporting import intervals, pages
from recipes.reporting.intervals import Claim

CLEAN = "as they are"
BEST = {
    "rotate 20": "patchup-hard",
    "rotate 40": "patchup-hard",
    "shear 28.6": "patchup-soft",
    "shear 57.3": "patchup-soft",
    "scale 0.6": "patchup-soft",
    "scale 0.8": "patchup-soft",
    "scale 1.2": "patchup-hard",
    "scale 1.4": "manifold-mixup",
}
"""The method with the lowest error in Table 4."""
METHODS = ("cutout", "cutmix", "manifold-mixup", "puzzlemix", "patchup-soft", "patchup-hard")
CLAIMS = tuple(
    Claim(name, best, other, "PatchUp, Table 4") for name, best in BEST.items() for other in METHODS if other != best
)


@dataclass(frozen=True)
class Settings:
    """Deform the test images and report how often the networks err on them."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks, and on which images."""
    seed: int = 0
    """Seed of the angles, which are the same for all networks."""
    sets: Path | None = None
    """Folder in which deformed images are kept and reused; without it they are made anew."""
    out: Path | None = None
    """File for the page, in Markdown; pictures and a table of all numbers are put beside it."""


def page(settings: Settings, command: str) -> pages.Page:
    """Score all networks; returns the page and the files beside it."""
    seed = settings.seed
    sets = altered.Alterations(lambda x, name: deformed(x, name, seed=seed), folder=settings.sets, facts={"seed": seed})
    measured: dict[str, dict[str, dict[int, float]]] = {}
    start, runs = None, 0
    rows: dict[str, list[Tensor]] = {}
    for trained in networks(settings.choice):
        start, runs = start or trained, runs + 1
        x, y = read(trained.data.test_x), trained.data.test_y
        altered.add(measured, CLEAN, trained, altered.error(trained, x, y))
        for name in DEFORMATIONS:
            altered.add(measured, name, trained, altered.error(trained, sets(x, name), y))
        shown = slice(min(altered.SHOWN, len(x)))
        rows = {CLEAN: list(x[shown]), **{name: list(sets(x, name)[shown]) for name in DEFORMATIONS}}
    assert start is not None  # there is at least one
    text = writing.text(
        title="Errors on deformed images",
        about="The percentage of test images that are misclassified. Every image is deformed once, as torchvision "
        "deforms Pillow images (nearest pixels, black outside), and all networks see the same ones. Rotations and "
        "horizontal shears are by uniformly drawn angles of up to the given degrees in either direction.",
        made=writing.made_by(command, start, runs),
        measured=measured,
        digits=2,
        claims=CLAIMS,
        pictures={
            ".png": "Faramarzi et al. 2022, Table 4: PatchUp has the lowest error on every set but that of the "
            "largest scale, where Manifold Mixup is ahead by 0.4 points. Bars are 95 % t-intervals over the seeds.",
            "-samples.png": "Some images of each set.",
        },
        name=writing.name_of(settings.out, "deformations"),
    )
    first = next(iter(rows.values()))
    figures = {
        ".png": conditions.points(altered.bands(measured), ylabel="error (%)"),
        "-samples.png": conditions.tiles(rows, [""] * len(first)),
    }
    return pages.Page(text, figures, {".csv": intervals.csv_text(measured)})


if __name__ == "__main__":
    pages.main("analyses.deformations", Settings, page)
