"""
A new method in ten lines
=========================

.. image:: images/sphx_glr_plot_09_new_method_001.png
   :alt: A mask that cuts at a plane, on a signal, an image and a volume, for four shares

A method is a mask. Write one function that draws it, and the method works in every rank, with padding, inside networks,
in a ``DataLoader`` and under policies, with no further code. This page adds two methods and checks what they do.
"""

import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import nn

import mixmodal as mm

# %%
# The method: cut the grid by a plane of random direction and keep the part on one side. In rank 2 and along the axes
# these are the horizontal and vertical concatenations of Summers and Dinneen (Improved Mixed-Example Data Augmentation,
# 2019); here the direction is any, and so is the rank.


@dataclass(frozen=True, kw_only=True)
class HalfSpace(mm.Mixer):
    """Keep the share `lam` of the grid that lies on one side of a plane of random direction."""

    hard = True

    def mask(self, lam, shape, generator=None):
        place = torch.meshgrid(*[torch.linspace(-1, 1, size, device=lam.device) for size in shape], indexing="ij")
        direction = torch.randn(len(lam), len(shape), device=lam.device, generator=generator)
        height = direction @ torch.stack(place).flatten(1)
        rank = height.argsort(1).argsort(1)
        keep = rank < (lam[:, None] * height.shape[1]).round()
        return keep.float().view(-1, *shape)


# %%
# The two lines of every method:

torch.manual_seed(0)
x, y = torch.rand(8, 3, 32, 32), torch.randint(10, (8,))
model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

x, mix = HalfSpace()(x)
loss = mix.loss(model(x), y)
print(mix.mask.shape, mix.lam, mix.index)

# %%
# What the function receives
# --------------------------
#
# ``mask(lam, shape, generator)`` gets ``lam`` of shape ``(n,)``, the own share of each of n masks (n is 1, or the batch
# size with ``per_sample=True``), and the ``shape`` of the grid, of any rank. It returns ``(n, *shape)`` in [0, 1], 1
# where a sample keeps itself, on the device of ``lam``. All randomness comes from ``generator``, or from torch's global
# one where it is None. Checks of arguments, the partners and the Beta distribution of ``lam`` are inherited, and so is
# ``mix.lam``: it is computed from the mask.
#
# Three properties of :py:class:`mixmodal.Mixer` describe a mask, and their defaults are always safe:
#
# * ``hard`` (False): masks hold 0 and 1 only. ``hard = True`` lets a record mix integers, such as label maps or token
#   ids, and resize by nearest cells.
# * ``exact`` (True): ``mix.lam`` is the mean of the mask. Only ``CutMix(adjust_lam=False)`` says otherwise, to
#   reproduce a baseline.
# * ``uniform`` (False): a mask is one number, as in MixUp, so a batch of any rank will do.
#
# The share is exact to half a cell, for any ``lam`` and any grid:

for shape in [(100,), (31, 33), (9, 10, 11), (5, 4, 3, 2)]:
    mixer = HalfSpace(per_sample=True)
    asked = torch.rand(1000)
    mix = mixer.draw(torch.zeros(1000, 1, *shape), lam=asked)
    off = (mix.lam - asked).abs().max() * math.prod(shape)
    print(f"rank {len(shape)}, grid {shape}: off by {off:.2f} cells at most")

# %%
# Rank 1, 2 and 3
# ---------------

photos = torch.stack([torch.from_numpy(load_sample_image(name).copy()) for name in ("china.jpg", "flower.jpg")])
images = F.interpolate(photos[:, :, 107:534].permute(0, 3, 1, 2).float() / 255, (128, 128), mode="area")
place = torch.linspace(0, 1, 200)
signals = torch.stack([torch.sin(12 * place), 0.7 * torch.sin(150 * place)])[:, None]
voxels = torch.zeros(2, 1, 8, 8, 8)
swap = torch.tensor([1, 0])


def show(mixer, asked=(0.2, 0.4, 0.6, 0.8)):
    """A draw in rank 1, 2 and 3 for some shares; of volumes the own part."""
    figure = plt.figure(figsize=(9, 6), layout="constrained")
    draws = len(asked)
    for i, lam in enumerate(asked):
        signal, mix = mixer(signals, index=swap, lam=lam)
        axes = figure.add_subplot(3, draws, i + 1)
        own = mix.mask[0] == 1
        axes.plot(signal[0, 0].where(own, torch.nan).numpy(), color="#1f5fa8")
        axes.plot(signal[0, 0].where(~own, torch.nan).numpy(), color="#e87722")
        axes.set_title(f"lam {mix.lam[0]:.2f}", fontsize="medium")
        axes.axis("off")
        image, mix = mixer(images, index=swap, lam=lam)
        axes = figure.add_subplot(3, draws, draws + i + 1)
        axes.imshow(image[0].permute(1, 2, 0).numpy())
        axes.set_title(f"lam {mix.lam[0]:.2f}", fontsize="medium")
        axes.axis("off")
        mix = mixer.draw(voxels, index=swap, lam=lam)
        axes = figure.add_subplot(3, draws, 2 * draws + i + 1, projection="3d")
        axes.voxels(mix.mask[0].numpy() == 1, facecolors="#6f9fd8", edgecolors="#1f5fa8", linewidth=0.3)
        axes.set(xlim=(0, 8), ylim=(0, 8), zlim=(0, 8), xticklabels=[], yticklabels=[], zticklabels=[])
        axes.set_title(f"lam {mix.lam[0]:.2f}", fontsize="medium")
    plt.show()


