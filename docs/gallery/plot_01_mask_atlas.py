"""
Masks in any rank
=================

.. image:: images/sphx_glr_plot_01_mask_atlas_002.png
   :alt: Every method on a signal, an image and a volume, sample in blue and partner in orange, with its masks

Every method of the library is a mask: the share of each location that a sample keeps of itself. This page draws all of
them on signals (rank 1), images (rank 2) and volumes (rank 3) with the same lines of code, and shows how ``lam``,
``decay_power``, ``block_size``, ``axes`` and ``per_sample`` change what is drawn.
"""

import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from sklearn.datasets import load_sample_image

import mixmodal as mm

# %%
# The two lines that matter are ``x, mix = mixer(x)`` and ``loss = mix.loss(model(x), y)``. Nothing in them says what
# ``x`` is. A batch is ``(B, C, *grid)``, and a mask is drawn on the grid, whatever its rank:

# sphinx_gallery_thumbnail_number = 4
torch.manual_seed(0)
fmix = mm.FMix(decay_power=3.0)

for grid in [(256,), (128, 128), (48, 48, 48)]:
    x = torch.rand(2, 1, *grid)
    mixed, mix = fmix(x, lam=0.6)
    print(f"x {tuple(x.shape)}  mask {tuple(mix.mask.shape)}  lam {mix.lam.tolist()}  index {mix.index.tolist()}")

# %%
# ``mix.index`` is the partner of each sample. ``mix.mask`` is the own share of each location: here one mask for the
# whole batch, as in the papers. ``mix.lam`` is the mean of the mask, the weight of a sample's own label. We asked for
# 0.6, and the mask has the nearest whole number of cells.
#
# Something to mix
# ----------------
#
# One batch of two samples for each rank: a low and a high tone, a temple and a flower, a ball and three crossed bars.

place = torch.linspace(-1, 1, 256)
low = 0.8 * (1.1 - place.abs()) * torch.sin(9 * place)
high = 0.8 * torch.sin(75 * place)
signals = torch.stack([low, high])[:, None]

photos = [torch.from_numpy(load_sample_image(name).copy()) for name in ("china.jpg", "flower.jpg")]
squares = torch.stack(photos)[:, :, 107:534].permute(0, 3, 1, 2).float() / 255
images = F.interpolate(squares, (128, 128), mode="area")

where = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 48)] * 3, indexing="ij"))
ball = where.norm(dim=0) < 0.85
bars = (where.abs().sort(dim=0).values[1] < 0.26) & (where.abs().amax(dim=0) < 0.93)
volumes = torch.stack([ball, bars]).float()[:, None]

print(signals.shape, images.shape, volumes.shape, sep="\n")

# %%
# How to read the pictures: blue is a sample's own, orange is its partner's, grey is nobody's. A record can be applied
# to any tensor of the batch, so mixing ones (own) with zeros (partner) gives the mask in the layout of the batch.

SHARE = LinearSegmentedColormap.from_list("share", ["#e87722", "#c3a6b1", "#1f5fa8"])
GAP = LinearSegmentedColormap.from_list("gap", ["#b9b9b9", "#1f5fa8"])
SWAP = torch.tensor([1, 0])


def shares(mix, x):
    """The own share of each value of the first sample, like x[0]."""
    return mix(torch.stack([torch.ones_like(x[0]), torch.zeros_like(x[0])]))[0].clamp(0, 1)


def draw_signal(axes, signal, share, colours=SHARE):
    """A curve whose colour is the own share, above a strip that shows the mask."""
    points = torch.stack([torch.arange(len(signal)), signal], dim=1)
    pieces = torch.stack([points[:-1], points[1:]], dim=1)
    axes.add_collection(
        LineCollection(pieces.numpy(), cmap=colours, array=share[1:].numpy(), clim=(0, 1), linewidth=1.8)
    )
    axes.imshow(share[None].numpy(), colours, vmin=0, vmax=1, extent=(0, len(signal), -1.95, -1.55), aspect="auto")
    axes.set(xlim=(0, len(signal)), ylim=(-2, 1.3))


def camera(pixels=128, depth=80, turn=0.6, tilt=0.5):
    """Where the rays of a camera pass through a volume, (1, depth, pixels, pixels, 3)."""
    c, s, u, v = math.cos(turn), math.sin(turn), math.cos(tilt), math.sin(tilt)
    rotation = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ torch.tensor([[1.0, 0, 0], [0, u, -v], [0, v, u]])
    pose = torch.cat([1.25 * rotation, torch.zeros(3, 1)], dim=1)
    return F.affine_grid(pose[None], (1, 1, depth, pixels, pixels), align_corners=False)


