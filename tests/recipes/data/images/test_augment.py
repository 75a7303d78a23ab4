"""Batched augmentation against a loop over samples, with the drawn offsets recovered from the result."""

import math
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from recipes.data.images.augment import Augment
from recipes.data.images.sets import ImageSet, as_in_patchup, load

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def coded(batch: int, channels: int = 3, height: int = 5, width: int = 6) -> Tensor:
    """Images whose pixels are all different within an image and never black, (B, C, H, W) uint8."""
    pixels = 1 + torch.arange(channels * height * width).view(1, channels, height, width)
    return ((pixels + 3 * torch.arange(batch).view(-1, 1, 1, 1)) % 255 + 1).to(torch.uint8)


def reference(image: Tensor, top: int, left: int, mirror: bool, pad: int) -> Tensor:
    """One image (C, H, W), padded with black, cropped at (top, left), mirrored and normalised, pixel by pixel."""
    channels, height, width = image.shape
    out = torch.empty(channels, height, width)
    for c, i, j in product(range(channels), range(height), range(width)):
        row, column = i + top - pad, (width - 1 - j if mirror else j) + left - pad
        inside = 0 <= row < height and 0 <= column < width
        out[c, i, j] = ((image[c, row, column].item() if inside else 0) / 255 - MEAN[c]) / STD[c]
    return out


@pytest.mark.parametrize(("pad", "flip"), [(0, True), (1, False), (2, True)])
def test_every_sample_is_one_crop_of_itself(pad: int, flip: bool) -> None:
    x = coded(8)
    out = Augment(MEAN, STD, pad, flip)(x, train=True)
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    draws = list(product(range(2 * pad + 1), range(2 * pad + 1), [False, True]))
    for image, result in zip(x, out, strict=True):
        fitting = [draw for draw in draws if torch.allclose(reference(image, *draw, pad), result, atol=1e-6)]
        assert len(fitting) == 1
        assert flip or not fitting[0][2]


def test_offsets_and_flips_are_uniform_and_independent() -> None:
    """n = 9,000 samples over 3 x 3 offsets x 2 flips: each of the 18 counts is within 5 standard errors of n / 18."""
    n = 9_000
    torch.manual_seed(0)
    x = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.uint8).expand(n, 1, 3, 3)
    out = Augment((0.0,), (1 / 255,), pad=1, flip=True)(x, train=True).round().long()
    seen: dict[tuple[int, ...], int] = {}
    for image in out.flatten(1).tolist():
        seen[tuple(image)] = seen.get(tuple(image), 0) + 1
    bound = 5 * math.sqrt(n * (1 / 18) * (17 / 18))
    assert len(seen) == 18
    assert all(abs(count - n / 18) < bound for count in seen.values()), seen


def test_draws_differ_between_samples() -> None:
    """200 equal images take 50 draws: neighbours agree in 1 of 50, 4 of 199 on average, 24 is 10 standard errors up."""
    torch.manual_seed(0)
    out = Augment(MEAN, STD, pad=2, flip=True)(coded(1).expand(200, -1, -1, -1), train=True)
    assert sum(torch.equal(a, b) for a, b in pairwise(out)) < 24


def test_padding_is_black_before_normalisation() -> None:
    white = torch.full((64, 3, 4, 4), 255, dtype=torch.uint8)
    out = Augment(MEAN, STD, pad=4, flip=False)(white, train=True)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        expected = torch.tensor([-mean / std, (1 - mean) / std])
        torch.testing.assert_close(torch.tensor(sorted(set(out[:, channel].flatten().tolist()))), expected)


def test_evaluation_only_normalises() -> None:
    x = coded(4)
    augment = Augment(MEAN, STD, pad=2, flip=True)
    state = torch.get_rng_state()
    out = augment(x, train=False)
    assert torch.equal(torch.get_rng_state(), state)
    expected = (x / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(out, expected)


def test_the_global_seed_decides_and_the_input_stays() -> None:
    x = coded(16)
    before = x.clone()
    augment = Augment(MEAN, STD, pad=2, flip=True)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augment(x, train=True))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(x, before)


def test_nothing_is_read_back_from_the_device() -> None:
    """The meta device has no values: whatever asks for one raises."""
    x = torch.empty(4, 3, 8, 8, dtype=torch.uint8, device="meta")
    out = Augment(MEAN, STD, pad=2, flip=True)(x, train=True)
    assert (out.device.type, out.shape, out.dtype) == ("meta", x.shape, torch.float32)


def test_of_takes_over_the_settings_of_the_data() -> None:
    data = load("digits")
    assert Augment.of(data) == Augment(data.mean, data.std, pad=1, flip=False)


@pytest.mark.parametrize(
    ("name", "means", "deviations"),
    [("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)), ("svhn", (127.5,) * 3, (127.5,) * 3)],
)
def test_patchups_pixels(name: str, means: tuple[float, ...], deviations: tuple[float, ...]) -> None:
    x, y = coded(2), torch.tensor([0, 1])
    data = as_in_patchup(ImageSet(name, x, y, x, y, ("a", "b"), MEAN, STD, pad=0, flip=True))
    augment = Augment.of(data)
    expected = (x - torch.tensor(means).view(3, 1, 1)) / torch.tensor(deviations).view(3, 1, 1)
    torch.testing.assert_close(augment(x, train=False), expected)
    assert (augment.pad, augment.flip) == (2, name != "svhn")


def test_wrong_arguments_are_named() -> None:
    augment = Augment(MEAN, STD, pad=2, flip=True)
    with pytest.raises(TypeError, match=r"x is torch\.float32, expected uint8"):
        augment(torch.zeros(2, 3, 4, 4), train=True)
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 4, 4\), expected \(B, 3, H, W\)"):
        augment(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), train=False)
    with pytest.raises(ValueError, match="one value for each channel"):
        Augment((0.5,), (0.5, 0.5), pad=0, flip=False)
    with pytest.raises(ValueError, match=r"std=\(0.0,\) must be above 0"):
        Augment((0.5,), (0.0,), pad=0, flip=False)
    with pytest.raises(ValueError, match="pad=-1"):
        Augment((0.5,), (0.5,), pad=-1, flip=False)
