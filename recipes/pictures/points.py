"""Pictures of mixed shapes."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from recipes.pictures.rows import Column, Sample, mask_of, rows

SHOWN, MOST = 4, 1500
OWN, PARTNER = "tab:blue", "tab:orange"


def samples(shown: Sequence[Sample], y: Tensor, classes: Sequence[str]) -> Figure:
    """What a mixer does at each of its sites: shapes at the input, seen from the side and above; channels at others.

    Args:
        shown: a draw for each site: clouds (B, N, 3) or voxels (B, 1, R, R, R) at the input.
        y: classes (B,).
        classes: their names.
    """
    figure = Figure(figsize=(3.1 * SHOWN, 9.6 * len(shown)), layout="constrained")
    for part, sample in zip(figure.subfigures(len(shown), squeeze=False)[:, 0], shown, strict=True):
        part.suptitle(f"at the {sample.name}")
        if sample.name == "input":
            _shapes(part, sample, y, classes)
        else:
            rows(part, _channels(sample))
    return figure


def _shapes(figure: Any, sample: Sample, y: Tensor, classes: Sequence[str]) -> None:
    """A column for each of the first samples: what it keeps of itself, what it takes from the partner, and the mix."""
    mix = sample.mix.to("cpu")
    before, after = sample.before.cpu(), sample.after.cpu()
    count = min(SHOWN, len(before))
    for place in range(count):
        other, share = int(mix.index[place]), mix.lam[place].item()
        own, partner = before[place], before[other]
        kept, taken, whose = _sides(sample, place)
        names = classes[int(y[place])], classes[int(y[other])] if mix.partner else "no partner"
        label = f"{share:.2f} {names[0]}" + (f", {1 - share:.2f} {names[1]}" if mix.partner else "")
        columns = ((own, kept, OWN, names[0]), (partner, taken, PARTNER, names[1]))
        for row, (shape, chosen, colour, title) in enumerate(columns):
            axes = figure.add_subplot(3, count, row * count + place + 1, projection="3d")
            _draw(axes, shape, torch.where(chosen, 0, 1), [colour, "0.85"], title)
        axes = figure.add_subplot(3, count, 2 * count + place + 1, projection="3d")
        _draw(axes, after[place], whose, [OWN, PARTNER], label)


def _sides(sample: Sample, place: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which of a sample's own and of its partner's points or voxels are in the mix, and 1 where the mix is not own."""
    mix, before = sample.mix.to("cpu"), sample.before.cpu()
    if before.ndim == 5:
        keep = mask_of(sample)[place, 0] > 0.5
        return keep, ~keep, (~keep).long()
    keep = mix.mask.expand(len(before), -1)[place] > 0.5
    if mix.moves is None:
        return torch.ones_like(keep), torch.zeros_like(keep), torch.zeros_like(keep, dtype=torch.int64)
    used = [torch.zeros_like(keep).scatter(0, each[place][each[place] >= 0], True) for each in mix.moves]
    return used[0], used[1], (~keep).long()


def _draw(axes: Any, shape: Tensor, group: Tensor, colours: Sequence[str], title: str) -> None:
    """Points, or the centres of occupied voxels, in two colours."""
    if shape.ndim == 4:
        occupied = shape[0] > 0
        points, group = occupied.nonzero().float(), group[occupied]
    else:
        points = shape[:, :3]
    some = torch.linspace(0, len(points) - 1, min(MOST, len(points))).round().long()
    points, group = points[some], group[some]
    for number, colour in enumerate(colours):
        axes.scatter(*points[group == number].T.numpy(), color=colour, s=4, linewidths=0)
    axes.set_title(title, fontsize=9)
    axes.view_init(elev=20, azim=-55)
    axes.set_box_aspect([1, 1, 1])
    axes.set_axis_off()


def _channels(sample: Sample) -> list[Column]:
    """A column for each of the first channels of the first sample: 3-D maps by their middle slice, 1-D ones whole."""
    mix, mask = sample.mix.to("cpu"), mask_of(sample)[0]
    before, after = sample.before.cpu(), sample.after.cpu()
    there = before[int(mix.index[0])] if mix.partner else torch.zeros_like(before[0])
    columns: list[Column] = []
    for channel in range(min(SHOWN, before.shape[1])):
        maps = [_flat(each[channel]) for each in (before[0], there, after[0])]
        low, high = min(float(each.min()) for each in maps), max(float(each.max()) for each in maps)
        own, partner, mixed = ((each - low) / max(high - low, 1e-12) for each in maps)
        kept = f"mask, mean {mask[channel].mean():.2f}"
        shown = ((own, f"channel {channel}"), (partner, ""), (_flat(mask[channel]), kept), (mixed, ""))
        columns.append(shown)
    return columns


def _flat(x: Tensor) -> Tensor:
    """A map as a picture (H, W)."""
    return x[:, :, x.shape[2] // 2] if x.ndim == 3 else x[:60].expand(12, -1)
