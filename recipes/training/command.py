"""What the command lines of all recipes share: presets, how to train, settings as plain values, and the folder."""

import math
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import tyro

from recipes.data.files import in_one_line
from recipes.training.faults.sentences import ElsewhereError, sentence

STOPPED = 128 + 2
"""Exit code that a shell reports for a process ended by SIGINT."""

SMOKE_EPOCHS = 2
LARGEST = 3.4e38
"""Roughly the largest number of float32, in which networks compute."""
PRECISIONS = ("no", "bf16", "fp16")
OF_FILES = ("data_root", "hub", "download", "cache", "words", "skip_broken", "noise")
"""Options for data that are read from a folder or downloaded."""
AT_HAND = ("digits", "packed", "synthetic")
"""Data that are neither: they come with the recipes or scikit-learn, or are generated."""

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Choice:
    """The part of a command line that a preset depends on."""

    preset: str
    data: str
    model: str
    method: str


@dataclass(frozen=True)
class Training:
    """How to train: the part of the command line that all recipes share."""

    epochs: int = 20
    """Epochs to train."""
    batch_size: int = 128
    """Samples in a batch, on each device."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """SGD with momentum, or Adam with its default betas."""
    lr: float = 0.1
    """Learning rate."""
    momentum: float = 0.9
    """Momentum of SGD."""
    nesterov: bool = False
    """Whether SGD uses Nesterov momentum."""
    weight_decay: float = 1e-4
    """Weight decay."""
    schedule: Literal["step", "cosine", "constant"] = "cosine"
    """A tenth of the learning rate from each milestone on; half a cosine down to 0, set at every step; or no change."""
    milestones: tuple[int, ...] = ()
    """Epochs at which the step schedule multiplies the learning rate by 0.1."""
    warmup: int = 0
    """Epochs over which the learning rate first rises linearly from a quarter."""
    clip: float | None = None
    """Largest norm of the gradient; larger ones are scaled down to it."""
    precision: str = "no"
    """Mixed precision: no (float32 throughout), bf16 or fp16."""
    compile: bool = False
    """Whether `torch.compile` compiles the network, which takes a minute or more before the first step: for long
    trainings on a GPU. Results differ by rounding."""
    device: Literal["auto", "cpu"] = "auto"
    """The accelerator if there is one, or the CPU."""
    workers: int | None = None
    """Processes per device that read samples; by default one per core, up to 8, if files are decoded while the network
    trains, and none otherwise. Results do not depend on them."""
    seed: int = 0
    """Seed for weights, sample order, augmentation and mixing."""
    evaluate_every: int = 1
    """Epochs between test scores for the curve; 0 for the last epoch only. Nothing is selected by a score."""
    median_of: int = 1
    """Number of last epochs whose median test score is the score of a run; the same for its NLL."""
    resume: bool = False
    """Resume from the checkpoint in the folder."""
    smoke: bool = False
    """Two epochs of two batches, to check that it works."""

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "lr": 0, "warmup": 0, "evaluate_every": 0, "median_of": 1, "seed": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name}={getattr(self, name)} must be {bound} or more")
        for name in ("lr", "momentum", "weight_decay", "clip"):
            if not abs(getattr(self, name) or 0) <= LARGEST:
                raise ValueError(f"{name}={getattr(self, name)} must be a float32 number, {LARGEST:g} at most")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} is unknown; choose no (float32 throughout), bf16 or fp16")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip={self.clip} must be above 0: gradients are scaled down to that norm")
        if self.warmup >= self.epochs and self.warmup:
            raise ValueError(f"warmup={self.warmup} must be below epochs={self.epochs}: the schedule comes after it")
        if self.median_of > self.epochs:
            raise ValueError(f"median_of={self.median_of} must be at most epochs={self.epochs}: lower --median-of")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers={self.workers} must be 0 or more")
        if self.seed >= 2**64:
            raise ValueError(f"seed={self.seed} must have at most 64 bits")
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError(
                f"schedule={self.schedule!r} and milestones={self.milestones} do not go together: pass milestones with "
                f"the step schedule, and with no other"
            )

    @property
    def last(self) -> int:
        """Number of epochs that are actually trained."""
        return min(self.epochs, SMOKE_EPOCHS) if self.smoke else self.epochs

    def lr_at(self, epoch: float) -> float:
        """Learning rate after `epoch` epochs, a whole number or not."""
        if epoch < self.warmup:
            return self.lr * (0.25 + 0.75 * math.floor(epoch) / self.warmup)
        if self.schedule == "step":
            return self.lr * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * (epoch - self.warmup) / (self.epochs - self.warmup)))
        return self.lr


Preset = Callable[[Choice], Mapping[str, Any]]
"""Maps a choice to settings that replace a recipe's defaults."""