show(HalfSpace())

# %%
# A second one, with a hyper-parameter
# ------------------------------------
#
# Arguments are dataclass fields, and ``alpha`` can be one of them. This method takes whole cells of a coarse grid from
# either side, like the mixing in GridMix (Baek, Bang and Shim, Pattern Recognition 2021; its loss on patches is left
# out).


@dataclass(frozen=True, kw_only=True)
class GridCells(mm.Mixer):
    """Keep the share `lam` of the cells of a coarse grid, chosen at random."""

    cells: int = 4
    alpha: float = 1.0
    hard = True

    def mask(self, lam, shape, generator=None):
        coarse = [min(self.cells, size) for size in shape]
        noise = torch.rand(len(lam), math.prod(coarse), device=lam.device, generator=generator)
        keep = noise.argsort(1).argsort(1) < (lam[:, None] * noise.shape[1]).round()
        keep = keep.float().view(-1, *coarse)
        for axis, (size, count) in enumerate(zip(shape, coarse, strict=True), start=1):
            keep = keep.index_select(axis, torch.arange(size, device=lam.device) * count // size)
        return keep


print(GridCells(cells=5))
show(GridCells(cells=5))

# %%
# Whole cells cannot match every share, so ``mix.lam`` differs from what was asked for, and the loss weights by the
# realised share:

mix = GridCells(cells=2).draw(images, lam=0.6)
print(mix.lam, mix.mask.mean())

# %%
# Where does a sample keep itself on average? A mean over many masks shows it. A half space with less than half of the
# grid never reaches the centre; grid cells and FMix have no preferred location.

figure, row = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
for axes, mixer in zip(row, (HalfSpace, GridCells, mm.FMix), strict=True):
    mean = mixer(per_sample=True).draw(torch.zeros(2000, 1, 32, 32), lam=0.3).mask.mean(0)
    shown = axes.imshow(mean.numpy(), vmin=0, vmax=0.6)
    axes.set_title(mixer.__name__)
    axes.axis("off")
figure.colorbar(shown, ax=row, label="mean mask, lam 0.3")
plt.show()

# %%
# Everything else works
# ---------------------
#
# Inside a network, at the input or before a layer, in training only:

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 28 * 28, 10))
x = torch.rand(8, 3, 32, 32)
with mm.HiddenMix(net, {net: HalfSpace(), net[2]: GridCells(cells=3)}) as hidden:
    for _ in range(3):
        logits, mix = hidden(x)
        print(f"mask {tuple(mix.mask.shape)}, lam {mix.lam[0]:.2f}, loss {mix.loss(logits, y):.2f}")

# %%
# With padding: the mask is fitted to what is real in each pair, and ``lam`` counts real locations only. The longer of a
# pair sets the length; a location is grey where the mixed sample has nothing real.

embeddings, lengths = torch.rand(6, 40, 8), torch.tensor([40, 12, 30, 25, 6, 18])
valid = torch.arange(40) < lengths[:, None]
mixer = GridCells(cells=5, axes="b * d")
mixed, mix = mixer(embeddings, valid=valid, index=torch.tensor([1, 2, 3, 4, 5, 0]), lam=0.6)
print(mix.lam)

# %%
figure, axes = plt.subplots(figsize=(8, 2.4), layout="constrained")
axes.imshow(mix.mask.where(mix.valid, torch.nan).numpy(), "coolwarm_r", vmin=-0.2, vmax=1.2, aspect="auto")
axes.set_facecolor("#dddddd")
axes.set(xlabel="location", ylabel="sample", yticks=range(6), title="own (blue), partner's (red)")
plt.show()

# %%
# Under a policy, for label maps, and in a collate function:

policy = mm.OneOf([HalfSpace(), GridCells(), mm.MixUp()], p=[0.4, 0.4, 0.2])
mixed, mix = policy(x)

label_maps = torch.randint(5, (8, 32, 32))
mixed, mix = HalfSpace()(x)
mixed_maps = mix(label_maps, axes="b *")

samples = [(image, int(label)) for image, label in zip(x, y, strict=True)]
mixed, soft = mm.MixCollate(HalfSpace(), num_classes=10)(samples)
print(mixed.shape, mixed_maps.dtype, soft.shape)

# %%
# A seed or a generator repeats a draw, since the mask takes all its randomness from there:

first, second = (HalfSpace().draw(x, generator=torch.Generator().manual_seed(5)) for _ in range(2))
assert torch.equal(first.mask, second.mask)
assert torch.equal(first.index, second.index)

# %%
# Where next
# ----------
#
# * :doc:`/api/core`: the mask generators of the library, to build on.
# * :doc:`/auto_gallery/plot_01_mask_atlas`: all masks in pictures.
# * :doc:`/CONTRIBUTING`: what a method needs to become part of the library.
