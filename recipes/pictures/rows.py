"""What pictures of a mix are made of: a draw at a site, and rows of own, partner, mask and mix."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import SubFigure
from torch import Tensor

from mixmodal.core.grids import spread
from mixmodal.core.records.mix import Mix

SHOWN = 6


Column = Sequence[tuple[Tensor, str]]
"""Pictures (H, W) or (H, W, 3) in [0, 1] from top to bottom, with their titles."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What a mixer does at a site, for a picture.

    Args:
        name: of the site, such as "input" or "input of layer1".
        before: tensor before mixing, (B, ...).
        after: tensor after mixing, of the same shape.
        mix: the record.
    """

    name: str
    before: Tensor
    after: Tensor
    mix: Mix


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
