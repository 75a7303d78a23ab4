"""Blocks of a grid against plain loops, and assignments against the authors' rule and all permutations."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from mixmodal.methods.puzzle import transport
from mixmodal.methods.puzzle.transport import Blocks, assign_exactly, assign_greedily, plan

LAYOUTS = [((6,), (3,)), ((7,), (3,)), ((4, 4), (2, 2)), ((5, 7), (3, 2)), ((1, 6), (1, 4)), ((3, 4, 5), (2, 3, 2))]
layouts = pytest.mark.parametrize(("grid", "counts"), LAYOUTS, ids=str)
CPU = torch.device("cpu")
Cell = tuple[int, ...]


def cells_of(sizes: Cell) -> list[Cell]:
    return list(itertools.product(*[range(size) for size in sizes]))


def block_of(p: Cell, grid: Cell, counts: Cell) -> Cell:
    return tuple(c * n // s for c, s, n in zip(p, grid, counts, strict=True))


def members(grid: Cell, counts: Cell) -> dict[Cell, list[Cell]]:
    """The cells of each block, in the order of the grid."""
    found: dict[Cell, list[Cell]] = {}
    for p in cells_of(grid):
        found.setdefault(block_of(p, grid, counts), []).append(p)
    return found


# ---------------------------------------------------------------- blocks


@layouts
def test_sums_means_and_shares_are_those_of_plain_loops(grid: Cell, counts: Cell) -> None:
    x, blocks = torch.rand(2, 3, *grid), Blocks(grid, counts)
    sums, means = blocks.sums(x), blocks.means(x)
    assert sums.shape == means.shape == (2, 3, *counts)
    for block, cells in members(grid, counts).items():
        values = torch.stack([x[(..., *p)] for p in cells])
        torch.testing.assert_close(sums[(..., *block)], values.sum(0))
        torch.testing.assert_close(means[(..., *block)], values.mean(0))
    torch.testing.assert_close(blocks.shares(x[0]).flatten(1).sum(1), torch.ones(3))
    torch.testing.assert_close(blocks.shares(x[0]), blocks.shares(1e-12 * x[0]))


def test_nothing_salient_is_salient_everywhere() -> None:
    shares = Blocks((5, 4), (2, 2)).shares(torch.stack([torch.zeros(5, 4), torch.eye(5)[:, :4]]))
    assert torch.equal(shares[0], torch.full((2, 2), 0.25))
    assert torch.equal(shares[1], torch.tensor([[0.5, 0.25], [0.0, 0.25]]))


@layouts
def test_every_cell_has_the_value_of_its_block(grid: Cell, counts: Cell) -> None:
    values = torch.rand(2, *counts)
    spread = Blocks(grid, counts).spread(values)
    for p in cells_of(grid):
        assert torch.equal(spread[(..., *p)], values[(..., *block_of(p, grid, counts))])


@layouts
@pytest.mark.parametrize("side", [1, 2, 9])
def test_split_blocks_lie_within_blocks(grid: Cell, counts: Cell, side: int) -> None:
    blocks = Blocks(grid, counts)
    parts = blocks.split(side)
    for p in cells_of(grid):
        part = block_of(p, grid, parts.counts)
        assert block_of(part, parts.counts, counts) == block_of(p, grid, counts)
    if all(s % n == 0 and (s // n) % min(side, s // n) == 0 for s, n in zip(grid, counts, strict=True)):
        sides = [min(side, s // n) for s, n in zip(grid, counts, strict=True)]
        assert parts.counts == tuple(s // side for s, side in zip(grid, sides, strict=True))


@layouts
def test_cells_follow_their_block_with_their_offset(grid: Cell, counts: Cell) -> None:
    number = math.prod(counts)
    source = torch.stack([torch.randperm(number), torch.arange(number), torch.full((number,), -1)])
    source[0, -1] = -1
    found = Blocks(grid, counts).cells(source)
    assert found.shape == (3, *grid)
    inside, places = members(grid, counts), cells_of(counts)
    for p in cells_of(grid):
        taken = int(source[0, places.index(block_of(p, grid, counts))])
        if taken < 0:
            assert found[(0, *p)] == -1
            continue
        own, other = inside[block_of(p, grid, counts)], inside[places[taken]]
        cell = tuple(min(o + c - s, e) for c, s, o, e in zip(p, own[0], other[0], other[-1], strict=True))
        assert found[(0, *p)] == cells_of(grid).index(cell)
    assert torch.equal(found[1].flatten(), torch.arange(math.prod(grid)))
    assert (found[2] == -1).all()


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_distances_on_a_square_are_the_authors(n: int) -> None:
    found = Blocks((2 * n, 3 * n), (n, n)).distances(CPU)
    expected = [
        [((a - c) ** 2 + (b - d) ** 2) / (n - 1) ** 2 for c, d in cells_of((n, n))] for a, b in cells_of((n, n))
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("counts", [(1,), (6,), (2, 5), (1, 6), (4, 4, 4), (2, 1, 3)], ids=str)
def test_distances_in_any_rank(counts: Cell) -> None:
    """The sum over axes of (way / longest way)², as heavy beside 1 / N as in two dimensions."""
    found = Blocks(counts, counts).distances(CPU)
    rank, number = max(sum(n > 1 for n in counts), 1), math.prod(counts)
    for (i, p), (j, q) in itertools.product(enumerate(cells_of(counts)), repeat=2):
        way = sum(((a - b) / (n - 1)) ** 2 for a, b, n in zip(p, q, counts, strict=True) if n > 1)
        assert float(found[i, j]) == pytest.approx(way * number ** (2 / rank) / number, abs=1e-6)


def test_a_step_weighs_against_a_blocks_saliency_as_in_two_dimensions() -> None:
    steps = [float(Blocks(c, c).distances(CPU)[0, 1]) * math.prod(c) for c in ((9,), (9, 9), (9, 9, 9), (1, 9, 9))]
    assert steps == pytest.approx([steps[1]] * 4)


# ---------------------------------------------------------------- assignments


def loop_heuristic(cost: np.ndarray, rounds: int) -> list[int]:
    """The authors' rule for one sample, with what losers pay added in every round: the source of each target."""
    cost = cost.copy()
    for _ in range(rounds):
        wish = cost.argmin(1)
        plan = np.zeros_like(cost)
        plan[np.arange(len(cost)), wish] = 1
        win = np.zeros_like(cost)
        win[(plan * cost).argmin(0), np.arange(cost.shape[1])] = 1
        win *= plan
        cost += (1 - win) * plan
    return [int(column.argmax()) if column.any() else -1 for column in win.T]


