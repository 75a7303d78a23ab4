"""The ratios of a run, drawn: mixers to the floor of their size, and to the same of other libraries."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipes.measuring.benchmark import recorded
from recipes.measuring.benchmark.cases import DRAWS, INPUTS
from recipes.measuring.benchmark.figures import Figures
from recipes.measuring.benchmark.parts import mixing, peers
from recipes.training.methods import AT_INPUT

MARKS = {"batch": "o", "sample": "s"}


def ratios(figures: Figures) -> Figure:
    """On the left `mixer(x)` in floors by size, on the right other libraries, below 1 where they are slower."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _floors(left, figures)
    _peers(right, figures)
    return figure


def _floors(axes: Axes, figures: Figures) -> None:
    for number, method in enumerate(AT_INPUT):
        for draws in DRAWS:
            heights = [mixing.floors(figures, shape, method, draws, "call") for shape in INPUTS]
            label = method if draws == DRAWS[0] else None
            _marks(axes, heights, number / len(AT_INPUT), MARKS[draws], f"C{number}", label, hollow=draws == DRAWS[1])
    for method in recorded.MASKS:
        theirs = [mixing.theirs(figures, recorded.of_batch, method, shape) for shape in INPUTS]
        _marks(axes, theirs, 0.9, "x", "black", f"{method}, its authors' code")
    _finish(axes, [str(shape) for shape in INPUTS], "`mixer(x)` / floor (squares: a draw for each sample)")


def _peers(axes: Axes, figures: Figures) -> None:
    pairs = [(str(shape), method) for shape in INPUTS if len(shape) == 4 for method in peers.COMPARED]
    for number, peer in enumerate(peers.COLUMNS):
        heights = [peers.against(figures, case, method, peer) for case, method in pairs]
        _marks(axes, heights, number / len(peers.COLUMNS), "o", f"C{number}", peer)
    _finish(axes, [f"{method}\n{case}" for case, method in pairs], "with targets / the other library's time")


def _marks(
    axes: Axes,
    heights: Sequence[float | None],
    shift: float,
    mark: str,
    color: str,
    label: str | None,
    *,
    hollow: bool = False,
) -> None:
    """A mark for each height that is known, in its place, moved by a share of the place."""
    known = [(place + 0.8 * shift - 0.4, height) for place, height in enumerate(heights) if height is not None]
    if known:
        face = "none" if hollow else color
        where, high = zip(*known, strict=True)
        axes.scatter(where, high, marker=mark, label=label, s=24, **_colors(mark, color, face))


def _colors(mark: str, color: str, face: str) -> dict[str, Any]:
    return {"color": color} if mark == "x" else {"facecolors": face, "edgecolors": color}


def _finish(axes: Axes, names: Sequence[str], label: str) -> None:
    axes.axhline(1, color="0.6", linewidth=1)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), [name.replace(", ", "·") for name in names], fontsize="x-small", rotation=20)
    axes.set_ylabel(label.replace("`", ""), fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small")
