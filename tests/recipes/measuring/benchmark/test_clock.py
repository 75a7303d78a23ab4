"""Time between events, memory at its most, and waits, with a device that is played where there is none."""

import sys
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch

from recipes.measuring.benchmark import clock
from recipes.measuring.benchmark.clock import Clock, waits

CUDA = Clock(torch.device("cuda"), 0.0, least=3)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Milliseconds of a device that is played: what an event records is its time when it is made to."""
    time = [0.0]

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = time[0]

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, other: "Event") -> float:
            return other.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    return time


def test_on_cuda_a_call_takes_the_median_over_blocks_of_the_time_between_events(now: list[float]) -> None:
    """The first call is not counted, nor is one block of three that something else delayed."""
    calls = []

    def call() -> None:
        calls.append(1)
        now[0] += 1000.0 if len(calls) == 1 else 50.0 if len(calls) == 5 else 2.0

    assert CUDA.milliseconds(call) == 2.0
    assert len(calls) == 1 + 3 * clock.BLOCK


def test_a_call_is_made_so_often_at_least_and_so_long_at_least() -> None:
    """One that is not counted before; each of the others waits for 5 ms."""
    calls = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.005)

    Clock(torch.device("cpu"), 0.0, least=4).milliseconds(call)
    assert len(calls) == 1 + 4
    begin = time.perf_counter()
    Clock(torch.device("cpu"), 0.03).milliseconds(call)
    assert time.perf_counter() - begin >= 0.03


def test_on_a_cpu_a_call_takes_no_less_than_it_waits() -> None:
    assert Clock(torch.device("cpu"), 1e-6).milliseconds(partial(time.sleep, 0.005)) >= 5


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.parametrize("kept", [1, 2])
def test_the_most_memory_of_a_call_counts_its_result_and_what_it_frees(kept: int) -> None:
    """Two tensors of 40 MB at a time, of which one or both are returned, beside 40 MB that were there before."""
    before = torch.ones(10_000_000)

    def call() -> object:
        made = [torch.ones(10_000_000), torch.ones(10_000_000)]
        return made[:kept]

    peak = Clock(torch.device("cpu"), 1e-6).peak(call)
    if peak is None:
        pytest.skip("this system does not tell")
    assert peak == pytest.approx(80e6, rel=0.05)
    assert before.nbytes == 40e6


def test_on_cuda_memory_is_the_allocators(monkeypatch: pytest.MonkeyPatch) -> None:
    in_use, most = [100], [0]

    def call() -> None:
        most[0] = max(most[0], in_use[0] + 30)

    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda *_: most.__setitem__(0, in_use[0]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: in_use[0])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: most[0])
    assert CUDA.peak(call) == 30


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes that were set, the last of which is in force."""
    modes = ["default"]
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    return modes


def reading(mode: list[str], *, first: bool, later: bool) -> Callable[[], None]:
    """A call that reads a value of the device the first time, later, or never."""
    calls = []

    def call() -> None:
        calls.append(1)
        if mode[-1] == "error" and (first if len(calls) == 1 else later):
            raise RuntimeError("called a synchronizing CUDA operation\nat some place")

    return call


@pytest.mark.parametrize(("first", "later"), [(True, True), (True, False), (False, False)])
def test_a_wait_is_told_and_the_mode_is_set_back(mode: list[str], first: bool, later: bool) -> None:
    """What waits the first time alone, to make what is made once, is none."""
    said = waits(reading(mode, first=first, later=later))
    assert said == ("called a synchronizing CUDA operation" if later else None)
    assert mode == ["default", "error", "default"]


def test_the_mode_is_set_back_after_another_error(mode: list[str]) -> None:
    def call() -> None:
        if mode[-1] == "error":
            raise KeyError("a mistake")

    with pytest.raises(KeyError):
        waits(call)
    assert mode[-1] == "default"
