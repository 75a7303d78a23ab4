"""Errors on deformed images."""

import csv
from pathlib import Path

import torch

from recipes.analyses import deformations
from recipes.analyses.shared.trained import SMOKE_IMAGES, load
from recipes.data.images import sets
from recipes.data.images.altering.affine import DEFORMATIONS, deformed
from recipes.reporting import pages
from recipes.training import scores


def test_the_page_has_the_errors_of_every_set(smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "deformations.md"
    words = [str(smoke_runs), "--smoke", "--device", "cpu", "--seed", "5", "--out", str(out)]
    pages.main("analyses.deformations", deformations.Settings, deformations.page, words)
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
