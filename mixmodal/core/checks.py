"""Checks of what is given, with errors that say what was found and what would be right."""

import math

import torch
from torch import Tensor

from mixmodal.core.devices import on_host


def check(holds: Tensor, message: str, values: Tensor) -> None:
    """Raise ValueError with the range of `values` unless `holds` everywhere; elsewhere than on the CPU assert it."""
    if on_host(holds):
        if not holds.all():
            raise ValueError(f"{message}; got values from {values.min().item():.4g} to {values.max().item():.4g}")
    else:
        torch._assert_async(holds.all(), message)


def check_range(values: Tensor, least: float, most: float, message: str) -> None:
    """Raise ValueError with the range of `values` unless all lie in [least, most]; off the CPU assert it."""
    if on_host(values):
        if values.numel():
            low, high = (bound.item() for bound in values.aminmax())
            if not (least <= low and high <= most):
                raise ValueError(f"{message}; got values from {low:.4g} to {high:.4g}")
    else:
        torch._assert_async(((values >= least) & (values <= most)).all(), message)


def check_tensor(x: object, name: str) -> None:
    """Raise TypeError unless `x` is a tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} is {type(x).__name__} and must be a torch.Tensor; make one with torch.as_tensor({name})"
        )


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Raise ValueError, naming the argument, its value and the rule, unless the condition holds."""
    if not condition:
        raise ValueError(f"{name}={value!r} must {rule}")


def is_number(value: object) -> bool:
    """Whether a value is a finite Python number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf
