"""
One draw over paired modalities
===============================

.. image:: images/sphx_glr_plot_08_paired_001.png
   :alt: A temple and a flower, each as image, sound and sentence, and their mixes with the same share in all three

Samples that come as image, text and sound are mixed with the same partner and the same share in each modality, so that
they have one target. This page draws once and hands that on, shows how far the realised shares differ, says which one
to use for the loss, and lets tensors share the mask itself where their grids allow it.

The lines that matter:

.. code-block:: python

    text, mix = mm.FMix(axes="b * d")(text, valid=valid)
    image, _ = mm.FMix()(image, index=mix.index, lam=mix.lam)
    sound, _ = mm.FMix(axes="b c f *")(sound, index=mix.index, lam=mix.lam)
    loss = mix.loss(model(image, text, sound), y)
"""

import base64
import io
import math
import wave
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import Tensor

import mixmodal as mm

torch.manual_seed(0)

# %%
# Two samples, three modalities
# -----------------------------
# Two photographs from scikit-learn, with captions of our own and sounds made in a few lines: a bell for the temple, a
# bird for the flower.

names = ("temple", "flower")
photos = [torch.from_numpy(load_sample_image(f"{name}.jpg").copy()) for name in ("china", "flower")]
photos = torch.stack(photos)[:, :, 107:-106].permute(0, 3, 1, 2).float() / 255
image = F.interpolate(photos, (128, 128), mode="area")

captions = [caption.split() for caption in ("an old temple stands above the green trees", "one flower, wide open")]
words = [word for caption in captions for word in caption]
samples = [([1 + words.index(word) for word in caption], label) for label, caption in enumerate(captions)]
ids, _, valid, y = mm.PadCollate(0)(samples)
text = torch.nn.Embedding(1 + len(words), 16)(ids).detach()

seconds = torch.arange(16000) / 16000
bell, bird = torch.zeros(16000), torch.zeros(16000)
for ratio, strength in ((0.5, 0.6), (1, 1.0), (1.2, 0.7), (1.5, 0.4), (2, 0.8), (3, 0.4), (4.2, 0.3)):
    bell += strength * torch.exp(-2.5 * ratio**0.5 * seconds) * torch.sin(2 * math.pi * 520 * ratio * seconds)
for start, low, high in ((0.05, 3000, 4800), (0.25, 4600, 3400), (0.45, 3000, 5200), (0.7, 5000, 2800)):
    way = ((seconds - start) / 0.15).clamp(0, 1)
    bird += torch.sin(math.pi * way) ** 2 * torch.sin(2 * math.pi * (low + (high - low) * way).cumsum(0) / 16000)
waves = torch.stack([0.7 * sound / sound.abs().max() for sound in (bell, bird)])
logmel = mm.LogMel()
sound = logmel(waves)

for name, batch in {"image": image, "text": text, "valid": valid, "waves": waves, "sound": sound}.items():
    print(f"{name:6} {tuple(batch.shape)}")

# %%
# One draw, three masks
# ---------------------
# The first mixer draws who and how much; the others receive both and draw where. With two samples we name the partners;
# otherwise leave ``index`` out of the first call.

text_mixed, mix = mm.FMix(axes="b * d")(text, valid=valid, index=torch.tensor([1, 0]), lam=0.6)
image_mixed, mix_image = mm.FMix()(image, index=mix.index, lam=mix.lam)
sound_mixed, mix_sound = mm.FMix(axes="b c f *")(sound, index=mix.index, lam=mix.lam)

for name, record in {"text": mix, "image": mix_image, "sound": mix_sound}.items():
    print(f"{name:6} index {record.index.tolist()}  mask {tuple(record.mask.shape)!s:13} lam {record.lam}")

# %%
# ``index`` is the same, and each mask has the grid of its modality: words, pixels, frames. ``lam=mix.lam`` holds a
# share for each sample, so each gets a mask of its own. We asked for 0.6 and got what the words allow: of the words
# that are left in each mix, 4 of 7 and 1 of 5 are its own. Image and sound follow to within a cell.
#
# The picture shows both samples and both mixes. Words in blue are the temple's, words in orange the flower's.


