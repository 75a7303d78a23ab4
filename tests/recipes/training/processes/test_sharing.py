"""What two processes do together."""

import contextlib
import io
import os
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from recipes.training.command import Training
from recipes.training.faults.sentences import ElsewhereError
from recipes.training.processes.sharing import check_same_epoch, gathered, in_turn, say
from tests.frameworks.processes import in_two_processes

TRAINING = Training(device="cpu")


def share(rank: int, folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    rows = gathered(accelerator, torch.arange(6.0).view(3, 2)[rank:] + 10 * rank)

    def load() -> float:
        (folder / "both").open("a").write(f"{rank}")
        time.sleep(0.2)
        return 10.0 + rank

    def broken() -> None:
        (folder / "broken").open("a").write(f"{rank}")
        raise ValueError("no data")

    found = in_turn(TRAINING, load)
    with pytest.raises((ValueError, ElsewhereError)) as error:
        in_turn(TRAINING, broken)
    check_same_epoch(accelerator, folder, 3)
    with pytest.raises((ValueError, ElsewhereError)) as other:
        check_same_epoch(accelerator, folder, 3 * rank)
    assert rank == 1 or "the processes find 0, 3 epochs saved in" in str(other.value)
    assert other.type is error.type
    with contextlib.redirect_stdout(io.StringIO()) as said:
        say(TRAINING, "once")
    torch.save([rows, found, error.type.__name__, said.getvalue()], folder / f"{rank}.pth")


@pytest.mark.forks
def test_two_processes_share(tmp_path: Path) -> None:
    """Rows come one process after the other; the second reads after the first; a fault and a line are told once."""
    ends = in_two_processes(share, tmp_path)
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [12.0, 13.0], [14.0, 15.0]])
    assert all(torch.equal(end[0], expected) for end in ends)
    assert [end[1:] for end in ends] == [[10.0, "ValueError", "once\n"], [11.0, "ElsewhereError", ""]]
    assert (tmp_path / "both").read_text() == "01"
    assert (tmp_path / "broken").read_text() == "0"


def on_two_hosts(rank: int, folder: Path) -> None:
    os.environ["LOCAL_RANK"] = "0"  # each is the first of its host
    found = in_turn(TRAINING, lambda: 10.0 + rank)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        say(TRAINING, "once")
    torch.save([found, said.getvalue()], folder / f"{rank}.pth")


@pytest.mark.forks
def test_two_hosts_each_read_and_one_speaks(tmp_path: Path) -> None:
    assert in_two_processes(on_two_hosts, tmp_path) == [[10.0, "once\n"], [11.0, ""]]


def test_one_process_does_all_itself(capsys: pytest.CaptureFixture[str]) -> None:
    rows = torch.rand(3, 2)
    assert gathered(Accelerator(cpu=True), rows) is rows
    assert in_turn(TRAINING, lambda: None) is None
    check_same_epoch(Accelerator(cpu=True), Path("run"), 3)
    say(TRAINING, "once")
    assert capsys.readouterr().out == "once\n"