def costs(batch: int, counts: Cell, t_eps: float, shown: float = 0.6) -> tuple[Tensor, Tensor, Tensor]:
    """Saliency, what is seen of it, and the costs made of the two, as the facts file has them (7.1, step 7)."""
    share = torch.rand(batch, *counts) ** 6
    share = share / share.flatten(1).sum(1).view(-1, *[1] * len(counts))
    seen = (torch.rand(batch, *counts) < shown).float() / torch.randint(1, 3, (batch, *counts))
    far = t_eps * Blocks(counts, counts).distances(CPU)
    return share, seen, far - share.flatten(1)[:, :, None] * (seen.flatten(1) > 0).float()[:, None]


@pytest.mark.parametrize("counts", [(5,), (2, 2), (4, 4), (3, 5), (2, 3, 2), (8, 8)], ids=str)
@pytest.mark.parametrize("t_eps", [0.05, 0.8])
def test_the_heuristic_is_the_authors_rule(counts: Cell, t_eps: float) -> None:
    """But for sources that cost nothing where nothing is seen: they stay, there they are left out. Over 20 samples."""
    share, seen, cost = costs(20, counts, t_eps)
    found = plan(Blocks(counts, counts), share, seen, t_eps=t_eps, method="heuristic")
    for sample in range(20):
        expected = torch.tensor(loop_heuristic(cost[sample].double().numpy(), max(counts)))
        free = (found[sample] == torch.arange(len(expected))) & (seen[sample].flatten() == 0)
        assert torch.equal(torch.where(free, expected, found[sample]), expected)


