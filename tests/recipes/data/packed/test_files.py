"""The files that come with the recipes: whole, small, and with source and licence."""

import re
from pathlib import Path

import pytest

from recipes import audio, points, text
from recipes.data.packed import comments, files, furniture, speech

READ = {speech.LIST: speech.load, speech.CLIPS: speech.load, comments.TABLE: comments.load,
        furniture.LIST: furniture.load, furniture.CLOUDS: furniture.load}  # fmt: skip


def test_every_file_has_its_source_and_licence() -> None:
    packed = {path.name for path in files.FOLDER.iterdir() if path.suffix not in (".py", ".md") and path.is_file()}
    rows = re.findall(r"^\| (`.+?) \| .+ \| .+ \| (.+) \|$", (files.FOLDER / "README.md").read_text(), re.M)
    assert packed == {*re.findall("`(.+?)`", " ".join(names for names, _ in rows))} == {*files.DIGESTS}
    texts = [name for _, licence in rows for name in re.findall("`(licences/.+?)`", licence)]
    assert {*texts} == {f"licences/{path.name}" for path in (files.FOLDER / "licences").iterdir()}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("speech", ["Attribution 4.0 International", "may be contacted at creativecommons.org."]),
        ("comments", ["Attribution-ShareAlike 3.0 Unported", "may be contacted at http://creativecommons.org/."]),
        (
            "furniture",
            ["License: CC-BY-3.0-USA", "License: CC-BY-3.0 ", "License: CC0 ", "to this CC0 or use of the Work."],
        ),
    ],
)
def test_licences_are_there_in_full(name: str, parts: list[str]) -> None:
    """From the first words to the last."""
    whole = " ".join((files.FOLDER / "licences" / f"{name}.txt").read_text().split())
    assert all(part in whole for part in parts)
    assert whole.endswith(parts[-1])


def test_authors_of_models_are_named() -> None:
    said = " ".join((files.FOLDER / "README.md").read_text().split())
    assert {row["licence"] for row in files.rows(furniture.LIST)} == {"CC BY 3.0", "CC BY 3.0 US", "CC0 1.0"}
    assert all(row["creator"] in said or row["creator"] == "Kator Legaz" for row in files.rows(furniture.LIST))
    assert all(row["creator"] and row["catalog_name"] and row["id"] for row in files.rows(furniture.LIST))


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in files.FOLDER.rglob("*") if path.suffix != ".pyc") < 6_000_000


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_file_that_is_not_whole_is_named(
    name: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in files.DIGESTS:
        (tmp_path / other).symlink_to(files.FOLDER / other)
    raw = (files.FOLDER / name).read_bytes()
    (tmp_path / name).unlink()
    if damage != "gone":
        half = len(raw) // 2
        (tmp_path / name).write_bytes(
            raw[:half] + (b"" if damage == "cut" else bytes([raw[half] ^ 1]) + raw[half + 1 :])
        )
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    error = FileNotFoundError if damage == "gone" else ValueError
    with pytest.raises(
        error, match=rf"{re.escape(str(tmp_path / name))}.*come.* with the recipes.*: get the recipes again"
    ):
        READ[name]()


def test_a_recipe_says_it_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    for name, recipe in {"audio": audio, "text": text, "points": points}.items():
        with pytest.raises(SystemExit, match=f"recipes.{name}: .*is not there: get the recipes again"):
            recipe.main(["--out", str(tmp_path / name), "--device", "cpu"])
