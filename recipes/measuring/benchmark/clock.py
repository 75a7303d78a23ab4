"""How long a call takes and how much memory it needs, on a CPU and on CUDA, and whether it waits for the device."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mixmodal.core.devices import LARGE

BLOCK = 10
"""Calls between two events."""
PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Clock:
    """Measures calls on a device.

    Args:
        device: where their tensors are.
        seconds: how long a call is repeated.
        least: how often it is, however long that takes.
    """

    device: torch.device
    seconds: float
    least: int = 1

    @property
    def on_cuda(self) -> bool:
        """Whether calls return before their work is done."""
        return self.device.type == "cuda"

    def milliseconds(self, function: Callable[[], object], seconds: float | None = None) -> float:
        """The median time of a call, after one that is not counted.

        On CUDA it is the time between two events around some calls, each enqueued without waiting for the last.

        Args:
            function: the call.
            seconds: how long it is repeated, if another time than that of the clock.
        """
        timed = _between_events if self.on_cuda else _of_one
        function()
        if self.on_cuda:
            torch.cuda.synchronize(self.device)
        times: list[float] = []
        end = time.perf_counter() + (self.seconds if seconds is None else seconds)
        while len(times) < self.least or time.perf_counter() < end:
            times.append(timed(function))
        return statistics.median(times)

    def peak(self, function: Callable[[], object]) -> float | None:
        """The bytes that a call needs at most beside what was there before, its result included; None if unknown.

        On CUDA they are those of PyTorch's allocator. On Linux they are those of the process, of pages that are
        touched, to about 0.3 MB; what is freed is given back to the system before.
        """
        function()
        gc.collect()
        if self.on_cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            result = function()
            del result
            return float(torch.cuda.max_memory_allocated(self.device) - before)
        try:
            ctypes.CDLL(None).malloc_trim(0)
            (PROCESS / "clear_refs").write_text("5", encoding="ascii")  # the peak is counted from now on
            before = _most_resident()
            result = function()
            after = _most_resident()
        except (OSError, AttributeError):  # no Linux, or a C library that gives nothing back
            return None
        del result
        return float(after - before)


def settle(threads: int) -> None:
    """Set the threads of torch, and have the C library keep freed blocks, as a training step leaves it."""
    torch.set_num_threads(threads)
    torch.zeros(LARGE // 4 - 2**16)


def waits(function: Callable[[], object]) -> str | None:
    """What a call says where it waits for CUDA, asked with `torch.cuda.set_sync_debug_mode`; None if it does not.

    The call is made once before, so that what is made once and for all is there.
    """
    function()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        function()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return None


def _of_one(function: Callable[[], object]) -> float:
    """Milliseconds of one call on a CPU."""
    begin = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - begin)


def _between_events(function: Callable[[], object]) -> float:
    """Milliseconds of a call on CUDA, of a block of calls between two events."""
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record()
    for _ in range(BLOCK):
        function()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / BLOCK


def _most_resident() -> int:
    """The most bytes of memory that this process had, since this was last asked to be forgotten."""
    line = next(
        line for line in (PROCESS / "status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")
    )
    return 1024 * int(line.split()[1])
