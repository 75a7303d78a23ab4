"""Which images a model still gets right under an attack, for each size of the change."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from recipes.measuring.attacking.bounded import Model

Sized = Callable[[Model, Tensor, Tensor, Sequence[float]], Iterator[Tensor]]
"""Maps a model, images, labels and sizes to attacked images for each size."""


def at_each(attack: Callable[[Model, Tensor, Tensor, float], Tensor]) -> Sized:
    """An attack that is run anew for each size."""
    return lambda model, x, y, epsilons: (attack(model, x, y, epsilon) for epsilon in epsilons)


def cut_to(attack: Callable[[Model, Tensor, Tensor], Tensor], cut: Callable[[Tensor, Tensor, float], Tensor]) -> Sized:
    """An attack that is run once, with its changes cut to each size."""

    def sized(model: Model, x: Tensor, y: Tensor, epsilons: Sequence[float]) -> Iterator[Tensor]:
        found = attack(model, x, y)
        return (cut(x, found, epsilon) for epsilon in epsilons)

    return sized


@torch.no_grad()
def right(attack: Sized, model: Model, x: Tensor, y: Tensor, epsilons: Sequence[float]) -> Tensor:
    """Which images (B, C, H, W) a model still classifies as labelled (B,) after an attack, (sizes, B) bool.

    >>> noise = at_each(lambda model, x, y, epsilon: x + epsilon)
    >>> x = torch.tensor([[0.2, 0.5], [0.5, 0.2]])
    >>> right(noise, lambda x: x * torch.tensor([1.0, 1.5]), x, torch.tensor([1, 0]), [0.0, 1.0])
    tensor([[ True,  True],
            [ True, False]])
    """
    return torch.stack([model(found).argmax(dim=1) == y for found in attack(model, x, y, epsilons)])
