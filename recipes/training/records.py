"""A run on disk: settings, metrics by epoch, result, and a checkpoint without pickle."""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixmodal import Draws
from recipes.data.disk.kept import whole
from recipes.data.files import in_one_line

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"
LONGER = ("constant", "step")
"""Schedules whose learning rate does not depend on the number of epochs."""
PACKAGES = ("mixmodal", "torch", "torchvision", "accelerate", "numpy")
DAMAGED = (
    *(SafetensorError, RuntimeError, LookupError, TypeError, ValueError, AttributeError),
    *(OverflowError, RecursionError),
)
"""What reading a damaged or wrong file raises."""
BOOKKEEPING = frozenset({"out", "resume", "workers", "compile", "data_root", "hub", "cache"})
"""Settings that say where and how a run was carried out, not what was trained; they may differ between runs."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds besides the state of training.

    Args:
        epoch: number of finished epochs.
        mixers: states of the mixers of each process, by process and mixer.
        config: every setting of what is trained, but not of where and how.
        places: what the run was computed on, in words and in chronological order.
    """

    epoch: int = 0
    mixers: Sequence[Sequence[Mapping[str, Any]]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """Everything that training changes, by name, so that it can be saved and loaded as one.

    Args:
        model: its parameters and buffers.
        optimizer: its buffers and settings.
        others: more objects with a `state_dict` of numbers and a `load_state_dict`.
    """

    model: nn.Module
    optimizer: Any
    others: Mapping[str, Any]

    def save(self, path: Path, saved: Saved) -> None:
        """Write a checkpoint; a reader finds the old one or the new, never half of one.

        Raises:
            OSError: it cannot be written.
        """
        optimizer = self.optimizer.state_dict()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for parameter, buffers in optimizer["state"].items():
            tensors |= {f"optimizer.{parameter}.{name}": value for name, value in buffers.items() if value is not None}
        numbers = {
            **asdict(saved),
            "config": {key: value for key, value in saved.config.items() if key not in BOOKKEEPING},
            "groups": optimizer["param_groups"],
            "others": {name: other.state_dict() for name, other in self.others.items()},
        }
        contents = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        try:
            with whole(path) as place:
                save_file(contents, place, metadata={"numbers": json.dumps(numbers)})
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written ({error})") from error

    def load(self, path: Path) -> Saved:
        """Read a checkpoint, if there is one.

        Raises:
            ValueError: it is damaged, or belongs to another network.
        """
        if not path.exists():
            return Saved()
        model: dict[str, Tensor] = {}
        buffers: dict[int, dict[str, Tensor]] = {}
        try:
            with safe_open(path, framework="pt") as file:
                numbers = json.loads(file.metadata()["numbers"])
                for name in file.keys():  # noqa: SIM118 (not a dictionary)
                    kind, _, rest = name.partition(".")
                    if kind == "model":
                        model[rest] = file.get_tensor(name)
                    else:
                        parameter, _, buffer = rest.partition(".")
                        buffers.setdefault(int(parameter), {})[buffer] = file.get_tensor(name)
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict({"state": buffers, "param_groups": numbers["groups"]})
            for name, other in self.others.items():
                other.load_state_dict(numbers["others"][name])
            mixers = [[dict(state) for state in states] for states in numbers.get("mixers", [])]
            places = tuple(str(place) for place in numbers.get("places", ()))
            return Saved(_epoch_of(numbers), mixers, dict(numbers.get("config", {})), places)
        except DAMAGED as error:
            raise ValueError(
                f"--resume: {path} is damaged or not a checkpoint of this run ({in_one_line(error)}): restore the "
                f"right one, or remove the folder and start over"
            ) from error


def epochs_saved(path: Path) -> int:
    """The number of finished epochs that a checkpoint holds; 0 if it is not there or cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return _epoch_of(json.loads(file.metadata()["numbers"]))
    except (*DAMAGED, OSError):
        return 0


def _epoch_of(numbers: Mapping[str, Any]) -> int:
    """The number of finished epochs of a checkpoint."""
    epoch: int = numbers["epoch"]
    if type(epoch) is not int or epoch < 0:
        raise ValueError(f"it has {epoch!r:.80} as its number of epochs")
    return epoch


@contextmanager
def noting_what_is_saved(out: Path, epochs: int) -> Iterator[None]:
    """Add a note to whatever ends a run: how many epochs are saved, and how to continue."""
    try:
        yield
    except BaseException as error:
        done = epochs_saved(out / CHECKPOINT)
        error.add_note(
            f"{done} of {epochs} epochs are saved in {out}: add --resume to the same command to continue from there"
        )
        raise


def read_model(path: Path) -> tuple[int, dict[str, Tensor]]:
    """The number of finished epochs of a checkpoint, and parameters and buffers of its model by name, on the CPU.

    Raises:
        ValueError: it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith("model.")]  # noqa: SIM118 (not a dictionary)
            epoch = _epoch_of(json.loads(file.metadata()["numbers"]))
            return epoch, {name.removeprefix("model."): file.get_tensor(name) for name in names}
    except DAMAGED as error:
        said = in_one_line(error)
        raise ValueError(f"{path} is damaged or not a checkpoint ({said}): restore it, or run it again") from error


