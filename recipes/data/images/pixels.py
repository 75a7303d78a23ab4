"""Pictures of any kind as eight bits in red, green and blue, or in grey, as a viewer shows them.

The orientation that a camera noted is applied, and what is transparent is laid over white, whatever colour it hides. A
grey picture of up to 16 bits is scaled by the range that its file states, so that the lightest value becomes 255. CMYK,
palettes and single bits are converted by Pillow, without colour profiles. For 32-bit integers and floats no file states
a range, and an animation is more than one picture: both are refused.
"""

import struct

import numpy as np
from PIL import Image, ImageOps

UNDECODABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files."""
MOST = 2**26
"""Most pixels of a picture; converting it takes up to 24 bytes for each."""
ONE_PICTURE = ("JPEG", "MPO")
"""Formats whose first frame is the whole picture: cameras add previews to it."""
BITS, PHOTOMETRIC = 258, 262
"""Tags of TIFF files: bits of a sample, and whether 0 is white (0) or black (1)."""


def as_seen(image: Image.Image, mode: str) -> Image.Image:
    """Convert a picture to ``"RGB"`` or ``"L"``, as a viewer shows it.

    Args:
        image: as Pillow opened it.
        mode: of the result.

    Raises:
        ValueError: the picture has more than 2^26 pixels, is an animation or has several pages, or values without a
            known range.

    >>> as_seen(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "RGB").getpixel((0, 0))
    (255, 255, 255)
    """
    width, height = image.size
    if width * height > MOST:
        raise ValueError(
            f"it has {width:,} x {height:,} pixels, expected {MOST:,} at most: make it smaller, or leave it out"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in ONE_PICTURE:
        raise ValueError(f"it has {frames} frames or pages, expected one: keep one of them, or leave the file out")
    deep = image.mode == "I" and image.format in ("PNG", "PPM")  # whose 16 bits Pillow widens to 32
    if image.mode in ("I", "F") and not deep:
        kind = "signed integers of up to 32 bits" if image.mode == "I" else "floats"
        raise ValueError(f"its pixels are {kind}, for which no file states the range: convert it to 8 or 16 bits")
    upright = ImageOps.exif_transpose(_eight_bits(image) if deep or image.mode.startswith("I;") else image)
    if upright.mode.endswith(("A", "a")) or "transparency" in upright.info:
        seen = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert(mode)
    return upright.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of up to 16 bits in 8, with its orientation, and an alpha channel if one value is transparent."""
    tags = getattr(image, "tag_v2", {})
    most = 2 ** max(tags.get(BITS, (16,))) - 1
    values = np.asarray(image)
    scaled = values.astype(np.int32).clip(0, most)
    scaled *= 255
    scaled += most // 2
    scaled //= most
    grey = scaled.astype(np.uint8)
    made = Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == 0 else grey)
    if "transparency" in image.info:
        made.putalpha(Image.fromarray(255 * (values != image.info["transparency"]).astype(np.uint8)))
    made.getexif().update(image.getexif())
    return made
