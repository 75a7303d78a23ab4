"""Published scores, as printed in the papers: `{(data, model): {method: (mean, std)}}`, all in percent."""

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[str, str]
Score = tuple[float, float | None]
Scores = Mapping[Key, Mapping[str, Score]]


@dataclass(frozen=True)
class Published:
    """One published table: its column name, where it is from, what it measures and its values in percent.

    `metric` names what `scores` hold: "accuracy" or another score that grows with quality, or "error", which is kept as
    printed and turned into accuracy by `score`. A standard deviation of None is one that the paper does not print.
    """

    name: str
    source: str
    metric: str
    scores: Scores

    @property
    def shown_metric(self) -> str:
        """The metric that `score` answers in: "accuracy" for a table of errors, else the table's own."""
        return "accuracy" if self.metric == "error" else self.metric

    def score(self, key: Key, method: str) -> Score | None:
        """Mean and standard deviation in percent of `shown_metric`; None where the method was not published."""
        value = self.scores[key].get(method)
        if value is None or self.metric != "error":
            return value
        return round(100.0 - value[0], 6), value[1]


def published_for(key: Key) -> tuple[Published, ...]:
    """All tables that hold `key` = (data, model).

    Raises: KeyError if no table does, naming the keys there are.
    """
    found = tuple(table for table in TABLES if key in table.scores)
    if not found:
        known = sorted({"/".join(known) for table in TABLES for known in table.scores})
        raise KeyError(f"no published table for {'/'.join(key)!r}; there are: {', '.join(known)}")
    return found


FMIX_TABLE_2 = Published(
    name="FMix, Table II",
    source="Harris et al. 2020, arXiv:2002.12047, Table II (the authors' own runs, α = 1); hybrids from its text: "
    "terminal accuracy, mean ± standard deviation of 5 runs. No standard deviation is printed for PyramidNet",
    metric="accuracy",
    scores={
        ("cifar10", "preact18"): {
            "baseline": (94.63, 0.21),
            "fmix": (96.14, 0.10),
            "mixup": (95.66, 0.11),
            "cutmix": (96.00, 0.07),
            "fmix+mixup": (96.30, 0.08),
            "cutmix+mixup": (96.26, 0.04),
            "fmix+cutmix": (95.85, 0.1),
        },
        ("cifar10", "wrn28-10"): {
            "baseline": (95.25, 0.10),
            "fmix": (96.38, 0.06),
            "mixup": (96.60, 0.09),
            "cutmix": (96.53, 0.10),
        },
        ("cifar10", "densenet190"): {
            "baseline": (96.26, 0.08),
            "fmix": (97.30, 0.05),
            "mixup": (97.05, 0.05),
            "cutmix": (96.96, 0.01),
        },
        ("cifar10", "pyramid272"): {
            "baseline": (98.31, None),
            "fmix": (98.64, None),
            "mixup": (97.92, None),
            "cutmix": (98.24, None),
        },
        ("cifar100", "preact18"): {
            "baseline": (75.22, 0.20),
            "fmix": (79.85, 0.27),
            "mixup": (77.44, 0.50),
            "cutmix": (79.51, 0.38),
        },
        ("cifar100", "wrn28-10"): {
            "baseline": (78.26, 0.25),
            "fmix": (82.03, 0.27),
            "mixup": (81.09, 0.33),
            "cutmix": (81.96, 0.40),
        },
        ("cifar100", "densenet190"): {
            "baseline": (81.73, 0.30),
            "fmix": (83.95, 0.24),
            "mixup": (83.23, 0.30),
            "cutmix": (82.79, 0.46),
        },
        ("fashion-mnist", "preact18"): {
            "baseline": (95.70, 0.09),
            "fmix": (96.36, 0.03),
            "mixup": (96.28, 0.08),
            "cutmix": (96.03, 0.10),
        },
        ("fashion-mnist", "wrn28-10"): {
            "baseline": (95.29, 0.17),
            "fmix": (96.00, 0.11),
            "mixup": (95.75, 0.09),
            "cutmix": (95.64, 0.20),
        },
        ("fashion-mnist", "densenet190"): {
            "baseline": (95.84, 0.10),
            "fmix": (96.26, 0.10),
            "mixup": (96.30, 0.04),
            "cutmix": (96.12, 0.13),
        },
        ("tiny-imagenet", "preact18"): {
            "baseline": (55.94, 0.28),
            "fmix": (61.43, 0.37),
            "mixup": (55.96, 0.41),
            "cutmix": (64.08, 0.32),
        },
    },
)

