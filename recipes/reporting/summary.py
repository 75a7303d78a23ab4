"""Read finished runs, refuse unfair comparisons, and summarise every method over its seeds."""

import json
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any

from recipes.reporting.intervals import Interval, difference
from recipes.training.methods import Method
from recipes.training.records import BOOKKEEPING

OF_METHODS = frozenset(field.name for field in fields(Method))
"""Settings that belong to a method, and may differ between methods."""
ABSENT = "absent"
KINDS: Mapping[str, type | UnionType] = {
    **dict.fromkeys(("metric", "git", "device", "command"), str),
    **dict.fromkeys(("seed", "epochs"), int),
    **dict.fromkeys(("score", "train_score", "wall_s"), int | float),
    "versions": dict,
}
"""What a report reads from a result."""


class ReportError(ValueError):
    """The runs or the arguments cannot be reported as asked; the message names what is at fault and the remedy."""


@dataclass(frozen=True)
class Run:
    """One finished run: scores in percent, `settings` without method, seed and bookkeeping, `result` as written.

    `nll` is in nats, None if samples have no single class and in runs from before it was measured.
    """

    folder: Path
    method: str
    seed: int
    score: float
    train_score: float
    settings: Mapping[str, Any]
    result: Mapping[str, Any]
    nll: float | None = None


@dataclass(frozen=True)
class Difference:
    """Method minus baseline in percentage points, over the seeds both have: an interval, None without such seeds."""

    found: Interval | None

    @property
    def verdict(self) -> str:
        """One of `no common seed`, `one seed`, `unresolved` (0 lies in the 95 % interval) and `resolved`."""
        if self.found is None:
            return "no common seed"
        if self.found.n == 1:
            return "one seed"
        return "unresolved" if self.found.low <= 0 <= self.found.high else "resolved"


@dataclass(frozen=True)
class Row:
    """One method: its runs by ascending seed, score mean and sample standard deviation (ddof 1), all in percent."""

    method: str
    runs: tuple[Run, ...]
    mean: float
    std: float | None
    train_mean: float
    difference: Difference | None

    @property
    def scores(self) -> dict[int, float]:
        """Score in percent by seed."""
        return {run.seed: run.score for run in self.runs}

    @property
    def nll(self) -> tuple[float, float | None] | None:
        """Mean and sample standard deviation of the NLL in nats; None unless all runs have it."""
        found = [run.nll for run in self.runs if run.nll is not None]
        if len(found) < len(self.runs):
            return None
        return statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None


def read_json(path: Path, required: Iterable[str]) -> dict[str, Any]:
    """The object in `path`.

    Raises: ReportError if the file cannot be read, is not a JSON object or lacks one of the `required` keys.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()  # half a character, such as \ud800, cannot be written again
    except FileNotFoundError:
        raise ReportError(f"{path} is missing: restore it, or remove the run") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be read ({error.strerror}): restore it, or remove the run") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path} is not valid JSON ({error}): run it again, or remove the run") from None
    if not isinstance(content, dict):
        raise ReportError(f"{path} holds a {type(content).__name__}, not an object: run it again, or remove the run")
    missing = [key for key in required if key not in content]
    if missing:
        raise ReportError(f"{path} lacks {', '.join(missing)}: run it again, or remove the run")
    return content


def read_run(folder: Path) -> Run:
    """The run in `folder`; the epochs and the metric of its result count as settings, since they record its budget.

    Raises: ReportError for files that are broken, contradict each other or hold a score that is not a number.
    """
    config = read_json(folder / "config.json", ("method", "seed"))
    result = read_json(folder / "result.json", [*KINDS])
    wrong = [key for key, kind in KINDS.items() if not isinstance(result[key], kind) or isinstance(result[key], bool)]
    if wrong:
        raise ReportError(
            f"{folder / 'result.json'} has {result[wrong[0]]!r:.80} as {wrong[0]}: run it again, or remove the run"
        )
    if config["seed"] != result["seed"]:
        raise ReportError(f"{folder}: seed is {config['seed']} in config.json but {result['seed']} in result.json")
    epochs = config.get("epochs", result["epochs"])
    if epochs != result["epochs"] and not config.get("smoke"):
        raise ReportError(
            f"{folder}: epochs is {epochs} in config.json but {result['epochs']} in result.json: train it to its "
            f"end, or remove the run"
        )
    if "nll" in result and not _is_finite(result["nll"]):
        raise ReportError(f"{folder}: nll is {result['nll']!r}, not a finite number: run it again, or remove the run")
    try:
        shlex.split(result["command"])
    except ValueError as error:
        raise ReportError(
            f"{folder}: command is {result['command']!r:.80}, which no shell reads ({error}): run it again, or remove "
            f"the run"
        ) from error
    if not _is_finite(result["wall_s"]) or result["wall_s"] < 0:
        raise ReportError(f"{folder}: wall_s is {result['wall_s']!r:.80}, not a number of seconds: run it again")
    for key in ("score", "train_score"):
        if not 0 <= result[key] <= 100:
            raise ReportError(
                f"{folder}: {key} is {result[key]!r}, not a finite number from 0 to 100: run it again, or "
                f"remove the run"
            )
    settings = {key: value for key, value in config.items() if key not in BOOKKEEPING | {"method", "seed"}}
    settings |= {"epochs": result["epochs"], "metric": result["metric"]}
    score, train_score = float(result["score"]), float(result["train_score"])
    nll = float(result["nll"]) if "nll" in result else None
    return Run(folder, str(config["method"]), int(config["seed"]), score, train_score, settings, result, nll)


def _is_finite(value: object) -> bool:
    """Whether a value of JSON is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def find_runs(root: Path) -> tuple[list[Run], list[Path]]:
    """Finished runs under `root`, and the folders of unfinished ones (config.json without result.json); both sorted.

    Raises: ReportError if there is no finished run.
    """
    folders = sorted({path.parent for name in ("config.json", "result.json") for path in root.rglob(name)})
    unfinished = [folder for folder in folders if not (folder / "result.json").exists()]
    runs = [read_run(folder) for folder in folders if folder not in unfinished]
    if not runs:
        raise ReportError(
            f"runs={str(root)!r} holds no finished run ({len(unfinished)} unfinished): "
            "pass a folder with config.json and result.json in it or below it"
        )
    return sorted(runs, key=lambda run: (run.method, run.seed, run.folder)), unfinished


