"""The tables and figures of the FMix paper (Harris et al. 2020, arXiv:2002.12047)."""

from collections.abc import Iterator

from recipes.experiments.rows import OURS, SMALL_NETWORKS, Row, printed, scores
from recipes.reporting.published import (
    FMIX_COMMANDS,
    FMIX_MODELNET,
    FMIX_TABLE_2,
    FMIX_TABLE_3,
    FMIX_TABLE_4,
    FMIX_TABLE_5,
    FMIX_TABLE_5_TOXIC,
)
from recipes.reporting.published.fmix import FMIX_TABLE_3_TOP_5

TITLES = {
    "fmix-table-1": "Table I: what a VAE learns from mixed images",
    "fmix-grad-cam": "Text: sums of Grad-CAM maps",
    "fmix-figure-1": "Figure 1: robustness to attacks",
    "fmix-table-2": "Table II: classification; and hybrids, from the text",
    "fmix-table-3": "Table III: ImageNet and ImageNet-a",
    "fmix-table-4": "Table IV: Bengali.AI",
    "fmix-table-5": "Table V: texts",
    "fmix-figure-3": "Figure 3: alpha and decay power",
    "fmix-figure-4": "Figure 4: sizes of the training set",
}
ACCURACY = "test accuracy (%)"
CIFAR = "fmix-table-2/cifar10-preact18"
PAPER = "--preset fmix-paper --data cifar10 --data-root DATA --model preact18"
SMALLER = "5,000 images, width 16"
OUR_CIFAR = {
    "cifar10-5k": SMALLER,
    "cifar10-50k": "30 epochs, one seed",
    "scaling": "500 to 50,000 images, widths of 8 to 32, 1,580 steps",
}
NOTES = {
    "tiny-imagenet-preact18": "the paper mentions crops; its code only flips, and so do we",
    "cifar10-pyramid272": "the paper augments with Fast AutoAugment's policies, which no package ships",
    "wrn28-10": "the last map is averaged as a whole; the code averages 7 x 7 of CIFAR's 8 x 8 cells",
    "fashion-mnist": "the paper uses the first release of the data, with some test images also in the training set",
}


def _table_2() -> Iterator[Row]:
    for key in FMIX_TABLE_2.scores:
        data, model = key
        name = f"{data}-{model}"
        small = OUR_CIFAR if name == "cifar10-preact18" else {}
        yield Row(
            name=f"fmix-table-2/{name}",
            module="images",
            words=f"--preset fmix-paper --data {data} --data-root DATA --model {model}",
            data=data,
            measure=ACCURACY,
            published=scores(FMIX_TABLE_2, key),
            report=f"{data}/{model}",
            ours=small,
            notes=tuple(NOTES[each] for each in (name, data, model) if each in NOTES),
        )
    for alpha in ("1.0", "0.2"):
        key = f"commands-alpha-{alpha}", "preact18"
        yield Row(
            name=f"fmix-table-2/{key[0]}-preact18",
            module="audio",
            words=f"--preset fmix-paper{'' if alpha == '1.0' else '-0.2'} --data-root DATA",
            data="speech-commands",
            measure=ACCURACY,
            published=scores(FMIX_COMMANDS, key),
            report="/".join(key),
            ours={f"commands-{alpha}": "ten words of v0.02, 1,873 clips, width 16"},
        )
    key = "modelnet10", "pointnet"
    yield Row(
        name="fmix-table-2/modelnet10-pointnet",
        module="points",
        words="--preset fmix-paper --data-root DATA",
        data="modelnet10",
        measure="test accuracy (%), median of the last five epochs",
        published=scores(FMIX_MODELNET, key),
        report="/".join(key),
        ours={
            "furniture-pointnet": "other meshes",
            "furniture-voxnet": "other meshes, voxels, VoxNet",
            "modelnet10-voxnet": "two of the classes, voxels, VoxNet",
        },
        notes=(
            "training clouds are drawn and standardised like test clouds; the code's 128 points in (-1/2, 1/2) by "
            "--words=--as-published",
            f"{OURS}voxels of 64 cells along an axis, where the code has 128",
        ),
    )


