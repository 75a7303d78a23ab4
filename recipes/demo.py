"""See what mixing does, and train with it, in a few minutes and without a download: `make demo`.

*See*: one page with photographs, sounds, sentences, voxels and feature maps, mixed by MixUp, CutMix, FMix and PatchUp.
*Learn*: networks for images and for text, trained on noisy labels with each method and three seeds, in a table.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from recipes.showing import learning, page


@dataclass(frozen=True)
class Settings:
    """Write a page that shows what mixing does, train with each method and seed, and print a table."""

    out: Path = Path("runs/demo")
    """Folder of the page (see.html), its picture (see.png) and the table (learn.md)."""
    seeds: int = 3
    """Number of seeds, 2 or more."""
    workers: int | None = None
    """Number of networks that are trained at the same time; one for each core by default."""
    smoke: bool = False
    """Train for one epoch on a hundred samples, to check that it works."""

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ValueError(f"seeds={self.seeds} leaves nothing to compare: pass 2 or more")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers={self.workers} must be at least 1")


def main(settings: Settings) -> None:
    """Write the page, train, and write and print the table."""
    print("1. See", flush=True)
    shown, picture = page.write(settings.out)
    print(f"To see and hear what MixUp, CutMix, FMix and PatchUp do: open {shown}\nAs one picture: {picture}\n")
    print("2. Learn", flush=True)
    found = []
    for (task, method, seed), score in learning.scores(settings.seeds, smoke=settings.smoke, workers=settings.workers):
        found.append(((task, method, seed), score))
        print(f"{task}, {method}, seed {seed}: {score:.1f} %", flush=True)
    table = learning.table(learning.by_task(found))
    (settings.out / "learn.md").write_text(f"{table}\n\n{learning.ABOUT}\n", encoding="utf-8")
    print(f"\n{table}\n\n{learning.ABOUT}\n\nThe table: {settings.out / 'learn.md'}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings, prog="python -m recipes.demo"))
    except ValueError as error:
        sys.exit(f"recipes.demo: {error}")
