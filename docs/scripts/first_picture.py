"""The picture of the README and of the first page: `python docs/scripts/first_picture.py` writes it to _static/."""

import re
from collections.abc import Sequence

import torch
from drawing import STATIC, photos
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from torch import Tensor

import mixmodal as mm
from recipes.showing.media import OWN, PARTNER

SWAP = torch.tensor([1, 0])
RATE = 16_000
PRAISE = tuple(re.findall(r"\w+", "the actors made every single scene worth my time"))
BLAME = tuple(re.findall(r"\w+", "a dull film that never finds out its point"))


def sung(pitch: float, vowel: tuple[float, float], glide: float) -> Tensor:
    """A second of a sung vowel: harmonics of a pitch in Hz, loud near two formants."""
    time = torch.arange(RATE) / RATE
    phase = 2 * torch.pi * pitch * (time + glide * time**2)
    harmonics = torch.arange(1, 40)[:, None]
    loudness = sum(torch.exp(-(((harmonics * pitch - formant) / 180) ** 2)) for formant in vowel)
    return ((loudness + 0.03) * torch.sin(harmonics * phase)).sum(0)


def photographs(figure: Figure, cells: Sequence[SubplotSpec]) -> None:
    """Two photographs."""
    mixed, mix = mm.FMix()(photos(), index=SWAP, lam=0.55)
    for cell, picture in zip(cells, [*photos(), mixed[0]], strict=True):
        axes = figure.add_subplot(cell)
        axes.imshow(picture.permute(1, 2, 0))
        _framed(axes)
    axes.contour(mix.mask[0], levels=[0.5], colors="white", linewidths=2)


def spectrograms(figure: Figure, cells: Sequence[SubplotSpec]) -> None:
    """Two sung vowels."""
    waves = torch.stack([sung(140, (700, 1200), 0.25), sung(280, (350, 2300), -0.2)])
    heard = mm.LogMel(hop=128, n_mels=64)(waves)
    mixed, mix = mm.FMix()(heard, index=SWAP, lam=0.5)
    for cell, picture in zip(cells, [*heard, mixed[0]], strict=True):
        axes = figure.add_subplot(cell)
        axes.imshow(picture[0], origin="lower", aspect="auto", cmap="magma")
        _framed(axes)
    axes.contour(mix.mask[0], levels=[0.5], colors="white", linewidths=2)


def sentences(figure: Figure, cells: Sequence[SubplotSpec]) -> None:
    """Two sentences, token by token."""
    _, mix = mm.FMix(axes="b * d")(torch.zeros(2, len(PRAISE), 8), index=SWAP, lam=0.5)
    everything = torch.ones(len(PRAISE), dtype=torch.bool)
    for cell, keep in zip(cells, (everything, ~everything, mix.mask[0].bool()), strict=True):
        axes = figure.add_subplot(cell)
        for place, own in enumerate(keep.tolist()):
            row, column = divmod(place, 2)
            style = {"color": OWN} if own else {"color": PARTNER, "style": "italic"}
            word = (PRAISE if own else BLAME)[place]
            axes.text(0.04 + 0.5 * column, 0.84 - 0.19 * row, word, fontsize=17, transform=axes.transAxes, **style)
        _framed(axes)


def shapes(figure: Figure, cells: Sequence[SubplotSpec]) -> None:
    """The shells of a sphere and of a box."""
    side = 20
    place = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(place, place, place, indexing="ij"))
    radius, edge = grid.norm(dim=0), grid.abs().amax(0)
    both = torch.stack([(radius < 0.98) & (radius > 0.8), (edge < 0.75) & (edge > 0.6)])[:, None]
    mixed, mix = mm.FMix()(both.float(), index=SWAP, lam=0.5)
    everything = torch.ones(side, side, side, dtype=torch.bool)
    shown = (both[0, 0], everything), (both[1, 0], ~everything), (mixed[0, 0].bool(), mix.mask[0].bool())
    for cell, (filled, keep) in zip(cells, shown, strict=True):
        axes = figure.add_subplot(cell, projection="3d")
        for part, colour in ((filled & keep, OWN), (filled & ~keep, PARTNER)):
            axes.voxels(part.numpy(), facecolors=colour, edgecolors="white", linewidth=0.25)
        axes.set(xlim=(0, side), ylim=(0, side), zlim=(0, side))
        axes.set_box_aspect((1, 1, 1), zoom=1.3)
        axes.view_init(elev=22, azim=-50)
        axes.set_axis_off()


def _framed(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color="0.8")


def main() -> None:
    """Draw and write it."""
    torch.manual_seed(4)
    figure = pyplot.figure(figsize=(10.4, 8.2))
    left, top, step = 0.07, 0.93, 0.2325
    columns = (("images", photographs), ("spectrograms", spectrograms), ("text", sentences), ("voxels", shapes))
    grid = figure.add_gridspec(3, 4, left=left, right=0.995, top=top, bottom=0.065, wspace=0.05, hspace=0.05)
    for place, (name, draw) in enumerate(columns):
        draw(figure, [grid[row, place] for row in range(3)])
        figure.text(left + (place + 0.5) * step, top + 0.02, name, fontsize=19, ha="center")
    for row, name in enumerate(("sample", "partner", "mix")):
        figure.text(
            0.035, top - (row + 0.5) * (top - 0.065) / 3, name, fontsize=19, rotation=90, ha="center", va="center"
        )
    key = (("the sample's own", OWN), ("its partner's", PARTNER))
    for place, (name, colour) in enumerate(key):
        figure.text(0.36 + 0.3 * place, 0.018, f"■ {name}", fontsize=17, color=colour, ha="left")
    STATIC.mkdir(exist_ok=True)
    figure.savefig(STATIC / "any-modality.png", dpi=100, facecolor="white", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
