"""Tasks in two processes, which share gradients by gloo."""

import multiprocessing
import os
import socket
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def in_two_processes(task: Callable[..., None], folder: Path, *given: Any) -> list[Any]:
    """What `task(rank, folder, *given)` leaves in "RANK.pth", for each of two processes.

    They are forks of this one, so that nothing is imported anew, and know nothing of the Accelerator that was here.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_one_of_two, args=(rank, port, task, folder, *given)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0, f"a process ended with {process.exitcode}, None for one that takes too long"
    return [torch.load(folder / f"{rank}.pth") for rank in range(2)]


def _one_of_two(rank: int, port: int, task: Callable[..., None], *given: Any) -> None:
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for shared in (AcceleratorState, PartialState, GradientState):
        shared._shared_state.clear()
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()} | {"ACCELERATE_USE_CPU": "true"})
    warnings.simplefilter("ignore")
    try:
        task(rank, *given)
        assert torch.distributed.get_world_size() == 2
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # threads of gloo may outlive the interpreter, which then aborts