RAYS, LAMP = camera(), torch.tensor([0.6, 0.6, 0.5]).view(3, 1, 1, 1)


def draw_volume(axes, own, other):
    """Two solids (D, H, W): each ray gathers colour from front to back. Thin matter is translucent."""
    slope = torch.stack(torch.gradient(F.avg_pool3d((own + other)[None], 5, 1, 2)[0]))
    light = 0.62 + 0.45 * ((slope * LAMP).sum(0) / slope.norm(dim=0).clamp(min=1e-4)).clamp(-0.6, 0.9)
    scene = torch.stack([own, other, light])[None]
    own, other, light = F.grid_sample(scene, RAYS, padding_mode="border", align_corners=False)[0]
    opaque = 0.6 * (own + other).clamp(max=1) ** 4
    weight = opaque * torch.cat([torch.ones_like(opaque[:1]), (1 - opaque).cumprod(0)[:-1]])
    blue = weight * light * own / (own + other).clamp(min=1e-6)
    colours = torch.stack([blue.sum(0), (weight * light - blue).sum(0), 1 - weight.sum(0)], dim=-1)
    picture = colours @ torch.tensor([SHARE(1.0)[:3], SHARE(0.0)[:3], (1, 1, 1)], dtype=torch.float32)
    axes.imshow(picture.clamp(0, 1).numpy())


def draw_image(axes, image):
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())


def draw_mask(axes, mask, colours=SHARE):
    axes.imshow(mask.numpy(), colours, vmin=0, vmax=1, interpolation="nearest")


figure, table = plt.subplots(2, 3, figsize=(9, 4), layout="constrained", gridspec_kw={"width_ratios": [2, 1, 1]})
for i, (line, name, colour) in enumerate(zip(table, ("sample", "partner"), (1, 0), strict=True)):
    draw_signal(line[0], signals[i, 0], torch.full((256,), float(colour)))
    draw_image(line[1], images[i])
    draw_volume(line[2], *(volumes[i, 0] * own for own in (1 - i, i)))
    line[0].set_title(name, loc="left", fontweight="bold")
for axes in table.flat:
    axes.axis("off")
plt.show()

# %%
# The atlas
# ---------
#
# All methods take the same three lines: make the mixer, draw and mix, and (in training) ``mix.loss``. The sizes of
# ``PatchUp``, ``Cutout`` and ``DropBlock`` are in cells of the grid, so the numbers for a signal differ from those for
# a volume; everything else is the same in all ranks. Puzzle Mix needs to know what is salient. In training that is
# ``mm.saliency(model, x, y)``; without a model, contrast stands in for it here, and the parts are not moved.


def methods(block):
    return {
        "MixUp": mm.MixUp(),
        "CutMix": mm.CutMix(),
        "FMix": mm.FMix(),
        "FMix, decay_power=1.5": mm.FMix(decay_power=1.5),
        "PatchUp, soft": mm.PatchUp(block_size=block, channels="shared"),
        "PatchUp, hard": mm.PatchUp(block_size=block, channels="shared", soft=False),
        "Puzzle Mix": mm.PuzzleMix(transport="none"),
        "Cutout": mm.Cutout(size=3 * block),
        "DropBlock": mm.DropBlock(block_size=block, drop_prob=0.3),
    }


def contrast(x):
    slopes = torch.gradient(x.mean(1), dim=tuple(range(1, x.ndim - 1)))
    return sum(slope.abs() for slope in slopes)


def drawn(mixer, x):
    salient = {"saliency": contrast(x)} if isinstance(mixer, mm.PuzzleMix) else {}
    torch.manual_seed(SEED)
    mixed, mix = mixer(x, index=SWAP, **salient)
    return mixed[0], shares(mix, x), mix


