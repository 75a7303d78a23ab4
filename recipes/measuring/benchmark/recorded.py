"""What the published code of the papers took, measured in another run against the same floor: hence as ratios to it.

The floor is `torch.where(keep, x, y, out=out)`. The code was run on 2 cores of an AMD EPYC with torch 2.14.1.
"""

from typing import NamedTuple

Shape = tuple[int, ...]


class Masks(NamedTuple):
    """Milliseconds of one batch: the floor, one mask for all samples, and such a mask with its application."""

    floor: float
    mask: float
    both: float


MASKS: dict[str, dict[Shape, Masks]] = {
    "fmix": {
        (128, 3, 32, 32): Masks(0.18, 0.29, 8.7),
        (128, 3, 224, 224): Masks(9.3, 5.6, 199),
        (32, 1, 32, 32, 32): Masks(0.6, 3.7, 9.6),
        (8, 1, 128, 128, 128): Masks(34, 290, 545),
        (128, 1, 16000): Masks(1.0, 2.0, 28),
        (64, 300, 200): Masks(1.9, 0.14, 44),
    }
}
"""FMix's own code, by method and the shape of the batch."""

BLOCKS: dict[str, dict[Shape, float]] = {
    "patchup-soft": {(128, 64, 32, 32): 501 / 6.9, (128, 128, 16, 16): 160 / 2.4, (100, 160, 32, 32): 832 / 35},
    "patchup-hard": {(128, 64, 32, 32): 304 / 6.9, (128, 128, 16, 16): 196 / 2.4, (100, 160, 32, 32): 745 / 35},
}
"""PatchUp's own code in multiples of the floor, by method and the shape of the features."""


def of_batch(method: str, shape: Shape) -> float | None:
    """The floors that the published code takes to mix a batch by one draw; None where it was not measured.

    >>> round(of_batch("fmix", (128, 1, 16000))), of_batch("mixup", (128, 1, 16000))
    (28, None)
    """
    masks = MASKS.get(method, {}).get(shape)
    return BLOCKS.get(method, {}).get(shape) if masks is None else masks.both / masks.floor


def of_samples(method: str, shape: Shape) -> float | None:
    """The floors of a mask for each sample, one after the other, applied together; None if it was not measured."""
    masks = MASKS.get(method, {}).get(shape)
    return None if masks is None else ((shape[0] - 1) * masks.mask + masks.both) / masks.floor


def of_masks(method: str, shape: Shape) -> float | None:
    """The floors of a mask for each sample, one after the other, without applying them."""
    masks = MASKS.get(method, {}).get(shape)
    return None if masks is None else shape[0] * masks.mask / masks.floor
