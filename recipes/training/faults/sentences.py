"""Why a run ended, as a sentence."""

import re
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object

from recipes.data.files import in_one_line

FORESEEN = (ValueError, TypeError, OSError, ImportError, FloatingPointError)
"""Errors whose messages are for whoever typed the command."""
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")
IN_WORKER = re.compile(r"Caught (\w+) in DataLoader worker process \d+\.\n.*\n(?:[\w.]+\.)?\1: (.*)", re.DOTALL)
"""How a loader reports what its worker raised: the type, a traceback and the message."""
COMPILERS = ("torch._dynamo", "torch._inductor")
"""Modules whose errors say that a network cannot be compiled."""
ADVICE = "\n\nSet TORCHDYNAMO_VERBOSE"
"""How the advice at the end of their messages begins."""
ENDED_WORKER = "DataLoader worker (pid"
"""How a loader's message begins when a worker is gone."""

_Done = TypeVar("_Done")


class ElsewhereError(Exception):
    """An error that another process of the run reports."""


def sentence(error: BaseException) -> str | None:
    """Why a run ended, with the notes of what is saved; None for a mistake in the code, which needs its traceback.

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
    elif type(error).__module__.startswith(COMPILERS):
        said = f"the network cannot be compiled here: leave out --compile ({in_one_line(str(error).split(ADVICE)[0])})"
    elif isinstance(error, RuntimeError) and str(error).startswith(ENDED_WORKER):
        said = f"a process that reads samples was killed, as happens if memory runs out: lower --workers ({error})"
    else:
        return None
    return "; ".join([said, *getattr(error, "__notes__", ())])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on the CPU or a device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def together(accelerator: Accelerator | PartialState, do: Callable[[], _Done]) -> _Done:
    """Do something in every process, and continue only if all of them succeed.

    Raises:
        ElsewhereError: another process failed, and raises the cause.
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
