"""What the command lines of all recipes share: presets, the settings of a run as plain values, and its folder."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Choice:
    """The part of a command line that a preset depends on."""

    preset: str
    data: str
    model: str
    method: str


def main(
    recipe: str,
    start: Choice,
    with_preset: Callable[[Choice], _Settings],
    run: Callable[[_Settings, str], str],
    arguments: Sequence[str] | None,
) -> None:
    """Run a recipe by its command line and print what came of it; a mistake ends the process with a sentence.

    Args:
        recipe: name of the recipe.
        start: defaults of what a preset depends on.
        with_preset: defaults of all settings by the preset that is asked for.
        run: settings and the command to a sentence, empty in the processes that do not write.
        arguments: words of the command line; those of the process if None.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    prog = f"python -m recipes.{recipe}"
    with mistakes_as_sentences(recipe):
        choice, _ = tyro.cli(Choice, args=words, default=start, return_unknown_args=True, add_help=False)
        defaults = with_preset(choice)
        settings = tyro.cli(type(defaults), prog=prog, args=words, default=defaults)
        said = run(settings, f"{prog} {shlex.join(words)}".strip())
    if said:
        print(said)


@contextmanager
def mistakes_as_sentences(module: str) -> Iterator[None]:
    """End the process with a sentence where something that was asked for cannot be done."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"recipes.{module}: {error}")


def config(recipe: str, settings: Any) -> dict[str, Any]:
    """Every setting of a run as plain values, for `config.json`."""
    values = {"recipe": recipe, **asdict(settings)}
    values |= values.pop("mixing") | values.pop("training")
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def folder(recipe: str, settings: Any) -> Path:
    """The folder of a run; by default it is named after data, method and seed."""
    name = f"{settings.data}-{settings.mixing.method}-{settings.training.seed}"
    return settings.out or Path("runs", recipe, name)


def sentence(settings: Any, result: dict[str, Any], scored: str = "test") -> str:
    """What came of a run; nothing in the processes that do not write."""
    if not result:
        return ""
    return (
        f"{settings.data}, {settings.mixing.method}: {result['metric']} {result['score']:.2f} % of the {scored} set, "
        f"{result['train_score']:.2f} % of the training set"
    )
