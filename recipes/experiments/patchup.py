"""The tables and figures of the PatchUp paper (Faramarzi et al. 2022, arXiv:2006.07794)."""

from collections.abc import Iterator

from recipes.experiments.rows import OURS, SMALL_NETWORKS, Row, printed, scores
from recipes.reporting.published import PATCHUP_TABLE_1, PATCHUP_TABLE_2, PATCHUP_TABLE_3
from recipes.reporting.published.patchup import PATCHUP_TABLE_1_NLL, PATCHUP_TABLE_3_TOP_5

TITLES = {
    "patchup-table-1": "Table 1: Tiny-ImageNet",
    "patchup-table-2": "Table 2: CIFAR-10, CIFAR-100 and SVHN",
    "patchup-table-3": "Table 3: ImageNet",
    "patchup-table-4": "Table 4: deformed images",
    "patchup-table-5": "Table 5: robustness to attacks",
    "patchup-table-6": "Table 6: terms of the loss",
    "patchup-table-7": "Table 7: where it mixes",
    "patchup-table-10": "Table 10: deformed images, WRN-28-10",
    "patchup-figure-4": "Figures 4 and 15: corrupted images",
    "patchup-figure-5": "Figures 5 and 13: robustness to FGSM",
    "patchup-figure-6": "Figures 6, 7 and 14: activations",
    "patchup-tuning": "Text: share, blocks and probability",
}
EPOCH = "the score is the last epoch's; the paper's is that of the epoch with the best validation accuracy"
ALPHA = {"mixup": "--alpha 0.2", "manifold-mixup": "--alpha 0.2"}
WRN = "--preset patchup-paper --data cifar100 --data-root DATA --model wrn28-10"
SMALL = "cifar10", "preact18"
OUR_TABLE_2 = {
    "patchup-5k": "5,000 images, width 16, FMix's network, 40 epochs",
    "calibration": f"NLL; {SMALL_NETWORKS}",
}
OUR_FIGURE_4 = {"corruptions": f"{SMALL_NETWORKS}; 14 of the 15 corruptions, 500 test images"}
TRAINED = "patchup-table-2/cifar100-wrn28-10"
METHODS = ("cutout", "cutmix", "manifold-mixup", "puzzlemix", "patchup-soft", "patchup-hard")
DEFORMED = {
    "rotate 20": "37.45 ± 0.53, 35.42 ± 0.33, 35.44 ± 0.57, 31.70 ± 0.66, 31.14 ± 0.52, 30.41 ± 0.52",
    "rotate 40": "58.75 ± 0.10, 57.83 ± 0.59, 54.42 ± 0.95, 54.04 ± 0.80, 53.42 ± 0.42, 49.96 ± 0.80",
    "shear 28.6": "36.55 ± 0.49, 34.15 ± 0.47, 34.15 ± 0.42, 31.63 ± 0.69, 28.98 ± 0.50, 29.57 ± 0.41",
    "shear 57.3": "57.74 ± 0.57, 53.64 ± 0.59, 55.44 ± 0.68, 52.49 ± 0.39, 49.10 ± 0.53, 50.32 ± 0.62",
    "scale 0.6": "72.99 ± 1.23, 54.30 ± 1.27, 78.99 ± 1.13, 59.70 ± 1.24, 46.25 ± 1.20, 50.06 ± 2.69",
    "scale 0.8": "35.09 ± 0.86, 29.38 ± 0.58, 34.62 ± 0.37, 30.37 ± 0.36, 23.94 ± 0.21, 25.34 ± 0.33",
    "scale 1.2": "42.31 ± 0.71, 49.52 ± 2.04, 41.32 ± 0.64, 47.40 ± 1.44, 43.41 ± 0.65, 38.01 ± 0.70",
    "scale 1.4": "69.40 ± 0.90, 78.66 ± 1.85, 65.94 ± 0.75, 77.59 ± 0.97, 77.07 ± 1.19, 66.34 ± 1.22",
}
"""Table 4, errors of `METHODS` in their order."""
ATTACKED = {
    "baseline": "0.17 ± 0.01, 0.18 ± 0.01, 0.18 ± 0.01, 0.17 ± 0.01",
    "mixup": "0.19 ± 0.01, 0.20 ± 0.01, 0.20 ± 0.01, 0.19 ± 0.01",
    "manifold-mixup": "0.20 ± 0.01, 0.20 ± 0.01, 0.20 ± 0.01, 0.19 ± 0.01",
    "cutout": "0.18 ± 0.01, 0.185 ± 0.01, 0.19 ± 0.01, 0.18 ± 0.01",
    "dropblock": "0.18 ± 0.01, 0.186 ± 0.01, 0.19 ± 0.01, 0.18 ± 0.01",
    "cutmix": "0.17 ± 0.01, 0.171 ± 0.01, 0.17 ± 0.01, 0.17 ± 0.01",
    "puzzlemix": "0.19 ± 0.01, 0.191 ± 0.01, 0.19 ± 0.01, 0.19 ± 0.01",
    "patchup-soft": "0.19 ± 0.01, 0.20 ± 0.01, 0.20 ± 0.01, 0.19 ± 0.01",
    "patchup-hard": "0.18 ± 0.01, 0.19 ± 0.01, 0.19 ± 0.01, 0.18 ± 0.01",
}
"""Table 5: DeepFool, DDN, CW and PGD."""
FIXED = {
    "before layer1": "18.43 ± 0.44, 17.86 ± 0.16, 0.73 ± 0.01",
    "before layer2": "22.54 ± 0.80, 21.42 ± 0.28, 0.85 ± 0.01",
    "before layer3": "26.17 ± 0.50, 25.25 ± 0.14, 1.14 ± 0.03",
    "before a random one": "16.38 ± 0.47, 16.13 ± 0.20, 0.66 ± 0.02",
}


