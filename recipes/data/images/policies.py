"""AutoAugment: change pictures by policies that were found by search, with torchvision's operations.

Source: Cubuk et al. 2019, "AutoAugment: Learning Augmentation Strategies from Data". The FMix paper uses those that
Fast AutoAugment (Lim et al. 2019) found for CIFAR-10, which no package ships and whose levels have other ranges.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipes.data.files import text_of

FOUND = ("svhn", "imagenet")
"""Sets, by the start of their names, that have policies of their own; others use CIFAR-10's."""
LEVELS = 10
FORM = "[[[NAME, PROBABILITY, LEVEL], [NAME, PROBABILITY, LEVEL]], ...], levels 0 to 9 or null if there are none"


class Policies:
    """Change each picture of a batch by a policy that is drawn at random: two operations, each with a probability.

    Randomness comes from torch's global generator.

    Args:
        data: name of the set, which selects torchvision's policies.
        file: JSON file with other policies, in the form of ``FORM`` and with torchvision's operations.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another form.

    >>> Policies("cifar10")(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(self, data: str, file: Path | None = None) -> None:
        from torchvision.transforms import AutoAugment, AutoAugmentPolicy

        found = next((name for name in FOUND if data.startswith(name)), "cifar10")
        self.change = AutoAugment(AutoAugmentPolicy(found))
        if file is not None:
            self.change.policies = read(file)

    def __call__(self, x: Tensor) -> Tensor:
        """Map pictures (B, C, H, W) uint8, with 1 or 3 channels, to others of the same shape."""
        return torch.stack([self.change(picture) for picture in x])


def read(file: Path) -> list[tuple[tuple[str, float, int | None], ...]]:
    """Read policies from a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another form.
    """
    from torchvision.transforms import AutoAugment

    if not file.is_file():
        raise FileNotFoundError(f"policy={str(file)!r} is not a file: give one with {FORM}")
    try:
        found = json.loads(text_of(file.read_bytes(), f"{file}"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON ({error}): give {FORM}") from error
    if not isinstance(found, list) or not found:
        raise ValueError(f"{file} has no list of policies: give {FORM}")
    known = AutoAugment()._augmentation_space(LEVELS, (32, 32))
    for number, policy in enumerate(found, 1):
        if (
            not isinstance(policy, list)
            or not 1 <= len(policy) <= 2
            or not all(_is_step(each, known) for each in policy)
        ):
            raise ValueError(
                f"{file} has {policy!r:.80} as policy {number}: give {FORM}, NAME one of {', '.join(known)}"
            )
    return [tuple((name, float(prob), level) for name, prob, level in policy) for policy in found]


def _is_step(step: Any, known: dict[str, tuple[Tensor, bool]]) -> bool:
    """Tell whether something is an operation with its probability and level."""
    if not isinstance(step, list) or len(step) != 3 or not isinstance(step[0], str) or step[0] not in known:
        return False
    name, prob, level = step
    if isinstance(prob, bool) or not isinstance(prob, int | float) or not 0 <= prob <= 1:
        return False
    return level is None if known[name][0].ndim == 0 else type(level) is int and 0 <= level < LEVELS
