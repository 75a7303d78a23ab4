"""Minimum-energy labellings of a grid of blocks: each label has a cost in each block, as do differing neighbours."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixmodal.core.checks import check
from mixmodal.core.grids import channels
from mixmodal.methods.puzzle.transport import Blocks, cut, needs_scipy


@dataclass(frozen=True, eq=False)
class Energy:
    """`Σ_p unary[l_p] + Σ_pq weight_pq · (l_p - l_q)² / (K - 1)²` of labels l in 0 … K - 1, for each sample of a batch.

    Args:
        unary: cost of each label in each block, floating (B, K, *blocks), K of 2 or more.
        weights: for each axis, the weights of its borders, 0 or more, (B, *blocks) but one shorter along that axis.

    >>> energy = Energy(torch.tensor([[[0.0, 0.2], [1.0, 0.0]]]), (torch.tensor([[0.5]]),))
    >>> energy(torch.tensor([[0, 1]])), energy(torch.tensor([[0, 0]]))
    (tensor([0.5000]), tensor([0.2000]))
    """

    unary: Tensor
    weights: tuple[Tensor, ...]

    def __call__(self, labels: Tensor) -> Tensor:
        """The energy (B,) of labels, int64 (B, *blocks)."""
        total = self.unary.gather(1, labels[:, None]).flatten(1).sum(1)
        for axis, weight in enumerate(self.weights, start=1):
            total = total + self.step * (weight * labels.diff(dim=axis).square()).flatten(1).sum(1)
        return total

    @property
    def step(self) -> float:
        """Cost of a border of weight 1 between labels that differ by 1."""
        return 1 / (self.unary.shape[1] - 1) ** 2

    def chains(self) -> Tensor:
        """Cost of each label in each block, (B, K, *blocks), if a border costs its weight per pair of unequal bits.

        A block has a chain of K - 1 bits, and its label says how many are set. For two blocks with labels l and m, the
        number of pairs of a bit of one and a bit of the other that differ is (l - m)² - l² - m² + (K - 1)(l + m): the
        excess over (l - m)² is charged to the blocks.
        """
        level = torch.arange(self.unary.shape[1], device=self.unary.device).view(-1, *[1] * len(self.weights))
        degree = torch.zeros_like(self.unary[:, :1])
        for axis, weight in enumerate(self.weights, start=2):
            add_to_ends(degree, axis, weight[:, None], weight[:, None])
        return self.unary + self.step * level * (level - level[-1]) * degree


def puzzle_energy(
    x: Tensor,
    salient: Tensor,
    index: Tensor,
    lam: Tensor,
    blocks: Blocks,
    *,
    axes: str,
    n_labels: int,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
) -> Energy:
    """Puzzle Mix's energy: the saliency lost, borders by how badly the images fit there, and the prior's surprise.

    Label 0 keeps a block, label `n_labels` - 1 takes the partner's, and those in between mix them in even steps.

    Args:
        x: the batch, (B, ...), finite.
        salient: share of a sample's saliency in each block, (B, *counts), with sum 1.
        index: partner of each sample, int64 (B,).
        lam: own share of the prior, (B,): labels are binomial with probability `lam` for each step towards label 0.
        blocks: the grid and its blocks.
        axes: axes pattern of `x`.
        n_labels: see `PuzzleMix`.
        beta: see `PuzzleMix`. A straight cut through the grid costs beta / 16, as in the authors' two dimensions.
        gamma: see `PuzzleMix`.
        eta: see `PuzzleMix`.
        neigh_size: see `PuzzleMix`.

    Returns:
        The energy, float32, with weights of 0 or more.

    Source: the code published with Puzzle Mix, mixup.py, mixup_graph and graphcut_multi. Deviations: see `PuzzleMix`.
    """
    counts, number, most = blocks.counts, math.prod(blocks.counts), n_labels - 1
    images = _scaled(x, axes, blocks.split(neigh_size))
    lose_own, lose_partner = salient.clone(), salient.index_select(0, index)
    weights = []
    for axis, count in enumerate(counts):
        border = beta / 16 * count / number
        own, ahead, behind = (border * gamma * gap for gap in _gaps(images, index, counts, axis))
        other = own.index_select(0, index)
        add_to_ends(lose_partner, axis + 1, (ahead + own) / 2, (behind + own) / 2)
        add_to_ends(lose_own, axis + 1, (behind + other) / 2, (ahead + other) / 2)
        weights.append((border + (ahead + behind - own - other) / 2).clamp(min=0))
    lam = lam.float()
    chances = [math.comb(most, level) * lam ** (most - level) * (1 - lam) ** level for level in range(n_labels)]
    surprise = -torch.log(torch.stack(chances, dim=1) + 1e-8) / number
    share = torch.arange(n_labels, device=x.device).float().view(-1, *[1] * len(counts)) / most
    unary = torch.lerp(lose_partner[:, None], lose_own[:, None], share)
    return Energy(unary + float(eta) * surprise.view(*surprise.shape, *[1] * len(counts)), tuple(weights))


def min_cut(energy: Energy) -> Tensor:
    """The labelling of least energy, from a minimum cut for each sample, on the CPU.

    Args:
        energy: weights must be 0 or more.

    Returns:
        int64 (B, *blocks), on the device of the energy.

    Raises:
        ImportError: scipy is missing.

    >>> min_cut(Energy(torch.tensor([[[0.0, 0.2], [1.0, 0.0]]]), (torch.tensor([[0.1]]),)))
    tensor([[0, 1]])

    Source: Ishikawa, Exact Optimization for Markov Random Fields with Convex Priors (PAMI 2003). Costs are rounded
    to 2^-28 of the energy of a constant labelling.
    """
    sparse, graphs = needs_scipy("sparse"), needs_scipy("sparse.csgraph")
    batch, count, *blocks = energy.unary.shape
    tails, heads = _edges(count, blocks)
    nodes = 2 + (count - 1) * math.prod(blocks)
    order = (tails * nodes + heads).argsort()
    heads, starts = heads[order].int(), torch.zeros(nodes + 1, dtype=torch.int32, device="cpu")
    starts[1:] = tails.bincount(minlength=nodes).cumsum(0)
    labels = torch.empty(batch, math.prod(blocks), dtype=torch.int64, device="cpu")
    for capacity, into in zip(_capacities(energy)[:, order], labels, strict=True):
        graph = sparse.csr_array((capacity.numpy(), heads.numpy(), starts.numpy()), shape=(nodes, nodes))
        left = graph - graphs.maximum_flow(graph, 0, 1).flow
        left.eliminate_zeros()
        reached = torch.from_numpy(graphs.breadth_first_order(left, 0, return_predecessors=False))
        bits = torch.zeros(nodes, dtype=torch.int64, device="cpu").index_fill_(0, reached.long(), 1)
        torch.sum(bits[2:].view(count - 1, -1), dim=0, out=into)
    return labels.view(batch, *blocks).to(energy.unary.device)


def relaxed_cut(energy: Energy, *, rounds: int = 100) -> Tensor:
    """A labelling of nearly least energy, for the whole batch at once on its device, without waiting for it.

    The minimum cut is a linear program. Its bits are relaxed to [0, 1], and a fixed number of steps is taken towards
    the saddle point of bits and flows. The best of three thresholds is kept for each sample.

    Args:
        energy: weights must be 0 or more.
        rounds: number of steps. 100 come within 0.1 % of the least energy for Puzzle Mix's own energies with up to 16
            blocks per axis.

    Returns:
        int64 (B, *blocks).

    >>> relaxed_cut(Energy(torch.tensor([[[0.0, 0.2], [1.0, 0.0]]]), (torch.tensor([[0.1]]),)))
    tensor([[0, 1]])

    Source: Chambolle and Pock, A First-Order Primal-Dual Algorithm for Convex Problems (2011), algorithm 1.
    """
    cost = _convex(energy.chains().diff(dim=1))
    rank = len(energy.weights)
    caps = [energy.step * weight[:, None, None] for weight in energy.weights]
    mean = sum(cap.flatten(1).sum(1) for cap in caps) / max(sum(cap[0].numel() for cap in caps), 1)
    scale = (mean + 1e-6 * cost.abs().flatten(1).mean(1)).clamp(min=torch.finfo(cost.dtype).tiny)
    cost = cost / scale.view(-1, 1, *[1] * rank)
    caps = [cap / scale.view(-1, 1, 1, *[1] * rank) for cap in caps]
    bits = ahead = torch.full_like(cost, 0.5)
    flows = [torch.zeros_like(cap) for cap in caps]
    stride = 0.5 / math.sqrt(rank * cost.shape[1])  # the largest that converges for this many flows per bit
    for _ in range(rounds):
        pull = cost.clone()
        for axis, cap in enumerate(caps, start=2):
            size = cap.shape[axis + 1]
            differ = ahead.narrow(axis, 0, size)[:, :, None] - ahead.narrow(axis, 1, size)[:, None]
            flow = flows[axis - 2].add(differ, alpha=stride).clamp(-cap, cap)
            flows[axis - 2] = flow
            add_to_ends(pull, axis, flow.sum(2), -flow.sum(1))
        before, bits = bits, (bits - stride * pull).clamp(0, 1)
        ahead = 2 * bits - before
    found = torch.stack([(bits > threshold).sum(1) for threshold in (0.25, 0.5, 0.75)])
    best = torch.stack([energy(labels) for labels in found]).argmin(0)
    return found.gather(0, best.view(1, -1, *[1] * rank).expand_as(found[:1]))[0]


def add_to_ends(x: Tensor, axis: int, low: Tensor, high: Tensor) -> None:
    """Add to the blocks `x` what each border along an axis contributes to the block below and the block above it."""
    x.narrow(axis, 0, low.shape[axis]).add_(low)
    x.narrow(axis, 1, high.shape[axis]).add_(high)


def _edges(count: int, blocks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Tails and heads of the edges of a cut: down each chain, and across each border both ways.

    Node 0 is the source, 1 the sink; then come the first bits of all blocks, the second bits, and so on. Nothing needs
    to keep the bits of a chain in order: the cost of the borders is linear in the number of bits that are set, so a cut
    at two places of a chain costs no less than the better of the two.
    """
    bits = 2 + torch.arange((count - 1) * math.prod(blocks), device="cpu").view(count - 1, *blocks)
    chain = torch.cat([torch.zeros_like(bits[:1]), bits, torch.ones_like(bits[:1])]).flatten(1)
    tails, heads = [chain[:-1].flatten()], [chain[1:].flatten()]
    for axis, size in enumerate(blocks, start=1):
        low = bits.narrow(axis, 0, size - 1).flatten(1)[:, None].expand(-1, count - 1, -1).flatten()
        high = bits.narrow(axis, 1, size - 1).flatten(1)[None].expand(count - 1, -1, -1).flatten()
        tails += [low, high]
        heads += [high, low]
    return torch.cat(tails), torch.cat(heads)


