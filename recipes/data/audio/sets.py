"""Speech Commands, in which each clip is one spoken word, and sung tones in its form, which need no download.

Source: Warden 2018, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition". The split by hash follows
the README of the set, version 0.02.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from recipes.data.audio.files import RATE, SAMPLES, cached, decode
from recipes.data.audio.folders import COMMANDS, PUBLISHED, URL, clips, find, names_in
from recipes.data.disk.lazy import Lazy, Samples
from recipes.data.download import fetch, temporary
from recipes.data.files import Examples, files_in, members

NOISE = "_background_noise_"
IN_ARCHIVE = re.compile(r"(\./)?([^./][^/]*/)?[^./][^/]*")
"""Names of files in the archive: at most one folder deep, none hidden."""
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
HARMONICS = 4
BUCKETS = 2**27 - 1
"""The largest number of clips of a class that the rule of the split by hash allows for."""

Words = Literal["ten", "twelve", "thirty-five"]


@dataclass(frozen=True, eq=False)
class SpeechSet:
    """A labelled set of clips of one length, held in memory, or in a cache and read on demand.

    Args:
        name: name of the set.
        train_x: training clips, int16 (N, T), at 16 kHz; T is 16000 in Speech Commands.
        train_y: training labels, int64 (N,), below the number of classes.
        validation_x: validation clips, like ``train_x``; there may be none.
        validation_y: validation labels, like ``train_y``.
        test_x: test clips, like ``train_x``.
        test_y: test labels, like ``train_y``.
        classes: name of each class.
        broken: files that were left out, by their names in the folder.

    Raises:
        ValueError: a tensor has the wrong shape, dtype or values.
    """

    name: str
    train_x: Samples = field(repr=False)
    train_y: Tensor = field(repr=False)
    validation_x: Samples = field(repr=False)
    validation_y: Tensor = field(repr=False)
    test_x: Samples = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    broken: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        pairs = {
            "train": (self.train_x, self.train_y),
            "validation": (self.validation_x, self.validation_y),
            "test": (self.test_x, self.test_y),
        }
        for split, (x, y) in pairs.items():
            if x.ndim != 2 or x.dtype != torch.int16 or x.shape[1:] != self.train_x.shape[1:]:
                raise ValueError(
                    f"{self.name}: {split}_x is {x.dtype} {tuple(x.shape)}, expected int16 (N, T), T as in train_x"
                )
            if y.shape != x.shape[:1] or y.dtype != torch.int64:
                raise ValueError(f"{self.name}: {split}_y is {y.dtype} {tuple(y.shape)}, expected int64 ({len(x)},)")
            if len(y) == 0 and split == "validation":
                continue
            if len(y) == 0 or int(y.min()) < 0 or int(y.max()) >= len(self.classes):
                raise ValueError(f"{self.name}: {split}_y must hold labels in 0..{len(self.classes) - 1}, one or more")


def load(root: Path | None, *, words: Words, cache: Path | None = None, skip_broken: bool = False) -> SpeechSet:
    """Load Speech Commands, version 0.01 or 0.02, from its folder.

    Clips are made mono by the mean of their channels, resampled to 16 kHz, padded with zeros on the right or cut to one
    second, and rounded to int16. The size of its data shows whether one is complete, see ``containers.sound_of``.
    Silent clips are valid. Folders that begin with ``_`` are not words. A clip is in the split whose list,
    ``validation_list.txt`` or ``testing_list.txt``, names it; if a list is not there, the hash of the speaker
    determines the split, see ``split_of``.

    Args:
        root: the folder with a folder for each word, or its parent, or the one passed to ``download``.
        words: ``"ten"`` for the commands yes, no, up, down, left, right, on, off, stop and go; ``"twelve"`` for
            unknown, which is every other word, then silence, of which each split has a clip of zeros for every ten
            others, and then the ten; ``"thirty-five"`` for all words that are there, sorted; version 0.01 has 30.
        cache: folder for the decoded clips, in a file whose name depends on the names, sizes and times of the clips;
            clips are decoded at every call if None. Processes that start at the same time may share it.
        skip_broken: leave out clips that cannot be read rather than raise; ``SpeechSet.broken`` names them.

    Raises:
        FileNotFoundError: the set or the folder of a word is not there.
        ValueError: clips cannot be read, or are in a list but not there; a split has no clip, or unknown no word.
        ImportError: an optional package is missing.
    """
    if words not in ("ten", "twelve", "thirty-five"):
        raise ValueError(f"words={words!r} is unknown: choose 'ten', 'twelve' or 'thirty-five'")
    folder = find(root)
    found = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._"))
    missing = [word for word in COMMANDS if word not in found]
    if missing:
        raise FileNotFoundError(f"{folder} has no folder {', '.join(missing)}: unpack {URL} again")
    if words == "twelve" and len(found) == len(COMMANDS):
        raise ValueError(f"words='twelve' needs other words for the class unknown, but {folder} only has the ten")
    chosen = COMMANDS if words == "ten" else found
    classes = {"ten": COMMANDS, "twelve": ("unknown", "silence", *COMMANDS), "thirty-five": found}[words]
    lists = {split: names_in(folder / file, chosen) for split, file in LISTS.items()}
    names = sorted({*clips(folder, chosen)}.union(*(names for names in lists.values() if names is not None)))
    waves, broken = cached(folder, names, cache)
    good = without_broken(folder, names, broken, skip_broken)
    y = torch.tensor([_label(name.split("/")[0], classes) for name in good], dtype=torch.int64)
    split = [_split(name, lists) for name in good]

    def part(of: str) -> Examples:
        where = torch.tensor([each == of for each in split], dtype=torch.bool)
        return _with_silence(waves[where], y[where]) if words == "twelve" else (waves[where], y[where])

    train, validation, test = part("training"), part("validation"), part("testing")
    return SpeechSet(f"speech-commands-{words}", *train, *validation, *test, classes, tuple(broken))


def background(root: Path | None) -> Tensor:
    """Read the noise recordings of Speech Commands, one after the other, cut into clips of one second.

    Args:
        root: see ``load``.

    Returns:
        int16 (N, 16000), at 16 kHz.

    Raises:
        FileNotFoundError: the set is not there, or it has no noise.
        ValueError: a recording cannot be read, or all of them are shorter than a second.
        ImportError: an optional package is missing.
    """
    folder = find(root)
    paths = files_in(folder / NOISE, ".wav")
    if not paths:
        raise FileNotFoundError(f"{folder / NOISE} has no recordings: unpack {URL} again, or train without noise")
    waves = []
    for path in paths:
        try:
            waves.append(decode(path.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{path} {error}: fetch it again") from error
    whole = torch.cat(waves)
    if len(whole) < SAMPLES:
        raise ValueError(f"{folder / NOISE} has {len(whole):,} samples at 16 kHz, expected a second or more")
    return whole[: len(whole) // SAMPLES * SAMPLES].view(-1, SAMPLES)


def download(root: Path, version: Literal["v0.01", "v0.02"]) -> Path:
    """Fetch Speech Commands, check its hash and unpack it, unless it is already there.

    Args:
        root: folder for the unpacked set; it is made if it is not there.
        version: of the set.

    Returns:
        The folder of the set, which is never there in part.

    Raises:
        ConnectionError: the archive cannot be fetched, or breaks off.
        ValueError: the archive is not the published one.
    """
    target = root / "SpeechCommands" / f"speech_commands_{version}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary(target) as own:
        own.mkdir()
        archive, unpacked = own / "archive.tar.gz", own / target.name
        fetch(URL.replace("v0.02", version), archive, digest=PUBLISHED[version])
        unpacked.mkdir()
        for name, raw in members(archive, lambda name: bool(IN_ARCHIVE.fullmatch(name)), most_each=2**26, most=2**34):
            (unpacked / name).parent.mkdir(exist_ok=True)
            (unpacked / name).write_bytes(raw)
        unpacked.rename(target)
    return target


def synthetic(*, classes: int = 10, per_class: int = 100, seed: int = 0) -> SpeechSet:
    """Make a set of sung tones, whose class is the interval that they glide by.

    The intervals are even steps from an octave down to an octave up. A tone has four harmonics in random phases,
    vibrato, a random pitch from 200 to 400 Hz in its middle, a random loudness, and noise. All of it depends on
    ``seed`` alone: the global random state is neither used nor changed.

    Args:
        classes: number of intervals, 2 or more.
        per_class: training clips of each class, 1 or more; validation and test have a fifth of them, at least one.
        seed: of all clips.

    Raises:
        ValueError: a number is too small.

    >>> synthetic(classes=2, per_class=3).train_x.shape
    torch.Size([6, 16000])
    """
    if classes < 2 or per_class < 1:
        raise ValueError(f"classes={classes} must be at least 2, and per_class={per_class} at least 1")
    generator = torch.Generator().manual_seed(seed)
    intervals = torch.linspace(-12, 12, classes)

    def part(count: int) -> Examples:
        y = torch.arange(classes).repeat(count)
        return _sung(intervals[y], generator), y

    train, validation, test = part(per_class), part(max(1, per_class // 5)), part(max(1, per_class // 5))
    names = tuple(f"{interval:+.1f} semitones" for interval in intervals.tolist())
    return SpeechSet(f"synthetic-tones-{classes}", *train, *validation, *test, names)


def without_broken(folder: Path, names: list[str], broken: Mapping[str, str], skip_broken: bool) -> list[str]:
    """The names of clips that could be read.

    Raises:
        ValueError: some could not, and ``skip_broken`` is not set.
    """
    if broken and not skip_broken:
        some = "; ".join(f"{name} {reason}" for name, reason in list(broken.items())[:3])
        raise ValueError(
            f"{folder} has {len(broken):,} of {len(names):,} clips that cannot be read: {some}"
            f"{'; and others' if len(broken) > 3 else ''}: fetch them again, or leave them out with --skip-broken"
        )
    return [name for name in names if name not in broken]


def balanced_weights(labels: Tensor) -> Tensor:
    """Weight every sample by one over the size of its class, for torch's ``WeightedRandomSampler``.

    Args:
        labels: int64 (N,).

    Returns:
        float64 (N,): weights that sum to 1 in every class.

    >>> balanced_weights(torch.tensor([0, 2, 2]))
    tensor([1.0000, 0.5000, 0.5000], dtype=torch.float64)
    """
    return labels.bincount().double()[labels].reciprocal()


def split_of(name: str) -> str:
    """Tell the split of a clip by the hash of the speaker, which is what comes before ``_nohash_`` in its name.

    A tenth of the speakers is for validation and a tenth for testing; adding clips later moves no others.

    >>> split_of("yes/0a7c2a8d_nohash_0.wav") == split_of("no/0a7c2a8d_nohash_3.wav")
    True
    """
    speaker = name.split("/")[-1].split("_nohash_")[0]
    bucket = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (BUCKETS + 1)
    percent = 100 * bucket / BUCKETS
    return "validation" if percent < 10 else "testing" if percent < 20 else "training"


def _split(name: str, lists: Mapping[str, set[str] | None]) -> str:
    """Tell the split of a clip, by the lists or, if one is not there, by hash."""
    for split, names in lists.items():
        if name in names if names is not None else split_of(name) == split:
            return split
    return "training"


def _label(word: str, classes: tuple[str, ...]) -> int:
    """Number a word; words other than the classes are unknown, number 0."""
    return classes.index(word) if word in classes else 0


def _with_silence(x: Samples, y: Tensor) -> Examples:
    """Add a clip of zeros, class 1, for every ten clips."""
    count = int(0.1 * len(x))
    more = x.with_zeros(count) if isinstance(x, Lazy) else torch.cat([x, x.new_zeros(count, SAMPLES)])
    return more, torch.cat([y, y.new_ones(count)])


def _sung(interval: Tensor, generator: torch.Generator) -> Tensor:
    """Sing a tone for each interval (N,), in semitones; int16 (N, 16000)."""

    def uniform(low: float, high: float, count: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(len(interval), count, generator=generator)

    time = torch.arange(SAMPLES) / RATE
    vibrato = uniform(0.1, 0.4) * torch.sin(2 * math.pi * (uniform(4, 7) * time + uniform(0, 1)))
    pitch = 200 * 2 ** (uniform(0, 1) + (interval[:, None] * (time - 0.5) + vibrato) / 12)
    turns = (pitch / RATE).cumsum(1)
    starts = uniform(0, 1, HARMONICS)
    tones = [torch.sin(2 * math.pi * (h * turns + starts[:, h - 1 : h])) / h for h in range(1, HARMONICS + 1)]
    wave = uniform(0.1, 0.4) * torch.stack(tones).sum(0)
    noise = 0.01 * torch.randn(wave.shape, generator=generator)
    return ((wave + noise).clamp(-1, 1) * 32767).round().to(torch.int16)
