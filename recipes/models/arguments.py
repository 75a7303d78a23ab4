"""Checks on the arguments that the residual networks share."""

from typing import Literal, get_args

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
