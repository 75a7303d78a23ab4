"""The one training loop of all recipes, on Hugging Face Accelerate.

What is random in an epoch follows from the seed, the epoch and the process alone, and so does the order of the samples.
So a checkpoint needs no random state, and a run that is resumed goes on bit for bit as if it had not stopped, in as
many processes as before. In several of them Accelerate repeats samples of an epoch until its last batches are whole.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import gather_object
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mixmodal import Mix
from mixmodal.core.records.losses import Criterion
from recipes.pictures.curves import curves
from recipes.pictures.rows import Sample
from recipes.training import records
from recipes.training.mixing import Mixing
from recipes.training.scores import accuracy, nll

SMOKE_EPOCHS, SMOKE_BATCHES = 2, 2


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
    """Whether the momentum of SGD is Nesterov's."""
    weight_decay: float = 1e-4
    """Weight decay."""
    schedule: Literal["step", "cosine", "constant"] = "cosine"
    """A tenth of the learning rate from each milestone on; half a cosine down to 0, step by step; or no change."""
    milestones: tuple[int, ...] = ()
    """Epochs at which the step schedule multiplies the learning rate by 0.1."""
    warmup: int = 0
    """Epochs in which the learning rate first rises from a quarter, in a line."""
    clip: float | None = None
    """Largest norm of the gradient; longer ones are scaled down to it."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    device: Literal["auto", "cpu"] = "auto"
    """The accelerator if there is one, or the CPU."""
    seed: int = 0
    """Seed of weights, order, augmentation and mixing."""
    evaluate_every: int = 1
    """Epochs between test scores for the curve, 0 for the last epoch alone. No score chooses anything."""
    median_of: int = 1
    """The score of a run is the median of the test scores of so many last epochs, and so is its NLL."""
    resume: bool = False
    """Go on from the checkpoint in the folder."""
    smoke: bool = False
    """Two epochs of two batches, to see that it runs."""

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "lr": 0, "warmup": 0, "evaluate_every": 0, "median_of": 1, "seed": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name}={getattr(self, name)} must be {bound} or more")
        if self.seed >= 2**64:
            raise ValueError(f"seed={self.seed} must have at most 64 bits")
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError(
                f"schedule={self.schedule!r} and milestones={self.milestones} do not go together: give milestones with "
                f"the step schedule, and with no other"
            )

    @property
    def last(self) -> int:
        """Epochs that are trained in the end."""
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


@dataclass(frozen=True, eq=False)
class Task:
    """What to train: the part that a recipe provides.

    Args:
        model: maps prepared inputs to predictions.
        train: loader of raw batches, whose `batch_sampler.sampler` has `set_epoch`.
        test: loader of the test set.
        mixing: how prepared training batches are mixed and predicted.
        prepare: a raw batch, and whether it is for training, to inputs and targets on its device.
        picture: samples of what is mixed, inputs and targets to a figure.
        criterion: see `Mix.loss`.
        mixed_weight: factor of the loss of batches that are mixed with partners.
        metric: name of the score.
        unit: its unit.
        score: predictions and targets of a whole set to the score, in percent or another unit.
        nll: the same to the negative log-likelihood in nats; None where samples have no single class.
        mixed_score: the score of a mixed batch: record, predictions and targets to a number in [0, 1]; None for a score
            that a batch does not have.
    """

    model: nn.Module
    train: DataLoader[Any]
    test: DataLoader[Any]
    mixing: Mixing
    prepare: Callable[[Any, bool], tuple[Tensor, Tensor]]
    picture: Callable[[Sequence[Sample], Tensor, Tensor], Figure]
    criterion: Criterion = F.cross_entropy
    mixed_weight: float = 1.0
    metric: str = "accuracy"
    unit: str = "%"
    score: Callable[[Tensor, Tensor], float] = accuracy
    nll: Callable[[Tensor, Tensor], float] | None = nll
    mixed_score: Callable[[Mix, Tensor, Tensor], Tensor] | None = Mix.accuracy


def fit(task: Task, training: Training, *, out: Path, config: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Train, score the last epoch, and write everything into the folder of the run.

    Args:
        task: what to train.
        training: how to train it.
        out: folder of the run.
        config: every setting of the run, for `config.json`.
        command: the command line that repeats the run.

    Returns:
        The content of `result.json`; nothing in the processes that do not write it.

    Raises:
        FileExistsError: the folder holds a run, and `resume` is not set.
        ValueError: the run in the folder has other settings.
        FloatingPointError: the loss is no longer finite.
    """
    accelerator = Accelerator(mixed_precision=training.precision, cpu=training.device == "cpu")
    model, optimizer, train, test = accelerator.prepare(
        task.model, _optimizer(task.model, training), task.train, task.test
    )
    if accelerator.is_main_process:
        records.open_folder(out, config, resume=training.resume)
    accelerator.wait_for_everyone()
    others = {"scaler": accelerator.scaler} if accelerator.scaler else {}
    state = records.State(accelerator.unwrap_model(model), optimizer, others)
    checkpoint = out / "checkpoint.safetensors"
    done, mixers = state.load(checkpoint)
    if done:
        records.load_mixers(task.mixing.mixers, mixers, accelerator.process_index, accelerator.num_processes)
    entries = records.read_entries(out, done) if accelerator.is_main_process else []

    for epoch in range(done, training.last):
        start = time.perf_counter()
        seed(training.seed, epoch=epoch + 1, process=accelerator.process_index)
        train.set_epoch(epoch)
        entry = _train(task, training, accelerator, model, optimizer, train, epoch)
        every = training.evaluate_every
        if epoch + training.median_of >= training.last or (every and (epoch + 1) % every == 0):
            entry |= {
                f"test_{name}": value for name, value in _evaluate(task, training, accelerator, model, test).items()
            }
        entry["wall"] = time.perf_counter() - start
        mixers = gather_object([[mixer.state_dict() for mixer in task.mixing.mixers]])
        if accelerator.is_main_process:
            entries.append(entry)
            records.append_entry(out, entry)
            state.save(checkpoint, epoch + 1, mixers)
        accelerator.print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()))

    train.set_epoch(training.last)
    train_score = _evaluate(task, training, accelerator, model, train)[task.metric]
    result: dict[str, Any] = {}
    if accelerator.is_main_process:
        seconds, last = sum(entry["seconds"] for entry in entries), entries[-training.median_of :]
        result = {
            "metric": task.metric,
            "score": statistics.median(entry["test_" + task.metric] for entry in last),
            "train_score": train_score,
            **({"nll": statistics.median(entry["test_nll"] for entry in last)} if "test_nll" in last[0] else {}),
            "seed": training.seed,
            "epochs": training.last,
            "samples_per_s": sum(entry["samples"] for entry in entries) / seconds,
            "wall_s": sum(entry["wall"] for entry in entries),
            **records.environment(),
            "device": f"{accelerator.num_processes} x {records.device_name(accelerator.device)}",
            "command": command,
        }
        curves(entries, task.metric, task.unit).savefig(out / "curves.png", dpi=120)
        seed(training.seed, epoch=0, process=0)
        x, y = task.prepare(next(iter(train)), True)
        shown = task.mixing.samples(accelerator.unwrap_model(model), x, y)
        task.picture(shown, x, y).savefig(out / "samples.png", dpi=120)
        records.write_json(out / "result.json", result)
    accelerator.end_training()
    return result


