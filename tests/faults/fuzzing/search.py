"""The search: inputs are changed at random, and those that reach new lines of ours are changed further."""

import contextlib
import os
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

ROOT = Path(__file__).parents[3]
OURS = tuple(str(ROOT / folder) + "/" for folder in ("mixmodal", "recipes"))
PATIENCE, IDLE = 10.0, 60.0
"""Seconds of a processor that a call may take, and seconds in all; more is called a hang."""
MEMORY, PER_BYTE = 2**26, 64
"""Bytes that the process may grow by in all calls, and by byte of the longest input, beyond what a first call took."""
ADDRESSES = 2**31
"""Bytes that may be asked for at once, beside those in use."""
WATCHED, ONE_OF = 1000, 8
"""Calls at first whose lines are watched, and one of how many later."""
LONGEST = 2**14
NUMBERS = (b"0", b"1", b"-1", b"2", b"255", b"65536", b"4294967295", b"99999999999999999999", b"1e999", b"nan", b"-0.0")
WORDS = (
    *NUMBERS,
    b"\n",
    b"\0",
    b"\xff",
    b'"',
    b"\\",
    b",",
    b"\t",
    b"{",
    b"[",
    b"null",
    b"true",
    b"\\ud800",
    b"\xef\xbb\xbf",
)
EDGES = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


class Wrong(AssertionError):  # noqa: N818 (what it says is the name)
    """A result that is not what is documented."""


class Hang(BaseException):
    """A call takes too long; no reader catches it."""


@dataclass(frozen=True)
class Target:
    """What is called with bytes.

    Args:
        name: of the reader or the call.
        call: takes the bytes, and raises `Wrong` for a result that is not as documented.
        seeds: inputs to begin with.
        names: what the message of an error must have one of, such as the file.
        errors: those that are documented.
        words: what is put into inputs, beside numbers and signs.
        share: of the calls of a run, relative to the others.
        memory: bytes that are documented to be taken beside those that all calls may take.
    """

    name: str
    call: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    names: tuple[str, ...] = ()
    errors: tuple[type[Exception], ...] = (ValueError, TypeError)
    words: tuple[bytes, ...] = ()
    share: float = 1.0
    memory: int = 0


@dataclass
class Outcome:
    """What came of the calls of a target: their number and seconds, lines that seeds did not reach, and faults."""

    name: str
    calls: int = 0
    seconds: float = 0.0
    answered: int = 0
    refused: int = 0
    lines: int = 0
    kept: int = 0
    faults: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class Lines:
    """Which lines of ours have run; a function all of whose lines have is not looked at any more."""

    def __init__(self) -> None:
        self.left: dict[CodeType, set[int]] = {}
        self.seen = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in self.left:
            ours = code.co_filename.startswith(OURS)
            self.left[code] = {line for *_, line in code.co_lines() if line} if ours else set()
        return self._line if self.left[code] else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        left = self.left[frame.f_code]
        if event == "line" and frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.seen += 1
        return self._line if left else None


def search(target: Target, *, calls: int, seconds: float, seed: int = 0) -> Outcome:
    """Call a target with its seeds and with what comes of them, for so many calls or so long."""
    chance = random.Random(f"{seed} {target.name}")
    found, lines, pool = Outcome(target.name), Lines(), list(target.seeds)
    start = time.perf_counter()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of what ran before would hide that of the calls
    with _bounded():
        for raw in target.seeds:
            _call(target, raw, lines, found)
        reached, longest = lines.seen, max(map(len, pool))
        most = _peak() + MEMORY + target.memory
        while found.calls < calls and time.perf_counter() - start < seconds:
            raw = changed(chance.choice(pool), pool, target.words, chance)
            before, longest = lines.seen, max(longest, len(raw))
            _call(target, raw, lines, found, found.calls < WATCHED or not found.calls % ONE_OF)
            if lines.seen > before:
                pool.append(raw)
            if _peak() > most + PER_BYTE * longest:
                _note(found, f"memory: {(_peak() - most + MEMORY + target.memory) >> 20} MiB more", raw)
                most = _peak()
    found.seconds, found.lines, found.kept = time.perf_counter() - start, lines.seen - reached, len(pool)
    return found


def fault_of(target: Target, raw: bytes) -> str | None:
    """Call a target once: what is wrong with the outcome, or None; "" for a documented error."""
    try:
        torch.default_generator.manual_seed(0)  # torch's own function notes the stack for each device
        target.call(raw)
    except Wrong as error:
        return f"wrong: {error!s:.300}"
    except Hang:
        return f"hang: more than {PATIENCE:g} s of a processor or {IDLE:g} s"
    except Exception as error:
        return _fault_of_error(target, error)
    return None


