"""Puzzle Mix's energy against plain loops, and its least labellings against all there are."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixmodal.methods.puzzle.cuts import Energy, min_cut, puzzle_energy, relaxed_cut
from mixmodal.methods.puzzle.transport import Blocks

Array = NDArray[np.float64]
Cell = tuple[int, ...]

# ---------------------------------------------------------------- references in plain loops


def cells_of(sizes: Sequence[int]) -> Iterator[Cell]:
    return itertools.product(*[range(size) for size in sizes])


def borders_of(counts: Sequence[int]) -> Iterator[tuple[int, Cell, Cell]]:
    """Axis, block before and block behind of every border."""
    for axis, count in enumerate(counts):
        for p in cells_of(counts):
            if p[axis] + 1 < count:
                yield axis, p, (*p[:axis], p[axis] + 1, *p[axis + 1 :])


def loop_energy(unary: Array, weights: list[Array], labels: Sequence[int]) -> float:
    """The energy of one labelling (flat) of one sample, from its definition."""
    most, counts = unary.shape[0] - 1, unary.shape[1:]
    label = dict(zip(cells_of(counts), labels, strict=True))
    total = sum(float(unary[(label[p], *p)]) for p in cells_of(counts))
    for axis, p, q in borders_of(counts):
        total += float(weights[axis][p]) * (label[p] - label[q]) ** 2 / most**2
    return total


def block_of(p: Cell, grid: Sequence[int], counts: Sequence[int]) -> Cell:
    return tuple(c * n // s for c, s, n in zip(p, grid, counts, strict=True))


def loop_terms(
    x: Array,
    salient: Array,
    own: int,
    partner: int,
    lam: float,
    counts: Sequence[int],
    *,
    n_labels: int,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
) -> tuple[Array, list[Array], list[dict[tuple[Cell, Cell], dict[str, float]]]]:
    """Unary costs, border weights and data costs D of a pair, step by step as the facts file has them (7.1).

    `x` is (B, C, *grid), `salient` (B, *grid). D is kept by border: "10" has image 1 before it and image 2 behind.
    """
    grid, rank, number, most = x.shape[2:], x.ndim - 2, math.prod(counts), n_labels - 1
    shares = []
    for sample in (own, partner):
        u = np.zeros(counts)
        for p in cells_of(grid):
            u[block_of(p, grid, counts)] += salient[(sample, *p)]
        shares.append(u / u.sum())
    sub = [n * ((s // n) // min(neigh_size, s // n)) for s, n in zip(grid, counts, strict=True)]
    pooled = {}
    for sample in (own, partner):
        for channel in range(x.shape[1]):
            low, high = x[:, channel].min(), x[:, channel].max()
            held: dict[Cell, list[float]] = {}
            for p in cells_of(grid):
                held.setdefault(block_of(p, grid, sub), []).append((x[(sample, channel, *p)] - low) / (high - low))
            pooled[sample, channel] = {q: sum(values) / len(values) for q, values in held.items()}
    cost_own, cost_partner = shares[0].copy(), shares[1].copy()  # of losing image 1, of losing image 2
    weights = [np.zeros([n - (a == axis) for a, n in enumerate(counts)]) for axis in range(rank)]
    gaps: list[dict[tuple[Cell, Cell], dict[str, float]]] = [{} for _ in range(rank)]
    for axis, p, q in borders_of(counts):
        b = beta / 16 / math.prod(n for a, n in enumerate(counts) if a != axis)
        per = [n // c for n, c in zip(sub, counts, strict=True)]
        d = {}
        for name, (one, other) in {
            "11": (own, own),
            "10": (own, partner),
            "01": (partner, own),
            "00": (partner,) * 2,
        }.items():
            found = []
            for across in cells_of([1 if a == axis else k for a, k in enumerate(per)]):
                last = tuple(p[a] * per[a] + (per[a] - 1 if a == axis else across[a]) for a in range(rank))
                first = tuple(q[a] * per[a] + (0 if a == axis else across[a]) for a in range(rank))
                found += [abs(pooled[one, c][last] - pooled[other, c][first]) for c in range(x.shape[1])]
            d[name] = b * gamma * sum(found) / len(found)
        cost_partner[p] += (d["10"] + d["11"]) / 2
        cost_own[p] += (d["01"] + d["00"]) / 2
        cost_partner[q] += (d["01"] + d["11"]) / 2
        cost_own[q] += (d["10"] + d["00"]) / 2
        weights[axis][p] = b + (d["10"] + d["01"] - d["11"] - d["00"]) / 2
        gaps[axis][p, q] = d
    prior = {2: [lam, 1 - lam], 3: [lam**2, 2 * lam * (1 - lam), (1 - lam) ** 2]}
    prior[4] = [lam**3, 3 * lam**2 * (1 - lam), 3 * lam * (1 - lam) ** 2, (1 - lam) ** 3]
    unary = np.stack(
        [
            (1 - level / most) * cost_partner
            + level / most * cost_own
            - eta * math.log(prior[n_labels][level] + 1e-8) / number
            for level in range(n_labels)
        ]
    )
    return unary, weights, gaps


def settings(**changes: Any) -> dict[str, Any]:
    return {"n_labels": 3, "beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": 4, **changes}


def energy_of(
    x: Tensor, salient: Tensor, lam: Tensor, counts: Cell, *, index: Tensor, axes: str = "b c *", **changes: Any
) -> Energy:
    """Puzzle Mix's energy for a saliency (B, *grid) of any scale."""
    blocks = Blocks(tuple(salient.shape[1:]), counts)
    return puzzle_energy(x, blocks.shares(salient), index, lam, blocks, axes=axes, **settings(**changes))


