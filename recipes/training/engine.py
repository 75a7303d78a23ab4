"""The one training loop of all recipes, on Hugging Face Accelerate.

All that is random in an epoch, including the order of the samples, depends only on the seed, the epoch and the process.
So a checkpoint needs no random state, and a resumed run continues bit for bit as if it had not stopped, given as many
processes as before. Several processes share the samples of an epoch and of an evaluation; none is repeated.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from recipes.data.disk.kept import whole
from recipes.data.loading import dealt
from recipes.pictures.curves import curves
from recipes.pictures.rows import Sample
from recipes.training import records
from recipes.training.command import Training as Training  # part of the engine too
from recipes.training.faults import nonfinite
from recipes.training.faults.files import alone
from recipes.training.faults.nonfinite import Step, Watch
from recipes.training.faults.sentences import together
from recipes.training.mixing import Mixing
from recipes.training.processes.launch import check_launch
from recipes.training.processes.sharing import check_same_epoch, gathered
from recipes.training.scores import accuracy, nll, restricted

SMOKE_BATCHES = 2


@dataclass(frozen=True, eq=False)
class Task:
    """What to train: the part that a recipe provides.

    Args:
        model: maps prepared inputs to predictions.
        train: loader of raw batches, whose `batch_sampler.sampler` has `set_epoch`.
        test: loader of the test set.
        mixing: how prepared training batches are mixed and predicted.
        prepare: maps a raw batch, and whether it is for training, to inputs and targets on its device.
        picture: maps samples of what is mixed, inputs and targets to a figure.
        criterion: see `Mix.loss`.
        mixed_weight: factor of the loss of batches that are mixed with partners.
        metric: name of the score.
        unit: its unit.
        score: maps predictions and targets of a whole set to the score, in percent or another unit.
        nll: the same for the negative log-likelihood in nats; None if samples have no single class.
        mixed_score: the score of a mixed batch: maps record, predictions and targets to a number in [0, 1]; None for a
            score that a single batch does not have.
        again: loader of the training set for its final score; None for `train`, if reading changes nothing at random.
        tested: indices of the classes in the test set, to which predictions for it are restricted; all if empty.
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
    again: DataLoader[Any] | None = None
    tested: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class _Run:
    """A run in one of its processes: what is trained, how and where, as prepared by Accelerate."""

    task: Task
    training: Training
    out: Path
    accelerator: Accelerator
    model: nn.Module
    optimizer: Any
    train: Any
    test: Any
    again: Any

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes into the folder."""
        return bool(self.accelerator.is_main_process)


def fit(task: Task, training: Training, *, out: Path, config: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Train, score the last epoch, and write everything into the folder of the run.

    Whatever ends it early gets a note of what is saved.

    Args:
        task: what to train.
        training: how to train it.
        out: folder of the run.
        config: every setting of the run, for `config.json`.
        command: the command line that repeats the run.

    Returns:
        The content of `result.json`; empty in the processes that do not write it.

    Raises:
        FileExistsError: the folder holds a run, and `resume` is not set; or files of a run without its settings.
        BlockingIOError: another run is using the folder.
        ValueError: the run in the folder has other settings, or its files are damaged; the launcher asks for something
            that the loop does not do; there are fewer samples than processes.
        FloatingPointError: the loss, the weights or the predictions are no longer finite.
        OSError: something cannot be written.
        ElsewhereError: one of these was raised in another process of the run.
    """
    accelerator = Accelerator(mixed_precision=training.precision, cpu=training.device == "cpu")
    check_launch(accelerator)
    if training.compile:
        task.model.compile()
    loaders = [
        dealt(loader, accelerator.num_processes) for loader in (task.train, task.test, task.again) if loader is not None
    ]
    prepared = accelerator.prepare(task.model, _optimizer(task.model, training), *loaders)
    model, optimizer, train, test, again = (*prepared, prepared[2])[:5]
    run = _Run(task, training, out, accelerator, model, optimizer, train, test, again)
    others = {"scaler": accelerator.scaler} if accelerator.scaler else {}
    state = records.State(accelerator.unwrap_model(run.model), run.optimizer, others)
    with ExitStack() as held:
        together(accelerator, partial(_open_folder, run, held, config))
        saved, entries = together(accelerator, partial(_load, run, state, config))
        check_same_epoch(accelerator, out, saved.epoch)
        held.enter_context(records.noting_what_is_saved(out, training.last))
        for epoch in range(saved.epoch, training.last):
            entry = _epoch(run, epoch)
            mixers = gather_object([[mixer.state_dict() for mixer in task.mixing.mixers]])
            saved = replace(saved, epoch=epoch + 1, mixers=mixers)
            together(accelerator, partial(_save, run, state, saved, entries, entry))
            if run.writes:
                print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()))
        run.train.set_epoch(training.last)
        train_score = _evaluate(run, run.again)[task.metric]
        result = together(accelerator, partial(_finish, run, saved, entries, train_score, command))
    accelerator.end_training()
    return result


