"""PatchUp's two loss terms, against the paper's equations written out sample by sample."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from recipes.analyses.patchup import loss_terms
from recipes.analyses.patchup.loss_terms import CRITERIA, KINDS, Settings, compare, terms
from recipes.analyses.shared.trained import load
from recipes.reporting import pages

AFFINE = ("cross entropy", "binary cross entropy of softmax")


@pytest.mark.parametrize("name", CRITERIA)
def test_terms_are_the_papers(name: str) -> None:
    """L1 = p ℓ(y) + (1 - p) ℓ(Y) and L2 = ℓ(p y + (1 - p) Y), with Y = λ y + (1 - λ) y'."""
    preds, p, share = torch.randn(6, 4, dtype=torch.float64), torch.rand(6), torch.rand(6)
    p, share = p.double(), share.double()
    y, partner = (F.one_hot(torch.randint(4, (6,)), 4).double() for _ in range(2))
    first = second = 0.0
    for row in range(6):
        altered = share[row] * y[row] + (1 - share[row]) * partner[row]

        def loss(target: torch.Tensor, row: int = row) -> float:
            return CRITERIA[name](preds[row : row + 1], target[None], reduction="mean").item()

        first += (p[row] * loss(y[row]) + (1 - p[row]) * loss(altered)).item() / 6
        second += loss(p[row] * y[row] + (1 - p[row]) * altered) / 6
    found = [term.item() for term in terms(preds, y, partner, p, share, CRITERIA[name])]
    assert found == pytest.approx([first, second])
    assert (abs(first - second) < 1e-12) == (name in AFFINE)


@pytest.mark.parametrize("kind", KINDS)
def test_terms_of_mixed_batches_are_the_same_where_the_loss_is_affine(kind: str, smoke_runs: Path) -> None:
    """On digits that are made large, since a block covers all of a small one."""
    trained = load(smoke_runs / "baseline-0")
    large = trained.data.train_x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    trained = replace(trained, data=replace(trained.data, train_x=large))
    found = compare(trained, kind, Settings(smoke=True, batch_size=16))
    for name, each in found.items():
        same = [share < loss_terms.ROUNDING for share in (each.value, each.gradient)]
        assert same == [name in AFFINE] * 2, (name, each)
        assert each.first > 0


def test_the_page_says_which_are_the_same(smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "terms.md"
    words = [str(smoke_runs / "mixup-1"), "--smoke", "--device", "cpu", "--out", str(out)]
    pages.main("analyses.patchup.loss_terms", Settings, loss_terms.page, words)
    text = out.read_text(encoding="utf-8")
    assert f"Made by `python -m recipes.analyses.patchup.loss_terms {' '.join(words)}`" in text
    assert len(re.findall(r"^\| .* \| patchup-(?:soft|hard) \|", text, re.MULTILINE)) == 2 * len(CRITERIA)
    assert re.findall(r"^\* With (.*) the terms (.*)\.$", text, re.MULTILINE) == [
        (name, "are the same up to rounding" if name in AFFINE else "differ") for name in CRITERIA
    ]


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"batches": 0}, {"batch_size": 1}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}="):
            Settings(**wrong)
    with pytest.raises(ValueError, match="no run was given: name its folder, or try --smoke"):
        loss_terms.page(Settings(), "")