def _table_1() -> Iterator[Row]:
    for key in PATCHUP_TABLE_1.scores:
        data, model = key
        nll = {method: f"; {printed(score)}" for method, score in PATCHUP_TABLE_1_NLL[key].items()}
        yield Row(
            name=f"patchup-table-1/{data}-{model}",
            module="images",
            words=f"--preset patchup-paper --data {data} --data-root DATA --model {model}",
            data=data,
            measure="test error (%); NLL (nats)",
            published=scores(PATCHUP_TABLE_1, key, nll),
            report=f"{data}/{model}",
            notes=(
                f"{OURS}epochs, batches and learning rate of WRN-28-10 in Table 2",
                f"{OURS}alpha 0.2 for Puzzle Mix, from the caption of Table 5, and its other settings",
                "the score is the last epoch's",
            ),
        )


def _table_2() -> Iterator[Row]:
    for key in PATCHUP_TABLE_2.scores:
        data, model = key
        yield Row(
            name=f"patchup-table-2/{data}-{model}",
            module="images",
            words=f"--preset patchup-paper --data {data} --data-root DATA --model {model}",
            data=data,
            measure="test error (%)",
            published=scores(PATCHUP_TABLE_2, key),
            report=f"{data}/{model}",
            ours=OUR_TABLE_2 if key == SMALL else {},
            notes=(EPOCH, f"{OURS}settings of Puzzle Mix"),
        )


def _table_3() -> Row:
    key = "imagenet", "resnet50"
    top_5 = {method: f" / {value:.2f}" for method, value in PATCHUP_TABLE_3_TOP_5.items()}
    return Row(
        name="patchup-table-3/imagenet-resnet50",
        module="images",
        words="--preset patchup-paper --data imagenet --data-root DATA --model resnet50",
        data="imagenet",
        measure="error (%), top-1 / top-5",
        published=scores(PATCHUP_TABLE_3, key, top_5),
        report="/".join(key),
        notes=(
            "all values but PatchUp's are quoted from the CutMix and Puzzle Mix papers",
            "the paper's values are from the best epoch; it also jitters colours, for which there is no option here",
            f"{OURS}cross entropy, and alpha of Manifold Mixup and Puzzle Mix",
        ),
    )


