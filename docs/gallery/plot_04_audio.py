"""
Mel-spectrograms, with sound
============================

.. image:: images/sphx_glr_plot_04_audio_002.png
   :alt: Masks over time and frequency, over time only and over frequency only, and the mel-spectrograms that they mix

This page turns waveforms into log-mel spectrograms, mixes them in time and frequency, in time only and in frequency
only, mixes the waveforms themselves, and lets you hear the results. It ends with clips of different length and with
targets for tagging.

The two lines that matter are those of any other modality:

.. code-block:: python

    spectrogram, mix = mm.FMix()(spectrogram)  # (B, 1, mels, frames)
    loss = mix.loss(model(spectrogram), y)
"""

import base64
import io
import math
import wave

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor

import mixmodal as mm

torch.manual_seed(0)
RATE = 16000

# %%
# Two sounds
# ----------
# Nothing is downloaded here: both sounds are made in a few lines. One is a sung vowel that goes from "ah" to "ee", a
# sum of harmonics, louder near its formants, with vibrato. The other is a string plucked three times, by the
# Karplus-Strong algorithm: one period of noise, which is smoothed a little in each period that follows.

SECONDS = torch.arange(2 * RATE) / RATE


def sung(pitch: float) -> Tensor:
    """A vowel from "ah" to "ee", (32000,)."""
    frequency = pitch * (1 + 0.012 * torch.sin(2 * math.pi * 5.5 * SECONDS))
    phase = 2 * math.pi * frequency.cumsum(0) / RATE
    way = torch.sigmoid(6 * (SECONDS - 1))
    sound = torch.zeros_like(SECONDS)
    for harmonic in range(1, int(7000 / pitch)):
        loudness = torch.zeros_like(SECONDS)
        for ah, ee, strength in ((730, 270, 1.0), (1090, 2290, 0.5), (2440, 3010, 0.25)):
            formant = ah + (ee - ah) * way
            loudness += strength / (1 + ((harmonic * frequency - formant) / 90) ** 2)
        sound += loudness * torch.sin(harmonic * phase)
    fade = (SECONDS / 0.1).clamp(max=1) * ((2 - SECONDS) / 0.3).clamp(max=1)
    return fade * sound


def plucked(pitch: float, start: float) -> Tensor:
    """A string that is plucked at `start` seconds, (32000,)."""
    periods = [2 * torch.rand(round(RATE / pitch)) - 1]
    while len(periods) * len(periods[0]) < len(SECONDS):
        periods.append(0.498 * (periods[-1] + periods[-1].roll(1)))
    string = torch.cat([torch.zeros(int(start * RATE)), *periods])
    return string[: len(SECONDS)]


voice = sung(196)
string = plucked(294, 0.0) + plucked(370, 0.45) + plucked(440, 0.9)
waves = torch.stack([0.7 * sound / sound.abs().max() for sound in (voice, string)])
print(waves.shape)

# %%
# A small class that plays waveforms on this page and in a notebook.


