"""Pictures of what methods score under several conditions, and of samples under each of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

Band = tuple[float, float]
"""A mean and half the width of its interval, which is not drawn if infinite."""
COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
MARKERS = "osD^vPX*<>"


def curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Band]]], *, xlabel: str, ylabel: str, threshold: float | None
) -> Figure:
    """A panel for each group, a curve with its band for each method.

    Args:
        panels: by title and method, values by their place on the x-axis.
        xlabel: what that axis shows.
        ylabel: what the values are.
        threshold: where a logarithmic axis with 0 becomes linear; None for a linear axis.
    """
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(1.2 + 3.6 * columns, 0.8 + 2.9 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, by_method) in zip(grid.flat, panels.items(), strict=False):
        for place, (method, values) in enumerate(by_method.items()):
            x = list(values)
            mean, half = (np.array(each) for each in zip(*values.values(), strict=True))
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(x, mean, color=colour, marker=MARKERS[place % len(MARKERS)], markersize=4, label=method)
            if np.isfinite(half).all():
                axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        if threshold is not None:
            axes.set_xscale("symlog", linthresh=threshold)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(xlabel)
        _plain(axes)
    for row in grid:
        row[0].set_ylabel(ylabel)
    _name(figure, grid.flat[0])
    return figure


def points(values: Mapping[str, Mapping[str, Band]], *, ylabel: str, xlabel: str = "") -> Figure:
    """A group of points for each condition, one with its interval for each method.

    Args:
        values: by condition and method.
        ylabel: what the values are.
        xlabel: what the conditions are.
    """
    methods = list(next(iter(values.values())))
    figure = Figure(figsize=(2.5 + 0.14 * (2 + len(methods)) * len(values), 4.2), layout="constrained")
    axes = figure.subplots()
    for place, method in enumerate(methods):
        mean, half = (np.array(each) for each in zip(*(by[method] for by in values.values()), strict=True))
        shift = ((place + 0.5) / len(methods) - 0.5) * 0.7
        axes.errorbar(
            np.arange(len(values)) + shift,
            mean,
            yerr=np.where(np.isfinite(half), half, 0),
            fmt=MARKERS[place % len(MARKERS)],
            color=COLOURS[place % len(COLOURS)],
            markersize=4,
            elinewidth=1,
            label=method,
        )
    for place in range(1, len(values), 2):
        axes.axvspan(place - 0.5, place + 0.5, color="0.96", zorder=0)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_xticks(range(len(values)), list(values), rotation=45, ha="right")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _plain(axes)
    _name(figure, axes)
    return figure


def tiles(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> Figure:
    """Images under conditions, a row for each.

    Args:
        rows: images (C, H, W) uint8 with one or three channels, by the name of their row; as many as `titles`.
        titles: of the columns.
    """
    figure = Figure(figsize=(1.4 + 1.1 * len(titles), 0.5 + 1.1 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            shown = image.permute(1, 2, 0).squeeze(-1).numpy()
            axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    return figure


def _name(figure: Figure, axes: Axes) -> None:
    """A legend below, in as many columns as the figure has room for."""
    handles, names = axes.get_legend_handles_labels()
    width = 0.7 + 0.1 * max(map(len, names))  # inches of a mark and a name
    columns = max(1, min(6, int(figure.get_figwidth() / width)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def _plain(axes: Axes) -> None:
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
