"""Image classification: the experiments of the FMix and PatchUp papers, and digits, which need no download.

Claim (Harris et al. 2020, Table II): on CIFAR-10 a PreAct-ResNet18 scores 94.63 % without mixing, 95.66 with MixUp,
96.00 with CutMix, 96.14 with FMix and 96.30 with FMix and MixUp in turn; last epoch, mean of 5 runs. Their setup is

    python -m recipes.images --preset fmix-paper --data cifar10 --data-root DIR --method fmix

Claim (Faramarzi et al. 2022, Table 2): mixing blocks of its feature maps, soft PatchUp, is ahead of MixUp,
Manifold Mixup, CutMix, Puzzle Mix, Cutout and DropBlock there. Their setup is

    python -m recipes.images --preset patchup-paper --data cifar10 --data-root DIR --method patchup-soft

and plain `python -m recipes.images` trains a small network on scikit-learn's digits in seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn

from mixmodal.core.records.losses import Criterion
from recipes.data import splits
from recipes.data.disk.lazy import Lazy
from recipes.data.images import sets
from recipes.data.images.augment import Augment
from recipes.data.images.facts import PATCHUP_SPLITS
from recipes.data.images.graphemes import bengali
from recipes.data.images.policies import Policies
from recipes.data.loading import ordered_loader, shuffled_loader
from recipes.data.subsets import subset
from recipes.models.arguments import Variant, channels_last
from recipes.models.images import libraries, pretrained
from recipes.models.images.preact_resnet import preact_resnet
from recipes.models.images.pyramidnet import PyramidNet
from recipes.models.images.wide_resnet import WideResNet
from recipes.pictures import images as pictures
from recipes.pictures.rows import Sample
from recipes.training import command, engine, methods, presets, records
from recipes.training.losses import softmax_bce
from recipes.training.processes.sharing import in_turn, say


@dataclass(frozen=True)
class Settings:
    """Train an image classifier with one mixing method."""

    mixing: tyro.conf.OmitArgPrefixes[methods.Method] = field(default_factory=methods.Method)
    """What mixes, and how."""
    data: str = "digits"
    """digits, cifar10, cifar100, fashion-mnist, svhn, tiny-imagenet, bengali; folder for images in DIR/train/CLASS and
    DIR/test/CLASS; imagenet for ImageNet, or anything in DIR/train/CLASS and DIR/val/CLASS, trained on random
    resized crops; or imagenet-a to test on DIR/imagenet-a/CLASS, among these classes only."""
    data_root: Path | None = None
    """Folder with the published files of the data, unpacked or not."""
    hub: bool = False
    """Fetch the data from the Hugging Face hub instead."""
    side: int | None = None
    """Pixels to which images of a folder or of ImageNet are resized and cropped; 224 for ImageNet by default."""
    target: bengali.Target | None = None
    """Which label of Bengali.AI's graphemes to learn; as in the FMix paper, each has its own network."""
    fold: int | None = None
    """Which fifth of Bengali.AI's graphemes to test on, 0 to 4; 0 by default."""
    per_class: int | None = None
    """Number of training images of each class; all by default."""
    validation: bool = False
    """Hold out the validation images of the PatchUp paper: a tenth of each class, drawn with the seed."""
    score_on: Literal["test", "validation"] = "test"
    """What the last epoch is scored on; validation is for tuning."""
    facts: Literal["fmix", "patchup"] = "fmix"
    """Which paper's mean, standard deviation and padding of the images to use."""
    augment: Literal["crop-flip", "autoaugment", "none"] = "crop-flip"
    """Random crop and flip as in the papers (digits are not flipped; ImageNet gets random resized crops); AutoAugment
    before them, with torchvision's policies for SVHN, ImageNet or, for all else, CIFAR-10; or unaltered images."""
    policy: Path | None = None
    """File with other policies for AutoAugment, such as Fast AutoAugment's, which no package ships: a JSON list of
    policies, each a list of one or two operations [NAME, PROBABILITY, LEVEL], with torchvision's names and its levels 0
    to 9, or null if an operation has none."""
    model: str = "preact18"
    """preact18, preact34, preact101, preact152, wrn28-10, densenet190, pyramid272, seresnext50, resnet50, resnet101;
    or timm:NAME or torchvision:NAME for any of theirs."""
    variant: Variant = "fmix"
    """Which paper's network: they differ in stem and shortcuts."""
    width: int | None = None
    """Channels of the first stage, 16 by default; the papers have 64 (PreAct-ResNet), 160 (WRN), 80 (the stem of
    DenseNet) and 16 (that of PyramidNet). Networks of timm and torchvision have their own."""
    depth: int | None = None
    """Number of layers, if not the one in the model's name."""
    stem_stride: int = 1
    """Stride of the first convolution; 2 on Tiny-ImageNet in the PatchUp paper."""
    pretrained: str | None = None
    """Weights to start from: a safetensors or torch file, a folder with one, or hub for those that timm or torchvision
    publish. They are matched by name; a classifier for another number of classes starts untrained. Images keep the mean
    and standard deviation of their data set."""
    loss: Literal["cross-entropy", "softmax-bce"] = "cross-entropy"
    """Cross entropy, or the PatchUp code's binary cross entropy of softmax, averaged over the classes."""
    preset: Literal["none", "fmix-paper", "patchup-paper"] = "none"
    """Use the defaults of a paper's experiments; explicit options still win."""
    out: Path | None = None
    """Folder of the run; runs/images/DATA-METHOD-SEED by default."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(default_factory=engine.Training)
    """How to train."""

    def __post_init__(self) -> None:
        if self.policy is not None and self.augment != "autoaugment":
            raise ValueError(f"policy={str(self.policy)!r} needs --augment autoaugment")
        if self.data != "bengali":
            splits.refuse_unread(self, ["target", "fold"], self.data)
        elif self.hub or self.side is not None:
            raise ValueError("data='bengali' is read from Kaggle's files, at 64 x 64: leave out --hub and --side")


MODELS: dict[str, Callable[[Settings, int, int], nn.Module]] = {
    "preact18": lambda s, channels, classes: _preact(s, 18, channels, classes),
    "preact34": lambda s, channels, classes: _preact(s, 34, channels, classes),
    "preact101": lambda s, channels, classes: _preact(s, 101, channels, classes),
    "preact152": lambda s, channels, classes: _preact(s, 152, channels, classes),
    "wrn28-10": lambda s, channels, classes: WideResNet(
        depth=s.depth or 28,
        widen=_widen(s.width),
        channels=channels,
        classes=classes,
        stem_stride=s.stem_stride,
        variant=s.variant,
    ),
    "densenet190": lambda s, channels, classes: _densenet(s, channels, classes),
    "pyramid272": lambda s, channels, classes: _pyramidnet(s, channels, classes),
}
WIDTH = 16
"""Channels of the first stage by default."""
LOSSES: dict[str, Criterion] = {"cross-entropy": F.cross_entropy, "softmax-bce": softmax_bce}


def load(settings: Settings) -> sets.ImageSet:
    """The images of a run; its test images are the validation images if those are to be scored.

    Raises:
        ValueError: validation images are requested of a set without a published split, or scored but not held out.
    """
    if settings.data == "bengali":
        data = bengali.load(settings.data_root, target=settings.target, fold=settings.fold)
    else:
        data = sets.load(settings.data, root=settings.data_root, hub=settings.hub, side=settings.side)
    if settings.facts == "patchup":
        data = sets.as_in_patchup(data)
    if settings.score_on == "validation" and not settings.validation:
        raise ValueError("score_on='validation' needs --validation, which keeps those images out of training")
    if settings.validation:
        if settings.data not in PATCHUP_SPLITS:
            raise ValueError(
                f"validation: {settings.data} has no published split; {', '.join(PATCHUP_SPLITS)} have one"
            )
        data, held = sets.split_off(data, *PATCHUP_SPLITS[settings.data], seed=settings.training.seed)
        if settings.score_on == "validation":
            data = replace(data, test_x=held[0], test_y=held[1])
    return data if settings.per_class is None else subset(data, settings.per_class)


def network(settings: Settings, data: sets.ImageSet) -> nn.Module:
    """The untrained network of a run.

    Raises:
        ValueError: the model is unknown, or does not support such a width, depth or variant.
    """
    model = libraries.PUBLISHED.get(settings.model, settings.model)
    if model in MODELS:
        net = MODELS[model](settings, len(data.mean), len(data.classes))
        return channels_last(net, WIDTH if settings.width is None else settings.width)
    if ":" not in model:
        known = ", ".join([*MODELS, *libraries.PUBLISHED, "timm:NAME, torchvision:NAME"])
        raise ValueError(f"model={model!r} is unknown; choose {known}")
    _check_unset(settings, "width", "depth", "stem_stride", "variant")
    net = libraries.from_library(model, channels=len(data.mean), classes=len(data.classes))
    return channels_last(net, libraries.narrowest(net))


def sites_of(settings: Settings, net: nn.Module) -> Sequence[str]:
    """Names of the modules before which hidden-site methods mix.

    Raises:
        ValueError: the method needs some, but they are neither named nor found.
    """
    if settings.mixing.sites is not None:
        return settings.mixing.sites
    found = libraries.stages(net)
    if not found and settings.mixing.method in methods.AT_SITES:
        known = ", ".join(name for name, _ in net.named_children())
        raise ValueError(f"sites: no stages were found in {settings.model}; name modules after --sites, within {known}")
    return found or ("input",)


def run(settings: Settings, words: str) -> dict[str, Any]:
    """Train with these settings; returns the content of `result.json`."""
    training = settings.training
    data = in_turn(training, partial(load, settings))
    augment, train_x = Augment.of(data), data.train_x
    policies = Policies(data.name, settings.policy) if settings.augment == "autoaugment" else None
    if settings.augment == "none":
        augment = replace(augment, pad=0, flip=False)
        train_x = replace(train_x, random=False) if isinstance(train_x, Lazy) else train_x
    engine.seed(training.seed)

    def prepare(batch: tuple[Tensor, Tensor], train: bool) -> tuple[Tensor, Tensor]:
        return augment.batch((policies(batch[0]), batch[1]) if train and policies else batch, train)

    def picture(samples: Sequence[Sample], _: Tensor, y: Tensor) -> Figure:
        return pictures.samples(samples, y.cpu(), data.classes, mean=data.mean, std=data.std)

    model = network(settings, data)
    out = command.folder("images", settings)
    if settings.pretrained is not None and not (training.resume and (out / records.CHECKPOINT).exists()):
        say(training, in_turn(training, partial(_begin, settings, model, data)))
    names = sites_of(settings, model)
    sites = methods.named_sites(model, names)
    hidden = settings.mixing.method in methods.AT_SITES
    libraries.check(model, settings.model, data.train_x.shape[1:], len(data.classes), names if hidden else ())
    size, workers = training.batch_size, training.workers
    changing = isinstance(train_x, Lazy) and train_x.random
    task = engine.Task(
        model=model,
        train=shuffled_loader(train_x, data.train_y, batch_size=size, seed=training.seed, workers=workers),
        test=ordered_loader(data.test_x, data.test_y, batch_size=4 * size, workers=workers),
        again=ordered_loader(train_x, data.train_y, batch_size=4 * size, workers=workers) if changing else None,
        tested=data.tested,
        mixing=methods.make(settings.mixing, methods.Place(model, sites, "b c *", data.train_x.shape[2])),
        prepare=prepare,
        picture=picture,
        criterion=LOSSES[settings.loss],
        mixed_weight=settings.mixing.mixed_weight,
    )
    return engine.fit(task, training, out=out, config=command.config("images", settings), command=words)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command.main("images", Settings, presets.IMAGES, run, arguments)


def _begin(settings: Settings, model: nn.Module, data: sets.ImageSet) -> str:
    """Load weights to start from into the network; returns what was loaded."""
    assert settings.pretrained is not None
    sizes = {"channels": len(data.mean), "classes": len(data.classes)}
    return pretrained.load(model, settings.model, settings.pretrained, **sizes)


def _preact(s: Settings, depth: int, channels: int, classes: int) -> nn.Module:
    return preact_resnet(
        s.depth or depth,
        channels=channels,
        classes=classes,
        width=WIDTH if s.width is None else s.width,
        stem_stride=s.stem_stride,
        variant=s.variant,
    )


def _densenet(s: Settings, channels: int, classes: int) -> nn.Module:
    _check_unset(s, "stem_stride", "variant")
    width = WIDTH if s.width is None else s.width
    return libraries.densenet(s.depth or 190, channels=channels, classes=classes, width=width)


def _pyramidnet(s: Settings, channels: int, classes: int) -> nn.Module:
    _check_unset(s, "stem_stride", "variant")
    width = WIDTH if s.width is None else s.width
    return PyramidNet(depth=s.depth or 272, channels=channels, classes=classes, width=width)


def _check_unset(settings: Settings, *names: str) -> None:
    """Refuse options that the model does not read."""
    usual = Settings()
    for name in names:
        if getattr(settings, name) != getattr(usual, name):
            raise ValueError(f"{name}={getattr(settings, name)!r} does not go with {settings.model}: leave it out")


def _widen(width: int | None) -> int:
    width = WIDTH if width is None else width
    if width < 16 or width % 16:
        raise ValueError(f"width={width} must be a multiple of 16 for this model, such as 160")
    return width // 16


if __name__ == "__main__":
    main()
