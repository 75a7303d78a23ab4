"""Pictures and sounds of mixed clips."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from recipes.pictures import images, rows
from recipes.pictures.rows import Sample

SHOWN, RATE, PAUSE = 4, 16_000, 8_000


def spectrograms(shown: Sequence[Sample], y: Tensor, classes: Sequence[str]) -> Figure:
    """What a mixer does at each of its sites: spectrograms at the input, channels at others; low frequencies lowest.

    Args:
        shown: a draw for each site, of maps (B, C, frequencies, frames), at the input scaled to [-1/2, 1/2].
        y: classes (B,).
        classes: their names.
    """
    return images.samples([_upright(sample) for sample in shown], y, classes, mean=(0.5,), std=(1.0,))


def waveforms(sample: Sample, y: Tensor, classes: Sequence[str]) -> Figure:
    """Waveforms of the first pairs, the mask over time, and the mix.

    Args:
        sample: a draw for waveforms (B, 1, T).
        y: classes (B,).
        classes: their names.
    """
    mix = sample.mix.to("cpu")
    before, after = sample.before.cpu()[:, 0], sample.after.cpu()[:, 0]
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.subplots(4, min(SHOWN, len(before)), squeeze=False, sharex=True, sharey="row")
    for place, column in enumerate(grid.T):
        other, share = int(mix.index[place]), mix.lam[place].item()
        mask = mix.mask.expand(len(before), before.shape[1])[place]
        names = classes[int(y[place])], classes[int(y[other])] if mix.partner else "no partner"
        lines = (before[place], before[other], mask, after[place])
        titles = (names[0], names[1], "own share", f"{share:.2f} {names[0]}, {1 - share:.2f} {names[1]}")
        for axes, line, title in zip(column, lines, titles, strict=True):
            axes.plot(torch.arange(len(line)) / RATE, line, color="black", linewidth=0.4)
            axes.set_title(title, fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    return figure


def write_wav(file: Path, sample: Sample) -> None:
    """Write the first clip, its partner and their mix, one after the other with pauses.

    Args:
        file: the WAV file.
        sample: a draw for waveforms (B, 1, T) at 16 kHz, full scale at 1.

    Raises:
        ImportError: the package `soundfile` is missing.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("a sound file needs soundfile: pip install 'mixmodal[recipes]'") from error
    own, other, mixed = sample.before[0, 0], sample.before[int(sample.mix.index[0]), 0], sample.after[0, 0]
    pause = own.new_zeros(PAUSE)
    soundfile.write(file, torch.cat([own, pause, other, pause, mixed]).clamp(-1, 1).cpu().numpy(), RATE)


def _upright(sample: Sample) -> Sample:
    """The sample with its first grid axis flipped, so that low frequencies are drawn at the bottom."""
    mix = replace(sample.mix.to("cpu"), mask=rows.mask_of(sample).flip(2), axes="b *")
    return Sample(sample.name, sample.before.flip(2), sample.after.flip(2), mix)
