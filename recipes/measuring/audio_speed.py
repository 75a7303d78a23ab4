"""A clip from file to gradient: `python -m recipes.measuring.audio_speed --data-root DIR`, in one process."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from recipes.data.audio import sets
from recipes.data.audio.waves import TrainWaves
from recipes.data.disk.lazy import read
from recipes.models.arguments import channels_last
from recipes.models.images.preact_resnet import preact_resnet
from recipes.reporting import pages
from recipes.training import records

BATCH = 128


@dataclass(frozen=True)
class Settings:
    """Measure and print a table."""

    data_root: Path | None = None
    """Folder of Speech Commands, or its parent."""
    width: int = 16
    """Channels of the first stage of the network."""
    threads: int = 2
    """Threads of torch."""
    out: Path | None = None
    """File for the table, in Markdown."""


def clips_per_second(function: Callable[[], int], seconds: float = 3.0) -> float:
    """Clips a second of a function that returns how many it took, called once or for some seconds."""
    start = time.perf_counter()
    done = function()
    while time.perf_counter() - start < seconds:
        done += function()
    return done / (time.perf_counter() - start)


def table(settings: Settings, command: str) -> str:
    """The whole page."""
    torch.set_num_threads(settings.threads)

    def loaded(cache: Path | None) -> int:
        data = sets.load(settings.data_root, words="ten", cache=cache)
        return len(data.train_x) + len(data.validation_x) + len(data.test_x)

    with tempfile.TemporaryDirectory() as cache:
        loaded(None)  # from now on the files are in memory
        first = clips_per_second(lambda: loaded(None), seconds=0)
        loaded(Path(cache))
        again = clips_per_second(lambda: loaded(Path(cache)))
    data = sets.load(settings.data_root, words="ten")
    clips, y = read(data.train_x[:BATCH]), data.train_y[:BATCH]
    waves = TrainWaves()
    spectra = waves(clips, False)
    net = channels_last(preact_resnet(18, channels=1, classes=10, width=settings.width), settings.width)

    def step() -> int:
        torch.autograd.backward(F.cross_entropy(net(spectra), y))
        return BATCH

    def front(train: bool) -> Callable[[], int]:
        return lambda: len(waves(clips, train))

    rows = {
        "reading and decoding": first,
        "from the cache": again,
        "front end": clips_per_second(front(False)),
        "front end with training augmentation": clips_per_second(front(True)),
        f"training step, forward and backward, width {settings.width}": clips_per_second(step),
    }
    return "\n".join(
        [
            "# Speed of the audio recipe",
            "",
            f"Made by `{command}` at {records.environment()['git']} on {records.device_name(torch.device('cpu'))}, in "
            f"one process, with {data.name}; batches of {BATCH} clips of one second. The files were already in memory.",
            "",
            "| | clips a second |",
            "|---|---|",
            *[f"| {name} | {speed:,.0f} |" for name, speed in rows.items()],
            "",
        ]
    )


if __name__ == "__main__":
    pages.main("measuring.audio_speed", Settings, lambda settings, command: pages.Page(table(settings, command)))
