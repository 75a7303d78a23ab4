"""Scores of the PatchUp paper."""

from collections.abc import Mapping

from recipes.reporting.published.table import Key, Published, Score

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

# One line of (error, NLL) each for the same methods in the same order.
_TINY: Mapping[str, tuple[tuple[Score, Score], ...]] = {
    "preact101": (
        ((46.18, 0.49), (2.37, 0.03)),
        ((44.93, 0.34), (2.25, 0.05)),
        ((44.54, 0.14), (2.25, 0.01)),
        ((45.78, 0.35), (2.35, 0.01)),
        ((46.98, 0.53), (2.27, 0.10)),
        ((42.04, 0.38), (2.11, 0.01)),
        ((42.25, 0.19), (2.13, 0.01)),
        ((38.68, 0.34), (1.87, 0.01)),
        ((40.55, 0.15), (1.94, 0.01)),
    ),
    "preact152": (
        ((45.22, 0.32), (2.28, 0.08)),
        ((44.65, 0.11), (2.23, 0.04)),
        ((44.13, 0.31), (2.23, 0.02)),
        ((45.23, 0.19), (2.34, 0.02)),
        ((45.82, 0.22), (2.17, 0.01)),
        ((41.71, 0.71), (2.08, 0.03)),
        ((42.13, 0.31), (2.13, 0.03)),
        ((38.11, 0.29), (1.84, 0.02)),
        ((40.31, 0.18), (1.93, 0.01)),
    ),
    "wrn28-10": (
        ((36.76, 0.25), (1.89, 0.02)),
        ((36.50, 0.29), (1.88, 0.02)),
        ((35.96, 0.64), (1.83, 0.06)),
        ((35.85, 0.11), (1.83, 0.01)),
        ((36.97, 0.38), (1.89, 0.02)),
        ((35.81, 0.18), (1.75, 0.08)),
        ((33.43, 0.22), (1.65, 0.05)),
        ((29.81, 0.24), (1.46, 0.04)),
        ((33.12, 0.11), (1.57, 0.05)),
    ),
}

PATCHUP_TABLE_1 = Published(
    name="PatchUp, Table 1",
    source="Faramarzi et al., AAAI 2022, arXiv:2006.07794, Table 1: test error, mean ± standard deviation of 5 runs "
    "(Mixup α = 1, Manifold Mixup α = 2); its training settings are not available to us",
    metric="error",
    scores={
        ("tiny-imagenet", model): {method: row[0] for method, row in zip(_PATCHUP_METHODS, rows, strict=True)}
        for model, rows in _TINY.items()
    },
)
PATCHUP_TABLE_1_NLL: Mapping[Key, Mapping[str, Score]] = {
    ("tiny-imagenet", model): {method: row[1] for method, row in zip(_PATCHUP_METHODS, rows, strict=True)}
    for model, rows in _TINY.items()
}
"""Test loss, the mean NLL in nats, next to the errors of Table 1."""
PATCHUP_TABLE_3 = Published(
    name="PatchUp, Table 3",
    source="Faramarzi et al., AAAI 2022, arXiv:2006.07794, Table 3: top-1 error of the best epoch on ImageNet; all but "
    "PatchUp's are quoted there from the papers of CutMix and Puzzle Mix",
    metric="error",
    scores={
        ("imagenet", "resnet50"): {
            "baseline": (23.68, None),
            "mixup": (22.58, None),
            "cutout": (22.93, None),
            "manifold-mixup": (22.50, None),
            "feature-cutmix": (21.80, None),
            "cutmix": (21.40, None),
            "puzzlemix": (21.24, None),
            "patchup-soft": (21.06, None),
            "patchup-hard": (20.75, None),
        }
    },
)
PATCHUP_TABLE_3_TOP_5 = {
    "baseline": 7.05,
    "mixup": 6.40,
    "cutout": 6.66,
    "manifold-mixup": 6.21,
    "feature-cutmix": 6.06,
    "cutmix": 5.92,
    "puzzlemix": 5.71,
    "patchup-soft": 5.57,
    "patchup-hard": 5.29,
}
"""Top-5 error in percent, next to the top-1 of Table 3."""