# The methods of PatchUp's Table 2 in its order, and one line of (mean, std) each for CIFAR-10, CIFAR-100 and SVHN.
_PATCHUP_METHODS = (
    "baseline",
    "mixup",
    "manifold-mixup",
    "cutout",
    "dropblock",
    "cutmix",
    "puzzlemix",
    "patchup-soft",
    "patchup-hard",
)
_PATCHUP_DATA = ("cifar10", "cifar100", "svhn")
_PATCHUP_ERRORS: Mapping[str, tuple[tuple[Score, Score, Score], ...]] = {
    "preact18": (
        ((4.80, 0.14), (24.62, 0.36), (3.04, 0.09)),
        ((3.63, 0.20), (22.33, 0.32), (2.93, 0.22)),
        ((3.39, 0.05), (21.40, 0.38), (2.44, 0.06)),
        ((4.22, 0.05), (23.39, 0.19), (2.79, 0.12)),
        ((5.04, 0.15), (25.02, 0.26), (2.96, 0.11)),
        ((3.52, 0.90), (22.18, 0.18), (3.04, 0.05)),
        ((3.16, 0.11), (20.65, 0.21), (2.66, 0.04)),
        ((2.95, 0.12), (19.95, 0.18), (2.55, 0.06)),
        ((2.92, 0.13), (19.12, 0.17), (2.29, 0.08)),
    ),
    "preact34": (
        ((4.64, 0.10), (23.34, 0.27), (3.09, 0.66)),
        ((3.26, 0.08), (21.00, 0.44), (2.86, 0.10)),
        ((2.93, 0.06), (18.72, 0.31), (2.42, 0.43)),
        ((3.69, 0.14), (22.42, 0.08), (2.65, 0.15)),
        ((4.95, 0.19), (23.74, 0.13), (3.10, 0.08)),
        ((3.33, 0.07), (19.94, 0.14), (2.66, 0.05)),
        ((2.99, 0.07), (19.97, 0.23), (2.45, 0.08)),
        ((2.57, 0.06), (18.63, 0.15), (2.47, 0.08)),
        ((2.53, 0.05), (17.69, 0.13), (2.12, 0.02)),
    ),
    "wrn28-10": (
        ((4.24, 0.14), (22.44, 0.23), (2.83, 0.08)),
        ((3.27, 0.35), (18.73, 0.15), (2.64, 0.16)),
        ((3.25, 0.18), (18.35, 0.38), (2.43, 0.10)),
        ((3.13, 0.12), (20.16, 0.35), (2.48, 0.15)),
        ((4.18, 0.07), (22.36, 0.15), (2.73, 0.06)),
        ((3.15, 0.12), (18.32, 0.19), (2.43, 0.05)),
        ((2.56, 0.07), (17.53, 0.22), (2.43, 0.07)),
        ((2.61, 0.05), (16.73, 0.11), (2.08, 0.07)),
        ((2.53, 0.07), (16.13, 0.19), (2.09, 0.06)),
    ),
}

