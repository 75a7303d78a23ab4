"""Rotated, sheared and scaled test images, as in the PatchUp paper."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import RandomAffine

DEFORMATIONS: dict[str, Callable[[], RandomAffine]] = {
    "rotate 20": lambda: RandomAffine(20),
    "rotate 40": lambda: RandomAffine(40),
    "shear 28.6": lambda: RandomAffine(0, shear=28.6),
    "shear 57.3": lambda: RandomAffine(0, shear=57.3),
    "scale 0.6": lambda: RandomAffine(0, scale=(0.6, 0.6)),
    "scale 0.8": lambda: RandomAffine(0, scale=(0.8, 0.8)),
    "scale 1.2": lambda: RandomAffine(0, scale=(1.2, 1.2)),
    "scale 1.4": lambda: RandomAffine(0, scale=(1.4, 1.4)),
}
"""Rotations and horizontal shears by uniform angles of up to this many degrees either way, and scalings, about the
centre. Values are those of the nearest pixel, and black outside."""


def deformed(x: Tensor, name: str, *, seed: int = 0) -> Tensor:
    """Deform images, each by a draw of its own that depends on `seed`, as torchvision does with Pillow images.

    Neither the global random state nor `x` is changed.

    Args:
        x: images (N, C, H, W) uint8 with one or three channels.
        name: one of `DEFORMATIONS`.
        seed: of the draws.

    Raises:
        ValueError: the name is unknown.

    Source: Faramarzi et al. 2022 (PatchUp), Table 4, from their published code.

    >>> dot = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    >>> dot[..., 1:3, 1:3] = 255
    >>> (deformed(dot, "scale 1.4") > 0).sum().item()
    4
    """
    if name not in DEFORMATIONS:
        raise ValueError(f"name={name!r} is unknown; choose {', '.join(DEFORMATIONS)}")
    transform = DEFORMATIONS[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        images = [np.asarray(transform(_picture(image))) for image in x]
    return torch.from_numpy(np.stack(images)).reshape(len(x), *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())
