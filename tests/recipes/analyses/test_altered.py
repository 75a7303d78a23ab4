"""Errors on deformed and on corrupted images."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes import images
from recipes.analyses import corruptions, deformations
from recipes.analyses.shared import altered
from recipes.analyses.shared.trained import SMOKE_IMAGES, Trained, load
from recipes.data.images import sets
from recipes.data.images.altering.affine import DEFORMATIONS, deformed
from recipes.reporting import pages
from recipes.training import scores
from tests.recipes.analyses.shared.light import Light


def trained(x: Tensor, y: Tensor, method: str = "baseline", data: str = "cifar10") -> Trained:
    """A network that tells light images from dark ones, and what it is tested on."""
    found = sets.ImageSet("made", x, y, x, y, ("light", "dark"), (0.5,) * 3, (0.5,) * 3, 0, False)
    settings = images.Settings(data=data)
    settings = replace(settings, mixing=replace(settings.mixing, method=method))
    return Trained(Path(), settings, {"epochs": 1}, Light().eval(), found)


def greys(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()


def test_errors_are_counted() -> None:
    x, y = greys(200, 200, 50, 50, 90), torch.tensor([0, 1, 1, 0, 1])
    assert altered.error(trained(x, y), x, y, batch_size=2) == 40
    assert altered.error(trained(x, y), greys(0, 0, 0, 0, 0), y) == 40
    assert altered.error(trained(x, y), greys(255, 255, 255, 255, 255), y) == 60


def test_images_are_altered_once_and_are_the_same_for_all() -> None:
    made = []
    sets_ = altered.Alterations(lambda x, name: made.append(name) or x + int(name))
    x = greys(1, 2)
    assert torch.equal(sets_(x, "3"), x + 3)
    assert torch.equal(sets_(x.clone(), "3"), x + 3)
    assert made == ["3"]
    with pytest.raises(ValueError, match="the runs have different test images"):
        sets_(x + 1, "3")


def test_images_that_are_kept_are_those_of_later_analyses(tmp_path: Path) -> None:
    """A second analysis takes the file, makes nothing, and refuses one of other images or of another seed."""
    x, folder = greys(1, 2), tmp_path / "deep" / "sets"
    first = altered.Alterations(lambda x, name: x + torch.randint(100, x.shape), folder=folder, facts={"seed": 3})
    made = first(x, "rotate 20")
    assert [path.name for path in folder.iterdir()] == ["rotate-20.safetensors"]

    def later(seed: int = 3) -> altered.Alterations:
        return altered.Alterations(lambda x, name: pytest.fail("made anew"), folder=folder, facts={"seed": seed})

    assert torch.equal(later()(x, "rotate 20"), made)
    with pytest.raises(ValueError, match=r"rotate-20.safetensors differ in 'seed', 3 there and 4 now"):
        later(4)(x, "rotate 20")
    with pytest.raises(ValueError, match=r"differ in 'altered from'"):
        later()(x + 1, "rotate 20")
    (folder / "rotate-20.safetensors").write_bytes(b"half of it")
    with pytest.raises(ValueError, match=r"rotate-20.safetensors is damaged .* remove it"):
        later()(x, "rotate 20")


def test_what_fails_while_it_is_kept_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_contents: object, place: Path, **_more: object) -> None:
        place.write_bytes(b"half of it")
        raise OSError(28, "no space left")

    monkeypatch.setattr(altered, "save_file", broken)
    with pytest.raises(OSError, match="no space left"):
        altered.Alterations(lambda x, name: x, folder=tmp_path)(greys(1), "any")
    assert not list(tmp_path.iterdir())


def test_sums_and_their_mean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a network that errs once an image of level 100 is light: in high severities of brightness."""
    x, y = greys(100, 10), torch.tensor([1, 1])
    monkeypatch.setattr(corruptions, "networks", lambda choice: iter([trained(x, y), trained(x, y, "mixup")]))
    out = tmp_path / "corruptions.md"
    words = ["--corruptions", "brightness", "contrast", "--out", str(out)]
    pages.main("analyses.corruptions", corruptions.Settings, corruptions.page, words)
    expected = 50 * sum(100 / 255 + more > 0.5 for more in (0.05, 0.1, 0.15, 0.2, 0.3))
    rows = re.findall(r"^\| (\w+) \| 1 \| (\S+) ± – \| (\S+) ± – \| (\S+) ± – \|$", out.read_text(), re.MULTILINE)
    assert expected > 0
    assert rows == [(name, f"{expected:.1f}", "0.0", f"{expected / 2:.1f}") for name in ("baseline", "mixup")]
    table = list(csv.DictReader((tmp_path / "corruptions.csv").read_text().splitlines()))
    assert table[0]["brightness 5"] == "50.0"
    assert table[0]["brightness 1"] == "0.0"