SEED = 4
lines = zip(methods(17).items(), methods(13).values(), methods(11).values(), strict=True)
widths = {"width_ratios": [2, 1, 1, 1]}
figure, table = plt.subplots(9, 4, figsize=(10.5, 18), layout="constrained", gridspec_kw=widths)
for line, ((name, on_signals), on_images, on_volumes) in zip(table, lines, strict=True):
    colours = SHARE if on_signals.partner else GAP
    signal, share, mix = drawn(on_signals, signals)
    draw_signal(line[0], signal[0], share[0], colours)
    line[0].set_title(name, loc="left", fontweight="bold")
    line[0].set_title(f"lam {mix.lam[0]:.2f}", loc="right", fontsize="medium")
    image, share, mix = drawn(on_images, images)
    draw_mask(line[1], share[0], colours)
    draw_image(line[2], image)
    line[1].set_title(f"mask, mean {share.mean():.2f}", fontsize="medium")
    line[2].set_title(f"lam {mix.lam[0]:.2f}", fontsize="medium")
    _, share, mix = drawn(on_volumes, volumes)
    draw_volume(line[3], (share * volumes[0])[0], ((1 - share) * volumes[1] * mix.partner)[0])
    line[3].set_title(f"lam {mix.lam[0]:.2f}", fontsize="medium")
for axes in table.flat:
    axes.axis("off")
plt.show()

# %%
# Read a row from left to right: the same idea in rank 1, 2 and 3. CutMix cuts an interval, a rectangle, a cuboid. Its
# ``lam`` differs from MixUp's although the same number was drawn, since a box of whole cells is clipped at the border
# and the record says what is left. Cutout and DropBlock have no partner: they zero what is grey, and ``lam``, the
# weight of the own label, stays 1. DropBlock draws separate blocks for each channel (the mask shown is the red one's)
# and scales up the rest.
#
# How much: ``lam``
# -----------------
#
# ``lam`` is sampled from Beta(alpha, alpha) unless it is given. With a fixed seed, FMix thresholds the same field at
# different heights, so its masks are nested. Below each mix is the share in the record.

asked = [0.1, 0.3, 0.5, 0.7, 0.9]
figure, table = plt.subplots(3, 5, figsize=(9, 6.2), layout="constrained")
for line, mixer in zip(table, (mm.MixUp(), mm.CutMix(), mm.FMix()), strict=True):
    for axes, lam in zip(line, asked, strict=True):
        torch.manual_seed(7)
        mixed, mix = mixer(images, index=SWAP, lam=lam)
        draw_image(axes, mixed[0])
        axes.set(xticks=[], yticks=[], xlabel=f"lam {mix.lam[0]:.2f}")
    line[0].set_ylabel(type(mixer).__name__, fontweight="bold")
for axes, lam in zip(table[0], asked, strict=True):
    axes.set_title(f"asked for {lam}", fontsize="medium")
plt.show()

# %%
# How smooth: ``decay_power``
# ---------------------------
#
# The amplitudes of FMix's field fall as frequency^-decay_power. 0 is white noise; 3 is the paper's value. In rank 1, a
# picture holds 40 draws, one in each line. In rank 3, it shows the own part of a cube.

powers = [0, 1, 2, 3, 5]
figure, table = plt.subplots(3, 5, figsize=(9, 5.8), layout="constrained")
for column, power in zip(table.T, powers, strict=True):
    fmix = mm.FMix(decay_power=power, per_sample=True)
    torch.manual_seed(2)
    mask = fmix.draw(torch.zeros(40, 1, 80), lam=0.5).mask
    draw_mask(column[0], mask.repeat_interleave(2, dim=0))
    draw_mask(column[1], fmix.draw(images, lam=0.5).mask[0])
    cube = fmix.draw(volumes, lam=0.5).mask[0] * (where.abs().amax(dim=0) < 0.8)
    draw_volume(column[2], cube, torch.zeros_like(cube))
    column[0].set_title(f"decay_power={power}", fontsize="medium")
for axes, rank in zip(table[:, 0], ("rank 1", "rank 2", "rank 3"), strict=True):
    axes.set_ylabel(rank, fontweight="bold")
for axes in table.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
plt.show()

# %%
# If a network should see no hard border, use soft edges: ``max_soft`` is the half-width of the ramp, as a share of the
# mask. The mean is still what was asked for.

widths = [0.0, 0.1, 0.25, 0.5]
figure, table = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axes, max_soft in zip(table, widths, strict=True):
    torch.manual_seed(11)
    mixed, mix = mm.FMix(max_soft=max_soft)(images, index=SWAP, lam=0.5)
    draw_image(axes, mixed[0])
    axes.set_title(f"max_soft={max_soft}, lam {mix.lam[0]:.2f}", fontsize="medium")
    axes.axis("off")
plt.show()

