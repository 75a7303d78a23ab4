"""
PatchUp inside networks
=======================

.. image:: images/sphx_glr_plot_07_patchup_001.png
   :alt: Three channels of a feature map: the sample's, the partner's, the blocks of PatchUp, and the mixed map

PatchUp, Manifold Mixup and Feature CutMix mix the feature maps inside a network instead of its input. On this page you
add them to a ResNet of torchvision, to a 1-D and to a 3-D network without a change in their code, look at what happens
to the channels of a map, and take the loss apart. The lines that matter::

    hidden = mm.HiddenMix(net, {net: mm.CutMix(), net.layer1: mm.PatchUp(block_size=7)})
    logits, mix = hidden(x)
    loss = mix.loss(logits, y)
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import nn
from torchvision.models import resnet18

import mixmodal as mm

# %%
# A ResNet
# --------
# Two crops from each of two photographs are the batch; the network has random weights.

torch.manual_seed(0)

photos = [torch.from_numpy(load_sample_image(name).copy()) for name in ("china.jpg", "flower.jpg")]
crops = [photo[100:292, left : left + 192] for photo in photos for left in (60, 300)]
x = torch.stack(crops).permute(0, 3, 1, 2) / 255
y = torch.tensor([0, 0, 1, 1])
net = resnet18(weights=None)

# %%
# :py:class:`mixmodal.HiddenMix` takes mixers by *site*. A module stands for its input: ``net`` for the input space,
# ``net.layer1`` for what comes out of the stem, ``net.layer2`` for what comes out of the first stage. For each training
# forward one site is drawn, with even odds, and mixed there. The record of that draw comes back with the output.

blocks = mm.PatchUp(block_size=7)
hidden = mm.HiddenMix(net, {net: mm.CutMix(), net.layer1: blocks, net.layer2: blocks})
for _ in range(6):
    logits, mix = hidden(x)
    loss = mix.loss(logits, y)
    print("mask", tuple(mix.mask.shape), f"lam {mix.lam[0]:.3f}  loss {loss:.3f}")

# %%
# A mask ``(1, 192, 192)`` is CutMix's box at the input. ``(1, 64, 48, 48)`` is PatchUp in 64 channels of 48 x 48 cells:
# each channel has its own blocks, which the batch shares. As in any record, ``mix.index`` names the partner of each
# sample, ``mix.mask`` is the own share of each cell, and ``mix.lam`` is its mean.
#
# What happens to a feature map
# -----------------------------
# A mixer does the same to any tensor. Here are three channels of the stem's output for a flower, whose partner is a
# temple. Soft blocks (``soft=True``, the default) hold a blend of both with one share, which is drawn from Beta(2, 2)
# and here given as ``lam=0.3``; hard blocks hold the partner's values. Cells outside the blocks are untouched.

with torch.no_grad():
    maps = net.maxpool(net.relu(net.bn1(net.conv1(x))))
partner = torch.tensor([2, 3, 0, 1])
shown = maps[0].flatten(1).std(1).topk(3).indices  # channels of much contrast
columns = "before", "partner", "mask", "after, blocks outlined"


def channels(mixer, **given):
    """Some channels of the flower before, of its partner, their masks, and the channels after."""
    mixed, mix = mixer(maps, index=partner, **given)
    figure, rows = plt.subplots(len(shown), 4, figsize=(8, 6.4), layout="constrained")
    figure.suptitle(f"{'soft' if mixer.soft else 'hard'} PatchUp, lam = {mix.lam[2]:.2f}")
    for row, channel in zip(rows, shown, strict=True):
        every = maps[2], maps[0], mix.mask[0], mixed[2]
        own, other, mask, after = (each[channel].numpy() for each in every)
        brightest = maps[[0, 2], channel].quantile(0.99).item()
        for axes, picture, title in zip(row, (own, other, mask, after), columns, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1 if picture is mask else brightest)
            axes.set_title(title, fontsize="medium")
            axes.axis("off")
        row[0].set_title(f"channel {channel}: before", fontsize="medium")
        row[2].set_title(f"mask, mean {mask.mean():.2f}", fontsize="medium")
        row[3].contour(mask, [mask.min() / 2 + 0.5], colors="tab:orange", linewidths=0.8)
    plt.show()


channels(mm.PatchUp(block_size=7), lam=0.3)

# %%
channels(mm.PatchUp(block_size=7, soft=False))

# %%
# The masks are white where the own share is 1. In the blocks it is 0.3 or 0, and ``lam`` is the mean over all channels:
# the weight of the own label in the loss.
#
# ``gamma`` is the nominal share of altered cells, 0.75 if soft and 0.5 if hard. It is only met approximately, since
# blocks overlap and seeds can lie at the border; ``gamma_mode="calibrated"`` corrects for overlap. On a small map,
# blocks of 7 alter nearly everything, so use smaller ones deeper in a network:

for side in (64, 32, 16, 8):
    altered = [
        (mm.PatchUp(block_size=block, soft=False).draw(torch.empty(1, 256, side, side)).mask == 0).float().mean()
        for block in (7, 5, 3)
    ]
    print(f"{side:2d} x {side:2d}: altered by blocks of 7, 5, 3: " + ", ".join(f"{share:.0%}" for share in altered))

# %%
# Where the loss comes from
# -------------------------
# With p the share of untouched cells, s that of a sample in its blocks (0 if hard) and
# Mix_w(y) = w y + (1 - w) y[index], PatchUp's loss has three terms. ``mix.terms`` holds them as pairs of a weight and
# the own share of a target::
#
#     1/2 (p loss(preds, y)  +  (1 - p) loss(preds, Mix_s(y))  +  loss(preds, Mix_lam(y)))
#
# The paper has this without the factor 1/2, which puts the losses of all methods on one scale.

mixed, mix = mm.PatchUp(block_size=7)(maps, index=partner, lam=0.3)
logits = torch.randn(4, 2)
one_hot = F.one_hot(y).float()

by_hand = 0
for weight, share in mix.terms:
    share = torch.as_tensor(share).expand(4)
    target = share[:, None] * one_hot + (1 - share[:, None]) * one_hot[mix.index]
    term = (weight * F.cross_entropy(logits, target, reduction="none")).mean()
    by_hand += term
    print(f"weight {weight[0]:.3f}  own share of the target {share[0]:.3f}  term {term:.4f}")
print(f"sum {by_hand:.4f}  mix.loss {mix.loss(logits, y):.4f}")

# %%
# Cross entropy is affine in the target, so the first two terms add up to as much as the third, and the whole is the
# loss for the soft targets ``mix.targets``. For a criterion that is not affine the three terms differ.

soft = mix.targets(y, num_classes=2)
print(f"loss of soft targets {F.cross_entropy(logits, soft):.4f}")

# %%
# Evaluation
# ----------
# In ``net.eval()`` nothing is mixed and no random number is drawn. ``hidden(x)`` then returns a record that mixes
# nothing, so that one line serves both: ``mix.loss`` is the plain loss.

net.eval()
with torch.no_grad():
    state = torch.get_rng_state()
    logits, mix = hidden(x)
    print("hidden.mix", hidden.mix, " lam", mix.lam.tolist())
    print("random state untouched:", torch.equal(state, torch.get_rng_state()))
    print(f"mix.loss {mix.loss(logits, y):.4f}  plain loss {F.cross_entropy(logits, y):.4f}")

# %%
# :py:meth:`mixmodal.HiddenMix.remove` takes the hooks off; the network is as it was. A ``with`` block does so at
# its end.

with torch.no_grad():
    hidden.remove()
    print("same logits without hooks:", torch.equal(net(x), logits))

# %%
# As published
# ------------
# :py:mod:`mixmodal.presets` has Manifold Mixup, Feature CutMix and PatchUp with the mixers and sites of their papers
# filled in. :py:mod:`mixmodal.sites` finds those sites, in a ResNet by ``layer1``, ``layer2`` and so on.

net.train()
names = {module: name or "input" for name, module in net.named_modules()}
for preset in (mm.presets.manifold_mixup, mm.presets.feature_cutmix, mm.presets.patchup):
    with preset(net) as hidden:
        logits, mix = hidden(x)
        print(f"{preset.__name__}: loss {mix.loss(logits, y):.3f}")
        for site, mixer in hidden.at.items():
            print(f"    {names[site]:7s} {type(mixer).__name__}(alpha={mixer.alpha})")

# %%
# The same lines in 1-D
# ---------------------
# Feature maps ``(B, C, L)`` have blocks of one dimension. :py:func:`mixmodal.sites.convolutional` gives the input and
# the place before each convolution but the first.

signals = torch.sin(torch.linspace(0, 60, 400) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None])[:, None]
net1d = nn.Sequential(
    nn.Conv1d(1, 16, 5, padding=2),
    nn.ReLU(),
    nn.Conv1d(16, 16, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.Conv1d(16, 16, 5, stride=2, padding=2),
    nn.AdaptiveAvgPool1d(1),
    nn.Flatten(),
    nn.Linear(16, 4),
)
first, *deeper = mm.sites.convolutional(net1d)
blocks = mm.PatchUp(block_size=15)
hidden1d = mm.HiddenMix(net1d, {first: mm.CutMix()} | dict.fromkeys(deeper, blocks))
for _ in range(4):
    logits, mix = hidden1d(signals)
    loss = mix.loss(logits, torch.arange(4))
    print("mask", tuple(mix.mask.shape), f"lam {mix.lam[0]:.3f}  loss {loss:.3f}")

# %%
# The picture has two channels of the maps before the second convolution. The blocks are shaded: outside them is the
# sample's own curve, inside hard blocks the partner's.

with torch.no_grad():
    maps1d = net1d[:2](signals)
mixed, mix = mm.PatchUp(block_size=15, soft=False, gamma=0.3)(maps1d, index=torch.tensor([3, 2, 1, 0]))

# %%
figure, rows = plt.subplots(2, 1, figsize=(9, 4.5), layout="constrained", sharex=True)
for axes, channel in zip(rows, maps1d[0].std(1).topk(2).indices, strict=True):
    every = maps1d[0], maps1d[3], mixed[0], mix.mask[0]
    own, other, after, mask = (each[channel].numpy() for each in every)
    grey = {"transform": axes.get_xaxis_transform(), "color": "0.88", "step": "mid"}
    axes.fill_between(range(400), 0, 1, where=mask == 0, **grey)
    axes.plot(other, color="tab:orange", linewidth=1, label="partner")
    axes.plot(own, color="tab:blue", linewidth=1, label="own")
    axes.plot(after, color="black", linewidth=1.5, label="after")
    axes.set_ylabel(f"channel {channel}")
rows[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
rows[0].set_title(f"hard PatchUp in 1-D, blocks of 15 cells, lam = {mix.lam[0]:.2f}", loc="left")
rows[1].set_xlabel("time (cells of the feature map)")
plt.show()

# %%
# And in 3-D
# ----------
# In volumes ``(B, C, D, H, W)`` the blocks are cubes.

net3d = nn.Sequential(
    nn.Conv3d(1, 8, 3, padding=1),
    nn.ReLU(),
    nn.Conv3d(8, 8, 3, padding=1),
    nn.AdaptiveAvgPool3d(1),
    nn.Flatten(),
    nn.Linear(8, 4),
)
mixer = mm.PatchUp(block_size=4, soft=False, gamma=0.25)
with mm.HiddenMix(net3d, {net3d[2]: mixer}) as hidden3d:
    logits, mix = hidden3d(torch.rand(4, 1, 12, 12, 12))
print("mask", tuple(mix.mask.shape), f"lam {mix.lam[0]:.3f}  loss {mix.loss(logits, torch.arange(4)):.3f}")

# %%
figure, row = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained", subplot_kw={"projection": "3d"})
figure.suptitle("the cells that hard PatchUp altered, in three channels of a map of 12 x 12 x 12")
for channel, axes in enumerate(row):
    altered = mix.mask[0, channel] == 0
    axes.voxels(altered.numpy(), facecolors="tab:blue", edgecolor=(0, 0, 0, 0.3), linewidth=0.3)
    axes.set(xlim=(0, 12), ylim=(0, 12), zlim=(0, 12), xticks=[], yticks=[], zticks=[])
    axes.set_box_aspect([1, 1, 1])
    axes.set_title(f"channel {channel}: {altered.float().mean():.0%}", fontsize="medium")
plt.show()

# %%
# Trainers and ``torch.compile``
# ------------------------------
# A trainer calls ``net(x)`` itself. The hooks still act, and ``hidden.loss`` is the loss of the last forward: of the
# mixed batch in training, the plain one in evaluation. For Hugging Face's ``Trainer`` there is ``MixTrainer``, see
# :doc:`/guide/frameworks/trainer`.
#
# Under ``torch.compile`` make the :py:class:`mixmodal.HiddenMix` before the compiled network is first called. The hooks
# break the graph, so ``fullgraph=True`` does not work with them.

compiled = torch.compile(net1d, backend="eager")  # "eager" spares this page the compiler; leave it out
logits = compiled(signals)
loss = hidden1d.loss(logits, torch.arange(4))
loss.backward()
print("mixed:", hidden1d.mix is not None, f" loss {loss:.3f}")

# %%
# Where next
# ----------
# * :doc:`/methods/patchup`: the method and its options.
# * :doc:`/api/hidden`: sites that are outputs or keyword arguments, padding, and what is checked.
# * :doc:`/auto_gallery/plot_05_text`: the same in a transformer, where attention masks follow the mix.