def load_mixers(mixers: Sequence[Draws], saved: Sequence[Sequence[Mapping[str, Any]]], process: int, of: int) -> None:
    """Load the states of a process's mixers from a checkpoint.

    Raises:
        ValueError: the states are those of other mixers, or for another number of processes.
    """
    if any(any(states) for states in saved) and len(saved) != of:
        raise ValueError(
            f"--resume: the run was in {len(saved)} processes and is now in {of}, but mixers take turns of their own "
            f"in each; resume it in {len(saved)}"
        )
    states = saved[process] if process < len(saved) else [{}] * len(mixers)
    if len(states) != len(mixers):
        raise ValueError(f"--resume: the checkpoint has states of {len(states)} mixers, but this run has {len(mixers)}")
    for mixer, state in zip(mixers, states, strict=True):
        mixer.load_state_dict(state)


def open_folder(out: Path, config: Mapping[str, Any], *, resume: bool) -> None:
    """Make the folder of a run and write `config.json`; the result of a run that is now trained longer is removed.

    Raises:
        FileExistsError: it holds a run, and `resume` is not set; or files of a run without its settings.
        ValueError: it holds a run with other settings.
    """
    path = out / "config.json"
    if path.exists():
        if not resume:
            raise FileExistsError(f"--out {out} already holds a run: add --resume to continue it, or choose another")
        try:
            old = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"--resume: {path} is damaged ({error}): restore it, or choose another --out") from error
        check_same(old, config, path)
        if old.get("epochs") != config.get("epochs"):
            (out / "result.json").unlink(missing_ok=True)
    else:
        for name in (CHECKPOINT, METRICS, "result.json"):
            if (out / name).exists():
                raise FileExistsError(
                    f"--out {out} holds {name} but no config.json, so it is unknown which run it belongs to: restore "
                    f"the settings of its run, or choose another"
                )
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, config)


def check_same(old: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    """Compare settings with those in a file; more epochs may be asked for if that leaves past learning rates the same.

    Raises:
        ValueError: they differ.
    """
    for key in sorted((old.keys() | config.keys()) - BOOKKEEPING):
        was, now = old.get(key), json.loads(json.dumps(config.get(key)))
        if was == now:
            continue
        reason = ""
        if key == "epochs" and isinstance(was, int) and now > was:
            if config.get("schedule") in LONGER:
                continue
            reason = f" (the {config.get('schedule')} schedule ends with the last epoch, so every rate would differ)"
        raise ValueError(
            f"--resume: {in_one_line(key)} is now {now!r} but was {was!r} in {path}{reason}; use the same value, "
            f"or choose another --out"
        )


def read_entries(out: Path, epochs: int) -> list[dict[str, Any]]:
    """The first `epochs` lines of `metrics.jsonl`; later ones, of an epoch without a checkpoint, are dropped.

    Raises:
        ValueError: there are fewer, or they are damaged.
    """
    path = out / METRICS
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    kept = text.splitlines()[:epochs]
    try:
        entries = [dict(json.loads(line)) for line in kept]
        if [entry["epoch"] for entry in entries] != list(range(1, epochs + 1)):
            raise ValueError(f"it has epochs {[entry['epoch'] for entry in entries]}")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError(
            f"--resume: {path} does not have all {epochs} epochs of the checkpoint ({error}): restore it, or "
            f"remove the folder and start over"
        ) from error
    write_text(path, "".join(line + "\n" for line in kept))
    return entries


def append_entry(out: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to `metrics.jsonl`."""
    path = out / METRICS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror})") from error


def write_text(path: Path, text: str) -> None:
    """Write a file completely, or leave it as it was."""
    with whole(path) as place:
        place.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, one key per line."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def environment() -> dict[str, Any]:
    """Library versions and git revision, for `result.json`."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "git": _revision()}


def device_name(device: torch.device) -> str:
    """What a run was computed on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _revision() -> str:
    """The commit of the code, with a mark if files differ from it; "unknown" outside a repository."""

    def git(*arguments: str) -> str:
        root = Path(__file__).resolve().parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
