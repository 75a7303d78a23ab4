"""How strong the features of a network are: `python -m recipes.analyses.activations RUNS --out PAGE.md`.

Claim (Faramarzi et al. 2022, Figures 6, 7 and 14): in a WRN-28-10 on CIFAR-100, the mean magnitude of the feature maps
after the first convolution and the first two groups, where PatchUp acts, is highest with soft and hard PatchUp and
lowest with Manifold Mixup; after the third group it is not.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor

from recipes.analyses.shared.trained import Choice, Trained, module_of, networks
from recipes.analyses.shared.writing import made_by, name_of, text
from recipes.reporting import pages
from recipes.reporting.intervals import Claim, csv_text

PUBLISHED_BATCH = 100
MIXED = ("stem", "layer1", "layer2")
"""Layers of the claim: the outputs of the stem and the first two stages, where the paper says that PatchUp acts. Our
sites are before the stem and the first two stages, so the output of `layer2` itself is not mixed."""
PATCHUP, OTHERS = ("patchup-soft", "patchup-hard"), ("manifold-mixup", "cutout", "cutmix")
PAIRS = [(other, patchup) for patchup in PATCHUP for other in OTHERS]
PAIRS += [("manifold-mixup", other) for other in OTHERS[1:]]

Measure = Literal["magnitude", "signed-sum", "published"]
MEASURES: dict[Measure, Callable[[Tensor], Tensor]] = {
    "magnitude": lambda maps: maps.abs().mean((2, 3)).double().sum(0),
    "signed-sum": lambda maps: maps.sum((2, 3)).double().sum(0),
    "published": lambda maps: maps[::PUBLISHED_BATCH].sum((2, 3)).double().sum(0),
}
"""From feature maps (B, C, H, W) of a batch of 100 images, or of the last ones, to a sum (C,), which is then divided by
the number of all images."""
WORDS: dict[Measure, str] = {
    "magnitude": "mean magnitude of a channel, over its map and all test images",
    "signed-sum": "signed sum of a channel over its map, averaged over all test images",
    "published": "signed sum of a channel over its map, of the first of every 100 test images, divided by the number "
    "of all images: a hundredth of the mean, as in the authors' code",
}


@dataclass(frozen=True)
class Settings:
    """Measure the activations of trained networks per channel."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks."""
    layers: tuple[str, ...] = ("stem", "layer1", "layer2", "layer3")
    """Modules whose outputs are measured."""
    measure: Measure = "magnitude"
    """Mean magnitude; or the signed sum over the map; or that as the authors' code computes it."""
    out: Path | None = None
    """File for the page, in Markdown; a picture and a table of all runs go beside it."""


@torch.no_grad()
def activations(trained: Trained, layers: Sequence[str], measure: Measure = "magnitude") -> dict[str, Tensor]:
    """Per-channel statistics of some layers over the test images.

    Args:
        trained: the network and the images.
        layers: names of modules with an output (B, C, H, W).
        measure: see `MEASURES`.

    Returns:
        (C,) float64 by layer, on the CPU.

    Raises:
        ValueError: the network has no such module.
    """
    sums: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[Any, Any, Tensor], None]:
        def add(_module: Any, _inputs: Any, output: Tensor) -> None:
            found = MEASURES[measure](output.float()).cpu()
            sums[name] = sums[name] + found if name in sums else found

        return add

    handles = [module_of(trained.net, name).register_forward_hook(watch(name)) for name in layers]
    try:
        for x, _ in trained.batches(PUBLISHED_BATCH):
            trained.net(trained.normalise(x))
    finally:
        for handle in handles:
            handle.remove()
    return {name: sums[name] / len(trained.data.test_x) for name in layers}


def curves(found: Mapping[str, Mapping[str, Sequence[Tensor]]], measure: Measure) -> Figure:
    """Channels of each layer in descending order, a curve for each method, averaged over its runs."""
    figure = Figure(figsize=(3.4 * len(found) + 0.4, 3.2), layout="constrained")
    for axes, (layer, methods) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        for method, runs in methods.items():
            ordered = torch.stack([each.sort(descending=True).values for each in runs]).mean(0)
            axes.plot(ordered.numpy(), label=method, linewidth=1.3)
        axes.set(title=f"after {layer}", xlabel="channel, sorted")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel({"magnitude": "mean magnitude"}.get(measure, "sum over the map"))
    figure.axes[-1].legend(fontsize="small")
    return figure


def page(settings: Settings, command: str) -> pages.Page:
    """Measure, and make the page."""
    layers = settings.layers
    measured: dict[str, dict[str, dict[int, float]]] = {layer: defaultdict(dict) for layer in layers}
    channels: dict[str, dict[str, list[Tensor]]] = {layer: defaultdict(list) for layer in layers}
    first, runs = None, 0
    for each in networks(settings.choice):
        for layer, values in activations(each, layers, settings.measure).items():
            measured[layer][each.method][each.seed] = values.mean().item()
            channels[layer][each.method].append(values)
        first, runs = first or each, runs + 1
    assert first is not None  # there is at least one
    where = [layer for layer in MIXED if layer in layers]
    caption = (
        "Channels in descending order, averaged over the seeds. PatchUp's claim: soft and hard PatchUp have the "
        "strongest features where they mix, Manifold Mixup the weakest."
    )
    body = text(
        title=f"Activations: {first.settings.data}, {first.settings.model}",
        about=f"The {WORDS[settings.measure]}; the table has the mean over the channels of each layer.",
        made=made_by(command, first, runs),
        measured=measured,
        digits=4,
        claims=[Claim(layer, *pair, "PatchUp, Fig. 6 and 7") for layer in where for pair in PAIRS],
        pictures={".png": caption},
        name=name_of(settings.out, "activations"),
    )
    return pages.Page(body, {".png": curves(channels, settings.measure)}, {".csv": csv_text(measured)})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    pages.main("analyses.activations", Settings, page, arguments)


if __name__ == "__main__":
    main()
