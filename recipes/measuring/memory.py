"""The cost of opening a large set: `python -m recipes.measuring.memory`.

Peak memory and time until a loader has its first batch, for folders of several sizes whose files are made for it, in
each modality; where there is a cache, both when it is written and when it is found. Each is opened in a process of its
own. Pages of mapped files are counted separately from a process's private memory, since the system takes them back when
memory is scarce.
"""

import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mixmodal import LengthBucketBatchSampler, PadCollate
from recipes.data.audio import classes
from recipes.data.disk.kept import Texts
from recipes.data.images import sets as images
from recipes.data.loading import Pairs, shuffled_loader
from recipes.data.points import sets as points
from recipes.data.splits import Split
from recipes.data.text import sets as texts
from recipes.data.text import words
from recipes.reporting import pages
from recipes.training import records

BATCH = 16
CLASSES = ("a", "b")
MODULES = ("datasets", "filelock", "pyarrow.compute", "soundfile", "tokenizers", "torchvision.transforms")
"""What opening imports, which is not measured."""
WORDS = 100
"""Words of a text."""
STATUS = Path("/proc/self/status")
PAUSE = 0.005
"""Seconds between two readings of the memory."""


@dataclass(frozen=True)
class Settings:
    """Measure and print a table."""

    times: tuple[int, ...] = (1, 10, 100)
    """Sizes of the sets, as multiples of the smallest."""
    samples: int = 100
    """Training samples of the smallest set; ten times as many for text."""
    only: tuple[str, ...] = ("images", "audio", "points", "text")
    """Modalities to measure."""
    out: Path | None = None
    """File for the table, in Markdown."""

    def __post_init__(self) -> None:
        if min(self.times, default=0) < 1 or self.samples < 2 * BATCH:
            raise ValueError(f"times={self.times} must be 1 or more, and samples={self.samples} {2 * BATCH} or more")
        if not STATUS.exists():
            raise ValueError(
                f"the memory of a process is read from {STATUS}, which this system lacks: measure on Linux"
            )
        unknown = [name for name in self.only if name not in KINDS]
        if unknown:
            raise ValueError(f"only={self.only} has {unknown[0]!r}: choose {', '.join(KINDS)}")


@dataclass(frozen=True)
class Kind:
    """A modality: how its files are made and opened.

    Args:
        samples: what a sample is.
        size: bytes of a sample in memory.
        many: samples of the smallest set, as a multiple of `Settings.samples`.
        make: writes training samples into a folder.
        open: maps a folder and one for the cache to a loader of the training set.
        kept: whether decoded samples are kept in the cache.
    """

    samples: str
    size: int
    many: int
    make: Callable[[Path, int], None]
    open: Callable[[Path, Path], Any]
    kept: bool = True


@dataclass(frozen=True)
class Cost:
    """The cost of opening until the first batch, beyond that of the modules.

    Args:
        memory: peak of the process's private memory in bytes.
        mapped: bytes of files mapped into it at the end.
        seconds: time.
    """

    memory: int
    mapped: int
    seconds: float


def cost(kind: Kind, root: Path, cache: Path) -> Cost:
    """Open a set in a process of its own, and measure.

    Raises:
        RuntimeError: the process ended without an answer.
    """
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=_open, args=(kind, root, cache, there))
    process.start()
    there.close()
    try:
        return Cost(*here.recv())
    except EOFError as error:
        raise RuntimeError(f"{root} could not be opened: see above") from error
    finally:
        process.join()


