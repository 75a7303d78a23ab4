"""Losses against several targets combined into one, and what the criterion's own mean divides by."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.devices import on_host
from mixmodal.core.records.losses import (
    BY_CLASS,
    BY_ELEMENT,
    DISTANCES,
    Criterion,
    call,
    each_loss,
    function_of,
    name_of,
    setting,
    takes_reduction,
)


def combined(
    criterion: Criterion,
    reduction: str,
    preds: Tensor,
    y: Tensor,
    weighed: Sequence[tuple[Tensor, Tensor]],
    *,
    by_sample: bool,
) -> Tensor:
    """Weighted losses against several targets, reduced as the criterion reduces its own losses.

    Args:
        criterion: see `Mix.loss`.
        reduction: see `reduction_of`.
        preds: predictions, (B, ...).
        y: own labels, whose number or weight a mean divides by.
        weighed: weights and targets.
        by_sample: whether weights are per sample, (B,), or per location, (B or 1, ...).
    """
    sides = [(target, each_loss(criterion, preds, target)) for _, target in weighed]
    parts = [weighted(weight, each, by_sample) for (weight, _), (_, each) in zip(weighed, sides, strict=True)]
    total = functools.reduce(torch.add, parts)
    if reduction == "none":
        return total
    return total.sum() if reduction == "sum" else total.sum() / mean_divisor(criterion, reduction, preds, y, sides)


def known_divisor(criterion: Criterion, reduction: str, preds: Tensor, y: Tensor) -> Tensor | int | None:
    """What one of torch's criteria divides its sum by for the labels `y`, given its settings; None for any other.

    Args:
        criterion: a function in `BY_CLASS` or `BY_ELEMENT`, possibly with keywords fixed by `functools.partial`, or its
            module.
        reduction: "mean", or "batchmean" for `F.kl_div`.
        preds: predictions, of which only the shape and the dtype matter.
        y: labels.

    >>> weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    >>> known_divisor(weighted, "mean", torch.zeros(3, 2), torch.tensor([0, 1, -100]))
    tensor(4.)
    """
    function = function_of(criterion)
    weight: Tensor | None = setting(criterion, "weight")
    if function in BY_CLASS and reduction == "mean":
        if y.is_floating_point():
            return y.numel() // y.shape[1] if y.ndim > 1 else 1
        counted: Tensor = y != setting(criterion, "ignore_index", -100)
        each = counted if weight is None else weight.take(torch.where(counted, y, 0).long()) * counted
        return each.sum()
    if function in BY_ELEMENT and reduction == "mean":
        return preds.numel() if weight is None or function not in DISTANCES else None
    return len(preds) if function is F.kl_div and reduction == "batchmean" else None


def mean_divisor(
    criterion: Criterion, reduction: str, preds: Tensor, y: Tensor, sides: Sequence[tuple[Tensor, Tensor]]
) -> Tensor | int:
    """What the criterion's own mean divides the sum by for the labels `y`: their number, or the sum of their weights.

    For criteria that torch does not define, it is measured: the sum of the losses over their mean, at these
    predictions. That takes one more evaluation, without gradients, which leaves a module's buffers and attributes
    unchanged. If the sum is uninformative, because every label has zero loss, the partners' labels are used instead.

    Args:
        criterion: see `Mix.loss`.
        reduction: the name of the mean: "mean", or another that the criterion accepts.
        preds: predictions.
        y: own labels.
        sides: labels and their losses; the own labels first, then the partners'.
    """
    known = known_divisor(criterion, reduction, preds, y)
    if known is not None:
        return known
    if not takes_reduction(criterion):
        return sides[0][1].numel()
    with torch.no_grad():
        if sides[0][0] is not y:
            sides = [(y, _aside(criterion, "none", preds, y)), *sides]
        divisor, sure = _ratio(criterion, reduction, preds, *sides[0])
        if len(sides) == 1:
            return divisor
        if on_host(sure) and sure:
            return divisor
        other, other_sure = _ratio(criterion, reduction, preds, *sides[1])
        return torch.where(other_sure & ~sure, other, divisor)


def weighted(weight: Tensor, each: Tensor, by_sample: bool) -> Tensor:
    """Losses `each` (B, ...) times weights per sample (B,) or per location (B or 1, ...)."""
    if by_sample and each.ndim and len(each) == len(weight):
        return _weigh(weight.view(-1, *[1] * (each.ndim - 1)), each)
    if not by_sample and each.ndim == weight.ndim - 1 > 0 and weight.shape[1] == 1:
        weight = weight.squeeze(1)  # the criterion has summed over the classes of soft labels (B, C, *grid)
    if (
        by_sample
        or each.ndim != weight.ndim
        or any(w not in (1, e) for w, e in zip(weight.shape, each.shape, strict=True))
    ):
        raise ValueError(
            f"criterion gives losses of shape {tuple(each.shape)} with reduction='none', and the shares have shape "
            f"{tuple(weight.shape)}; it must return a loss per sample (B, ...), or per location where axes= is given"
        )
    return _weigh(weight, each)


def _weigh(weight: Tensor, each: Tensor) -> Tensor:
    """The product, 0 where the weight is 0, even if the loss is infinite or not a number."""
    return torch.where(weight == 0, 0, weight * each)


def _ratio(criterion: Criterion, reduction: str, preds: Tensor, y: Tensor, each: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of losses over the criterion's own mean, and whether the sum is far enough from zero to trust this."""
    mean = _aside(criterion, reduction, preds, y)
    if mean.ndim:
        raise ValueError(
            f"criterion {name_of(criterion)} gives losses of shape {tuple(mean.shape)} with "
            f"reduction={reduction!r} and must give one number; pass reduction='none' for the unreduced losses"
        )
    each = each.detach().to(torch.promote_types(each.dtype, torch.float32))
    total = each.sum()
    tiny = torch.finfo(total.dtype).tiny / torch.finfo(total.dtype).eps
    sure = total.abs() > (1e-3 * each.abs().sum()).clamp(min=tiny)
    return torch.where(mean == 0, each.numel(), total / mean), sure


def _aside(criterion: Criterion, reduction: str, preds: Tensor, y: Tensor) -> Tensor:
    """A loss that leaves no trace in a module: its buffers are copied, and its attributes are restored."""
    preds = preds.detach()
    if not isinstance(criterion, nn.Module):
        return call(criterion, preds, y, reduction)
    asked = {} if hasattr(criterion, "reduction") else {"reduction": reduction}
    before = {name: value for name, value in vars(criterion).items() if not name.startswith("_")}
    if not asked:
        criterion.reduction = reduction  # type: ignore[assignment]
    try:
        buffers = {name: buffer.clone() for name, buffer in criterion.named_buffers()}
        loss: Tensor = torch.func.functional_call(criterion, buffers, (preds, y), asked)
    finally:
        for name, value in before.items():
            setattr(criterion, name, value)
    return loss
