"""Random crop, flip and normalisation of image batches, on the device that holds them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.data.images.sets import ImageSet


@dataclass(frozen=True)
class Augment:
    """Turn a batch of uint8 images into normalised float32, cropped and flipped at random in training.

    Every image is padded with black, cut back to its size at its own uniform offset, and mirrored with probability
    1/2 where ``flip`` is set: torchvision's ``RandomCrop``, ``RandomHorizontalFlip``, ``ToTensor`` and ``Normalize``,
    but for the whole batch at once and without waiting for the device. Randomness comes from torch's global generator.

    Args:
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel, for pixels in [0, 1], above 0.
        pad: zero padding on every side, in pixels.
        flip: whether to mirror horizontally.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length, a ``std`` is not positive, or ``pad`` is negative.

    >>> augment = Augment((0.5,), (0.25,), pad=1, flip=False)
    >>> augment(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), train=False).unique()
    tensor([2.])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(f"mean={self.mean} and std={self.std} must have one value for each channel")
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std} must be above 0")
        if self.pad < 0:
            raise ValueError(f"pad={self.pad} must be a number of pixels of at least 0")

    @staticmethod
    def of(data: ImageSet) -> "Augment":
        """Return the augmentation that goes with an image set."""
        return Augment(data.mean, data.std, data.pad, data.flip)

    def __call__(self, x: Tensor, train: bool) -> Tensor:
        """Map images (B, C, H, W) uint8 to float32 of the same shape and device; random only if ``train``.

        Raises:
            TypeError: ``x`` is not uint8.
            ValueError: ``x`` is not of rank 4 with one channel for each mean.
        """
        if x.dtype != torch.uint8:
            raise TypeError(f"x is {x.dtype}, expected uint8 images: Augment normalises them itself")
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise ValueError(f"x has shape {tuple(x.shape)}, expected (B, {len(self.mean)}, H, W)")
        return self._normalised(self._moved(x) if train else x)

    def batch(self, batch: tuple[Tensor, Tensor], train: bool) -> tuple[Tensor, Tensor]:
        """Map a batch of images and labels, see `Augment.__call__`; labels are unchanged."""
        return self(batch[0], train), batch[1]

    def _normalised(self, x: Tensor) -> Tensor:
        """Scale to [0, 1] and standardise each channel, by numbers: tensors would have to be copied to the device."""
        planes = zip(x.unbind(1), self.mean, self.std, strict=True)
        return torch.stack([(plane.float() / 255 - mean) / std for plane, mean, std in planes], dim=1)

    def _moved(self, x: Tensor) -> Tensor:
        """Crop and flip every image of (B, C, H, W) by indexing the padded batch."""
        batch, channels, height, width = x.shape
        device = x.device
        top, left = torch.randint(2 * self.pad + 1, (2, batch, 1), device=device)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        if self.flip:
            columns = torch.where(torch.rand(batch, 1, device=device) < 0.5, columns.flip(1), columns)
        padded = F.pad(x, (self.pad,) * 4)
        sample = torch.arange(batch, device=device).view(batch, 1, 1, 1)
        channel = torch.arange(channels, device=device).view(1, channels, 1, 1)
        return padded[sample, channel, rows.view(batch, 1, height, 1), columns.view(batch, 1, 1, width)]