def random_energy(batch: int, n_labels: int, counts: Sequence[int], *, scale: float = 1.0) -> Energy:
    """Costs of either sign, and not convex in the label."""
    weights = []
    for axis in range(len(counts)):
        shape = [n - (a == axis) for a, n in enumerate(counts)]
        weights.append(scale * torch.rand(batch, *shape) * (torch.rand(batch, *shape) > 0.2))
    return Energy(torch.randn(batch, n_labels, *counts), tuple(weights))


def puzzle(batch: int, n_labels: int, grid: Sequence[int], count: int, *, beta: float = 1.2) -> Energy:
    """An energy of Puzzle Mix's own kind: smooth images, and saliency in a few places."""
    x, salient = torch.randn(batch, 3, *grid), torch.randn(batch, *grid)
    for axis in range(len(grid)):
        for _ in range(3):
            x = (x + x.roll(1, axis + 2) + x.roll(-1, axis + 2)) / 3
            salient = (salient + salient.roll(1, axis + 1) + salient.roll(-1, axis + 1)) / 3
    counts, index = tuple(min(count, size) for size in grid), torch.arange(batch).roll(1)
    return energy_of(x, salient.abs() ** 2, torch.rand(batch), counts, index=index, n_labels=n_labels, beta=beta)


# ---------------------------------------------------------------- the least energy

SMALL = [
    (2, (5,)),
    (3, (2,)),
    (3, (6,)),
    (4, (1,)),
    (3, (2, 2)),
    (2, (3, 3)),
    (4, (2, 2)),
    (3, (1, 4)),
    (4, (2, 1, 2)),
    (2, (2, 2, 2)),
    (3, (2, 2, 2)),
]
small = pytest.mark.parametrize(("n_labels", "counts"), SMALL, ids=str)


def least(energy: Energy) -> Tensor:
    """The least energy of each sample over all labellings."""
    n_labels, counts = energy.unary.shape[1], energy.unary.shape[2:]
    found = []
    for sample in range(len(energy.unary)):
        unary = energy.unary[sample].double().numpy()
        weights = [weight[sample].double().numpy() for weight in energy.weights]
        found.append(min(loop_energy(unary, weights, labels) for labels in _all(n_labels, math.prod(counts))))
    return torch.tensor(found, dtype=torch.float64)


def _all(n_labels: int, number: int) -> Iterator[tuple[int, ...]]:
    return itertools.product(range(n_labels), repeat=number)


@small
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_the_minimum_cut_is_the_least_of_all_labellings(n_labels: int, counts: tuple[int, ...], scale: float) -> None:
    """Of 2 samples at 6561 labellings, of 20 where there are fewer."""
    energy = random_energy(2 if n_labels ** math.prod(counts) > 1000 else 20, n_labels, counts, scale=scale)
    labels = min_cut(energy)
    assert labels.dtype == torch.int64
    assert labels.shape == (len(energy.unary), *counts)
    for sample, cost in enumerate(energy(labels).tolist()):
        weights = [weight[sample].numpy() for weight in energy.weights]
        assert loop_energy(energy.unary[sample].numpy(), weights, labels[sample].flatten().tolist()) == pytest.approx(
            cost, abs=1e-5
        )
    torch.testing.assert_close(energy(labels).double(), least(energy), rtol=0, atol=1e-5)


def test_bits_are_set_in_the_order_of_their_chain() -> None:
    """A label between two neighbours that are held at 0 and 2 would cost 2 beside them, and 5 by itself."""
    unary = torch.tensor([[0.0, 9.0, 9.0], [0.0, 5.0, 0.0], [9.0, 9.0, 0.0]]).T[None]
    energy = Energy(unary, (torch.full((1, 2), 4.0),))
    assert float(energy(min_cut(energy))) == 4.0