class Listen:
    """Players for waveforms (T,) in [-1, 1], by their names."""

    def __init__(self, **waves: Tensor) -> None:
        self.waves = waves

    def _repr_html_(self) -> str:
        players = []
        for name, sound in self.waves.items():
            with wave.open(data := io.BytesIO(), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes((32767 * sound.clamp(-1, 1)).short().numpy().tobytes())
            source = "data:audio/wav;base64," + base64.b64encode(data.getvalue()).decode()
            players.append(f'<audio controls style="vertical-align:middle" src="{source}"></audio> {name}')
        return "<br>".join(players)


Listen(voice=waves[0], string=waves[1])

# %%
# Spectrograms
# ------------
# :py:class:`mixmodal.LogMel` makes log-mel spectrograms of a batch, on any device. Its defaults are the 32 x 32 inputs
# that FMix used for Google commands; here we use more bands and frames, so that there is more to see.

logmel = mm.LogMel(sample_rate=RATE, n_fft=1024, hop=256, n_mels=64)
spectrogram = logmel(waves)
print(spectrogram.shape, f"from {spectrogram.min():.2f} to {spectrogram.max():.2f}")

# %%
# The shape is (B, 1, mels, frames). Values go from -0.5, which is 80 dB or more below the loudest cell of the clip,
# to 0.5, the loudest cell.


def show(*rows: dict[str, Tensor]) -> None:
    """Draw pictures (mels, frames), low bands at the bottom: spectrograms in colour, masks in grey."""
    figure, grid = plt.subplots(
        len(rows), len(rows[0]), figsize=(9, 2.1 * len(rows) + 0.3), layout="constrained", squeeze=False
    )
    for cells, row in zip(grid, rows, strict=True):
        for cell, (title, picture) in zip(cells, row.items(), strict=True):
            low, colours = (-0.5, "magma") if picture.min() < 0 else (0, "gray")
            where = {"origin": "lower", "aspect": "auto", "extent": (0, 2, 0, 64)}
            cell.imshow(picture.numpy(), vmin=low, vmax=low + 1, cmap=colours, **where)
            cell.set_title(title, fontsize="medium")
            cell.set_xticks((0, 1, 2))
            cell.label_outer()
    figure.supxlabel("seconds", fontsize="medium")
    figure.supylabel("mel band", fontsize="medium")
    plt.show()


show({"voice": spectrogram[0, 0], "string": spectrogram[1, 0]})

# %%
# Time and frequency, time only, frequency only
# ---------------------------------------------
# The star in the axes pattern marks the axes along which a mask varies; along a lettered axis it is constant. One draw
# of each, with the same partners and the same share:

swap = torch.tensor([1, 0])
is_voice = torch.tensor([1.0, 0.0])[:, None, None, None].expand_as(spectrogram)
masks, mixes = {}, {}
for axes in ("b c *", "b c f *", "b c * t"):
    torch.manual_seed(0)
    mixed, mix = mm.FMix(axes=axes)(spectrogram, index=swap, lam=0.5)
    print(f"{axes:8} mask {tuple(mix.mask.shape)!s:13} index {mix.index.tolist()}  lam {mix.lam.tolist()}")
    masks[f'own share, "{axes}"'] = mix(is_voice)[0, 0]
    mixes[f'mix, "{axes}"'] = mixed[0, 0]

# %%
# There is one mask for the batch, so its first axis has size 1. The rest is the grid: (mels, frames), (frames) or
# (mels). ``mix.index`` says who is mixed with whom, and ``mix.lam`` is the own share of each clip, which is the weight
# of its own label.

# sphinx_gallery_thumbnail_number = 2
show(masks, mixes)

# %%
# Above is the own share of the voice, one in white and zero in black: the record mixes any tensor of the batch, here
# one that is 1 for the voice and 0 for the string. Below is the mix: the voice where it is white, the string
# elsewhere.
#
# A training step is the same for all three:

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * 126, 2))
y = torch.tensor([0, 1])

mixed, mix = mm.FMix()(spectrogram)
loss = mix.loss(model(mixed), y)
print(f"loss {loss:.3f}")

# %%
# Waveforms
# ---------
# A batch of waveforms (B, T) has the pattern ``"b *"``, and (B, 1, T) the default ``"b c *"``. Any method goes.

half, _ = mm.MixUp(axes="b *")(waves, index=swap, lam=0.5)
cut, mix_cut = mm.CutMix(axes="b *")(waves, index=swap, lam=0.5)
chosen, mix_chosen = mm.FMix(axes="b *", decay_power=1.0)(waves, index=swap, lam=0.5)
print(f"lam: CutMix {mix_cut.lam[0]:.3f}, FMix {mix_chosen.lam[0]:.3f}")

Listen(MixUp=half[0], CutMix=cut[0], FMix=chosen[0])

# %%
# MixUp plays both at once, each at half its amplitude. CutMix replaces one stretch. FMix cuts the clip into more and
# shorter pieces the lower ``decay_power`` is. A hard edge in a waveform clicks; ``FMix(max_soft=0.1)`` fades instead.

_, axes = plt.subplots(3, 1, figsize=(9, 4), layout="constrained", sharex=True)
for cell, sound, name in zip(axes, (half[0], cut[0], chosen[0]), ("MixUp", "CutMix", "FMix"), strict=True):
    cell.plot(SECONDS.numpy(), sound.numpy(), color="black", linewidth=0.3)
    cell.set_title(name, fontsize="medium")
    cell.set(xlim=(0, 2), ylim=(-0.8, 0.8), yticks=[])
