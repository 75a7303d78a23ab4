"""The picture of the README and of the first page: `python docs/scripts/first_picture.py` writes it to _static/."""

import re

import torch
from drawing import STATIC, photos
from matplotlib import pyplot
from matplotlib.axes import Axes
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

import mixmodal as mm

OWN, PARTNER = "#2f6fb3", "#e8833a"
SWAP = torch.tensor([1, 0])
RATE = 16_000
PRAISE = tuple(re.findall(r"\w+", "the plot was thin but the actors made every single scene worth my time"))
BLAME = tuple(re.findall(r"\w+", "a dull and noisy film that never finds out what it wants to be"))


def sung(pitch: float, vowel: tuple[float, float], glide: float) -> Tensor:
    """A second of a sung vowel: harmonics of a pitch in Hz, loud near two formants."""
    time = torch.arange(RATE) / RATE
    phase = 2 * torch.pi * pitch * (time + glide * time**2)
    harmonics = torch.arange(1, 40)[:, None]
    loudness = sum(torch.exp(-(((harmonics * pitch - formant) / 180) ** 2)) for formant in vowel)
    return ((loudness + 0.03) * torch.sin(harmonics * phase)).sum(0)


def image(axes: Axes) -> None:
    """Two photographs."""
    mixed, mix = mm.FMix()(photos(), index=SWAP, lam=0.55)
    axes.imshow(mixed[0].permute(1, 2, 0))
    axes.contour(mix.mask[0], levels=[0.5], colors="white", linewidths=1.5)


def spectrogram(axes: Axes) -> None:
    """Two sung vowels."""
    waves = torch.stack([sung(140, (700, 1200), 0.25), sung(280, (350, 2300), -0.2)])
    mixed, mix = mm.FMix()(mm.LogMel(hop=128, n_mels=64)(waves), index=SWAP, lam=0.5)
    axes.imshow(mixed[0, 0], origin="lower", aspect="auto", cmap="magma")
    axes.contour(mix.mask[0], levels=[0.5], colors="white", linewidths=1.5)


def text(axes: Axes) -> None:
    """Two sentences, token by token."""
    _, mix = mm.FMix(axes="b * d")(torch.zeros(2, len(PRAISE), 8), index=SWAP, lam=0.5)
    for place, keep in enumerate(mix.mask[0].bool().tolist()):
        row, column = divmod(place, 3)
        style = {"color": OWN} if keep else {"color": PARTNER, "style": "italic"}
        word = (PRAISE if keep else BLAME)[place]
        axes.text(0.02 + 0.34 * column, 0.88 - 0.19 * row, word, fontsize=12.5, transform=axes.transAxes, **style)


def voxels(axes: Axes3D) -> None:
    """The shells of a sphere and of a box."""
    side = 20
    place = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(place, place, place, indexing="ij"))
    radius, edge = grid.norm(dim=0), grid.abs().amax(0)
    shapes = torch.stack([(radius < 0.98) & (radius > 0.8), (edge < 0.75) & (edge > 0.6)])[:, None]
    mixed, mix = mm.FMix()(shapes.float(), index=SWAP, lam=0.5)
    keep = mix.mask[0].bool()
    filled = mixed[0, 0].bool()
    for part, colour in ((filled & keep, OWN), (filled & ~keep, PARTNER)):
        axes.voxels(part.numpy(), facecolors=colour, edgecolors="white", linewidth=0.25)
    axes.set_box_aspect((1, 1, 1), zoom=1.25)
    axes.view_init(elev=22, azim=-50)


def main() -> None:
    """Draw and write it."""
    torch.manual_seed(4)
    figure = pyplot.figure(figsize=(11, 2.9), layout="constrained")
    panels = (("images", image), ("mel-spectrograms", spectrogram), ("text", text), ("voxels, points", voxels))
    for place, (name, draw) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 4, place, projection="3d" if draw is voxels else None)
        draw(axes)
        axes.set_title(name, fontsize="large")
        axes.set_axis_off()
    STATIC.mkdir(exist_ok=True)
    figure.savefig(STATIC / "any-modality.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
