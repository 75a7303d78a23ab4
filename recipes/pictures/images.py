"""Pictures of what a run's mixers do to images and feature maps."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from recipes.pictures.rows import SHOWN, Column, Sample, mask_of, rows


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
