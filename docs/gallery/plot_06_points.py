"""
Voxels and raw points
=====================

.. image:: images/sphx_glr_plot_06_points_001.png
   :alt: A chair and a torus as voxels, the mask of FMix and of CutMix, and the chair with parts of the torus

Shapes are mixed as voxels, where a method draws its mask in 3-D as it does in 2-D, or as raw points, which are chosen
by such a mask and never moved. On this page you make both from meshes, mix them with FMix and CutMix, and see what
``lam`` counts in each case. The lines that matter::

    voxels, mix = mm.FMix()(voxels)                            # (B, 1, D, H, W)
    cloud, mix = mm.OnPoints(mm.FMix(), resolution=32)(cloud)  # (B, N, 3 or more)

This page needs open3d, for its shapes and their voxels: ``pip install 'mixmodal[points]'``.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

import mixmodal as mm

torch.manual_seed(0)
open3d = mm.meshes.import_open3d()

# %%
# Four shapes
# -----------
# The shapes are built from open3d's primitives; :py:func:`mixmodal.meshes.read_off` reads the files of ModelNet. A
# :py:class:`mixmodal.meshes.Mesh` is two tensors, and :py:func:`mixmodal.meshes.into_frame` scales its corners into the
# cube from -1 to 1. That is the default frame of voxels and points.

primitive = open3d.geometry.TriangleMesh


def boxes(*parts):
    """One mesh of boxes, each given as (corner, sides)."""
    shape = primitive()
    for corner, sides in parts:
        shape += primitive.create_box(*sides).translate(corner)
    return shape


def in_frame(shape):
    """A mesh of open3d's as tensors, in the middle of the frame."""
    corners = torch.tensor(np.asarray(shape.vertices))
    faces = torch.tensor(np.asarray(shape.triangles)).long()
    middle = (corners.amin(0) + corners.amax(0)) / 2
    return mm.meshes.Mesh(mm.meshes.into_frame(corners - middle), faces)


legs = [((x, y, 0), (0.15, 0.15, 0.9)) for x in (0, 0.95) for y in (0, 0.95)]
chair = boxes(((0, 0, 0.9), (1.1, 1.1, 0.15)), ((0, 0.95, 1.05), (1.1, 0.15, 1.0)), *legs)
table = boxes(((-0.3, -0.3, 0.9), (1.7, 1.7, 0.15)), *legs)
torus, cone = primitive.create_torus(1.0, 0.4), primitive.create_cone(1.0, 2.0)

meshes = [in_frame(shape) for shape in (chair, torus, table, cone)]
labels = torch.arange(4)

# %%
# Voxels
# ------
# :py:func:`mixmodal.meshes.surface_voxels` marks each cell that the surface of a mesh crosses. Stacked they are a batch
# ``(B, 1, D, H, W)``, which the default axes pattern ``"b c *"`` takes: the mask varies on a grid of rank 3.

marked = [mm.meshes.surface_voxels(mesh, 16) for mesh in meshes]
voxels = torch.stack(marked)[:, None].float()
mixed, mix = mm.FMix()(voxels)

print("voxels", tuple(voxels.shape), " mask", tuple(mix.mask.shape))
print(f"index {mix.index.tolist()}  lam {mix.lam[0]:.3f}")

# %%
# The mask begins with an axis of 1: the batch shares one (``per_sample=True`` draws one for each sample).
#
# For the picture we choose the torus as the chair's partner and ask for half of the volume: ``index`` and ``lam`` can
# be given instead of drawn. The plotting itself takes a few lines, since each cell has its own faces.

OWN, PARTNER, KEPT = "tab:blue", "tab:orange", "lightsteelblue"
swap = torch.tensor([1, 0, 3, 2])


