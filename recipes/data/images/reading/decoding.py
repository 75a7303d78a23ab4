"""From image files to pixels."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from recipes.data.files import in_one_line
from recipes.data.images.pixels import UNDECODABLE, as_seen

ONE_SIZE = "all images of a set must have one size (--side resizes a folder of images)"
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Ranges of the share of the pixels and of the aspect ratio of a random part."""


@dataclass(frozen=True)
class Square:
    """Cut a square out of an image of any size, and resize it.

    Args:
        side: pixels along each axis of the square.
        shorter: pixels that the shorter side of the image is resized to before the square in the middle is cut out,
            as by torchvision's ``Resize`` and ``CenterCrop``.
    """

    side: int
    shorter: int

    def __call__(self, image: Image.Image, draw: int | None = None) -> Image.Image:
        """The square in the middle, or with a draw's seed a random part, as torchvision's ``RandomResizedCrop``."""
        side = self.side
        if draw is not None:
            return self._random(image, draw)
        least = min(image.size)
        width, height = (self.shorter * length // least for length in image.size)
        left, top = round((width - side) / 2), round((height - side) / 2)
        return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))

    def _random(self, image: Image.Image, draw: int) -> Image.Image:
        from torchvision.transforms import RandomResizedCrop

        with _seeded(draw):
            top, left, height, width = RandomResizedCrop.get_params(image, list(SCALE), list(RATIO))
        box = (left, top, left + width, top + height)
        return image.crop(box).resize((self.side, self.side), Image.Resampling.BILINEAR)


def opened(path: Path | str) -> Image.Image:
    """Decode an image file into RGB, as a viewer shows it.

    Raises:
        ValueError: it is damaged.
    """
    try:
        raw = Path(path).read_bytes()  # Pillow asks a file for as many bytes as a picture claims to have
        with Image.open(io.BytesIO(raw)) as image:
            return as_seen(image, "RGB")
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} cannot be decoded (it is not a picture of a known kind)") from error
    except UNDECODABLE as error:
        raise ValueError(f"{path} cannot be decoded ({in_one_line(error)})") from error


def stack_images(images: Iterable[tuple[str, Image.Image]], count: int, mode: str = "RGB") -> Tensor:
    """Put ``count`` named images of one size into one tensor (count, C, H, W) uint8, in ``mode``, by `as_seen`.

    Raises:
        ValueError: an image differs in size from the first, or cannot be converted.
    """
    stacked = np.empty(0, dtype=np.uint8)
    first = ""
    for index, (name, image) in enumerate(images):
        pixels = np.asarray(seen(image, mode, name))
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if not index:
            stacked, first = np.empty((count, *planes.shape), dtype=np.uint8), name
        if planes.shape != stacked.shape[1:]:
            sizes = [f"{shape[-1]}x{shape[-2]}" for shape in (planes.shape, stacked.shape)]
            raise ValueError(f"{name} has {sizes[0]} pixels and {first} {sizes[1]}: {ONE_SIZE}")
        stacked[index] = planes
    return torch.from_numpy(stacked)


def seen(image: Image.Image, mode: str, name: str) -> Image.Image:
    """Convert a picture by `as_seen`, and name it in errors."""
    try:
        return as_seen(image, mode)
    except UNDECODABLE as error:
        raise ValueError(f"{name} cannot be decoded ({in_one_line(error)})") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's generator for a while; others, such as a GPU's, are left alone."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
