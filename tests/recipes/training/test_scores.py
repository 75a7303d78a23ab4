"""Scores against scikit-learn's and by hand."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

import mixmodal as mm
from recipes.training import scores


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    torch.manual_seed(0)
    y = (torch.rand(300, 4) < torch.tensor([0.5, 0.1, 0.9, 0.3])).float()
    preds = torch.randn(300, 4) + y * torch.tensor([2.0, 1.0, 0.0, -1.0])
    expected = 100 * roc_auc_score(y.numpy(), preds.numpy(), average="macro")
    assert scores.roc_auc(preds, y) == pytest.approx(expected, abs=1e-4)
    y[:, 2] = 1  # nothing to tell apart: left out
    rest = [0, 1, 3]
    expected = 100 * roc_auc_score(y[:, rest].numpy(), preds[:, rest].numpy(), average="macro")
    assert scores.roc_auc(preds, y) == pytest.approx(expected, abs=1e-4)
    assert scores.roc_auc(preds[:, 2:3], y[:, 2:3]) != scores.roc_auc(preds[:, 2:3], y[:, 2:3])  # not a number


def test_accuracies_by_hand() -> None:
    assert scores.accuracy(
        torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 1, 1])
    ) == pytest.approx(200 / 3)
    preds, y = torch.tensor([[1.0], [-1.0], [2.0], [-3.0]]), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert scores.label_accuracy(preds, y) == 50
    mix = mm.Mix(index=torch.tensor([1, 0, 3, 2]), mask=torch.ones(1, 1), lam=torch.full((4,), 0.75))
    assert scores.mixed_label_accuracy(mix, preds, y).item() == pytest.approx((1 + 0 + 0 + 1) / 4)
    mix = mm.Mix(index=torch.tensor([3, 2, 1, 0]), mask=torch.ones(1, 1), lam=torch.full((4,), 0.75))
    assert scores.mixed_label_accuracy(mix, preds, y).item() == pytest.approx((0.75 + 0.25 + 0.25 + 0.75) / 4)


def test_likelihoods_by_hand() -> None:
    odds = torch.tensor([[1.0, 3.0], [9.0, 1.0]]).log()  # probabilities 0.25, 0.75 and 0.9, 0.1
    expected = -(math.log(0.75) + math.log(0.1)) / 2
    assert scores.nll(odds, torch.tensor([1, 1])) == pytest.approx(expected, rel=1e-6)
    flags = torch.tensor([[3.0], [9.0]]).log()  # probabilities 0.75 and 0.9 of 1
    assert scores.label_nll(flags, torch.tensor([[1.0], [0.0]])) == pytest.approx(expected, rel=1e-6)
    assert scores.nll(torch.tensor([[200.0, 0.0]]), torch.tensor([1])) == 200  # beyond what float32 has exponentials of
