"""The command line of the pages of measurements."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from recipes.reporting import pages


@dataclass(frozen=True)
class Settings:
    """What can be set."""

    count: int = 1
    """How many."""
    out: Path | None = None
    """File for the page."""


def made(settings: Settings, command: str) -> str:
    if settings.count < 0:
        raise ValueError(f"count={settings.count} must be 0 or more")
    return f"{settings.count} by {command}\n"


@pytest.mark.parametrize("count", [[], ["--count", "3"]])
def test_a_page_is_printed_and_written_with_its_command(
    count: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a page.md"
    pages.main("counted", Settings, made, [*count, "--out", str(out)])
    expected = f"{3 if count else 1} by python -m recipes.counted {' '.join([*count, '--out', repr(str(out))])}\n"
    assert out.read_text(encoding="utf-8") == expected
    assert capsys.readouterr().out == expected + "\n"


def test_a_page_need_not_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    pages.main("counted", Settings, made, [])
    assert capsys.readouterr().out == "1 by python -m recipes.counted\n\n"


def test_a_page_that_cannot_be_written_is_not_measured(tmp_path: Path) -> None:
    def measure(*_: object) -> str:
        pytest.fail("was measured")

    with pytest.raises(
        SystemExit, match=r"recipes.counted: out='.*/none/page.md': there is no folder .*/none; make it"
    ):
        pages.main("counted", Settings, measure, ["--out", str(tmp_path / "none" / "page.md")])


def test_a_mistake_is_a_sentence() -> None:
    with pytest.raises(SystemExit, match=r"^recipes.counted: count=-1 must be 0 or more$"):
        pages.main("counted", Settings, made, ["--count", "-1"])
