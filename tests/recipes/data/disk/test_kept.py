"""What is made once and kept in an Arrow file: whole or not there, made by one process, and read where it is needed."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from recipes.data.disk import kept as module
from recipes.data.disk.kept import Ragged, Texts, flat, kept, lazy
from recipes.data.loading import Pairs

COLUMNS = {"text": pa.string(), "ids": pa.list_(pa.int32()), "cloud": pa.list_(pa.float32(), 6)}
COUNT = 25
LONG, WIDE = 32_000, 1_000


def row(number: int) -> dict[str, Any]:
    ids, cloud = np.arange(number % 4, dtype=np.int32) + number, np.arange(6, dtype=np.float32) * number
    return {"text": f"text {number}", "ids": ids, "cloud": cloud}


def made(cache: Path, what: object = "a", count: int = COUNT, seen: list[int] | None = None) -> Any:
    def rows() -> Iterator[dict[str, Any]]:
        for number in range(count):
            if seen is not None:
                seen.append(number)
            yield row(number)

    return kept(cache, "some rows", what, COLUMNS, rows, count)


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 4)


@pytest.mark.usefixtures("few_at_once")
def test_rows_are_made_once_for_what_they_follow_from(tmp_path: Path) -> None:
    seen: list[int] = []
    for what, times in (("a", 1), ("a", 1), ("b", 2), ("a", 2)):
        data = made(tmp_path / "inner", what, seen=seen)
        assert seen == [*range(COUNT)] * times
        assert list(data["text"]) == [f"text {number}" for number in range(COUNT)]
    assert len([*(tmp_path / "inner").glob("[!.]*")]) == 2


@pytest.mark.usefixtures("few_at_once")
def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    data = made(tmp_path)
    for numbers in ([3, 24, 0, 3], [7], [*range(COUNT)]):
        values, lengths = flat(data, "ids", numbers)
        assert lengths.tolist() == [number % 4 for number in numbers]
        assert values.tolist() == [one for number in numbers for one in row(number)["ids"].tolist()]
        clouds = lazy(data, "cloud", (2, 3), torch.arange(COUNT))[torch.tensor(numbers)]
        expected = torch.stack([torch.from_numpy(row(number)["cloud"]).view(2, 3) for number in numbers])
        assert torch.equal(clouds.read(), expected)
        assert (clouds.dtype, clouds.shape) == (torch.float32, expected.shape)
        clouds.read().zero_()  # the file is left as it is
        assert torch.equal(clouds.read(), expected)


def test_a_copy_for_a_worker_is_small_and_reads_the_same_file(tmp_path: Path) -> None:
    clouds = lazy(made(tmp_path, count=5_000), "cloud", (6,), torch.arange(10))
    sent = pickle.dumps(clouds.reader)
    assert len(sent) < 5_000 * 6 * 4 / 10
    assert torch.equal(pickle.loads(sent)([3, 9], None), clouds[torch.tensor([3, 9])].read())


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("error", [ValueError("a broken clip"), KeyboardInterrupt()])
def test_what_is_interrupted_is_not_there(error: BaseException, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for number in range(COUNT):
            if number == 17:
                raise error
            yield row(number)

    with pytest.raises(type(error)):
        kept(tmp_path, "some rows", "a", COLUMNS, rows, COUNT)
    assert not [*tmp_path.glob("[!.]*")]
    assert len(made(tmp_path)) == COUNT


def test_fewer_rows_than_there_should_be_are_damage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"some-rows-.*arrow is damaged .it has 3 rows of text string, .* delete it"):
        kept(tmp_path, "some rows", "a", COLUMNS, lambda: map(row, range(3)), COUNT)


def ends(*numbers: int) -> bytes:
    return np.array(numbers, np.int32).tobytes()


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (ends(0, 6, 12, 18), ends(0, 2**29, 12, 18)),  # ended the process where the text was looked at
        (ends(0, 6, 12, 18), ends(0, 6, 12, 2**30)),
        (ends(0, 6, 12, 18), ends(0, 6, -12, 18)),
        (ends(0, 0, 1, 3), ends(0, 2**29, 1, 3)),
        (ends(0, 0, 1, 3), ends(0, 2, 1, 3)),
        (b"text 1", b"text\xff1"),
    ],
    ids=["text", "end of text", "negative", "list", "order", "no UTF-8"],
)
def test_rows_that_lie_elsewhere_than_in_the_file_are_damage(there: bytes, instead: bytes, tmp_path: Path) -> None:
    made(tmp_path, count=3)
    (path,) = tmp_path.glob("[!.]*")
    assert path.read_bytes().count(there) == 1
    path.write_bytes(path.read_bytes().replace(there, instead))
    with pytest.raises(ValueError, match=r"arrow is damaged \([^\n]*\): delete it, and it is made again"):
        made(tmp_path, count=3)


@pytest.mark.parametrize("lacks", [{"text": None}, {"cloud": None}], ids=["text", "cloud"])
def test_rows_that_lack_values_are_damage(lacks: dict[str, None], tmp_path: Path) -> None:
    made(tmp_path, count=3)
    (path,) = tmp_path.glob("[!.]*")
    table = pa.Table.from_pylist([row(0), row(1) | lacks, row(2)], pa.schema(list(COLUMNS.items())))
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"arrow is damaged \(it lacks values\): delete it"):
        made(tmp_path, count=3)


def in_memory(name: str) -> int:
    """Bytes of this process, as Linux tells it."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def peak(cache: Path, answer: Connection) -> None:
    """Memory beyond that at the start until some rows are read."""

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(LONG):
            yield {"wave": np.full(WIDE, number % 100, dtype=np.float32)}

    before = in_memory("VmRSS")
    data = kept(cache, "long", "a", {"wave": pa.list_(pa.float32(), WIDE)}, rows, LONG)
    found = lazy(data, "wave", (WIDE,), torch.arange(LONG))[torch.tensor([7, LONG - 1])].read()
    answer.send((in_memory("VmHWM") - before, found[:, -1].tolist()))


