"""Pictures of all kinds of pixels, written here, against values that follow from what was written."""

import io
import resource
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from recipes.data.images.pixels import as_seen
from recipes.data.images.reading.decoding import opened
from recipes.data.images.sets import load

DEEP = np.array([[0, 1, 128, 129], [257, 32_768, 65_407, 65_535]], np.uint16)
"""Values that become 0, 0, 0, 1, 1, 128, 255 (254.5 rounded up) and 255: the nearest of v / 257."""
EIGHT = [[0, 0, 0, 1], [1, 128, 255, 255]]


def reopened(image: Image.Image, form: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return Image.open(file)


def seen(image: Image.Image, mode: str = "RGB") -> list[Any]:
    """The values of a picture, (H, W) where all channels are equal."""
    pixels: list[Any] = np.asarray(as_seen(image, mode)).tolist()
    return [[pixel[0] if isinstance(pixel, list) and len({*pixel}) == 1 else pixel for pixel in row] for row in pixels]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_sixteen_bits_are_scaled_and_not_cut_off(form: str, mode: str) -> None:
    picture = Image.fromarray(DEEP)
    assert seen(reopened(picture, form), mode) == EIGHT


def test_twelve_bits_and_white_that_is_zero_are_read_as_the_tags_of_tiff_say() -> None:
    inverted = reopened(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0})
    assert seen(inverted) == [[255 - value for value in row] for row in EIGHT]
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF7, 0xFF])  # 0, 2048, 4095 and 2047: two values in three bytes
    assert seen(tiff(packed, width=4, bits=12)) == [[0, 128, 255, 127]]


def tiff(content: bytes, *, width: int, bits: int) -> Image.Image:
    """A TIFF file of one grey row."""
    tags = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, 1), (277, 3, 1), (278, 3, 1)]
    tags += [(273, 4, 8 + 2 + 12 * 9 + 4), (279, 4, len(content))]
    entries = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, kind, value in sorted(tags)
    )
    head = b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little")
    return Image.open(io.BytesIO(head + entries + bytes(4) + content))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_range_are_refused(tmp_path: Path, dtype: Any) -> None:
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    Image.fromarray(np.array([[0, 1], [1000, 70_000]], dtype)).save(folder / "x.tif")
    with pytest.raises(ValueError, match=r"x\.tif cannot be decoded \(its pixels are .*range: convert it to 8 or 16"):
        load("folder", root=with_test(tmp_path))


COLOURS = np.array([[[255, 0, 0, 255], [9, 9, 9, 0], [255, 0, 0, 128], [0, 0, 0, 255]]], np.uint8)
RED, PINK = [255, 0, 0], [255, 127, 127]


def palette() -> Image.Image:
    """Red, green, green, red."""
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1, 1, 0])
    return image


def test_what_is_transparent_is_white_whatever_colour_it_hides() -> None:
    picture = Image.fromarray(COLOURS)
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        assert seen(reopened(picture, form, **options)) == [[RED, 255, PINK, 0]]
    grey = Image.fromarray(np.array([[[7, 255], [7, 0], [0, 128], [255, 255]]], np.uint8), "LA")
    for mode in ("RGB", "L"):
        assert seen(reopened(grey, "PNG"), mode) == [[7, 255, 127, 255]]
    assert seen(palette()) == [[RED, [0, 255, 0], [0, 255, 0], RED]]
    assert seen(reopened(palette(), "PNG", transparency=1)) == [[RED, 255, 255, RED]]
    assert seen(reopened(palette(), "GIF", transparency=1)) == [[RED, 255, 255, RED]]
    assert seen(reopened(palette(), "PNG", transparency=bytes([128, 0]))) == [[PINK, 255, 255, PINK]]


def test_one_value_that_stands_for_transparent_is_white() -> None:
    grey = Image.fromarray(np.array([[7, 8, 9, 7]], np.uint8))
    assert seen(reopened(grey, "PNG", transparency=7)) == [[255, 8, 9, 255]]
    assert seen(reopened(Image.fromarray(COLOURS[..., :3]), "PNG", transparency=(255, 0, 0))) == [[255, 9, 255, 0]]
    assert seen(reopened(Image.fromarray(DEEP), "PNG", transparency=257)) == [[0, 0, 0, 1], [255, 128, 255, 255]]


