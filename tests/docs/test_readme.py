"""The code on the README and in docs/ runs as it stands."""

import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = ("_build", "auto_gallery")
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").rglob("*.md")) if not {*p.parts} & {*MADE})]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
ELSEWHERE = {"plain", "timm", "torchvision", "monai", "geometric", "webdataset"}
"""Pages on frameworks that tests/frameworks/test_pages.py runs, and looks into."""
RUN = [page for page in PAGES if page.parent.name != "frameworks" or page.stem not in ELSEWHERE]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, at any break of a graph
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*pin_memory.*")
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for package in re.findall(r"^(?:import|from) (\w+)", "".join(blocks), re.MULTILINE):
        pytest.importorskip(package)
    if "lightning" in page.stem:
        warnings.filterwarnings("ignore", module="lightning")  # of much that small examples do
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


def test_the_readme_has_code() -> None:
    assert PAGES[0].read_text(encoding="utf-8").count("```python") >= 2


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", text):
        made = target.split("auto_gallery/")[-1] if "auto_gallery/" in target else None
        there = {path.stem for path in (ROOT / "docs" / "gallery").glob("plot_*.py")} | {"index"}
        assert (page.parent / target).exists() or made in there, target
