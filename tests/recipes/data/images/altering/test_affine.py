"""Deformed images, beside a computation of their own."""

import math

import pytest
import torch
from torch import Tensor

from recipes.data.images.altering.affine import DEFORMATIONS, deformed


def nearest(image: Tensor, matrix: list[list[float]]) -> Tensor:
    """An image (C, S, S) read at the nearest of the places that a matrix moves each pixel to, about the centre."""
    side = image.shape[-1]
    found = torch.zeros_like(image)
    for row in range(side):
        for column in range(side):
            x, y = column + 0.5 - side / 2, row + 0.5 - side / 2
            source = [a * x + b * y + side / 2 for a, b in matrix]
            if all(0 <= each < side for each in source):
                found[:, row, column] = image[:, int(source[1]), int(source[0])]
    return found


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.2, 1.4])
@pytest.mark.parametrize("channels", [1, 3])
def test_scales_are_about_the_centre_with_black_outside(scale: float, channels: int) -> None:
    x = torch.randint(1, 256, (3, channels, 32, 32), dtype=torch.uint8)
    found = deformed(x, f"scale {scale}")
    for image, expected in zip(found, x, strict=True):
        differ = image != nearest(expected, [[1 / scale, 0], [0, 1 / scale]])
        assert differ.double().mean() < 0.15  # places halfway between pixels may be rounded either way
    assert ((found == 0).double().mean() > 0) == (scale < 1)
    black = 1 - (found > 0).all(1).double().mean().item()
    assert black == pytest.approx(max(0, 1 - scale**2), abs=0.05)


def angle(bar: Tensor) -> float:
    """The direction of a bar (S, S) through the centre in degrees, from its second moments."""
    side = bar.shape[-1]
    weight = bar.double() / bar.sum()
    place = torch.arange(side) + 0.5 - side / 2
    xx, yy = (weight * place**2).sum(), (weight * place[:, None] ** 2).sum()
    xy = (weight * place * place[:, None]).sum()
    return math.degrees(0.5 * math.atan2(2 * xy, xx - yy))


@pytest.mark.parametrize("most", [20, 40])
def test_rotations_are_uniform(most: int) -> None:
    n = 200
    bar = torch.zeros(n, 1, 33, 33, dtype=torch.uint8)
    bar[..., 15:18, 4:29] = 200
    angles = torch.tensor([angle(image[0]) for image in deformed(bar, f"rotate {most}")])
    assert angles.abs().max() < most + 2
    assert abs(angles.mean()) < 4.5 * most / math.sqrt(3 * n)
    assert angles.std() == pytest.approx(most / math.sqrt(3), rel=0.2)


@pytest.mark.parametrize(("name", "most"), [("shear 28.6", 0.5), ("shear 57.3", 1.0)])
def test_shears_are_horizontal(name: str, most: float) -> None:
    """Rows stay where they are, and the slope of a bar is the tangent of a uniform angle of up to `most` radians."""
    n = 200
    bar = torch.zeros(n, 1, 33, 33, dtype=torch.uint8)
    bar[..., 10:23, 15:18] = 200
    slopes = []
    for image in deformed(bar, name)[:, 0].double():
        rows = image.sum(1)
        assert (rows[:10] == 0).all()
        assert (rows[23:] == 0).all()
        place = (image * torch.arange(33)).sum(1)[10:23] / rows[10:23]
        row = torch.arange(13) - 6.0
        slopes.append((row * place).sum().item() / (row**2).sum().item())
    angles = torch.tensor(slopes).atan()
    assert angles.abs().max() < most + 0.1
    assert angles.std() == pytest.approx(most / math.sqrt(3), rel=0.2)


@pytest.mark.parametrize("name", DEFORMATIONS)
def test_a_seed_repeats_a_set_and_nothing_else_changes(name: str) -> None:
    x = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    kept, state = x.clone(), torch.get_rng_state()
    found = deformed(x, name, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert (found.shape, found.dtype) == (x.shape, torch.uint8)
    torch.rand(7)
    assert torch.equal(deformed(x, name, seed=3), found)
    assert torch.equal(deformed(x[:2], name, seed=3), found[:2])  # a part is a part of the set
    assert torch.equal(deformed(x, name, seed=4), found) == name.startswith("scale")


def test_an_unknown_deformation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"name='twist' is unknown; choose rotate 20"):
        deformed(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "twist")
