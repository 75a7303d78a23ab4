"""Losses against two labels, for any criterion."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mixmodal.core.checks import check_range
from mixmodal.core.records.blends import between

Criterion = Callable[..., Tensor] | nn.Module
Terms = tuple[tuple[Tensor, Tensor | float], ...]
"""Pairs of a weight (B,) and the own share of the target that it weighs: (B,), or 1 or 0."""


def with_reduction(criterion: Criterion, reduction: str) -> Callable[[Tensor, Tensor], Tensor]:
    """`criterion` with another reduction: the same function, or a copy of a module.

    Raises:
        TypeError: it has none.

    >>> with_reduction(nn.MSELoss(), "sum")(torch.zeros(3), torch.ones(3))
    tensor(3.)
    """
    if isinstance(criterion, nn.Module):
        if not hasattr(criterion, "reduction"):
            raise TypeError(
                f"criterion {type(criterion).__name__} has no attribute 'reduction' to set to {reduction!r}; give it "
                f"one, or pass a function that takes reduction="
            )
        twin = object.__new__(type(criterion))  # copy.copy of a module cannot be compiled
        twin.__dict__.update(criterion.__dict__)
        twin.reduction = reduction  # type: ignore[assignment]
        return twin
    return functools.partial(criterion, reduction=reduction)


def soft_labels(y: Tensor, num_classes: int | None) -> Tensor:
    """Labels as floats that can be blended, in float32 at least: class numbers (B,) become one-hot rows.

    Raises:
        ValueError: integers without `num_classes`, out of range or with more than one axis.

    >>> soft_labels(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if y.dtype == torch.bool or y.is_floating_point():
        return y.to(torch.promote_types(y.dtype, torch.float32))
    if y.ndim > 1:
        raise ValueError(
            f"y holds integers of shape {tuple(y.shape)}: pass y.float() if they are multi-label targets; mix a label "
            f"map as mix(y, axes='b *') or weigh its losses with mix.loss(preds, y, axes='b *')"
        )
    if num_classes is None:
        raise ValueError(f"y holds integers ({y.dtype}), and soft targets need num_classes=; got None")
    check_range(y, 0, num_classes - 1, f"y must lie in [0, num_classes={num_classes}); mix.loss ignores labels")
    return (y[:, None] == torch.arange(num_classes, device=y.device)).float()


def blend_targets(share: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """`share · y + (1 - share) · y[index]` for floating targets (B, ...) and shares (B,)."""
    return between(share.to(y.dtype).view(-1, *[1] * (y.ndim - 1)), y, y.index_select(0, index))


def targets_of(terms: Terms, y: Tensor, index: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The weights (B,) of a loss and their targets.

    Own labels and partners' labels come once at the most. Integers cannot be blended: a term with a share becomes one
    of each side.

    >>> targets_of(((torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.0])),), torch.tensor([3, 4]), torch.tensor([1, 0]))
    [(tensor([0.2500, 0.0000]), tensor([3, 4])), (tensor([0.2500, 1.0000]), tensor([4, 3]))]
    """
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    blended = []
    for weight, share in terms:
        if not isinstance(share, Tensor):
            sides[share == 0].append(weight)
        elif y.is_floating_point():
            blended.append((weight, blend_targets(share, y, index)))
        else:
            sides[0].append(weight * share)
            sides[1].append(weight * (1 - share))
    partner_y = y.index_select(0, index) if sides[1] else y
    return [(_sum(side), of) for side, of in zip(sides, (y, partner_y), strict=True) if side] + blended


def _sum(weights: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, weights)


def weighted(weight: Tensor, each: Tensor, by_sample: bool) -> Tensor:
    """Losses `each` (B, ...) times weights by sample (B,) or by location (B or 1, ...)."""
    if by_sample and each.ndim and len(each) == len(weight):
        return _weigh(weight.view(-1, *[1] * (each.ndim - 1)), each)
    if (
        by_sample
        or each.ndim != weight.ndim
        or any(w not in (1, e) for w, e in zip(weight.shape, each.shape, strict=True))
    ):
        raise ValueError(
            f"criterion gives losses of shape {tuple(each.shape)} with reduction='none', and the shares have shape "
            f"{tuple(weight.shape)}; it must give a loss per sample (B, ...), or per location where axes= is given"
        )
    return _weigh(weight, each)


def _weigh(weight: Tensor, each: Tensor) -> Tensor:
    """The product, 0 where the weight is 0, also of a loss that is infinite or not a number."""
    return torch.where(weight == 0, 0, weight * each)


def mean_divisor(criterion: Criterion, preds: Tensor, y: Tensor) -> Tensor:
    """What the criterion's own mean divides the sum by for the labels `y`: their number, or the sum of their weights.

    It does not depend on the predictions. Bounded ones keep every term of the sum away from zero.
    """
    probe = preds.detach().to(torch.promote_types(preds.dtype, torch.float32)).tanh()
    each, mean = with_reduction(criterion, "none")(probe, y), with_reduction(criterion, "mean")(probe, y)
    return torch.where(mean == 0, each.numel(), each.sum() / mean)