def _robustness() -> Iterator[Row]:
    yield Row(
        name="patchup-table-4/cifar100-preact34",
        module="analyses.deformations",
        words="RUNS --out PAGE",
        data="cifar100",
        measure=f"test error (%), of {', '.join(METHODS)}",
        published=DEFORMED,
        of="patchup-table-2/cifar100-preact34",
        of_methods=METHODS,
        ours={"deformations": f"{SMALL_NETWORKS}; three of the six methods"},
    )
    yield Row(
        name="patchup-table-10/cifar100-wrn28-10",
        module="analyses.deformations",
        words="RUNS --out PAGE",
        data="cifar100",
        measure="test error (%)",
        published={"values": "in an appendix that was not available to us"},
        of=TRAINED,
        of_methods=METHODS,
    )
    yield Row(
        name="patchup-table-5/networks",
        module="images",
        words="--preset patchup-paper --data tiny-imagenet --data-root DATA --model wrn28-10",
        data="tiny-imagenet",
        measure="networks of the row below",
        published=dict.fromkeys(ATTACKED, "not printed"),
        options=ALPHA,
        notes=("alpha is 0.2 for MixUp, Manifold Mixup and Puzzle Mix; Table 1 prints 1, 2 and none",),
    )
    yield Row(
        name="patchup-table-5/tiny-imagenet-wrn28-10",
        module="analyses.attacks",
        words="RUNS --figure patchup-table-5 --out PAGE",
        data="tiny-imagenet",
        measure="accuracy (as a share) under DeepFool, DDN, CW and PGD",
        published=ATTACKED,
        of="patchup-table-5/networks",
        ours={"attacks-table-5": f"{SMALL_NETWORKS}; four of the methods, 100 test images"},
        notes=(f"{OURS}norms, step sizes and searches of the attacks, which are stated on the page it makes",),
    )
    for model, figure in (("wrn28-10", "4"), ("preact101", "15"), ("preact152", "15")):
        yield Row(
            name=f"patchup-figure-4/tiny-imagenet-{model}",
            module="analyses.corruptions",
            words="RUNS --published DATA --out PAGE",
            data="tiny-imagenet",
            measure=f"claim of Figure {figure}",
            published={"claim": "soft PatchUp errs least on corrupted images, hard PatchUp comes second"},
            of=f"patchup-table-1/tiny-imagenet-{model}",
            ours=OUR_FIGURE_4 if figure == "4" else {},
            notes=("Tiny-ImageNet-C must be in the data folder too",),
        )
    yield Row(
        name="patchup-figure-5/cifar100-wrn28-10",
        module="analyses.attacks",
        words="RUNS --figure patchup-5 --out PAGE",
        ours={"attacks-patchup": f"{SMALL_NETWORKS}; 1,000 test images"},
        data="cifar100",
        measure="claim",
        published={"claim": "PatchUp is more robust than the baseline and CutMix"},
        of=TRAINED,
        notes=(f"{OURS}the network and its data, which the text available to us does not name",),
    )
    yield Row(
        name="patchup-figure-6/cifar100-wrn28-10",
        module="analyses.activations",
        words="RUNS --out PAGE",
        data="cifar100",
        measure="claim",
        published={"claim": "features are strongest with PatchUp where it mixes, and weakest with Manifold Mixup"},
        of=TRAINED,
        of_methods=tuple(method for method in METHODS if method != "puzzlemix"),
        ours={"activations": f"{SMALL_NETWORKS}; 2,000 test images"},
    )


def _ablations() -> Iterator[Row]:
    yield Row(
        name="patchup-table-6/one-term",
        module="images",
        words=f"{WRN} --score-on validation --mixed-weight 1",
        data="cifar100",
        measure="validation error (%) with the first term only, with the second only",
        published={"patchup-soft": "16.86 ± 0.67, 16.87 ± 0.34", "patchup-hard": "16.14 ± 0.23, 16.79 ± 0.46"},
        ours={"loss-terms": "both terms on the batches of one network"},
        notes=("for this loss both terms are the same number, so one run stands for both",),
    )
    yield Row(
        name="patchup-table-6/both-terms",
        module="images",
        words=f"{WRN} --score-on validation",
        data="cifar100",
        measure="validation error (%)",
        published={"baseline": "23.26 ± 0.59", "patchup-soft": "16.75 ± 0.29", "patchup-hard": "16.02 ± 0.36"},
    )
    yield Row(
        name="patchup-table-7/cifar100-wrn28-10",
        module="analyses.sweep",
        words="--figure patchup-table-7 --seeds SEEDS --runs OUT --out PAGE",
        each=WRN,
        runs=5,
        data="cifar100",
        measure="validation error (%), test error (%), NLL (nats)",
        published=FIXED,
        notes=("validation errors by the same command with --words='--score-on validation' and another --out",),
    )
    yield Row(
        name="patchup-table-7/blocks-at-the-input",
        module="images",
        words=f"{WRN} --patchup-input blocks",
        data="cifar100",
        measure="validation error (%), test error (%), NLL (nats)",
        published={"patchup-hard": "16.98 ± 0.34, 16.90 ± 0.21, 0.67 ± 0.01"},
        notes=('"0.0.21" is printed for the deviation 0.21',),
    )
    for figure, name, claim in (
        ("gamma", "share", "0.75 for soft and 0.5 for hard PatchUp"),
        ("block", "block", "blocks of 7 cells"),
        ("prob", "probability", "all batches for soft and seven of ten for hard PatchUp"),
    ):
        yield Row(
            name=f"patchup-tuning/{name}",
            module="analyses.sweep",
            words=f"--figure patchup-{figure} --seeds SEEDS --runs OUT --out PAGE",
            each=f"{WRN} --score-on validation",
            data="cifar100",
            measure="what the paper settles on",
            published={"setting": claim},
            runs=10 if name == "probability" else 8,
            notes=(f"{OURS}values, data and network: the appendix was not available to us",),
        )


ROWS = (*_table_1(), *_table_2(), _table_3(), *_robustness(), *_ablations())
