"""
Hybrid policies
===============

.. image:: images/sphx_glr_plot_10_hybrids_001.png
   :alt: Which method four policies drew at each of 200 steps, as bars of colour

A policy chooses a mixer for every batch: one at random, each in its turn, or none now and then. It goes wherever a
mixer goes. This page shows the policies, what they drew over 200 steps, how to nest them, how to change a method during
training, and what a checkpoint has to hold.
"""

from collections import Counter
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from torch import nn

import mixmodal as mm

# %%
# The two lines that matter stay the same two lines:

torch.manual_seed(0)
x, y = torch.rand(16, 3, 32, 32), torch.randint(10, (16,))
model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

policy = mm.OneOf([mm.MixUp(), mm.CutMix(), mm.FMix()])
mixed, mix = policy(x)
loss = mix.loss(model(mixed), y)
print(mixed.shape, mix.mask.shape, mix.lam.shape)

# %%
# The policies
# ------------
#
# :py:class:`mixmodal.OneOf` draws one of its mixers for each batch, with the probabilities ``p``, equal if left out.
# With :py:class:`mixmodal.NoMix` among them it applies a method with some probability: the other batches stay as they
# are, with ``lam`` 1 and the plain loss.
#
# :py:class:`mixmodal.Alternate` takes its mixers in turn. FMix with MixUp, a batch each, is the hybrid of the FMix
# paper (Harris et al., 2020, section 5).
#
# Policies can hold policies.

policies = {
    "one of three": mm.OneOf([mm.MixUp(), mm.CutMix(), mm.FMix()]),
    "sometimes": mm.OneOf([mm.CutMix(), mm.NoMix()], p=[0.5, 0.5]),
    "in turn": mm.Alternate([mm.FMix(), mm.MixUp()]),
    "nested": mm.OneOf([mm.Alternate([mm.FMix(), mm.MixUp()]), mm.NoMix()], p=[0.8, 0.2]),
}

# %%
# What they draw in 200 steps
# ---------------------------
#
# A record does not say which method it comes from; nothing you do with it needs to know. To count, ask the policy for
# its choice and draw from that, which is what ``policy(x)`` does.


def choose(policy):
    """The mixer of the next batch."""
    while isinstance(policy, mm.Policy):
        policy = policy.choose()
    return policy


steps = {}
for name, policy in policies.items():
    steps[name] = []
    for _ in range(200):
        mixer = choose(policy)
        mix = mixer.draw(x)
        steps[name].append((type(mixer).__name__, mix.lam[0].item()))
    print(f"{name:13}", dict(Counter(method for method, _ in steps[name])))

# %%
# Each line is a policy, each bar a step, coloured by the method. Equal odds do not give equal numbers; turns do.

COLOURS = {"MixUp": "#7b5ea7", "CutMix": "#e87722", "FMix": "#1f5fa8", "NoMix": "#c8c8c8"}

# %%
figure, table = plt.subplots(4, 1, figsize=(9, 3.6), layout="constrained", sharex=True)
for axes, (name, drawn) in zip(table, steps.items(), strict=True):
    axes.bar(range(200), 1, width=1, color=[COLOURS[method] for method, _ in drawn])
    axes.set(yticks=[], xlim=(-0.5, 199.5), ylim=(0, 1))
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
table[-1].set_xlabel("step")
patches = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
figure.legend(patches, COLOURS, loc="outside upper center", ncols=4, frameon=False)
plt.show()

# %%
# The own shares. MixUp and FMix match the uniform share that is drawn; CutMix has larger ones, as its boxes are clipped
# at the border; NoMix is always 1.

figure, row = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained", sharex=True, sharey=True)
for axes, (name, drawn) in zip(row, steps.items(), strict=True):
    methods = [method for method in COLOURS if any(method == other for other, _ in drawn)]
    shares = [[lam for method, lam in drawn if method == wanted] for wanted in methods]
    colours = [COLOURS[method] for method in methods]
    axes.hist(shares, bins=10, range=(0, 1), stacked=True, color=colours)
    axes.set(title=name, xlabel="lam")
row[0].set_ylabel("steps")
plt.show()

# %%
# A change during training
# ------------------------
#
# Mixers are frozen and hold no state, so a schedule is a plain assignment between steps. Here FMix gets smoother masks,
# and the last tenth trains on plain batches.

fmix = mm.FMix()
shown = []
for step in range(100):
    mixer = replace(fmix, decay_power=1 + 3 * step / 90) if step < 90 else mm.NoMix()
    mixed, mix = mixer(x)
    if step % 18 == 0 or step == 99:
        shown.append((step, mixer, mix.mask[0]))

# %%
figure, row = plt.subplots(1, len(shown), figsize=(10, 2.4), layout="constrained")
for axes, (step, mixer, mask) in zip(row, shown, strict=True):
    axes.imshow(mask.numpy(), "gray", vmin=0, vmax=1)
    detail = f"decay_power={mixer.decay_power:.1f}" if isinstance(mixer, mm.FMix) else "NoMix"
    axes.set_title(f"step {step}\n{detail}", fontsize="small")
    axes.set(xticks=[], yticks=[])
plt.show()

# %%
# Inside a network, replace the mixer of a site: DropBlock's schedule from 0 to ``drop_prob``, beside a policy at the
# input.

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 28 * 28, 10))
with mm.HiddenMix(net, {net: policies["sometimes"], net[2]: mm.DropBlock(block_size=5, drop_prob=0)}) as hidden:
    for step in range(5):
        hidden.at[net[2]] = mm.DropBlock(block_size=5, drop_prob=0.1 * step / 4)
        logits, mix = hidden(x)
        print(f"step {step}: {hidden.at[net[2]].drop_prob:.3f} dropped, lam {mix.lam[0]:.2f}")

# %%
# What a checkpoint holds
# -----------------------
#
# ``OneOf`` has no state. What it draws depends only on torch's random state, so equal seeds give equal choices.
# ``Alternate`` counts turns, across epochs too, and the count belongs in a checkpoint.

hybrid = mm.Alternate([mm.FMix(), mm.MixUp(), mm.NoMix()])
for _ in range(4):
    hybrid(x)
state = hybrid.state_dict()
print(state)

resumed = mm.Alternate([mm.FMix(), mm.MixUp(), mm.NoMix()])
resumed.load_state_dict(state)
print(choose(resumed), choose(hybrid), sep="\n")

# %%
# In a ``DataLoader`` each worker has a copy of the collate function: an ``Alternate`` begins there at a random turn and
# alternates among that worker's batches. For turns that are exact across workers and epochs, and in a checkpoint, mix
# in the training step.
#
# Paired modalities
# -----------------
#
# Any mixer of a policy accepts the partners and the share that another modality has drawn. NoMix among them would leave
# its side unmixed, so pair only policies whose mixers all have a partner.

sound = torch.rand(16, 1, 4000)
mixed, mix = policies["in turn"](x)
mixed_sound, sound_mix = policies["in turn"](sound, index=mix.index, lam=mix.lam)
print(torch.equal(mix.index, sound_mix.index), (mix.lam - sound_mix.lam).abs().max())

# %%
# Where next
# ----------
#
# * :doc:`/methods/hybrids`: what the papers say of hybrids.
# * :doc:`/auto_gallery/plot_07_patchup`: mixing inside networks.
# * :doc:`/auto_gallery/plot_08_paired`: paired modalities at length.
