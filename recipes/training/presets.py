"""The papers' settings, by data, model and method."""

from collections.abc import Mapping
from typing import Any

from recipes.data.images.facts import PATCHUP_SPLITS
from recipes.models.images import libraries
from recipes.training.command import Choice, Preset
from recipes.training.engine import Training
from recipes.training.methods import Method

STEPS: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 1e-4, "schedule": "step"}
RESNEXT = {"epochs": 100, "batch_size": 512, "milestones": (50, 75), **STEPS}
IMAGENET = {"batch_size": 256, **STEPS}
RESNET101 = {"epochs": 90, "milestones": (30, 60, 80), "warmup": 5, **IMAGENET, "lr": 0.4}
LONG = {"epochs": 300, "batch_size": 32, "milestones": (100, 150, 225), **STEPS}
SHORT = {"epochs": 200, "batch_size": 128, "milestones": (100, 150), **STEPS}
FMIX: dict[tuple[str, str], dict[str, Any]] = {
    ("cifar10", "preact18"): SHORT,
    ("cifar100", "preact18"): SHORT,
    ("fashion-mnist", "preact18"): SHORT,
    ("cifar10", "wrn28-10"): SHORT,
    ("cifar100", "wrn28-10"): SHORT,
    ("fashion-mnist", "wrn28-10"): LONG,
    ("cifar10", "densenet190"): LONG,
    ("cifar100", "densenet190"): LONG,
    ("fashion-mnist", "densenet190"): LONG,
    ("tiny-imagenet", "preact18"): SHORT | {"milestones": (150, 180)},
    ("imagenet", "resnet101"): RESNET101,
    ("imagenet-a", "resnet101"): RESNET101,
    ("bengali", "seresnext50"): RESNEXT,
    ("cifar10", "pyramid272"): {"epochs": 1800, "batch_size": 64, **STEPS | {"schedule": "cosine"}},
}
"""Training in the FMix paper."""
WIDTHS = {"wrn28-10": 160, "densenet190": 80, "pyramid272": 16}
"""Widths in the papers that are not 64."""

PATCHUP_TRAINING = {"batch_size": 100, "nesterov": True, **STEPS}
PATCHUP: dict[str, dict[str, Any]] = {
    "preact18": {"epochs": 2000, "milestones": (500, 1000, 1500), **PATCHUP_TRAINING},
    "preact34": {"epochs": 2000, "milestones": (500, 1000, 1500), **PATCHUP_TRAINING},
    "wrn28-10": {"epochs": 400, "milestones": (200, 300), **PATCHUP_TRAINING},
    "preact101": {"epochs": 400, "milestones": (200, 300), **PATCHUP_TRAINING},
    "preact152": {"epochs": 400, "milestones": (200, 300), **PATCHUP_TRAINING},
}
"""Training in the PatchUp paper. The bottleneck networks, for Tiny-ImageNet, have the settings of WRN-28-10: the paper
does not print theirs."""

PATCHUP_METHODS: dict[str, dict[str, Any]] = {
    "manifold-mixup": {"alpha": 1.5},
    "cutmix": {"prob": 0.4},
    "patchup-soft": {"gamma": 0.75, "mixed_weight": 2.0},
    "patchup-hard": {"gamma": 0.5, "prob": 0.7, "mixed_weight": 2.0},
}
"""Settings of methods in the PatchUp paper that differ from the recipe's. Its loss for PatchUp has two terms of full
weight; in the library each has half the weight."""
TINY_ALPHA = {"mixup": 1.0, "manifold-mixup": 2.0, "puzzlemix": 0.2}
"""Those in the row labels of Table 1; Puzzle Mix's is in the caption of Table 5, which gives 0.2 for the others too."""
IMAGENET_METHODS: dict[str, dict[str, Any]] = {
    "patchup-soft": {"gamma": 0.6, "mixed_weight": 2.0},
    "patchup-hard": {"gamma": 0.5, "prob": 0.6, "mixed_weight": 2.0},
}
CUTOUT = {"svhn": 20, "wrn28-10": 8}
"""Sides of Cutout's box that are not 16."""


def fmix_paper(choice: Choice) -> Mapping[str, Any]:
    """Settings of the FMix paper (its Tables II to IV).

    Its PyramidNet had Fast AutoAugment's policies, which no package ships; here it has AutoAugment's.

    Raises:
        ValueError: the paper has no such experiment.
    """
    data, model = choice.data, choice.model
    if (data, model) not in FMIX:
        known = ", ".join(f"{data} with {model}" for data, model in FMIX)
        raise ValueError(f"preset='fmix-paper' has no {data} with {model}; it has {known}")
    augment = {"augment": "autoaugment"} if model == "pyramid272" else {}
    return {"width": _width(model), **augment, "training": Training(**FMIX[data, model])}


