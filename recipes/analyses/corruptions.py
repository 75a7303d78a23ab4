"""Errors on test images with common corruptions, of networks of `recipes.images`.

Claim (Faramarzi et al. 2022, Figures 4 and 15): on Tiny-ImageNet-C, soft PatchUp has the lowest errors on fifteen
corruptions, each summed over five severities, and hard PatchUp the second lowest.

    python -m recipes.analyses.corruptions RUNS --frost DIR --out docs/results/corruptions.md

corrupts images of 32 or 64 pixels itself; with `--published DIR` it reads CIFAR-10-C, CIFAR-100-C or Tiny-ImageNet-C.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro
from PIL import Image
from torch import Tensor

from recipes.analyses.shared import altered, writing
from recipes.analyses.shared.trained import Choice, Trained, networks, train_briefly
from recipes.data.disk.lazy import read
from recipes.data.images import sets
from recipes.data.images.altering.constants import CORRUPTIONS, FROST_PICTURES, SEVERITIES
from recipes.data.images.altering.corruptions import corrupted
from recipes.data.images.altering.published import read_corrupted
from recipes.pictures import conditions
from recipes.reporting import intervals, pages
from recipes.reporting.intervals import Claim, Values

TOTAL = "mean of the sums"
CLAIMS = tuple(
    Claim(TOTAL, lower, higher, "PatchUp, Figure 4")
    for lower, higher in (
        ("patchup-soft", "patchup-hard"),
        *(("patchup-hard", other) for other in ("baseline", "mixup", "manifold-mixup", "cutmix", "puzzlemix")),
    )
)


@dataclass(frozen=True)
class Settings:
    """Corrupt the test images and report how often the networks err on them."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks, and on which images."""
    published: Path | None = None
    """Read CIFAR-10-C, CIFAR-100-C or Tiny-ImageNet-C from this folder or its parent, and make nothing."""
    frost: Path | None = None
    """Folder with the pictures that frost is made from."""
    corruptions: tuple[str, ...] = CORRUPTIONS
    """Which of the fifteen."""
    seed: int = 0
    """Seed of the draws, which are the same for all networks."""
    sets: Path | None = None
    """Folder in which corrupted images are kept and reused; without it they are made anew."""
    out: Path | None = None
    """File for the page, in Markdown; pictures and a table of all numbers are put beside it."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.corruptions if name not in CORRUPTIONS]
        if unknown or not self.corruptions:
            raise ValueError(f"corruptions={self.corruptions} must be among {', '.join(CORRUPTIONS)}")
        for name, value in (("frost", self.frost), ("sets", self.sets)):
            if self.published is not None and value is not None:
                raise ValueError(f"published and {name} exclude each other: with published images none are made")


class Corrupted:
    """Corrupted test images by corruption and severity: those of `made`, or as published."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.made = altered.Alterations(self._make, folder=settings.sets, facts={"seed": settings.seed})

    def __call__(self, trained: Trained, name: str, severity: int) -> tuple[Tensor, Tensor]:
        """Images and labels for a network."""
        if self.settings.published is None:
            return self.made(read(trained.data.test_x), f"{name} {severity}"), trained.data.test_y
        x, y = read_corrupted(self.settings.published, trained.settings.data, name, severity)
        if x.shape[1:] != trained.data.test_x.shape[1:]:
            size = tuple(trained.data.test_x.shape[1:])
            raise ValueError(
                f"{name} is published as {tuple(x.shape[1:])}, but the images of the run are {size}: leave published "
                f"out, and they are corrupted here"
            )
        kept = torch.linspace(0, len(x) - 1, min(len(x), len(trained.data.test_y))).round().long()
        return read(x[kept]), y[kept]

    def _make(self, x: Tensor, name: str) -> Tensor:
        corruption, severity = name.split()
        return corrupted(x, corruption, int(severity), frost=self.settings.frost, seed=self.settings.seed)


