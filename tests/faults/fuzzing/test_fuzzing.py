"""The fuzzers in short: whole files are read, few changed ones are a fault, and a fault is found where one is put."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mixmodal as mm
from recipes.data.text import tables
from tests.faults.fuzzing import calls, readers
from tests.faults.fuzzing.search import Outcome, Target, Wrong, changed, fault_of, search

CALLS = calls.targets()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Target]:
    """All readers, with a folder."""
    return readers.targets(tmp_path_factory.mktemp("files"))


@pytest.mark.filterwarnings("ignore")
def test_whole_files_are_read(files: list[Target]) -> None:
    for target in files:
        for raw in target.seeds:
            assert fault_of(target, raw) is None, target.name


def test_readers_have_no_fault(files: list[Target]) -> None:
    found = [search(target, calls=25, seconds=10) for target in files]
    assert not [(each.name, each.faults) for each in found if each.faults]


@pytest.mark.parametrize("target", CALLS, ids=[target.name for target in CALLS])
def test_calls_have_no_fault(target: Target) -> None:
    found = search(target, calls=60, seconds=10)
    assert not found.faults
    assert found.answered


@pytest.mark.parametrize("target", CALLS, ids=[target.name for target in CALLS])
@settings(max_examples=15)
@given(raw=st.binary(max_size=60))
def test_calls_that_hypothesis_chooses_have_no_fault(target: Target, raw: bytes) -> None:
    assert not fault_of(target, raw)


def test_changes_follow_from_the_seed_and_leave_the_input(files: list[Target]) -> None:
    raw = files[0].seeds[0]
    kept = bytes(raw)
    twice = [[changed(raw, [raw], (), random.Random(seed)) for seed in range(50)] for _ in range(2)]
    assert twice[0] == twice[1]
    assert raw == kept
    assert len({*twice[0]}) > 25


# ---------------------------------------------------------------- faults that are put there


def found_in(call: object, *, names: tuple[str, ...] = (), count: int = 3000) -> Outcome:
    return search(Target("toy", call, (b"12",), names), calls=count, seconds=20)  # type: ignore[arg-type]


def test_an_error_that_is_not_documented_is_a_fault() -> None:
    def call(raw: bytes) -> int:
        return 1 // (raw[:1] != b"9")

    (fault,) = found_in(call).faults
    assert fault.startswith("ZeroDivisionError at test_fuzzing.py:")


def test_an_error_of_a_library_is_a_fault() -> None:
    (fault,) = found_in(lambda raw: int("x" if raw[:1] == b"9" else "1")).faults
    assert fault.startswith("ValueError of test_fuzzing.py")  # and not of ours


def test_an_error_that_does_not_name_the_file_is_a_fault() -> None:
    wrong = tables.Columns  # whose sentence names its columns
    found = found_in(lambda raw: wrong("a", ("a",)), names=("b.csv",), count=10)
    assert [fault.startswith("no sentence at tables.py") for fault in found.faults] == [True]
    assert not found_in(lambda raw: wrong("a", ("a",)), names=("labels=",), count=10).faults


def test_a_hang_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.fuzzing.search.PATIENCE", 0.2)

    def call(_: bytes) -> None:
        while True:
            pass

    (fault,) = found_in(call, count=2).faults
    assert fault.startswith("hang")


def test_memory_is_a_fault() -> None:
    kept: list[bytes] = []
    found = found_in(lambda raw: kept.append(bytes([1]) * 2**27), count=3)
    assert any(fault.startswith("memory") for fault in found.faults)


def test_a_wrong_share_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mm.Mix, "targets", lambda self, y, **_: torch.full((len(y), 3), 0.25))
    with pytest.raises(Wrong, match="targets"):
        calls.mixed("MixUp", b"")


def test_inputs_that_reach_new_lines_are_kept(tmp_path: Path) -> None:
    """A header that is right in three bytes is not found by chance alone."""
    reader = next(each for each in readers.targets(tmp_path) if each.name == "PLY")
    found = search(reader, calls=400, seconds=20)
    assert found.kept > len(reader.seeds)
    assert found.lines
