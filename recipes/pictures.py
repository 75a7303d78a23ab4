"""Pictures of a run: its curves, and what its mixer does to images."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from mixmodal import Mix

SHOWN = 6


def curves(entries: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """Loss, scores and learning rate over the epochs of `metrics.jsonl`."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    epochs = [entry["epoch"] for entry in entries]
    loss.plot(epochs, [entry["train_loss"] for entry in entries], color="black")
    loss.set_ylabel("training loss (mixed batches)")
    score.plot(epochs, [entry[f"train_{metric}"] for entry in entries], color="0.6", label="training, mixed batches")
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


def mixed_images(x: Tensor, mixed: Tensor, mix: Mix, y: Tensor, classes: Sequence[str]) -> Figure:
    """Rows of own image, partner, mask and mix, with the shares, for the first samples of a batch.

    Args:
        x: images before mixing, (B, C, H, W), in [0, 1]; one or three channels.
        mixed: images after mixing, of the same shape and range.
        mix: the record that made them, of rank 2 or uniform.
        y: classes (B,).
        classes: their names.
    """
    count = min(SHOWN, len(x))
    figure = Figure(figsize=(1.7 * count + 0.6, 7.2), layout="constrained")
    grid = figure.subplots(4, count, squeeze=False)
    mask = mix.mask.expand(len(x), *mix.mask.shape[1:]).expand(len(x), *x.shape[2:])
    for column in range(count):
        own, partner, share = int(y[column]), int(y[mix.index[column]]), mix.lam[column].item()
        pictures = (x[column], x[mix.index[column]] if mix.partner else torch.zeros_like(x[column]), mask[column][None])
        titles = (
            classes[own],
            classes[partner] if mix.partner else "no partner",
            f"mask, mean {mask[column].mean():.2f}",
        )
        label = f"{share:.2f} {classes[own]}" + (f"\n{1 - share:.2f} {classes[partner]}" if mix.partner else "\n")
        for axes, picture, title in zip(grid[:, column], (*pictures, mixed[column]), (*titles, label), strict=True):
            axes.imshow(
                picture.permute(1, 2, 0).clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
            )
            axes.set_title(title, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
    for axes, name in zip(grid[:, 0], ("own", "partner", "own share", "mix"), strict=True):
        axes.set_ylabel(name)
    return figure