def changed(raw: bytes, pool: Sequence[bytes], words: Sequence[bytes], chance: random.Random) -> bytes:
    """An input after one to four changes."""
    new = bytearray(raw)
    for _ in range(1 << chance.randrange(3)):
        CHANGES[chance.randrange(len(CHANGES))](new, pool, words, chance)
    return bytes(new[:LONGEST])


def _call(target: Target, raw: bytes, lines: Lines, found: Outcome, watched: bool = True) -> None:
    """Call a target and count the outcome."""
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    signal.setitimer(signal.ITIMER_REAL, IDLE)
    try:
        with lines.watched() if watched else contextlib.nullcontext():
            fault = fault_of(target, raw)
    except Hang:  # just before or after
        fault = None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    found.calls += 1
    found.answered += fault is None
    found.refused += fault == ""
    if fault:
        _note(found, fault, raw)


def _note(found: Outcome, fault: str, raw: bytes) -> None:
    """Count a fault, and keep the shortest input of it."""
    key = fault.split("|")[0]
    count, shortest = found.faults.get(key, (0, raw))
    found.faults[key] = count + 1, min(raw, shortest, key=len)


def _fault_of_error(target: Target, error: Exception) -> str:
    """What is wrong with an error; nothing if it is documented, ours, and names what is at fault in one line."""
    frames, step = [], error.__traceback__
    while step is not None:
        frames.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    file, line = next((each for each in reversed(frames) if each[0].startswith(OURS)), frames[-1])
    where = f"{Path(file).name}:{line}"
    said = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if not isinstance(error, target.errors):
        return f"{type(error).__name__} at {where}|{said:.200}"
    if not frames[-1][0].startswith(OURS):
        return f"{type(error).__name__} of {Path(frames[-1][0]).name} at {where}|{said:.200}"
    if len(said) < 8 or "\n" in said or (target.names and not any(name in said for name in target.names)):
        return f"no sentence at {where}|{said:.200}"
    return ""


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Time and addresses are bounded, and warnings are left out, of libraries in C too."""

    def late(*_: object) -> None:
        raise Hang

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = {each: signal.signal(each, late) for each in (signal.SIGALRM, signal.SIGPROF)}
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, hard))
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for each, handler in before.items():
            signal.signal(each, handler)


# ---------------------------------------------------------------- changes

Change = Callable[[bytearray, Sequence[bytes], Sequence[bytes], random.Random], None]


def _span(new: bytearray, chance: random.Random) -> slice:
    start = chance.randrange(len(new) + 1)
    return slice(start, min(len(new), start + (1 << chance.randrange(8))))


def _flip(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    if new:
        new[chance.randrange(len(new))] ^= 1 << chance.randrange(8)


def _byte(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    if new:
        new[chance.randrange(len(new))] = chance.randrange(256)


def _edge(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    """A whole number of 1, 2, 4 or 8 bytes in either order becomes an extreme one."""
    size = 1 << chance.randrange(4)
    if len(new) >= size:
        start = chance.randrange(len(new) - size + 1)
        value = chance.choice(EDGES) % 256**size
        new[start : start + size] = value.to_bytes(size, chance.choice(("little", "big")))


def _number(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    """Digits become another number."""
    places = [place for place, value in enumerate(new) if 48 <= value <= 57]
    if places:
        start = end = chance.choice(places)
        while end < len(new) and 48 <= new[end] <= 57:
            end += 1
        new[start:end] = chance.choice(NUMBERS)


def _word(new: bytearray, _: object, words: Sequence[bytes], chance: random.Random) -> None:
    start = chance.randrange(len(new) + 1)
    word = chance.choice((*words, *WORDS))
    new[start : start + (len(word) if chance.randrange(2) else 0)] = word


def _lose(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    del new[_span(new, chance)]


def _again(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    part = new[_span(new, chance)]
    start = chance.randrange(len(new) + 1)
    new[start:start] = part * (1 << chance.randrange(3))


def _cut(new: bytearray, _: object, __: object, chance: random.Random) -> None:
    del new[chance.randrange(len(new) + 1) :]


def _cross(new: bytearray, pool: Sequence[bytes], _: object, chance: random.Random) -> None:
    other = chance.choice(pool)
    new[chance.randrange(len(new) + 1) :] = other[chance.randrange(len(other) + 1) :]


CHANGES: tuple[Change, ...] = (_flip, _byte, _byte, _edge, _edge, _number, _word, _lose, _again, _cut, _cross)