def main(
    recipe: str,
    settings: type[_Settings],
    presets: Mapping[str, Preset],
    run: Callable[[_Settings, str], dict[str, Any]],
    arguments: Sequence[str] | None,
) -> None:
    """Run a recipe from its command line and print the outcome; an error ends the process with one sentence.

    Args:
        recipe: name of the recipe.
        settings: what can be set, each with a default.
        presets: by name.
        run: maps settings and the command to the content of `result.json`, empty in processes that do not write it.
        arguments: words of the command line; those of the process if None.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    prog = f"python -m recipes.{recipe}"
    with mistakes_as_sentences(recipe):
        usual: Any = settings()
        start = Choice(usual.preset, usual.data, usual.model, usual.mixing.method)
        choice, _ = tyro.cli(Choice, args=words, default=start, return_unknown_args=True, add_help=False)
        chosen: Any = tyro.cli(settings, prog=prog, args=words, default=with_preset(settings, presets, choice))
        _check_read(chosen, _given(words))
        result = run(chosen, f"{prog} {shlex.join(words)}".strip())
    if result:
        print(_sentence(chosen, result))


def _given(words: Sequence[str]) -> set[str]:
    """Names of the options in a command line, as attribute names.

    >>> sorted(_given(["--alpha=2", "--block-size", "7"]))
    ['alpha', 'block_size']
    """
    return {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}


def _check_read(settings: Any, given: Collection[str]) -> None:
    """Refuse options in the command line that nothing would read; presets and files may set them.

    Args:
        settings: of the run.
        given: names of the options in the command line.

    Raises:
        ValueError: there is one.
    """
    settings.mixing.check_read(given)
    for name in OF_FILES:
        if name in given and settings.data in AT_HAND:
            value = getattr(settings, name)
            shown = str(value) if isinstance(value, Path) else value
            raise ValueError(
                f"{name}={shown!r} is for data from a folder or the web, but --data is {settings.data}: choose "
                f"another --data, or leave it out"
            )
    for name in ("momentum", "nesterov"):
        if name in given and settings.training.optimizer != "sgd":
            raise ValueError(
                f"{name}={getattr(settings.training, name)} is for --optimizer sgd, but this is "
                f"{settings.training.optimizer}: leave it out"
            )


def with_preset(settings: type[_Settings], presets: Mapping[str, Preset], choice: Choice) -> _Settings:
    """Defaults of a command line: those of the preset that it selects.

    Raises:
        ValueError: the preset has no such experiment.
    """
    return settings(**presets[choice.preset](choice)) if choice.preset in presets else settings()


@contextmanager
def mistakes_as_sentences(module: str) -> Iterator[None]:
    """End the process with one sentence and a non-zero exit code if something cannot be done or is stopped."""
    try:
        yield
    except ElsewhereError:
        sys.exit(1)
    except BaseException as error:
        said = sentence(error)
        if said is None:
            raise
        if isinstance(error, KeyboardInterrupt):
            print(f"recipes.{module}: {said}", file=sys.stderr)
            sys.exit(STOPPED)
        sys.exit(f"recipes.{module}: {said}")


def config(recipe: str, settings: Any) -> dict[str, Any]:
    """Every setting of a run as plain values, for `config.json`."""
    values = {"recipe": recipe, **asdict(settings)}
    for name in _parts(settings):
        values |= values.pop(name)
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def settings_of(settings: type[_Settings], config: Mapping[str, Any]) -> _Settings:
    """The settings of a run from its `config.json`, the inverse of `config`; missing ones get their defaults.

    Raises:
        ValueError: `config` has a setting that the recipe does not know, such as one of another version, or an invalid
            one.
    """
    usual: Any = settings()
    left = {key: value for key, value in config.items() if key != "recipe"}
    parts = {name: _taken(type(getattr(usual, name)), left) for name in _parts(usual)}
    whole = _taken(settings, left)
    if left:
        names = in_one_line(", ".join(left))
        raise ValueError(f"config.json has unknown settings: {names}; read it with the version that wrote it")
    try:
        whole |= {name: replace(getattr(usual, name), **given) for name, given in parts.items()}
        return settings(**whole)
    except (ValueError, TypeError) as error:
        raise ValueError(f"config.json has invalid settings ({in_one_line(error)}): restore it") from error


def _parts(settings: Any) -> list[str]:
    """Names of the settings that are groups of settings, such as how to train."""
    return [field.name for field in fields(settings) if is_dataclass(getattr(settings, field.name))]


def _taken(settings: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Values for the fields of a class, removed from values read from JSON."""
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
    """The outcome of a run."""
    scored = vars(settings).get("score_on", "test")
    return (
        f"{settings.data}, {settings.mixing.method}: {result['metric']} {result['score']:.2f} % on the {scored} set, "
        f"{result['train_score']:.2f} % on the training set"
    )
