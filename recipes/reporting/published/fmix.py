"""Scores of the FMix paper."""

from recipes.reporting.published.table import Published

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

FMIX_TABLE_3 = Published(
    name="FMix, Table III",
    source="Harris et al. 2020, arXiv:2002.12047, Table III: top-1 accuracy, no deviation printed; ImageNet-a's is "
    "of the same networks, among its 200 classes",
    metric="accuracy",
    scores={
        ("imagenet-alpha-1.0", "resnet101"): {
            "baseline": (77.28, None),
            "fmix": (77.42, None),
            "mixup": (75.89, None),
            "cutmix": (76.92, None),
        },
        ("imagenet-alpha-0.2", "resnet101"): {
            "baseline": (77.28, None),
            "fmix": (77.70, None),
            "mixup": (77.23, None),
            "cutmix": (76.72, None),
        },
        ("imagenet-a-alpha-1.0", "resnet101"): {
            "baseline": (4.08, None),
            "fmix": (7.19, None),
            "mixup": (8.69, None),
            "cutmix": (6.92, None),
        },
        ("imagenet-a-alpha-0.2", "resnet101"): {
            "baseline": (4.08, None),
            "fmix": (5.32, None),
            "mixup": (5.81, None),
            "cutmix": (6.08, None),
        },
    },
)
FMIX_TABLE_3_TOP_5 = {
    ("imagenet-alpha-1.0", "resnet101"): {"baseline": 93.63, "fmix": 93.92, "mixup": 93.06, "cutmix": 93.55},
    ("imagenet-alpha-0.2", "resnet101"): {"baseline": 93.63, "fmix": 93.97, "mixup": 93.81, "cutmix": 93.46},
    ("imagenet-a-alpha-1.0", "resnet101"): {"baseline": 28.87, "fmix": 33.65, "mixup": 34.89, "cutmix": 34.03},
    ("imagenet-a-alpha-0.2", "resnet101"): {"baseline": 28.87, "fmix": 31.21, "mixup": 31.43, "cutmix": 31.56},
}
"""Top-5 accuracy in percent, next to the top-1 of Table III."""
FMIX_TABLE_4 = Published(
    name="FMix, Table IV",
    source="Harris et al. 2020, arXiv:2002.12047, Table IV, Bengali.AI: mean ± standard deviation over five folds; a "
    "grapheme is right if its root and both diacritics are",
    metric="accuracy",
    scores={
        ("bengali", "seresnext50"): {
            "baseline": (87.60, 0.45),
            "fmix": (91.87, 0.30),
            "mixup": (89.23, 1.04),
            "cutmix": (91.08, 0.49),
        },
        ("bengali-root", "seresnext50"): {
            "baseline": (92.86, 0.20),
            "fmix": (96.13, 0.14),
            "mixup": (94.80, 0.10),
            "cutmix": (95.74, 0.20),
        },
        ("bengali-vowel", "seresnext50"): {
            "baseline": (96.91, 0.19),
            "fmix": (97.77, 0.30),
            "mixup": (96.74, 0.95),
            "cutmix": (97.37, 0.60),
        },
        ("bengali-consonant", "seresnext50"): {
            "baseline": (96.23, 0.35),
            "fmix": (97.05, 0.23),
            "mixup": (96.42, 0.42),
            "cutmix": (96.96, 0.21),
        },
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