def test_the_heuristic_moves_and_resolves_conflicts() -> None:
    """The test above is of something: at a low price some move, some lose, and several rounds are needed."""
    _, _, cost = costs(20, (4, 4), 0.05)
    once, often = assign_greedily(cost, rounds=1), assign_greedily(cost, rounds=4)
    assert (once != often).any()
    assert ((often >= 0) & (often != torch.arange(16))).any()
    assert (often == -1).any()


def test_the_heuristic_on_a_device_runs_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, cost = costs(20, (4, 4), 0.05)
    on_host = assign_greedily(cost, rounds=16)
    monkeypatch.setattr(transport, "on_host", lambda x: False)
    assert torch.equal(assign_greedily(cost, rounds=16), on_host)


def test_a_cost_above_zero_never_wins_and_zero_does() -> None:
    cost = torch.tensor([[[0.1, 0.3, 0.2], [0.0, 0.5, 0.5], [0.9, -0.1, 0.9]]])
    assert assign_greedily(cost, rounds=5).tolist() == [[1, 2, -1]]


@pytest.mark.parametrize("method", ["heuristic", "exact"])
@pytest.mark.parametrize("counts", [(1,), (7,), (3, 4), (2, 2, 3)], ids=str)
def test_no_block_is_used_twice(counts: Cell, method: str) -> None:
    share, seen, _ = costs(20, counts, 0.1)
    found = plan(Blocks(counts, counts), share, seen, t_eps=0.1, method=method)  # type: ignore[arg-type]
    number = math.prod(counts)
    assert found.shape == (20, number)
    for row in found.tolist():
        used = [source for source in row if source >= 0]
        assert len(set(used)) == len(used)
        assert all(source < number for source in used)
        assert method == "heuristic" or len(used) == number


@pytest.mark.parametrize("counts", [(6,), (2, 3), (1, 5)], ids=str)
def test_the_exact_plan_is_the_cheapest_permutation(counts: Cell) -> None:
    """Of all 720 or 120, for 10 samples."""
    share, seen, cost = costs(10, counts, 0.1)
    found = plan(Blocks(counts, counts), share, seen, t_eps=0.1, method="exact")
    assert torch.equal(found, assign_exactly(cost))
    number = math.prod(counts)
    for matrix, row in zip(cost, found, strict=True):
        cheapest = min(sum(float(matrix[s, t]) for t, s in enumerate(p)) for p in itertools.permutations(range(number)))
        assert float(matrix[row, torch.arange(number)].sum()) == pytest.approx(cheapest, abs=1e-6)


@pytest.mark.parametrize("method", ["heuristic", "exact"])
def test_what_is_salient_comes_where_it_is_seen(method: str) -> None:
    """The only salient block is hidden, and the next place is free; far from any free place it stays."""
    share, seen = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    share[0, 1, 1], seen[0, 1, 2] = 1, 0.5
    found = plan(Blocks((4, 4), (4, 4)), share, seen, t_eps=0.8, method=method)  # type: ignore[arg-type]
    assert found[0, 6] == 5
    found = plan(Blocks((4, 4), (4, 4)), share, seen, t_eps=100.0, method=method)  # type: ignore[arg-type]
    assert found[0, 6] == 6


@pytest.mark.parametrize("method", ["heuristic", "exact"])
def test_what_is_all_seen_stays(method: str) -> None:
    share, _, _ = costs(8, (3, 3), 0.8)
    found = plan(Blocks((3, 3), (3, 3)), share, torch.ones(8, 3, 3), t_eps=0.8, method=method)  # type: ignore[arg-type]
    assert torch.equal(found, torch.arange(9).expand(8, 9))


@pytest.mark.parametrize("held", [1, 500, 2**24])
def test_large_batches_are_planned_in_parts(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    share, seen, cost = costs(7, (3, 4), 0.1)
    monkeypatch.setattr(transport, "HELD", held)
    found = plan(Blocks((3, 4), (3, 4)), share, seen, t_eps=0.1, method="heuristic")
    assert torch.equal(found, assign_greedily(cost, rounds=4))


def test_a_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"pip install 'mixmodal\[puzzle\]'.*solver='torch', transport='heuristic'"):
        assign_exactly(torch.zeros(1, 2, 2))
