"""The points recipe, on deformed primitives."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import nn

import mixmodal as mm
from recipes import points
from recipes.models.points import FromVoxels
from recipes.pictures import points as pictures
from recipes.pictures.rows import Sample
from recipes.points import Settings
from recipes.training import presets
from recipes.training.command import Choice, with_preset
from recipes.training.methods import Method

ON_POINTS = ("baseline", "cutmix", "fmix", "fmix+cutmix", "manifold-mixup")
ON_VOXELS = ("baseline", "mixup", "cutmix", "fmix", "fmix+mixup", "manifold-mixup", "patchup-soft", "patchup-hard",
             "cutout", "dropblock", "puzzlemix")  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def smoke(out: Path, *words: str) -> dict[str, Any]:
    small = ["--smoke", "--points", "64", "--resolution", "12", "--width", "4", "--batch-size", "6", "--device", "cpu"]
    points.main(["--data", "synthetic", *small, "--out", str(out), *words])
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize(
    ("model", "mix", "method"),
    [("pointnet", "points", method) for method in ON_POINTS]
    + [("pointnet", "voxels", method) for method in ("baseline", "cutmix", "fmix")]
    + [("voxnet", "voxels", method) for method in ON_VOXELS],
)
def test_every_method_runs_and_draws_its_picture(tmp_path: Path, model: str, mix: str, method: str) -> None:
    result = smoke(tmp_path, "--model", model, "--mix", mix, "--method", method)
    assert 0 <= result["score"] <= 100
    for name in ("curves.png", "samples.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_score_is_the_median_of_the_last_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([10.0, 90.0, 20.0, 40.0, 30.0, 0.0])
    losses = iter([9.0, 8.0, 3.0, 2.0, 1.0, 0.0])
    monkeypatch.setattr(points.engine, "_evaluate", lambda *_: {"accuracy": next(scores), "nll": next(losses)})
    words = ["--points", "16", "--width", "2", "--batch-size", "60", "--device", "cpu", "--out", str(tmp_path)]
    points.main(["--data", "synthetic", *words, "--epochs", "5", "--median-of", "3", "--evaluate-every", "1"])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["score"] == statistics.median([20.0, 40.0, 30.0])
    assert result["nll"] == statistics.median([3.0, 2.0, 1.0])


def test_the_last_epochs_are_scored_though_others_are_not(tmp_path: Path) -> None:
    words = ["--points", "16", "--width", "2", "--batch-size", "60", "--device", "cpu", "--out", str(tmp_path)]
    points.main(["--data", "synthetic", *words, "--epochs", "4", "--median-of", "2", "--evaluate-every", "0"])
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert ["test_accuracy" in entry for entry in entries] == [False, False, True, True]


@pytest.mark.parametrize("as_published", [False, True])
def test_clouds_drawn_from_voxels_are_like_test_clouds_unless_as_published(as_published: bool) -> None:
    seen: list[torch.Tensor] = []

    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x[:, 0]

    voxels = (torch.rand(3, 1, 8, 8, 8) < 0.2).float()
    model = FromVoxels(Looks(), 500, standardise=not as_published)
    model(voxels)
    cloud = torch.randn(3, 70, 3)
    model(cloud)
    assert torch.equal(seen[1], cloud)
    assert seen[0].shape == (3, 500, 3)
    if as_published:
        assert seen[0].abs().max() <= 0.5
        assert torch.equal(mm.voxelize(2 * seen[0], 8).amax(), torch.tensor(1.0))
        assert not (mm.voxelize(2 * seen[0], 8) > voxels).any()
    else:
        torch.testing.assert_close(seen[0].mean(1), torch.zeros(3, 3), atol=1e-5, rtol=0)
        torch.testing.assert_close(seen[0].std(1, correction=0), torch.ones(3, 3), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="points cannot be drawn from shares of voxels"):
        model(0.5 * voxels)


def test_the_papers_settings() -> None:
    settings = with_preset(Settings, presets.POINTS, Choice("fmix-paper", "synthetic", "pointnet", "fmix"))
    training = settings.training
    assert settings.mixing == Method(method="fmix")
    assert (settings.data, settings.mix, settings.points) == ("modelnet10", "voxels", 1000)
    assert (training.epochs, training.batch_size, training.lr, training.median_of) == (50, 16, 1e-3, 5)
    assert (training.optimizer, training.weight_decay, training.milestones) == ("adam", 0.0, (10, 20, 30, 40))


WRONG: dict[str, tuple[list[str], str]] = {
    "soft": (["--method", "mixup"], "draws soft masks, and points are chosen, never blended"),
    "dropped": (["--method", "cutout"], "drops points, but a cloud must keep its number of points"),
    "shares": (["--method", "mixup", "--mix", "voxels"], "points cannot be drawn from shares of voxels"),
    "missing": (["--data", "modelnet10"], "no folder was given for 'modelnet10': get http"),
    "nowhere": (["--data", "modelnet10", "--download"], "needs a folder for it: pass --data-root DIR"),
    "form": (["--data", "modelnet10-voxels"], "has voxels with 32 cells along each axis"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"recipes.points: .*{message}"):
        smoke(tmp_path, *words)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="as_published=True needs --model pointnet --mix voxels"):
        Settings(as_published=True)


# ---------------------------------------------------------------- pictures


def colours(figure: Figure, place: int) -> dict[str, int]:
    """Of a part of a figure how many points of each colour there are."""
    drawn = figure.subfigs[0].axes[place].collections
    return {to_hex(each.get_facecolor()[0]): len(each._offsets3d[0]) for each in drawn}


@pytest.mark.parametrize("form", ["points", "voxels"])
def test_points_are_coloured_by_whose_they_are(form: str) -> None:
    torch.manual_seed(0)
    clouds = 2 * torch.rand(2, 60, 3) - 1
    given = {"index": torch.tensor([1, 0]), "lam": 0.5}
    if form == "points":
        before = clouds
        after, mix = mm.OnPoints(mm.FMix(), resolution=8)(before, **given)
        own = int(mix.mask[0].sum())
        whole = 60
    else:
        before = mm.voxelize(clouds, 8)
        after, mix = mm.FMix()(before, **given)
        own = int((before[0] * mix.mask[0]).sum())
        whole = int(after[0].sum())
    figure = pictures.samples([Sample("input", before, after, mix)], torch.tensor([0, 1]), ("cat", "dog"))
    assert colours(figure, 2) == {"#1f77b4": own, "#ff7f0e": whole - own}
    lam = mix.lam[0].item()
    assert figure.subfigs[0].axes[2].get_title() == f"{lam:.2f} cat, {1 - lam:.2f} dog"
