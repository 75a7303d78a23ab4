"""Attacks that look for the smallest change that makes a model err, and functions that cut changes to a size.

Each takes a model (images to logits, in evaluation), images (B, C, H, W) in [0, 1] and labels (B,), and returns
images of the same shape in [0, 1]; those that the model already gets wrong stay as they are. A change larger than an
`epsilon` is cut to it by `within_linf` or `within_l2` and judged after that, as in Foolbox.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.measuring.attacking.bounded import Model


def within_linf(x: Tensor, found: Tensor, epsilon: float) -> Tensor:
    """`found`, with the change of each value cut to `epsilon`.

    >>> within_linf(torch.zeros(1, 2), torch.tensor([[0.5, -0.125]]), 0.25)
    tensor([[ 0.2500, -0.1250]])
    """
    return x + (found - x).clamp(-epsilon, epsilon)


def within_l2(x: Tensor, found: Tensor, epsilon: float) -> Tensor:
    """`found`, with the change of each image scaled to a Euclidean norm of `epsilon` where it is longer.

    >>> within_l2(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), 1.0)
    tensor([[0.6000, 0.8000]])
    """
    change = found - x
    return x + change * (epsilon / _lengths(change).clamp(min=1e-12)).clamp(max=1)


def deepfool(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
) -> Tensor:
    """DeepFool in the maximum norm: steps to the nearest boundary, each boundary taken for a plane.

    Args:
        model: images to logits.
        x: images (B, C, H, W) in [0, 1].
        y: labels (B,).
        steps: maximum number of steps.
        candidates: how many of the likeliest classes are considered, 2 or more.
        overshoot: share of the change by which it goes beyond the boundary.

    Source: Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, Algorithm 2 and Section 3 for other norms; constants as in
    Foolbox.
    """
    with torch.no_grad():
        classes = model(x).argsort(dim=1, descending=True)[:, :candidates]
    found, change = x.clone(), torch.zeros_like(x)
    left = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        gaps, gradients, wrong = _boundaries(model, found[left], y[left], classes[left])
        left, gaps, gradients = left[~wrong], gaps[~wrong], gradients[~wrong]
        if not len(left):
            break
        distances = gaps.abs() / (gradients.flatten(2).abs().sum(2) + 1e-8)
        nearest, rows = distances.argmin(dim=1), torch.arange(len(left), device=x.device)
        change[left] += _spread(distances[rows, nearest] + 1e-4, x) * gradients[rows, nearest].sign()
        found[left] = (x[left] + (1 + overshoot) * change[left]).clamp(0, 1)
    return found


def ddn(
    model: Model, x: Tensor, y: Tensor, *, steps: int = 100, init_epsilon: float = 1.0, gamma: float = 0.05
) -> Tensor:
    """Decoupled direction and norm: a step up the loss, then a norm that shrinks while the model errs and grows if not.

    Args:
        model: images to logits.
        x: images (B, C, H, W) in [0, 1].
        y: labels (B,).
        steps: number of steps.
        init_epsilon: initial Euclidean norm of the change.
        gamma: share by which the norm changes in a step.

    Source: Rony et al. 2019, arXiv:1811.09600, Algorithm 1; step sizes and constants as in Foolbox.
    """
    change, best = torch.zeros_like(x), torch.zeros_like(x)
    longest = _lengths(torch.maximum(x, 1 - x))
    shortest, norm = longest, torch.full_like(longest, init_epsilon)
    for step in range(steps):
        logits, gradient = _loss_gradient(model, x + change, y)
        wrong = _spread(logits.argmax(dim=1) != y, x)
        better = wrong & (_lengths(change) <= shortest)
        shortest, best = torch.where(better, _lengths(change), shortest), torch.where(better, change, best)
        size = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
        change = change + size * gradient / _lengths(gradient).clamp(min=1e-12)
        norm = torch.minimum(norm * torch.where(wrong, 1 - gamma, 1 + gamma), longest)
        change = (x + change * norm / _lengths(change).clamp(min=1e-12)).clamp(0, 1) - x
    return x + best


def carlini_wagner(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    searches: int = 9,
    steps: int = 10_000,
    lr: float = 1e-2,
    weight: float = 1e-3,
) -> Tensor:
    """Carlini and Wagner's attack in the Euclidean norm: Adam on the change and a weighted margin.

    Unlike Foolbox's, it never stops early, which there depends on the batch, and images for which no error was found
    stay as they are; there they come out black.

    Args:
        model: images to logits.
        x: images (B, C, H, W) in [0, 1].
        y: labels (B,).
        searches: number of weights of the margin that are tried for each image.
        steps: number of steps with each weight.
        lr: learning rate of Adam.
        weight: the first weight; the next is ten times as large until the model errs, then intervals are halved.

    Source: Carlini and Wagner 2017, arXiv:1608.04644, Section VI; constants as in Foolbox.
    """
    middle = torch.atanh((2 * x - 1) * 0.999999)
    origin = (torch.tanh(middle) + 1) / 2
    best, shortest = x, torch.full_like(_lengths(x), math.inf)
    weights = torch.full((len(x),), weight, dtype=torch.float64, device=x.device)
    low, high = torch.zeros_like(weights), torch.full_like(weights, math.inf)
    for _ in range(searches):
        shift = torch.zeros_like(x).requires_grad_()
        optimizer = torch.optim.Adam([shift], lr=lr)
        succeeded = torch.zeros_like(y, dtype=torch.bool)
        for _ in range(steps):
            with torch.enable_grad():
                found = (torch.tanh(middle + shift) + 1) / 2
                logits = model(found)
                margin = _margin(logits, y).clamp(min=0)
                loss = (weights.to(x.dtype) * margin).sum() + (found - origin).square().sum()
                (shift.grad,) = torch.autograd.grad(loss, shift)
            optimizer.step()
            found, wrong = found.detach(), logits.argmax(dim=1) != y
            succeeded |= wrong
            better = _spread(wrong, x) & (_lengths(found - x) < shortest)
            shortest, best = torch.where(better, _lengths(found - x), shortest), torch.where(better, found, best)
        low, high = torch.where(succeeded, low, weights), torch.where(succeeded, weights, high)
        weights = torch.where(high.isinf(), 10 * weights, (low + high) / 2)
    return best


def _boundaries(model: Model, x: Tensor, y: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far candidates' logits are above the first's (B, K - 1), gradients (B, K - 1, ...), and which are wrong."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model(x)
        ranked = logits.gather(1, classes)
        gaps = ranked[:, 1:] - ranked[:, :1]
        gradients = [torch.autograd.grad(gap.sum(), x, retain_graph=True)[0] for gap in gaps.unbind(1)]
    return gaps.detach(), torch.stack(gradients, dim=1), logits.argmax(dim=1) != y


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    """How far the logit of the label is above the largest of the others (B,)."""
    own = F.one_hot(y, logits.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -math.inf).amax(dim=1)


def _loss_gradient(model: Model, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and the gradient of the summed cross entropy; random directions where that is zero."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model(x)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x)
    return logits.detach(), torch.where(_lengths(gradient) == 0, torch.randn_like(gradient), gradient)


def _lengths(x: Tensor) -> Tensor:
    """Euclidean norm of each image, (B, 1, ...)."""
    return _spread(torch.linalg.vector_norm(x.flatten(1), dim=1), x)


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """Values of the images (B,) as (B, 1, ...)."""
    return values.view(-1, *[1] * (x.ndim - 1))