def _capacities(energy: Energy) -> Tensor:
    """Capacities of the edges in the order of `_edges`, int32 (B, E) on the CPU.

    No minimum cut is larger than the cut of a constant labelling; twice that cost is as good as infinite.
    """
    energy = Energy(energy.unary.double().cpu(), tuple(weight.double().cpu() for weight in energy.weights))
    count = energy.unary.shape[1]
    cost = energy.chains().flatten(2)
    cost = cost - cost.amin(1, keepdim=True)
    constant = cost[:, [0, -1]].sum(2).amin(1, keepdim=True).clamp(min=1e-9)
    across = [energy.step * weight.flatten(1).repeat(1, 2 * (count - 1) ** 2) for weight in energy.weights]
    capacity = torch.cat([cost.flatten(1), *across], dim=1).minimum(2 * constant)
    return (capacity * (2**28 / constant)).round().int()


def _convex(slopes: Tensor) -> Tensor:
    """Slopes (B, K - 1, ...) made non-decreasing, so that they alone would set bits in the order of their chain.

    They are the slopes of the convex envelope: the prior is convex except where a share is almost 0 or 1.
    """
    count = slopes.shape[1]
    means = {(i, j): slopes[:, i : j + 1].mean(1) for j in range(count) for i in range(j + 1)}
    rising = [
        torch.stack([torch.stack([means[i, j] for i in range(k + 1)]).amax(0) for j in range(k, count)]).amin(0)
        for k in range(count)
    ]
    return torch.stack(rising, dim=1)


