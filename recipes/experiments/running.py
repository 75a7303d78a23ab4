"""The commands of a row, and running them one after the other; what is already done is skipped."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.experiments.rows import Row
from recipes.reporting.summary import read_json

SMOKE = "--smoke"
ON_HUB = ("images", "text", "analyses.sweep")
"""Modules that can fetch their data from the hub."""


@dataclass(frozen=True)
class How:
    """How rows are run: the part of the command line that stands for the words in capitals.

    Args:
        root: folder for all runs and pages, with a folder named after each row.
        seeds: number of seeds, counting from 0.
        methods: those that are run; all of a row if empty.
        data_root: folder of the data.
        hub: fetch the data from the Hugging Face hub instead.
        vectors: file of word vectors.
        words: more words for each command that trains.
        smoke: run a few batches of everything.
    """

    root: Path
    seeds: int = 1
    methods: tuple[str, ...] = ()
    data_root: Path | None = None
    hub: bool = False
    vectors: Path | None = None
    words: tuple[str, ...] = ()
    smoke: bool = False


@dataclass(frozen=True)
class Command:
    """A command of a row.

    Args:
        module: what is run, in `recipes`.
        words: of the command line.
        out: folder of the run, or the page.
        newer: folder of networks that its page is made from; None for a command that resumes by itself.
    """

    module: str
    words: tuple[str, ...]
    out: Path
    newer: Path | None = None

    def __str__(self) -> str:
        return f"python -m recipes.{self.module} {shlex.join(self.words)}"


def commands(row: Row, rows: Mapping[str, Row], how: How) -> Iterator[Command]:
    """The commands of a row in order, those of the networks that it analyses first.

    Raises:
        ValueError: it needs the folder of the data or word vectors, which are not given.
    """
    folder = how.root / row.name
    if row.trains:
        methods = _methods(row, how)
        for seed in range(how.seeds):
            for method in methods:
                given = [*shlex.split(row.words), *shlex.split(row.options.get(method, "")), *how.words]
                given += [SMOKE] if how.smoke else []
                out = folder / f"{method}-{seed}"
                last = ["--method", method, "--seed", str(seed), "--out", str(out)]
                yield Command(row.module, _filled([*given, *last], row, how), out)
        return
    if row.of:
        trained = rows[row.of]
        wanted = how.methods or row.of_methods or trained.methods
        yield from commands(trained, rows, replace(how, methods=wanted))
    words, each = shlex.split(row.words), shlex.split(row.each)
    if row.each:
        each = [*each, *how.words, *([SMOKE] if how.smoke else [])]
        words.append(f"--words={shlex.join(_filled(each, row, how))}")
    else:
        words += [SMOKE] if how.smoke else []
        words += () if row.of else how.words
    networks = how.root / row.of if row.of else None
    yield Command(row.module, _filled(words, row, how), folder / "page.md", networks)


def run(rows: Sequence[Row], known: Mapping[str, Row], how: How, said: Callable[[str], None]) -> None:
    """Run all commands of some rows, or none if one of the rows cannot be run.

    Args:
        rows: those to run.
        known: all rows by name.
        how: see `How`.
        said: is called with what is run, and where everything is.

    Raises:
        ValueError: a row cannot be run, a command failed, or a folder holds another run.
    """
    planned = [(row, list(commands(row, known, how))) for row in rows]
    for row, each in planned:
        for place, command in enumerate(each):
            state = "done" if _done(command) else "running"
            said(f"[{place + 1}/{len(each)}] {state}: {command}")
            if state == "running":
                command.out.parent.mkdir(parents=True, exist_ok=True)
                _start(command)
        said(f"{row.name}: {_then(row, how)}")


def report(row: Row, how: How) -> str:
    """The command that makes a table from the runs of a row."""
    folder, methods = how.root / row.name, how.methods or row.methods
    words = ["python", "-m", "recipes.report", str(folder), "--out", str(folder / "report"), "--baseline", methods[0]]
    words += ["--published", row.report] if row.report else []
    return shlex.join([*words, "--title", row.name, "--order", *methods])


def _methods(row: Row, how: How) -> tuple[str, ...]:
    """The methods that are run."""
    unknown = [method for method in how.methods if method not in row.methods]
    if unknown:
        raise ValueError(f"methods: {row.name} has no {', '.join(unknown)}; it has {', '.join(row.methods)}")
    return how.methods or row.methods


def _filled(words: Sequence[str], row: Row, how: How) -> tuple[str, ...]:
    """Words, with those in capitals replaced by what they stand for."""
    text = shlex.join(words)
    if how.hub and "--data-root DATA" in text:
        if row.module not in ON_HUB:
            raise ValueError(f"hub=True: {row.name} reads its data from a folder: pass --data-root DIR")
        words = shlex.split(text.replace("--data-root DATA", "--hub"))
    for name, option, value in (("DATA", "--data-root", how.data_root), ("VECTORS", "--vectors", how.vectors)):
        if name in words and value is None:
            raise ValueError(f"{row.name} needs {option}: see `python -m recipes.experiments --only {row.name}`")
    known = {
        "DATA": [str(how.data_root)],
        "VECTORS": [str(how.vectors)],
        "RUNS": [str(how.root / row.of)],
        "SEEDS": [str(seed) for seed in range(how.seeds)],
        "COUNT": [str(how.seeds)],
        "OUT": [str(how.root / row.name / "runs")],
        "PAGE": [str(how.root / row.name / "page.md")],
    }
    return tuple(filled for word in words for filled in known.get(word, [word]))


def _done(command: Command) -> bool:
    """Whether a command need not be run again."""
    if command.out.suffix == ".md":
        if command.newer is None or not command.out.exists():
            return False
        made = command.out.stat().st_mtime
        return all(made > path.stat().st_mtime for path in command.newer.rglob("result.json"))
    result = command.out / "result.json"
    if not result.exists():
        return False
    found = str(read_json(result, ("command",))["command"]).removesuffix(" --resume")
    if found != str(command):
        raise ValueError(f"{command.out} holds the run of `{found}`, not of `{command}`: choose another --out")
    return True


def _start(command: Command) -> None:
    """Run a command to its end, resuming a run that was stopped."""
    words = [*command.words, *(["--resume"] if (command.out / "config.json").exists() else [])]
    done = subprocess.run([sys.executable, "-m", f"recipes.{command.module}", *words], check=False, env={**os.environ})
    if done.returncode:
        raise ValueError(f"`{command}` ended with code {done.returncode}: fix the cause and run the same command again")


def _then(row: Row, how: How) -> str:
    """What to do with the results of a row."""
    if not row.trains:
        return f"its page: {how.root / row.name / 'page.md'}"
    return f"to make a table from it: `{report(row, how)}`"
