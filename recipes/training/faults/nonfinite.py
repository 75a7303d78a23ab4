"""The batch whose loss was not finite, kept with the record of its draw for replay."""

import json
import math
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixmodal import Mix
from recipes.data.disk.kept import whole
from recipes.training.faults.sentences import together


@dataclass(frozen=True, eq=False)
class Step:
    """A training step: its number from 1, loss, prepared inputs and targets before mixing, and the record."""

    number: int
    loss: Tensor
    x: Tensor
    y: Tensor
    mix: Mix


class Watch:
    """Looks for the first step of an epoch whose loss is not finite.

    A loss on an accelerator is read one step late, so that nothing waits for the device.
    """

    def __init__(self) -> None:
        self.first: Step | None = None
        self._last: Step | None = None

    def see(self, step: Step) -> None:
        """Look at a step, or at the one before it."""
        self._look(step if step.loss.device.type == "cpu" else self._last)
        self._last = step

    def end(self) -> Step | None:
        """The first step whose loss is not finite, after the last one of the epoch."""
        self._look(self._last)
        return self.first

    def _look(self, step: Step | None) -> None:
        if self.first is None and step is not None and not math.isfinite(step.loss.item()):
            self.first = step


def in_weights(model: nn.Module) -> Tensor:
    """Return 1 if a learned weight is not finite, else 0."""
    learned = [each.isfinite().all() for each in model.parameters() if each.requires_grad]
    return 1 - torch.stack(learned).all().float()


def check_epoch(
    accelerator: Accelerator, out: Path, epoch: int, step: Step | None, *, loss: float, weights: float
) -> None:
    """Raise in every process if the loss of an epoch, or a weight after it, is not finite.

    Args:
        accelerator: of the processes.
        out: folder for the first such batch of each process.
        epoch: its number from 1.
        step: the first step of this process whose loss is not finite.
        loss: sum over all processes.
        weights: whether one is not finite, in any process.

    Raises:
        FloatingPointError: it is not.
        ElsewhereError: another process reports it.
    """
    remedy = "lower --lr or set --clip, with another --out"
    if not math.isfinite(loss):
        told = ""
        if step is not None:
            kept = out / f"nonfinite-{accelerator.process_index}.safetensors"
            save(kept, step, epoch)
            told = f" from step {step.number} on, whose batch and draw are in {kept}"
        together(accelerator, partial(_fail, f"the loss of epoch {epoch} is {loss}{told}; {remedy}"))
    if weights:
        together(accelerator, partial(_fail, f"a weight after epoch {epoch} is not finite, but its loss is; {remedy}"))


def check_answers(accelerator: Accelerator, preds: Tensor) -> None:
    """Raise in every process if predictions (N, ...), or (N,), are not finite, which a score would hide.

    Raises:
        FloatingPointError: they are not.
        ElsewhereError: another process reports it.
    """
    count = int((~preds.isfinite()).reshape(len(preds), -1).any(1).sum())
    if count:
        said = f"the network's predictions are not finite for {count:,} of {len(preds):,} samples"
        together(accelerator, partial(_fail, f"{said}; lower --lr or set --clip, with another --out"))


def _fail(said: str) -> None:
    raise FloatingPointError(said)


def save(path: Path, step: Step, epoch: int) -> None:
    """Keep a step in a safetensors file: `x`, `y`, and the record by its fields."""
    tensors: dict[str, Tensor] = {}

    def packed(name: str, value: Any) -> Any:
        """A value for JSON, with names in place of tensors."""
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        if isinstance(value, tuple):
            return [packed(f"{name}.{place}", each) for place, each in enumerate(value)]
        return value

    record = {field.name: packed(f"mix.{field.name}", getattr(step.mix, field.name)) for field in fields(step.mix)}
    batch = {name: packed(name, value) for name, value in (("x", step.x), ("y", step.y))}
    numbers = {"epoch": epoch, "step": step.number, "loss": str(step.loss.item()), **batch, "mix": record}
    with whole(path) as place:
        save_file(tensors, place, metadata={"numbers": json.dumps(numbers)})


def read(path: Path) -> tuple[Tensor, Tensor, Mix]:
    """Inputs and targets of a kept step before mixing, and the record: `mix(x)` is the mixed batch.

    Raises:
        ValueError: the file is damaged.
    """

    def unpacked(value: Any) -> Any:
        if isinstance(value, dict):
            return file.get_tensor(value["tensor"])
        return tuple(map(unpacked, value)) if isinstance(value, list) else value

    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["numbers"])["mix"]
            mix = Mix(**{name: unpacked(value) for name, value in record.items()})
            return file.get_tensor("x"), file.get_tensor("y"), mix
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or not a step of a run ({error!s:.200}): it cannot be replayed") from error