@pytest.mark.forks
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process")
def test_a_file_is_neither_written_nor_read_whole(tmp_path: Path) -> None:
    """Of 128 MB, less than half at any time; both when it is made and when it is there."""
    made(tmp_path / "before", count=2)  # what is imported is no part of it
    fork = multiprocessing.get_context("fork")
    for _ in range(2):
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=peak, args=(tmp_path, there))
        process.start()
        taken, found = here.recv()
        process.join()
        assert found == [7.0, (LONG - 1) % 100]
        assert taken < LONG * WIDE * 4 / 2


@pytest.mark.usefixtures("few_at_once")
def test_texts_and_numbers_are_sequences(tmp_path: Path) -> None:
    data = made(tmp_path)
    texts, ids = Texts(data), Ragged(data)
    assert (len(texts), texts[7], [*texts][19:]) == (COUNT, "text 7", [f"text {number}" for number in range(19, COUNT)])
    assert (len(ids), ids.lengths) == (COUNT, [number % 4 for number in range(COUNT)])
    expected = [torch.from_numpy(row(number)["ids"]).long() for number in range(COUNT)]
    for found in (list(ids), ids.read(range(COUNT)), [ids[number] for number in range(COUNT)]):
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    y = torch.arange(COUNT)
    for pairs in (Pairs(ids, y), Pairs(expected, y)):
        assert pairs.lengths == ids.lengths
        chosen = pairs.__getitems__([6, 2])
        assert [(one.tolist(), int(label)) for one, label in chosen] == [([6, 7], 6), ([2, 3], 2)]
        assert pairs[6][0].tolist() == [6, 7]


SLOW = """
import sys, time
from pathlib import Path
from tests.recipes.data.disk import test_kept as here
row = here.row
def slowly(number):
    print(number, flush=True)
    time.sleep(0.02)
    return row(number)
here.row = slowly
here.module.AT_ONCE = 4
print(list(here.made(Path(sys.argv[1]))["text"])[-1], flush=True)
"""


def started(cache: Path) -> "subprocess.Popen[str]":
    root, environment = Path(__file__).parents[4], os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SLOW, str(cache)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_of_two_processes_at_once_one_makes_it_and_a_kill_leaves_it_to_the_next(tmp_path: Path) -> None:
    one = started(tmp_path)
    assert one.stdout is not None
    assert "9\n" in iter(one.stdout.readline, "")
    one.send_signal(signal.SIGKILL)
    one.communicate()
    assert not [*tmp_path.glob("[!.]*.arrow")]
    both = [started(tmp_path) for _ in range(2)]
    said = sorted((each.communicate()[0].split("\n") for each in both), key=len)
    assert said[0] == ["text 24", ""]
    assert said[1] == [*map(str, range(COUNT)), "text 24", ""]
    assert [path.suffix for path in tmp_path.glob("[!.]*")] == [".arrow"]