# %%
# How coarse: ``block_size``
# --------------------------
#
# PatchUp and DropBlock alter blocks around random seeds. ``gamma`` is the nominal share of altered cells. The papers'
# formula for the probability of a seed assumes that maps are much larger than the block; on a small map it alters more.
# ``gamma_mode="calibrated"`` matches ``gamma`` away from the border. The numbers are means of 500 draws on 16 × 16
# cells.

feature_map = torch.zeros(500, 1, 16, 16)
figure, table = plt.subplots(2, 5, figsize=(9, 4.4), layout="constrained")
for line, mode in zip(table, ("nominal", "calibrated"), strict=True):
    for axes, block in zip(line, (1, 3, 5, 7, 11), strict=True):
        mixer = mm.PatchUp(block_size=block, gamma=0.5, soft=False, channels="shared", gamma_mode=mode, per_sample=True)
        torch.manual_seed(5)
        mask = mixer.draw(feature_map).mask
        draw_mask(axes, mask[mask.mean((1, 2)).sub(mask.mean()).abs().argmin()])
        axes.set(xticks=[], yticks=[], xlabel=f"alters {1 - mask.mean():.2f}")
        axes.set_title(f"block_size={block}" if mode == "nominal" else "", fontsize="medium")
    line[0].set_ylabel(mode, fontweight="bold")
plt.show()

# %%
# Where the mask varies: ``axes``
# -------------------------------
#
# ``axes`` is a pattern: ``*`` stands for the axes along which the mask varies, names for those along which it is
# constant. On a spectrogram ``(B, C, mel, time)`` the default ``"b c *"`` varies along both, ``"b c f *"`` along time
# only and ``"b c * t"`` along frequency only.

levels = {"cmap": "magma", "origin": "lower", "aspect": "auto", "vmin": -0.5, "vmax": 0.5}
time = torch.arange(48000) / 16000
sweep = torch.sin(2 * math.pi * (200 + 700 * time) * time)
pulses = torch.randn(48000) * (time % 0.5 < 0.06) + 0.002 * torch.randn(48000)
spectrograms = mm.LogMel(sample_rate=16000, n_mels=64)(torch.stack([sweep, pulses]))
print(spectrograms.shape)

patterns = {"b c *": "time and frequency", "b c f *": "time only", "b c * t": "frequency only"}
figure, table = plt.subplots(2, 4, figsize=(10, 4.2), layout="constrained")
for axes, spectrogram, name in zip(table[:, 0], spectrograms[:, 0], ("sample", "partner"), strict=True):
    axes.imshow(spectrogram.numpy(), **levels)
    axes.set_title(name, fontsize="medium")
for (above, below), (pattern, meaning) in zip(table[:, 1:].T, patterns.items(), strict=True):
    torch.manual_seed(3)
    mixed, mix = mm.FMix(axes=pattern)(spectrograms, index=SWAP, lam=0.5)
    print(f"{pattern!r}: mask {tuple(mix.mask.shape)}")
    above.imshow(shares(mix, spectrograms)[0].numpy(), SHARE, vmin=0, vmax=1, origin="lower", aspect="auto")
    above.set_title(f'axes="{pattern}"\n{meaning}', fontsize="medium")
    below.imshow(mixed[0, 0].numpy(), **levels)
for axes in table.flat:
    axes.set(xticks=[], yticks=[])
plt.show()

# %%
# One mask for all, or one each: ``per_sample``
# ---------------------------------------------
#
# The papers draw one mask and one ``lam`` for a batch. ``per_sample=True`` draws both for every sample; the shapes of
# ``x``, ``index`` and ``lam`` are the same either way.

batch = torch.zeros(6, 3, 96, 96)
figure, table = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
for line, per_sample in zip(table, (False, True), strict=True):
    torch.manual_seed(0)
    mix = mm.FMix(per_sample=per_sample).draw(batch)
    print(f"per_sample={per_sample}: mask {tuple(mix.mask.shape)}, lam {tuple(mix.lam.shape)}")
    for axes, mask, lam in zip(line, mix.mask.expand(6, 96, 96), mix.lam, strict=True):
        draw_mask(axes, mask)
        axes.set_title(f"lam {lam:.2f}", fontsize="medium")
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel("each its own" if per_sample else "one for all", fontweight="bold")
plt.show()

# %%
# Where next
# ----------
#
# * :doc:`/auto_gallery/plot_02_images`: these lines in a training step and in a ``DataLoader``.
# * :doc:`/auto_gallery/plot_09_new_method`: a mask of your own.
# * :doc:`/api/methods`: every argument, with its source; :doc:`/methods/fmix` explains how its field is made.
