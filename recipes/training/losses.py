"""The loss of the PatchUp paper's code."""

import torch
from torch import Tensor


def softmax_bce(preds: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Binary cross entropy of softmax probabilities: each class against all others.

    If all classes are equally likely, its gradient is that of cross entropy divided by C - 1. Both log p and
    log(1 - p) are computed from logarithms, in float32 or higher, so that they are finite for finite logits, however
    large.

    Args:
        preds: logits (B, C), of at least two classes.
        target: classes (B,), integers in 0..C - 1, or probabilities (B, C).
        reduction: ``"mean"`` over samples and classes; ``"none"`` for the mean over the classes of every sample, and
            ``"sum"`` for the sum of these.

    Returns:
        a scalar, or (B,) for ``"none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: a shape or the reduction is not one of these.

    >>> softmax_bce(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.6931)

    Source: ``BCELoss(softmax(out), target)`` in the published code of Faramarzi et al. 2020 (PatchUp), and of Verma et
    al. 2019 (Manifold Mixup) before it.

    Deviation: ``BCELoss`` cuts logarithms off at -100 and loses log(1 - p) where p rounds to 1; here they are exact.
    """
    if preds.ndim != 2 or preds.shape[1] < 2:
        raise ValueError(f"preds has shape {tuple(preds.shape)}, expected (B, C) with C of at least 2")
    if target.shape != (preds.shape if target.is_floating_point() else preds.shape[:1]):
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}, expected integers {tuple(preds.shape[:1])} or floating "
            f"numbers {tuple(preds.shape)}"
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r} must be 'mean', 'sum' or 'none'")
    log_p = preds.to(torch.promote_types(preds.dtype, torch.float32)).log_softmax(1)
    log_rest = log_one_minus(log_p)
    if target.is_floating_point():
        share = target.to(log_p.dtype)
    else:
        share = torch.zeros_like(log_p).scatter(1, target.long().unsqueeze(1), 1.0)
    each = -(share * log_p + (1 - share) * log_rest).mean(1)
    if reduction == "none":
        return each
    return each.mean() if reduction == "mean" else each.sum()


def log_one_minus(log_p: Tensor) -> Tensor:
    """Return log(1 - p) for log p (B, C) whose p sum to 1: for the likeliest class, the log of the sum of the others.

    All others have a p of at most 1/2, where ``log1p`` is exact.
    """
    top = log_p.argmax(1, keepdim=True)
    others = log_p.scatter(1, top, -torch.inf)
    return torch.log1p(-others.exp()).scatter(1, top, others.logsumexp(1, keepdim=True))
