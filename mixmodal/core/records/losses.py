"""Criteria: their settings, and their losses per sample, location or element."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.devices import on_host

Criterion = Callable[..., Tensor] | nn.Module

BY_CLASS = (F.cross_entropy, F.nll_loss)
"""Criteria whose mean is over the labels that are not ignored, each weighted by its class."""
DISTANCES = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)
"""Criteria whose mean is over all elements, or divides by the sum of their weights if weights are given."""
BY_ELEMENT = (*DISTANCES, F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.kl_div, F.soft_margin_loss)
"""Criteria for predictions and targets of the same shape, whose mean is over all elements."""
MODULES: dict[type, Callable[..., Tensor]] = {
    nn.CrossEntropyLoss: F.cross_entropy,
    nn.NLLLoss: F.nll_loss,
    nn.MSELoss: F.mse_loss,
    nn.L1Loss: F.l1_loss,
    nn.SmoothL1Loss: F.smooth_l1_loss,
    nn.HuberLoss: F.huber_loss,
    nn.BCELoss: F.binary_cross_entropy,
    nn.BCEWithLogitsLoss: F.binary_cross_entropy_with_logits,
    nn.KLDivLoss: F.kl_div,
    nn.SoftMarginLoss: F.soft_margin_loss,
}
"""Modules and the function each of them calls."""


def name_of(criterion: Criterion) -> str:
    """The name of a criterion in a message.

    >>> name_of(F.mse_loss), name_of(functools.partial(F.mse_loss)), name_of(nn.MSELoss())
    ('mse_loss', 'mse_loss', 'MSELoss')
    """
    criterion = _unwrapped(criterion)
    return str(getattr(criterion, "__name__", type(criterion).__name__))


def setting(criterion: Criterion, name: str, default: Any = None) -> Any:
    """A setting of a criterion: a keyword of a partial function, or an attribute.

    >>> setting(nn.MSELoss(reduction="sum"), "reduction"), setting(F.mse_loss, "reduction")
    ('sum', None)
    """
    while isinstance(criterion, functools.partial):
        if name in criterion.keywords:
            return criterion.keywords[name]
        criterion = criterion.func
    return getattr(criterion, name, default)


def reduction_of(criterion: Criterion, asked: str | None) -> str:
    """The reduction of a loss: the one asked for; else the criterion's own setting; else the mean.

    Raises:
        ValueError: an unknown one is asked for; or it contradicts the criterion's own setting.

    >>> reduction_of(nn.KLDivLoss(reduction="batchmean"), None), reduction_of(F.mse_loss, "sum")
    ('batchmean', 'sum')
    """
    own = setting(criterion, "reduction")
    if asked is None:
        return "mean" if own is None else str(own)
    if asked not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={asked!r} must be 'mean', 'sum' or 'none', or left out for the criterion's own")
    if own not in (None, "mean", asked):
        raise ValueError(
            f"reduction={asked!r} contradicts reduction={own!r}, which {name_of(criterion)} is set to: leave it out "
            f"here, or there"
        )
    return asked


def each_loss(criterion: Criterion, preds: Tensor, target: Tensor) -> Tensor:
    """The loss of each sample, location or element, (B, ...).

    A criterion that takes a reduction is called with "none". Any other either returns each sample's loss already; or
    it returns one number, in which case it is evaluated sample by sample, and the number must be the mean of those.

    Raises:
        TypeError: the criterion does not return a tensor, or cannot be evaluated sample by sample.
        ValueError: predictions and targets of different shapes would broadcast; a number is not the mean over samples.

    >>> each_loss(lambda preds, y: (preds - y).abs().mean(), torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1))
    tensor([0., 1.])
    """
    if function_of(criterion) in BY_ELEMENT:
        _check_alike(criterion, preds, target)
    if takes_reduction(criterion):
        each = call(criterion, preds, target, "none")
    else:
        each = criterion(preds, target)
        if isinstance(each, Tensor) and each.ndim == 0:
            return _by_sample(criterion, preds, target, each)
    if not isinstance(each, Tensor):
        raise TypeError(f"criterion {name_of(criterion)} gives {type(each).__name__} and must give a tensor")
    _check_losses(criterion, preds, target, each)
    return each


def takes_reduction(criterion: Criterion) -> bool:
    """Whether a criterion takes a reduction: it has an attribute of this name, or accepts such an argument.

    >>> takes_reduction(F.mse_loss), takes_reduction(lambda preds, y: (preds - y).abs().mean())
    (True, False)
    """
    criterion = _unwrapped(criterion)
    if hasattr(criterion, "reduction"):
        return True
    function: Any = criterion.forward if isinstance(criterion, nn.Module) else criterion
    if not hasattr(function, "__code__"):
        function = getattr(function, "__func__", type(function).__call__)
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    if code is None:  # not written in Python
        return True
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return "reduction" in names or bool(code.co_flags & inspect.CO_VARKEYWORDS)


def call(criterion: Criterion, preds: Tensor, target: Tensor, reduction: str) -> Tensor:
    """The loss with a reduction. If the criterion has an attribute of this name, it is set for just this call.

    A copy would not do: anything that the criterion counts in its own attributes would be lost with it.

    >>> call(nn.MSELoss(), torch.zeros(3), torch.ones(3), "sum")
    tensor(3.)
    """
    owner: Any = _unwrapped(criterion)
    if not hasattr(owner, "reduction"):
        return criterion(preds, target, reduction=reduction)
    own, owner.reduction = owner.reduction, reduction
    try:
        return criterion(preds, target)
    finally:
        owner.reduction = own


def _unwrapped(criterion: Criterion) -> Criterion:
    """What a partial function ultimately calls."""
    while isinstance(criterion, functools.partial):
        criterion = criterion.func
    return criterion


def function_of(criterion: Criterion) -> Callable[..., Tensor] | None:
    """The function that a criterion is, or that one of torch's modules calls, with or without fixed keywords."""
    if isinstance(criterion, functools.partial):
        return None if criterion.args else function_of(criterion.func)
    return MODULES.get(type(criterion)) if isinstance(criterion, nn.Module) else criterion


