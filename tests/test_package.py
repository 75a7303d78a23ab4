"""What is published: the wheel and the sdist build, and the wheel works beside torch alone."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import mixmodal as mm
from recipes.data.packed.files import DIGESTS
from tests.test_layering import BLOCKED, ROOT, beside_torch

pytestmark = pytest.mark.slow  # the build fetches its backend


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    words = [sys.executable, "-m", "build", "--wheel", "--sdist", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_sdist_has_what_a_build_needs_and_no_more(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    assert top == {"mixmodal", "recipes", "README.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}


def test_the_wheel_has_every_file_of_the_library(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
        (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("METADATA"))
    package = ROOT / "mixmodal"
    library = {str(p.relative_to(ROOT)) for p in package.rglob("*") if p.suffix == ".py" or p.name == "py.typed"}
    kept = (p for p in (ROOT / "recipes").rglob("*") if p.is_file() and p.suffix != ".pyc")
    recipes = {f"mixmodal/_recipes/{p.relative_to(ROOT / 'recipes')}" for p in kept}
    assert {f"mixmodal/_recipes/data/packed/{name}" for name in DIGESTS} <= recipes
    assert names == library | recipes
    assert f"Version: {mm.__version__}" in metadata
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line]
    assert needed == ["Requires-Dist: torch>=2.6"]


def test_recipes_are_copied_out_of_the_wheel_and_run(built: Path, tmp_path: Path) -> None:
    """In a folder of your own, where nothing of the checkout can be imported."""
    (wheel,) = built.glob("*.whl")
    site, own = tmp_path / "site", tmp_path / "own"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    own.mkdir()
    start = (
        f"import runpy, sys; sys.path = [{str(own)!r}, {str(site)!r}, *(p for p in sys.path if p != {str(ROOT)!r})]; "
    )
    start += "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    copied = ["mixmodal.recipes", "--copy", str(own)]
    smoke = ["recipes.images", "--smoke", "--width", "4", "--device", "cpu", "--out", str(tmp_path / "run")]
    for words in (copied, smoke):
        run = [sys.executable, "-P", "-c", start, *words]
        done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["git"] == "unknown"


def test_the_wheel_works_beside_torch_alone(built: Path, tmp_path: Path) -> None:
    """All methods, and the first block of README, where nothing but torch and what it needs can be imported."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    readme = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert readme is not None
    script = BLOCKED.format(allowed=beside_torch(), path=str(tmp_path)) + readme[1] + "print(mm.__file__)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["mixed", str(tmp_path / "mixmodal" / "__init__.py")]
