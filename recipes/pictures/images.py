"""Pictures of a run: its curves, and what its mixers do."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from mixmodal.grids import spread
from recipes.mixing import Sample

SHOWN = 6


def curves(entries: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """Loss, scores and learning rate over the epochs of `metrics.jsonl`."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    epochs = [entry["epoch"] for entry in entries]
    loss.plot(epochs, [entry["train_loss"] for entry in entries], color="black")
    loss.set_ylabel("training loss (mixed batches)")
    if all(f"train_{metric}" in entry for entry in entries):
        score.plot(
            epochs, [entry[f"train_{metric}"] for entry in entries], color="0.6", label="training, mixed batches"
        )
    tested = [entry for entry in entries if f"test_{metric}" in entry]
    last = tested[-1][f"test_{metric}"]
    shown = [entry["epoch"] for entry in tested], [entry[f"test_{metric}"] for entry in tested]
    score.plot(*shown, color="tab:blue", marker="o", markersize=3, label=f"test, {last:.2f} at the end")
    score.set_ylabel(f"{metric} (%)")
    score.legend(fontsize="small", loc="lower right")
    rate.plot(epochs, [entry["lr"] for entry in entries], color="black")
    rate.set_ylabel("learning rate")
    for axes in (loss, score, rate):
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def samples(
    shown: Sequence[Sample], y: Tensor, classes: Sequence[str], *, mean: Sequence[float], std: Sequence[float]
) -> Figure:
    """What a mixer does at each of its sites: images at the input, channels of one sample at hidden sites.

    Args:
        shown: a draw for each site, of maps of rank 2; at the input of normalised images with one or three channels.
        y: classes (B,).
        classes: their names.
        mean: mean of each channel of the images.
        std: standard deviation of each channel of the images.
    """
    figure = Figure(figsize=(1.7 * SHOWN + 0.6, 7.4 * len(shown)), layout="constrained")
    for part, sample in zip(figure.subfigures(len(shown), squeeze=False)[:, 0], shown, strict=True):
        columns = _images(sample, y, classes, mean, std) if sample.name == "input" else _channels(sample)
        part.suptitle(f"at the {sample.name}" + ("" if sample.name == "input" else ": channels of a sample"))
        rows(part, columns)
    return figure


Column = Sequence[tuple[Tensor, str]]
"""Pictures (H, W) or (H, W, 3) in [0, 1] from top to bottom, with their titles."""


def mask_of(sample: Sample) -> Tensor:
    """The own share at each location of what is mixed, of its shape (B, C, ...), on the CPU."""
    mix = sample.mix.to("cpu")
    return spread(mix.mask, sample.before.cpu(), mix.axes).expand(sample.before.shape)


def rows(figure: SubFigure, columns: Sequence[Column]) -> None:
    """Draw columns of own picture, partner's, mask and mix."""
    grid = figure.subplots(4, len(columns), squeeze=False)
    for place, column in enumerate(columns):
        for axes, (picture, title) in zip(grid[:, place], column, strict=True):
            axes.imshow(
                (picture.squeeze(-1) if picture.ndim == 3 else picture).numpy(),
                cmap="gray",
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            axes.set_title(title, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
    for axes, name in zip(grid[:, 0], ("own", "partner", "own share", "mix"), strict=True):
        axes.set_ylabel(name)


def _images(
    sample: Sample, y: Tensor, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> list[Column]:
    """A column for each of the first samples: own image, partner, mask and mix, with the shares."""
    mix = sample.mix.to("cpu")
    middle, scale = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    own, mixed = ((x.cpu() * scale + middle).clamp(0, 1).permute(0, 2, 3, 1) for x in (sample.before, sample.after))
    mask = mask_of(sample)[:, 0]
    columns: list[Column] = []
    for place in range(min(SHOWN, len(own))):
        other, share = int(mix.index[place]), mix.lam[place].item()
        name, partner = classes[int(y[place])], classes[int(y[other])] if mix.partner else "no partner"
        label = f"{share:.2f} {name}\n" + (f"{1 - share:.2f} {partner}" if mix.partner else "")
        there = own[other] if mix.partner else torch.zeros_like(own[place])
        title = f"mask, mean {mask[place].mean():.2f}"
        columns.append([(own[place], name), (there, partner), (mask[place], title), (mixed[place], label)])
    return columns


def _channels(sample: Sample) -> list[Column]:
    """A column for each of the first channels of the first sample: own map, partner's, mask and mix, on one scale."""
    mix = sample.mix.to("cpu")
    before, after = sample.before.cpu(), sample.after.cpu()
    there = before[mix.index[0]] if mix.partner else torch.zeros_like(before[0])
    mask = mask_of(sample)[0]
    columns: list[Column] = []
    for channel in range(min(SHOWN, before.shape[1])):
        maps = [before[0, channel], there[channel], after[0, channel]]
        low, high = min(float(each.min()) for each in maps), max(float(each.max()) for each in maps)
        own, partner, mixed = ((each - low) / max(high - low, 1e-12) for each in maps)
        kept = f"mask, mean {mask[channel].mean():.2f}"
        columns.append([(own, f"channel {channel}"), (partner, ""), (mask[channel], kept), (mixed, "")])
    return columns
