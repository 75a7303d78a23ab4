"""What docs/results/peers.md says of mixmodal, and of the peers that are installed, is what their probes answer."""

import functools
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "results" / "peers.md").read_text(encoding="utf-8")
ROWS = [re.split(r"\s*\|\s*", line)[1:-1] for line in PAGE.splitlines() if line.startswith("|")]
NOTES = {f"no ({number})": f"no: {note}" for number, note in re.findall(r"^(\d+)\. (.*)$", PAGE, re.MULTILINE)}
PACKAGES, TABLE = ROWS[0][1:], {name: cells for name, *cells in ROWS[2:]}


sys.path.insert(0, str(DOCS / "scripts"))
import compare  # noqa: E402


@functools.cache
def library(package: str) -> Any:
    return compare.LIBRARIES[package]()


def test_the_page_has_every_question_of_this_version() -> None:
    assert list(TABLE) == ["version", "licence", *compare.QUESTIONS]
    assert {len(cells) for cells in TABLE.values()} == {len(PACKAGES)}
    assert TABLE["version"][PACKAGES.index("mixmodal")] == version("mixmodal")


def cells() -> Iterator[Any]:
    """Package, question and the cell of the page; one skipped test for a peer that is absent or of another version."""
    for package, probed, *said in zip(PACKAGES, *TABLE.values(), strict=True):
        try:
            installed = version(package)
        except PackageNotFoundError:
            installed = "absent"
        if package == "mixmodal" or installed == probed:
            yield from ((package, question, cell) for question, cell in zip(compare.QUESTIONS, said[1:], strict=True))
        else:
            why = pytest.mark.skip(reason=f"{package} is {installed} here, and {probed} on the page")
            yield pytest.param(package, "", "", marks=why)


@pytest.mark.parametrize(("package", "question", "said"), list(cells()))
def test_a_cell_is_what_its_probe_answers(package: str, question: str, said: str) -> None:
    assert compare.answer(library(package), question) == NOTES.get(said, said)


def test_mixmodal_answers_yes_but_where_it_refuses_on_purpose() -> None:
    own = {question: cells[PACKAGES.index("mixmodal")] for question, cells in TABLE.items()}
    refused = {question for question in compare.QUESTIONS if own[question] != "yes"}
    assert refused == {"uint8 images, MixUp"}  # integers are chosen, never blended


@pytest.mark.parametrize("wrong", ["nothing is mixed", "shares do not add up", "spans axis", "returns the shape"])
def test_what_does_not_mix_is_found_out(wrong: str) -> None:
    """The question that most rows ask, against methods that are broken in one way each."""
    broken = {
        "nothing is mixed": lambda x, y: (x, y),
        "shares do not add up": lambda x, y: (x + x.flip(0), y),
        "spans axis": lambda x, y: (x.flip(0).where(compare.torch.arange(9) < 4, x), y),
        "returns the shape": lambda x, y: (x[:1], y),
    }
    with pytest.raises(AssertionError, match=wrong):
        compare.mixes(broken[wrong])