def test_published_images_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Level 200 is dark by its label in the files, and the clean images play no part."""
    x, y = greys(100, 10, 10, 10), torch.tensor([1, 1, 1, 1])
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    np.save(
        folder / "fog.npy",
        np.concatenate([greys(*(4 * [level])).numpy() for level in (10, 10, 200, 200, 10)]).transpose(0, 2, 3, 1),
    )
    np.save(folder / "labels.npy", np.tile([1, 1, 1, 0], 5))
    monkeypatch.setattr(corruptions, "networks", lambda choice: iter([trained(x, y)]))
    settings = corruptions.Settings(published=tmp_path, corruptions=("fog",))
    page = corruptions.page(settings, "")
    assert "| baseline | 1 | 225.0 ± – | 225.0 ± – |" in page.text  # 25, 25, 75, 75, 25
    assert "They are the published ones" in page.text


def test_published_images_of_another_size_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x, y = greys(100, 10, 10, 10), torch.tensor([1, 1, 1, 1])
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    np.save(folder / "fog.npy", greys(*(20 * [10])).numpy().transpose(0, 2, 3, 1))
    np.save(folder / "labels.npy", np.ones(20, dtype=np.int64))
    larger = x.repeat(1, 1, 2, 2)
    monkeypatch.setattr(corruptions, "networks", lambda choice: iter([trained(larger, y)]))
    own, given = (rf"\(3, {side}, {side}\)" for side in (2 * x.shape[-1], x.shape[-1]))
    said = f"fog is published as {given}, but the images of the run are {own}: leave published out"
    with pytest.raises(ValueError, match=said):
        corruptions.page(corruptions.Settings(published=tmp_path, corruptions=("fog",)), "")


@pytest.mark.slow  # 75 sets for four networks, which are trained first
def test_the_smoke_run_has_all_corruptions(tmp_path: Path) -> None:
    out = tmp_path / "corruptions.md"
    words = ["--smoke", "--device", "cpu", "--out", str(out)]
    pages.main("analyses.corruptions", corruptions.Settings, corruptions.page, words)
    head = next(line for line in out.read_text().splitlines() if line.startswith("| method | n |"))
    assert head.count("|") == 3 + 15 + 1
    assert len((tmp_path / "corruptions.csv").read_text().splitlines()) == 1 + 4
    for suffix in (".png", "-samples.png"):
        assert (tmp_path / f"corruptions{suffix}").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"corruptions": ("rain",)}, r"corruptions=\('rain',\) must be among gaussian_noise"),
        ({"corruptions": ()}, r"corruptions=\(\) must be"),
        ({"published": Path("a"), "frost": Path("b")}, "published and frost exclude each other"),
        ({"published": Path("a"), "sets": Path("b")}, "published and sets exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        corruptions.Settings(**given)


def test_the_page_has_the_errors_of_every_set(smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "deformations.md"
    words = [str(smoke_runs), "--smoke", "--device", "cpu", "--seed", "5", "--sets", str(tmp_path), "--out", str(out)]
    pages.main("analyses.deformations", deformations.Settings, deformations.page, words)
    assert len(list(tmp_path.glob("*.safetensors"))) == len(DEFORMATIONS)
    assert "Made by `python -m recipes.analyses.deformations" in out.read_text(encoding="utf-8")
    lines = (tmp_path / "deformations.csv").read_text().splitlines()
    table = {(row["method"], row["seed"]): row for row in csv.DictReader(lines)}
    assert len(table) == 4
    digits = sets.load("digits")
    x, y = digits.test_x[:SMOKE_IMAGES], digits.test_y[:SMOKE_IMAGES]
    for method, seed in (("baseline", "0"), ("mixup", "1")):
        trained = load(smoke_runs / f"{method}-{seed}")
        for name in (deformations.CLEAN, *DEFORMATIONS):
            altered = x if name == deformations.CLEAN else deformed(x, name, seed=5)
            with torch.no_grad():
                logits = trained.net(trained.normalise(altered.float() / 255))
            assert abs(float(table[method, seed][name]) - (100 - scores.accuracy(logits, y))) < 1e-9
    for suffix in (".png", "-samples.png"):
        assert (tmp_path / f"deformations{suffix}").read_bytes().startswith(b"\x89PNG")
