"""Losses against two labels, for any criterion."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

Criterion = Callable[..., Tensor] | nn.Module


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


def weighted(weight: Tensor, each: Tensor, by_sample: bool) -> Tensor:
    """Losses `each` (B, ...) times weights by sample (B,) or by location (B or 1, ...)."""
    if by_sample and each.ndim and len(each) == len(weight):
        return weight.view(-1, *[1] * (each.ndim - 1)) * each
    if (
        by_sample
        or each.ndim != weight.ndim
        or any(w not in (1, e) for w, e in zip(weight.shape, each.shape, strict=True))
    ):
        raise ValueError(
            f"criterion gives losses of shape {tuple(each.shape)} with reduction='none', and the shares have shape "
            f"{tuple(weight.shape)}; it must give a loss per sample (B, ...), or per location where axes= is given"
        )
    return weight * each


def mean_divisor(criterion: Criterion, preds: Tensor, y: Tensor) -> Tensor:
    """What the criterion's own mean divides the sum by for the labels `y`: their number, or the sum of their weights.

    It does not depend on the predictions. Bounded ones keep every term of the sum away from zero.
    """
    probe = preds.detach().to(torch.promote_types(preds.dtype, torch.float32)).tanh()
    each, mean = with_reduction(criterion, "none")(probe, y), with_reduction(criterion, "mean")(probe, y)
    return torch.where(mean == 0, each.numel(), each.sum() / mean)
