"""How well calibrated networks are: `python -m recipes.analyses.calibration RUNS --out PAGE.md`.

Claim (Faramarzi et al. 2022, Table 1): soft PatchUp has the lowest negative log-likelihood of all methods; on
Tiny-ImageNet with WRN-28-10 it is 1.46, hard PatchUp's 1.57, Puzzle Mix's 1.65, CutMix's 1.75, Manifold Mixup's 1.83,
MixUp's 1.88 and the baseline's 1.89. The papers do not print the expected calibration error.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from recipes.analyses.shared.trained import Choice, networks
from recipes.analyses.shared.writing import made_by, name_of, text
from recipes.reporting import pages
from recipes.reporting.intervals import Claim, csv_text
from recipes.training import scores

BELOW_ONE = 1 - 2**-24
"""The largest float32 below 1: torchmetrics gives confidences of exactly 1 a bin of their own."""
NLL, ECE, ERROR = "NLL (nats)", "ECE (%)", "error (%)"
OTHERS = ("patchup-hard", "puzzlemix", "cutmix", "manifold-mixup", "cutout", "mixup", "dropblock", "baseline")
CLAIMS = [Claim(NLL, "patchup-soft", other, "PatchUp, Table 1") for other in OTHERS]


@dataclass(frozen=True)
class Settings:
    """Measure the likelihood and the calibration of trained networks."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks."""
    bins: int = 15
    """Bins of confidence."""
    out: Path | None = None
    """File for the page, in Markdown; a picture and a table of all runs go beside it."""

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"bins={self.bins} must be 1 or more")


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions in bins of confidence of equal width, of which only the last includes its upper end.

    Args:
        count: predictions in each bin (bins,).
        confidence: their mean confidence in [0, 1], 0 in empty bins.
        accuracy: the share of them that is correct, 0 in empty bins.
    """

    count: Tensor
    confidence: Tensor
    accuracy: Tensor


def reliability(probabilities: Tensor, y: Tensor, bins: int) -> Reliability:
    """What a reliability diagram shows.

    Args:
        probabilities: of the classes (N, C).
        y: classes (N,).
        bins: number of bins.

    >>> reliability(torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([0, 0]), 4).accuracy
    tensor([0., 0., 0., 1.], dtype=torch.float64)
    """
    sure, guess = probabilities.max(1)
    sure, right = sure.double(), (guess == y).double()
    edges = torch.linspace(0, 1, bins + 1)
    place = torch.bucketize(sure.float().clamp(max=BELOW_ONE), edges, right=True) - 1
    count = torch.bincount(place, minlength=bins)
    mean_of = [torch.bincount(place, value, minlength=bins) / count.clamp(min=1) for value in (sure, right)]
    return Reliability(count, *mean_of)


def ece(probabilities: Tensor, y: Tensor, bins: int) -> float:
    """Expected calibration error in percent: the mean gap between confidence and accuracy in bins of equal width.

    Args:
        probabilities: of the classes (N, C), C of at least 2.
        y: classes (N,).
        bins: number of bins.

    >>> round(ece(torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([0, 0]), 4), 2)  # (0.1 + 0.7) / 2
    40.0

    Source: Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    """
    below = probabilities.float().clamp(max=BELOW_ONE)
    return 100 * multiclass_calibration_error(below, y, num_classes=probabilities.shape[1], n_bins=bins).item()


def diagram(found: Mapping[str, Reliability]) -> Figure:
    """A reliability diagram for each method: accuracy over confidence, and the share of the predictions in each bin."""
    figure = Figure(figsize=(2.6 * len(found) + 0.6, 3.6), layout="constrained")
    grid = figure.subplots(2, len(found), squeeze=False, sharex=True, sharey="row", height_ratios=[3, 1])
    for (method, each), (top, bottom) in zip(found.items(), grid.T, strict=True):
        bins = len(each.count)
        count, sure, right = each.count.numpy(), each.confidence.numpy(), each.accuracy.numpy()
        left = [place / bins for place in range(bins)]
        bar = {"width": 1 / bins, "align": "edge", "edgecolor": "white", "linewidth": 0.5}
        top.bar(left, right, color="#1f3550", **bar)
        top.plot([0, 1], [0, 1], "--", color="0.5", linewidth=1)
        top.plot(sure[count > 0], right[count > 0], "o", color="#d08a3c", markersize=4)
        bottom.bar(left, count / count.sum(), color="0.6", **bar)
        top.set(title=method, xlim=(0, 1), ylim=(0, 1))
        bottom.set(xlabel="confidence")
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("share")
    return figure


def page(settings: Settings, command: str) -> pages.Page:
    """Measure, and make the page."""
    measured: dict[str, dict[str, dict[int, float]]] = {name: defaultdict(dict) for name in (ERROR, NLL, ECE)}
    seen: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    first, runs = None, 0
    for each in networks(settings.choice):
        logits, y = each.logits().double(), each.data.test_y
        probabilities = logits.softmax(1)
        measured[ERROR][each.method][each.seed] = 100 - scores.accuracy(logits, y)
        measured[NLL][each.method][each.seed] = scores.nll(logits, y)
        measured[ECE][each.method][each.seed] = ece(probabilities, y, settings.bins)
        seen[each.method].append((probabilities, y))
        first, runs = first or each, runs + 1
    assert first is not None  # there is at least one
    pooled = {method: reliability(*_joined(parts), settings.bins) for method, parts in seen.items()}
    caption = (
        f"Accuracy against confidence in {settings.bins} bins, the predictions of all seeds pooled; points lie at the "
        "mean confidence, on the dashed line where confidence is right and below it where networks are overconfident. "
        "PatchUp's claim: soft PatchUp has the lowest NLL of all methods."
    )
    body = text(
        title=f"Calibration: {first.settings.data}, {first.settings.model}",
        about="Error, negative log-likelihood of the labels, and expected calibration error (the mean distance "
        f"between confidence and accuracy in {settings.bins} bins of equal width) on the test images.",
        made=made_by(command, first, runs),
        measured=measured,
        digits=3,
        claims=CLAIMS,
        pictures={".png": caption},
        name=name_of(settings.out, "calibration"),
    )
    return pages.Page(body, {".png": diagram(pooled)}, {".csv": csv_text(measured)})


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    probabilities, y = zip(*parts, strict=True)
    return torch.cat(probabilities), torch.cat(y)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    pages.main("analyses.calibration", Settings, page, arguments)


if __name__ == "__main__":
    main()
