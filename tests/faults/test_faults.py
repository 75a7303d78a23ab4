"""Each fault ends in a sentence, with nothing half-written, and --resume goes on bit for bit once its cause is gone."""

import re
from pathlib import Path

import pytest

from tests.faults.cases import CASES, Case, outcome

EVERY = [
    pytest.param(case, id=f"{group}: {name}", marks=() if case.usual else pytest.mark.slow)
    for group, cases in CASES.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize("case", EVERY)
def test_a_fault_is_survived(tmp_path: Path, case: Case) -> None:
    found = outcome(case, tmp_path)
    assert re.search(case.says, found.said), found.said
    assert len(found.said.splitlines()) == 1
    assert "Traceback" not in found.said
    assert (found.code, found.left) == (case.code, [])
    assert {*case.keeps} <= {*found.kept}
    assert found.resumed is not False
