"""What ended a run, as a sentence."""

import re
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object

FORESEEN = (ValueError, TypeError, OSError, ImportError, FloatingPointError)
"""What is raised with a message for the one who typed the command."""
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")
IN_WORKER = re.compile(r"Caught (\w+) in DataLoader worker process \d+\.\n.*\n(?:[\w.]+\.)?\1: (.*)", re.DOTALL)
"""How a loader tells what its worker raised, by the kind, a traceback and the message."""
ENDED_WORKER = "DataLoader worker (pid"
"""How a loader begins to tell that its worker is gone."""

_Done = TypeVar("_Done")


class ElsewhereError(Exception):
    """A fault that another process of the run tells."""


def sentence(error: BaseException) -> str | None:
    """What ended a run, and the notes of what is saved; None for a mistake in the code, which needs its traceback.

    >>> sentence(MemoryError())
    'out of memory: lower --batch-size, or read less data'
    """
    if isinstance(error, KeyboardInterrupt):
        said = "stopped"
    elif is_out_of_memory(error):
        said = "out of memory: lower --batch-size, or read less data"
        said += f" ({str(error).splitlines()[0]})" if str(error) else ""
    elif isinstance(error, FORESEEN):
        told = IN_WORKER.fullmatch(str(error).rstrip())
        said = told[2] if told else str(error)
    elif isinstance(error, RuntimeError) and str(error).startswith(ENDED_WORKER):
        said = (
            f"a process that reads samples was ended from outside, as where memory runs out: lower --workers ({error})"
        )
    else:
        return None
    return "; ".join([said, *getattr(error, "__notes__", ())])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on the CPU or a device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def together(accelerator: Accelerator | PartialState, do: Callable[[], _Done]) -> _Done:
    """Do something in every process, and go on only where all of them could.

    Raises:
        ElsewhereError: another process could not, and raises what kept it from doing so.
    """
    error = None
    try:
        done = do()
    except Exception as caught:
        error = caught
    failed: list[bool] = gather_object([error is not None])
    if not any(failed):
        return done
    if error is not None and failed.index(True) == accelerator.process_index:
        raise error
    raise ElsewhereError
