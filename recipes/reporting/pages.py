"""Pages of measurements: their command line, the command that a page names as its origin, and the files next to it."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import tyro
from matplotlib.figure import Figure

from recipes.data.disk.kept import whole
from recipes.training import records
from recipes.training.command import mistakes_as_sentences


class Paged(Protocol):
    """Settings with a file for the page."""

    @property
    def out(self) -> Path | None: ...


@dataclass(frozen=True, eq=False)
class Page:
    """A page and what is written next to it.

    Args:
        text: the page, in Markdown.
        figures: pictures by what replaces the suffix of the page's name, such as ".png".
        texts: other texts by the same, such as ".csv".
    """

    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


_Settings = TypeVar("_Settings", bound=Paged)


def main(
    module: str,
    settings: type[_Settings],
    make: Callable[[_Settings, str], Page],
    arguments: Sequence[str] | None = None,
) -> None:
    """Make a page from its command line, print it, and write it and its pictures if a file is given.

    An error ends the process with one sentence; a missing folder does so before anything is measured.

    Args:
        module: name of the module in `recipes`.
        settings: what can be set, each with a default.
        make: maps settings and the command to the page.
        arguments: words of the command line; those of the process if None.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    prog = f"python -m recipes.{module}"
    with mistakes_as_sentences(module):
        chosen = tyro.cli(settings, prog=prog, args=words)
        if chosen.out is not None:
            _check(chosen.out)
        page = make(chosen, f"{prog} {shlex.join(words)}".strip())
        print(page.text)
        if chosen.out is not None:
            write(page, chosen.out)


def write(page: Page, out: Path) -> None:
    """Write what is next to a page, and then the page; a reader finds each file whole, as it was or as it is now."""
    for suffix, figure in page.figures.items():
        with whole(out.with_name(out.stem + suffix)) as place:
            figure.savefig(place, dpi=150)
    for suffix, text in page.texts.items():
        records.write_text(out.with_name(out.stem + suffix), text)
    records.write_text(out, page.text)


def _check(out: Path) -> None:
    if out.suffix != ".md":
        raise ValueError(f"out={str(out)!r} must end in .md, since the files next to the page share its name")
    if not out.parent.is_dir():
        raise ValueError(f"out={str(out)!r}: there is no folder {out.parent}; make it first")
