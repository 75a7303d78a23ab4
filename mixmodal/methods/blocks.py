"""The named methods that alter random blocks: PatchUp and DropBlock, for feature maps of any rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mixmodal.core import masks
from mixmodal.core.checks import is_number, is_whole, require, shown
from mixmodal.core.grids import own_share, parse_axes
from mixmodal.core.mixer import Mixer
from mixmodal.core.records.mix import Mix

Channels = Literal["independent", "shared"]


@dataclass(frozen=True, kw_only=True)
class PatchUp(Mixer):
    """Mix random blocks of a feature map with the partner's, or swap them; leave the rest alone.

    At the input the paper cuts one box and blends nothing: use `CutMix` there. `HiddenMix` puts both into a network.

    Args:
        block_size: side of a block in cells; it covers a shorter axis entirely. 7 in the paper; use 5 or 3 in deep
            layers, where blocks of 7 alter nearly everything.
        gamma: nominal share of altered cells, in [0, 1]; if None, 0.75 if soft and 0.5 if not, as in the paper.
        soft: whether to blend the blocks with one share; if False, they are swapped.
        alpha: if soft, the own share in the blocks is Beta(alpha, alpha); 2 in the paper.
        channels: "independent" draws blocks for every index of the named axes of `axes`, as the authors' code does
            for channels; the axes of the record are then "b *". "shared" draws them once for all.
        seed_region: "everywhere", or "valid" for blocks that the border does not cut.
        gamma_mode: "nominal", or "calibrated", which attains `gamma`; see `masks.seed_probability`.
        axes: see `Mixer`; "b * d" for hidden states of a transformer.
        per_sample: see `Mixer`; in the paper, the batch shares its blocks.

    `lam` asks for the own share in the blocks, which hard blocks do not have. The record's `lam` is the share kept of
    the whole map. The loss is the paper's, halved so that all methods' losses are on the same scale: with p the share
    of untouched cells, s a sample's own share in its blocks (0 if hard) and Mix_w(y) = w · y + (1 - w) · y[index],

        1/2 · (p · ℓ(preds, y) + (1 - p) · ℓ(preds, Mix_s(y)) + ℓ(preds, Mix_lam(y)))

    For a criterion that is affine in the target, such as cross entropy, this is ℓ(preds, mix.targets(y)).

    Raises:
        ValueError: `lam` is given for hard blocks.

    >>> mixed, mix = PatchUp(block_size=3)(torch.rand(4, 16, 8, 8))
    >>> mix.axes, mix.mask.shape, bool((mixed != 0).all())
    ('b *', torch.Size([1, 16, 8, 8]), True)

    Source: Faramarzi et al., PatchUp (AAAI 2022), section 3, equations 2 to 6. Deviations from the authors' code:
    `masks.blocks`; gamma is adjusted to the map at every call, not once.
    """

    block_size: int = 7
    gamma: float | None = None
    soft: bool = True
    alpha: float = 2.0
    channels: Channels = "independent"
    seed_region: masks.SeedRegion = "everywhere"
    gamma_mode: masks.GammaMode = "nominal"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_side(self.block_size)
        if self.gamma is not None:
            _check_share(self.gamma, "gamma")
        require(isinstance(self.soft, bool), "soft", self.soft, "be True or False")
        for name, kind in (("channels", Channels), ("seed_region", masks.SeedRegion), ("gamma_mode", masks.GammaMode)):
            require(getattr(self, name) in get_args(kind), name, getattr(self, name), f"be one of {get_args(kind)}")

    @property
    def hard(self) -> bool:
        return not self.soft

    @property
    def span(self) -> str:
        return "b *" if self.channels == "independent" else self.axes

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        gamma = (0.75 if self.soft else 0.5) if self.gamma is None else self.gamma
        kept = _blocks(
            len(lam),
            shape,
            self.axes if self.channels == "independent" else "b *",
            block_size=self.block_size,
            gamma=gamma,
            seed_region=self.seed_region,
            gamma_mode=self.gamma_mode,
            device=lam.device,
            generator=generator,
        )
        share = lam.view(-1, *[1] * len(shape))
        return torch.lerp(share, torch.ones_like(share), kept.to(lam.dtype)) if self.soft else kept

    def complete(self, record: Mix) -> Mix:
        if not self.soft:
            return replace(record, parts=_halved(record.lam, 0.0, record.lam))
        untouched = own_share((record.mask == 1).to(record.mask.dtype), record.index, record.real)
        altered = torch.where(untouched < 1, 1 - untouched, 1)
        share = ((record.lam - untouched) / altered).clamp(0, 1)
        return replace(record, parts=_halved(untouched, share, record.lam))

    def _share(
        self, lam: Tensor | float | None, batch: int, device: torch.device, generator: torch.Generator | None
    ) -> Tensor:
        if self.soft:
            return super()._share(lam, batch, device, generator)
        if lam is not None:
            raise ValueError(
                f"lam={shown(lam)} was given, but hard blocks are swapped whole; leave it out, or set soft=True"
            )
        return torch.zeros(batch if self.per_sample else 1, dtype=torch.float32, device=device)


@dataclass(frozen=True, kw_only=True)
class DropBlock(Mixer):
    """Zero random blocks and scale up the rest, per channel. No partner: labels and integers are unchanged.

    For the paper's schedule, linear from 0 to `drop_prob`, replace the mixer in `HiddenMix.at` between steps.

    Args:
        block_size: side of a block in cells; it covers a shorter axis entirely.
        drop_prob: nominal share of zeros, in [0, 1]; see `masks.seed_probability`.
        axes: see `Mixer`; the axes of the record are "b *".
        per_sample: blocks for every sample; if False, the same for the whole batch.

    >>> dropped, mix = DropBlock(block_size=3)(torch.ones(2, 16, 8, 8))
    >>> torch.isclose(dropped.mean(), torch.tensor(1.0))
    tensor(True)

    Source: Ghiasi et al., DropBlock (NeurIPS 2018), algorithm 1. Seeds are drawn everywhere, as in PatchUp's code, not
    just in the inner region. The scale is that of the whole batch, and a batch with nothing left stays zero.
    """

    block_size: int = 7
    drop_prob: float = 0.1
    per_sample: bool = True
    partner: ClassVar[bool] = False  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_side(self.block_size)
        _check_share(self.drop_prob, "drop_prob")

    @property
    def hard(self) -> bool:
        return True

    @property
    def span(self) -> str:
        return "b *"

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        return _blocks(
            len(lam),
            shape,
            self.axes,
            block_size=self.block_size,
            gamma=self.drop_prob,
            device=lam.device,
            generator=generator,
        )

    def complete(self, record: Mix) -> Mix:
        return replace(record, scale=record.mask.numel() / record.mask.sum().clamp(min=1))


def _blocks(n: int, shape: Sequence[int], axes: str, **given: object) -> Tensor:
    """`masks.blocks` (n, *shape) on the grid of `axes`, drawn separately for each index of its named axes."""
    before, after = parse_axes(axes)
    end = len(shape) - after
    first, grid, last = shape[: before - 1], shape[before - 1 : end], shape[end:]
    kept = masks.blocks(n * math.prod(first) * math.prod(last), grid, **given)  # type: ignore[arg-type]
    kept = kept.view(n, *first, *last, *grid)
    for _ in range(after):
        kept = kept.movedim(before, -1)
    return kept.contiguous()


def _halved(untouched: Tensor, share: Tensor | float, lam: Tensor) -> tuple[tuple[Tensor, Tensor | float], ...]:
    """The three terms of PatchUp's loss, halved."""
    return ((untouched / 2, 1.0), ((1 - untouched) / 2, share), (torch.full_like(lam, 0.5), lam))


def _check_side(block_size: object) -> None:
    fine = is_whole(block_size) and block_size > 0  # type: ignore[operator]
    require(fine, "block_size", block_size, "be a whole number of cells, 1 or more")


def _check_share(value: object, name: str) -> None:
    fine = is_number(value) and 0 <= value <= 1  # type: ignore[operator]
    require(fine, name, value, "be a number in [0, 1]")
