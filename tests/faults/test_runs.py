"""What a run records of what happened to it."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import mixmodal as mm
from recipes.data.disk.kept import whole
from recipes.training import records
from recipes.training.faults import nonfinite
from recipes.training.faults.nonfinite import Step, Watch
from recipes.training.faults.sentences import sentence
from tests.faults.cases import THIRD, at, nan_in_a_batch, stop
from tests.recipes.training.test_engine import fit, losses, toy, training


def kept(folder: Path) -> Path:
    with pytest.raises(FloatingPointError):
        nan_in_a_batch(folder)
    return folder / "nonfinite-0.safetensors"


def test_the_batch_of_a_loss_that_is_not_finite_can_be_replayed(tmp_path: Path) -> None:
    x, y, mix = nonfinite.read(kept(tmp_path))
    assert x.shape == (16, 2, 6)
    assert x.isnan().all()
    assert mix.loss(toy().model(mix(x)), y).isnan()
    assert mix.lam.shape == (16,)


@pytest.mark.parametrize("mixer", [mm.FMix(), mm.PatchUp(block_size=3), mm.DropBlock(block_size=3), mm.NoMix()])
def test_a_record_is_kept_as_a_whole(tmp_path: Path, mixer: mm.Mixer) -> None:
    x, y = torch.randn(6, 3, 8, 8), torch.randint(3, (6,))
    before, mix = mixer(x)
    nonfinite.save(tmp_path / "step.safetensors", Step(1, torch.tensor(torch.inf), x, y, mix), 1)
    same_x, same_y, same = nonfinite.read(tmp_path / "step.safetensors")
    assert torch.equal(same(same_x), before)
    logits = torch.randn(6, 3)
    assert torch.equal(same.loss(logits, same_y), mix.loss(logits, y))
    assert repr(same) == repr(mix)


class Late:
    """A loss that a device computes, which says when it is read."""

    def __init__(self, value: float, read: list[float]) -> None:
        self.value, self.read, self.device = value, read, torch.device("meta")

    def item(self) -> float:
        self.read.append(self.value)
        return self.value


def test_the_first_such_loss_is_found_and_a_device_is_read_a_step_late() -> None:
    read: list[float] = []
    empty, mix = torch.zeros(1), mm.NoMix().draw(torch.zeros(1, 1, 2))
    watch = Watch()
    for number, value in enumerate([1.0, torch.inf, 2.0, torch.nan], 1):
        watch.see(Step(number, Late(value, read), empty, empty, mix))  # type: ignore[arg-type]
        assert len(read) == min(number - 1, 2)
    first = watch.end()
    assert first is not None
    assert first.number == 2
    last = Watch()
    last.see(Step(1, Late(torch.nan, read), empty, empty, mix))  # type: ignore[arg-type]
    assert last.end() is not None


def test_a_run_at_a_constant_rate_can_be_trained_longer(tmp_path: Path) -> None:
    settings = {"schedule": "constant", "evaluate_every": 1}
    constant = training(schedule="constant")
    whole_run = fit(toy(), constant, tmp_path / "whole", epochs=4, **settings)
    parts = tmp_path / "parts"
    fit(toy(), training(schedule="constant", epochs=2), parts, epochs=2, **settings)
    with pytest.raises(KeyboardInterrupt):
        fit(at(2, stop), training(schedule="constant", resume=True), parts, epochs=4, **settings)
    assert not (parts / "result.json").exists()  # that of two epochs, beside settings of four
    longer = fit(toy(), training(schedule="constant", resume=True), parts, epochs=4, **settings)
    assert losses(parts) == losses(tmp_path / "whole")
    assert (longer["score"], longer["epochs"]) == (whole_run["score"], 4)
    with pytest.raises(ValueError, match="epochs is now 3 but was 4"):
        fit(toy(), training(schedule="constant", epochs=3, resume=True), parts, epochs=3, **settings)


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(at(THIRD, stop), training(), tmp_path)
    try:
        torch.set_num_threads(2)
        result = fit(toy(), training(resume=True), tmp_path)
    finally:
        torch.set_num_threads(1)
    said = capsys.readouterr().err
    assert "the run was on 1 x cpu, 1 threads and is now on 1 x cpu, 2 threads" in said
    assert result["device"] == "1 x cpu, 1 threads, then 1 x cpu, 2 threads"


def test_a_run_that_goes_on_where_it_was_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(at(THIRD, stop), training(), tmp_path)
    assert fit(toy(), training(resume=True), tmp_path)["device"] == "1 x cpu, 1 threads"
    assert capsys.readouterr().err == ""


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    (tmp_path / "a.txt.partial").mkdir()
    (tmp_path / "a.txt.partial" / "left").touch()  # by a process that was killed
    with contextlib.suppress(KeyboardInterrupt), whole(path) as place:
        place.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with whole(path) as place:
        place.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_memory_that_ran_out_is_told_from_other_mistakes() -> None:
    assert sentence(torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")) == (
        "out of memory: lower --batch-size, or read less data (CUDA out of memory. Tried)"
    )
    assert sentence(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert sentence(KeyError("x")) is None
    error = ValueError("wrong")
    error.add_note("2 of 4 epochs")
    assert sentence(error) == "wrong; 2 of 4 epochs"


def checkpoint(path: Path, **changes: object) -> None:
    """A checkpoint of the toy, with other numbers."""
    numbers: dict[str, object] = {"epoch": 2, "mixers": [[{}]], "config": {}, "places": [], "groups": [], "others": {}}
    save_file({"model.weight": torch.zeros(1)}, path, metadata={"numbers": json.dumps(numbers | changes)})


@pytest.mark.parametrize("epoch", [-1, 1.5, "2", True, None, [2]])
def test_a_checkpoint_says_how_many_epochs_it_has(tmp_path: Path, epoch: object) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint(path)
    assert records.epochs_saved(path) == records.read_model(path)[0] == 2
    checkpoint(path, epoch=epoch)
    assert records.epochs_saved(path) == 0
    with pytest.raises(
        ValueError, match=r"checkpoint\.safetensors is damaged or not a checkpoint \(.*number of epochs"
    ):
        records.read_model(path)


@pytest.mark.parametrize("raw", [b"", b"\x89PNG", bytes(100), b"\x02" + bytes(7) + b"{}"])
@pytest.mark.parametrize("read", [records.read_model, nonfinite.read])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, raw: bytes, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
        read(path)


@pytest.mark.parametrize("part", ["mixers", "config", "places"])
def test_parts_of_a_checkpoint_that_are_of_another_kind_are_told(tmp_path: Path, part: str) -> None:
    fit(toy(), training(epochs=1), tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numbers = json.loads(file.metadata()["numbers"])
    save_file(tensors, path, metadata={"numbers": json.dumps(numbers | {part: 7})})
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged or not a checkpoint of this run"):
        fit(toy(), training(epochs=1, resume=True), tmp_path)