def _open_folder(run: _Run, held: ExitStack, config: Mapping[str, Any]) -> None:
    """Reserve the folder for this run, and write its settings into it."""
    if run.writes:
        held.enter_context(alone(run.out))
        records.open_folder(run.out, config, resume=run.training.resume)


def _load(run: _Run, state: records.State, config: Mapping[str, Any]) -> tuple[records.Saved, list[dict[str, Any]]]:
    """Load the checkpoint, if there is one; returns what is saved in it, and the log in the process that writes it."""
    accelerator, path = run.accelerator, run.out / records.CHECKPOINT
    saved = state.load(path)
    if saved.config:
        records.check_same(saved.config, config, path)
    if saved.epoch > run.training.last:
        raise ValueError(f"--resume: {path} has {saved.epoch} epochs, more than the {run.training.last} of this run")
    if saved.epoch:
        mixers = run.task.mixing.mixers
        records.load_mixers(mixers, saved.mixers, accelerator.process_index, accelerator.num_processes)
    place = f"{accelerator.num_processes} x {records.device_name(accelerator.device)}"
    place += ", compiled" if run.training.compile else ""
    if saved.places and saved.places[-1] != place and run.writes:
        print(
            f"--resume: the run was on {saved.places[-1]} and is now on {place}, where rounding differs: "
            f"it does not continue bit for bit; result.json will say so",
            file=sys.stderr,
        )
    places = saved.places if saved.places[-1:] == (place,) else (*saved.places, place)
    entries = records.read_entries(run.out, saved.epoch) if run.writes else []
    return replace(saved, config=config, places=places), entries


def _save(
    run: _Run, state: records.State, saved: records.Saved, entries: list[dict[str, Any]], entry: dict[str, Any]
) -> None:
    """Write the entry of an epoch into the log, and a checkpoint."""
    if run.writes:
        entries.append(entry)
        records.append_entry(run.out, entry)
        state.save(run.out / records.CHECKPOINT, saved)


def _finish(
    run: _Run, saved: records.Saved, entries: Sequence[dict[str, Any]], train_score: float, command: str
) -> dict[str, Any]:
    """Write the result, and then the pictures, which can be drawn again."""
    if not run.writes:
        return {}
    task, training, out, last = run.task, run.training, run.out, entries[-run.training.median_of :]
    result = {
        "metric": task.metric,
        "score": statistics.median(entry["test_" + task.metric] for entry in last),
        "train_score": train_score,
        **({"nll": statistics.median(entry["test_nll"] for entry in last)} if "test_nll" in last[0] else {}),
        "seed": training.seed,
        "epochs": training.last,
        "samples_per_s": sum(entry["samples"] for entry in entries) / sum(entry["seconds"] for entry in entries),
        "wall_s": sum(entry["wall"] for entry in entries),
        **records.environment(),
        "device": ", then ".join(saved.places),
        "command": command,
    }
    records.write_json(out / "result.json", result)
    with whole(out / "curves.png") as place:
        curves(entries, task.metric, task.unit).savefig(place, dpi=120)
    seed(training.seed, epoch=0, process=0)
    x, y = task.prepare(next(iter(run.train)), True)
    shown = task.mixing.samples(run.accelerator.unwrap_model(run.model), x, y)
    with whole(out / "samples.png") as place:
        task.picture(shown, x, y).savefig(place, dpi=120)
    return result