def patchup_paper(choice: Choice) -> Mapping[str, Any]:
    """Settings of the PatchUp paper (its Tables 1 to 3), except that the score is the last epoch's.

    On ImageNet it has the settings of the CutMix paper, whose loss is the cross entropy. So is ours, with twice the
    library's loss for PatchUp, as in its other tables.

    Raises:
        ValueError: the paper has no such experiment.
    """
    data, model, method = choice.data, choice.model, choice.method
    if (data, model) == ("imagenet", "resnet50"):
        steps = {"epochs": 300, "milestones": (75, 150, 225), "nesterov": True, **IMAGENET}
        mixing = Method(method=method, **IMAGENET_METHODS.get(method, {}))
        return {"width": None, "mixing": mixing, "training": Training(**steps)}
    tiny = data == "tiny-imagenet"
    if (data not in PATCHUP_SPLITS and not tiny) or model not in PATCHUP:
        known = f"{', '.join(PATCHUP_SPLITS)} and tiny-imagenet, and the models {', '.join(PATCHUP)}"
        raise ValueError(
            f"preset='patchup-paper' has no {data} with {model}; it has the data {known}; and imagenet with resnet50"
        )
    training = PATCHUP["wrn28-10" if tiny else model]
    chosen = {"cutout_size": CUTOUT.get(data, CUTOUT.get(model, 16))} | PATCHUP_METHODS.get(method, {})
    if tiny and method in TINY_ALPHA:
        chosen["alpha"] = TINY_ALPHA[method]
    return {
        "width": _width(model),
        "variant": "patchup",
        "stem_stride": 2 if tiny else 1,
        "facts": "patchup",
        "validation": not tiny,
        "loss": "softmax-bce",
        "mixing": Method(method=method, **chosen),
        "training": Training(**training),
    }


def _width(model: str) -> int | None:
    """Channels of the first stage; networks of libraries have their own."""
    return None if model in libraries.PUBLISHED else WIDTHS.get(model, 64)


IMAGES: dict[str, Preset] = {"fmix-paper": fmix_paper, "patchup-paper": patchup_paper}

TEXT_STEPS: dict[str, Any] = {"optimizer": "adam", "weight_decay": 0.0, "schedule": "constant"}
TEXT_ALPHA = {("toxic", "bert"): 0.1, ("imdb", "cnn"): 0.2, ("imdb", "bilstm"): 0.2}
"""Values of alpha that are not 1."""


def fmix_paper_text(choice: Choice) -> Mapping[str, Any]:
    """Settings of the FMix paper's Table V.

    The paper prints only the training settings of Toxic with CNN and BiLSTM; those of IMDb and Yelp are the same here.
    BERT has a learning rate of 2e-5, 4 epochs, batches of 32 and 128 tokens of `bert-base-cased`, mixed as token ids.

    Raises:
        ValueError: the paper has no such experiment.
    """
    data, model = choice.data, choice.model
    if data not in ("toxic", "imdb", "yelp-polarity", "yelp-full") or (model == "bert" and data != "toxic"):
        raise ValueError(
            f"preset='fmix-paper' has no {data} with {model}; it has toxic with cnn, bilstm and bert, and imdb, "
            f"yelp-polarity and yelp-full with cnn and bilstm"
        )
    settings: dict[str, Any] = {
        "model": model,
        "padding": "published",
        "mixing": Method(method=choice.method, alpha=TEXT_ALPHA.get((data, model))),
        "training": Training(epochs=10, batch_size=64, lr=1e-4, **TEXT_STEPS),
    }
    if model == "bert":
        bert = {"bert": "bert-base-cased", "bert_pool": "all", "most_tokens": 128, "mix": "ids"}
        settings |= bert | {"training": Training(epochs=4, batch_size=32, lr=2e-5, **TEXT_STEPS)}
    return settings


TEXT: dict[str, Preset] = {"fmix-paper": fmix_paper_text}


def fmix_paper_audio(choice: Choice, alpha: float) -> Mapping[str, Any]:
    """Settings of Google commands in the FMix paper's Table II."""
    return {
        "data": "speech-commands",
        "words": "twelve",
        "width": 64,
        "mixing": Method(method=choice.method, alpha=alpha),
        "training": Training(epochs=90, batch_size=128, **STEPS | {"lr": 0.01, "milestones": (30, 60, 80)}),
    }


AUDIO: dict[str, Preset] = {
    "fmix-paper": lambda choice: fmix_paper_audio(choice, 1.0),
    "fmix-paper-0.2": lambda choice: fmix_paper_audio(choice, 0.2),
}


def fmix_paper_points(choice: Choice) -> Mapping[str, Any]:
    """Settings of ModelNet10 in the FMix paper's Table II, with voxels of 64 cells where its code has 128."""
    steps: dict[str, Any] = {"schedule": "step", "milestones": (10, 20, 30, 40), "median_of": 5}
    return {
        "data": "modelnet10",
        "mix": "voxels",
        "resolution": 64,
        "mixing": Method(method=choice.method),
        "training": Training(epochs=50, batch_size=16, lr=1e-3, optimizer="adam", weight_decay=0.0, **steps),
    }


POINTS: dict[str, Preset] = {"fmix-paper": fmix_paper_points}
