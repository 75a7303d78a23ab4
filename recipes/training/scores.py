"""Scores of a test set: percentages, and the negative log-likelihood in nats."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from mixmodal import Mix


def accuracy(preds: Tensor, y: Tensor) -> float:
    """Percentage of rows of `preds` (N, C) that are largest at the class `y` (N,)."""
    return 100 * (preds.argmax(1) == y).double().mean().item()


def restricted(preds: Tensor, classes: Sequence[int]) -> Tensor:
    """Logits `preds` (N, C) restricted to some of the classes: those of others become minus infinity.

    >>> restricted(torch.tensor([[3.0, 1.0, 2.0]]), [1, 2]).tolist()
    [[-inf, 1.0, 2.0]]
    """
    among = torch.full_like(preds, float("-inf"))
    among[:, list(classes)] = preds[:, list(classes)]
    return among


def label_accuracy(preds: Tensor, y: Tensor) -> float:
    """Percentage of logits `preds` (N, L) that have the sign of the labels `y` (N, L), 0 or 1."""
    return 100 * ((preds > 0) == (y > 0.5)).double().mean().item()


def roc_auc(preds: Tensor, y: Tensor) -> float:
    """Area under the ROC curve in percent, the mean over the labels `y` (N, L) that have both values.

    >>> roc_auc(torch.tensor([[0.1], [0.4], [0.35], [0.8]]), torch.tensor([[0.0], [0.0], [1.0], [1.0]]))
    75.0
    """
    areas = [
        binary_auroc(logits, label.long())
        for logits, label in zip(preds.unbind(1), y.unbind(1), strict=True)
        if 0 < label.sum() < len(label)
    ]
    return 100 * torch.stack(areas).double().mean().item() if areas else float("nan")


def nll(preds: Tensor, y: Tensor) -> float:
    """Negative log-likelihood in nats, the mean over rows of logits `preds` (N, C) with classes `y` (N,).

    >>> round(nll(torch.tensor([[0.0, 0.0], [100.0, 0.0]]), torch.tensor([0, 0])), 4)  # half of log 2
    0.3466
    """
    return F.cross_entropy(preds.double(), y).item()


def label_nll(preds: Tensor, y: Tensor) -> float:
    """Negative log-likelihood in nats, the mean over logits `preds` (N, L) of labels `y` (N, L), 0 or 1.

    >>> round(label_nll(torch.tensor([[0.0], [100.0]]), torch.tensor([[0.0], [1.0]])), 4)
    0.3466
    """
    return F.binary_cross_entropy_with_logits(preds.double(), y.double()).item()


def mixed_label_accuracy(mix: Mix, preds: Tensor, y: Tensor) -> Tensor:
    """Share of labels `y` (B, L) whose sign the logits of a mixed batch have, own and partner's weighted by `lam`."""
    hit, partner_hit = (((preds > 0) == (side > 0.5)).float().mean(1) for side in (y, y[mix.index]))
    return torch.lerp(partner_hit, hit, mix.lam).mean()
