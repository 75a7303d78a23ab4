"""How much of an image a network looks at: `python -m recipes.analyses.grad_cam RUNS --out PAGE.md`.

Claim (Harris et al. 2020): the sum of the Grad-CAM map, averaged over CIFAR-10's test images, is 146 ± 5 for a
PreAct-ResNet18, 162 ± 3 with MixUp and 131 ± 6 with CutMix (mean ± standard deviation of 5 networks).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn

from recipes.analyses.shared.trained import Choice, Trained, module_of, networks
from recipes.analyses.shared.writing import made_by, name_of, text
from recipes.data.disk.lazy import read
from recipes.reporting import pages
from recipes.reporting.intervals import Claim, csv_text

SUM, EMPTY = "sum of the map", "maps of zeros (%)"
SOURCE = "FMix: 131, 146 and 162"
CLAIMS = [Claim(SUM, "baseline", "mixup", SOURCE), Claim(SUM, "cutmix", "baseline", SOURCE)]
SHOWN = 6


@dataclass(frozen=True)
class Settings:
    """Sum the Grad-CAM maps of trained networks."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks."""
    layer: str = "layer2"
    """Module whose output is used; on images of 32 x 32, layer2 has maps of 16 x 16, as the paper's sums have."""
    batch_size: int = 100
    """Images per batch."""
    out: Path | None = None
    """File for the page, in Markdown; a picture and a table of all runs go beside it."""


def maps(net: nn.Module, layer: nn.Module, x: Tensor) -> Tensor:
    """Grad-CAM maps of the predicted classes, each divided by its own maximum; all zeros if nothing is above 0.

    Channels are weighted by the mean gradient of the class's logit, and negative values of their sum are set to 0.

    Args:
        net: maps `x` to logits (B, classes); in evaluation mode, so that samples do not depend on each other.
        layer: a module of it with one output (B, C, H, W).
        x: input (B, ...).

    Returns:
        (B, H, W) in [0, 1].

    Raises:
        ImportError: captum is missing.

    Source: Selvaraju et al. 2017, "Grad-CAM"; the notebook of the FMix paper, which takes the mean over the channels
    instead of the sum: the same after the division.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError as error:
        raise ImportError("Grad-CAM needs captum: pip install 'mixmodal[recipes]'") from error
    with torch.no_grad():
        predicted = net(x).argmax(1)
    found: Tensor = LayerGradCam(net, layer).attribute(x, predicted, relu_attributions=True).detach().squeeze(1)
    top = found.amax((1, 2), keepdim=True)
    return torch.where(top > 0, found / top, torch.zeros_like(found))


def pictures(images: Tensor, found: Mapping[str, Tensor]) -> Figure:
    """The maps of some images (N, C, H, W) uint8 in a row for each method."""
    columns = len(images)
    figure = Figure(figsize=(1.3 * columns + 0.8, 1.35 * (len(found) + 1)), layout="constrained")
    grid = figure.subplots(len(found) + 1, columns, squeeze=False)
    height, width = images.shape[2:]
    for row, (name, heat) in enumerate([("image", None), *found.items()]):
        for place, axes in enumerate(grid[row]):
            seen = images[place].permute(1, 2, 0).numpy()
            axes.imshow(seen.squeeze(-1) if seen.shape[2] == 1 else seen, cmap="gray", vmin=0, vmax=255)
            if heat is not None:
                extent = (-0.5, width - 0.5, height - 0.5, -0.5)
                axes.imshow(heat[place].numpy(), cmap="inferno", alpha=0.65, vmin=0, vmax=1, extent=extent)
                axes.set_title(f"{heat[place].sum():.0f}", fontsize=8)
            axes.set(xticks=[], yticks=[])
        grid[row, 0].set_ylabel(name)
    return figure


def page(settings: Settings, command: str) -> pages.Page:
    """Measure, and make the page."""
    measured: dict[str, dict[str, dict[int, float]]] = {name: defaultdict(dict) for name in (SUM, EMPTY)}
    shown: dict[str, Tensor] = {}
    first, runs, cells = None, 0, 0
    for each in networks(settings.choice):
        found = _maps_of(each, settings)
        sums = found.double().sum((1, 2))
        measured[SUM][each.method][each.seed] = sums.mean().item()
        measured[EMPTY][each.method][each.seed] = 100 * (sums == 0).double().mean().item()
        shown.setdefault(each.method, found[:SHOWN])
        first, runs, cells = first or each, runs + 1, found[0].numel()
    assert first is not None  # there is at least one
    caption = (
        "Maps of the predicted classes over the first test images, with their sums, for the first seed. FMix's claim: "
        "with MixUp the network looks at more of an image, with CutMix at less."
    )
    body = text(
        title=f"Grad-CAM: {first.settings.data}, {first.settings.model}",
        about=f"The sum of the Grad-CAM map of the predicted class at the output of {settings.layer}, {cells} cells "
        "scaled to a maximum of 1, averaged over the test images; maps that are 0 everywhere count as 0. Sums are "
        "comparable only between maps of the same size: the paper's fit 256 cells.",
        made=made_by(command, first, runs),
        measured=measured,
        digits=2,
        claims=CLAIMS,
        pictures={".png": caption},
        name=name_of(settings.out, "grad-cam"),
    )
    return pages.Page(body, {".png": pictures(read(first.data.test_x[:SHOWN]), shown)}, {".csv": csv_text(measured)})


def _maps_of(each: Trained, settings: Settings) -> Tensor:
    layer = module_of(each.net, settings.layer)
    return torch.cat([maps(each.net, layer, each.normalise(x)).cpu() for x, _ in each.batches(settings.batch_size)])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    pages.main("analyses.grad_cam", Settings, page, arguments)


if __name__ == "__main__":
    main()
