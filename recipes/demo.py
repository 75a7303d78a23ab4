"""Compare four methods on scikit-learn's digits in a minute or two: `python -m recipes.demo`, or `make demo`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from recipes import images, report

METHODS = ("baseline", "mixup", "cutmix", "fmix")


@dataclass(frozen=True)
class Settings:
    """Train each method with each seed, and print a table of all."""

    out: Path = Path("runs/demo")
    """Folder of the runs and the table; what is there already is not trained again."""
    epochs: int = 30
    """Epochs to train."""
    seeds: int = 3
    """Number of seeds."""


def main(settings: Settings) -> None:
    """Train, write the table and the plot, and say where everything is."""
    for seed in range(settings.seeds):
        for method in METHODS:
            out = settings.out / "runs" / f"{method}-{seed}"
            print(f"{method}, seed {seed} -> {out}")
            options = {"--method": method, "--epochs": settings.epochs, "--seed": seed, "--out": out}
            words = [str(word) for pair in options.items() for word in pair]
            images.main([*words, "--evaluate-every", "5", "--resume"])
    paths = report.write_report(report.Options(settings.out / "runs", settings.out / "table", order=METHODS))
    print("\n" + next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8"))
    print("Plot:    ", settings.out / "table.png")
    print("Pictures:", *(settings.out / "runs" / f"{method}-0" / "samples.png" for method in METHODS), sep="\n  ")


if __name__ == "__main__":
    main(tyro.cli(Settings, prog="python -m recipes.demo"))
