"""Fuzz all readers and public calls: `python -m tests.faults.fuzz --calls N --seconds S --seed K --only NAME`.

Prints a row for each reader or call, and ends with 1 where there is a fault. `--page PATH` writes the table as a page.
"""

import argparse
import multiprocessing
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import torch

from recipes.data.images.pixels import MOST
from recipes.training import records
from tests.faults.fuzzing import calls, found, readers
from tests.faults.fuzzing.search import IDLE, MEMORY, ONE_OF, PATIENCE, PER_BYTE, WATCHED, Outcome, Target, search

HEAD = (
    "| reader or call | calls | answered | refused | new lines | inputs kept | calls a second | faults |\n"
    + "|---" * 8
    + "|"
)


def all_targets(folder: Path) -> list[Target]:
    """The readers, which write into a folder, and the calls."""
    return [*readers.targets(folder), *calls.targets()]


def apart(target: Target, count: int, seconds: float, seed: int) -> Outcome:
    """The search for a target in a process of its own, so that a crash is found as any other fault."""
    fork: Any = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe(duplex=False)

    def run() -> None:
        theirs.send(search(target, calls=count, seconds=seconds, seed=seed))

    child = fork.Process(target=run)
    start = time.perf_counter()
    child.start()
    theirs.close()
    outcome = None
    try:
        if mine.poll(seconds + 2 * IDLE):
            outcome = mine.recv()
    except EOFError:  # the process is gone
        pass
    child.kill()
    child.join()
    if outcome is None:
        outcome = Outcome(target.name, seconds=time.perf_counter() - start)
        outcome.faults[f"crash or hang: exit code {child.exitcode}"] = 1, b""
    return outcome


def row(outcome: Outcome) -> str:
    """A line of the table."""
    rate = outcome.calls / max(outcome.seconds, 1e-9)
    cells = [outcome.name, *(f"{each:,}" for each in (outcome.calls, outcome.answered, outcome.refused))]
    cells += [
        str(outcome.lines),
        str(outcome.kept),
        f"{rate:,.0f}",
        str(len(outcome.faults)) if outcome.faults else "–",
    ]
    return "| " + " | ".join(cells) + " |"


def page(outcomes: list[Outcome], command: str) -> str:
    """The table with what it is, in Markdown."""
    total, seconds = sum(each.calls for each in outcomes), sum(each.seconds for each in outcomes)
    text = found.TEXT.format(
        memory=MEMORY >> 20,
        per_byte=PER_BYTE,
        patience=PATIENCE,
        idle=IDLE,
        pixel=readers.PIXEL,
        pixels=MOST,
        watched=WATCHED,
        one_of=ONE_OF,
        faults=len(found.FOUND),
    )
    faults = "\n".join(f"| {where} | {what} | {now} |" for where, what, now in found.FOUND)
    new = "\n".join(
        f"* {each.name}: {fault}, {count} times" for each in outcomes for fault, (count, _) in each.faults.items()
    )
    made = (
        f"Made by `{command}` at {records.environment()['git']}, with torch {torch.__version__}, numpy "
        f"{numpy.__version__}, Python {platform.python_version()}, {platform.system()}, one thread."
    )
    count = f"{total:,} calls in {seconds:,.0f} seconds of {len(outcomes)} searches, one after the other."
    parts = [
        text,
        "## Faults found by the fuzzers, or while reading code for them, and fixed",
        found.HEAD + "\n" + faults,
    ]
    parts += ["## The run", count, HEAD + "\n" + "\n".join(map(row, outcomes))]
    parts += ["## Faults of this run", new or "None."]
    return "\n\n".join([*parts, made]) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="of all together")
    parser.add_argument("--seconds", type=float, default=600.0, help="of all together at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the names")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    outcomes = []
    try:
        targets = [each for each in all_targets(folder) if given.only in each.name]
        if not targets:
            sys.exit(f"--only {given.only!r} names nothing")
        print(HEAD)
        shares, end, left = sum(each.share for each in targets), time.perf_counter() + given.seconds, given.calls
        for each in targets:
            part = each.share / shares
            shares -= each.share
            outcome = apart(each, round(left * part), (end - time.perf_counter()) * part, given.seed)
            left -= outcome.calls
            outcomes.append(outcome)
            print(row(outcome), flush=True)
            for fault, (count, raw) in outcome.faults.items():
                print(f"    {count} times: {fault}: {raw!r}", flush=True)
    finally:
        shutil.rmtree(folder)
    if given.page is not None:
        records.write_text(given.page, page(outcomes, f"python -m tests.faults.fuzz {' '.join(sys.argv[1:])}"))
    sys.exit(1 if any(each.faults for each in outcomes) else 0)


if __name__ == "__main__":
    main()