for cell, mix in zip(axes[1:], (mix_cut, mix_chosen), strict=True):
    string = (mix.mask[0] == 0).numpy()
    cell.fill_between(SECONDS, -0.8, 0.8, where=string, color="tab:orange", alpha=0.3, linewidth=0)
axes[-1].set_xlabel("seconds; orange: from the string")
plt.show()

# %%
# A mask in time and frequency can be heard too. Complex numbers are mixed like any others, so we draw the mask on the
# short-time Fourier transform and invert the result.

stft = logmel.stft(waves)
print(stft.shape, stft.dtype)

mixed_stft, mix = mm.FMix(axes="b *", decay_power=2.0)(stft, index=swap, lam=0.5)
back = torch.istft(mixed_stft, 1024, 256, window=logmel.window)
Listen(masked=back[0])

# %%
# Clips of different length
# -------------------------
# A batch of three clips, padded to 2 seconds. ``lengths`` counts the real samples of each; ``logmel.valid`` says
# which frames they make. Mixers take that as ``valid``, with size 1 along axes where it does not vary: here it is (B,
# 1, frames), for masks of (mels, frames). Masks of frames alone, ``"b c f *"``, take ``valid=real``.

clips = torch.stack([waves[0], waves[1], waves[0]])
lengths = torch.tensor([16000, 22400, 32000])

spectrogram = logmel(clips, lengths=lengths)
real = logmel.valid(lengths, spectrogram.shape[-1])
print(f"valid {tuple(real.shape)}, real frames {real.sum(1).tolist()}")

partners = torch.tensor([1, 2, 0])
mixed, mix = mm.FMix()(spectrogram, valid=real[:, None], index=partners, lam=0.5)
print(f"own share of the real cells {[round(lam, 3) for lam in mix.lam.tolist()]}")

show(
    *(
        {
            f"clip {clip}": spectrogram[clip, 0],
            f"clip {clip}: own share": mix.mask[clip],
            f"clips {clip} and {partners[clip]}": mixed[clip, 0],
            "mix.valid": mix.valid[clip].float(),
        }
        for clip in range(2)
    )
)

# %%
# The masks are stretched over what is real in a pair: here over 1.4 and over 2 seconds. Where a mask chooses a clip
# that has already ended, there is silence. Such frames are False in ``mix.valid``, like those after the end of both,
# and 0 in the mix. On the scale of these spectrograms 0 is 40 dB below the maximum, so tell the model what is real: for
# a mean over frames or an attention mask, ``mix.valid.any(1)`` is (B, frames). ``lam`` counts real cells: the first
# number printed is the share of clip 0 in those that the mix of clips 0 and 1 holds.
#
# Padded waveforms work too, without a spectrogram:

valid = torch.arange(clips.shape[1]) < lengths[:, None]
mixed, mix = mm.FMix(axes="b *")(clips, valid=valid, index=partners, lam=0.5)
print(mixed.shape, mix.valid.shape)

# %%
# Tagging
# -------
# Tags say which events can be heard somewhere in a clip, and in a mixed clip the events of both can be heard. The share
# of the mask is not the share of an event: :py:func:`mixmodal.union_targets` gives the tags of both clips at full
# weight, where :py:meth:`mixmodal.Mix.targets` gives the usual soft targets.

tags = torch.tensor([[True, False, False], [False, True, True]])  # voice, string, several notes
mixed, mix = mm.FMix()(logmel(waves), index=swap, lam=0.7)

print(f"union of the tags\n{mm.union_targets(mix, tags)}")
print(f"soft targets\n{mix.targets(tags)}")

tagger = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * 126, 3))
loss = F.binary_cross_entropy_with_logits(tagger(mixed), mm.union_targets(mix, tags))
print(f"loss {loss:.3f}")

# %%
# Use the union for tags, and ``mix.loss(logits, y)`` if classes are mutually exclusive.
#
# Where next
# ----------
# * :doc:`/auto_gallery/plot_08_paired`: sound together with an image and a text of the same sample.
# * :doc:`/auto_gallery/plot_01_mask_atlas`: the masks of all methods, in one, two and three dimensions.
# * :doc:`/api/modalities`: every setting of ``LogMel``, and ``union_targets``.
