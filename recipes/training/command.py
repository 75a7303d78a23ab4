"""What the command lines of all recipes share: presets, the settings of a run as plain values, and its folder."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import tyro

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Choice:
    """The part of a command line that a preset depends on."""

    preset: str
    data: str
    model: str
    method: str


Preset = Callable[[Choice], Mapping[str, Any]]
"""Settings in place of a recipe's defaults, by what they depend on."""


def main(
    recipe: str,
    settings: type[_Settings],
    presets: Mapping[str, Preset],
    run: Callable[[_Settings, str], dict[str, Any]],
    arguments: Sequence[str] | None,
) -> None:
    """Run a recipe by its command line and print what came of it; a mistake ends the process with a sentence.

    Args:
        recipe: name of the recipe.
        settings: what can be set, each with a default.
        presets: by name.
        run: settings and the command to the content of `result.json`, empty in the processes that do not write it.
        arguments: words of the command line; those of the process if None.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    prog = f"python -m recipes.{recipe}"
    with mistakes_as_sentences(recipe):
        usual: Any = settings()
        start = Choice(usual.preset, usual.data, usual.model, usual.mixing.method)
        choice, _ = tyro.cli(Choice, args=words, default=start, return_unknown_args=True, add_help=False)
        chosen = tyro.cli(settings, prog=prog, args=words, default=with_preset(settings, presets, choice))
        result = run(chosen, f"{prog} {shlex.join(words)}".strip())
    if result:
        print(_sentence(chosen, result))


def with_preset(settings: type[_Settings], presets: Mapping[str, Preset], choice: Choice) -> _Settings:
    """Defaults of a command line: those of the preset that it asks for.

    Raises:
        ValueError: the preset has no such experiment.
    """
    return settings(**presets[choice.preset](choice)) if choice.preset in presets else settings()


@contextmanager
def mistakes_as_sentences(module: str) -> Iterator[None]:
    """End the process with a sentence where something that was asked for cannot be done."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        sys.exit(f"recipes.{module}: {error}")


def config(recipe: str, settings: Any) -> dict[str, Any]:
    """Every setting of a run as plain values, for `config.json`."""
    values = {"recipe": recipe, **asdict(settings)}
    values |= values.pop("mixing") | values.pop("training")
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def settings_of(settings: type[_Settings], config: Mapping[str, Any]) -> _Settings:
    """The settings of a run that are in its `config.json`, the inverse of `config`; those that are not have defaults.

    Raises:
        ValueError: `config` has a setting that the recipe does not know, as of another version.
    """
    usual: Any = settings()
    left = {key: value for key, value in config.items() if key != "recipe"}
    parts = {name: _taken(type(getattr(usual, name)), left) for name in ("mixing", "training")}
    whole = _taken(settings, left)
    if left:
        raise ValueError(f"config.json has settings that are unknown: {', '.join(left)}; read it with its own version")
    whole |= {name: replace(getattr(usual, name), **given) for name, given in parts.items()}
    return settings(**whole)


def _taken(settings: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """What a class has fields for, taken out of values read from JSON."""
    hints = get_type_hints(settings)
    found = {field.name: values.pop(field.name) for field in fields(settings) if field.name in values}
    for name, value in found.items():
        if isinstance(value, list):
            found[name] = tuple(value)
        elif isinstance(value, str) and Path in get_args(hints[name]):
            found[name] = Path(value)
    return found


def folder(recipe: str, settings: Any) -> Path:
    """The folder of a run; by default it is named after data, method and seed."""
    name = f"{settings.data}-{settings.mixing.method}-{settings.training.seed}"
    return settings.out or Path("runs", recipe, name)


def _sentence(settings: Any, result: Mapping[str, Any]) -> str:
    """What came of a run."""
    scored = vars(settings).get("score_on", "test")
    return (
        f"{settings.data}, {settings.mixing.method}: {result['metric']} {result['score']:.2f} % of the {scored} set, "
        f"{result['train_score']:.2f} % of the training set"
    )