def _table_3() -> Iterator[Row]:
    for key in FMIX_TABLE_3.scores:
        data, _, alpha = key[0].partition("-alpha-")
        top_5 = {method: f" / {value:.2f}" for method, value in FMIX_TABLE_3_TOP_5[key].items()}
        published = scores(FMIX_TABLE_3, key, top_5)
        notes = ["the networks are trained again for it, as for ImageNet"] if data == "imagenet-a" else []
        if alpha != "1.0":
            notes.append("the baseline is the one of alpha 1")
            del published["baseline"]
        yield Row(
            name=f"fmix-table-3/{data}-{alpha}-resnet101",
            module="images",
            words=f"--preset fmix-paper --data {data} --data-root DATA --model resnet101",
            data=data,
            measure="accuracy (%), top-1 / top-5",
            published=published,
            options={} if alpha == "1.0" else dict.fromkeys(published, f"--alpha {alpha}"),
            report="/".join(key),
            notes=tuple(notes),
        )


def _table_4() -> Iterator[Row]:
    graphemes = {
        method: f"; graphemes {printed(score)}"
        for method, score in FMIX_TABLE_4.scores["bengali", "seresnext50"].items()
    }
    for target in ("root", "vowel", "consonant"):
        key = f"bengali-{target}", "seresnext50"
        yield Row(
            name=f"fmix-table-4/{'-'.join(key)}",
            module="images",
            words=f"--preset fmix-paper --data bengali --data-root DATA --target {target} --model seresnext50",
            data="bengali",
            measure="accuracy (%); and of graphemes, which are correct if all three networks are",
            published=scores(FMIX_TABLE_4, key, graphemes),
            report="/".join(key),
            notes=(
                "the paper's are over five folds: --words='--fold 1' and so on for the others, each with another --out",
                "graphemes come from the runs of all three targets: python -m recipes.analyses.fmix.graphemes RUNS",
            ),
        )


def _table_5() -> Iterator[Row]:
    small = {
        ("toxic", "cnn"): {"toxic-cnn": "2,199 comments"},
        ("toxic", "bilstm"): {"toxic-bilstm": "2,199 comments, width 64"},
        ("toxic", "bert"): {"sst2-bert": "1,000 sentences of SST-2, MiniLM"},
        ("imdb", "cnn"): {"imdb-cnn": "2,000 texts, 150 words"},
        ("imdb", "bilstm"): {"imdb-bilstm": "2,000 texts, 100 words"},
        ("yelp-polarity", "cnn"): {"yelp-cnn": "4,000 sentences"},
        ("yelp-polarity", "bilstm"): {"yelp-bilstm": "4,000 sentences"},
        ("yelp-full", "cnn"): {"yelp-full-cnn": "1,046 reviews"},
        ("yelp-full", "bilstm"): {"yelp-full-bilstm": "1,046 reviews"},
    }
    for table in (FMIX_TABLE_5_TOXIC, FMIX_TABLE_5):
        for key in table.scores:
            data, model = key
            vectors = "" if model == "bert" else " --vectors VECTORS"
            notes = ["tokenisation, and the stop words removed from Toxic, are not spaCy's"]
            if model == "bert":
                notes = [f"{OURS}a learning rate of 2e-5, 4 epochs, batches of 32"]
            elif data != "toxic":
                notes.append(f"{OURS}epochs, batches and learning rate of Toxic")
            yield Row(
                name=f"fmix-table-5/{data}-{model}",
                module="text",
                words=f"--preset fmix-paper --data {data} --data-root DATA --model {model}{vectors}",
                data=data,
                measure="macro ROC-AUC (%)" if data == "toxic" else ACCURACY,
                published=scores(table, key),
                report="/".join(key),
                ours=small[key],
                notes=tuple(notes),
            )


