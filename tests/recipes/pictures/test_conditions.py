"""Curves and points of methods over conditions."""

from collections.abc import Mapping

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recipes.pictures import conditions
from recipes.training.methods import METHODS


def names(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("wide", [1, 2, 4])
@pytest.mark.parametrize("kind", ["curves", "points"])
def test_every_name_of_the_legend_lies_in_the_picture(kind: str, wide: int, count: int) -> None:
    methods = sorted(METHODS, key=len, reverse=True)[:count]
    band = {method: (50.0 + place, 1.0) for place, method in enumerate(methods)}
    if kind == "points":
        figure = conditions.points({f"condition {place}": band for place in range(wide)}, ylabel="accuracy (%)")
    else:
        over: Mapping[str, Mapping[float, conditions.Band]] = {method: {0.0: band[method]} for method in methods}
        panels = {f"panel {place}": over for place in range(wide)}
        figure = conditions.curves(panels, xlabel="size", ylabel="accuracy (%)", threshold=None)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= canvas.get_width_height()[0]
    assert names(figure) == methods