def panels(title):
    """Two rows of four 3-D pictures, for FMix and CutMix: own, partner, mask and mix."""
    figure = plt.figure(figsize=(9, 5.4), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(2, 4, subplot_kw={"projection": "3d"})
    for axes, text in zip(grid.flat, 2 * ["own: chair", "partner: torus", "mask: 1 here", ""], strict=True):
        axes.set_title(text, fontsize="medium")
        axes.view_init(elev=22, azim=-60)
        axes.set_box_aspect([1, 1, 1], zoom=1.15)
        axes.set_axis_off()
    return grid


def cells(axes, *groups):
    """Groups of cells, each (marked (R, R, R), colour): the faces that are seen from this angle."""
    faces, colours, unit = [], [], torch.eye(3)
    for marked, colour in groups:
        for axis, side, light in ((0, 1, 0.6), (1, 0, 0.8), (2, 1, 1.0)):
            ahead, aside = unit[axis - 2], unit[axis - 1]
            square = side * unit[axis] + torch.stack([0 * ahead, ahead, ahead + aside, aside])
            faces.append(marked.nonzero()[:, None] + square)
            colours += [np.array(to_rgb(colour)) * light] * len(faces[-1])
    line = {"edgecolors": (0, 0, 0, 0.25), "linewidths": 0.3}
    axes.add_collection3d(Poly3DCollection(torch.cat(faces).numpy(), facecolors=colours, **line))
    axes.set(xlim=(0, len(marked)), ylim=(0, len(marked)), zlim=(0, len(marked)))


for row, mixer in zip(panels("voxels"), (mm.FMix(), mm.CutMix()), strict=True):
    generator = torch.Generator().manual_seed(3)
    mixed, mix = mixer(voxels, index=swap, lam=0.5, generator=generator)
    keep, occupied = mix.mask[0] == 1, mixed[0, 0] == 1
    own, partner, mask, both = row
    cells(own, (voxels[0, 0] == 1, OWN))
    cells(partner, (voxels[1, 0] == 1, PARTNER))
    cells(mask, (keep, KEPT))
    cells(both, (occupied & keep, OWN), (occupied & ~keep, PARTNER))
    both.set_title(f"{type(mixer).__name__}: lam = {mix.lam[0]:.2f}", fontsize="medium")
    share = (occupied & keep).sum() / occupied.sum()
    print(f"{type(mixer).__name__}: lam {mix.lam[0]:.3f}, occupied cells of the chair {share:.3f}")
plt.show()

# %%
# ``mix.lam`` is the mean of the mask: the own share of the whole *grid*, empty cells counted, and the weight of the own
# label in ``mix.loss``. The share of occupied cells that are the chair's is a different number, as printed. CutMix was
# asked for 0.5 and records what its box left after the border clipped it.
#
# The authors of FMix train a network for points on mixed voxels: :py:func:`mixmodal.devoxelize` draws points from
# occupied cells, and :py:func:`mixmodal.voxelize` is the way back.

drawn = mm.devoxelize(mixed, 1024)
inside = (mm.voxelize(drawn, 16) <= mixed).all()
print("drawn", tuple(drawn.shape), " all in occupied cells:", inside.item())

# %%
# Raw points
# ----------
# :py:func:`mixmodal.meshes.sample_surface` draws points of a surface, with normals if asked.
# :py:class:`mixmodal.OnPoints` has the mixer draw a mask on a grid of ``resolution`` cells along each axis. Own points
# stay in cells where the mask is 1, and the partner's come in from cells where it is 0. The result has as many points
# as the own cloud, so that mixed clouds can be stacked as before. Whatever a point carries besides its position comes
# with it.

clouds = torch.stack([mm.meshes.sample_surface(mesh, 2000, normals=True) for mesh in meshes])
mixed, mix = mm.OnPoints(mm.FMix(), resolution=32)(clouds, index=swap, lam=0.5)

print("clouds", tuple(mixed.shape), " mask", tuple(mix.mask.shape))
print("index", mix.index.tolist(), " lam", [round(share, 3) for share in mix.lam.tolist()])
lengths = mixed[..., 3:].norm(dim=2)
print(f"length of the normals {lengths.min():.4f} to {lengths.max():.4f}")

# %%
# Here ``mix.mask`` is ``(B, N)``, 1 at own points of the result, and ``mix.lam`` is its mean: the share of *points*.
# The batch still shares one mask in space, of half the volume, but each pair fills a different part of it, so ``lam``
# differs from sample to sample.
#
# The record replays its choice on any ``(B, N, ...)``: part labels, say. Labelled by the shape they come from, the
# points of a mix can be coloured by their origin, as in the picture. Drawn from equal generators, the masks are the
# same as for the voxels above.

shape_of = labels[:, None].expand(4, 2000)


def points(axes, cloud, colour):
    """The points of a cloud (N, 3 or more)."""
    axes.scatter(*cloud[:, :3].T.numpy(), color=colour, s=3, linewidths=0)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))


