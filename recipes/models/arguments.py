"""Checks on the arguments that the residual networks share."""

from typing import Literal, get_args

import torch
from torch import nn

Variant = Literal["fmix", "patchup"]


def check_positive(**arguments: int) -> None:
    """Raise a ``ValueError`` for the first argument below 1."""
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name}={value} must be a whole number of at least 1")


def check_variant(variant: str) -> None:
    """Raise a ``ValueError`` unless ``variant`` names one of the two papers."""
    if variant not in get_args(Variant):
        raise ValueError(f"variant={variant!r} is unknown: choose {' or '.join(map(repr, get_args(Variant)))}")


def channels_last(net: nn.Module, width: int) -> nn.Module:
    """The network with channels last, which is faster on CPUs and GPUs; unchanged unless 8 divides its width.

    On a CPU without AVX-512, a strided 1x1 convolution with fewer than 8 channels makes PyTorch 2.14 write past its
    memory in this format and crash.

    >>> channels_last(nn.Conv2d(2, 4, 3), 4).weight.is_contiguous()
    True
    """
    return net.to(memory_format=torch.channels_last) if width % 8 == 0 else net
