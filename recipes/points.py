"""Shapes: the FMix paper's experiment on ModelNet10, and 295 pieces of furniture that ship with the recipes.

Claim (Harris et al. 2020, Table II): a PointNet on ModelNet10 scores 89.10 % without mixing and 89.57 with FMix, which
mixes voxels of the meshes and draws points from them; median of the last five epochs, mean of 5 runs. Their setup is

    python -m recipes.points --preset fmix-paper --data-root DIR --method fmix

except that training clouds here have as many points as test clouds and are standardised like them. `--as-published`
draws their code's 128 points in (-1/2, 1/2), for the baseline too, which in their code gets clouds as with
`--mix points`. Plain `python -m recipes.points` trains a PointNet on 232 clouds of furniture in `recipes/data/packed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn

import mixmodal as mm
from mixmodal import Draws
from recipes.data import splits
from recipes.data.disk.lazy import parts
from recipes.data.loading import ordered_loader, shuffled_loader
from recipes.data.packed import files, furniture
from recipes.data.points import modelnet, sets
from recipes.data.subsets import subset
from recipes.models.points import FromVoxels, PointNet, VoxNet
from recipes.pictures import points as pictures
from recipes.pictures.rows import Sample
from recipes.training import command, engine, methods, presets
from recipes.training.processes.sharing import in_turn

PUBLISHED_POINTS = 128


@dataclass(frozen=True)
class Settings:
    """Train a classifier of shapes with one mixing method."""

    mixing: tyro.conf.OmitArgPrefixes[methods.Method] = field(default_factory=methods.Method)
    """What mixes, and how."""
    data: str = files.NAME
    """packed for 295 clouds of furniture, which come with the recipes; modelnet10, modelnet40, modelnet10-voxels;
    folder for your own OFF, PLY and npz files in DIR/CLASS, or in DIR/train/CLASS and DIR/test/CLASS, or in
    DIR/CLASS/train and DIR/CLASS/test; or synthetic for deformed primitives, only to check that it runs."""
    data_root: Path | None = None
    """Folder of the data."""
    split: tyro.conf.OmitArgPrefixes[splits.Split] = field(default_factory=splits.Split)
    """How your own data is split."""
    download: bool = False
    """Fetch ModelNet into the folder first."""
    per_class: int | None = None
    """Number of training shapes of each class; all by default."""
    model: Literal["pointnet", "voxnet"] = "pointnet"
    """The paper's network, on points; or 3-D convolutions, on voxels."""
    mix: Literal["points", "voxels"] = "points"
    """What is mixed before PointNet: the clouds themselves, or voxels, from which points are then drawn."""
    as_published: bool = False
    """Draw 128 points in (-1/2, 1/2) from voxels, as in the FMix paper's code, regardless of the test clouds, and
    for the baseline too, so that methods differ only in mixing. The paper's code instead trains its baseline on clouds
    like the test clouds: `--mix points` without this option."""
    points: int = 1000
    """Number of points in a cloud."""
    resolution: int = 32
    """Voxels, and mask cells for clouds, along each axis."""
    width: int | None = None
    """Channels of the first layer; by default 64 in PointNet and 32 in VoxNet."""
    cache: Path = Path("runs", "cache")
    """Folder for what is computed from meshes."""
    preset: Literal["none", "fmix-paper"] = "none"
    """Use the defaults of the paper's experiment; explicit options still win."""
    out: Path | None = None
    """Folder of the run; runs/points/DATA-METHOD-SEED by default."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(
        default_factory=lambda: engine.Training(
            epochs=20, batch_size=16, optimizer="adam", lr=1e-3, weight_decay=0.0, median_of=5
        )
    )
    """How to train."""

    def __post_init__(self) -> None:
        if self.as_published and not self.from_voxels:
            raise ValueError("as_published=True needs --model pointnet --mix voxels: it says how points are drawn")
        if self.data != "folder":
            splits.refuse_split(self.split, self.data)

    @property
    def from_voxels(self) -> bool:
        """Whether points are drawn from voxels."""
        return self.model == "pointnet" and self.mix == "voxels"

    @property
    def forms(self) -> tuple[sets.Form, sets.Form]:
        """The forms that the network is trained on and tested on."""
        if self.model == "voxnet":
            return "voxels", "voxels"
        return self.mix, "points"


def load(settings: Settings) -> tuple[sets.ShapeSet, sets.ShapeSet]:
    """The set in the form for training, and in the form for testing.

    Raises:
        ValueError: a download without a folder for it.
    """
    if settings.download:
        if settings.data_root is None:
            raise ValueError("download=True needs a folder for it: pass --data-root DIR")
        modelnet.download(settings.data_root, settings.data)
    train, test = (_in_form(settings, form) for form in settings.forms)
    return train if settings.per_class is None else subset(train, settings.per_class), test


def _in_form(settings: Settings, form: sets.Form) -> sets.ShapeSet:
    if settings.data == files.NAME:
        return furniture.load(form=form, points=settings.points, resolution=settings.resolution)
    return sets.load(
        settings.data,
        settings.data_root,
        form=form,
        points=settings.points,
        resolution=settings.resolution,
        cache=settings.cache,
        split=settings.split,
    )


def build(settings: Settings, train: sets.ShapeSet) -> tuple[nn.Module, methods.Place]:
    """The network, and where methods mix."""
    classes = len(train.classes)
    if settings.model == "voxnet":
        voxnet = VoxNet(classes=classes, width=settings.width or 32, resolution=settings.resolution)
        return voxnet, _place(settings, voxnet, ("input", "layer1", "layer2"))
    pointnet = PointNet(classes=classes, width=settings.width or 64)
    if settings.from_voxels:
        count = PUBLISHED_POINTS if settings.as_published else settings.points
        model = FromVoxels(pointnet, count, standardise=not settings.as_published)
        return model, _place(settings, model, ("net.layer2", "net.layer3"))
    bound = max(clouds.abs().max().item() for clouds in parts(train.train_x))

    def on_points(mixer: Draws) -> Draws:
        return mm.OnPoints(mixer, resolution=settings.resolution, low=-bound, high=bound)

    at = _place(settings, pointnet, ("layer2", "layer3"))
    return pointnet, methods.Place(at.net, at.sites, at.axes, at.side, adapt=on_points)


def _place(settings: Settings, net: nn.Module, sites: Sequence[str]) -> methods.Place:
    chosen = sites if settings.mixing.sites is None else settings.mixing.sites
    return methods.Place(net, methods.named_sites(net, chosen), "b c *", settings.resolution)


def run(settings: Settings, words: str) -> dict[str, Any]:
    """Train with these settings; returns the content of `result.json`."""
    training = settings.training
    train, test = in_turn(training, partial(load, settings))
    engine.seed(training.seed)
    model, at = build(settings, train)

    def prepare(batch: tuple[Tensor, Tensor], _: bool) -> tuple[Tensor, Tensor]:
        return batch[0].float(), batch[1]

    def picture(samples: Sequence[Sample], _: Tensor, y: Tensor) -> Figure:
        return pictures.samples(samples, y.cpu(), train.classes)

    size, workers = training.batch_size, training.workers
    task = engine.Task(
        model=model,
        train=shuffled_loader(train.train_x, train.train_y, batch_size=size, seed=training.seed, workers=workers),
        test=ordered_loader(test.test_x, test.test_y, batch_size=4 * size, workers=workers),
        mixing=methods.make(settings.mixing, at),
        prepare=prepare,
        picture=picture,
        mixed_weight=settings.mixing.mixed_weight,
    )
    config, out = command.config("points", settings), command.folder("points", settings)
    return engine.fit(task, training, out=out, config=config, command=words)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command.main("points", Settings, presets.POINTS, run, arguments)


if __name__ == "__main__":
    main()
