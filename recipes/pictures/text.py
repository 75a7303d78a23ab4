"""Pictures of mixed texts: whose tokens they are, and what happens to hidden states."""

from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from recipes.pictures.rows import Column, Sample, rows

SHOWN, COLUMNS, LINE = 6, 4, 215
OWN, PARTNER = (0.12, 0.47, 0.71), (1.0, 0.5, 0.05)


def samples(
    shown: Sequence[Sample],
    ids: Tensor,
    y: Tensor,
    classes: Sequence[str],
    pad_id: int,
    decode: Callable[[Tensor], list[str]],
    title: str,
) -> Figure:
    """What a mixer does at each of its sites: tokens at the input, hidden states at others.

    Args:
        shown: a draw for each site, of tokens or states (B, T, ...).
        ids: token ids (B, T).
        y: classes (B,), or labels (B, L).
        classes: their names.
        pad_id: id of the pad token.
        decode: ids (T,) to words.
        title: name of the data.
    """
    figure = Figure(figsize=(13, 5.2 * len(shown)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    for part, sample in zip(figure.subfigures(len(shown), squeeze=False)[:, 0], shown, strict=True):
        tokens = sample.name == "input"
        part.suptitle(
            f"at the {sample.name}" + (": own tokens blue, the partner's orange" if tokens else ""), fontsize=11
        )
        if tokens:
            _tokens(part.subplots(), sample, ids, y, classes, pad_id, decode)
        else:
            rows(part, _states(sample))
    return figure


def name_of(label: Tensor, classes: Sequence[str]) -> str:
    """The classes of a sample in words.

    >>> name_of(torch.tensor([1.0]), ["bad", "good"]), name_of(torch.tensor([0.0, 0.0]), ["bad", "good"])
    ('good', 'none')
    """
    if label.ndim == 0:
        return classes[int(label)]
    if len(label) == 1:
        return classes[int(label[0])]
    return ", ".join(name for name, flag in zip(classes, label, strict=True) if flag) or "none"


def _tokens(
    axes: Axes,
    sample: Sample,
    ids: Tensor,
    y: Tensor,
    classes: Sequence[str],
    pad_id: int,
    decode: Callable[[Tensor], list[str]],
) -> None:
    """Two lines for each of the first texts, its own tokens and the partner's, coloured by their share in the mix."""
    mix = sample.mix.to("cpu")
    mask = mix.mask.expand(ids.shape)
    axes.set_xlim(0, LINE)
    axes.set_ylim(-3 * min(SHOWN, len(ids)) + 1, 1)
    axes.set_axis_off()
    for place in range(min(SHOWN, len(ids))):
        other, share = int(mix.index[place]), mix.lam[place].item()
        sides = [(place, share, mask[place], OWN)]
        if mix.partner:
            sides.append((other, 1 - share, 1 - mask[place], PARTNER))
        for line, (row, weight, shares, colour) in enumerate(sides):
            height = -3 * place - line
            axes.text(0, height, f"{weight:.2f} {name_of(y[row], classes)}"[:24], fontsize=8, color=colour)
            column = 32
            for word, number, part in zip(decode(ids[row]), ids[row], shares.tolist(), strict=True):
                if column + len(word) > LINE:
                    break
                if number == pad_id:
                    continue
                box = {"facecolor": (*colour, 0.6 * part), "edgecolor": "none", "pad": 0.8}
                grey = 0.65 * (1 - part)
                axes.text(column, height, word, fontsize=7, family="monospace", color=str(grey), bbox=box)
                column += len(word) + 1


def _states(sample: Sample) -> list[Column]:
    """A column for each of the first texts: states by token and channel, the partner's, mask and mix."""
    mix = sample.mix.to("cpu")
    before, after = sample.before.cpu(), sample.after.cpu()
    columns: list[Column] = []
    for place in range(min(COLUMNS, len(before))):
        own = before[place, :60, :60]
        there = before[int(mix.index[place]), :60, :60] if mix.partner else torch.zeros_like(own)
        mixed = after[place, :60, :60]
        mask = mix.mask.expand(len(before), *mix.mask.shape[1:])[place]
        mask = mask[..., None].expand(before.shape[1:]) if mask.ndim == 1 else mask
        low, high = min(float(x.min()) for x in (own, there)), max(float(x.max()) for x in (own, there))
        pictures = [(x - low) / max(high - low, 1e-12) for x in (own, there, mixed)]
        titles = (f"text {place}: tokens down, channels across", "partner", f"own share {mix.lam[place]:.2f}", "mix")
        drawn = (pictures[0], pictures[1], mask[:60, :60], pictures[2])
        columns.append(list(zip(drawn, titles, strict=True)))
    return columns