def test_costs_of_any_size_are_resolved() -> None:
    """What is decided is a difference of 1e-3 beside a cost of 1e4 that no labelling pays, and the scale is free."""
    for scale in (1e-6, 1.0, 1e6):
        unary = scale * torch.tensor([[[1e-3, 0.0], [0.0, 1e-3], [1e4, 1e4]]])
        labels = min_cut(Energy(unary, (scale * torch.tensor([[1e-5]]),)))
        assert labels.tolist() == [[1, 0]]


def test_weights_of_zero_leave_each_block_alone() -> None:
    energy = random_energy(8, 4, (3, 4), scale=0.0)
    assert torch.equal(min_cut(energy), energy.unary.argmin(1))
    convex = torch.arange(4.0).view(1, 4, 1, 1).sub(4 * torch.rand(8, 1, 3, 4)).square()
    energy = Energy(convex, energy.weights)
    assert torch.equal(relaxed_cut(energy), energy.unary.argmin(1))


def test_large_weights_make_one_label_of_all() -> None:
    energy = random_energy(8, 3, (2, 3), scale=0.0)
    energy = Energy(energy.unary, tuple(torch.full_like(weight, 100.0) for weight in energy.weights))
    constant = energy.unary.flatten(2).sum(2).argmin(1)
    assert torch.equal(min_cut(energy), constant.view(-1, 1, 1).expand(-1, 2, 3))


# ---------------------------------------------------------------- the solver on the batch's own device

OWN = [
    ((16,), 16),
    ((40,), 8),
    ((16, 16), 2),
    ((16, 16), 4),
    ((32, 32), 8),
    ((32, 32), 16),
    ((9, 20), 5),
    ((8, 8, 8), 4),
]


@pytest.mark.parametrize(("beta", "bound"), [(1.2, 0.001), (8.0, 0.02)])
@pytest.mark.parametrize(("grid", "count"), OWN, ids=str)
@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_the_relaxed_cut_is_all_but_the_least(
    n_labels: int, grid: tuple[int, ...], count: int, beta: float, bound: float
) -> None:
    """For each of 32 samples within 0.1 % at the published beta, and within 2 % where borders cost far more."""
    energy = puzzle(32, n_labels, grid, count, beta=beta)
    found, exact = energy(relaxed_cut(energy)).double(), energy(min_cut(energy)).double()
    assert (found >= exact * (1 - 1e-5)).all()
    assert (found <= exact * (1 + bound)).all()


@small
def test_the_ends_of_the_prior_are_held(n_labels: int, counts: tuple[int, ...]) -> None:
    """There -log(p + 1e-8) is not convex in the label; labels still come in order, and pay what they cost."""
    grid, index = [3 * n for n in counts], torch.arange(4).roll(1)
    for lam, label in ((0.0, n_labels - 1), (1.0, 0)):
        share, x = torch.full((4,), lam), torch.rand(4, 1, *grid)
        energy = energy_of(x, torch.rand(4, *grid), share, counts, index=index, n_labels=n_labels, eta=100.0)
        assert (relaxed_cut(energy) == label).all()
        assert (min_cut(energy) == label).all()


def test_each_sample_is_solved_by_itself() -> None:
    energy = puzzle(6, 3, (16, 16), 8)
    alone = [Energy(energy.unary[i : i + 1], tuple(w[i : i + 1] for w in energy.weights)) for i in range(6)]
    for solve in (min_cut, relaxed_cut):
        assert torch.equal(torch.cat([solve(each) for each in alone]), solve(energy))


# ---------------------------------------------------------------- Puzzle Mix's energy

LAYOUTS = [
    ((6,), 2, "b c *"),
    ((7,), 3, "b c *"),
    ((4, 4), 2, "b c *"),
    ((5, 7), 3, "b c *"),
    ((1, 5), 2, "b c *"),
    ((8, 6), 2, "b * c"),
    ((3, 4, 5), 2, "b c *"),
    ((9, 9), 2, "b c e *"),
]


