"""Bengali.AI's graphemes, by networks for their parts: `python -m recipes.analyses.fmix.graphemes RUNS --out PAGE.md`.

A grapheme has a root, a vowel and a consonant diacritic, and a network of `recipes.images --data bengali --target ...`
recognises one of them. RUNS holds runs of all three targets, at any depth. A grapheme is right if all three parts are.

Claim (Harris et al. 2020, Table IV, SE-ResNeXt-50, five folds): 87.60 % of the graphemes are right without mixing,
89.23 % with MixUp, 91.08 % with CutMix and 91.87 % with FMix.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
import tyro
from sklearn.metrics import recall_score
from torch import Tensor

from recipes.analyses.shared.trained import Choice, Trained, networks
from recipes.analyses.shared.writing import made_by, name_of, text
from recipes.data.disk.lazy import read
from recipes.data.images.graphemes.bengali import COLUMNS
from recipes.reporting import pages
from recipes.reporting.intervals import Claim, csv_text

GRAPHEMES, COMBINED = "graphemes (%)", "2:1:1 recall (%)"
WEIGHTS = {"root": 2, "vowel": 1, "consonant": 1}
ORDER = ("baseline", "mixup", "cutmix", "fmix")
CLAIMS = [Claim(GRAPHEMES, *pair, "FMix, Table IV") for pair in pairwise(ORDER)]


@dataclass(frozen=True)
class Settings:
    """Score graphemes by the networks of their three parts."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks."""
    out: Path | None = None
    """File for the page, in Markdown; a table of all runs goes beside it."""


def all_right(guesses: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> float:
    """Share of the samples for which every part is right, in percent.

    Args:
        guesses: classes (N,) by part.
        labels: classes (N,) by part.

    >>> guesses = {"root": torch.tensor([5, 5, 6]), "vowel": torch.tensor([1, 2, 1])}
    >>> round(all_right(guesses, {"root": torch.tensor([5, 5, 5]), "vowel": torch.tensor([1, 1, 1])}), 2)
    33.33
    """
    right = torch.stack([guesses[part] == labels[part] for part in labels])
    return 100 * right.all(0).double().mean().item()


def combined(guesses: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> float:
    """Mean recall of the classes of each part, averaged over the parts with the root counted twice, in percent.

    Args:
        guesses: classes (N,) of ``root``, ``vowel`` and ``consonant``.
        labels: the true ones; classes that occur in neither are left out.

    Source: the score of https://www.kaggle.com/c/bengaliai-cv19.

    >>> labels = {part: torch.tensor([0, 1]) for part in ("root", "vowel", "consonant")}
    >>> combined(labels | {"root": torch.tensor([0, 0])}, labels)  # (2 * 50 + 100 + 100) / 4
    75.0
    """
    recall = {
        part: recall_score(labels[part].numpy(), guesses[part].numpy(), average="macro", zero_division=0.0)
        for part in WEIGHTS
    }
    return float(100 * sum(WEIGHTS[part] * recall[part] for part in WEIGHTS) / sum(WEIGHTS.values()))


def page(settings: Settings, command: str) -> pages.Page:
    """Score, and make the page."""
    choice = settings.choice
    guesses: dict[tuple[str, int], dict[str, Tensor]] = defaultdict(dict)
    labels: dict[str, Tensor] = {}
    first: dict[str, Trained] = {}
    for part in COLUMNS:
        invented = choice.smoke and choice.runs is None  # networks of digits stand in for those of each part
        for each in networks(choice, like={} if invented else {"data": "bengali", "target": part}):
            first.setdefault(part, each)
            if not torch.equal(read(each.data.test_x), read(first["root"].data.test_x)):
                raise ValueError(f"runs={str(choice.runs)!r} are of several folds: give those of one")
            guesses[each.method, each.seed][part] = each.logits().argmax(1)
        labels[part] = first[part].data.test_y
    measured: dict[str, dict[str, dict[int, float]]] = {
        name: defaultdict(dict) for name in (GRAPHEMES, COMBINED, *(f"{part} (%)" for part in COLUMNS))
    }
    for (method, seed), found in guesses.items():
        lacking = [part for part in COLUMNS if part not in found]
        if lacking:
            raise ValueError(
                f"runs={str(choice.runs)!r} lack {method} of seed {seed} for {', '.join(lacking)}: train it, or leave "
                f"{method} out with --methods"
            )
        measured[GRAPHEMES][method][seed] = all_right(found, labels)
        measured[COMBINED][method][seed] = combined(found, labels)
        for part in COLUMNS:
            measured[f"{part} (%)"][method][seed] = all_right({part: found[part]}, {part: labels[part]})
    body = text(
        title=f"Graphemes of Bengali.AI: {first['root'].settings.model}",
        about="Share of the test graphemes for which root, vowel and consonant diacritic are all right; the score of "
        "the competition, which is the mean recall of classes with the root counted twice; and the accuracy of each "
        "part. A seed stands for three networks, one for each part.",
        made=made_by(command, first["root"], len(COLUMNS) * len(guesses)),
        measured=measured,
        digits=2,
        claims=CLAIMS,
        pictures={},
        name=name_of(settings.out, "graphemes"),
    )
    return pages.Page(body, texts={".csv": csv_text(measured)})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    pages.main("analyses.fmix.graphemes", Settings, page, arguments)


if __name__ == "__main__":
    main()
