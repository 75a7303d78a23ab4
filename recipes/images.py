"""Image classification: the CIFAR and Fashion-MNIST experiments of the FMix paper, and digits, which need no download.

Claim (Harris et al. 2020, Table II): on CIFAR-10 a PreAct-ResNet18 scores 94.63 % alone, 95.66 with MixUp, 96.00 with
CutMix, 96.14 with FMix and 96.30 with FMix and MixUp in turn; last epoch, mean of 5 runs. Theirs is

    python -m recipes.images --preset fmix-paper --data cifar10 --data-root DIR --method fmix

and `python -m recipes.images` alone trains a small network on scikit-learn's digits in seconds.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn

import mixmodal as mm
from mixmodal.mixer import Draws
from recipes import engine, pictures
from recipes.data import images
from recipes.data.augment import Augment
from recipes.data.loading import ordered_loader, shuffled_loader
from recipes.mixing import AtSites, Mixing, Sample
from recipes.models import Variant, WideResNet, preact_resnet


@dataclass(frozen=True)
class Settings:
    """Train an image classifier with one mixing method."""

    method: str = "fmix"
    """What mixes: baseline; at the input mixup, cutmix, fmix, cutout, puzzlemix, or in turn fmix+mixup, cutmix+mixup,
    fmix+cutmix; at hidden sites manifold-mixup, feature-cutmix, patchup-soft, patchup-hard, dropblock."""
    data: str = "digits"
    """digits, cifar10, cifar100 or fashion-mnist."""
    data_root: Path | None = None
    """Folder with the published files of the data, unpacked or not."""
    hub: bool = False
    """Fetch the data from the Hugging Face hub instead."""
    per_class: int | None = None
    """Train on so many images of each class; on all by default."""
    augment: Literal["crop-flip", "none"] = "crop-flip"
    """Random crop and flip as in the papers (digits are not flipped), or images as they are."""
    model: str = "preact18"
    """preact18, preact34 or wrn28-10."""
    variant: Variant = "fmix"
    """Whose network: the papers differ in stem and shortcuts."""
    width: int = 16
    """Channels of the first stage; the papers have 64 (PreAct-ResNet) and 160 (WRN)."""
    depth: int | None = None
    """Layers, if not those in the name of the model."""
    alpha: float | None = None
    """Beta parameter of the share; 1 by default, and 2 for Manifold MixUp and PatchUp."""
    prob: float = 1.0
    """Share of the batches that are mixed."""
    decay_power: float = 3.0
    """Decay power of FMix."""
    cutout_size: int | None = None
    """Side of Cutout's box in pixels; half the image by default, as on CIFAR-10."""
    sites: tuple[str, ...] = ("", "layer1", "layer2")
    """Modules before which the hidden methods mix: "" is the input, layer1 comes after the stem. DropBlock leaves the
    first out."""
    block_size: int = 7
    """Side of a block of PatchUp and DropBlock."""
    gamma: float | None = None
    """Share of a feature map that PatchUp alters, nominally; 0.75 if soft, 0.5 if hard by default."""
    drop_prob: float = 0.1
    """Share that DropBlock drops."""
    preset: Literal["none", "fmix-paper"] = "none"
    """Defaults of the FMix paper's experiments in place of those here; other options still win."""
    out: Path | None = None
    """Folder of the run; runs/images/DATA-METHOD-SEED by default."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(default_factory=engine.Training)
    """How to train."""

    def mixed(self, mixer: Draws) -> Draws:
        """A mixer with the probability of these settings."""
        return mixer if self.prob == 1 else mm.OneOf([mixer, mm.NoMix()], p=[self.prob, 1 - self.prob])

    def hidden(self, net: nn.Module) -> list[nn.Module]:
        """The modules of `sites`.

        Raises:
            ValueError: the network has none of this name.
        """
        modules = dict(net.named_modules())
        for name in self.sites:
            if name not in modules:
                known = ", ".join(name for name in modules if name and "." not in name)
                raise ValueError(f"sites: {name!r} is no module of this network; choose from '', {known}")
        return [modules[name] for name in self.sites]


def _fmix(s: Settings) -> mm.FMix:
    return mm.FMix(alpha=s.alpha or 1.0, decay_power=s.decay_power)


def _patchup(s: Settings, net: nn.Module, *, soft: bool) -> dict[nn.Module, Draws]:
    """One box at the input, as the paper has it, blocks elsewhere."""
    blocks = mm.PatchUp(block_size=s.block_size, gamma=s.gamma, soft=soft, alpha=s.alpha or 2.0)
    return {site: s.mixed(mm.CutMix() if site is net else blocks) for site in s.hidden(net)}


METHODS: dict[str, Callable[[Settings, nn.Module, int], Mixing]] = {
    "baseline": lambda s, net, side: AtSites(net, {net: mm.NoMix()}),
    "mixup": lambda s, net, side: AtSites(net, {net: s.mixed(mm.MixUp(alpha=s.alpha or 1.0))}),
    "cutmix": lambda s, net, side: AtSites(net, {net: s.mixed(mm.CutMix(alpha=s.alpha or 1.0))}),
    "fmix": lambda s, net, side: AtSites(net, {net: s.mixed(_fmix(s))}),
    "cutout": lambda s, net, side: AtSites(net, {net: s.mixed(mm.Cutout(size=s.cutout_size or side // 2))}),
    "dropblock": lambda s, net, side: AtSites(net, dict.fromkeys(s.hidden(net)[1:], mm.DropBlock())),
    "manifold-mixup": lambda s, net, side: AtSites(
        net, dict.fromkeys(s.hidden(net), s.mixed(mm.MixUp(alpha=s.alpha or 2.0)))
    ),
    "feature-cutmix": lambda s, net, side: AtSites(
        net, dict.fromkeys(s.hidden(net), s.mixed(mm.CutMix(alpha=s.alpha or 1.0)))
    ),
    "patchup-soft": lambda s, net, side: AtSites(net, _patchup(s, net, soft=True)),
    "patchup-hard": lambda s, net, side: AtSites(net, _patchup(s, net, soft=False)),
    "fmix+mixup": lambda s, net, side: AtSites(net, {net: mm.Alternate([_fmix(s), mm.MixUp(alpha=s.alpha or 1.0)])}),
    "cutmix+mixup": lambda s, net, side: AtSites(
        net, {net: mm.Alternate([mm.MixUp(alpha=s.alpha or 1.0), mm.CutMix(alpha=s.alpha or 1.0)])}
    ),
    "fmix+cutmix": lambda s, net, side: AtSites(net, {net: mm.Alternate([_fmix(s), mm.CutMix(alpha=s.alpha or 1.0)])}),
}

MODELS: dict[str, Callable[[Settings, int, int], nn.Module]] = {
    "preact18": lambda s, channels, classes: preact_resnet(
        s.depth or 18, channels=channels, classes=classes, width=s.width, variant=s.variant
    ),
    "preact34": lambda s, channels, classes: preact_resnet(
        s.depth or 34, channels=channels, classes=classes, width=s.width, variant=s.variant
    ),
    "wrn28-10": lambda s, channels, classes: WideResNet(
        depth=s.depth or 28, widen=_widen(s.width), channels=channels, classes=classes, variant=s.variant
    ),
}

STEPS = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 1e-4, "schedule": "step"}
LONG = {"epochs": 300, "batch_size": 32, "milestones": (100, 150, 225), **STEPS}
SHORT = {"epochs": 200, "batch_size": 128, "milestones": (100, 150), **STEPS}
FMIX_PAPER: dict[tuple[str, str], dict[str, Any]] = {
    ("cifar10", "preact18"): SHORT,
    ("cifar100", "preact18"): SHORT,
    ("fashion-mnist", "preact18"): SHORT,
    ("cifar10", "wrn28-10"): SHORT,
    ("cifar100", "wrn28-10"): SHORT,
    ("fashion-mnist", "wrn28-10"): LONG,
}


@dataclass(frozen=True)
class Choice:
    """The part of a command line that a preset depends on."""

    preset: str = Settings.preset
    data: str = Settings.data
    model: str = Settings.model


def with_preset(choice: Choice) -> Settings:
    """Defaults of a command line: those of the preset that it asks for.

    Raises:
        ValueError: the preset has no such experiment.
    """
    if choice.preset != "fmix-paper":
        return Settings()
    key = (choice.data, choice.model)
    if key not in FMIX_PAPER:
        known = ", ".join(f"{data} with {model}" for data, model in FMIX_PAPER)
        raise ValueError(f"preset='fmix-paper' has no {choice.data} with {choice.model}; it has {known}")
    width = 160 if choice.model == "wrn28-10" else 64
    return Settings(width=width, training=engine.Training(**FMIX_PAPER[key]))


def choose(table: dict[str, Callable[..., Any]], option: str, name: str) -> Callable[..., Any]:
    """The entry of a table.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in table:
        raise ValueError(f"{option}={name!r} is unknown; choose {', '.join(table)}")
    return table[name]


