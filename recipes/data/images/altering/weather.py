"""Building blocks of the corruptions, for whole batches: blurs, zooms, fields of fog and bilinear sampling."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]


def smoothed(x: Array, sigma: float) -> Array:
    """Gaussian blur of images (N, H, W, C), with the nearest pixel outside."""
    found: Array = ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest")
    return found


def disk(radius: float, blur: float) -> Array:
    """A disk of 17 × 17 cells with sum 1, blurred by three taps of a Gaussian."""
    places = np.arange(-8, 9)
    inside = (places**2 + places[:, None] ** 2 <= radius**2).astype(float)
    taps = np.exp(-0.5 * (np.array([-1, 0, 1]) / blur) ** 2)
    taps /= taps.sum()
    kernel = inside / inside.sum()
    for axis in (0, 1):
        kernel = np.asarray(ndimage.correlate1d(kernel, taps, axis=axis, mode="mirror"))
    return np.asarray(kernel)


def convolved(x: Array, kernel: Array) -> Array:
    """Images (N, H, W, C) filtered by a kernel of odd size, mirrored at the outermost pixels."""
    (down, right), (height, width) = (size // 2 for size in kernel.shape), x.shape[1:3]
    padded = np.pad(x, ((0, 0), (down, down), (right, right), (0, 0)), mode="reflect")
    found = np.zeros_like(x)
    for row, column in np.argwhere(kernel):
        found += kernel[row, column] * padded[:, row : row + height, column : column + width]
    return found


def moved(x: Array, radius: int, sigma: float, degrees: Array) -> Array:
    """Motion blur of images (N, H, W, C) along angles (N,): half a Gaussian of 2 · radius + 1 taps, as ImageMagick's.

    Outside the image, the nearest pixel is repeated.
    """
    n, height, width, _ = x.shape
    weights = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    image, row, column = np.ogrid[:n, :height, :width]
    blurred = np.zeros_like(x)
    for step, weight in enumerate(weights):
        down, right = (
            np.ceil(step * part(np.deg2rad(degrees)) - 0.5).astype(int).reshape(-1, 1, 1) for part in (np.sin, np.cos)
        )
        blurred += weight * x[image, (row + down).clip(0, height - 1), (column + right).clip(0, width - 1)]
    return blurred


def zoomed(x: Array, factor: float) -> Array:
    """The middle of square images (N, H, H, C), enlarged to their size: bilinear, from corner to corner, as SciPy's."""
    side = x.shape[1]
    part = int(np.ceil(side / factor))
    large = round(part * factor)
    places = np.arange(large) * (part - 1) / max(large - 1, 1)
    weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(part)))
    trim, top = (large - side) // 2, (side - part) // 2
    weights, middle = weights[trim : trim + side], x[:, top : top + part, top : top + part]
    found: Array = np.einsum("ri,nijc,sj->nrsc", weights, middle, weights, optimize=True)
    return found


def fog(n: int, side: int, decay: float, rng: np.random.Generator) -> Array:
    """Fields (n, side, side) in [0, 1] by the diamond-square algorithm on a torus; side is a power of two.

    Args:
        n: number of fields.
        side: cells along an axis.
        decay: factor by which the noise shrinks from one scale to the next.
        rng: of the noise.
    """
    field, step, noise = np.zeros((n, side, side)), side, 100.0

    def mean_of(corners: Array) -> Array:
        return corners / 4 + noise * rng.uniform(-noise, noise, corners.shape)

    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        field[:, half::step, half::step] = mean_of(pairs + np.roll(pairs, -1, axis=2))
        middles, corners = field[:, half::step, half::step], field[:, ::step, ::step]
        above = middles + np.roll(middles, 1, axis=1)
        field[:, ::step, half::step] = mean_of(above + corners + np.roll(corners, -1, axis=2))
        beside = middles + np.roll(middles, 1, axis=2)
        field[:, half::step, ::step] = mean_of(beside + corners + np.roll(corners, -1, axis=1))
        step, noise = half, noise / decay
    field -= field.min(axis=(1, 2), keepdims=True)
    return np.asarray(field / field.max(axis=(1, 2), keepdims=True))


def sampled(x: Array, rows: Array, columns: Array, *, twice: bool) -> Array:
    """Images (N, H, W, C) sampled between pixels, at rows and columns (N, H, W); mirrored outside.

    Args:
        x: images.
        rows: in pixels, from 0.
        columns: in pixels, from 0.
        twice: whether mirroring repeats the outermost pixel.
    """
    image = np.arange(len(x)).reshape(-1, 1, 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]

    def at(row: NDArray[np.int64], column: NDArray[np.int64]) -> Array:
        return np.asarray(x[image, _mirrored(row, x.shape[1], twice), _mirrored(column, x.shape[2], twice)])

    upper = (1 - right) * at(top, left) + right * at(top, left + 1)
    lower = (1 - right) * at(top + 1, left) + right * at(top + 1, left + 1)
    return np.asarray((1 - down) * upper + down * lower)


def _mirrored(index: NDArray[np.int64], size: int, twice: bool) -> NDArray[np.int64]:
    period = 2 * size if twice else 2 * size - 2
    index = index % period
    return np.where(index < size, index, period - index - (1 if twice else 0))
