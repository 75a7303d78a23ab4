"""Mutual information of Gaussians whose value is known, and VAEs of a few steps."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from recipes.analyses import mutual_information
from recipes.analyses.mutual_information import Settings, information, jittered, load, measure, trained
from recipes.models.images.vae import VAE
from recipes.training.engine import Training

SMOKE = Training(
    epochs=1, batch_size=32, optimizer="adam", lr=1e-3, weight_decay=0.0, schedule="constant", device="cpu", smoke=True
)
SMALL = Settings(methods=("baseline", "mixup"), seeds=2, training=SMOKE)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_the_information_of_gaussians_is_known(correlation: float) -> None:
    """X and Z are jointly normal, of correlation r: I = -log(1 - r²) / 2 in each of the dimensions."""
    dimensions, n = 3, 20_000
    x = torch.randn(n, dimensions, dtype=torch.float64)

    def encode(batch: Tensor) -> tuple[Tensor, Tensor]:  # of which the codes of all inputs are N(0, I)
        return correlation * batch, torch.full_like(batch, math.log(1 - correlation**2) / 2)

    expected = -dimensions / 2 * math.log(1 - correlation**2)
    error = correlation**2 * math.sqrt(dimensions / 2 / n)  # of r² x² / 2, whose variance is r⁴ / 2
    assert abs(information(encode, x.split(777)) - expected) <= 4.5 * error + 1e-9


def test_it_is_an_upper_value_where_codes_are_not_like_the_prior() -> None:
    """Codes of all inputs are N(2, 1): above the information by their divergence from the prior, 2² / 2."""
    x = torch.randn(20_000, 1, dtype=torch.float64)
    found = information(lambda batch: (0.6 * batch + 2, torch.full_like(batch, math.log(0.8))), [x])
    spread = math.sqrt(0.36**2 / 2 + (2 * 0.6) ** 2)  # of (0.6 x + 2)² / 2
    assert abs(found - (-math.log(1 - 0.36) / 2 + 2)) < 4.5 * spread / math.sqrt(20_000)


class Linear(VAE):
    """Codes of the mean and decodes to a constant image of known value."""

    def __init__(self, scale: float, value: float) -> None:
        super().__init__(channels=1, latent=2)
        self.scale, self.value = scale, value

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.scale * x.mean((1, 2, 3))[:, None].expand(-1, 2)
        return code, torch.zeros_like(code)

    def reconstruct(self, x: Tensor, *, noise: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        return torch.full_like(x, self.value)


def test_bounds_are_of_images_and_of_the_plain_vaes_reconstructions() -> None:
    data = load(replace(SMALL, training=replace(SMOKE, smoke=False), images=30))
    x = (data.test_x.double() / 255 - data.mean[0]) / data.std[0]
    vaes = {
        ("baseline", 4): Linear(1.0, 0.5),
        ("baseline", 5): Linear(1.0, 0.25),
        ("mixup", 4): Linear(2.0, 9.0),
        ("mixup", 5): Linear(3.0, 9.0),
    }
    found = measure(SMALL, data, vaes)
    means = x.mean((1, 2, 3))
    for (method, seed), vae in vaes.items():  # of two equal codes of variance 1: their square
        expected = (vae.scale * means).square().mean().item()
        assert found["I(Z; X) (nats)"][method][seed] == pytest.approx(expected, rel=1e-5)
        error = (vae.value - x).square().mean().item()
        assert found["squared error"][method][seed] == pytest.approx(error, rel=1e-5)
    lower, other = found["I(Z; X̂) (nats)"], found["I(Z; X̂), X of another seed"]
    assert lower["mixup"] == pytest.approx({4: (2 * 0.5) ** 2, 5: (3 * 0.25) ** 2})
    assert other["mixup"] == pytest.approx({4: (2 * 0.25) ** 2, 5: (3 * 0.5) ** 2})
    assert lower["baseline"] == pytest.approx({4: 0.5**2, 5: 0.25**2})


def test_images_are_enlarged_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(SMALL)
    assert data.train_x.shape == (1442, 1, 32, 32)
    assert torch.equal(data.train_x[:, :, 1::4, 2::4], mutual_information.sets.load("digits").train_x)
    assert len(data.test_x) == len(data.test_y) == 20
    odd = mutual_information.sets.load("digits")
    odd = replace(odd, train_x=odd.train_x[..., :7], test_x=odd.test_x[..., :7])
    monkeypatch.setattr(mutual_information.sets, "load", lambda *given, **more: odd)
    with pytest.raises(ValueError, match="has images of 8 x 7, but the VAE takes 32 x 32"):
        load(SMALL)


def test_the_vae_learns_the_mixed_images_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is given to code, in training, are blends, and its loss is that of coding the blend."""
    seen: list[tuple[Tensor, float]] = []
    forward = VAE.forward

    def looks(vae: VAE, x: Tensor) -> Tensor:
        loss = forward(vae, x)
        if vae.training and torch.is_grad_enabled():
            seen.append((x, loss.mean().item()))
        return loss

    monkeypatch.setattr(VAE, "forward", looks)
    data = load(SMALL)
    vae = trained(replace(SMALL, jitter=False), data, tmp_path, "mixup", 0, "the command")
    assert not vae.training
    known = {tuple(image.flatten().tolist()) for image in data.train_x}
    scale = [(x * data.std[0] + data.mean[0]) * 255 for x, _ in seen]
    blends = [image for x in scale for image in x if tuple(image.round().byte().flatten().tolist()) not in known]
    assert len(blends) > 50
    lines = (tmp_path / "mixup-0" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["train_loss"] == pytest.approx((seen[0][1] + seen[1][1]) / 2, rel=1e-5)


def test_a_vae_that_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(SMALL)
    first = trained(SMALL, data, tmp_path, "mixup", 0, "the command")
    monkeypatch.setattr(mutual_information.engine, "fit", lambda *given, **more: pytest.fail("was trained"))
    again = trained(SMALL, data, tmp_path, "mixup", 0, "the command")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    with pytest.raises(ValueError, match=r"alpha is now 0.5 but was 1.0"):
        trained(replace(SMALL, alpha=0.5), data, tmp_path, "mixup", 0, "the command")


def test_every_image_has_a_jitter_of_its_own() -> None:
    pytest.importorskip("torchvision")
    x = torch.full((40, 3, 4, 4), 128, dtype=torch.uint8)
    found = jittered(x)
    assert found.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in found}) > 5
    assert (found.float() - 128).abs().max() <= 128 * 0.05 + 3  # grey has a brightness alone, rounded at each step