def _analyses() -> Iterator[Row]:
    yield Row(
        name="fmix-table-1/cifar10-vae",
        module="analyses.mutual_information",
        words="--data cifar10 --data-root DATA --seeds COUNT --runs OUT --out PAGE",
        runs=4,
        data="cifar10",
        measure="I(Z; X) and I(Z; X̂) in nats; squared error",
        published={
            "baseline": "78.05 ± 0.53, 74.40 ± 0.45; 0.256 ± 0.002",
            "mixup": "70.38 ± 0.90, 68.58 ± 1.12; 0.288 ± 0.003",
            "cutmix": "83.17 ± 0.72, 79.46 ± 0.75; 0.254 ± 0.003",
            "fmix": "83.67 ± 0.89, 80.28 ± 0.75; 0.255 ± 0.003",
        },
        ours={"mutual-information": "4 of 100 epochs, 5 seeds"},
        notes=(
            "the row names are missing from the text available to us; they are inferred from its discussion",
            f"{OURS}a learning rate of 0.005, because with the paper's 0.05 the VAE diverges",
        ),
    )
    yield Row(
        name="fmix-grad-cam/cifar10-preact18",
        module="analyses.grad_cam",
        words="RUNS --out PAGE",
        data="cifar10",
        measure="mean sum of the map",
        published={"baseline": "146 ± 5", "mixup": "162 ± 3", "cutmix": "131 ± 6"},
        of=CIFAR,
        of_methods=("baseline", "mixup", "cutmix"),
        ours={"grad-cam": f"{SMALL_NETWORKS}; 2,000 test images"},
        notes=(f"{OURS}maps of the second stage, 16 x 16, which match the size of the sums",),
    )
    yield Row(
        name="fmix-figure-1/cifar10-preact18",
        module="analyses.attacks",
        words="RUNS --figure fmix-1 --out PAGE",
        data="cifar10",
        measure="claim",
        published={"claim": "MixUp withstands noise and DeepFool better, and nothing differs in the worst case"},
        of=CIFAR,
        of_methods=("baseline", "mixup", "cutmix", "fmix"),
        ours={
            "attacks-fmix": f"{SMALL_NETWORKS}; 200 test images",
            "attacks-noise": f"{SMALL_NETWORKS}; noise and DeepFool, 1,000 test images",
        },
    )


def _sweeps() -> Iterator[Row]:
    small = {"sweep-alpha": "four values, 5,000 images, width 8, 10 epochs"}
    for name, claim, ours in (
        ("alpha", "accuracy hardly depends on it, with a slight peak at 1", small),
        ("delta", "accuracy falls for a decay power below 2 and is flat above", {}),
    ):
        yield Row(
            name=f"fmix-figure-3/{name}",
            module="analyses.sweep",
            words=f"--figure fmix-3-{name} --seeds SEEDS --runs OUT --out PAGE",
            each=PAPER,
            runs=8,
            data="cifar10",
            measure="claim",
            published={"claim": claim},
            ours=ours,
            notes=(f"{OURS}the values below 1, which are missing from the figure's text",),
        )
    yield Row(
        name="fmix-figure-4/sizes",
        module="analyses.sweep",
        words="--figure fmix-4 --seeds SEEDS --runs OUT --out PAGE",
        each="--data cifar10 --data-root DATA --model preact18 --width 64 --batch-size 128",
        runs=36,
        data="cifar10",
        measure="claim",
        published={"claim": "FMix alternating with MixUp is best at any size; MixUp beats FMix only on small ones"},
        notes=(f"{OURS}the sizes, the same number of steps for each, and a cosine schedule, which follows the epochs",),
    )


ROWS = (*_analyses(), *_table_2(), *_table_3(), *_table_4(), *_table_5(), *_sweeps())