def _scaled(x: Tensor, axes: str, cells: Blocks) -> Tensor:
    """Cell means of `x`, (B, C, *counts) float32, each channel scaled to [0, 1] by its range in the batch."""
    x = channels(x, axes)
    every = (0, *range(2, x.ndim))
    low, high = x.amin(every, keepdim=True), x.amax(every, keepdim=True)
    check(torch.isfinite(low) & torch.isfinite(high), "x must be finite", x)
    return ((cells.means(x) - low) / torch.where(high > low, high - low, 1)).float()


def _gaps(images: Tensor, index: Tensor, counts: Sequence[int], axis: int) -> Iterator[Tensor]:
    """Mean difference of the cells on both sides of each border along an axis, (B, *counts), one shorter on that axis.

    First with the own image on both sides, then with the own one before the border and the partner's after it, then
    the other way round.
    """
    parts = cut(images, axis + 2, counts[axis])
    before = parts.select(axis + 3, -1).narrow(axis + 2, 0, counts[axis] - 1)
    behind = parts.select(axis + 3, 0).narrow(axis + 2, 1, counts[axis] - 1)
    partner_before, partner_behind = before.index_select(0, index), behind.index_select(0, index)
    for one, other in ((before, behind), (before, partner_behind), (partner_before, behind)):
        gap = (one - other).abs().mean(1)
        for across, count in enumerate(counts):
            if across != axis:
                gap = cut(gap, across + 1, count).mean(across + 2)
        yield gap