def run(settings: Settings, *, command: str) -> dict[str, Any]:
    """Train with these settings; returns the content of `result.json`."""
    training = settings.training
    make_mixing, make_model = choose(METHODS, "method", settings.method), choose(MODELS, "model", settings.model)
    data = images.load(settings.data, root=settings.data_root, hub=settings.hub)
    data = data if settings.per_class is None else images.subset(data, settings.per_class)
    augment = Augment.of(data) if settings.augment == "crop-flip" else replace(Augment.of(data), pad=0, flip=False)
    engine.seed(training.seed)

    def prepare(batch: tuple[Tensor, Tensor], train: bool) -> tuple[Tensor, Tensor]:
        return augment(batch[0], train), batch[1]

    def picture(samples: Sequence[Sample], y: Tensor) -> Figure:
        return pictures.samples(samples, y.cpu(), data.classes, mean=data.mean, std=data.std)

    channels, side = data.train_x.shape[1:3]
    model = make_model(settings, channels, len(data.classes)).to(memory_format=torch.channels_last)
    task = engine.Task(
        model=model,
        train=shuffled_loader(data.train_x, data.train_y, batch_size=training.batch_size, seed=training.seed),
        test=ordered_loader(data.test_x, data.test_y, batch_size=4 * training.batch_size),
        mixing=make_mixing(settings, model, side),
        prepare=prepare,
        picture=picture,
    )
    config = {"recipe": "images", **asdict(settings)}
    config |= config.pop("training")
    out = settings.out or Path("runs", "images", f"{settings.data}-{settings.method}-{training.seed}")
    config = {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
    return engine.fit(task, training, out=out, config=config, command=command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        choice, _ = tyro.cli(Choice, args=words, return_unknown_args=True, add_help=False)
        settings = tyro.cli(Settings, prog="python -m recipes.images", args=words, default=with_preset(choice))
        result = run(settings, command=shlex.join(["python", "-m", "recipes.images", *words]))
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"recipes.images: {error}")
    if result:  # one process of many writes it
        scores = f"{result['score']:.2f} % of the test set, {result['train_score']:.2f} % of the training set"
        print(f"{settings.method}: {scores}")


def _widen(width: int) -> int:
    if width < 16 or width % 16:
        raise ValueError(f"width={width} must be a multiple of 16 for this model, such as 160")
    return width // 16


if __name__ == "__main__":
    main()
