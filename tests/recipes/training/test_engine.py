"""The training loop and the folder it writes."""

import contextlib
import json
import math
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor, nn

import mixmodal as mm
from recipes.data.loading import ShuffledBatches, ordered_loader, shuffled_loader
from recipes.training import engine, records
from recipes.training.engine import Task, Training
from recipes.training.mixing import AtSites

SIZE, CLASSES = 50, 3
CONFIG = {"recipe": "toy", "method": "toy"}


def toy(
    *,
    seed: int = 0,
    mixer: mm.Draws | None = None,
    prepare: Callable[[Any, bool], tuple[Tensor, Tensor]] | None = None,
    **changes: Any,
) -> Task:
    """A small network with batch norm and dropout on separable noise, mixed by a policy with a state."""
    data = torch.Generator().manual_seed(7)
    y = torch.randint(CLASSES, (SIZE,), generator=data)
    x = torch.randn(SIZE, 2, 6, generator=data) + y[:, None, None]
    engine.seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, CLASSES)
    )
    policy = mm.Alternate([mm.FMix(), mm.MixUp(), mm.CutMix()]) if mixer is None else mixer
    task = Task(
        model=model,
        train=shuffled_loader(x, y, batch_size=16, seed=seed),
        test=ordered_loader(x[:20], y[:20], batch_size=16),
        mixing=AtSites(model, {model: policy}),
        prepare=prepare or (lambda batch, train: (batch[0], batch[1])),
        picture=lambda samples, x, y: Figure(),
    )
    return replace(task, **changes)


def training(**changes: Any) -> Training:
    return replace(Training(epochs=4, batch_size=16, lr=0.05, device="cpu"), **changes)


def fit(task: Task, how: Training, out: Path, **config: Any) -> dict[str, Any]:
    return engine.fit(task, how, out=out, config=CONFIG | config, command="python -m toy")


