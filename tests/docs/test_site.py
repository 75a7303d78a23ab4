"""The site: public names have a place, the gallery runs, pages build without a warning and their links hold."""

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import mixmodal as mm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GALLERY = sorted((DOCS / "gallery").glob("plot_*.py"))


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    shown = re.findall(r"auto(?:class|function|module):: mixmodal\.(\w+)$", pages, re.MULTILINE)
    assert {*mm.__all__} <= {*shown}
    assert len(shown) == len({*shown})


@pytest.mark.parametrize("page", GALLERY, ids=lambda page: page.stem)
def test_a_page_of_the_gallery_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    monkeypatch.chdir(tmp_path)
    pyplot.switch_backend("agg")
    try:
        runpy.run_path(str(page))
        assert pyplot.get_fignums(), "it shows no picture"
    finally:
        pyplot.close("all")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors from a copy, without running the gallery and without a network."""
    folder = tmp_path_factory.mktemp("site")
    made = shutil.ignore_patterns("_build", "auto_gallery", "__pycache__")
    shutil.copytree(DOCS, folder / "docs", ignore=made)
    shutil.copy(ROOT / "README.md", folder)
    with (folder / "docs" / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write("intersphinx_mapping = {k: (v, str(DOCS / 'inventories' / f'{k}.inv')) for k, v in SITES.items()}\n")
    (drawn := folder / "docs" / "auto_gallery" / "images").mkdir(parents=True)
    for page in (DOCS / "gallery").glob("plot_*.py"):
        first = re.search(r"^\.\. image:: images/(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert first, f"{page.name} does not begin with a picture"
        shutil.copy(DOCS / "_static" / "any-modality.png", drawn / first[1])  # the gallery would draw it
    words = ["-W", "--keep-going", "-q", "-b", "html", "-D", "plot_gallery=0", "docs", "html"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Page(HTMLParser):
    """What a page points to, and what in it can be pointed to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def local(page: Page) -> Iterator[tuple[str, str]]:
    """Files and anchors of the site that a page points to."""
    for target in page.targets:
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield unquote(file), unquote(anchor)


def test_the_links_of_the_site_hold(site: Path) -> None:
    pages = {
        path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if "_static" not in path.parts
    }
    assert len(pages) > 40
    dead = [
        (str(path.relative_to(site)), file, anchor)
        for path, page in pages.items()
        for file, anchor in local(page)
        for target in [(path.parent / file.split("?")[0]).resolve() if file else path]
        if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors)
    ]
    assert not dead


def test_code_that_draws_is_folded_away_and_the_two_lines_are_not(site: Path) -> None:
    text = (site / "auto_gallery/plot_02_images.html").read_text(encoding="utf-8")
    folded = re.findall(r"<details class='drawing'>(.*?)</details>", text, re.DOTALL)
    drawing = [part for part in folded if ">subplots<" in part]
    assert len(folded) == len(drawing) == text.count(">subplots<") == 2
    left = re.sub(r"<details class='drawing'>.*?</details>", "", text, flags=re.DOTALL)
    assert left.count(">cutmix<") == text.count(">cutmix<") > 1


@pytest.mark.parametrize(
    ("page", "target"),
    [
        ("methods", "https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor"),
        ("methods", "https://docs.pytorch.org/docs/stable/generated/torch.Generator.html#torch.Generator"),
        ("hidden", "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module"),
        ("modalities", "https://huggingface.co/docs/transformers/main/en/main_classes/trainer#transformers.Trainer"),
        (
            "modalities",
            "https://docs.pytorch.org/audio/stable/generated/torchaudio.transforms.MelSpectrogram.html"
            "#torchaudio.transforms.MelSpectrogram",
        ),
    ],
)
def test_names_of_other_libraries_are_links(site: Path, page: str, target: str) -> None:
    assert f'href="{target}"' in (site / "api" / f"{page}.html").read_text(encoding="utf-8")
