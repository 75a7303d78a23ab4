"""The cards of docs/methods are complete, of one form, and say what the pages of results say."""

import re
import sys
from pathlib import Path

import pytest

import mixmodal as mm
from mixmodal.core.draws import Draws

DOCS = Path(__file__).parents[2] / "docs"
CARDS = sorted(page for page in (DOCS / "methods").glob("*.md") if page.stem != "index")
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in CARDS}
SECTIONS = (
    "Use",
    "Formula",
    "Hyper-parameters",
    "When it helps, when it hurts",
    "Cost",
    "Deviations from the authors' code",
    "Citation",
)
NUMBER = re.compile(r"[+−]?\d+\.\d+ ± \d+\.\d+(?: \(unresolved\))?")


@pytest.fixture
def phrases(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.syspath_prepend(DOCS / "scripts")
    monkeypatch.delitem(sys.modules, "costs", raising=False)
    from costs import costs

    return costs()


def test_every_mixer_is_used_on_a_card() -> None:
    code = "".join(block for text in TEXTS.values() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    mixers = [value for value in vars(mm).values() if isinstance(value, type) and issubclass(value, Draws)]
    methods = {each.__name__ for each in mixers if not each.__abstractmethods__ and each.__name__ in mm.__all__}
    assert {"FMix", "PuzzleMix", "OneOf", "KeepEnds"} < methods
    assert {name for name in methods if f"mm.{name}(" not in code} == set()
    index = (DOCS / "methods" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((\S+)\.md\)", index)) == set(index.split("{toctree}")[1].split()[1:-1]) == set(TEXTS)


@pytest.mark.parametrize("card", TEXTS)
def test_a_card_has_a_picture_and_the_sections_in_order(card: str) -> None:
    assert tuple(re.findall(r"^## (.*)$", TEXTS[card], re.MULTILINE)) == SECTIONS
    assert ".. plot::" in TEXTS[card].split("## Use")[0]
    for section, fence in (("Use", "```python"), ("Formula", "$$"), ("Citation", "```bibtex")):
        assert fence in TEXTS[card].split(f"## {section}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("card", TEXTS)
def test_differences_are_those_of_the_page_beside_them(card: str) -> None:
    """With a cell of the method's name, those of its row there."""
    for line in TEXTS[card].splitlines():
        quoted, pages = set(NUMBER.findall(line)), re.findall(r"\]\(\.\./results/(\S+)\.md\)", line)
        if not pages:
            assert not {number for number in quoted if number[0] in "+−"}, f"no page beside {line}"
            continue
        there = "".join((DOCS / "results" / f"{page}.md").read_text(encoding="utf-8") for page in pages)
        cells = [cell.strip() for cell in line.split("|")] if line.startswith("|") else []
        rows = [row for row in there.splitlines() if not cells or row.startswith(f"| {cells[2]} |")]
        assert quoted <= set(NUMBER.findall("\n".join(rows))), line


def test_costs_are_those_of_the_speed_page(phrases: dict[str, str]) -> None:
    """Ratios taken anew of the milliseconds, to the two digits of a phrase; three in the milliseconds."""
    page = (DOCS / "results" / "speed.md").read_text(encoding="utf-8")
    kind, floors, expected = "", {}, {}
    for line in page.splitlines():
        kind = line[3:] if line.startswith("## ") else kind
        if not line.startswith("| ("):
            continue
        batch, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
        first, _, third, *_ = (float(cell) for cell in cells if re.fullmatch(r"[\d.]+(e[+-]\d+)?", cell))
        if kind == "FMix, one mask a batch":
            floors[batch], expected["fmix_cost", batch] = first, third / first
        elif kind.startswith("PatchUp"):
            expected[f"patchup_{cells[0]}_cost", batch] = third / first
        elif kind.startswith("MixUp"):
            expected[f"{cells[0].lower()}_cost", batch] = first / floors[batch]
            expected[f"{cells[0].lower()}_peer", batch] = first / third
    assert {name for name, _ in expected} == set(phrases)
    for (name, batch), ratio in expected.items():
        said = re.search(rf"([\d.]+)(?: times [^(]*)? on {re.escape(batch)}", phrases[name])
        assert said is not None, (name, batch)
        assert float(said[1]) == pytest.approx(ratio, rel=0.06), (name, batch)


def test_cards_say_every_phrase_and_no_other(phrases: dict[str, str]) -> None:
    assert set(re.findall(r"\{\{ (\w+) \}\}", "".join(TEXTS.values()))) == set(phrases)
