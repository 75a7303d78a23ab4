"""Initial weights: from a file, from a folder with one, or from where timm and torchvision publish theirs."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from recipes.data.files import files_in
from recipes.models.images.libraries import hub_state

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
HUB = "hub"
WITHIN = ("state_dict", "model")
"""Keys under which training scripts save the weights along with other things."""
SHOWN = 3
MISREAD = (ValueError, TypeError, AttributeError)
"""What else a damaged pickle raises."""


def load(net: nn.Module, model: str, where: str, *, channels: int, classes: int) -> str:
    """Load weights into a network by name; a classifier for another number of classes is left as it is.

    Args:
        net: the network, which is changed in place, or not at all if an error is raised.
        model: its name, for the hub.
        where: a safetensors or torch file, a folder with one, or "hub" for the library's own.
        channels: number of input channels of the network.
        classes: number of its outputs.

    Returns:
        What was loaded, and what was left as it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its weights do not fit; a library has none for the network.
        ConnectionError: the hub cannot be reached.
        ImportError: the library is missing.
    """
    if where == HUB:
        state, source = hub_state(model, channels), f"the hub, {model}"
    else:
        path = _file(Path(where))
        state, source = read(path), f"{path}"
    own = net.state_dict()
    fresh = [name for name in own if name in state and _differs_in_classes(own[name], state[name], classes)]
    _check_fit(own, {name: value for name, value in state.items() if name not in fresh}, fresh, source)
    with torch.no_grad():
        for name, value in own.items():
            if name in state and name not in fresh:
                value.copy_(state[name])
    said = f"weights from {source}"
    if fresh:
        had = len(state[fresh[0]])
        said += f"; {', '.join(fresh)} start afresh, for {classes} classes, not {had}"
    return said


def read(path: Path) -> Mapping[str, Tensor]:
    """Read the weights in a safetensors or torch file, without running code from it.

    Raises:
        ValueError: it is damaged, or has no tensors by name.
    """
    found: Any
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, LookupError, *MISREAD) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} cannot be read as weights ({said}): give a safetensors or torch file") from error
    for key in WITHIN:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} has no tensors by name, as a state dict has: give another file")
    parallel = all(name.startswith("module.") for name in found)
    return {name.removeprefix("module.") if parallel else name: value for name, value in found.items()}


def _file(path: Path) -> Path:
    """The file of weights at a path, or in the folder there."""
    if path.is_file():
        return path
    found = files_in(path, *SUFFIXES)
    if not found:
        raise FileNotFoundError(
            f"pretrained={str(path)!r} is not a file, nor a folder with one of {', '.join(SUFFIXES)}: give one, or hub"
        )
    if len(found) > 1:
        raise ValueError(f"pretrained={str(path)!r} has {', '.join(each.name for each in found)}: name one of them")
    return found[0]


def _differs_in_classes(own: Tensor, other: Tensor, classes: int) -> bool:
    """Tell whether a tensor belongs to a classifier for another number of classes."""
    alike = own.ndim == other.ndim and own.shape[1:] == other.shape[1:]
    return alike and own.shape[:1] == (classes,) and own.shape != other.shape


def _check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], fresh: list[str], source: str) -> None:
    """Raise unless two sets of tensors have the same names and shapes, except for counters that old files lack."""
    lacks = [
        name for name in own if name not in state and name not in fresh and not name.endswith("num_batches_tracked")
    ]
    other = [
        f"{name} {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    faults = {"lacks": lacks, "also has": [name for name in state if name not in own], "has": other}
    said = [f"it {what} {_some(names)}" for what, names in faults.items() if names]
    if said:
        raise ValueError(f"pretrained: the weights from {source} do not fit the network: {'; '.join(said)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