def test_inks_and_single_bits() -> None:
    cyan = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    for form in ("TIFF", "JPEG"):
        assert seen(reopened(cyan, form)) == [[[0, 255, 255]]]
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    for form in ("PNG", "TIFF", "PPM"):
        assert seen(reopened(bits, form)) == [[0, 255]]


TURNS = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: np.swapaxes(x, 0, 1)}
TURNS |= {6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2), 8: np.rot90}
"""What the orientations of EXIF ask for."""


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *(("colour", form) for form in ("PNG", "TIFF", "WEBP", "JPEG")),
        *(("alpha", form) for form in ("PNG", "TIFF", "WEBP")),
        *(("deep", form) for form in ("PNG", "TIFF")),
    ],
)
def test_pictures_stand_upright(orientation: int, form: str, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    level = np.arange(24).reshape(4, 6) * 10
    shown = TURNS[orientation](level)
    pixels = {
        "colour": np.stack([level] * 3, 2).astype(np.uint8),
        "alpha": np.stack([level] * 3 + [np.full_like(level, 255)], 2).astype(np.uint8),
        "deep": (level * 257).astype(np.uint16),
    }[kind]
    options = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "JPEG" else {}
    got = np.asarray(as_seen(reopened(Image.fromarray(pixels), form, exif=exif, **options), "RGB"))[..., 0]
    assert got.shape == shown.shape
    assert np.abs(got.astype(int) - shown).max() <= (4 if form == "JPEG" else 0)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue", "green")]
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    frames[0].save(folder / "x.png", form, save_all=True, append_images=frames[1:])
    with pytest.raises(
        ValueError, match=r"x\.png cannot be decoded \(it has 3 frames or pages, expected one: keep one"
    ):
        load("folder", root=with_test(tmp_path))


def test_the_preview_that_a_camera_adds_is_no_second_picture() -> None:
    picture, preview = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    red = np.asarray(as_seen(reopened(picture, "MPO", save_all=True, append_images=[preview]), "RGB"))
    assert red[..., 0].min() > 250
    assert red[..., 2].max() < 5


@pytest.mark.parametrize(("form", "place"), [("BMP", 22), ("GIF", 8), ("PNG", 20)])
def test_pictures_that_claim_more_pixels_than_are_read_are_refused(tmp_path: Path, form: str, place: int) -> None:
    """Before any memory is taken for them; the height of a picture of a few bytes is made a larger one."""
    file = io.BytesIO()
    Image.new("RGB", (2**15 - 1, 1)).save(file, form)
    raw = bytearray(file.getvalue())
    size, order = (4, "big") if form == "PNG" else (2, "little")
    raw[place : place + size] = (2_400).to_bytes(size, order)  # type: ignore[arg-type]
    if form == "PNG":
        raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(raw)
    with pytest.raises(ValueError, match=r"x\.png .*it has 32,767 x 2,400 pixels, expected 67,108,864 at most: make"):
        opened(tmp_path / "x.png")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells and bounds the addresses of a process")
def test_a_part_of_a_picture_that_claims_gigabytes_takes_none(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (5, 6)).save(file, "PNG")
    (tmp_path / "x.png").write_bytes(file.getvalue().replace(b"\0\0\0\x0cIDAT", b"\x7f\0\0\x0cIDAT"))
    assert (tmp_path / "x.png").read_bytes() != file.getvalue()
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    try:
        assert opened(tmp_path / "x.png").size == (5, 6)  # the pixels are there
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def with_test(root: Path) -> Path:
    """Give a folder of classes a test split of one image."""
    (root / "test" / "a").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(root / "test" / "a" / "y.png")
    return root


def test_a_folder_of_all_kinds(tmp_path: Path) -> None:
    """Hidden files are left out, suffixes have any case, and every kind of pixels comes out as it was meant."""
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    square = np.array([[0, 65_535], [65_535, 0]], np.uint16)
    Image.fromarray(square).save(folder / "a.PNG", "PNG")
    Image.fromarray((square // 257).astype(np.uint8)).convert("1").save(folder / "b.png")
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[[0, 1], [0, 1], 3] = 255
    Image.fromarray(clear).save(folder / "c.webp", lossless=True, exact=True)
    for hidden in ("._a.png", ".DS_Store"):
        (folder / hidden).write_bytes(b"hidden")
    x: Tensor = load("folder", root=with_test(tmp_path)).train_x
    assert torch.equal(x, torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).expand(3, 3, 2, 2))
