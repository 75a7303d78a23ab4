"""Networks of finished runs of `recipes.images`, ready to be analysed."""

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor, nn

from recipes import images
from recipes.data.images.sets import ImageSet
from recipes.data.loading import ordered_loader
from recipes.reporting.summary import check_comparable, find_runs, read_json
from recipes.training import command, records
from recipes.training.methods import METHODS

SMOKE_METHODS, SMOKE_SEEDS, SMOKE_IMAGES = ("baseline", "mixup"), (0, 1), 20


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and the images it is tested on.

    Args:
        folder: folder of the run.
        settings: settings of the run.
        result: content of its `result.json`.
        net: the network, in evaluation mode, without mixing.
        data: its images: `test_x` (N, C, H, W) uint8, `test_y` (N,), `classes`, `mean` and `std` of each channel.
    """

    folder: Path
    settings: images.Settings
    result: Mapping[str, Any]
    net: nn.Module
    data: ImageSet

    @property
    def method(self) -> str:
        """Name of the mixing method that it was trained with."""
        return self.settings.mixing.method

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.settings.training.seed

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.net.parameters()).device

    def normalise(self, pixels: Tensor) -> Tensor:
        """The network's input for pixels (B, C, H, W) in [0, 1]; differentiable."""
        mean, std = (pixels.new_tensor(values).view(-1, 1, 1) for values in (self.data.mean, self.data.std))
        return (pixels - mean) / std

    def batches(self, batch_size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """The test set in order, on the device of the network: pixels (B, C, H, W) in [0, 1], and classes (B,)."""
        for x, y in ordered_loader(self.data.test_x, self.data.test_y, batch_size=batch_size):
            yield x.to(self.device).float() / 255, y.to(self.device)

    @torch.no_grad()
    def logits(self, batch_size: int = 250) -> Tensor:
        """Logits (N, classes) for the test set, float32, on the CPU."""
        return torch.cat([self.net(self.normalise(x)).float().cpu() for x, _ in self.batches(batch_size)])


def load(
    run: Path, *, data_root: Path | None = None, device: torch.device | str = "cpu", like: Trained | None = None
) -> Trained:
    """The network of a finished run of `recipes.images` and its test set.

    It computes in float32, whatever the precision of the training was.

    Args:
        run: folder of the run.
        data_root: where the data are now; where the run found them if None.
        device: where to put the network.
        like: another network, whose images are reused if the run has the same ones.

    Raises:
        ValueError: the folder holds no finished run of `recipes.images`, or one whose files do not match.
        FileNotFoundError: the images are missing.
    """
    if not (run / "config.json").is_file():
        raise ValueError(f"run={str(run)!r} has no config.json: give the folder of a run of recipes.images")
    config = read_json(run / "config.json", ("recipe",))
    if config["recipe"] != "images":
        raise ValueError(f"run={str(run)!r} is a run of recipes.{config['recipe']}: give one of recipes.images")
    checkpoint = run / "checkpoint.safetensors"
    for path in (run / "result.json", checkpoint):
        if not path.is_file():
            raise ValueError(f"run={str(run)!r} has no {path.name}: finish it with --resume, or choose another run")
    result = read_json(run / "result.json", ("epochs",))
    epochs, weights = records.read_model(checkpoint)
    if epochs != result["epochs"]:
        raise ValueError(
            f"run={str(run)!r}: its checkpoint is of epoch {epochs} and its result of epoch {result['epochs']}: run it "
            f"again"
        )
    settings = command.settings_of(images.Settings, config)
    if data_root is not None:
        settings = replace(settings, data_root=data_root)
    same = like is not None and _images_of(like.settings) == _images_of(settings)
    data = like.data if like is not None and same else images.load(settings)
    net = images.network(settings, data)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"run={str(run)!r}: its checkpoint does not fit its settings: {error}") from None
    return Trained(run, settings, result, net.eval().to(device), data)


