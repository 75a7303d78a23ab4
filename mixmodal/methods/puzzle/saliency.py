"""Saliency: which parts of its input matter to a model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.checks import check_tensor, is_number, require
from mixmodal.core.grids import channels, grid_of


def saliency(
    model: nn.Module,
    x: Tensor,
    y: Any,
    criterion: Callable[[Any, Any], Tensor] = F.cross_entropy,
    *,
    axes: str = "b c *",
    keep: float = 0.0,
) -> Tensor:
    """How much the loss depends on each location of the input, from one forward and one backward pass.

    Args:
        model: the model, called with `x`.
        x: the batch before mixing, (B, ...), floating or complex; not modified, whether it requires grad or not.
        y: its labels, as `criterion` takes them.
        criterion: computes one number from `model(x)` and `y`, a mean over the batch.
        axes: axes pattern of `x`.
        keep: if 0, the model is in evaluation mode for these passes, and its gradients and buffers are unchanged. If
            above 0, the model runs in its current mode, and the gradient of `keep` times the loss is added to that of
            its parameters, so that the step on the mixed batch learns from the clean one too. If you use a gradient
            scaler, multiply its scale in.

    Returns:
        (B, *grid), at least float32, 0 or more; the root mean square of the loss's gradient over the named axes.

    Raises:
        TypeError: `model` is not a module; `x` is not a tensor, or holds integers.
        ValueError: `x` does not fit `axes`; `keep` is negative; the loss is not one number, or does not depend on `x`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    >>> saliency(model, torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])).shape
    torch.Size([4, 2, 2])

    Gradients of a small loss underflow in float16, but not in bfloat16. cuDNN's recurrent layers have no backward pass
    in evaluation mode: use `keep`, or turn cuDNN off for the call.

    Source: Kim et al., Puzzle Mix (ICML 2020); the code published with it, main.py, where `keep` follows from
    clean_lam: 0 on CIFAR-100 and ImageNet; on Tiny-ImageNet clean_lam = 1 and `keep` = 2 · clean_lam / num_classes, for
    a loss of the mixed batch that is a mean over the classes; in the ImageNet code `keep` = clean_lam.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__} and must be a torch.nn.Module, whose mode can be switched")
    check_tensor(x, "x")
    grid_of(x, axes)
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(
            f"x is {x.dtype}, and integers have no gradient: pass embeddings, as in saliency(model, embed(ids), y, "
            f"axes='b * d') with a model that takes them, or images as floats"
        )
    require(is_number(keep) and keep >= 0, "keep", keep, "be a number, 0 or more")
    with torch.enable_grad(), nullcontext() if keep else _evaluating(model):
        leaf = x.detach().requires_grad_()
        loss = criterion(model(leaf), y)
        if loss.numel() != 1:
            raise ValueError(f"criterion gives losses of shape {tuple(loss.shape)} and must give their mean")
        gradient = _gradient(loss, leaf, keep) if loss.requires_grad else None
    if gradient is None:
        raise ValueError("the loss does not depend on x; pass as x what the model computes its output from")
    square = channels(gradient.abs(), axes).square()
    return square.mean(1).sqrt()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module then returns to its own mode."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _gradient(loss: Tensor, x: Tensor, keep: float) -> Tensor | None:
    """Gradient of the loss with respect to `x`; with `keep`, parameters accumulate theirs too."""
    if not keep:
        return torch.autograd.grad(loss, x, allow_unused=True)[0]
    torch.autograd.backward(keep * loss.sum())
    return None if x.grad is None else x.grad / keep
