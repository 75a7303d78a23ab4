"""A run on disk: settings, metrics by epoch, result, and a checkpoint without pickle."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixmodal import Draws

PACKAGES = ("mixmodal", "torch", "torchvision", "accelerate", "numpy")
BOOKKEEPING = frozenset({"out", "resume", "workers", "data_root", "hub"})
"""Settings that say where and how a run was carried out, not what was trained; they may differ between runs."""


@dataclass(frozen=True)
class State:
    """Everything that training changes, by name, so that it can be saved and loaded as one.

    Args:
        model: its parameters and buffers.
        optimizer: its buffers and settings.
        others: further objects with `state_dict` of numbers and `load_state_dict`.
    """

    model: nn.Module
    optimizer: Any
    others: Mapping[str, Any]

    def save(self, path: Path, epoch: int, mixers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Write a checkpoint of `epoch` finished epochs; a reader finds the old one or the new, never half of one.

        Args:
            path: its place.
            epoch: number of finished epochs.
            mixers: states of the mixers of each process, by process and mixer.
        """
        optimizer = self.optimizer.state_dict()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for parameter, buffers in optimizer["state"].items():
            tensors |= {f"optimizer.{parameter}.{name}": value for name, value in buffers.items() if value is not None}
        numbers = {
            "epoch": epoch,
            "groups": optimizer["param_groups"],
            "others": {name: other.state_dict() for name, other in self.others.items()},
            "mixers": mixers,
        }
        partial = path.with_suffix(".partial")
        whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(whole, partial, metadata={"numbers": json.dumps(numbers)})
        os.replace(partial, path)

    def load(self, path: Path) -> tuple[int, list[list[dict[str, Any]]]]:
        """Read a checkpoint, if there is one.

        Returns:
            The number of finished epochs, and the states of the mixers as saved; 0 and none without a checkpoint.
        """
        if not path.exists():
            return 0, []
        model: dict[str, Tensor] = {}
        buffers: dict[int, dict[str, Tensor]] = {}
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
        return int(numbers["epoch"]), numbers.get("mixers", [])


def read_model(path: Path) -> tuple[int, dict[str, Tensor]]:
    """The number of finished epochs of a checkpoint, and parameters and buffers of its model by name, on the CPU."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("model.")]  # noqa: SIM118 (not a dictionary)
        epoch = int(json.loads(file.metadata()["numbers"])["epoch"])
        return epoch, {name.removeprefix("model."): file.get_tensor(name) for name in names}


def load_mixers(mixers: Sequence[Draws], saved: Sequence[Sequence[Mapping[str, Any]]], process: int, of: int) -> None:
    """Give the mixers of a process their states from a checkpoint.

    Raises:
        ValueError: the states are those of other mixers, or of another number of processes.
    """
    if any(any(states) for states in saved) and len(saved) != of:
        raise ValueError(
            f"--resume: the run was in {len(saved)} processes and is in {of} now, and mixers take turns of their own "
            f"in each; resume it in {len(saved)}"
        )
    states = saved[process] if process < len(saved) else [{}] * len(mixers)
    if len(states) != len(mixers):
        raise ValueError(f"--resume: the checkpoint has states of {len(states)} mixers, and this run has {len(mixers)}")
    for mixer, state in zip(mixers, states, strict=True):
        mixer.load_state_dict(state)


def open_folder(out: Path, config: Mapping[str, Any], *, resume: bool) -> None:
    """Make the folder of a run and write `config.json`.

    Raises:
        FileExistsError: it holds a run, and `resume` is not set.
        ValueError: it holds a run with other settings.
    """
    path = out / "config.json"
    if path.exists():
        if not resume:
            raise FileExistsError(f"--out {out} holds a run already: add --resume to go on with it, or choose another")
        old = json.loads(path.read_text(encoding="utf-8"))
        for key in sorted((old.keys() | config.keys()) - BOOKKEEPING):
            if old.get(key) != json.loads(json.dumps(config.get(key))):
                raise ValueError(
                    f"--resume: {key} is {config.get(key)!r} now and was {old.get(key)!r} in {path}; give it the same "
                    f"value, or choose another --out"
                )
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, config)


def read_entries(out: Path, epochs: int) -> list[dict[str, Any]]:
    """The first `epochs` lines of `metrics.jsonl`; later ones, of an epoch without a checkpoint, are dropped."""
    path = out / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()[:epochs] if path.exists() else []
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return [json.loads(line) for line in lines]


def append_entry(out: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to `metrics.jsonl`."""
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, one key a line."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


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
