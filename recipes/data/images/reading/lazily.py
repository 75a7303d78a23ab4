"""Images that are decoded on demand, or held in memory if they are small enough."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipes.data.disk.lazy import Lazy, Samples, held
from recipes.data.files import in_one_line
from recipes.data.images.pixels import UNDECODABLE
from recipes.data.images.reading.decoding import ONE_SIZE, Square, opened, seen, stack_images

HELD = 2**31
"""Most bytes that the decoded images of a split may take in memory; larger splits are decoded on demand."""


@dataclass(frozen=True, eq=False)
class Decoder:
    """Reads images (n, C, H, W) uint8 of one size, for `Lazy`.

    Args:
        source: gives the name and the picture of each number.
        row: (C, H, W) of each.
        square: what to cut out of each; they must have one size if None.
        mode: ``"RGB"`` or ``"L"``.
    """

    source: Any
    row: tuple[int, ...]
    square: Square | None
    mode: str = "RGB"
    decodes: bool = field(default=True, init=False)

    def __call__(self, numbers: Sequence[int], draws: Sequence[int] | None) -> Tensor:
        """Read images, a random part of each if there are draws.

        Raises:
            ValueError: one is damaged, or has another size.
        """
        return stack_images(self._images(numbers, draws or [None] * len(numbers)), len(numbers), self.mode)

    def _images(self, numbers: Sequence[int], draws: Sequence[int | None]) -> Iterator[tuple[str, Image.Image]]:
        height, width = self.row[1:]
        for number, draw in zip(numbers, draws, strict=True):
            name = self.source.name(number)
            image = seen(self.source.image(number), self.mode, name)
            if self.square is not None:
                image = self.square(image, draw)
            elif image.size != (width, height):
                size = f"{image.width}x{image.height}"
                raise ValueError(f"{name} has {size} pixels and {self.source.name(0)} {width}x{height}: {ONE_SIZE}")
            yield name, image


class Files:
    """Image files by number. Their names are held as bytes in one array, which workers share instead of copying it."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.names = np.array([os.fsencode(path) for path in paths])

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        """The name of an image in errors."""
        return os.fsdecode(bytes(self.names[number]))

    def image(self, number: int) -> Image.Image:
        """Decode an image."""
        return opened(self.name(number))


@dataclass(frozen=True, eq=False)
class Rows:
    """Images by number in a ``datasets.Dataset``, which lies in memory-mapped files."""

    data: Any
    column: str

    def __len__(self) -> int:
        return len(self.data)

    def name(self, number: int) -> str:
        """The name of an image in errors."""
        return f"image {number}"

    def image(self, number: int) -> Image.Image:
        """Decode an image."""
        try:
            found: Image.Image = self.data[number][self.column]
        except UNDECODABLE as error:
            raise ValueError(f"{self.name(number)} cannot be decoded ({in_one_line(error)})") from error
        return found


def images_of(source: Files | Rows, square: Square | None, mode: str = "RGB", *, random: bool = False) -> Samples:
    """Images (N, C, H, W) uint8: held in memory if that takes 2 GiB or less, else read on demand.

    Args:
        source: the images.
        square: what to cut out of each; they must have one size if None.
        mode: ``"RGB"`` or ``"L"``.
        random: cut out a random part in training, another one in each epoch; such images are always read on demand.

    Raises:
        ValueError: there are none, or the first, or one of those that are held, is damaged or has another size.
    """
    if not len(source):
        raise ValueError("there are no images: give a set with one or more in each split")
    first = seen(source.image(0), mode, source.name(0))
    width, height = first.size if square is None else (square.side, square.side)
    row = (len(first.getbands()), height, width)
    lazy = Lazy(Decoder(source, row, square, mode), torch.arange(len(source)), row, torch.uint8, random=random)
    return lazy if random or math.prod(lazy.shape) > HELD else held(lazy, "decoding images")
