"""The networks of the reproduced papers."""

from recipes.models.arguments import Variant
from recipes.models.preact_resnet import PreActResNet, preact_resnet
from recipes.models.wide_resnet import WideResNet

__all__ = [
    "PreActResNet",
    "Variant",
    "WideResNet",
    "preact_resnet",
]
