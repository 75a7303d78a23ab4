"""Faults, provoked for real, and what is to come of each: the list of the tests and of the table in docs/results."""

import contextlib
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from recipes import points
from recipes.data.images.files import CIFAR10, FASHION_MNIST, decode_pickle, read_cifar, read_idx
from recipes.data.loading import shuffled_loader
from recipes.data.points.sets import load as shapes_of
from recipes.data.text.files import read_imdb
from recipes.report import Options, write_report
from recipes.training import records
from recipes.training.command import mistakes_as_sentences
from recipes.training.engine import Task
from tests.faults import test_archives as archives
from tests.recipes.test_report import write_run
from tests.recipes.training.test_engine import entries, fit, losses, toy, training

BATCHES = 4
HOLD = "import sys, time; from pathlib import Path; from recipes.training.faults.files import alone\n"
HOLD += "with alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"


@dataclass(frozen=True)
class Case:
    """A fault.

    Args:
        fault: in words.
        says: pattern of the sentence.
        provoke: makes it happen in a folder.
        mend: takes the cause away and goes on with --resume; None where a run is refused before it begins.
        code: the exit code.
        keeps: files that are there afterwards.
        usual: whether every run of the tests provokes it; others are slow.
    """

    fault: str
    says: str
    provoke: Callable[[Path], object]
    mend: Callable[[Path], object] | None = None
    code: int = 1
    keeps: tuple[str, ...] = ()
    usual: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a fault: code, words, what is half-written, and whether a resume gave the whole run."""

    code: int
    said: str
    left: list[str]
    kept: list[str]
    resumed: bool | None


def outcome(case: Case, folder: Path) -> Outcome:
    """Provoke a fault and go on after it."""
    code, said = 0, io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            with mistakes_as_sentences("toy"):
                case.provoke(folder)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
            said.write("" if isinstance(ended.code, int) else f"{ended.code}\n")
        left = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".partial", ".tmp")]
        kept = [path.name for path in folder.iterdir()]
        resumed = None
        if case.mend is not None:
            case.mend(folder)
            resumed = (losses(folder), entries(folder)[-1]["test_accuracy"]) == uninterrupted()
    return Outcome(code, said.getvalue().strip(), left, kept, resumed)


@cache
def uninterrupted() -> tuple[list[float], float]:
    """Losses and score of a run that nothing happens to."""
    with TemporaryDirectory() as folder:
        out = Path(folder)
        fit(toy(), training(), out)
        return losses(out), entries(out)[-1]["test_accuracy"]


def resume(folder: Path) -> None:
    """Go on with the run in a folder."""
    fit(toy(), training(resume=True), folder)


def at(batch: int, do: Callable[[], object]) -> Task:
    """A task in which something happens when a training batch is prepared."""
    seen = 0

    def prepare(given: Any, train: bool) -> tuple[Tensor, Tensor]:
        nonlocal seen
        seen += train
        if train and seen == batch:
            do()
        return given[0], given[1]

    return toy(prepare=prepare)


THIRD = 2 * BATCHES + 2
"""A batch of the third epoch."""


def interrupted(folder: Path) -> None:
    """A run of which two epochs are saved."""
    with contextlib.suppress(KeyboardInterrupt):
        fit(at(THIRD, stop), training(), folder)


def stop() -> None:
    """What Ctrl-C sends, to which Python listens even where a runner of tests does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------- machine


def full_disk(bytes_left: int) -> Callable[[Path], None]:
    """Files cannot grow beyond some bytes from the third epoch on, as on a full disk or with a quota."""

    def provoke(folder: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            fit(at(THIRD, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))), training(), folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return provoke


