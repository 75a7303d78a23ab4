"""Pages of measurements: their command line, and the command that a page says it was made by."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import tyro

from recipes.training import records
from recipes.training.command import mistakes_as_sentences


class Paged(Protocol):
    """Settings with a file for the page."""

    @property
    def out(self) -> Path | None: ...


_Settings = TypeVar("_Settings", bound=Paged)


def main(
    module: str,
    settings: type[_Settings],
    make: Callable[[_Settings, str], str],
    arguments: Sequence[str] | None = None,
) -> None:
    """Make a page by its command line, print it, and write it where it is asked for.

    A mistake ends the process with a sentence; a folder that is not there does so before anything is measured.

    Args:
        module: name of the module in `recipes`.
        settings: what can be set, each with a default.
        make: settings and the command to the page.
        arguments: words of the command line; those of the process if None.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    prog = f"python -m recipes.{module}"
    chosen = tyro.cli(settings, prog=prog, args=words)
    with mistakes_as_sentences(module):
        if chosen.out is not None and not chosen.out.parent.is_dir():
            raise ValueError(f"out={str(chosen.out)!r}: there is no folder {chosen.out.parent}; make it first")
        page = make(chosen, f"{prog} {shlex.join(words)}".strip())
        print(page)
        if chosen.out is not None:
            records.write_text(chosen.out, page)