def seed(seed: int, *, epoch: int = 0, process: int = 0) -> None:
    """Seed torch's global generators for an epoch of a process; a recipe seeds epoch 0 before it makes its model."""
    torch.manual_seed((seed * 1_000_003 + epoch * 1_009 + process) % 2**64)


def _epoch(run: _Run, epoch: int) -> dict[str, Any]:
    """Train for an epoch, and score it if that is due; returns the log entry."""
    start, training = time.perf_counter(), run.training
    seed(training.seed, epoch=epoch + 1, process=run.accelerator.process_index)
    run.train.set_epoch(epoch)
    entry: dict[str, Any] = _train(run, epoch)
    every = training.evaluate_every
    if epoch + training.median_of >= training.last or (every and (epoch + 1) % every == 0):
        entry |= {f"test_{name}": value for name, value in _evaluate(run, run.test, run.task.tested).items()}
    entry["wall"] = time.perf_counter() - start
    return entry


def _train(run: _Run, epoch: int) -> dict[str, float]:
    """Train for an epoch; returns the log entry."""
    task, training, accelerator, model = run.task, run.training, run.accelerator, run.model
    model.train()
    batches = min(SMOKE_BATCHES, len(run.train)) if training.smoke else len(run.train)
    loss_sum = hit_sum = torch.zeros((), device=accelerator.device)
    samples, start, watch = 0, time.perf_counter(), Watch()
    bar = tqdm(
        _some(run.train, training),
        total=batches,
        desc=f"epoch {epoch + 1}",
        leave=False,
        disable=not run.writes or None,
    )
    for step, batch in enumerate(bar):
        rate = training.lr_at(epoch + step / batches)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        x, y = task.prepare(batch, True)
        run.optimizer.zero_grad()
        preds, mix = task.mixing(model, x, y)
        loss = mix.loss(preds, y, task.criterion) * (task.mixed_weight if mix.partner else 1)
        accelerator.backward(loss)
        if training.clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), training.clip)
        run.optimizer.step()
        loss_sum = loss_sum + loss.detach() * len(y)
        if task.mixed_score is not None:
            hit_sum = hit_sum + task.mixed_score(mix, preds.detach(), y) * len(y)
        samples += len(y)
        watch.see(Step(step + 1, loss.detach(), x, y, mix))
        if watch.first is not None and accelerator.num_processes == 1:  # several processes wait for one another
            break
    sums = torch.stack([loss_sum, hit_sum, loss_sum.new_tensor(samples), nonfinite.in_weights(model)])
    totals = accelerator.reduce(sums, reduction="sum").tolist()
    nonfinite.check_epoch(accelerator, run.out, epoch + 1, watch.end(), loss=totals[0], weights=totals[3])
    return {
        "epoch": epoch + 1,
        "lr": training.lr_at(epoch),
        "train_loss": totals[0] / totals[2],
        **({"train_" + task.metric: 100 * totals[1] / totals[2]} if task.mixed_score is not None else {}),
        "samples": totals[2],
        "seconds": time.perf_counter() - start,
    }


@torch.no_grad()
def _evaluate(run: _Run, loader: Any, among: Sequence[int] = ()) -> dict[str, float]:
    """Score a set without augmentation or mixing: the metric of the task, and "nll" where there is one."""
    run.model.eval()
    preds, targets = [], []
    for batch in _some(loader, run.training):
        x, y = run.task.prepare(batch, False)
        preds.append(gathered(run.accelerator, run.model(x)).float().cpu())
        targets.append(gathered(run.accelerator, y).cpu())
    answers, labels = torch.cat(preds), torch.cat(targets)
    nonfinite.check_answers(run.accelerator, answers)
    of = run.task
    answers = restricted(answers, among) if among else answers
    return {of.metric: of.score(answers, labels)} | ({} if of.nll is None else {"nll": of.nll(answers, labels)})


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
