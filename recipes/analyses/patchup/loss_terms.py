"""PatchUp's two loss terms on mixed batches: `python -m recipes.analyses.patchup.loss_terms RUN --out PAGE.md`.

Claim (Faramarzi et al. 2022, Table 6): on CIFAR-100 with a WRN-28-10 the validation error is 16.75 % with the sum of
both terms, 16.86 % with the first alone and 16.87 % with the second alone (soft PatchUp), and 16.02 %, 16.14 % and
16.79 % (hard PatchUp).

The first term weights the losses of the kept and of the altered part by their shares; the second is the loss of the
target blended by the same shares. With a loss that is affine in its target, as cross entropy and the authors' binary
cross entropy are, both have the same value and the same gradient, so their sum is twice either. This is measured here,
along with a loss that is not affine.
"""

import copy
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from mixmodal.core.records.losses import Criterion
from recipes import images
from recipes.analyses.shared.trained import Trained, device_of, load, train_briefly
from recipes.data.images.augment import Augment
from recipes.data.loading import shuffled_loader
from recipes.reporting import pages
from recipes.reporting.cells import markdown_table
from recipes.training import methods, records
from recipes.training.losses import softmax_bce

KINDS = ("patchup-soft", "patchup-hard")
ROUNDING = 1e-9
"""Relative differences below this are rounding in float64."""