def stopped_while_saving(folder: Path) -> None:
    """Half of the third checkpoint is written when Ctrl-C is pressed."""
    calls = 0

    def half(tensors: Any, path: Path, **more: Any) -> None:
        nonlocal calls
        calls += 1
        save_file(tensors, path, **more)
        if calls == 3:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            stop()

    save_file = records.save_file
    with mock.patch.object(records, "save_file", half):
        fit(toy(), training(), folder)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Another process has the folder, and is killed in the end."""
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            yield
        finally:
            child.kill()


def two_at_once(folder: Path) -> None:
    interrupted(folder)
    with held(folder):
        resume(folder)


def in_place_of_a_folder(folder: Path) -> None:
    (folder / "file").touch()
    fit(toy(), training(), folder / "file" / "run")


def picture_in_the_way(folder: Path) -> None:
    (folder / "samples.png").mkdir()
    fit(toy(), training(), folder)


def without_picture_in_the_way(folder: Path) -> None:
    (folder / "samples.png").rmdir()
    resume(folder)
    assert (folder / "samples.png").read_bytes().startswith(b"\x89PNG")


MACHINE = {
    "disk full at the checkpoint": Case(
        "The disk is full when a checkpoint is written",
        r"checkpoint\.safetensors cannot be written .*File too large.*2 of 4 epochs are saved in .* add --resume",
        full_disk(2_000),
        resume,
        usual=True,
        keeps=("checkpoint.safetensors",),
    ),
    "disk full at the log": Case(
        "The disk is full when the log is written",
        r"metrics\.jsonl cannot be written \(File too large\); 2 of 4 epochs are saved",
        full_disk(500),
        resume,
    ),
    "memory of the CPU": Case(
        "Memory is exhausted: a tensor",
        r"out of memory: lower --batch-size, .*2 of 4 epochs",
        lambda folder: fit(at(THIRD, lambda: torch.zeros(10**14)), training(), folder),
        resume,
    ),
    "memory of Python": Case(
        "Memory is exhausted: Python's",
        r"out of memory: lower --batch-size, .*2 of 4 epochs",
        lambda folder: fit(at(THIRD, lambda: bytearray(10**14)), training(), folder),
        resume,
    ),
    "Ctrl-C": Case(
        "Ctrl-C in an epoch",
        r"^recipes\.toy: stopped; 2 of 4 epochs are saved in .*: add --resume to the same command "
        r"to continue from there$",
        lambda folder: fit(at(THIRD, stop), training(), folder),
        resume,
        usual=True,
        code=130,
    ),
    "Ctrl-C while saving": Case(
        "Ctrl-C while a checkpoint is written",
        r"stopped; 2 of 4 epochs are saved",
        stopped_while_saving,
        resume,
        code=130,
    ),
    "two at once": Case(
        "Two processes with --resume in one folder; the first is killed",
        r"--out .* is in use by process \d+ on \S+: wait until it has ended, or choose another",
        two_at_once,
        resume,
        usual=True,
    ),
    "no folder": Case("A folder cannot be made", r"Not a directory", in_place_of_a_folder),
    "picture": Case(
        "samples.png cannot be written",
        r"samples\.png cannot be written \(Is a directory\); 4 of 4 epochs are saved",
        picture_in_the_way,
        without_picture_in_the_way,
        keeps=("result.json", "curves.png", "checkpoint.safetensors"),
    ),
}

# ---------------------------------------------------------------- numbers


def nan_in_a_batch(folder: Path) -> None:
    task = toy()
    broken, seen = task.prepare, 0

    def prepare(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        nonlocal seen
        seen += train
        x, y = broken(batch, train)
        return (x * torch.nan if seen == THIRD else x), y

    fit(toy(prepare=prepare), training(), folder)


def infinite_rate(folder: Path) -> None:
    """One step, whose own loss does not see what it does."""
    task = toy(mixed_weight=1e4)
    batch = shuffled_loader(*task.train.dataset.columns, batch_size=64, seed=0)
    fit(replace(task, train=batch), training(epochs=1, lr=3e38), folder)


def hidden_by_the_score(folder: Path) -> None:
    """The statistics of a layer are lost in the last step: the loss is finite, and argmax takes what it gets."""

    def lose() -> None:
        for module in task.model.modules():
            if isinstance(module, nn.BatchNorm1d) and module.running_var is not None:
                module.running_var.fill_(torch.nan)

    task = at(BATCHES, lose)
    fit(task, training(epochs=1), folder)


NUMBERS = {
    "nan": Case(
        "A batch gives a loss that is not finite",
        r"the loss of epoch 3 is nan from step 2 on, whose batch and draw are in .*nonfinite-0\.safetensors; lower",
        nan_in_a_batch,
        resume,
        usual=True,
        keeps=("nonfinite-0.safetensors", "checkpoint.safetensors"),
    ),
    "steep": Case(
        "A learning rate that is much too large",
        r"is not finite|the loss of epoch \d is (nan|inf)",
        lambda folder: fit(toy(), training(lr=1e30), folder),
    ),
    "weights": Case(
        "Weights that are not finite after the last step of the only epoch",
        r"a weight after epoch 1 is not finite, but its loss is; lower --lr",
        infinite_rate,
    ),
    "hidden": Case(
        "Predictions that are not finite only in evaluation",
        r"the network's predictions are not finite for 20 of 20 samples; lower --lr",
        hidden_by_the_score,
    ),
}

# ---------------------------------------------------------------- what is in the folder


def foreign_checkpoint(folder: Path) -> None:
    """Of a run with another seed, whose settings are not there."""
    fit(toy(seed=1), training(seed=1, epochs=1), folder / "other", method="other")
    shutil.copy(folder / "other" / "checkpoint.safetensors", folder)
    resume(folder)


def without_checkpoint(folder: Path) -> None:
    (folder / "checkpoint.safetensors").unlink()
    resume(folder)


def exchanged_checkpoint(folder: Path) -> None:
    """Of a run with other settings, in place of this run's own."""
    interrupted(folder)
    own = folder / "checkpoint.safetensors"
    own.rename(folder / "own")
    fit(toy(seed=1), training(seed=1, epochs=1), folder / "other", method="other")
    shutil.copy(folder / "other" / own.name, folder)
    resume(folder)