def words_of(ids: Tensor, real: Tensor) -> list[tuple[str, str]]:
    """The words of a caption (T,), with a colour that says whose they are; blanks for padding."""
    of_temple = ids <= len(captions[0])
    colours = ["tab:blue" if own else "tab:orange" for own in of_temple]
    return [
        (words[number - 1], colour) if there else ("", "white")
        for number, colour, there in zip(ids.tolist(), colours, real.tolist(), strict=True)
    ]


mixed_ids = mix(ids, axes="b *")
columns = {
    "temple": (image[0], sound[0, 0], words_of(ids[0], valid[0])),
    "flower": (image[1], sound[1, 0], words_of(ids[1], valid[1])),
    "mix of the temple": (image_mixed[0], sound_mixed[0, 0], words_of(mixed_ids[0], mix.valid[0])),
    "mix of the flower": (image_mixed[1], sound_mixed[1, 0], words_of(mixed_ids[1], mix.valid[1])),
}
_, axes = plt.subplots(3, 4, figsize=(9, 6.6), layout="constrained")
for (above, middle, below), (title, (photo, spectrogram, caption)) in zip(axes.T, columns.items(), strict=True):
    above.imshow(photo.permute(1, 2, 0).numpy())
    above.set_title(title, fontsize="medium")
    middle.imshow(spectrogram.numpy(), vmin=-0.5, vmax=0.5, cmap="magma", origin="lower")
    for place, (word, colour) in enumerate(caption):
        below.text(0.5, 1 - (place + 0.5) / len(caption), word, color=colour, ha="center", va="center", weight="bold")
for cell in axes.flat:
    cell.set_axis_off()
plt.show()

# %%
# One target
# ----------
# A sample and its partner are the same in all three records, so there is one target, up to the rounding of the shares:

for name, record in {"text": mix, "image": mix_image, "sound": mix_sound}.items():
    print(f"{name}\n{record.targets(y, num_classes=2)}")

# %%
# One record computes the loss of a model that takes all three:

linear = torch.nn.Linear(image[0].numel() + text[0].numel() + sound[0].numel(), 2)


def model(image: Tensor, text: Tensor, sound: Tensor) -> Tensor:
    """Logits (B, 2) of a linear layer on everything."""
    return linear(torch.cat([image.flatten(1), text.flatten(1), sound.flatten(1)], 1))


loss = mix.loss(model(image_mixed, text_mixed, sound_mixed), y)
print(f"loss {loss:.3f}")

# %%
# Which lam?
# ----------
# A share is realised in whole cells: a text of 8 words has steps of 1/8, 32 frames steps of 1/32, 128 x 128 pixels
# steps of 1/16384. So the order matters. Let us ask for 0.6 with the image first, and then with the text first.


def shares(method: type[mm.Mixer], first: str) -> None:
    """Print the realised shares of both samples in each modality; `first` draws, the others follow."""
    parts = {
        "text": (method(axes="b * d"), text, valid),
        "image": (method(), image, None),
        "sound": (method(axes="b c f *"), sound, None),
    }
    mixer, x, real = parts[first]
    lead = mixer.draw(x, valid=real, index=torch.tensor([1, 0]), lam=0.6)
    for name, (mixer, x, real) in parts.items():
        record = lead
        if name != first:
            record = mixer.draw(x, valid=real, index=lead.index, lam=lead.lam)
        print(f"{method.__name__:6} {first} first: {name:5} {record.lam}")


shares(mm.FMix, "image")
shares(mm.FMix, "text")

# %%
# With the image first, the text cannot follow: FMix misses a share by less than a cell, but a word is a large cell,
# and a short text has few words to give. With the text first, image and sound follow it to within one cell of theirs.
# So draw in the modality with the fewest cells first, and use its record for the loss. The price is that the shares
# of short texts are not those asked for.
#
# CutMix meets a share only before its box is clipped at the border, so no order helps:

shares(mm.CutMix, "text")

# %%
# In that case ask for the same share in each modality, and weight the labels by the mean of the realised shares. A
# record with another ``lam`` is a ``replace`` away:

