"""What a VAE learns about images from mixed ones: `python -m recipes.analyses.mutual_information --out PAGE.md`.

A VAE "A" is trained on mixed images, a VAE "X" on plain ones. What the code Z of A tells about what X has learned lies
between I(Z; reconstructions by X) and I(Z; images), each the mean divergence of the code from the prior.

Claim (Harris et al. 2020, Table I): on CIFAR-10 I(MixUp) < I(baseline) < I(CutMix) <= I(FMix), 70.38, 78.05, 83.17 and
83.67 nats for the images and 68.58, 74.40, 79.46 and 80.28 for the reconstructions; MixUp reconstructs worst (0.288
against 0.254 to 0.256). Their setup is

    python -m recipes.analyses.mutual_information --data cifar10 --data-root DIR --out PAGE.md

except for the learning rate: with theirs, 0.05, a new VAE diverges in three steps; ours is 0.005.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor

from recipes.analyses.shared.trained import device_of
from recipes.analyses.shared.writing import name_of, text
from recipes.data.disk.lazy import read
from recipes.data.images import sets
from recipes.data.images.augment import Augment
from recipes.data.loading import ordered_loader, shuffled_loader
from recipes.data.subsets import subset
from recipes.models.images.vae import SIDE, VAE, divergence
from recipes.pictures import images as pictures
from recipes.reporting import pages
from recipes.reporting.intervals import Claim, Values, csv_text, difference, verdict
from recipes.training import engine, methods, records

UPPER, LOWER, OTHER, ERROR = "I(Z; X) (nats)", "I(Z; X̂) (nats)", "I(Z; X̂), X of another seed", "squared error"
SOURCE = "FMix, Table I"
CHAIN = (("mixup", "baseline"), ("baseline", "cutmix"), ("cutmix", "fmix"))
CLAIMS = [Claim(quantity, *pair, SOURCE) for quantity in (UPPER, LOWER) for pair in CHAIN]
CLAIMS += [Claim(ERROR, other, "mixup", SOURCE) for other in ("baseline", "cutmix", "fmix")]
PLAIN, SHOWN, SMOKE_SEEDS, SMOKE_IMAGES = "baseline", 8, 2, 20
CHOICES = tuple(methods.WITHOUT_LABELS)
PAPER = engine.Training(
    epochs=100,
    optimizer="adam",
    lr=5e-3,
    weight_decay=0.0,
    schedule="step",
    milestones=(40, 80),
    evaluate_every=0,
)
"""Training as in the FMix paper, except for the learning rate."""


@dataclass(frozen=True)
class Settings:
    """Train VAEs on mixed images with several seeds, and measure what their codes tell about images."""

    methods: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix")
    """Methods that mix the training images of a VAE; the baseline must be among them."""
    seeds: int = 5
    """Number of VAEs for each method."""
    data: str = "digits"
    """See `python -m recipes.images --help`; images smaller than 32 x 32 are enlarged if their side divides 32."""
    data_root: Path | None = None
    """Folder with the published files of the data."""
    per_class: int | None = None
    """Number of training images of each class; all by default."""
    alpha: float = 1.0
    """Beta parameter of the share."""
    decay_power: float = 3.0
    """Decay power of FMix."""
    jitter: bool = True
    """Change brightness, contrast, saturation and hue of training images by up to 0.05, as in the paper."""
    noise: float = 0.0
    """Standard deviation of noise on reconstructions; the authors' code has 0.1."""
    images: int | None = None
    """Number of test images to measure with, the first ones; all by default."""
    runs: Path = Path("runs/vae")
    """Folder of the VAEs; those already there are not trained again."""
    out: Path | None = None
    """File for the page, in Markdown; a picture and a table of all runs go beside it."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(default_factory=lambda: PAPER)
    """How to train; the seed is that of the first VAE of each method."""

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in CHOICES:
                raise ValueError(f"methods: {method!r} does not mix only images; choose {', '.join(CHOICES)}")
        if PLAIN not in self.methods:
            raise ValueError(f"methods={self.methods} lack {PLAIN!r}, whose VAE gives the reconstructions: add it")
        for name, value, least in (("seeds", self.seeds, 1), ("images", self.images, 1), ("noise", self.noise, 0)):
            if value is not None and not value >= least:
                raise ValueError(f"{name}={value} must be {least} or more")


def information(encode: Callable[[Tensor], tuple[Tensor, Tensor]], batches: Iterable[Tensor]) -> float:
    """What a code tells about its input, in nats: the mean divergence of q(z | x) from the prior N(0, I).

    It is the mutual information of input and code if the codes of all inputs together are distributed like the prior;
    otherwise it exceeds that by their divergence from the prior.

    Args:
        encode: maps inputs (B, ...) to mean and log standard deviation (B, D) of the code.
        batches: inputs.
    """
    with torch.no_grad():
        return torch.cat([divergence(*encode(x)).double().cpu() for x in batches]).mean().item()


def load(settings: Settings) -> sets.ImageSet:
    """The images, at 32 x 32.

    Raises:
        ValueError: they are not square, or their side does not divide 32.
    """
    data = sets.load(settings.data, root=settings.data_root)
    if settings.per_class is not None:
        data = subset(data, settings.per_class)
    height, width = data.train_x.shape[2:]
    if height != width or SIDE % height:
        raise ValueError(f"data={settings.data!r} has images of {height} x {width}, but the VAE takes {SIDE} x {SIDE}")
    factor = SIDE // height
    train, test = (
        x.repeat_interleave(factor, 2).repeat_interleave(factor, 3) for x in map(read, (data.train_x, data.test_x))
    )
    most = SMOKE_IMAGES if settings.training.smoke else settings.images
    return replace(data, train_x=train, test_x=test[:most], test_y=data.test_y[:most], pad=0)


def trained(settings: Settings, data: sets.ImageSet, runs: Path, method: str, seed: int, command: str) -> VAE:
    """A VAE in evaluation mode: the one already in its folder, or one that is trained there.

    Raises:
        ValueError: the folder has one with other settings.
    """
    how = replace(settings.training, seed=seed, resume=True)
    out, vae = runs / f"{method}-{seed}", _untrained(data, seed)
    kept = ("data", "data_root", "per_class", "alpha", "decay_power", "jitter")
    config = {"recipe": "vae", "method": method, **{name: getattr(settings, name) for name in kept}, **asdict(how)}
    config["data_root"] = str(config["data_root"])
    if (out / "result.json").exists():
        records.open_folder(out, config, resume=True)
    else:
        engine.fit(_task(settings, data, vae, method, how), how, out=out, config=config, command=command)
    _, weights = records.read_model(out / "checkpoint.safetensors")
    vae.load_state_dict(weights)
    return vae.eval().to(device_of(settings.training.device))


def measure(settings: Settings, data: sets.ImageSet, vaes: Mapping[tuple[str, int], VAE]) -> dict[str, Any]:
    """Both bounds and the reconstruction error of each VAE, by quantity, method and seed."""
    measured: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    seeds = sorted({seed for _, seed in vaes})
    device = next(next(iter(vaes.values())).parameters()).device
    augment = Augment.of(data)
    batches = [augment(x.to(device), False) for x, _ in ordered_loader(data.test_x, data.test_y, batch_size=100)]

    def made_by(vae: VAE, seed: int) -> list[Tensor]:
        generator = torch.Generator(device).manual_seed(seed)
        with torch.no_grad():
            return [vae.reconstruct(x, noise=settings.noise, generator=generator) for x in batches]

    plain = {seed: made_by(vaes[PLAIN, seed], seed) for seed in seeds}
    for (method, seed), vae in vaes.items():
        measured[UPPER][method][seed] = information(vae.encode, batches)
        measured[LOWER][method][seed] = information(vae.encode, plain[seed])
        if len(seeds) > 1:
            other = seeds[(seeds.index(seed) + 1) % len(seeds)]
            measured[OTHER][method][seed] = information(vae.encode, plain[other])
        generator = torch.Generator(device).manual_seed(seed)
        with torch.no_grad():
            errors = [(vae.reconstruct(x, generator=generator) - x).square().double().sum() for x in batches]
        measured[ERROR][method][seed] = sum(errors).item() / sum(x.numel() for x in batches)  # type: ignore[union-attr]
    return measured


def reconstructions(data: sets.ImageSet, vaes: Mapping[str, VAE]) -> Figure:
    """Test images, and what a VAE of each method makes of their mean codes."""
    images = read(data.test_x[:SHOWN])
    device = next(next(iter(vaes.values())).parameters()).device
    x = Augment.of(data)(images.to(device), False)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    rows = {"image": images.float() / 255}
    with torch.no_grad():
        rows |= {method: vae.decoder(vae.encode(x)[0]).cpu() * std + mean for method, vae in vaes.items()}
    figure = Figure(figsize=(1.2 * len(images) + 0.9, 1.25 * len(rows)), layout="constrained")
    for line, (name, row) in zip(figure.subplots(len(rows), len(images), squeeze=False), rows.items(), strict=True):
        for axes, picture in zip(line, row.clamp(0, 1).permute(0, 2, 3, 1), strict=True):
            axes.imshow(picture.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    return figure


def page(settings: Settings, command: str) -> pages.Page:
    """Train the missing VAEs, measure, and make the page."""
    data, training = load(settings), settings.training
    count = min(settings.seeds, SMOKE_SEEDS) if training.smoke else settings.seeds
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) if training.smoke else settings.runs
        vaes = {
            (method, seed): trained(settings, data, runs, method, seed, command)
            for method in settings.methods
            for seed in range(training.seed, training.seed + count)
        }
    measured = measure(settings, data, vaes)
    figure = reconstructions(data, {method: vaes[method, training.seed] for method in settings.methods})
    smoke = " (a smoke test, which says nothing about the methods)" if training.smoke else ""
    made = (
        f"Made by `{command}` at {records.environment()['git']} on "
        f"{records.device_name(device_of(training.device))}: VAEs trained for {training.last} epochs on "
        f"{len(data.train_x)} images of {data.name}{smoke}, measured on {len(data.test_x)} test images. X is the plain "
        f"VAE of the same seed; the noise on reconstructions has a standard deviation of {settings.noise}."
    )
    body = text(
        title=f"Mutual information of images and VAE codes: {settings.data}",
        about="What the code Z of a VAE trained on mixed images tells about plain test images, I(Z; X), and about "
        "their reconstructions X̂ by a VAE trained on plain images: an upper and a lower value for what Z tells about "
        "the code of that VAE. The squared error is that of reconstructions of standardised test images, from a random "
        "code.",
        made=made,
        measured=measured,
        digits=3,
        claims=CLAIMS,
        pictures={
            ".png": "Test images and their reconstructions by the VAEs of the first seed. FMix's claim: codes tell "
            "less with MixUp than without mixing, more with CutMix, and with FMix at least as much as with CutMix; "
            "MixUp's reconstructions are the worst."
        },
        name=name_of(settings.out, "mutual-information"),
        judged=chain(measured),
    )
    return pages.Page(body, {".png": figure}, {".csv": csv_text(measured)})


def chain(measured: Mapping[str, Values]) -> list[str]:
    """Whether all of I(MixUp) < I(baseline) < I(CutMix) <= I(FMix) holds, for either value; empty if not run.

    It holds if its strict links do and the last one is not contradicted, and is contradicted if any of them is.

    >>> ordered = {"mixup": {0: 1.0, 1: 1.1}, "baseline": {0: 2.0, 1: 2.1}, "cutmix": {0: 3.0, 1: 3.1}}
    >>> chain({UPPER: ordered | {"fmix": {0: 3.0, 1: 3.2}}, LOWER: ordered | {"fmix": {0: 2.0, 1: 2.1}}})
    ['I(MixUp) < I(baseline) < I(CutMix) ≤ I(FMix): I(Z; X) (nats) holds, I(Z; X̂) (nats) contradicted.']
    """
    found = []
    for quantity in (UPPER, LOWER):
        values = measured[quantity]
        if not {name for pair in CHAIN for name in pair} <= values.keys():
            return []
        *strict, last = (verdict(difference(values[higher], values[lower])) for lower, higher in CHAIN)
        if "contradicted" in (*strict, last):
            found.append(f"{quantity} contradicted")
        else:
            found.append(f"{quantity} {'holds' if set(strict) == {'holds'} else 'open'}")
    return [f"I(MixUp) < I(baseline) < I(CutMix) ≤ I(FMix): {', '.join(found)}."]


def _untrained(data: sets.ImageSet, seed: int) -> VAE:
    engine.seed(seed)
    vae = VAE(channels=data.train_x.shape[1])
    return vae.to(memory_format=torch.channels_last)  # a third faster on a CPU


def _task(settings: Settings, data: sets.ImageSet, vae: VAE, method: str, how: engine.Training) -> engine.Task:
    """Training on mixed images, which the VAE learns to reconstruct as they were mixed."""
    augment = Augment.of(data)
    mixing = methods.Method(method=method, alpha=settings.alpha, decay_power=settings.decay_power)

    def prepare(batch: tuple[Tensor, Tensor], train: bool) -> tuple[Tensor, Tensor]:
        x, y = batch
        return augment(jittered(x) if train and settings.jitter else x, train), y

    return engine.Task(
        model=vae,
        train=shuffled_loader(data.train_x, data.train_y, batch_size=how.batch_size, seed=how.seed),
        test=ordered_loader(data.test_x, data.test_y, batch_size=4 * how.batch_size),
        mixing=methods.make(mixing, methods.Place(vae, [vae], "b c *", SIDE)),
        prepare=prepare,
        picture=lambda samples, _, y: pictures.samples(samples, y.cpu(), data.classes, mean=data.mean, std=data.std),
        criterion=as_they_are,
        metric="negative ELBO",
        unit="nats",
        score=lambda losses, _: losses.double().mean().item(),
        nll=None,
        mixed_score=None,
    )


def jittered(x: Tensor) -> Tensor:
    """Images (B, C, H, W) uint8 with brightness, contrast, saturation and hue changed by up to 0.05, each separately.

    Raises:
        ImportError: torchvision is missing.
    """
    try:
        from torchvision.transforms.v2 import ColorJitter
    except ImportError as error:
        raise ImportError("jitter needs torchvision: pip install 'mixmodal[recipes]', or --no-jitter") from error
    change = ColorJitter(0.05, 0.05, 0.05, 0.05)
    return torch.stack([change(image) for image in x])


def as_they_are(losses: Tensor, _: Tensor, *, reduction: str = "mean") -> Tensor:
    """A criterion for a model that returns the losses of its samples (B,); labels are ignored.

    >>> as_they_are(torch.tensor([1.0, 3.0]), torch.zeros(2))
    tensor(2.)
    """
    return losses if reduction == "none" else getattr(losses, reduction)()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    pages.main("analyses.mutual_information", Settings, page, arguments)


if __name__ == "__main__":
    main()