def test_the_page_has_every_vae(tmp_path: Path) -> None:
    out = tmp_path / "codes.md"
    words = ["--smoke", "--device", "cpu", "--batch-size", "8", "--methods", "mixup", "baseline", "--out", str(out)]
    mutual_information.main(words)
    text = out.read_text(encoding="utf-8")
    assert f"`python -m recipes.analyses.mutual_information {' '.join(words)}`" in text
    assert "VAEs trained for 2 epochs on 1442 images of digits (a smoke test" in text
    assert "| I(Z; X) (nats): mixup below baseline (FMix, Table I) | 2 |" in text
    assert "not run are omitted: cutmix, fmix." in text
    with (tmp_path / "codes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] + row["seed"] for row in rows] == ["mixup0", "mixup1", "baseline0", "baseline1"]
    assert all(float(row["squared error"]) > 0 for row in rows)
    assert (tmp_path / "codes.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ((1, 2, 3, 4), "holds"),
        ((1, 2, 3, 3), "holds"),
        ((1, 2, 3, 2), "contradicted"),
        ((2, 1, 3, 4), "contradicted"),
        ((1, 1, 3, 4), "open"),
        ((1, 2, 2, 4), "open"),
    ],
)
def test_the_chain_holds_as_a_whole(means: tuple[float, ...], expected: str) -> None:
    """Strict links have to hold; the last may be open, as of equal values. Seeds differ by little, not alike."""
    noise = [(0.0, 0.01, 0.02), (0.01, 0.0, 0.03), (0.02, 0.03, 0.0), (0.03, 0.02, 0.01)]
    methods = ("mixup", "baseline", "cutmix", "fmix")
    values = {
        method: {seed: mean + more for seed, more in enumerate(each)}
        for method, mean, each in zip(methods, means, noise, strict=True)
    }
    upper, lower = mutual_information.UPPER, mutual_information.LOWER
    (found,) = mutual_information.chain({upper: values, lower: values})
    assert found.endswith(f" ≤ I(FMix): {upper} {expected}, {lower} {expected}.")
    del values["fmix"]
    assert mutual_information.chain({upper: values, lower: values}) == []


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="'puzzlemix' does not mix only images; choose baseline, mixup"):
        Settings(methods=("baseline", "puzzlemix"))
    with pytest.raises(ValueError, match=r"methods=\('mixup',\) lack 'baseline'"):
        Settings(methods=("mixup",))
    with pytest.raises(ValueError, match="noise=-1 must be 0 or more"):
        Settings(noise=-1)
    with pytest.raises(ValueError, match="seeds=0 must be 1 or more"):
        Settings(seeds=0)