def _open(kind: Kind, root: Path, cache: Path, answer: Connection) -> None:
    """Open a set and send what it cost."""
    warnings.simplefilter("ignore")  # a warning that samples are equal
    torch.set_num_threads(1)
    done, seen = threading.Event(), [_memory("RssAnon")]

    def watch() -> None:
        while not done.wait(PAUSE):
            seen.append(_memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    mapped, start = _memory("RssFile"), time.perf_counter()
    loader = kind.open(root, cache)
    loader.batch_sampler.set_epoch(0)
    next(iter(loader))
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    answer.send((max(seen) - seen[0], _memory("RssFile") - mapped, seconds))


def _memory(name: str) -> int:
    """Memory of this process in bytes, by Linux's name for it."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def _copies(first: Path, count: int) -> None:
    """Hard links to a file, so that a large set takes little disk space."""
    for number in range(1, count):
        os.link(first, first.with_name(f"{number}{first.suffix}"))


def _folders(root: Path, count: int, suffix: str, write: Callable[[Path], None], test: str = "test") -> None:
    """Files of two classes for training and a few for testing."""
    for side, each in (("train", count // 2), (test, 2)):
        for name in CLASSES:
            first = root / side / name / f"0{suffix}"
            first.parent.mkdir(parents=True)
            write(first)
            _copies(first, each)


def _image_files(root: Path, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((320, 256))
    _folders(root, count, ".jpg", picture.save, test="val")


def _open_images(root: Path, _: Path) -> Any:
    data = images.load("imagenet", root=root)
    return shuffled_loader(data.train_x, data.train_y, batch_size=BATCH, seed=0, workers=0)


def _sound_files(root: Path, count: int) -> None:
    import soundfile

    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    _folders(root, count, ".wav", lambda path: soundfile.write(path, wave, 16_000))


def _open_audio(root: Path, cache: Path) -> Any:
    data = classes.load(root, Split(), cache=cache)
    return shuffled_loader(data.train_x, data.train_y, batch_size=BATCH, seed=0)


def _clouds(root: Path, count: int) -> None:
    cloud = np.random.default_rng(0).normal(size=(1_500, 3)).astype(np.float32)
    _folders(root, count, ".npz", lambda path: np.savez(path, points=cloud))


def _open_points(root: Path, cache: Path) -> Any:
    data = points.load("folder", root, cache=cache)
    return shuffled_loader(data.train_x, data.train_y, batch_size=BATCH, seed=0)


def _reviews(root: Path, count: int) -> None:
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, rows in (("train.csv", count), ("test.csv", 10)):
        with (root / name).open("w", encoding="utf-8") as file:
            for row in range(rows):
                said = " ".join(f"word{number}" for number in rng.zipf(1.3, WORDS) % 50_000)
                file.write(f'"{1 + row % 2}","{said}"\n')


def _open_text(root: Path, cache: Path) -> Any:
    data = texts.load("yelp-polarity", root=root, cache=cache)
    assert isinstance(data.train_x, Texts)
    vocabulary = words.kept_words(data.train_x, data.style, cache)
    ids = words.kept_numbers(data.train_x, data.style, vocabulary, most=400, cache=cache)
    samples = Pairs(ids, data.train_y)
    batches = LengthBucketBatchSampler(samples.lengths, BATCH, shuffle=True)
    return DataLoader(samples, batch_sampler=batches, collate_fn=PadCollate(0))


KINDS = {
    "images": Kind("JPEG files, 224 pixels square", 3 * 224**2, 1, _image_files, _open_images, kept=False),
    "audio": Kind("clips of a second", 2 * 16_000, 1, _sound_files, _open_audio),
    "points": Kind("clouds of 1,000 points", 4 * 3_000, 1, _clouds, _open_points),
    "text": Kind(f"reviews of {WORDS} words", 8 * WORDS, 10, _reviews, _open_text),
}


def table(settings: Settings, command: str) -> str:
    """The whole page."""
    for name in MODULES:
        __import__(name)
    rows = []
    for name in settings.only:
        kind = KINDS[name]
        for times in settings.times:
            count = times * settings.samples * kind.many
            with TemporaryDirectory() as folder:
                root, cache = Path(folder, "set"), Path(folder, "cache")
                kind.make(root, count)
                runs = [cost(kind, root, cache) for _ in range(1 + kind.kept)]
            costs = " | ".join(
                f"{each.memory / 2**20:.0f} | {each.mapped / 2**20:.0f} | {each.seconds:.2f}" for each in runs
            )
            costs += "" if kind.kept else " | – | – | –"
            rows.append(f"| {name}: {kind.samples} | {count:,} | {count * kind.size / 2**20:,.0f} | {costs} |")
    return "\n".join(
        [
            "# Memory",
            "",
            f"Made by `{command}` at {records.environment()['git']} on {records.device_name(torch.device('cpu'))}. A "
            f"set is opened in a process of its own up to the first batch of {BATCH} samples, without workers: the "
            "peak of its private memory beyond Python and its modules, the files it has mapped at the end, and the "
            "time. Mapped pages are shared by all processes, and the system takes them back when memory is scarce. "
            "Decoded samples are kept in a cache, which the first run writes and later ones find; images are decoded "
            "anew in each epoch. Except for texts, the files of a set are hard links to one file.",
            "",
            "| set | samples | MB if held in memory | first run: MB | mapped MB | s | later: MB | mapped MB | s |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    pages.main("measuring.memory", Settings, lambda settings, command: pages.Page(table(settings, command)))
