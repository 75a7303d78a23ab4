"""What opening a large set costs, at small sizes: memory does not follow the size."""

from pathlib import Path

import pytest

from recipes.measuring import memory
from recipes.measuring.memory import KINDS, Settings, cost


@pytest.mark.forks
def test_memory_of_images_does_not_follow_their_number(tmp_path: Path) -> None:
    """Twenty times as many images take less than a quarter of what holding the difference would, which is 90 MB."""
    kind = KINDS["images"]
    for module in memory.MODULES:
        __import__(module)
    costs = []
    for count in (32, 640):
        kind.make(tmp_path / f"{count}", count)
        costs.append(cost(kind, tmp_path / f"{count}", tmp_path / "cache").memory)
    assert costs[1] - costs[0] < (640 - 32) * kind.size / 4


def test_the_page_has_its_command_and_a_row_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "cost", lambda *_: memory.Cost(3 * 2**20, 2**20, 0.5))
    page = memory.table(Settings(times=(1, 2), samples=32, only=("points", "images")), "the command")
    assert "Made by `the command` at " in page
    rows = [line for line in page.splitlines() if line.startswith(("| points", "| images"))]
    assert [row.split("|")[2].strip() for row in rows] == ["32", "64", "32", "64"]
    assert rows[0].endswith("| 3 | 1 | 0.50 | 3 | 1 | 0.50 |")
    assert rows[2].endswith("| 3 | 1 | 0.50 | – | – | – |")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"times": ()}, "times=.. must be 1 or more"),
        ({"samples": 3}, "samples=3 32 or more"),
        ({"only": ("video",)}, "only=.'video',. has 'video': choose images"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**given)
