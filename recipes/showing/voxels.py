"""Shapes of voxels, and pictures of them."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from recipes.showing.media import OWN, PARTNER, Picture

SIDE = 14


def chair() -> Tensor:
    """A chair, bool (14, 14, 14): across, along, up."""
    shape = legs(low=3, high=10, top=6)
    shape[3:11, 3:11, 6] = True
    shape[3:11, 9:11, 7:13] = True
    return shape


def table() -> Tensor:
    """A table, bool (14, 14, 14)."""
    shape = legs(low=1, high=12, top=9)
    shape[1:13, 1:13, 9:11] = True
    return shape


def legs(low: int, high: int, top: int) -> Tensor:
    """Four legs from the floor."""
    shape = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.bool)
    for x in (low, high):
        for y in (low, high):
            shape[x, y, :top] = True
    return shape


def cells(own: Tensor, partner: Tensor, alt: str) -> Picture:
    """Voxels (R, R, R) by how much of them is own and how much the partner's: fainter where they are partly filled."""
    whole = own + partner
    first, second = (torch.tensor(to_rgb(colour)) for colour in (OWN, PARTNER))
    part = (own / whole.clamp(min=1e-6))[..., None]
    colours = torch.cat([part * first + (1 - part) * second, whole.clamp(max=1)[..., None]], dim=-1)
    return _drawn(whole > 0, colours, alt)


def solid(mask: Tensor, alt: str) -> Picture:
    """A cube of all cells of a mask (R, R, R), white where it is 1 and black where it is 0."""
    colours = torch.cat([mask[..., None].expand(*mask.shape, 3), torch.ones(*mask.shape, 1)], dim=-1)
    return _drawn(torch.ones_like(mask, dtype=torch.bool), colours, alt)


def _drawn(filled: Tensor, colours: Tensor, alt: str) -> Picture:
    figure = Figure(figsize=(2.6, 2.6), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1), projection="3d")
    axes.voxels(filled.numpy(), facecolors=colours.numpy(), edgecolors="#80808080", linewidth=0.3)  # type: ignore[attr-defined]
    axes.set(xlim=(0, SIDE), ylim=(0, SIDE), zlim=(0, SIDE))
    axes.set_box_aspect((1, 1, 1), zoom=1.25)  # type: ignore[arg-type, call-arg]
    axes.view_init(elev=22, azim=-55)  # type: ignore[attr-defined]
    axes.set_axis_off()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Picture(np.asarray(canvas.buffer_rgba()) / 255, alt)  # type: ignore[no-untyped-call]