def cut(name: str) -> Callable[[Path], None]:
    """Half of a file of a run is lost."""

    def provoke(folder: Path) -> None:
        interrupted(folder)
        shutil.copy(folder / name, folder / "own")
        (folder / name).write_bytes((folder / name).read_bytes()[: (folder / name).stat().st_size // 2])
        resume(folder)

    return provoke


def put_back(name: str) -> Callable[[Path], None]:
    """The own file of a run is put back."""

    def mend(folder: Path) -> None:
        (folder / "own").replace(folder / name)
        resume(folder)

    return mend


def longer(folder: Path) -> None:
    """More epochs of a schedule that ends with them."""
    fit(toy(), training(), folder, epochs=4, schedule="cosine")
    fit(toy(), training(epochs=6, resume=True), folder, epochs=6, schedule="cosine")


def again(folder: Path) -> None:
    fit(toy(), training(), folder)
    fit(toy(), training(), folder)


FOLDER = {
    "again": Case("A folder that holds a run", r"--out .* already holds a run: add --resume", again, resume),
    "foreign": Case(
        "A checkpoint without the settings of its run",
        r"holds checkpoint\.safetensors but no config\.json, so it is unknown which run it belongs to",
        foreign_checkpoint,
        without_checkpoint,
        usual=True,
    ),
    "exchanged": Case(
        "The checkpoint of a run with other settings",
        r"method is now 'toy' but was 'other' in .*checkpoint\.safetensors",
        exchanged_checkpoint,
        put_back("checkpoint.safetensors"),
    ),
    "checkpoint": Case(
        "Half a checkpoint",
        r"checkpoint\.safetensors is damaged or not a checkpoint of this run",
        cut("checkpoint.safetensors"),
        put_back("checkpoint.safetensors"),
    ),
    "config": Case("Half a config.json", r"config\.json is damaged", cut("config.json"), put_back("config.json")),
    "log": Case(
        "Half a log",
        r"metrics\.jsonl does not have all 2 epochs of the checkpoint",
        cut("metrics.jsonl"),
        put_back("metrics.jsonl"),
    ),
    "longer": Case(
        "More epochs with a cosine schedule, which ends with them",
        r"epochs is now 6 but was 4 .*\(the cosine schedule ends with the last epoch, so every rate",
        longer,
    ),
}

# ---------------------------------------------------------------- settings


def shapes(*words: str) -> Callable[[Path], None]:
    """The points recipe in a moment."""
    small = ["--data", "synthetic", "--smoke", "--points", "16", "--resolution", "8", "--width", "2"]
    small += ["--batch-size", "6", "--device", "cpu"]
    return lambda folder: points.main([*small, "--out", str(folder), *words])


SETTINGS = {
    "puzzlemix": Case(
        "Puzzle Mix of point clouds",
        r"PuzzleMix.* needs saliency, which OnPoints cannot give it",
        shapes("--method", "puzzlemix"),
    ),
    "no sites": Case(
        "--sites without a name",
        r"sites=\(\) is empty: name modules after --sites",
        shapes("--method", "manifold-mixup", "--sites"),
    ),
    "input alone": Case(
        "DropBlock at the input only",
        r"sites: DropBlock drops inside a network",
        shapes("--method", "dropblock", "--sites", "input"),
    ),
}

# ---------------------------------------------------------------- files that were given


def with_link(folder: Path) -> None:
    archives.link(folder / "cifar-10-binary.tar.gz", archives.CIFAR, tarfile.SYMTYPE, archives.CIFAR)
    read_cifar((folder,), CIFAR10)


def with_gigabytes(folder: Path) -> None:
    path = folder / "aclImdb_v1.tar.gz"
    path.write_bytes(archives.zeros(4 * 2**30, archives.header(archives.IMDB, 4 * 2**30)))
    read_imdb((folder,))


def zipped_gigabytes(folder: Path) -> None:
    (folder / f"{FASHION_MNIST.train[0]}.gz").write_bytes(archives.zeros(4 * 2**30))
    read_idx((folder,), FASHION_MNIST)


def claimed_terabytes(_: Path) -> None:
    raw, _message = archives.HOSTILE["a state that claims terabytes"]
    decode_pickle(raw, "data_batch_1", 4, labels=b"labels")


def packed_terabytes(folder: Path) -> None:
    archives.npz(folder / "chair_train.npz", (10**12, 4096))
    shapes_of("modelnet10-voxels", folder, form="voxels")


def reported(damage: Callable[[Path], object], suffix: str = "") -> Callable[[Path], None]:
    """A report of a run whose result is damaged, or that cannot be written."""

    def provoke(folder: Path) -> None:
        damage(write_run(folder / "run", "baseline", 0, 80.0) / "result.json")
        if suffix:
            (folder / f"name{suffix}").mkdir()
        write_report(Options(folder / "run", folder / "name"))

    return provoke


def changed(**values: Any) -> Callable[[Path], object]:
    """A result with other values."""
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | values))


