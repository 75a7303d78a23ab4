"""Attacks with a given bound on the change, in the maximum norm.

Each takes a model (images to logits, in evaluation), images (B, C, H, W) in [0, 1], labels (B,) and `epsilon`, and
returns images of the same shape in [0, 1], none of whose values is changed by more than `epsilon`. The model does not
learn: the gradients of its parameters are left alone. With `spare`, images that the model already gets wrong are left
as they are, which saves their steps; Foolbox attacks them too.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Model = Callable[[Tensor], Tensor]


def fgsm(model: Model, x: Tensor, y: Tensor, epsilon: float, *, spare: bool = False) -> Tensor:
    """The fast gradient sign method: one step of `epsilon` up the loss.

    Source: Goodfellow et al. 2015, arXiv:1412.6572, Section 4.

    >>> slope = torch.tensor([[1.0, 0.0]])
    >>> fgsm(lambda x: x.flatten(1) @ slope, torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), 0.25).item()
    0.25
    """
    return iterated(model, x, y, epsilon, start=x, steps=1, step_size=epsilon, spare=spare)


def bim(model: Model, x: Tensor, y: Tensor, epsilon: float, *, spare: bool = False) -> Tensor:
    """The basic iterative method: ten steps of a fifth of `epsilon` from the images, as in Foolbox.

    Source: Kurakin et al. 2017, arXiv:1607.02533, Section 2.2.
    """
    return iterated(model, x, y, epsilon, start=x, steps=10, step_size=0.2 * epsilon, spare=spare)


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    steps: int = 40,
    step_size: float | None = None,
    spare: bool = False,
) -> Tensor:
    """Projected gradient descent from a random start within `epsilon`.

    Args:
        model: images to logits.
        x: images (B, C, H, W) in [0, 1].
        y: labels (B,).
        epsilon: largest change of a value, 0 or more.
        steps: number of steps.
        step_size: size of each step, `epsilon` / 30 if None, as in Foolbox.
        spare: leave images that the model already gets wrong as they are.

    Source: Madry et al. 2018, arXiv:1706.06083, Section 2.1.
    """
    start = uniform_noise(x, epsilon)
    step_size = epsilon * 0.01 / 0.3 if step_size is None else step_size
    return iterated(model, x, y, epsilon, start=start, steps=steps, step_size=step_size, spare=spare)


def uniform_noise(x: Tensor, epsilon: float) -> Tensor:
    """One draw of noise, uniform in ± `epsilon`; no model is involved.

    Foolbox scales the draw until its largest value is `epsilon`: by 1.0003 on average for images of 3 × 32 × 32.
    """
    return (x + epsilon * (2 * torch.rand_like(x) - 1)).clamp(0, 1)


def iterated(
    model: Model,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    start: Tensor,
    steps: int,
    step_size: float,
    spare: bool = False,
) -> Tensor:
    """Steps along the sign of the loss's gradient, each clipped to within `epsilon` of `x` and to [0, 1].

    Raises:
        ValueError: `epsilon` is negative.
    """
    if not epsilon >= 0:
        raise ValueError(f"epsilon={epsilon} must be 0 or more")
    if epsilon == 0:
        return x
    if spare:
        with torch.no_grad():
            chosen = (model(x).argmax(dim=1) == y).nonzero().squeeze(1)
    else:
        chosen = torch.arange(len(x), device=x.device)
    origin, found, labels = x[chosen], start[chosen], y[chosen]
    for _ in range(steps if len(chosen) else 0):
        found = found + step_size * loss_gradient(model, found, labels).sign()
        found = (origin + (found - origin).clamp(-epsilon, epsilon)).clamp(0, 1)
    return x.index_copy(0, chosen, found)


def fgsm_standardised(model: Model, x: Tensor, y: Tensor, epsilons: Sequence[float]) -> Iterator[Tensor]:
    """FGSM on standardised images, as in PatchUp's code: values stay between a batch's smallest and largest.

    Args:
        model: standardised images to logits.
        x: standardised images (B, C, H, W).
        y: labels (B,).
        epsilons: largest changes of a value, in standard deviations, which all follow one gradient.

    Source: Faramarzi et al. 2022 (PatchUp), Figures 5 and 13, from their published code.
    """
    way = loss_gradient(model, x, y).sign()
    return ((x + epsilon * way).clamp(x.min(), x.max()) for epsilon in epsilons)


def loss_gradient(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of the summed cross entropy with respect to the images, of their shape."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)
    return gradient
