"""Compare four methods on scikit-learn's digits in a few minutes: `python -m recipes.demo`, or `make demo`.

On 20 images of each digit, so that there is something left to gain: on all of them a small network is right on 99 %.
"""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import tyro

from recipes import images, report
from recipes.reporting import summary, tables

METHODS = ("baseline", "mixup", "cutmix", "fmix")


@dataclass(frozen=True)
class Settings:
    """Train each method with each seed, and print a table of all."""

    out: Path = Path("runs/demo")
    """Folder of the runs and the table; what is there already is not trained again."""
    epochs: int = 60
    """Epochs to train."""
    seeds: int = 3
    """Number of seeds."""


def main(settings: Settings) -> None:
    """Train, write the table and the plot, and say where everything is."""
    for seed in range(settings.seeds):
        for method in METHODS:
            out = settings.out / "runs" / f"{method}-{seed}"
            print(f"{method}, seed {seed} -> {out}", flush=True)
            if not (out / "result.json").exists():
                words = f"--per-class 20 --batch-size 20 --evaluate-every 10 --epochs {settings.epochs}".split()
                with contextlib.redirect_stdout(io.StringIO()):  # a line for every epoch, which metrics.jsonl has too
                    images.main([*words, "--method", method, "--seed", str(seed), "--out", str(out), "--resume"])
    table = report.Options(settings.out / "runs", settings.out / "table", order=METHODS)
    page, figures, plot = report.write_report(table)
    runs, _ = summary.find_runs(table.runs)
    print("\n" + tables.score_table(report.build_report(runs, table)) + "\n")
    print(f"How to read it, and how it was made: {page}\nEvery seed: {figures}\nPlot: {plot}\nWhat each method does:")
    print(*(f"  {table.runs / f'{method}-0' / 'samples.png'}" for method in METHODS), sep="\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, prog="python -m recipes.demo"))