@pytest.mark.parametrize(("grid", "count", "axes"), LAYOUTS, ids=str)
@pytest.mark.parametrize("n_labels", [2, 3, 4])
@pytest.mark.parametrize("neigh_size", [1, 2, 5])
def test_the_energy_is_that_of_plain_loops(
    n_labels: int, neigh_size: int, grid: tuple[int, ...], count: int, axes: str
) -> None:
    x, salient, index = torch.randn(3, 2, *grid), torch.rand(3, *grid), torch.tensor([1, 1, 0])
    counts, lam = tuple(min(count, size) for size in grid), torch.tensor([0.3, 0.8, 0.01])
    laid = {"b c *": x, "b * c": x.movedim(1, -1), "b c e *": x[:, :, None]}[axes]
    chosen = settings(n_labels=n_labels, beta=1.7, gamma=0.6, eta=0.3, neigh_size=neigh_size)
    energy = energy_of(laid, salient, lam, counts, index=index, axes=axes, **chosen)
    images, found = x.double().numpy(), salient.double().numpy()
    for own, partner in enumerate(index.tolist()):
        unary, weights, _ = loop_terms(images, found, own, partner, float(lam[own]), counts, **chosen)
        np.testing.assert_allclose(energy.unary[own].numpy(), unary, rtol=1e-4, atol=1e-6)
        for weight, expected in zip(energy.weights, weights, strict=True):
            np.testing.assert_allclose(weight[own].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_with_two_labels_it_is_what_is_lost_at_blocks_and_borders() -> None:
    """Up to a constant: saliency of what is not taken, D of the images that meet, beta where they differ, the prior."""
    counts, lam, chosen = (2, 2), 0.3, settings(n_labels=2, beta=1.7, gamma=0.6, eta=0.3, neigh_size=2)
    x, salient = torch.randn(2, 3, 6, 8), torch.rand(2, 6, 8)
    energy = energy_of(x, salient, torch.full((2,), lam), counts, index=torch.tensor([1, 0]), **chosen)
    gaps = loop_terms(x.double().numpy(), salient.double().numpy(), 0, 1, lam, counts, **chosen)[2]
    share = Blocks((6, 8), counts).shares(salient)
    differences = []
    for labels in _all(2, 4):
        label = dict(zip(cells_of(counts), labels, strict=True))
        cost = sum(float(share[(1 - label[p], *p)]) for p in cells_of(counts))
        cost -= 0.3 / 4 * sum(math.log(1 - lam if label[p] else lam) for p in cells_of(counts))
        for axis, p, q in borders_of(counts):
            cost += gaps[axis][p, q][f"{1 - label[p]}{1 - label[q]}"] + (label[p] != label[q]) * 1.7 / 16 / 2
        differences.append(float(energy(torch.tensor([labels, labels]).view(2, 2, 2))[0]) - cost)
    assert max(differences) - min(differences) < 1e-5


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_no_border_is_cheaper_cut_than_not(gamma: float) -> None:
    x = (torch.rand(6, 3, 8, 8) > 0.5).float() * 1e3 - 77
    index, lam = torch.arange(6).roll(1), torch.rand(6)
    energy = energy_of(x, torch.rand(6, 8, 8), lam, (4, 4), index=index, gamma=gamma, neigh_size=1)
    for weight in energy.weights:
        assert (weight >= 1.2 / 64 * (1 - gamma) - 1e-7).all()
        assert (weight >= 0).all()


@pytest.mark.parametrize("counts", [(5,), (4, 4), (2, 3), (2, 3, 4)], ids=str)
def test_a_straight_cut_costs_the_same_in_every_rank(counts: tuple[int, ...]) -> None:
    """beta / 16 where images are flat, along every axis and whatever the number of blocks."""
    grid = [2 * n for n in counts]
    x, lam, index = torch.zeros(2, 1, *grid), torch.rand(2), torch.tensor([1, 0])
    energy = energy_of(x, torch.zeros(2, *grid), lam, counts, index=index, eta=0.0)
    none = energy(torch.zeros(2, *counts, dtype=torch.int64))
    for axis, count in enumerate(counts):
        half = (torch.arange(count) >= count // 2).long().view(-1, *[1] * (len(counts) - axis - 1))
        crossed = energy(2 * half.expand(2, *counts)) - none
        torch.testing.assert_close(crossed, torch.full((2,), 1.2 / 16))


# ---------------------------------------------------------------- errors


def test_a_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse.csgraph", None)
    with pytest.raises(ImportError, match=r"pip install 'mixmodal\[puzzle\]'.*solver='torch', transport='heuristic'"):
        min_cut(random_energy(1, 2, (2,)))
    assert relaxed_cut(random_energy(1, 2, (2,))).shape == (1, 2)


def test_pixels_that_are_no_numbers_are_refused() -> None:
    x = torch.rand(2, 1, 4)
    x[1, 0, 2] = math.nan
    with pytest.raises(ValueError, match=r"x must be finite.*nan"):
        energy_of(x, torch.ones(2, 4), torch.ones(2), (2,), index=torch.tensor([1, 0]))