def _by_sample(criterion: Criterion, preds: Tensor, target: Tensor, value: Tensor) -> Tensor:
    """The losses (B,) of a criterion that returns one number, which must be their mean."""
    try:
        each = torch.vmap(lambda one, label: criterion(one[None], label[None]))(preds, target)
    except (RuntimeError, ValueError, IndexError) as error:
        raise TypeError(
            f"criterion {name_of(criterion)} takes no reduction= and cannot be evaluated sample by sample; let it "
            f"accept reduction=, or return one loss per sample"
        ) from error
    if not (each.is_floating_point() or each.is_complex()):  # counts, for example of wrong predictions
        each, value = each.float(), value.float()
    mean, eps = each.detach().mean(), torch.finfo(value.dtype).eps
    near = (mean - value.detach()).abs() <= max(1e-4, 4 * eps) * each.detach().abs().mean()
    near = near | (mean == value) | (mean.isnan() & value.isnan())
    message = (
        f"criterion {name_of(criterion)} takes no reduction= and gives one number, which is not the mean over the "
        f"samples (preds of shape {tuple(preds.shape)}, y of shape {tuple(target.shape)}): let it accept reduction=, "
        f"or return one loss per sample"
    )
    if on_host(near):
        if not near:
            raise ValueError(f"{message}; it gives {value.item():.4g}, and the mean is {mean.item():.4g}")
    else:
        torch._assert_async(near, message)
    return each


def _check_losses(criterion: Criterion, preds: Tensor, target: Tensor, each: Tensor) -> None:
    """Raise ValueError if losses were computed between all predictions and all targets."""
    several = each.numel() > max(preds.numel(), target.numel())
    if several or (function_of(criterion) in BY_ELEMENT and each.shape != preds.shape):
        raise ValueError(
            f"criterion {name_of(criterion)} gives losses of shape {tuple(each.shape)} for preds of shape "
            f"{tuple(preds.shape)} and y of shape {tuple(target.shape)}, so that one of them, or a weight, broadcasts: "
            f"give them the same shape, as in preds.squeeze(1) or y[:, None]"
        )
    if target.is_floating_point() and preds.ndim != target.ndim and each.ndim == max(preds.ndim, target.ndim):
        _check_alike(criterion, preds, target)


def _check_alike(criterion: Criterion, preds: Tensor, target: Tensor) -> None:
    """Raise ValueError unless predictions and targets have the same shape."""
    if preds.shape != target.shape:
        raise ValueError(
            f"criterion {name_of(criterion)} needs preds and y of the same shape, got {tuple(preds.shape)} and "
            f"{tuple(target.shape)}, which would broadcast; reshape one of them, as in preds.squeeze(1) or y[:, None]"
        )