for row, mixer in zip(panels("points"), (mm.FMix(), mm.CutMix()), strict=True):
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    on_grid = mixer.draw(voxels, index=swap, lam=0.5, generator=first)
    on_points = mm.OnPoints(mixer, resolution=16)
    mixed, mix = on_points(clouds, index=swap, lam=0.5, generator=second)
    whose = mix(shape_of, axes="b *")[0]
    own, partner, mask, both = row
    points(own, clouds[0], OWN)
    points(partner, clouds[1], PARTNER)
    cells(mask, (on_grid.mask[0] == 1, KEPT))
    points(both, mixed[0, whose == 0], OWN)
    points(both, mixed[0, whose == 1], PARTNER)
    both.set_title(f"{type(mixer).__name__}: lam = {mix.lam[0]:.2f}", fontsize="medium")
    print(f"{type(mixer).__name__}: points by shape {whose.bincount(minlength=4).tolist()}")
plt.show()

# %%
# A training step is the same as for images. A network of the PointNet kind takes channels first:

net = torch.nn.Sequential(
    torch.nn.Conv1d(6, 64, 1),
    torch.nn.ReLU(),
    torch.nn.AdaptiveMaxPool1d(1),
    torch.nn.Flatten(),
    torch.nn.Linear(64, 4),
)
mixed, mix = mm.OnPoints(mm.FMix())(clouds)
loss = mix.loss(net(mixed.transpose(1, 2)), labels)
loss.backward()
print(f"loss {loss:.3f}")

# %%
# Clouds of different size
# ------------------------
# Pad them, and say with ``valid``, bool ``(B, N)``, which points are real. The values at padding do not matter, a mixed
# cloud has as many real points as its own cloud, and ``lam`` counts real points only.

sizes = [2000, 1200, 1600, 800]
each = [mm.meshes.sample_surface(mesh, size) for mesh, size in zip(meshes, sizes, strict=True)]
padded = torch.nn.utils.rnn.pad_sequence(each, batch_first=True)
valid = torch.arange(2000) < torch.tensor(sizes)[:, None]

mixed, mix = mm.OnPoints(mm.FMix())(padded, valid=valid, index=swap, lam=0.5)
own_points = (mix.mask * mix.valid).sum(1).long()
for size, real, own, lam in zip(sizes, mix.valid.sum(1), own_points, mix.lam, strict=True):
    print(f"{size:4d} points -> {real:4d}, of which own {own:4d}: lam {lam:.3f}")

# %%
# The frame
# ---------
# Points are compared in one frame, so all real points must lie in it. Clouds that were standardised first do not:

standard = mm.meshes.normalise(clouds[..., :3])
try:
    mm.OnPoints(mm.FMix())(standard)
except ValueError as error:
    print(textwrap.fill(str(error), 85))

# %%
# Pass the corners of a frame that contains them, ``low=-4, high=4``; or use each cloud's own bounding box with
# ``frame="own"``; or standardise after mixing, ``mm.meshes.normalise(mixed[..., :3])``.

mixed, mix = mm.OnPoints(mm.FMix(), low=-4, high=4)(standard)
mixed, mix = mm.OnPoints(mm.FMix(), frame="own")(standard)

# %%
# MixUp
# -----
# A point is either there or not; there are no half points. So a method whose masks are soft is refused when
# :py:class:`mixmodal.OnPoints` is made:

try:
    mm.OnPoints(mm.MixUp())
except TypeError as error:
    print(textwrap.fill(str(error), 85))

# %%
# Voxels can be blended. Their occupancy is then between 0 and 1, so they have to be floats:

mixed, mix = mm.MixUp()(voxels, index=swap, lam=0.75)
print("values of the mixed voxels:", mixed.unique().tolist())

# %%
# Where next
# ----------
# * :doc:`/auto_gallery/plot_07_patchup`: mixing the feature maps of a 3-D network.
# * :doc:`/auto_gallery/plot_10_hybrids`: ``OneOf`` and ``Alternate``, which :py:class:`mixmodal.OnPoints` takes too.
# * :doc:`/api/modalities`: every argument of the functions on this page.
