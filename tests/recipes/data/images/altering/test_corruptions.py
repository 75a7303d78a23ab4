"""Corruptions, beside other libraries and by their laws."""

import colorsys
import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from recipes.data.images.altering import corruptions, weather
from recipes.data.images.altering.constants import CONSTANTS, CORRUPTIONS, FROST_PICTURES, SEVERITIES
from recipes.data.images.altering.corruptions import FUNCTIONS, corrupted

MADE_ALONE = [name for name in CORRUPTIONS if name != "frost"]


def scene(n: int = 3, side: int = 32) -> Tensor:
    """Smooth images with an edge, (n, 3, side, side) uint8."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(n, 3, side, side)), (0, 0, 2, 2))
    levels = 110 + 200 * noise + 40 * (np.arange(side) > side // 2)
    return torch.from_numpy(levels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def frost(tmp_path: Path) -> Path:
    """Pictures of one colour, another one each."""
    for place, name in enumerate(FROST_PICTURES):
        Image.new("RGB", (400, 300), (40 * place, 100, 200)).save(tmp_path / name, quality=100, subsampling=0)
    return tmp_path


def test_all_severities_have_constants() -> None:
    assert list(FUNCTIONS) == [name for name in CORRUPTIONS if name != "frost"]
    for constants in CONSTANTS.values():
        assert list(constants) == list(CORRUPTIONS)
        assert all(len(severities) == 5 for severities in constants.values())


@pytest.mark.parametrize("side", CONSTANTS)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_follow_from_their_seed(name: str, side: int, frost: Path) -> None:
    x = scene(2, side)
    kept, state = x.clone(), np.random.get_state()[1].copy()
    pictures = frost if name == "frost" else None
    for severity in SEVERITIES:
        found = corrupted(x, name, severity, frost=pictures, seed=1)
        assert (found.shape, found.dtype) == (x.shape, torch.uint8)
        assert torch.equal(found, corrupted(x, name, severity, frost=pictures, seed=1))
    assert not torch.equal(found, x)
    assert torch.equal(x, kept)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "snow", "fog", "glass_blur"])
def test_images_have_draws_of_their_own(name: str) -> None:
    x = scene(1).expand(2, -1, -1, -1)
    found = corrupted(x, name, 5)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(corrupted(x, name, 5, seed=1), found)


@pytest.mark.parametrize(
    "name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform", "pixelate"]
)
def test_an_even_image_stays(name: str) -> None:
    """What blurs or moves pixels takes weights that add up to 1, at the border too."""
    x = torch.full((2, 3, 32, 32), 120, dtype=torch.uint8)
    for severity in SEVERITIES:
        assert (corrupted(x, name, severity).int() - 120).abs().max() <= 1


def test_noise_has_its_size() -> None:
    x = torch.full((20, 3, 32, 32), 102, dtype=torch.uint8)  # 0.4
    n = x.numel()
    for severity, (scale, count, share) in enumerate(
        zip(*(CONSTANTS[32][f"{kind}_noise"] for kind in ("gaussian", "shot", "impulse")), strict=True), 1
    ):
        noise = corrupted(x, "gaussian_noise", severity).double() / 255 - 0.4
        assert noise.std() == pytest.approx(scale, rel=0.03)
        assert abs(noise.mean() + 0.5 / 255) < 4.5 * scale / math.sqrt(n)  # levels are rounded down
        shot = corrupted(x, "shot_noise", severity).double() / 255
        assert shot.std() == pytest.approx(math.sqrt(0.4 / count), rel=0.03)
        impulse = corrupted(x, "impulse_noise", severity)
        for extreme in (0, 255):
            found = (impulse == extreme).double().mean()
            assert abs(found - share / 2) < 4.5 * math.sqrt(share / 2 / n)
        assert ((impulse == 0) | (impulse == 255) | (impulse == 102)).all()


def test_frost_is_laid_over(frost: Path) -> None:
    x = scene(40)
    for severity, (own, over) in enumerate(CONSTANTS[32]["frost"], 1):
        found = corrupted(x, "frost", severity, frost=frost)
        rest = (found.double() - (own * x.double())) / over
        clear = found < 255
        assert (rest[:, 1][clear[:, 1]] - 100).abs().max() < 1 / over + 3  # green
        reds = {round(float(each[clear[place, 0]].mean()) / 40) for place, each in enumerate(rest[:, 0])}
        assert reds == {0, 1, 2, 3, 4}


def test_motion_blur_smears_a_dot_along_its_angle() -> None:
    dot = np.zeros((3, 15, 15, 1))
    dot[:, 7, 7] = 1
    found = weather.moved(dot, 3, 2.0, np.array([0.0, 90.0, -90.0]))[..., 0]
    weights = [math.exp(-(k**2) / 8) for k in range(7)]
    line = [weight / sum(weights) for weight in weights]
    assert found[0, 7, 7::-1][:7] == pytest.approx(line)
    assert found[1, 7::-1, 7][:7] == pytest.approx(line)
    assert found[2, 7:14, 7] == pytest.approx(line)
    assert found.sum(axis=(1, 2)) == pytest.approx(1)


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.13, 1.25, 1.75, 2.25])
@pytest.mark.parametrize("side", [32, 64])
def test_zooms_are_scipys(factor: float, side: int) -> None:
    x = np.random.default_rng(0).random((2, side, side, 3))
    part = math.ceil(side / factor)
    top = (side - part) // 2
    for image, found in zip(x, weather.zoomed(x, factor), strict=True):
        large = ndimage.zoom(image[top : top + part, top : top + part], (factor, factor, 1), order=1)
        trim = (len(large) - side) // 2
        assert np.allclose(found, large[trim : trim + side, trim : trim + side])


@pytest.mark.parametrize(("mode", "twice"), [("reflect", True), ("mirror", False)])
def test_sampling_is_scipys(mode: str, twice: bool) -> None:
    rng = np.random.default_rng(0)
    x, (rows, columns) = rng.random((2, 9, 11, 2)), rng.uniform(-8, 18, (2, 2, 9, 11))
    found = weather.sampled(x, rows, columns, twice=twice)
    for image in range(2):
        for channel in range(2):
            places = rows[image], columns[image]
            expected = ndimage.map_coordinates(x[image, ..., channel], places, order=1, mode=mode)
            assert np.allclose(found[image, ..., channel], expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_is_the_value_of_pythons_hsv(severity: int) -> None:
    x = scene(1)
    more = CONSTANTS[32]["brightness"][severity - 1]
    found = corrupted(x, "brightness", severity)[0].permute(1, 2, 0).reshape(-1, 3)
    for pixel, lighter in zip(x[0].permute(1, 2, 0).reshape(-1, 3).tolist(), found.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in pixel))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + more, 1))
        assert all(abs(level - 255 * share) < 1.001 for level, share in zip(lighter, expected, strict=True))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_draws_each_channel_to_its_mean(severity: int) -> None:
    x = scene()
    share = CONSTANTS[32]["contrast"][severity - 1]
    means = x.double().mean((2, 3), keepdim=True)
    expected = (means + share * (x.double() - means)).clamp(0, 255)
    found = corrupted(x, "contrast", severity).double()
    assert ((expected - found).abs() < 1.001).all()
    assert (found <= expected + 1e-6).all()  # rounded down


def test_defocus_is_scipys_convolution_with_a_blurred_disk() -> None:
    """A disk of 0.3 cells is one cell, of which three taps make the square of exp(-1 / (2 · 0.4²)) on either side."""
    side = math.exp(-1 / (2 * 0.4**2)) / (1 + 2 * math.exp(-1 / (2 * 0.4**2)))
    taps = np.array([side, 1 - 2 * side, side])
    assert weather.disk(0.3, 0.4)[7:10, 7:10] == pytest.approx(np.outer(taps, taps))
    assert np.count_nonzero(weather.disk(1, 1e-3) > 0.1) == 5  # a cross
    x = np.random.default_rng(0).random((2, 20, 24, 3))
    kernel = weather.disk(1.5, 0.1)
    found = corruptions.FUNCTIONS["defocus_blur"](x, (1.5, 0.1), np.random.default_rng(0))
    for image in range(2):
        for channel in range(3):
            expected = ndimage.correlate(x[image, ..., channel], kernel, mode="mirror")
            assert np.allclose(found[image, ..., channel], expected)


def test_compression_is_pillows() -> None:
    x = scene(1)
    file = io.BytesIO()
    Image.fromarray(x[0].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=40)
    expected = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)
    assert torch.equal(corrupted(x, "jpeg_compression", 5)[0], expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((scene(), "rain", 1), r"name='rain'"),
        ((scene(), "fog", 6), r"severity=6"),
        ((scene(side=28), "fog", 1), r"\(3, 3, 28, 28\): constants are published for colour images of 32"),
        ((scene()[:, :1], "fog", 1), r"\(3, 1, 32, 32\)"),
    ],
)
def test_what_has_no_constants_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        corrupted(*arguments)


def test_frost_needs_pictures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"frost needs pictures of frost: give a folder with frost1.png"):
        corrupted(scene(), "frost", 1)
    with pytest.raises(FileNotFoundError, match=r"has no frost1.png"):
        corrupted(scene(), "frost", 1, frost=tmp_path)


def test_what_is_not_random_is_as_in_imagecorruptions() -> None:
    """A fork of the authors' package with the constants of ImageNet-C, in OpenCV and scikit-image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pytest.importorskip("imagecorruptions.corruptions")
    image = scene(1)[0].permute(1, 2, 0).numpy()
    picture, x = Image.fromarray(image), image[None] / 255

    def same(found: np.ndarray[Any, Any], expected: Any) -> bool:
        return np.allclose(found[0].clip(0, 1) * 255, np.asarray(expected), atol=1e-3)

    assert same(corruptions._contrast(x, 0.3), theirs.contrast(picture, 2))
    assert same(corruptions._brightness(x, 0.3), theirs.brightness(picture, 3))
    assert same(corruptions._jpeg_compression(x, 15), theirs.jpeg_compression(picture, 3))
    assert same(corruptions._zoom_blur(x, 1.16), theirs.zoom_blur(picture, 2))
    for severity, constants in enumerate(((3, 0.1), (4, 0.5), (6, 0.5)), 1):
        assert same(weather.convolved(x, weather.disk(*constants)), theirs.defocus_blur(picture, severity))
    for degrees in (-120.0, -40.0, 17.0, 44.0):
        blurred = theirs._motion_blur(image, radius=5, sigma=2, angle=degrees)
        assert same(weather.moved(x, 5, 2.0, np.array([degrees])), blurred)

    class Same:
        """Draws of NumPy's global generator, for one image."""

        def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Any:
            return np.random.uniform(low, high, shape[1:])[None]

    np.random.seed(0)
    expected = theirs.plasma_fractal(32, 2.0)
    np.random.seed(0)
    assert np.allclose(weather.fog(1, 32, 2.0, Same())[0], expected, atol=1e-5)  # type: ignore[arg-type]
