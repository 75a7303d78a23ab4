"""The networks of the reproduced papers."""

from recipes.models.arguments import Variant
from recipes.models.preact_resnet import PreActResNet, preact_resnet, preact_resnet18, preact_resnet34
from recipes.models.wide_resnet import WideResNet

__all__ = [
    "PreActResNet",
    "Variant",
    "WideResNet",
    "preact_resnet",
    "preact_resnet18",
    "preact_resnet34",
]