asked = {"index": torch.tensor([1, 0]), "lam": 0.6}
text_cut, cut = mm.CutMix(axes="b * d")(text, valid=valid, **asked)
image_cut, cut_image = mm.CutMix()(image, **asked)
sound_cut, cut_sound = mm.CutMix(axes="b c f *")(sound, **asked)

lam = (cut.lam + cut_image.lam + cut_sound.lam) / 3
loss = replace(cut, lam=lam).loss(model(image_cut, text_cut, sound_cut), y)
print(f"mean share {lam}, loss {loss:.3f}")

# %%
# A model with a head for each modality needs neither: each head's loss is that of its own record. These are rules of
# arithmetic; which weighting trains best is a question for your validation data.
#
# Sharing the mask
# ----------------
# Whatever lies on the same grid is mixed by the same record: ``mix(x)``. On a finer or coarser grid of the same rank
# it is ``mix.resize(grid)``. Here a map of brightness moves with the image, and features at a quarter of the
# resolution too.

brightness = image.mean(1, keepdim=True)
features = F.avg_pool2d(image, 4)

brightness_mixed = mix_image(brightness)
small = mix_image.resize((32, 32))
features_mixed = small(features)
means = mix_image.mask[0].mean(), small.mask[0].mean()
print(f"lam {small.lam[0]:.4f}, means of the masks {means[0]:.4f} and {means[1]:.4f}")

# %%
_, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for cell, title, x in zip(
    axes,
    ("image, 128 x 128", "brightness, 128 x 128", "features, 32 x 32"),
    (image_mixed, brightness_mixed, features_mixed),
    strict=True,
):
    cell.imshow(x[0].permute(1, 2, 0).numpy(), cmap="gray")
    cell.set_title(title, fontsize="medium")
    cell.set_axis_off()
plt.show()

# %%
# The resized record keeps ``index`` and ``lam``, which stays the weight of the label.
#
# A mask of frames is a mask of time, so waveform and spectrogram of a clip can share it: from 32 frames to 16,000
# samples. They agree to within half a frame.

waves_mixed = mix_sound.resize((16000,))(waves, axes="b *")

# %%
_, (above, below) = plt.subplots(2, 1, figsize=(9, 3.6), layout="constrained")
above.imshow(sound_mixed[0, 0].numpy(), aspect="auto", origin="lower", cmap="magma", extent=(0, 1, 0, 32))
above.set(ylabel="mel band", xticks=[])
below.plot(seconds.numpy(), waves_mixed[0].numpy(), color="black", linewidth=0.3)
below.set(xlabel="seconds", xlim=(0, 1), yticks=[])
above.set_title("mix of the temple: spectrogram and waveform by one mask", fontsize="medium")
plt.show()

# %%
# The mixed waveforms, to listen to. The sounds have no padding here; clips of different length are in
# :doc:`/auto_gallery/plot_04_audio`.


class Listen:
    """Players for waveforms (T,) in [-1, 1] at 16 kHz, by their names."""

    def __init__(self, waves: dict[str, Tensor]) -> None:
        self.waves = waves

    def _repr_html_(self) -> str:
        players = []
        for name, sound in self.waves.items():
            with wave.open(data := io.BytesIO(), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                file.writeframes((32767 * sound.clamp(-1, 1)).short().numpy().tobytes())
            source = "data:audio/wav;base64," + base64.b64encode(data.getvalue()).decode()
            players.append(f'<audio controls style="vertical-align:middle" src="{source}"></audio> {name}')
        return "<br>".join(players)


Listen({"bell": waves[0], "bird": waves[1], "mix of the temple": waves_mixed[0], "mix of the flower": waves_mixed[1]})

# %%
# A mask of words says nothing about pixels: across modalities share ``index`` and ``lam``, never the mask.
#
# Where next
# ----------
# * :doc:`/auto_gallery/plot_03_label_map`: label maps that move with the image, and their loss.
# * :doc:`/auto_gallery/plot_04_audio` and :doc:`/auto_gallery/plot_05_text`: each modality by itself.
# * :doc:`/api/core`: everything that a record does.