FILES = {
    "link": Case("A CIFAR archive with a link to itself", r"as a link, expected a file: fetch it again", with_link),
    "archive": Case("An IMDb archive with a review of 4 GB", r"expected 1,048,576 at most", with_gigabytes),
    "gzip": Case("A gzip file of 4 MB that unpacks to 4 GB", r"more than 268,435,456 bytes", zipped_gigabytes),
    "pickle": Case("A CIFAR pickle that claims terabytes", r"it claims .* and has 3 bytes", claimed_terabytes),
    "npz": Case("Packed voxels that claim terabytes", r"expected .* with N up to 16,384", packed_terabytes),
    "binary": Case(
        "A result that is binary", r"is not valid JSON", reported(lambda path: path.write_bytes(b"\x89PNG\xff"))
    ),
    "score": Case("A score of a billion", r"not a finite number from 0 to 100", reported(changed(score=1e9))),
    "epochs": Case("A result of other epochs", r"epochs is 30 in .* but 3 in", reported(changed(epochs=3))),
    "report": Case(
        "A report whose table cannot be written", r"name\.csv cannot be written", reported(lambda path: path, ".csv")
    ),
}

CASES: dict[str, dict[str, Case]] = {
    "The machine": MACHINE,
    "Numbers": NUMBERS,
    "The folder of a run": FOLDER,
    "Settings": SETTINGS,
    "Files that were given": FILES,
}
