"""The command line of the pages of measurements."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from recipes.reporting import pages


@dataclass(frozen=True)
class Settings:
    """What can be set."""

    count: int = 1
    """How many."""
    out: Path | None = None
    """File for the page."""


def made(settings: Settings, command: str) -> pages.Page:
    if settings.count < 0:
        raise ValueError(f"count={settings.count} must be 0 or more")
    return pages.Page(f"{settings.count} by {command}\n")


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


def test_what_is_beside_a_page_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure(figsize=(1, 1))
    page = pages.Page("# Ä\n", {"-maps.png": figure}, {".csv": "a\n"})
    out = tmp_path / "v1.0.md"
    pages.write(page, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1.0-maps.png", "v1.0.csv", "v1.0.md"]
    assert out.read_bytes() == "# Ä\n".encode()
    assert (tmp_path / "v1.0.csv").read_bytes() == b"a\n"
    assert (tmp_path / "v1.0-maps.png").read_bytes().startswith(b"\x89PNG")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"v1.0.md cannot be written \(no space left\)"):
        pages.write(pages.Page("another"), out)
    assert out.read_text(encoding="utf-8") == "# Ä\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_page_is_markdown(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"out='.*page.csv' must end in .md"):
        pages.main("counted", Settings, made, ["--out", str(tmp_path / "page.csv")])
