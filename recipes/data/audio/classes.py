"""Your own clips: a folder of sound files for each class, at any sampling rate."""

import warnings
from pathlib import Path

import torch

from recipes.data.audio.files import RATE, cached
from recipes.data.audio.sets import SpeechSet, without_broken
from recipes.data.splits import Split, files_by_class, held_out

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".w64", ".au")
LONGEST = 60.0


def load(
    root: Path | None, split: Split, *, seconds: float = 1.0, cache: Path | None = None, skip_broken: bool = False
) -> SpeechSet:
    """Load a folder of clips; see ``recipes.data.splits.files_by_class`` for its layout.

    Clips are made mono by the mean of their channels, resampled to 16 kHz, and cut or padded with zeros on the right to
    one length. A warning tells how many were cut. There are no validation clips.

    Args:
        root: the folder.
        split: which clips are for testing, by their names under ``root``.
        seconds: length of every clip, above 0 and up to 60.
        cache: folder for the decoded clips, see ``recipes.data.audio.sets.load``.
        skip_broken: leave out clips that cannot be read rather than raise; ``SpeechSet.broken`` names them.

    Raises:
        FileNotFoundError: there is no folder, or no clip in it.
        ValueError: ``seconds`` is out of range, clips cannot be read, or they cannot be split this way.
        ImportError: an optional package is missing.
    """
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"seconds={seconds} must be above 0 and up to {LONGEST:g}")
    if root is None:
        raise FileNotFoundError("no folder was given: give --data-root DIR with clips in DIR/CLASS")
    found = files_by_class(root, SUFFIXES, split.group)
    samples = max(1, round(seconds * RATE))
    names = [entry.name for entry, _ in found]
    waves, broken = cached(root, names, cache, samples)
    good = {*without_broken(root, names, broken, skip_broken)}
    _tell_cut(root, sorted(good), seconds)
    entries = [entry for entry, _ in found if entry.name in good]
    classes = tuple(sorted({entry.classes[0] for entry in entries}))
    y = torch.tensor([classes.index(entry.classes[0]) for entry in entries], dtype=torch.int64)
    test = torch.tensor(held_out(entries, split, f"{root}"), dtype=torch.bool)
    train = waves[~test], y[~test]
    name = f"folder-{root.resolve().name}"
    return SpeechSet(name, *train, waves[:0], y[:0], waves[test], y[test], classes, tuple(broken))


def _tell_cut(root: Path, names: list[str], seconds: float) -> None:
    """Warn how many clips are longer, by their headers."""
    import soundfile

    lengths = []
    for name in names:
        try:
            lengths.append((soundfile.info(root / name).duration, name))
        except soundfile.LibsndfileError:  # a header that `containers.sound_of` repairs
            continue
    longer = [pair for pair in lengths if pair[0] > seconds + 1 / RATE]
    if longer:
        most, name = max(longer)
        warnings.warn(
            f"{len(longer):,} of {len(names):,} clips are cut to {seconds:g} s; the longest, {name}, has {most:.4g} s "
            f"(--seconds)",
            stacklevel=3,
        )
