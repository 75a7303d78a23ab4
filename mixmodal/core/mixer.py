"""The base of all methods: a mixer that generates a mask."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from mixmodal.core.checks import Settings, check_range, check_tensor, is_number, require
from mixmodal.core.devices import source
from mixmodal.core.draws import Asked, Draws
from mixmodal.core.grids import fill, fit, fits, grid_of, own_share, padded_axis, parse_axes, real_after
from mixmodal.core.records.mix import Mix


@dataclass(frozen=True, kw_only=True)
class Mixer(Settings, Draws):
    """A mixing method: frozen hyper-parameters, no state. A new method overrides `mask`.

    Args:
        axes: axes pattern of the batch, see `parse_axes`.
        per_sample: a mask and a `lam` for every sample; if False, one of each for the whole batch, as in the papers.
        holes: whether a mask varies over everything that is real in the pair, as in the papers' code, so that padding
            of the shorter sample can end up between real locations of the mixed one. If False, it varies only where
            both are real; where just one is, that one is taken: real locations stay contiguous, as needed by models
            that count them (packed sequences, Wav2Vec2), and `lam` is the realised share. Irrelevant without padding.

    `lam` ~ Beta(alpha, alpha). A method that lets the user choose `alpha` or `holes` redeclares the field; otherwise
    they are 1 and True.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Halves(Mixer):
    ...     "The first `lam` of the first axis of the grid."
    ...     def mask(self, lam, shape, generator=None):
    ...         place = (torch.arange(shape[0], device=lam.device) + 0.5) / shape[0]
    ...         first = (place <= lam[:, None]).float()
    ...         return first.view(-1, shape[0], *[1] * (len(shape) - 1)).expand(-1, *shape)
    >>> mixed, mix = Halves()(torch.rand(4, 3, 8, 8), lam=0.25)
    >>> mix.mask[0, :, 0], mix.lam[0]
    (tensor([1., 1., 0., 0., 0., 0., 0., 0.]), tensor(0.2500))
    """

    axes: str = "b c *"
    per_sample: bool = False
    alpha: float = field(default=1.0, init=False, repr=False)
    holes: bool = field(default=True, init=False, repr=False)

    partner: ClassVar[bool] = True  # type: ignore[misc]
    """Whether there is a partner; if not, `lam` is 1 and labels are unchanged, whatever `index` and `lam` are given."""
    uniform: ClassVar[bool] = False
    """Whether a mask is a single number, so that a batch may have any rank, whatever `axes` says."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_axes(self.axes)
        require(isinstance(self.per_sample, bool), "per_sample", self.per_sample, "be True or False")
        require(_positive(self.alpha), "alpha", self.alpha, "be a positive number; use NoMix() to mix nothing")
        require(isinstance(self.holes, bool), "holes", self.holes, "be True or False")

    @property
    def hard(self) -> bool:
        """Whether masks contain only 0 and 1."""
        return False

    @property
    def exact(self) -> bool:
        """Whether the record holds the realised share rather than the one asked for."""
        return True

    @property
    def span(self) -> str:
        """Axes pattern of the records, whose masks vary along the starred axes."""
        return self.axes

    @abstractmethod
    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Draw masks.

        Args:
            lam: own share of each mask, floating (n,).
            shape: grid of a mask, according to `span`.
            generator: source of randomness on the device of `lam`; torch's global one if None.

        Returns:
            Own share of each location, (n, *shape), floating, in [0, 1].
        """

    def record(self, x: Tensor, asked: Asked) -> Mix:
        check_tensor(x, "x")
        valid, generator = asked.valid, asked.generator
        batch = x.shape[0] if x.ndim else 0
        device = x.device if generator is None else generator.device
        grid = torch.Size() if self.uniform and valid is None and not fits(x, self.axes) else grid_of(x, self.axes)
        whole = grid if self.span == self.axes else grid_of(x, self.span)
        lam = self._share(asked.lam, batch, device, generator)
        index = self._partners(asked.index, batch, device, generator).to(x.device)
        mask = self.mask(lam, whole, generator).to(x.device)
        lam = lam.to(x.device).expand(batch)
        real = mixed = None
        if valid is not None:
            _check_valid(valid, (batch, *grid))
            if self.uniform and "axes" not in self.given:
                _check_told(valid, x)
            real = valid if self.span == self.axes else _insert(valid, self.axes)
            if not self.uniform:
                there = real.index_select(0, index)
                mask = fit(mask, real | there) if self.holes else fill(fit(mask, real & there), real, there)
            real = real.expand(batch, *whole)
            mixed = real_after(mask, index, real)
            mixed = mixed if self.span == self.axes else _reduce(mixed, self.axes)
        if not self.partner:
            share = torch.ones_like(lam)
        elif not self.exact or (self.uniform and valid is None):
            share = lam
        else:
            share = own_share(mask, index, real)
        drawn = Mix(
            index=index,
            mask=mask,
            lam=share,
            axes=self.span,
            valid=mixed,
            real=real,
            padded=None if valid is None else padded_axis(valid, grid),
            hard=self.hard,
            uniform=self.uniform,
            partner=self.partner,
        )
        return self.complete(drawn)

    def complete(self, record: Mix) -> Mix:
        """The record with anything that a method adds to it; unchanged unless overridden."""
        return record

    def _share(
        self, lam: Tensor | float | None, batch: int, device: torch.device, generator: torch.Generator | None
    ) -> Tensor:
        """The shares to draw masks for, (n,) with n the number of masks."""
        count = batch if self.per_sample else 1
        if lam is None:
            return (
                beta(self.alpha, count, device=device, generator=generator)
                if self.partner
                else torch.ones(count, dtype=torch.float32, device=device)
            )
        if not isinstance(lam, Tensor):
            require(is_number(lam) and 0 <= lam <= 1, "lam", lam, "be a number in [0, 1], or a tensor of such")
            return torch.full((count,), float(lam), dtype=torch.float32, device=device)
        if not lam.is_floating_point():
            raise TypeError(f"lam is {lam.dtype} and must be floating, as in lam=torch.tensor(0.5)")
        if lam.shape not in (torch.Size(), torch.Size([batch])):
            raise ValueError(
                f"lam has shape {tuple(lam.shape)} and must be a scalar or one share per sample, ({batch},)"
            )
        check_range(lam, 0, 1, "lam must lie in [0, 1]")
        lam = lam.detach().to(device, torch.promote_types(lam.dtype, torch.float32))
        return lam if lam.ndim else lam.expand(count)

    def _partners(
        self, index: Tensor | None, batch: int, device: torch.device, generator: torch.Generator | None
    ) -> Tensor:
        """The partner of each sample, int64 (B,)."""
        if index is not None:
            _check_index(index, batch)
        if not self.partner:
            return torch.arange(batch, device=device)
        return torch.randperm(batch, device=device, **source(generator)) if index is None else index


def beta(alpha: float, count: int, *, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """`count` draws of Beta(alpha, alpha), float32, on `device`.

    A Gamma(alpha) variable is a Gamma(alpha + 1) variable times a uniform one to the power 1 / alpha. The ratio of two
    is computed in logarithms, since for a small alpha both underflow.

    >>> beta(1.0, 3, device=torch.device("cpu")).shape
    torch.Size([3])
    """
    alpha = min(max(float(alpha), 1e-30), 1e30)  # float32 does not reach beyond these, where lam is 0, 1/2 or 1 anyway
    if alpha == 1:
        return torch.rand(count, dtype=torch.float32, device=device, **source(generator))
    shape = torch.full((2, count), alpha + 1.0, dtype=torch.float32, device=device)
    gamma = torch._standard_gamma(shape, generator=generator)
    power = torch.log1p(-torch.rand(2, count, dtype=torch.float32, device=device, **source(generator))) / alpha
    own, other = gamma.log() + power
    return torch.sigmoid(own - other)


def _positive(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]


def _insert(valid: Tensor, axes: str) -> Tensor:
    """`valid` (B, *grid) with an axis of size 1 for each named axis of `axes` other than `b`."""
    before, after = parse_axes(axes)
    return valid[(slice(None),) + (None,) * (before - 1) + (...,) + (None,) * after]


def _reduce(real: Tensor, axes: str) -> Tensor:
    """Whether anything is real at each location of the grid, (B, *grid), for (B, ...) in the layout of `axes`."""
    before, after = parse_axes(axes)
    if after:
        real = real.flatten(-after).any(-1)
    return real.flatten(1, before - 1).any(1) if before > 1 else real


def _check_index(index: Tensor, batch: int) -> None:
    """Raise unless `index` names a partner in the batch for each of its samples."""
    if not isinstance(index, Tensor) or index.dtype != torch.int64:
        raise TypeError(f"index must be an int64 tensor, got {getattr(index, 'dtype', type(index).__name__)}")
    if index.shape != (batch,):
        raise ValueError(f"index has shape {tuple(index.shape)} and must name one partner per sample, ({batch},)")
    check_range(index, 0, batch - 1, f"index must lie in the batch, from 0 to {batch - 1}")


def _check_valid(valid: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless `valid` marks locations of a batch and grid of this `shape`."""
    if not isinstance(valid, Tensor) or valid.dtype != torch.bool:
        raise TypeError(
            f"valid must be a bool tensor, True where a location is real, got "
            f"{getattr(valid, 'dtype', type(valid).__name__)}; write valid=attention_mask.bool()"
        )
    if (
        len(valid.shape) != len(shape)
        or valid.shape[0] != shape[0]
        or any(size not in (1, full) for size, full in zip(valid.shape, shape, strict=True))
    ):
        raise TypeError(
            f"valid has shape {tuple(valid.shape)} and must have the shape {shape} of batch and grid, or size 1 along "
            f"an axis of the grid on which it does not vary, as in valid=frames[:, None]"
        )


def _check_told(valid: Tensor, x: Tensor) -> None:
    """Raise if `valid` is ambiguous: `axes` was not given, and the shape would fit a batch of tokens too."""
    if x.shape[1:-1] == x.shape[2:] and max(valid.shape[1:]) > 1:
        raise ValueError(
            f"valid of shape {tuple(valid.shape)} marks either the last axes of x or those before its last, as x has "
            f"the shape {tuple(x.shape)}: say which, with axes='b * d' for (B, T, D), or axes='b c *' for (B, C, T)"
        )