def entries(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [entry["train_loss"] for entry in entries(out)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, optimizer: Any) -> None:
    how = training(optimizer=optimizer, clip=1.0)
    whole = fit(toy(), how, tmp_path / "whole")

    batches = 0

    def stop_in_the_third_epoch(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        nonlocal batches
        batches += train
        if batches == 2 * 4 + 3:
            raise KeyboardInterrupt
        return batch[0], batch[1]

    with pytest.raises(KeyboardInterrupt):
        fit(toy(prepare=stop_in_the_third_epoch), how, tmp_path / "parts")
    assert len(entries(tmp_path / "parts")) == 2
    torch.rand(5)  # what happened in between plays no part
    parts = fit(toy(), replace(how, resume=True), tmp_path / "parts")

    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert (parts["score"], parts["train_score"]) == (whole["score"], whole["train_score"])
    one, other = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(key.startswith("optimizer.") for key in one)


def test_a_finished_run_resumes_to_the_same_result(tmp_path: Path) -> None:
    first = fit(toy(), training(), tmp_path)
    again = fit(toy(), training(resume=True), tmp_path)
    assert {key: first[key] for key in ("score", "train_score", "epochs")} == {
        key: again[key] for key in ("score", "train_score", "epochs")
    }
    assert len(entries(tmp_path)) == 4


def test_the_seed_fixes_a_run(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(toy(seed=seed), training(seed=seed), tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    orders: list[list[int]] = []

    def prepare(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        if train:
            orders.append(batch[0][:, 0, 0].tolist())
        return batch[0], batch[1]

    fit(toy(prepare=prepare), training(), tmp_path)
    epochs = [[value for batch in orders[start : start + 4] for value in batch] for start in range(0, 16, 4)]
    assert len({tuple(order) for order in epochs}) == 4
    assert len({tuple(sorted(order)) for order in epochs}) == 1


def test_seeds_epochs_and_processes_have_their_own_randomness() -> None:
    draws = set()
    for seed in range(3):
        for epoch in range(3):
            for process in range(3):
                engine.seed(seed, epoch=epoch, process=process)
                draws.add(torch.rand(()).item())
    assert len(draws) == 27


def test_the_score_is_the_last_epochs(tmp_path: Path) -> None:
    scores = iter([90.0, 80.0, 70.0, 60.0, 99.0])  # four epochs on the test set, then the training set
    result = fit(toy(score=lambda preds, y: next(scores)), training(), tmp_path)
    assert [entry["test_accuracy"] for entry in entries(tmp_path)] == [90, 80, 70, 60]
    assert (result["score"], result["train_score"]) == (60, 99)


def test_the_likelihood_is_that_of_the_last_epoch_on_the_test_set(tmp_path: Path) -> None:
    task = toy()
    result = fit(task, training(), tmp_path)
    x, y = next(iter(ordered_loader(*task.test.dataset.columns, batch_size=100)))  # type: ignore[attr-defined]
    with torch.no_grad():
        odds = task.model.eval()(x).double().numpy()
    of_label = odds[np.arange(len(y)), y.numpy()]
    assert result["nll"] == pytest.approx((np.log(np.exp(odds).sum(1)) - of_label).mean(), rel=1e-6)
    assert entries(tmp_path)[-1]["test_nll"] == result["nll"]


def test_a_task_need_not_have_a_likelihood(tmp_path: Path) -> None:
    assert "nll" not in fit(toy(nll=None), training(), tmp_path)
    assert not any("test_nll" in entry for entry in entries(tmp_path))


def test_a_run_from_before_the_likelihood_is_resumed(tmp_path: Path) -> None:
    fit(toy(nll=None), training(median_of=2), tmp_path)
    assert "nll" not in fit(toy(), training(median_of=2, resume=True), tmp_path)


def test_test_scores_can_be_left_to_the_last_epoch(tmp_path: Path) -> None:
    fit(toy(), training(evaluate_every=0), tmp_path)
    assert ["test_accuracy" in entry for entry in entries(tmp_path)] == [False, False, False, True]


def test_evaluation_neither_mixes_nor_augments(tmp_path: Path) -> None:
    asked = []

    def prepare(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        asked.append(train)
        return batch[0], batch[1]

    class Loud(mm.Draws):
        calls = 0
        partner = False

        def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
            self.calls += 1
            return mm.NoMix().record(x, asked)

    mixer = Loud()
    fit(toy(mixer=mixer, prepare=prepare), training(epochs=1), tmp_path)
    assert mixer.calls == 4 + 1  # the picture's
    assert asked == [True] * 4 + [False] * 2 + [False] * 4 + [True]  # train, test, train as it is, picture


def test_the_score_counts_every_sample_once(tmp_path: Path) -> None:
    seen = []
    fit(toy(score=lambda preds, y: float(seen.append(len(y)) or 0)), training(epochs=1), tmp_path)
    assert seen == [20, SIZE]


@pytest.mark.parametrize(("mixer", "factor"), [(mm.MixUp(), 2.0), (mm.NoMix(), 1.0)])
def test_batches_that_are_mixed_have_their_weight(tmp_path: Path, mixer: mm.Mixer, factor: float) -> None:
    how = training(epochs=1, lr=0.0, weight_decay=0.0)
    fit(toy(mixer=mixer), how, tmp_path / "one")
    fit(toy(mixer=mixer, mixed_weight=2.0), how, tmp_path / "two")
    assert losses(tmp_path / "two")[0] == pytest.approx(factor * losses(tmp_path / "one")[0])


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    result = fit(toy(), training(), tmp_path)
    names = {"config.json", "metrics.jsonl", "result.json", "curves.png", "samples.png", "checkpoint.safetensors"}
    names.add(".lock")
    assert {path.name for path in tmp_path.iterdir()} == names
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
    assert result["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert result["command"] == "python -m toy"
    assert result["epochs"] == 4
    seconds = sum(entry["seconds"] for entry in entries(tmp_path))
    assert result["samples_per_s"] == pytest.approx(4 * SIZE / seconds)
    assert result["wall_s"] >= seconds


def test_the_training_loss_is_the_mean_over_samples(tmp_path: Path) -> None:
    how = training(epochs=1, lr=0.0, weight_decay=0.0)
    task = toy(mixer=mm.NoMix())
    for module in task.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    fit(task, how, tmp_path)
    twin = toy(mixer=mm.NoMix())
    for module in twin.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    total = sum(nn.functional.cross_entropy(twin.model(x), y, reduction="sum").item() for x, y in twin.train)
    assert losses(tmp_path)[0] == pytest.approx(total / SIZE, rel=1e-5)


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    fit(toy(), training(epochs=1), tmp_path)
    with pytest.raises(FileExistsError, match=r"--out .* already holds a run: add --resume"):
        fit(toy(), training(epochs=1), tmp_path)


def test_a_resumed_run_has_the_same_settings(tmp_path: Path) -> None:
    fit(toy(), training(epochs=1), tmp_path, alpha=1.0, data_root="here")
    fit(toy(), training(epochs=1, resume=True), tmp_path, alpha=1.0, data_root="there")
    with pytest.raises(ValueError, match=r"--resume: alpha is now 0.2 but was 1.0"):
        fit(toy(), training(epochs=1, resume=True), tmp_path, alpha=0.2)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"a\nkey": 1}))
    with pytest.raises(ValueError, match=r"--resume: a key is now None but was 1 in .*config\.json; use"):
        fit(toy(), training(epochs=1, resume=True), tmp_path, alpha=1.0, data_root="here")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    broken = toy(prepare=lambda batch, train: (batch[0] * float("nan"), batch[1]))
    with pytest.raises(FloatingPointError, match=r"the loss of epoch 1 is nan from step 1 on, .*; lower --lr"):
        fit(broken, training(), tmp_path)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_schedules() -> None:
    step = Training(epochs=200, lr=0.1, schedule="step", milestones=(100, 150))
    assert [step.lr_at(epoch) for epoch in (0, 99.9, 100, 149, 150, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    cosine = Training(epochs=10, lr=0.1)
    assert [cosine.lr_at(epoch) for epoch in (0, 5, 10)] == pytest.approx([0.1, 0.05, 0.0])
    imagenet = Training(epochs=90, lr=0.4, schedule="step", milestones=(30, 60, 80), warmup=5)
    assert [imagenet.lr_at(epoch) for epoch in range(6)] == pytest.approx([0.1, 0.16, 0.22, 0.28, 0.34, 0.4])
    assert Training(lr=0.3, schedule="constant").lr_at(17) == 0.3


def test_the_schedule_reaches_the_optimizer(tmp_path: Path) -> None:
    rates = []

    class Watching(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "SGD", Watching)
        fit(toy(), training(epochs=2), tmp_path)
    expected = [0.05 * 0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be 1 or more"),
        ({"batch_size": 0}, "batch_size=0 must be 1 or more"),
        ({"lr": float("nan")}, "lr=nan must be 0 or more"),
        ({"schedule": "step"}, "schedule='step' and milestones="),
        ({"milestones": (3,)}, "schedule='cosine' and milestones="),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**wrong)


def test_smoke_trains_two_batches_of_two_epochs(tmp_path: Path) -> None:
    result = fit(toy(), training(epochs=50, smoke=True), tmp_path)
    assert [entry["samples"] for entry in entries(tmp_path)] == [32, 32]
    assert result["epochs"] == 2


def inner_turns() -> mm.Draws:
    """A policy whose turns differ between processes, since the outer choice is drawn by each."""
    return mm.OneOf([mm.Alternate([mm.MixUp(), mm.Alternate([mm.FMix(), mm.CutMix()])]), mm.NoMix()])


def interrupted(prepare_until: int) -> Callable[[Any, bool], tuple[Tensor, Tensor]]:
    """A preparation that stops at a training batch."""
    batches = 0

    def prepare(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        nonlocal batches
        batches += train
        if batches == prepare_until:
            raise KeyboardInterrupt
        return batch[0], batch[1]

    return prepare


def test_turns_within_policies_are_resumed(tmp_path: Path) -> None:
    fit(toy(mixer=inner_turns()), training(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(toy(mixer=inner_turns(), prepare=interrupted(4 + 2)), training(), tmp_path / "parts")
    fit(toy(mixer=inner_turns()), training(resume=True), tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def in_a_process(process: int, out: Path) -> None:
    """One of two: a run, and one that is interrupted in its second epoch and resumed."""
    os.environ |= {"RANK": str(process), "LOCAL_RANK": str(process), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    os.environ |= {"MASTER_PORT": (out / "port").read_text()}
    seen: list[list[float]] = []

    def watch(batch: Any, train: bool) -> tuple[Tensor, Tensor]:
        seen.extend([batch[0][:, 0, 0].tolist()] * train)
        return batch[0], batch[1]

    how, resumed = training(epochs=3), inner_turns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Accelerator, "end_training", Accelerator.wait_for_everyone)  # it ends the group of processes
        fit(toy(mixer=inner_turns(), prepare=watch), how, out / "whole")
        with contextlib.suppress(KeyboardInterrupt):
            fit(toy(mixer=inner_turns(), prepare=interrupted(2 + 2)), how, out / "parts")
        fit(toy(mixer=resumed), replace(how, resume=True), out / "parts")
    torch.distributed.destroy_process_group()
    (out / f"{process}.json").write_text(json.dumps({"seen": seen, "state": resumed.state_dict()}))


def test_two_processes_have_orders_and_turns_of_their_own_and_resume(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    torch.multiprocessing.spawn(in_a_process, (tmp_path,), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, other = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    ends = [json.loads((tmp_path / f"{process}.json").read_text()) for process in range(2)]
    assert ends[0]["state"] != ends[1]["state"]
    epochs = [[batch for end in ends for batch in end["seen"][2 * epoch : 2 * epoch + 2]] for epoch in range(3)]
    assert len({str(epoch) for epoch in epochs}) == 3
    samples = {value for batch in epochs[0] for value in batch}
    assert len(samples) == SIZE
    assert all({value for batch in epoch for value in batch} == samples for epoch in epochs)


def test_turns_are_those_of_a_process() -> None:
    saved = [[{"turn": 1}], [{"turn": 0}]]
    mixer = mm.Alternate([mm.FMix(), mm.NoMix()])
    records.load_mixers([mixer], saved, 0, 2)
    assert mixer.state_dict() == {"turn": 1}
    with pytest.raises(ValueError, match="--resume: the run was in 2 processes and is now in 1"):
        records.load_mixers([mixer], saved, 0, 1)
    with pytest.raises(ValueError, match="--resume: the checkpoint has states of 1 mixers, but this run has 2"):
        records.load_mixers([mixer, mixer], saved, 0, 2)
    records.load_mixers([mm.FMix()], [[{}], [{}]], 2, 3)  # nothing to resume


def test_seeds_of_64_bits_are_taken() -> None:
    engine.seed(2**64 - 1, epoch=3, process=1)
    list(ShuffledBatches(10, 4, seed=2**64 - 1))
    with pytest.raises(ValueError, match=f"seed={2**64} must have at most 64 bits"):
        training(seed=2**64)


def test_the_order_of_batches_follows_from_seed_and_epoch() -> None:
    orders = set()
    for seed in (0, 1):
        batches = ShuffledBatches(10, 4, seed=seed)
        for epoch in (0, 1):
            batches.set_epoch(epoch)
            order = list(batches)
            assert order == list(batches)
            assert [len(batch) for batch in order] == [4, 4, 2]
            assert sorted(i for batch in order for i in batch) == list(range(10))
            orders.add(str(order))
    assert len(orders) == 4
