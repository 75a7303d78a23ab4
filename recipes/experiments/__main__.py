"""Every table and figure of the FMix and PatchUp papers: published values, cost, and how to run it.

    python -m recipes.experiments                                   # the list
    python -m recipes.experiments --only fmix-table-2 cifar100      # only these tables, rows, papers or data
    python -m recipes.experiments --run fmix-table-2/cifar10-preact18 --seeds 5 --data-root DIR

A row runs one recipe command for each method and seed, one after the other; finished runs are skipped, and one that was
stopped is resumed. An analysis trains its networks first.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import split

import tyro

from recipes.experiments import ROWS, TITLES, page, running
from recipes.experiments.rows import choose
from recipes.training import records
from recipes.training.command import mistakes_as_sentences


@dataclass(frozen=True)
class Settings:
    """List the papers' experiments, or run some of them."""

    only: tuple[str, ...] = ()
    """List those of a paper (fmix, patchup), table, TABLE/ROW or data."""
    run: tuple[str, ...] = ()
    """Run these, named in the same way."""
    methods: tuple[str, ...] = ()
    """Run only these methods; all of the row by default."""
    seeds: int = 1
    """Number of seeds, counting from 0; the papers have 5."""
    data_root: Path | None = None
    """Folder of the data."""
    hub: bool = False
    """Fetch the data from the Hugging Face hub instead."""
    vectors: Path | None = None
    """File of word vectors, for texts."""
    words: str = ""
    """More options for each command that trains, as in --words="--precision bf16"."""
    out: Path = Path("runs/experiments")
    """Folder for all runs, with one folder for each row."""
    smoke: bool = False
    """Run a few batches of each, to check that it works; in a separate folder."""
    dry: bool = False
    """Print the commands of `--run` without running them; DIR and WORDS.vec stand for whatever is not given."""
    page: Path | None = None
    """Write the list as a page of the site."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds={self.seeds} must be 1 or more")
        if self.run and (self.only or self.page):
            raise ValueError(f"run={self.run} cannot be combined with --only or --page, which are for the list")
        if self.hub and self.data_root is not None:
            raise ValueError(f"hub=True and data_root={str(self.data_root)!r} exclude each other: pass one")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with mistakes_as_sentences("experiments"):
        settings = tyro.cli(Settings, prog="python -m recipes.experiments", args=arguments, description=__doc__)
        if settings.page is not None:
            records.write_text(settings.page, page.markdown(ROWS.values(), TITLES))
        elif settings.run:
            _run(settings)
        else:
            print(page.plain(choose(ROWS.values(), settings.only)))


def _run(settings: Settings) -> None:
    rows = choose(ROWS.values(), settings.run)
    how = running.How(
        root=settings.out / "smoke" if settings.smoke else settings.out,
        seeds=settings.seeds,
        methods=settings.methods,
        data_root=settings.data_root,
        hub=settings.hub,
        vectors=settings.vectors,
        words=tuple(split(settings.words)),
        smoke=settings.smoke,
    )
    if settings.dry:
        how = replace(how, data_root=how.data_root or Path("DIR"), vectors=how.vectors or Path("WORDS.vec"))
        print("\n".join(str(command) for row in rows for command in running.commands(row, ROWS, how)))
    else:
        running.run(rows, ROWS, how, lambda text: print(text, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