PATCHUP_TABLE_2 = Published(
    name="PatchUp, Table 2",
    source="Faramarzi et al., AAAI 2022, arXiv:2006.07794, Table 2: test error of the epoch with the best validation "
    "accuracy, mean ± standard deviation of 5 runs (Mixup α = 1, Manifold Mixup α = 1.5; its "
    "pre-activation blocks keep a raw identity shortcut, unlike FMix's)",
    metric="error",
    scores={
        (data, model): {method: row[column] for method, row in zip(_PATCHUP_METHODS, rows, strict=True)}
        for model, rows in _PATCHUP_ERRORS.items()
        for column, data in enumerate(_PATCHUP_DATA)
    },
)

FMIX_TABLE_5 = Published(
    name="FMix, Table V",
    source="Harris et al. 2020, arXiv:2002.12047, Table V (macro ROC-AUC on Toxic, else accuracy): last epoch, mean ± "
    "standard deviation of 5 runs",
    metric="accuracy",
    scores={
        ("imdb", "cnn"): {"baseline": (86.68, 0.50), "fmix": (87.31, 0.34), "mixup": (88.94, 0.13)},
        ("imdb", "bilstm"): {"baseline": (88.29, 0.17), "fmix": (88.47, 0.24), "mixup": (88.72, 0.17)},
        ("yelp-polarity", "cnn"): {"baseline": (95.47, 0.08), "fmix": (95.80, 0.14), "mixup": (95.91, 0.10)},
        ("yelp-polarity", "bilstm"): {"baseline": (96.41, 0.05), "fmix": (96.68, 0.06), "mixup": (96.71, 0.07)},
        ("yelp-full", "cnn"): {"baseline": (63.78, 0.18), "fmix": (64.46, 0.07), "mixup": (64.56, 0.12)},
        ("yelp-full", "bilstm"): {"baseline": (62.96, 0.18), "fmix": (66.46, 0.13), "mixup": (66.11, 0.13)},
    },
)
FMIX_TABLE_5_TOXIC = Published(
    name="FMix, Table V",
    source="Harris et al. 2020, arXiv:2002.12047, Table V: macro ROC-AUC of six labels, last epoch, mean ± standard "
    "deviation of 5 runs",
    metric="roc-auc",
    scores={
        ("toxic", "cnn"): {"baseline": (96.04, 0.16), "fmix": (96.80, 0.06), "mixup": (96.62, 0.10)},
        ("toxic", "bilstm"): {"baseline": (96.72, 0.04), "fmix": (97.35, 0.05), "mixup": (97.15, 0.06)},
        ("toxic", "bert"): {"baseline": (98.22, 0.03), "fmix": (98.26, 0.03)},
    },
)
FMIX_AUDIO = {"baseline": (97.69, 0.04)}
FMIX_COMMANDS = Published(
    name="FMix, Table II",
    source="Harris et al. 2020, arXiv:2002.12047, Table II, Google commands v0.01, 12 classes: last epoch, mean ± "
    "standard deviation of 5 runs",
    metric="accuracy",
    scores={
        ("commands-alpha-1.0", "preact18"): FMIX_AUDIO
        | {"fmix": (98.59, 0.03), "mixup": (98.46, 0.08), "cutmix": (98.46, 0.08)},
        ("commands-alpha-0.2", "preact18"): FMIX_AUDIO
        | {"fmix": (98.44, 0.06), "mixup": (98.31, 0.08), "cutmix": (98.48, 0.06)},
    },
)
FMIX_MODELNET = Published(
    name="FMix, Table II",
    source="Harris et al. 2020, arXiv:2002.12047, Table II: median of the last five epochs, mean ± standard deviation "
    "of 5 runs",
    metric="accuracy",
    scores={("modelnet10", "pointnet"): {"baseline": (89.10, 0.32), "fmix": (89.57, 0.44)}},
)
TABLES: tuple[Published, ...] = (
    FMIX_TABLE_2,
    FMIX_TABLE_5,
    FMIX_TABLE_5_TOXIC,
    FMIX_COMMANDS,
    FMIX_MODELNET,
    PATCHUP_TABLE_2,
)