def seed(seed: int, *, epoch: int = 0, process: int = 0) -> None:
    """Seed torch's global generators for an epoch of a process; a recipe seeds epoch 0 before it makes its model."""
    torch.manual_seed((seed * 1_000_003 + epoch * 1_009 + process) % 2**64)


def _train(
    task: Task,
    training: Training,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    loader: Any,
    epoch: int,
) -> dict[str, float]:
    """Train for an epoch; returns the entry of the log."""
    model.train()
    batches = min(SMOKE_BATCHES, len(loader)) if training.smoke else len(loader)
    loss_sum = hit_sum = torch.zeros((), device=accelerator.device)
    samples, start = 0, time.perf_counter()
    bar = tqdm(_some(loader, training), total=batches, desc=f"epoch {epoch + 1}", leave=False, disable=None)
    for step, batch in enumerate(bar):
        rate = training.lr_at(epoch + step / batches)
        for group in optimizer.param_groups:
            group["lr"] = rate
        x, y = task.prepare(batch, True)
        optimizer.zero_grad()
        preds, mix = task.mixing(model, x, y)
        loss = mix.loss(preds, y, task.criterion) * (task.mixed_weight if mix.partner else 1)
        accelerator.backward(loss)
        if training.clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), training.clip)
        optimizer.step()
        loss_sum = loss_sum + loss.detach() * len(y)
        if task.mixed_score is not None:
            hit_sum = hit_sum + task.mixed_score(mix, preds.detach(), y) * len(y)
        samples += len(y)
    sums = torch.stack([loss_sum, hit_sum, loss_sum.new_tensor(samples)])
    totals = accelerator.reduce(sums, reduction="sum").tolist()
    if not math.isfinite(totals[0]):
        raise FloatingPointError(f"the loss of epoch {epoch + 1} is {totals[0]}; lower --lr or set --clip")
    return {
        "epoch": epoch + 1,
        "lr": training.lr_at(epoch),
        "train_loss": totals[0] / totals[2],
        **({"train_" + task.metric: 100 * totals[1] / totals[2]} if task.mixed_score is not None else {}),
        "samples": totals[2],
        "seconds": time.perf_counter() - start,
    }


@torch.no_grad()
def _evaluate(
    task: Task, training: Training, accelerator: Accelerator, model: nn.Module, loader: Any
) -> dict[str, float]:
    """Score a set without augmentation or mixing: the metric of the task, and "nll" where there is one."""
    model.eval()
    preds, targets = [], []
    for batch in _some(loader, training):
        x, y = task.prepare(batch, False)
        some_preds, some_targets = accelerator.gather_for_metrics((model(x), y))
        preds.append(some_preds.float().cpu())
        targets.append(some_targets.cpu())
    whole = torch.cat(preds), torch.cat(targets)
    return {task.metric: task.score(*whole)} | ({} if task.nll is None else {"nll": task.nll(*whole)})


def _some(loader: Any, training: Training) -> Iterable[Any]:
    """The batches of a loader, or the first few in a smoke test."""
    return itertools.islice(loader, SMOKE_BATCHES) if training.smoke else loader


def _optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    if training.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    return torch.optim.SGD(
        model.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=training.weight_decay,
    )
