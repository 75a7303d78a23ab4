"""What the processes of a run do together, and what one of them does for all."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object
from torch import Tensor

from recipes.training.command import Training
from recipes.training.faults.sentences import together

_Found = TypeVar("_Found")


def gathered(accelerator: Accelerator, rows: Tensor) -> Tensor:
    """The rows (n, ...) of all processes, one process after the other; their numbers may differ."""
    if accelerator.num_processes == 1:
        return rows
    counts = accelerator.gather(torch.tensor([len(rows)], device=rows.device)).tolist()
    shares = accelerator.gather(accelerator.pad_across_processes(rows)).chunk(len(counts))
    return torch.cat([share[:count] for share, count in zip(shares, counts, strict=True)])


def in_turn(training: Training, load: Callable[[], _Found]) -> _Found:
    """Read data in the first process of each host, and then in the others, which find what it has downloaded.

    Raises:
        ElsewhereError: another process failed, and reports why.
    """
    state = PartialState(cpu=training.device == "cpu")
    if state.num_processes == 1:
        return load()
    turns = [load if state.is_local_main_process == first else _nothing for first in (True, False)]
    found = [together(state, turn) for turn in turns]
    return next(each for each in found if each is not None)


def check_same_epoch(accelerator: Accelerator, out: Path, epoch: int) -> None:
    """Raise in every process if they do not resume from the same epoch, as on hosts that do not share the folder.

    Raises:
        ValueError: they do not.
        ElsewhereError: another process reports it.
    """
    epochs = gather_object([epoch])

    def check() -> None:
        if len({*epochs}) > 1:
            raise ValueError(
                f"--resume: the processes find {', '.join(map(str, epochs))} epochs saved in --out {out}: choose "
                f"a folder that all hosts share"
            )

    together(accelerator, check)


def say(training: Training, words: str) -> None:
    """Print a line, in one process only."""
    if PartialState(cpu=training.device == "cpu").is_main_process:
        print(words)


def _nothing() -> None:
    """What a process does while others read."""