def check_comparable(runs: Sequence[Run]) -> None:
    """Pass if the runs differ only in method, its own settings and seed.

    Some methods may have a setting that others lack. A setting may not have two values, except for those of
    `recipes.training.methods.Method`, and runs of one method may not have different settings.

    Raises: ReportError naming the setting, both values and both runs, or the two runs of one method and seed.
    """
    by_seed: dict[tuple[str, int], Run] = {}
    first_with: dict[str, Run] = {}
    first_of: dict[str, Run] = {}
    for run in runs:
        twin = by_seed.setdefault((run.method, run.seed), run)
        if twin is not run:
            raise ReportError(
                f"method {run.method!r} has two runs of seed {run.seed}: {twin.folder} and {run.folder}: remove one"
            )
        sibling = first_of.setdefault(run.method, run)
        pairs = [(key, sibling) for key in sorted(run.settings.keys() ^ sibling.settings.keys())]
        pairs += [
            (key, sibling if key in OF_METHODS else first_with.setdefault(key, run)) for key in sorted(run.settings)
        ]
        for key, other in pairs:
            here, there = run.settings.get(key, ABSENT), other.settings.get(key, ABSENT)
            if here != there:
                raise ReportError(
                    f"runs cannot be compared: {key} is {there!r} in {other.folder} but {here!r} in {run.folder}: "
                    f"report them separately, or run one of them again with the same {key}"
                )


def summarise(runs: Sequence[Run], baseline: str, order: Sequence[str]) -> list[Row]:
    """One row per method: the baseline, then the methods in `order`, then the others alphabetically.

    Raises: ReportError if the baseline or a method in `order` has no run.
    """
    methods = sorted({run.method for run in runs})
    for name, wanted in (("baseline", (baseline,)), ("order", order)):
        for method in wanted:
            if method not in methods:
                raise ReportError(
                    f"{name} names {method!r}, which has no finished run: choose from {', '.join(methods)}"
                )
    reference = {run.seed: run.score for run in runs if run.method == baseline}
    rows = []
    for method in dict.fromkeys((baseline, *order, *methods)):
        group = tuple(sorted((run for run in runs if run.method == method), key=lambda run: run.seed))
        of_group = {run.seed: run.score for run in group}
        scores = list(of_group.values())
        rows.append(
            Row(
                method=method,
                runs=group,
                mean=statistics.fmean(scores),
                std=statistics.stdev(scores) if len(scores) > 1 else None,
                train_mean=statistics.fmean(run.train_score for run in group),
                difference=(
                    None
                    if method == baseline
                    else Difference(difference({run.seed: run.score for run in group}, reference))
                ),
            )
        )
    return rows
