"""Puzzle Mix: a mask that keeps what is salient to a model in both partners."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mixmodal.core.checks import Settings, check, check_tensor, is_number, is_whole, require
from mixmodal.core.draws import Asked, Draws
from mixmodal.core.grids import grid_of, own_share
from mixmodal.core.records.mix import Mix
from mixmodal.methods.puzzle.cuts import min_cut, puzzle_energy, relaxed_cut
from mixmodal.methods.puzzle.transport import Blocks, plan
from mixmodal.methods.uniform import MixUp

Transport = Literal["heuristic", "exact", "none"]
Solver = Literal["exact", "torch"]


@dataclass(frozen=True, kw_only=True)
class PuzzleMix(Settings, Draws):
    """Keep in each block what is salient in one partner or the other, with few borders, and move it where it is seen.

    A draw needs `saliency`, floating (B, *grid), finite, 0 or more, whose scale does not matter, and does not take
    `valid`. `lam` is the share that the prior asks for. The number of blocks is drawn from `generator`, which waits for
    its device, or from the CPU's global one. The record has a mask for each sample and, unless `transport` is "none",
    `moves`.

    Args:
        alpha: `lam` ~ Beta(alpha, alpha) is the share that the prior asks for; the saliency decides what it becomes.
        n_labels: levels of the mask, 2, 3 or 4: 2 for 0 and 1, 3 for 0, 1/2 and 1.
        beta: cost of neighbouring blocks with different labels, 0 or more.
        gamma: how much of that cost depends on how well the images fit together there, in [0, 1].
        eta: weight of the prior, 0 or more.
        neigh_size: side of the cells whose means are compared across a border, 1 or more.
        blocks: numbers of blocks along an axis, one of which is drawn for each batch; an axis with fewer cells has one
            block per cell.
        transport: "heuristic" moves salient blocks to where the mask shows them, like the authors' code; "exact" does
            so by an optimal assignment, which needs scipy; "none" leaves them in place.
        t_eps: cost of moving a block, 0 or more.
        solver: "exact" for a minimum cut on the CPU, which needs scipy; "torch" for `cuts.relaxed_cut` on the batch's
            own device, which hardly ever labels a block differently.
        axes: see `Mixer`.
        per_sample: a `lam` for every sample; if False, one for the whole batch. Masks always differ between samples.

    Raises:
        TypeError: at a draw: no `saliency`; `valid` is given.
        ValueError: an argument out of range. At a draw: `saliency` has another shape, is negative or not finite; `x` is
            not finite.
        ImportError: at a draw: scipy is needed and missing.

    >>> import mixmodal as mm
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5))
    >>> x, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    >>> mixed, mix = PuzzleMix()(x, saliency=mm.saliency(model, x, y))
    >>> mix.mask.shape, bool(torch.isclose(mix.lam, mix.mask.mean((1, 2))).all())
    (torch.Size([4, 8, 8]), True)

    Source: Kim et al., Puzzle Mix (ICML 2020); the code published with it, mixup.py. Deviations: any rank, sizes and
    number of channels; images are scaled to [0, 1] by the range of each channel in the batch, not by the data set's
    mean and deviation, so that no border is cheaper to cut than not to cut; the labelling is one of least energy, not
    the result of swap moves; blocks are moved whole (t_size = -1 there); no adversarial noise; `cuts` and `transport`
    list their own. In ranks other than 2, a straight cut through the grid also costs beta / 16, as in their code.
    """

    alpha: float = 1.0
    n_labels: int = 3
    beta: float = 1.2
    gamma: float = 0.5
    eta: float = 0.2
    neigh_size: int = 4
    blocks: Sequence[int] = (2, 4, 8, 16)
    transport: Transport = "heuristic"
    t_eps: float = 0.8
    solver: Solver = "exact"
    axes: str = "b c *"
    per_sample: bool = False

    partner: ClassVar[bool] = True  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pairs()
        require(is_whole(self.n_labels) and 2 <= self.n_labels <= 4, "n_labels", self.n_labels, "be 2, 3 or 4")
        for name in ("beta", "eta", "t_eps"):
            value = getattr(self, name)
            require(is_number(value) and value >= 0, name, value, "be a number, 0 or more")
        require(is_number(self.gamma) and 0 <= self.gamma <= 1, "gamma", self.gamma, "be a number in [0, 1]")
        whole = is_whole(self.neigh_size) and self.neigh_size > 0
        require(whole, "neigh_size", self.neigh_size, "be a whole number of cells, 1 or more")
        counts = self.blocks if isinstance(self.blocks, Sequence) and not isinstance(self.blocks, str) else ()
        fine = len(counts) > 0 and all(is_whole(count) and count > 0 for count in counts)
        require(fine, "blocks", self.blocks, "hold one whole number or more, 1 or more each, as in (2, 4, 8, 16)")
        object.__setattr__(self, "blocks", tuple(map(int, counts)))
        require(self.transport in get_args(Transport), "transport", self.transport, "be 'heuristic', 'exact' or 'none'")
        require(self.solver in get_args(Solver), "solver", self.solver, "be 'exact' or 'torch'")

    @property
    def needs_saliency(self) -> bool:
        return True

    def record(self, x: Tensor, asked: Asked) -> Mix:
        if asked.valid is not None:
            raise TypeError(
                "PuzzleMix does not support padding, but valid is given: use MixUp, CutMix or FMix, which do"
            )
        pair = self._pairs().record(x, asked)
        grid = grid_of(x, self.axes)
        require(x.numel() > 0, "x.shape", tuple(x.shape), "have a sample and a channel or more, which are compared")
        assert asked.saliency is not None
        _check_saliency(asked.saliency, (len(x), *grid))
        generator = asked.generator
        device = "cpu" if generator is None else generator.device
        count = self.blocks[int(torch.randint(len(self.blocks), (), device=device, generator=generator))]
        blocks = Blocks(tuple(grid), tuple(min(count, size) for size in grid))
        with torch.no_grad():
            salient = blocks.shares(asked.saliency.to(x.device, torch.float32))
            energy = puzzle_energy(
                x,
                salient,
                pair.index,
                pair.lam,
                blocks,
                axes=self.axes,
                n_labels=self.n_labels,
                beta=self.beta,
                gamma=self.gamma,
                eta=self.eta,
                neigh_size=self.neigh_size,
            )
            labels = min_cut(energy) if self.solver == "exact" else relaxed_cut(energy)
            shown = 1 - labels.float() / (self.n_labels - 1)
            moves = self._moves(salient, shown, pair.index, blocks)
            mask = blocks.spread(shown)
        return Mix(
            index=pair.index,
            mask=mask,
            lam=own_share(mask, pair.index),
            axes=self.axes,
            hard=self.n_labels == 2,
            moves=moves,
        )

    def _pairs(self) -> MixUp:
        """The mixer that draws the partners and the share asked for."""
        return MixUp(alpha=self.alpha, axes=self.axes, per_sample=self.per_sample)

    def _moves(self, salient: Tensor, shown: Tensor, index: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor] | None:
        """For both sides, the cell that each cell takes its value from."""
        if self.transport == "none":
            return None
        own = plan(blocks, salient, shown, t_eps=self.t_eps, method=self.transport)
        other = plan(blocks, salient.index_select(0, index), 1 - shown, t_eps=self.t_eps, method=self.transport)
        return blocks.cells(own), blocks.cells(other)


def _check_saliency(saliency: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless `saliency` is finite, 0 or more, and has this `shape` of batch and grid."""
    check_tensor(saliency, "saliency")
    if not saliency.is_floating_point():
        raise TypeError(f"saliency is {saliency.dtype} and must be floating, as mm.saliency returns it")
    if saliency.shape != shape:
        raise ValueError(
            f"saliency has shape {tuple(saliency.shape)} and must have the shape {shape} of batch and grid; give "
            f"mm.saliency the same axes as PuzzleMix"
        )
    check(torch.isfinite(saliency) & (saliency >= 0), "saliency must be finite and 0 or more", saliency)
