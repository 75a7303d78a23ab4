"""Whole commands, as they are typed: a signal, a kill at any moment, two at once, and several processes of one run."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SMALL = ["--points", "32", "--resolution", "8", "--width", "4", "--batch-size", "8", "--device", "cpu"]
SMALL += ["--data", "synthetic", "--epochs", "6", "--method", "fmix", "--out"]
KILLS = int(os.environ.get("MIXMODAL_KILLS", "4"))


def started(out: Path, *words: str, by: Sequence[str] = ("-m",)) -> "subprocess.Popen[str]":
    """The points recipe, in a moment."""
    command = [sys.executable, *by, "recipes.points", *SMALL, str(out), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(run: "subprocess.Popen[str]") -> None:
    """Wait for the end of a run that nothing happens to."""
    _, said = run.communicate()
    assert (run.returncode, said) == (0, "")


def epochs(out: Path) -> int:
    """Lines of the log."""
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def logged(out: Path) -> list[int]:
    """Epochs in the log."""
    return [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def wait_for(process: "subprocess.Popen[str]", out: Path, count: int) -> None:
    """Wait until a run has some epochs."""
    while epochs(out) < count and process.poll() is None:
        time.sleep(0.01)


def same(out: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights and scores."""
    one, two = (load_file(each / "checkpoint.safetensors") for each in (out, other))
    scores = [json.loads((each / "result.json").read_text())["score"] for each in (out, other)]
    return scores[0] == scores[1] and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    finish(started(out))
    return out


def test_ctrl_c_says_what_is_saved(tmp_path: Path, whole: Path) -> None:
    code = 0
    while code == 0:  # on a fast machine a run may be over before it is told
        out = Path(tempfile.mkdtemp(dir=tmp_path))
        run = started(out)
        wait_for(run, out, 1)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate()
        code = run.returncode
    assert code == 130
    expected = rf"recipes\.points: stopped; \d of 6 epochs are saved in {out}: add --resume to the same command .*\n"
    assert re.fullmatch(expected, said), said
    finish(started(out, "--resume"))
    assert same(out, whole)


def test_kills_at_any_moment(tmp_path: Path, whole: Path) -> None:
    """The seed of the moments is fixed, what a machine makes of them is not."""
    moments = random.Random(0)
    for number in range(KILLS):
        out = tmp_path / str(number)
        run = started(out)
        wait_for(run, out, moments.randrange(5))
        time.sleep(moments.random() * 0.3)
        run.kill()
        run.communicate()
        finish(started(out, "--resume"))
        assert same(out, whole)
        assert logged(out) == [1, 2, 3, 4, 5, 6]
        assert not [path for path in out.iterdir() if path.suffix == ".partial"]


def test_two_that_resume_at_once(tmp_path: Path, whole: Path) -> None:
    run = started(tmp_path)
    wait_for(run, tmp_path, 1)
    run.kill()
    run.communicate()
    both = [started(tmp_path, "--resume") for _ in range(2)]
    said = [each.communicate()[1] for each in both]
    codes = [each.returncode for each in both]
    assert 0 in codes
    if 1 in codes:  # else the second began when the first had ended
        loser = said[codes.index(1)]
        assert re.fullmatch(r"recipes\.points: --out .* is in use by process \d+ on \S+: wait until .*\n", loser), loser
    assert same(tmp_path, whole)
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6]


LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")


def finish_launched(run: "subprocess.Popen[str]") -> None:
    """Wait for the end of a launcher that nothing happens to."""
    _, said = run.communicate()
    assert run.returncode == 0, said


@pytest.fixture(scope="module")
def whole_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing happens to."""
    out = tmp_path_factory.mktemp("two") / "run"
    finish_launched(started(out, by=LAUNCHER))
    return out


def workers(launcher: "subprocess.Popen[str]") -> list[int]:
    """The processes that a launcher has started."""
    listed = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [each for each in map(int, listed) if b"recipes.points" in Path(f"/proc/{each}/cmdline").read_bytes()]


LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers as Linux lists them")


@LINUX
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_workers_of_two_are_killed(which: tuple[int, ...], tmp_path: Path, whole_of_two: Path) -> None:
    """The launcher ends the other; the run goes on in two processes as if nothing had happened."""
    moments = random.Random(str(which))
    run = started(tmp_path, by=LAUNCHER)
    wait_for(run, tmp_path, 1 + moments.randrange(3))
    time.sleep(moments.random() * 0.1)
    both = workers(run)
    assert len(both) == 2
    for each in which:
        os.kill(both[each], signal.SIGKILL)
    run.communicate()
    assert run.returncode == 1
    assert 1 <= epochs(tmp_path) < 6
    finish_launched(started(tmp_path, "--resume", by=LAUNCHER))
    assert same(tmp_path, whole_of_two)
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6]


@LINUX
def test_a_launcher_that_starts_workers_anew_goes_on_by_itself(
    tmp_path: Path, whole_of_two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume` starts a run where there is none, and stands in the command that is started again.

    Workers that share the store of their launcher find the addresses of those before them in it, and do not meet.
    """
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    run = started(tmp_path, "--resume", by=(*LAUNCHER[:-1], "--max-restarts=1", "-m"))
    wait_for(run, tmp_path, 2)
    os.kill(workers(run)[0], signal.SIGKILL)
    finish_launched(run)
    assert same(tmp_path, whole_of_two)
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_several_processes_say_it_once(whole: Path) -> None:
    """A folder that holds a run, in a run of two processes."""
    run = started(whole, by=LAUNCHER)
    _, said = run.communicate()
    assert run.returncode == 1
    assert said.count("already holds a run: add --resume to continue it, or choose another") == 1
    assert "recipes/training" not in said  # of a traceback of ours; the launcher adds its own
