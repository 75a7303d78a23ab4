"""
Images: in a training step and in a DataLoader
==============================================

.. image:: images/sphx_glr_plot_02_images_002.png
   :alt: Pairs of handwritten digits, mixed by MixUp, CutMix and FMix, with both labels and their shares

Two changed lines mix a batch on the device, in the training step:

.. code-block:: python

    images, mix = cutmix(images)  # 1
    loss = mix.loss(model(images), labels)  # 2

One argument mixes it in the workers of a ``DataLoader`` instead. This page trains a small network on real digits both
ways, beside one that does not mix, and shows what the network sees.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mixmodal as mm

# %%
# The data: 1,797 handwritten digits of 8 × 8 pixels, enlarged to 16 × 16. A quarter is kept for testing. Small clean
# digits are easy to learn without help, so 40 % of the training labels are replaced at random here: a network that
# memorises them gets worse, and mixing works against that. The test labels are the true ones.

# sphinx_gallery_thumbnail_number = 2
torch.manual_seed(0)

digits = load_digits()
x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
x = F.interpolate(x, (16, 16), mode="bilinear")
y = torch.tensor(digits.target)
order = torch.randperm(len(x))
train, test = order[450:], order[:450]
given = torch.where(torch.rand(len(train)) < 0.4, torch.randint(10, (len(train),)), y[train])
print(x[train].shape, f"{(given != y[train]).float().mean():.0%} of the labels are wrong")


def small_cnn():
    """Three convolutions, 10 classes."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 16, 10),
    )


# %%
# In the training step
# --------------------
#
# A mixer is made once. In each step it draws who is mixed with whom, where and how much, and returns the mixed batch
# and the record of the draw. The record computes the loss.

cutmix = mm.CutMix(alpha=1.0)
model = small_cnn()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
data = TensorDataset(x[train], given)
loader = DataLoader(data, batch_size=64, shuffle=True, drop_last=True)

lams, losses, hits = [], [], []
for _ in range(30):
    for images, labels in loader:
        images, mix = cutmix(images)  # 1
        logits = model(images)
        loss = mix.loss(logits, labels)  # 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lams.append(mix.lam[0].item())
        losses.append(loss.item())
        hits.append(mix.accuracy(logits, labels).item())


def test_accuracy(model):
    """Evaluation mixes nothing, so nothing changes here."""
    model.eval()
    with torch.no_grad():
        return (model(x[test]).argmax(1) == y[test]).float().mean().item()


print(f"{len(losses)} steps; last step: loss {losses[-1]:.2f}, accuracy on the mixed batch {hits[-1]:.2f}")
print(f"CutMix: accuracy on {len(test)} clean test images: {test_accuracy(model):.3f}")

# %%
# And the same without mixing, in a plain loop:


def fit(loader):
    """Train a network on labels, or on soft targets."""
    model = small_cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(30):
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


print(f"no mixing: accuracy on {len(test)} clean test images: {test_accuracy(fit(loader)):.3f}")

# %%
# One seed proves nothing; ``make demo`` has three, with intervals.
#
# ``mix.accuracy`` counts ``lam`` if the predicted class is the own label and ``1 - lam`` if it is the partner's. It
# cannot be much above max(lam, 1 - lam), the dashed line: only a pair of the same class counts fully. The loss has a
# lower bound for the same reason, highest at one half. Both jump from step to step with ``lam``, so compare their
# means. CutMix rarely has a small ``lam``: the border clips large boxes, and the record says what is left.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharex=True)
left.scatter(lams, losses, c=range(len(losses)), s=14)
left.set(xlabel="lam of the step", ylabel="mix.loss")
points = right.scatter(lams, hits, c=range(len(hits)), s=14)
right.plot([0, 0.5, 1], [1, 0.5, 1], "k--", linewidth=1)
right.set(xlabel="lam of the step", ylabel="mix.accuracy", ylim=(0, 1.03))
figure.colorbar(points, ax=right, label="step")
plt.show()

# %%
# What the network saw
# --------------------
#
# ``mix.index`` names the partners and ``mix.lam`` the own shares. With ``per_sample=True`` every sample has its own
# mask and ``lam``, which makes for a more varied picture; the papers draw one for the batch. Blue ink is a sample's
# own, orange ink its partner's; the titles are the weights in the loss.

BLUE, ORANGE = (torch.tensor(colour).view(3, 1, 1) for colour in ([0.12, 0.37, 0.66], [0.91, 0.47, 0.13]))

images, labels = x[train[:8]], y[train[:8]]
figure, table = plt.subplots(3, 8, figsize=(10, 5), layout="constrained")
for line, method in zip(table, (mm.MixUp, mm.CutMix, mm.FMix), strict=True):
    mix = method(per_sample=True).draw(images)
    own_ink = mix.mask[:, None] * images
    partner_ink = (1 - mix.mask[:, None]) * images[mix.index]
    pictures = 1 - own_ink * (1 - BLUE) - partner_ink * (1 - ORANGE)
    for axes, picture, own, partner, lam in zip(line, pictures, labels, labels[mix.index], mix.lam, strict=True):
        axes.imshow(picture.permute(1, 2, 0).numpy())
        axes.set_title(f"{own}: {lam:.0%}\n{partner}: {1 - lam:.0%}", fontsize="medium")
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(method.__name__, fontweight="bold")
plt.show()

# %%
# Any criterion works, with class weights, label smoothing or ignored labels, as a function or as a module:

logits = model(mix(images))
print(mix.loss(logits, labels))
print(mix.loss(logits, labels, nn.CrossEntropyLoss(label_smoothing=0.1)))
print(mix.loss(logits, F.one_hot(labels, 10).float(), F.binary_cross_entropy_with_logits))
print(mix.loss(logits, labels, reduction="none").shape)

# %%
# For cross entropy it equals the loss against soft targets, which ``mix.targets`` makes:

soft = mix.targets(labels, num_classes=10)
print(soft.shape, soft[:3], sep="\n")
assert torch.isclose(F.cross_entropy(logits, soft), mix.loss(logits, labels))

# %%
# In a DataLoader
# ---------------
#
# :py:class:`mixmodal.MixCollate` is a ``collate_fn``: it makes a batch, mixes it and returns soft targets, so
# that the plain loop above trains with it as it is.

collate = mm.MixCollate(mm.FMix(), num_classes=10)
loader = DataLoader(data, batch_size=64, shuffle=True, drop_last=True, collate_fn=collate, num_workers=0)

images, soft = next(iter(loader))
print(images.shape, soft.shape)
print(f"FMix: accuracy on {len(test)} clean test images: {test_accuracy(fit(loader)):.3f}")

# %%
# With workers, set ``num_workers`` and put the loop under ``if __name__ == "__main__":``, as PyTorch asks of every
# script. ``MixCollate`` can be pickled, and a ``DataLoader`` reseeds each worker in every epoch, so no two workers draw
# the same masks; ``torch.manual_seed`` before the loop makes a run repeatable.
#
# Which should you use? In the step you have the record: ``mix.loss`` takes your criterion, ``mix.accuracy`` works, and
# the masks are drawn on the device. With the ``DataLoader`` the training loop stays as it is, which suits trainers that
# cannot be changed.
#
# How much mixing helps on CIFAR-10 and other data without wrong labels is in :doc:`/results/README`.
#
# Where next
# ----------
#
# * :doc:`/auto_gallery/plot_03_label_map`: when the labels are an image too.
# * :doc:`/auto_gallery/plot_10_hybrids`: several methods in one run, or a method for some batches only.
# * :doc:`/auto_gallery/plot_07_patchup`: the same two lines inside a network.
