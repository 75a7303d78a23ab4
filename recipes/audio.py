"""Spoken words: the FMix paper's experiment on Google's speech commands, of which 1,000 clips ship with the recipes.

Claim (Harris et al. 2020, Table II): on Google commands a PreAct-ResNet18 on log-mel spectrograms scores 97.69 %
without mixing, and at alpha 1 98.46 with MixUp, 98.46 with CutMix and 98.59 with FMix; last epoch, mean of 5 runs.
Their setup is

    python -m recipes.audio --preset fmix-paper --download v0.01 --data-root DIR --method fmix

and plain `python -m recipes.audio` trains a small network on 700 of the clips in `recipes/data/packed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn

from mixmodal import LogMel
from recipes.data import splits
from recipes.data.audio import classes, sets
from recipes.data.audio.files import SAMPLES
from recipes.data.audio.waves import TrainWaves
from recipes.data.loading import ordered_loader, shuffled_loader
from recipes.data.packed import speech
from recipes.data.subsets import subset
from recipes.models.arguments import channels_last
from recipes.models.audio import Listener
from recipes.models.images.preact_resnet import preact_resnet
from recipes.pictures import audio as pictures
from recipes.pictures.rows import Sample
from recipes.training import command, engine, methods, presets
from recipes.training.mixing import Mixing
from recipes.training.processes.sharing import in_turn, say

SITES = ("input", "layer1", "layer2")
"""Where hidden-site methods mix: at the input, after the stem and after the first stage."""


@dataclass(frozen=True)
class Settings:
    """Train a classifier of spoken words with one mixing method."""

    mixing: tyro.conf.OmitArgPrefixes[methods.Method] = field(default_factory=methods.Method)
    """What mixes, and how."""
    data: Literal["packed", "speech-commands", "folder", "synthetic"] = "packed"
    """packed for 1,000 clips of ten Speech Commands words, which come with the recipes; speech-commands for all of it;
    folder for your own clips, at any sampling rate, in DIR/CLASS, or in DIR/train/CLASS and DIR/test/CLASS; or
    synthetic for sung tones, only to check that it runs."""
    data_root: Path | None = None
    """Folder of Speech Commands, or its parent; or the folder of your own clips."""
    seconds: float | None = None
    """Length to which your own clips are cut or padded with zeros; 1 by default."""
    split: tyro.conf.OmitArgPrefixes[splits.Split] = field(default_factory=splits.Split)
    """How your own data is split."""
    download: Literal["v0.01", "v0.02"] | None = None
    """Fetch this version of Speech Commands into the folder first."""
    words: sets.Words = "ten"
    """The ten commands; these with unknown and silence, as in the paper; or all words."""
    per_class: int | None = None
    """Number of training clips of each word; all by default."""
    cache: Path = Path("runs", "cache")
    """Folder for the decoded clips."""
    skip_broken: bool = False
    """Leave out files that cannot be read, and count them."""
    balanced: bool = False
    """Draw clips so that all classes are seen equally often."""
    augment: Literal["paper", "none"] = "paper"
    """Gain, speed, stretch and shift as in the FMix code, or unaltered clips."""
    noise: bool = False
    """Mix in the background noise of Speech Commands, which the FMix code leaves out."""
    mix: Literal["spectrogram", "waveform"] = "spectrogram"
    """What is mixed at the input; waveforms need `--augment none`."""
    score_on: Literal["test", "validation"] = "test"
    """What the last epoch is scored on; validation is for tuning."""
    model: Literal["preact18"] = "preact18"
    """The network of the paper."""
    width: int = 16
    """Channels of its first stage; 64 in the paper."""
    preset: Literal["none", "fmix-paper", "fmix-paper-0.2"] = "none"
    """Use the defaults of the paper's experiment, with alpha 1 or 0.2; explicit options still win."""
    out: Path | None = None
    """Folder of the run; runs/audio/DATA-METHOD-SEED by default."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(
        default_factory=lambda: engine.Training(epochs=20, lr=0.05)
    )
    """How to train."""

    def __post_init__(self) -> None:
        if self.mix == "waveform" and self.augment != "none":
            raise ValueError("mix='waveform' needs --augment none: the paper's augmentations work on spectra")
        if self.noise and self.augment == "none":
            raise ValueError("noise=True needs --augment paper, of which it is a part")
        if self.data == "folder":
            self._check_folder()
        else:
            splits.refuse_split(self.split, self.data)
            splits.refuse_unread(self, ["seconds"], self.data)

    def _check_folder(self) -> None:
        """Raise if a setting is only for Speech Commands."""
        if self.words != "ten" or self.noise or self.download is not None:
            raise ValueError(
                "data='folder' uses all its classes, and has no noise: leave out --words, --noise and --download"
            )
        if self.score_on == "validation":
            raise ValueError(
                "score_on='validation' needs --data speech-commands: to tune on your own clips, pass only "
                "the training clips as --data-root, and leave the test clips for the end"
            )


def load(settings: Settings) -> sets.SpeechSet:
    """The clips of a run.

    Raises:
        ValueError: a download without a folder for it.
    """
    read = {"packed": _packed, "synthetic": _sung, "folder": _own, "speech-commands": _recorded}
    data = read[settings.data](settings)
    return data if settings.per_class is None else subset(data, settings.per_class)


def _recorded(settings: Settings) -> sets.SpeechSet:
    if settings.download is not None:
        if settings.data_root is None:
            raise ValueError(f"download={settings.download!r} needs a folder for it: pass --data-root DIR")
        sets.download(settings.data_root, settings.download)
    return sets.load(settings.data_root, words=settings.words, cache=settings.cache, skip_broken=settings.skip_broken)


def _packed(_: Settings) -> sets.SpeechSet:
    return speech.load()


def _sung(_: Settings) -> sets.SpeechSet:
    return sets.synthetic()


def _own(settings: Settings) -> sets.SpeechSet:
    return classes.load(
        settings.data_root,
        settings.split,
        seconds=1.0 if settings.seconds is None else settings.seconds,
        cache=settings.cache,
        skip_broken=settings.skip_broken,
    )


def place(settings: Settings, net: nn.Module, front: LogMel, samples: int = SAMPLES) -> tuple[nn.Module, methods.Place]:
    """The model, and where methods mix: spectrograms, or the waveforms they are made from, and hidden layers."""
    chosen = SITES if settings.mixing.sites is None else settings.mixing.sites
    sites = methods.named_sites(net, chosen)
    if settings.mix == "spectrogram":
        return net, methods.Place(net, sites, "b c *", front.n_mels)
    model = Listener(front, net)
    return model, methods.Place(model, [model if site is net else site for site in sites], "b c *", samples)


def run(settings: Settings, words: str) -> dict[str, Any]:
    """Train with these settings; returns the content of `result.json`."""
    training = settings.training
    data = in_turn(training, partial(load, settings))
    if data.broken:
        say(training, f"{len(data.broken)} files left out: {', '.join(data.broken)}")
    engine.seed(training.seed)
    front = LogMel()
    waves = TrainWaves(front, sets.background(settings.data_root) if settings.noise else None)
    net = channels_last(preact_resnet(18, channels=1, classes=len(data.classes), width=settings.width), settings.width)
    model, at = place(settings, net, front, data.train_x.shape[1])
    out = command.folder("audio", settings)

    def prepare(batch: tuple[Tensor, Tensor], train: bool) -> tuple[Tensor, Tensor]:
        clips, y = batch
        if settings.mix == "waveform":
            return clips[:, None].float() / 32768, y
        return waves(clips, train and settings.augment == "paper"), y

    def picture(samples: Sequence[Sample], _: Tensor, y: Tensor) -> Figure:
        if settings.mix == "spectrogram":
            return pictures.spectrograms(samples, y.cpu(), data.classes)
        pictures.write_wav(out / "mixed.wav", samples[0])
        return pictures.waveforms(samples[0], y.cpu(), data.classes)

    scored = (data.test_x, data.test_y) if settings.score_on == "test" else (data.validation_x, data.validation_y)
    weights = sets.balanced_weights(data.train_y) if settings.balanced else None
    size, seed, workers = training.batch_size, training.seed, training.workers
    mixing: Mixing = methods.make(settings.mixing, at)
    task = engine.Task(
        model=model,
        train=shuffled_loader(data.train_x, data.train_y, batch_size=size, seed=seed, weights=weights, workers=workers),
        test=ordered_loader(*scored, batch_size=4 * size, workers=workers),
        mixing=mixing,
        prepare=prepare,
        picture=picture,
        mixed_weight=settings.mixing.mixed_weight,
    )
    return engine.fit(task, training, out=out, config=command.config("audio", settings), command=words)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command.main("audio", Settings, presets.AUDIO, run, arguments)


if __name__ == "__main__":
    main()
