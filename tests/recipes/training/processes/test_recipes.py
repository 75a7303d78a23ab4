"""Each recipe in two processes: who sees what, who writes, and what the score is."""

import contextlib
import importlib
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

from recipes.data.audio import sets as clips
from recipes.data.loading import KEPT
from recipes.training.engine import Task
from recipes.training.records import read_model
from tests.frameworks.processes import in_two_processes

EPOCHS = 2
FOLDER = {".lock", "checkpoint.safetensors", "config.json", "curves.png", "metrics.jsonl", "result.json", "samples.png"}
WORDS = {
    "images": ["--width", "4", "--per-class", "3", "--batch-size", "7", "--method", "mixup"],
    "text": [
        "--data",
        "synthetic",
        "--width",
        "4",
        "--vector-width",
        "5",
        "--size",
        "31",
        "--batch-size",
        "7",
        "--method",
        "fmix",
    ],
    "audio": ["--data", "synthetic", "--width", "4", "--batch-size", "4", "--method", "cutmix"],
    "points": [
        "--data",
        "synthetic",
        "--points",
        "32",
        "--resolution",
        "8",
        "--width",
        "4",
        "--batch-size",
        "7",
        "--method",
        "fmix",
    ],
}
ALL = ["--device", "cpu", "--epochs", str(EPOCHS), "--lr", "0.01", "--median-of", "1"]


class Watched(Dataset[Any]):
    """A set that notes which samples are read, batch by batch."""

    def __init__(self, data: Any) -> None:
        self.data, self.seen = data, list[list[int]]()

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: Sequence[int]) -> Any:
        self.seen.append([*indices])
        return (
            self.data.__getitems__(indices) if hasattr(self.data, "__getitems__") else [self.data[i] for i in indices]
        )


class Terminal(io.StringIO):
    """Where a progress bar is shown."""

    def isatty(self) -> bool:
        return True


def watched(loader: DataLoader[Any]) -> DataLoader[Any]:
    kept: dict[str, Any] = {name: getattr(loader, name) for name in KEPT}
    return DataLoader(Watched(loader.dataset), batch_sampler=loader.batch_sampler, **kept)


def one_of_two(rank: int, folder: Path, name: str) -> None:
    """A run in one process, and what it read, drew and said."""
    recipe = importlib.import_module(f"recipes.{name}")
    tasks: list[Task] = []
    pictures = 0

    def fit(task: Task, *args: Any, **kwargs: Any) -> Any:
        def picture(*given: Any) -> Any:
            nonlocal pictures
            pictures += 1
            return task.picture(*given)

        tasks.append(replace(task, train=watched(task.train), test=watched(task.test), picture=picture))
        return original(tasks[0], *args, **kwargs)

    original = recipe.engine.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe.engine, "fit", fit)
        patch.setattr(Accelerator, "end_training", Accelerator.wait_for_everyone)  # it ends the group of processes
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(Terminal()) as shown:
            recipe.main([*ALL, *WORDS[name], "--out", str(folder / "run")])
    train, test = (loader.dataset.seen for loader in (tasks[0].train, tasks[0].test))  # type: ignore[attr-defined]
    found = {"train": train, "test": test, "pictures": pictures, "said": said.getvalue(), "shown": shown.getvalue()}
    torch.save(found, folder / f"{rank}.pth")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    tones = clips.synthetic(classes=3, per_class=7)
    monkeypatch.setattr(clips, "synthetic", lambda: tones)


def task_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Task:
    """What a recipe trains, in this process."""
    recipe, tasks = importlib.import_module(f"recipes.{name}"), list[Task]()
    with monkeypatch.context() as patch:
        patch.setattr(recipe.engine, "fit", lambda task, *_, **__: tasks.append(task) or {})
        recipe.main([*ALL, *WORDS[name], "--out", "unused"])
    return tasks[0]


@torch.no_grad()
def scored(task: Task, loader: DataLoader[Any]) -> list[float]:
    """The score of a set and its NLL, the samples one after the other in this process."""
    net, preds, targets = task.model.eval(), [], []
    for batch in loader:
        x, y = task.prepare(batch, False)
        preds.append(net(x))
        targets.append(y)
    answers, labels = torch.cat(preds), torch.cat(targets)
    assert len(labels) == len(loader.dataset)  # type: ignore[arg-type]
    return [task.score(answers, labels), task.nll(answers, labels) if task.nll else 0.0]


def epochs_of(ends: list[Any], key: str, size: int, count: int) -> list[list[int]]:
    """The samples of each pass over a set, of both processes together."""
    passes: list[list[int]] = [[] for _ in range(count)]
    rest = [[*end[key]] for end in ends]
    for each in passes:
        while len(each) < size:
            for batches in rest:
                each += batches.pop(0)
    return passes


@pytest.mark.forks
@pytest.mark.parametrize(
    "name", ["audio", *(pytest.param(name, marks=pytest.mark.slow) for name in WORDS if name != "audio")]
)
def test_two_processes_share_a_recipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(name, monkeypatch)
    ends = in_two_processes(one_of_two, tmp_path, name)

    train, test = (len(loader.dataset) for loader in (task.train, task.test))  # type: ignore[arg-type]
    epochs = epochs_of(ends, "train", train, EPOCHS + 1)  # the last is scored
    assert all(sorted(epoch) == [*range(train)] for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == EPOCHS + 1
    assert all(sorted(each) == [*range(test)] for each in epochs_of(ends, "test", test, EPOCHS))

    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == FOLDER
    assert len((run / "metrics.jsonl").read_text().splitlines()) == EPOCHS
    assert [end["pictures"] for end in ends] == [1, 0]
    assert [end["said"].count("epoch 2") for end in ends] == [1, 0]
    assert ends[1]["said"] == ends[1]["shown"] == ""
    assert "epoch 1:   0%" in ends[0]["shown"]

    result = json.loads((run / "result.json").read_text())
    _, weights = read_model(run / "checkpoint.safetensors")
    task.model.load_state_dict(weights)
    score, nll = scored(task, task.test)
    assert result["score"] == pytest.approx(score, abs=1e-9)
    assert result.get("nll", 0.0) == pytest.approx(nll, abs=1e-5)
    assert result["train_score"] == pytest.approx(scored(task, task.train)[0], abs=1e-9)
    assert result["device"].startswith("2 x cpu")
