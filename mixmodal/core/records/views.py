"""How a record is displayed: as one line, or in a notebook as pictures of the masks with the shares beneath them."""

import base64
import struct
import zlib

import torch
from torch import Tensor

from mixmodal.core.devices import on_host, wrapped

SHOWN = 8
"""Samples that a view shows."""
SIDE = 96
"""Pixels of the longer side of a picture."""


def numbers(values: Tensor) -> str:
    """The first numbers of a tensor (B,), rounded to two decimals; its device if they cannot be read.

    >>> numbers(torch.tensor([1, 0])), numbers(torch.full((9,), 0.25)), numbers(torch.ones(2, device="meta"))
    ('[1, 0]', '0.25', '(2,) on meta')
    """
    if not on_host(values):
        return f"{tuple(values.shape)} on {values.device}"
    first = [f"{value:.2f}" if values.is_floating_point() else str(value) for value in values[:SHOWN].tolist()]
    if len(values) > 1 and values.is_floating_point() and bool((values == values[0]).all()):
        return first[0]
    return f"[{', '.join(first)}{f', … of {len(values)}' if len(values) > SHOWN else ''}]"


def pixels(mask: Tensor) -> Tensor:
    """A mask (*grid) as a picture (H, W) in [0, 1]: a band in rank 1, the central slice in ranks above 2.

    >>> pixels(torch.tensor([1.0, 0.0])).shape, pixels(torch.rand(5, 4, 8)).shape
    (torch.Size([8, 96]), torch.Size([48, 96]))
    """
    while mask.ndim > 2:
        mask = mask[len(mask) // 2]
    band = mask.ndim < 2
    mask = mask.reshape(-1, mask.shape[-1]) if mask.ndim else mask.reshape(1, 1)
    height, width = mask.shape
    least, scale = SIDE // 12, SIDE / max(height, width)
    sides = (least, SIDE) if band else (max(round(height * scale), least), max(round(width * scale), least))
    rows, columns = (
        (torch.arange(side, device="cpu") * size // side) for side, size in zip(sides, (height, width), strict=True)
    )
    return mask.detach().float().cpu()[rows][:, columns].clamp(0, 1)


def png(picture: Tensor) -> bytes:
    """A picture (H, W) in [0, 1] as a greyscale PNG file.

    >>> png(torch.eye(3))[1:4]
    b'PNG'

    Source: ISO/IEC 15948, chunks IHDR, IDAT and IEND.
    """
    height, width = picture.shape
    lines = [bytes([0, *row]) for row in (picture * 255).round().to(torch.uint8).tolist()]  # 0: no filter

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + chunk(b"IEND", b"")
    )


def line(index: Tensor, lam: Tensor, mask: Tensor, hard: bool, axes: str) -> str:
    """A record in one line.

    >>> line(torch.tensor([1, 0]), torch.full((2,), 0.5), torch.tensor([[1.0, 0.0]]), True, "b *")
    "Mix(index=[1, 0], lam=0.50, grid=(2,), hard, axes='b *')"
    """
    kind = f"{'hard' if hard else 'soft'}{'' if len(mask) == 1 else ', a mask for each sample'}"
    return f"Mix(index={numbers(index)}, lam={numbers(lam)}, grid={tuple(mask.shape[1:])}, {kind}, axes={axes!r})"


def table(line: str, masks: Tensor, index: Tensor, lam: Tensor, partner: bool) -> str:
    """HTML: a line, and for the first samples the mask (white is their own, black the partner's) above the shares.

    Args:
        line: the line of text at the top.
        masks: (B or 1, *grid).
        index: partner of each sample, (B,).
        lam: own share of each sample, (B,).
        partner: whether there is a partner.
    """
    if index.device.type == "meta" or wrapped(index):
        return f"<code>{line}</code>"
    figures = []
    for place, (other, share) in enumerate(zip(index[:SHOWN].tolist(), lam[:SHOWN].tolist(), strict=True)):
        picture = base64.b64encode(png(pixels(masks[place % len(masks)]))).decode()
        said = f"{share:.2f} of {place}" + (f"<br>{1 - share:.2f} of {other}" if partner else "")
        figures.append(
            f'<figure style="display:inline-block;margin:4px;text-align:center;font-size:small">'
            f'<img alt="mask of sample {place}" style="border:1px solid gray" src="data:image/png;base64,{picture}">'
            f"<figcaption>{said}</figcaption></figure>"
        )
    return f"<code>{line}</code><div>{''.join(figures)}</div>"
