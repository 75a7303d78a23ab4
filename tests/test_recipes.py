"""The recipes as a folder of your own."""

from pathlib import Path

import pytest

from mixmodal import recipes
from recipes.data.packed.files import DIGESTS

ROOT = Path(__file__).parents[1]


def test_all_recipes_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes.main(["--copy", str(tmp_path / "new")])
    copied = {path.relative_to(tmp_path / "new"): path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    kept = (path for path in (ROOT / "recipes").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {*copied} == {path.relative_to(ROOT) for path in kept}
    assert {Path("recipes/data/packed", name) for name in DIGESTS} <= {*copied}
    for name, path in copied.items():
        assert path.read_bytes() == (ROOT / name).read_bytes()
    assert f"in {tmp_path / 'new'}: python -m recipes.images" in capsys.readouterr().out


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/images.py").write_text("mine")
    with pytest.raises(SystemExit, match=r"mixmodal.recipes: .*recipes is there already, and may be changed"):
        recipes.main(["--copy", str(tmp_path)])
    assert (tmp_path / "recipes/images.py").read_text() == "mine"
    assert len(list((tmp_path / "recipes").iterdir())) == 1


def test_a_package_without_recipes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "mixmodal/recipes.py"))
    with pytest.raises(SystemExit, match=r"came without the recipes: install mixmodal from its wheel"):
        recipes.main(["--copy", str(tmp_path)])
    assert not list(tmp_path.iterdir())