def sums(errors: Mapping[str, Values], names: tuple[str, ...]) -> dict[str, Values]:
    """The errors of each corruption, summed over the severities, and the mean of these sums.

    >>> errors = {f"fog {severity}": {"mixup": {0: 10.0 * severity}} for severity in (1, 2, 3, 4, 5)}
    >>> sums(errors, ("fog",))
    {'fog': {'mixup': {0: 150.0}}, 'mean of the sums': {'mixup': {0: 150.0}}}
    """
    runs = {method: list(seeds) for method, seeds in next(iter(errors.values())).items()}

    def over(terms: list[Values], count: int) -> Values:
        return {m: {seed: sum(each[m][seed] for each in terms) / count for seed in runs[m]} for m in runs}

    found = {name: over([errors[f"{name} {severity}"] for severity in SEVERITIES], 1) for name in names}
    return {**found, TOTAL: over(list(found.values()), len(names))}


def page(settings: Settings, command: str) -> pages.Page:
    """Score all networks; returns the page and the files beside it."""
    if settings.choice.smoke and settings.choice.runs is None:
        with tempfile.TemporaryDirectory() as temporary:
            return measured_page(made_for_smoke(settings, Path(temporary)), command)
    return measured_page(settings, command)


def made_for_smoke(settings: Settings, root: Path) -> Settings:
    """Settings with networks of digits of 32 pixels and frost pictures of noise, all made in a folder."""
    digits = sets.load("digits")
    for split, x, y in (("train", read(digits.train_x), digits.train_y), ("test", read(digits.test_x), digits.test_y)):
        for label in range(3):
            place = root / "digits" / split / str(label)
            place.mkdir(parents=True)
            for number, image in enumerate(x[y == label][:4, 0]):
                Image.fromarray(image.numpy()).resize((32, 32)).convert("RGB").save(place / f"{number}.png")
    train_briefly(root / "runs", "--data", "folder", "--data-root", str(root / "digits"))
    frost = root / "frost"
    frost.mkdir()
    for name in FROST_PICTURES:
        Image.effect_noise((300, 300), 60).convert("RGB").save(frost / name)
    choice = replace(settings.choice, runs=root / "runs")
    return replace(settings, choice=choice, frost=settings.frost or frost)


def measured_page(settings: Settings, command: str) -> pages.Page:
    """The page of networks that exist."""
    corrupted_sets = Corrupted(settings)
    errors: dict[str, dict[str, dict[int, float]]] = {}
    start, runs = None, 0
    samples: dict[str, list[Tensor]] = {}
    for trained in networks(settings.choice):
        start, runs = start or trained, runs + 1
        for name in settings.corruptions:
            found = [corrupted_sets(trained, name, severity) for severity in SEVERITIES]
            for severity, (x, y) in zip(SEVERITIES, found, strict=True):
                altered.add(errors, f"{name} {severity}", trained, altered.error(trained, x, y))
            samples[name] = [x[0] for x, _ in found]
    measured = sums(errors, settings.corruptions)
    origin = (
        "They are made here, with the constants of CIFAR-10-C (32 pixels) and Tiny-ImageNet-C (64), every image once "
        "and the same for all networks; they have the same distribution as the published ones, not the same bits."
        if settings.published is None
        else "They are the published ones."
    )
    assert start is not None  # there is at least one
    text = writing.text(
        title="Errors on corrupted images",
        about=f"The percentage of corrupted test images that are misclassified, summed over five severities. {origin}",
        made=writing.made_by(command, start, runs),
        measured=measured,
        digits=1,
        claims=CLAIMS,
        pictures={
            ".png": "Faramarzi et al. 2022, Figures 4 and 15: soft PatchUp has the lowest errors, hard PatchUp the "
            "second lowest. Bars are 95 % t-intervals over the seeds.",
            "-samples.png": "An image under each corruption.",
        },
        name=writing.name_of(settings.out, "corruptions"),
    )
    figures = {
        ".png": conditions.points(altered.bands(measured), ylabel="sum of errors (%)"),
        "-samples.png": conditions.tiles(samples, [f"severity {severity}" for severity in SEVERITIES]),
    }
    return pages.Page(text, figures, {".csv": intervals.csv_text(errors)})


if __name__ == "__main__":
    pages.main("analyses.corruptions", Settings, page)
