"""
A label map that follows
========================

.. image:: images/sphx_glr_plot_03_label_map_001.png
   :alt: A temple and a flower with label maps, and three mixes that cut picture and map along the same line

In segmentation the label is an image too, and must be mixed like the input. One draw mixes both. This page mixes
photographs with their label maps, computes dense losses for hard and soft masks, and handles networks with an output
stride and labels to ignore.
"""

import textwrap

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mixmodal as mm

# %%
# The two lines that matter are ``images, mix = mixer(images)`` and ``label_maps = mix(label_maps, axes="b *")``. The
# images are ``(B, C, H, W)``, the maps ``(B, H, W)``; ``"b *"`` says that all axes after the batch are the grid.
#
# Two photographs and their maps
# ------------------------------
#
# scikit-learn has no hand-made label maps, so these are made by k-means: two clusters of smoothed colour in each
# photograph, which happen to be sky and temple, leaves and flower. Where classes meet, a band is marked 255, to be
# ignored, as in Pascal VOC.

torch.manual_seed(0)

SIDE, IGNORE = 160, 255
CLASSES = ["sky and lake", "temple and trees", "leaves", "flower"]

photos = torch.stack([torch.from_numpy(load_sample_image(name).copy()) for name in ("china.jpg", "flower.jpg")])
images = F.interpolate(photos[:, :, 107:534].permute(0, 3, 1, 2).float() / 255, (SIDE, SIDE), mode="area")

maps = []
for first, picture in zip((0, 2), F.avg_pool2d(images, 5, 1, 2, count_include_pad=False), strict=True):
    kmeans = KMeans(2, n_init=1, random_state=0).fit(picture.flatten(1).T.numpy())
    cluster = torch.from_numpy(kmeans.labels_).long().view(SIDE, SIDE)
    bright = int(kmeans.cluster_centers_.sum(1).argmax())
    maps.append(first + (cluster != bright if first == 0 else cluster == bright).long())
label_maps = torch.stack(maps)
spread = F.max_pool2d(label_maps[:, None].float(), 3, 1, 1) + F.max_pool2d(-label_maps[:, None].float(), 3, 1, 1)
label_maps[spread[:, 0] > 0] = IGNORE

print(images.shape, images.dtype)
print(label_maps.shape, label_maps.dtype, label_maps.unique().tolist())

# %%
# One draw, both mixed
# --------------------
#
# Here the partners are given, so that the temple meets the flower; left out, ``index`` is a random permutation.

COLOURS = ListedColormap(["#9ecae1", "#8c510a", "#1b7837", "#f46d43", "#000000"])


def show_map(axes, label_map):
    axes.imshow(label_map.clamp(max=4).numpy(), COLOURS, vmin=0, vmax=4, interpolation="nearest")


def show_image(axes, image):
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())


swap = torch.tensor([1, 0])
figure, table = plt.subplots(2, 5, figsize=(10, 4.4), layout="constrained")
for column, image, label_map, name in zip(table.T, images, label_maps, ("sample", "partner"), strict=False):
    show_image(column[0], image)
    show_map(column[1], label_map)
    column[0].set_title(name)
for column, mixer in zip(table.T[2:], (mm.CutMix(), mm.FMix(), mm.FMix(decay_power=1.5)), strict=True):
    torch.manual_seed(1)
    mixed, mix = mixer(images, index=swap)
    mixed_maps = mix(label_maps, axes="b *")
    show_image(column[0], mixed[0])
    show_map(column[1], mixed_maps[0])
    column[0].set_title(f"{type(mixer).__name__}, lam {mix.lam[0]:.2f}")
for axes in table.flat:
    axes.axis("off")
patches = [plt.Rectangle((0, 0), 1, 1, color=COLOURS(i)) for i in range(5)]
figure.legend(patches, [*CLASSES, "ignored"], loc="outside lower center", ncols=5, frameon=False)
plt.show()

# %%
# The masks of these methods are hard, so every location of the mixed map has the class of the photograph that its pixel
# comes from. ``mix.mask`` is that choice, ``(1, 160, 160)`` for one draw per batch, and ``mix.lam`` the own share of
# the area.

own = mix.mask[0] == 1
assert torch.equal(mixed_maps[0], torch.where(own, label_maps[0], label_maps[1]))
print(mix.mask.shape, mix.lam, mixed_maps.dtype)

# %%
# The loss
# --------
#
# With the mixed map, the loss is the same as in a plain loop. :py:meth:`mixmodal.Mix.loss` with ``axes`` takes the maps
# as they were before mixing and weights each location by its own mask; for a hard mask this is the same.

logits = torch.randn(2, len(CLASSES), SIDE, SIDE)
criterion = nn.CrossEntropyLoss(ignore_index=IGNORE)

plain = F.cross_entropy(logits, mixed_maps, ignore_index=IGNORE)
weighted = mix.loss(logits, label_maps, criterion, axes="b *")
print(f"{plain:.5f} {weighted:.5f}")
assert torch.isclose(plain, weighted)