@dataclass(frozen=True)
class Choice:
    """Which networks to analyse: the options that all analyses share."""

    runs: tyro.conf.Positional[Path | None] = None
    """Folder that holds finished runs of recipes.images, at any depth."""
    data_root: Path | None = None
    """Folder of the data, if it is not where the runs found it."""
    methods: tuple[str, ...] | None = None
    """Only networks of these methods; all by default."""
    images: int | None = None
    """Number of test images to analyse, the first ones; all by default."""
    device: Literal["auto", "cpu"] = "auto"
    """Use the accelerator if there is one (auto), or always the CPU."""
    smoke: bool = False
    """Use a few images, to check that it works; networks are trained for it if no runs are given."""

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 1:
            raise ValueError(f"images={self.images} must be 1 or more")
        unknown = [name for name in self.methods or () if name not in METHODS]
        if unknown or self.methods == ():
            raise ValueError(f"methods={self.methods} must be among {', '.join(METHODS)}")


def networks(choice: Choice, *, like: Mapping[str, object] | None = None) -> Iterator[Trained]:
    """The chosen networks, one at a time; unfinished runs are listed on stderr.

    Methods come in the order of their table, each sorted by seed.

    Args:
        choice: which ones.
        like: only those with these settings, by name.

    Raises:
        ValueError: there are no runs, or they differ in more than method and seed.
    """
    like = like or {}
    with tempfile.TemporaryDirectory() as temporary:
        root = choice.runs
        if root is None and choice.smoke:
            root = Path(temporary)
            train_briefly(root)
        if root is None:
            raise ValueError("no runs were given: name the folder that holds them, or try --smoke")
        runs, unfinished = find_runs(root)
        for folder in unfinished:
            print(f"unfinished, left out: {folder}", file=sys.stderr)
        runs = [run for run in runs if choice.methods is None or run.method in choice.methods]
        runs = [run for run in runs if like.items() <= run.settings.items()]
        if not runs:
            wanted = ({} if choice.methods is None else {"methods": choice.methods}) | {**like}
            said = ", ".join(f"{name}={value}" for name, value in wanted.items())
            raise ValueError(f"{root} has no finished runs{' of ' * bool(said)}{said}: choose others")
        check_comparable(runs)
        most = SMOKE_IMAGES if choice.smoke else choice.images
        trained: Trained | None = None
        for run in sorted(runs, key=lambda run: (list(METHODS).index(run.method), run.seed)):
            trained = load(run.folder, data_root=choice.data_root, device=device_of(choice.device), like=trained)
            data = replace(trained.data, test_x=trained.data.test_x[:most], test_y=trained.data.test_y[:most])
            yield replace(trained, data=data)


def _images_of(settings: images.Settings) -> tuple[object, ...]:
    """The settings that determine the images of a run."""
    names = ("data", "data_root", "hub", "side", "per_class", "validation", "score_on", "facts")
    return *(getattr(settings, name) for name in names), settings.validation and settings.training.seed


def device_of(choice: Literal["auto", "cpu"]) -> torch.device:
    """The accelerator if there is one and `choice` allows it, else the CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if choice == "cpu" or found is None else found


def module_of(net: nn.Module, name: str) -> nn.Module:
    """A module of a network by its name.

    Raises:
        ValueError: it has no module of that name.
    """
    modules: dict[str, nn.Module] = dict(net.named_modules())
    if name not in modules:
        known = ", ".join(each for each in modules if each and "." not in each)
        raise ValueError(f"layer={name!r} is not a module of this network; choose from {known}")
    return modules[name]


def train_briefly(root: Path, *more: str) -> None:
    """Make runs of some methods and seeds, a few steps each, on digits unless `more` options say otherwise."""
    for method in SMOKE_METHODS:
        for seed in SMOKE_SEEDS:
            words = ["--smoke", "--device", "cpu", "--width", "4", "--out", str(root / f"{method}-{seed}")]
            with contextlib.redirect_stdout(io.StringIO()):  # a line for every epoch
                images.main([*words, *more, "--evaluate-every", "0", "--method", method, "--seed", str(seed)])