def absolute(preds: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The absolute distance between probabilities and target, whose gradient is not affine in the target either.

    >>> absolute(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(1.)
    """
    each = (preds.softmax(1) - target).abs().sum(1)
    return each if reduction == "none" else each.mean()


CRITERIA: dict[str, Criterion] = {
    "cross entropy": F.cross_entropy,
    "binary cross entropy of softmax": softmax_bce,
    "absolute distance": absolute,
}


@dataclass(frozen=True)
class Settings:
    """Compare the two terms on batches that PatchUp mixes in a network."""

    run: tyro.conf.Positional[Path | None] = None
    """Folder of a finished run of recipes.images, whose network and training images are used."""
    data_root: Path | None = None
    """Folder of the data, if it is not where the run found it."""
    batches: int = 20
    """Batches for each kind of PatchUp, at most all of the training set."""
    batch_size: int = 100
    """Images in a batch."""
    seed: int = 0
    """Seed of order, sites and blocks."""
    device: Literal["auto", "cpu"] = "auto"
    """Use the accelerator if there is one (auto), or always the CPU."""
    smoke: bool = False
    """Use two batches, to check that it works; a network is trained for it if no run is given."""
    out: Path | None = None
    """File for the page, in Markdown."""

    def __post_init__(self) -> None:
        for name, value, least in (("batches", self.batches, 1), ("batch_size", self.batch_size, 2)):
            if value < least:
                raise ValueError(f"{name}={value} must be {least} or more")


@dataclass(frozen=True)
class Compared:
    """The terms of some batches: their means, and the largest relative difference of value and gradient."""

    first: float
    second: float
    value: float
    gradient: float


def terms(preds: Tensor, y: Tensor, partner_y: Tensor, kept: Tensor, own: Tensor, criterion: Criterion) -> list[Tensor]:
    """The two terms of PatchUp's loss, means over the batch.

    Args:
        preds: logits (B, C).
        y: targets (B, C).
        partner_y: targets of the partners (B, C).
        kept: share of the features that are unchanged (B,).
        own: share of the own sample in the altered ones (B,), 0 with hard PatchUp.
        criterion: takes `reduction="none"`.

    >>> terms(torch.zeros(1, 2), torch.eye(2)[:1], torch.eye(2)[1:], torch.ones(1), torch.zeros(1), F.cross_entropy)
    [tensor(0.6931), tensor(0.6931)]

    Source: Faramarzi et al. 2022, Equations 6 and 9.
    """
    altered = torch.lerp(partner_y, y, own[:, None])
    of_kept, of_altered = (criterion(preds, target, reduction="none") for target in (y, altered))
    blended = torch.lerp(altered, y, kept[:, None])
    return [(kept * of_kept + (1 - kept) * of_altered).mean(), criterion(preds, blended, reduction="none").mean()]


def compare(trained: Trained, kind: str, settings: Settings) -> dict[str, Compared]:
    """The two terms, by loss, on batches that a kind of PatchUp mixes in a network in training mode."""
    torch.manual_seed(settings.seed)
    how, data = replace(trained.settings, mixing=methods.Method(method=kind)), trained.data
    net = copy.deepcopy(trained.net).double().train()
    sites = methods.named_sites(net, images.sites_of(how, net))
    mixing = methods.make(how.mixing, methods.Place(net, sites, "b c *", data.train_x.shape[2]))
    weights, augment = list(net.parameters()), Augment.of(data)
    found: dict[str, list[list[float]]] = {name: [] for name in CRITERIA}
    loader = shuffled_loader(data.train_x, data.train_y, batch_size=settings.batch_size, seed=settings.seed)
    for x, labels in itertools.islice(loader, 2 if settings.smoke else settings.batches):
        y = F.one_hot(labels, len(data.classes)).double().to(trained.device)
        preds, mix = mixing(net, augment(x.to(trained.device), True).double(), y)
        (of_kept, _), (of_altered, own), *_ = mix.terms
        shares = (of_kept / (of_kept + of_altered)).to(y), torch.as_tensor(own).to(y).expand(len(y))
        for name, criterion in CRITERIA.items():
            both = terms(preds, y, y[mix.index], *shares, criterion)
            slopes = [
                torch.cat([each.flatten() for each in torch.autograd.grad(term, weights, retain_graph=True)])
                for term in both
            ]
            first, second = (term.item() for term in both)
            apart = (slopes[0] - slopes[1]).norm() / slopes[1].norm()
            found[name].append([first, second, abs(first - second) / second, apart.item()])
    return {name: Compared(*_summed(rows)) for name, rows in found.items()}


def page(settings: Settings, command: str) -> pages.Page:
    """Compare, and make the page."""
    with tempfile.TemporaryDirectory() as temporary:
        run = settings.run
        if run is None:
            if not settings.smoke:
                raise ValueError("no run was given: name its folder, or try --smoke")
            train_briefly(Path(temporary))
            run = Path(temporary) / "baseline-0"
        trained = load(run, data_root=settings.data_root, device=device_of(settings.device))
        found = {kind: compare(trained, kind, settings) for kind in KINDS}
    rows, verdicts = [], []
    for name in CRITERIA:
        for kind in KINDS:
            each = found[kind][name]
            numbers = [f"{each.first:.6f}", f"{each.second:.6f}", f"{each.value:.1e}", f"{each.gradient:.1e}"]
            rows.append([name, kind, *numbers])
        same = all(max(found[kind][name].value, found[kind][name].gradient) < ROUNDING for kind in KINDS)
        verdicts.append(f"* With {name} the terms {'are the same up to rounding' if same else 'differ'}.")
    s = trained.settings
    text = [
        "# PatchUp's two loss terms",
        "The first term weights the losses of the kept and of the altered part of a batch by their shares; the second "
        "is the loss of the target blended by the same shares (Faramarzi et al. 2022, Equations 6 and 9). The "
        "paper's Table 6 trains with either and with their sum, on CIFAR-100 with a WRN-28-10: 16.86 ± 0.67, "
        "16.87 ± 0.34 and 16.75 ± 0.29 % validation error (soft), 16.14 ± 0.23, 16.79 ± 0.46 and 16.02 ± 0.36 % "
        "(hard).",
        markdown_table(
            ["loss", "PatchUp", "first term", "second term", "values differ by", "gradients differ by"], rows
        ),
        "Terms are means over the batches; differences are the largest of any batch, relative to the second term and "
        f"to the norm of its gradient with respect to all weights. {ROUNDING:g} counts as rounding.",
        "\n".join(verdicts),
        "Where the terms are the same, their sum is twice either, so training with either term has the same "
        "distribution of results, and training with both is training with twice the loss, which amounts to another "
        "learning rate and weight decay. Differences between the columns of Table 6 are then noise, or due to that "
        "factor. `mix.loss` is the mean of both terms, and the recipes offer the factor as `--mixed-weight 2`.",
        f"Made by `{command}` at {records.environment()['git']} on {records.device_name(trained.device)}: the network "
        f"of a run of {s.model} on {s.data} with {trained.method}, in training mode and float64.",
    ]
    return pages.Page("\n\n".join(text) + "\n")


def _summed(rows: Sequence[Sequence[float]]) -> list[float]:
    """Means of the terms, and the largest of the differences."""
    first, second, value, gradient = zip(*rows, strict=True)
    return [sum(first) / len(rows), sum(second) / len(rows), max(value), max(gradient)]


if __name__ == "__main__":
    pages.main("analyses.patchup.loss_terms", Settings, page)