# %%
# Ignored locations add nothing, and the mean does not count them. (The divisor is the criterion's own for the maps
# before mixing. With ``per_sample=True`` mixing can move ignored locations in or out of the batch; then the sums are
# the same and the means differ by that count.)
#
# Soft masks
# ----------
#
# MixUp and FMix with ``max_soft`` blend pixels, and class numbers cannot be blended. Mixing the map raises an error
# that names the way out, which is the same ``mix.loss``:

mixed, mix = mm.FMix(max_soft=0.3)(images, index=swap, lam=0.5)
try:
    mix(label_maps, axes="b *")
except TypeError as error:
    print(textwrap.fill(f"TypeError: {error}", 80))
print(mix.loss(logits, label_maps, criterion, axes="b *"))

# %%
# One-hot maps are floats and can be blended. They show the share of each class at each location:

known = label_maps != IGNORE
one_hot = F.one_hot(label_maps.where(known, 0), len(CLASSES)).permute(0, 3, 1, 2).float() * known[:, None]
shares = mix(one_hot)

# %%
figure, row = plt.subplots(1, 5, figsize=(10, 2.4), layout="constrained")
show_image(row[0], mixed[0])
row[0].set_title(f"mixed, lam {mix.lam[0]:.2f}")
for axes, share, name in zip(row[1:], shares[0], CLASSES, strict=True):
    axes.imshow(share.numpy(), "gray", vmin=0, vmax=1)
    axes.set_title(name)
for axes in row:
    axes.axis("off")
plt.show()

# %%
# A network with an output stride
# -------------------------------
#
# Many networks predict on a coarser grid. ``mix.resize(grid)`` is the same draw on that grid: the same ``index`` and
# ``lam``, with the mask resized to the nearest cell if it is hard, and by area averages if it is soft.

_, mix = mm.FMix()(images, index=swap, lam=0.5)
figure, row = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axes, stride in zip(row, (1, 4, 8, 16), strict=True):
    coarse = mix.resize((SIDE // stride, SIDE // stride))
    axes.imshow(coarse.mask[0].numpy(), "gray", vmin=0, vmax=1)
    axes.set_title(f"stride {stride}, mean {coarse.mask.mean():.3f}", fontsize="medium")
    axes.axis("off")
plt.show()

# %%
# Labels downsampled with ``nearest-exact`` take the same cells, so downsampling and mixing can come in either order:


def shrink(label_maps, size):
    return F.interpolate(label_maps[:, None].float(), size, mode="nearest-exact")[:, 0].long()


coarse = mix.resize((20, 20))
assert torch.equal(coarse(shrink(label_maps, 20), axes="b *"), shrink(mix(label_maps, axes="b *"), 20))

# %%
# In a training step
# ------------------
#
# A network of stride 4 on random crops of the two photographs. The two changed lines are marked.

net = nn.Sequential(
    nn.Conv2d(3, 32, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.Conv2d(32, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(32, 32, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(32, len(CLASSES), 1),
)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
fmix = mm.FMix()


def crops(count=16, size=64):
    """Random crops of both photographs with their maps."""
    corners = torch.randint(SIDE - size, (count, 2)).tolist()
    places = [(i % 2, slice(top, top + size), slice(left, left + size)) for i, (top, left) in enumerate(corners)]
    return torch.stack([images[i, :, h, w] for i, h, w in places]), torch.stack([label_maps[p] for p in places])


losses = []
for _ in range(60):
    x, y = crops()
    x, mix = fmix(x)  # 1
    logits = net(x)
    grid = logits.shape[2:]
    loss = mix.resize(grid).loss(logits, shrink(y, grid), criterion, axes="b *")  # 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

with torch.no_grad():
    predicted = F.interpolate(net(images), (SIDE, SIDE), mode="bilinear").argmax(1)
right = (predicted == label_maps)[label_maps != IGNORE].float().mean()
print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}; right on the photographs as they are: {right:.2f}")

# %%
figure, row = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axes, label_map, name in zip(row[::2], label_maps, ("label map", "label map"), strict=True):
    show_map(axes, label_map)
    axes.set_title(name)
for axes, label_map in zip(row[1::2], predicted, strict=True):
    show_map(axes, label_map)
    axes.set_title("predicted")
for axes in row:
    axes.axis("off")
plt.show()

# %%
# In a DataLoader
# ---------------
#
# :py:class:`mixmodal.MixCollate` is told along which axes to mix the maps, with the draw of the images. It needs hard
# masks, since the record does not leave the worker.

collate = mm.MixCollate(mm.CutMix(), inputs={0: None, 1: "b *"}, labels=None)
x, y = next(iter(DataLoader(TensorDataset(*crops()), batch_size=8, collate_fn=collate)))
print(x.shape, y.shape, y.dtype)

# %%
# Where next
# ----------
#
# * :doc:`/auto_gallery/plot_08_paired`: other things that have to move together, such as sound and image.
# * :doc:`/methods/fmix` and :doc:`/methods/cutmix`: the two methods with hard masks.
# * :doc:`/api/core`: what else a record does.
