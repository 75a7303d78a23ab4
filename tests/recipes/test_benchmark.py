"""The page of speed: a small one whole, what it refuses, and the committed one."""

import csv
import re
import sys
from pathlib import Path

import pytest

from recipes import benchmark
from recipes.measuring.benchmark.cases import Bench, Part
from recipes.measuring.benchmark.figures import Figures, Key
from recipes.reporting import pages

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "results" / "speed.md"
SECTIONS = [
    *("Targets", "FMix, one mask a batch", "FMix, a mask for each sample"),
    *("PatchUp, a pattern for each channel, shared by the batch", "Every mixer"),
    *("MixUp and CutMix, beside other libraries", "Compiled", "In a training step"),
    *("In the workers of a DataLoader", "Graphs for changing sizes", "A call", "Points and voxels"),
    "Waiting for the device",
]

sys.path.insert(0, str(DOCS / "scripts"))
import costs  # noqa: E402


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


@pytest.mark.filterwarnings("ignore")  # of the libraries beside which it measures
def test_a_small_page_has_every_section_and_what_the_cards_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "speed.md"
    pages.main("benchmark", benchmark.Settings, benchmark.page, ["--smoke", "--threads", "1", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert headings(text) == SECTIONS
    assert "A smoke run" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = block.splitlines()
        assert len({line.count("|") for line in lines}) == 1, lines[0]
        assert len(lines) > 2, lines[0]
    assert set(costs.costs(out)) == set(costs.costs())
    assert "](speed.png)" in text
    assert out.with_suffix(".png").is_file()
    rows = list(csv.DictReader(out.with_suffix(".csv").read_text(encoding="utf-8").splitlines()))
    assert {row["part"] for row in rows} == set(benchmark.PARTS) - {"waiting"}
    assert all(float(row["median"]) > 0 for row in rows if row["what"] not in ("mixing", "share", "memory", "function"))


def test_parts_are_swept_as_they_ask_in_the_order_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def part(name: str, *, once: bool) -> Part:
        def measure(bench: Bench, figures: Figures) -> None:
            assert (bench.clock.seconds, bench.clock.least) == ((1.5, 3) if once else (0.5, 1))
            done.append(name)
            figures.add(Key(name, "", "", "", "ms"), [3.0, 900.0, 4.0][done.count(name) - 1])

        return Part(measure, lambda figures: [f"{name} {figures.get(name, '', '', '', 'ms')}"], once)

    names = dict.fromkeys(benchmark.ON_THE_PAGE, True) | {"mixing": False}
    parts = {name: part(name, once=once) for name, once in names.items()}
    monkeypatch.setattr(benchmark, "PARTS", parts)
    page = benchmark.page(benchmark.Settings(parts=("steps", "mixing"), threads=1, seconds=0.5), "the command")
    assert done == ["mixing", "mixing", "mixing", "steps"]
    assert page.text.startswith("# Speed\n\nMade by `the command` at ")
    assert [line for line in page.text.splitlines() if line.startswith(("mixing", "steps"))] == [
        "mixing 4.0",
        "steps 3.0",
    ]


def test_every_part_is_on_the_page() -> None:
    assert sorted(benchmark.ON_THE_PAGE) == sorted(benchmark.PARTS)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"parts": ("mixing", "speed")}, "parts=.* must be among mixing, peers"),
        ({"parts": ()}, "parts=.* must be among"),
        ({"sweeps": 0}, "sweeps=0 must be at least 1"),
        ({"seconds": 0.0}, "seconds=0.0 must be at least"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        benchmark.Settings(**settings)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device='cuda' is not available"):
        benchmark.Settings(device="cuda")


def test_the_committed_page_has_these_sections() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "python -m recipes.benchmark" not in text:
        pytest.skip(f"{PAGE.name} is of an earlier command: python -m recipes.benchmark --out docs/results/speed.md")
    assert headings(text) == SECTIONS
