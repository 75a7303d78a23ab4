"""What the pictures of the site share: two real photographs, and cards that show what a mixer does with them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

import mixmodal as mm
from mixmodal import Draws
from mixmodal.core.grids import spread
from recipes.showing.exhibits import two_photographs

SIDE = 128
STATIC = Path(__file__).parents[1] / "_static"
INDEX = torch.tensor([1, 0])


def photos() -> Tensor:
    """A temple and a flower, from scikit-learn: float32 (2, 3, 128, 128) in [0, 1]."""
    return two_photographs(SIDE)[0]


def edges(pictures: Tensor) -> Tensor:
    """How steep the brightness is along both axes: (B, 2, H, W), signed."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    grey = pad(pictures.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return conv2d(grey, torch.stack([across, across.T])[:, None])


def features(pictures: Tensor) -> Tensor:
    """Feature maps of fixed filters (edges along both axes, red against blue) at a quarter of the size, in [0, 1]."""
    warm = (pictures[:, :1] - pictures[:, 2:]).relu()
    maps = max_pool2d(torch.cat([edges(pictures).abs(), warm], dim=1), 4)
    return maps / maps.amax((2, 3), keepdim=True)


def local_contrast(pictures: Tensor) -> Tensor:
    """(B, H, W), 0 or more: stands in for the saliency of a trained network."""
    return avg_pool2d(edges(pictures).square().sum(1, keepdim=True), 9, 1, 4)[:, 0].sqrt()


def card(mixer: Draws, *, draws: int = 4, **given: object) -> Figure:
    """Some draws of a mixer on the two photographs: above each mix the mask, with the record's `lam`.

    Args:
        mixer: the method.
        draws: how many columns.
        **given: what `mixer.draw` takes besides the batch. Without `lam`, shares from small to large are asked for.
    """
    batch = photos()
    columns = _columns(2, draws + 1)
    _show(columns[0, 0], batch[0], "sample")
    if mixer.partner:
        _show(columns[1, 0], batch[1], "partner")
    for draw, (above, below) in enumerate(columns[:, 1:].T):
        torch.manual_seed(draw)
        mixed, mix = mixer(batch, index=INDEX, **{"lam": (draw + 1) / (draws + 1)} | given)
        _show(above, _mask(mix, batch)[0, :1], f"lam = {mix.lam[0]:.2f}")
        _show(below, mixed[0])
    return columns[0, 0].figure


def hidden_card(mixers: Mapping[str, Draws], *, seed: int = 0) -> Figure:
    """One draw of each mixer on feature maps: a row for each of three channels, and of each mixer mask and mix.

    Args:
        mixers: mixers by what they are called on the picture.
        seed: of the first draw.
    """
    batch = features(photos())
    partner = any(mixer.partner for mixer in mixers.values())
    columns = _columns(3, 1 + partner + 2 * len(mixers))
    for channel, axes in enumerate(columns[:, 0]):
        _show(axes, batch[0, channel], "sample" if channel == 0 else "", cmap="magma")
    for channel, axes in enumerate(columns[:, 1] if partner else ()):
        _show(axes, batch[1, channel], "partner" if channel == 0 else "", cmap="magma")
    for number, (name, mixer) in enumerate(mixers.items()):
        torch.manual_seed(seed + number)
        mixed, mix = mixer(batch, index=INDEX)
        place = 1 + partner + 2 * number
        title = f"{name}\nlam = {mix.lam[0]:.2f}"
        for channel, axes in enumerate(columns[:, place]):
            _show(axes, _mask(mix, batch)[0, channel], title if channel == 0 else "")
        for channel, axes in enumerate(columns[:, place + 1]):
            _show(axes, mixed[0, channel], "mix" if channel == 0 else "", cmap="magma")
    return columns[0, 0].figure


def puzzle_card(mixers: Mapping[str, mm.PuzzleMix]) -> Figure:
    """One draw of each Puzzle Mix, by what is salient in the two photographs: above each mix the mask.

    Args:
        mixers: mixers by what they are called on the picture.
    """
    batch = photos()
    salient = local_contrast(batch)
    columns = _columns(2, 2 + len(mixers))
    for axes, picture, name in zip(columns[:, 0], batch, ("sample", "partner"), strict=True):
        _show(axes, picture, name)
    for axes, of, name in zip(columns[:, 1], salient, ("its saliency", "its saliency"), strict=True):
        _show(axes, of / of.max(), name, cmap="magma")
    for (name, mixer), (above, below) in zip(mixers.items(), columns[:, 2:].T, strict=True):
        torch.manual_seed(0)
        mixed, mix = mixer(batch, saliency=salient, index=INDEX, lam=0.5)
        _show(above, mix.mask[0], f"{name}\nlam = {mix.lam[0]:.2f}")
        _show(below, mixed[0])
    return columns[0, 0].figure


def _columns(rows: int, columns: int) -> np.ndarray:
    """Axes without ticks, (rows, columns); those in which nothing is shown stay invisible."""
    figure = pyplot.figure(figsize=(1.75 * columns + 0.1, 1.75 * rows + 0.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    found = figure.subplots(rows, columns, squeeze=False)
    for axes in found.flat:
        axes.set(xticks=[], yticks=[])
        axes.set_visible(False)
    return found


def _show(axes: Axes, picture: Tensor, title: str = "", cmap: str = "gray") -> None:
    """A picture (3, H, W), or one channel (H, W) or (1, H, W), in a thin frame."""
    picture = picture.squeeze(0) if picture.ndim == 3 else picture
    picture = picture.clamp(0, 1).movedim(0, -1) if picture.ndim == 3 else picture
    axes.imshow(picture.numpy(), cmap=cmap, vmin=0, vmax=1)
    axes.set_title(title, fontsize="medium")
    axes.spines[:].set(color="0.6", linewidth=0.8)
    axes.set_visible(True)


def _mask(mix: mm.Mix, batch: Tensor) -> Tensor:
    """The own share of each value of the batch."""
    return spread(mix.mask, batch, mix.axes).expand(batch.shape)
