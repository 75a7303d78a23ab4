"""One draw: which samples are mixed, where and how much, and what follows for inputs, labels and losses."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from html import escape
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.core.checks import device_of
from mixmodal.core.grids import check_grid, lengths_of, move, real_after, resize_area, resize_nearest, spread
from mixmodal.core.records.blends import (
    between,
    blend,
    check_buffer,
    check_chosen,
    choose,
    clear,
    give,
    laid_out,
    single,
)
from mixmodal.core.records.losses import Criterion, reduction_of
from mixmodal.core.records.means import combined
from mixmodal.core.records.targets import (
    Terms,
    blend_targets,
    check_axes,
    check_batch,
    check_of_samples,
    check_predictions,
    classes_of,
    soft_labels,
    targets_of,
)
from mixmodal.core.records.views import line, table


@dataclass(frozen=True, eq=False, repr=False)
class Mix:
    """One draw of a mixer: `x' = m · x + (1 - m) · x[index]`, `y' = lam · y + (1 - lam) · y[index]`.

    A record can be replayed on every tensor of the batch: `mix(x)`. It is immutable.

    Args:
        index: partner of each sample, int64 (B,).
        mask: own share m of each location, (B, *grid), or (1, *grid) for a mask shared by all samples; in [0, 1].
        lam: own share of each sample, the weight of its label, (B,), in [0, 1].
        axes: default axes pattern of the tensors to mix, see `parse_axes`.
        valid: bool (B, *grid), locations of the mixed batch that are real; None if there is no padding.
        real: bool (B, *grid), locations of the batch before mixing that are real; None if there is no padding.
        padded: the one axis of `valid` along which there is padding, counted from 1; None if unknown or several.
        hard: whether the mask contains only 0 and 1.
        uniform: whether a mask is a single number, so that it fits any grid.
        partner: whether there is a partner; if not, the other side of the mask is zero, and labels are unchanged.
        scale: scalar factor for the mixed floats; None for 1.
        moves: for the own side and the partner's, the grid cell that each cell takes its value from, int64 (B, *grid)
            as an index into the flattened grid, or -1 for none; None if nothing is moved.
        parts: the terms of the loss if they differ from those of the mask, see `terms`.

    >>> import mixmodal as mm
    >>> x = torch.rand(4, 3, 8, 8)
    >>> mixed, mix = mm.CutMix()(x)
    >>> bool((mix(x) == mixed).all()), mix.lam.shape
    (True, torch.Size([4]))
    >>> mm.FMix()(x, lam=0.25, index=torch.tensor([1, 0, 3, 2]))[1]
    Mix(index=[1, 0, 3, 2], lam=0.25, grid=(8, 8), hard, axes='b c *')
    """

    index: Tensor
    mask: Tensor
    lam: Tensor
    _: KW_ONLY
    axes: str = "b c *"
    valid: Tensor | None = None
    real: Tensor | None = None
    padded: int | None = None
    hard: bool = False
    uniform: bool = False
    partner: bool = True
    scale: Tensor | None = None
    moves: tuple[Tensor, Tensor] | None = None
    parts: Terms | None = None

    def __call__(self, x: Tensor, *, axes: str | None = None, out: Tensor | None = None) -> Tensor:
        """Mix a tensor of the batch with this record.

        Floating tensors are blended, and their padding becomes zero. Integers and booleans are chosen. A cell with no
        cell to take its value from becomes zero, or for integers keeps its own value.

        Args:
            x: (B, ...), any dtype; its grid must be the mask's.
            axes: axes pattern of `x`; the record's own if None.
            out: buffer for the result, with the shape, dtype and device of `x`; must not share memory with it.

        Returns:
            The mixed tensor, with the shape, dtype and device of `x`; a new one or `out`. If there is nothing to do,
            `x` itself.

        Raises:
            TypeError: `x` holds integers and the mask is soft.
            ValueError: batch or grid differ from the record's; `out` does not fit, overlaps `x`, or `x` requires grad.

        >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.tensor([[1.0, 0.0]]), lam=torch.full((2,), 0.5), hard=True)
        >>> mix(torch.tensor([[1, 2], [3, 4]]), axes="b *")
        tensor([[1, 4],
                [3, 2]])
        """
        axes = self.axes if axes is None else axes
        check_batch(x, self.index.shape[0], name="x")
        if out is not None:
            check_buffer(x, out)
        mask = self._spread(x, axes)
        if not (x.is_floating_point() or x.is_complex()):
            check_chosen(x, self.hard)
            if self.moves is not None:
                return give(laid_out(torch.where(mask > 0.5, *self._moved(x, axes)), x), out)
            return choose(mask, x, self.index, out) if self.partner else give(x, out)
        if self.real is not None:
            x = clear(x, ~spread(self.real, x, axes))
        if not self.partner:
            kept = x if self.uniform else clear(x, mask < 0.5, out)
            if self.scale is not None:
                kept = (single(kept) * self.scale).to(kept.dtype)
            return give(kept, out)
        if self.moves is not None:
            own, other = self._moved(single(x), axes)
            mixed = torch.where(mask > 0.5, own, other) if self.hard else between(mask.to(own.dtype), own, other)
            return give(laid_out(mixed.to(x.dtype), x), out)
        return choose(mask, x, self.index, out) if self.hard else blend(mask, x, self.index, out)

    def __repr__(self) -> str:
        return line(self.index, self.lam, self.mask, self.hard, self.axes)

    def _repr_html_(self) -> str:
        return table(escape(repr(self)), self.mask, self.index, self.lam, self.partner)

    @property
    def lengths(self) -> Tensor:
        """The last real location of each mixed sample along the `padded` axis, plus 1: int64 (B,), 0 if there is none.

        There may be padding before it, unless the mixer has `holes=False`. A ValueError if there is no such axis.

        >>> mix = Mix(index=torch.arange(1), mask=torch.ones(1, 4), lam=torch.ones(1), valid=torch.eye(4)[2:3] > 0)
        >>> mix.lengths
        tensor([3])
        """
        return lengths_of(self.valid, self.padded)

    @property
    def terms(self) -> Terms:
        """How the loss is composed: pairs of a weight (B,) and the own share of its target, (B,) or 1 or 0.

        The loss is Σ weight · ℓ(preds, share · y + (1 - share) · y[index]). A mask's terms are (lam, 1), (1 - lam, 0).
        """
        if self.parts is not None:
            return self.parts
        if not self.partner:
            return ((torch.ones_like(self.lam), 1.0),)
        return ((self.lam, 1.0), (1 - self.lam, 0.0))

    def targets(self, y: Tensor, *, num_classes: int | None = None, label_smoothing: float = 0.0) -> Tensor:
        """Soft targets `lam · y + (1 - lam) · y[index]`.

        Args:
            y: class numbers, integers (B,); or soft, multi-label or regression targets of samples, floating (B,) or
                (B, K), booleans read as 0 and 1.
            num_classes: number of classes, for integers only.
            label_smoothing: share of a class label that is spread evenly over all classes, in [0, 1]; for integers
                only.

        Returns:
            (B, num_classes) for integers, else the shape of `y`; in the dtype of `y`, at least float32.

        Raises:
            ValueError: integers without `num_classes` or out of range; label maps, which mix like their samples;
                another batch size; `label_smoothing` outside [0, 1], or with float targets.

        >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.full((2, 1), 0.75), lam=torch.full((2,), 0.75))
        >>> mix.targets(torch.tensor([0, 1]), num_classes=2)
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])
        """
        check_batch(y, self.index.shape[0])
        if self.partner and not self.uniform:
            check_of_samples(y, self.mask)
        soft = soft_labels(y, num_classes, label_smoothing)
        return blend_targets(self.lam, soft, self.index, finite=not y.is_floating_point())

    def loss(
        self,
        preds: Tensor,
        y: Tensor,
        criterion: Criterion = F.cross_entropy,
        *,
        reduction: str | None = None,
        axes: str | None = None,
    ) -> Tensor:
        """The criterion against both labels, each weighted by its share: Σ over `terms` of weight · ℓ(preds, target).

        Integer labels cannot be blended: if a term asks for a blend, ℓ is weighted by its shares instead, which is
        equivalent for every criterion that is affine in the target, such as cross entropy.

        Args:
            preds: output for the mixed batch, (B, ...).
            y: targets of the batch before mixing, in any form that `criterion` takes; booleans are read as 0 and 1.
            criterion: a function or module whose losses are per sample, location or element. It takes `reduction=` or
                has an attribute of this name; or it returns one loss per sample; or the mean over the samples, in which
                case it is also evaluated sample by sample.
            reduction: "mean" divides as the criterion's own mean does for `y` (class weights, ignored labels); "sum";
                "none" for the shape that the criterion returns. If None, the criterion's own setting, as in
                `nn.KLDivLoss(reduction="batchmean")`, or "mean".
            axes: axes pattern of dense labels such as "b *": each location is weighted by its own mask. Without it,
                labels (B,) or (B, K) are per sample, whatever K is.

        Returns:
            A scalar, or for "none" (B, ...).

        Raises:
            TypeError: a criterion without `reduction` that cannot be evaluated sample by sample.
            ValueError: an unknown reduction, or one that contradicts the criterion's; predictions, labels and record of
                different batch sizes; shapes that would broadcast; dense labels without `axes`; a criterion whose one
                number is not the mean over samples.

        >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.full((2, 1), 0.75), lam=torch.full((2,), 0.75))
        >>> preds, y = torch.randn(2, 5), torch.tensor([0, 3])
        >>> soft = F.cross_entropy(preds, mix.targets(y, num_classes=5))
        >>> bool(torch.isclose(mix.loss(preds, y), soft))
        True
        """
        reduction = reduction_of(criterion, reduction)
        check_batch(y, self.index.shape[0])
        check_predictions(preds, y)
        if y.dtype == torch.bool:
            y = y.to(torch.promote_types(preds.dtype, torch.float32))
        check_axes(y, axes, self.mask.shape[1:])
        weighed = targets_of(self.terms, y, self.index) if axes is None else self._dense(y, axes)
        return combined(criterion, reduction, preds, y, weighed, by_sample=axes is None)

    def accuracy(self, preds: Tensor, y: Tensor) -> Tensor:
        """Accuracy on mixed labels: a correct prediction counts `lam` for the own label, 1 - `lam` for the partner's.

        Args:
            preds: logits or probabilities of the mixed batch, (B, C).
            y: classes of the batch before mixing, integers (B,) or soft (B, C), of which the largest counts.

        Returns:
            The mean over the batch, a scalar in [0, 1].

        Raises:
            ValueError: another shape, complex numbers, or another batch size.

        >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.full((2, 1), 0.75), lam=torch.full((2,), 0.75))
        >>> mix.accuracy(torch.eye(2), torch.tensor([0, 0])), mix.accuracy(torch.eye(2), torch.tensor([0, 1]))
        (tensor(0.5000), tensor(0.7500))
        """
        check_batch(y, self.index.shape[0])
        found, label = classes_of(preds, y)
        hit = (found == label).to(self.lam.dtype)
        partner_hit = (found == label.index_select(0, self.index)).to(self.lam.dtype)
        return torch.lerp(partner_hit, hit, self.lam).mean()

    def resize(self, grid: Sequence[int]) -> "Mix":
        """The same draw on another grid of the same rank: nearest cells if the mask is hard, area means if not.

        Args:
            grid: sizes of the new grid.

        Returns:
            A record with the same `index` and `lam`.

        Raises:
            ValueError: another rank, or a size below 1; a record that moves cells.

        >>> mix = Mix(index=torch.tensor([0]), mask=torch.tensor([[1.0, 1.0, 0.0, 0.0]]), lam=torch.ones(1), hard=True)
        >>> mix.resize([2]).mask
        tensor([[1., 0.]])
        """
        check_grid(grid, self.mask)
        if self.valid is not None and self.valid.ndim != self.mask.ndim:
            raise ValueError("a mask for each channel cannot be resized under padding; use channels='shared'")
        if self.moves is not None:
            raise ValueError("a record that moves cells only fits its own grid")
        mask = resize_nearest(self.mask, grid) if self.hard else resize_area(self.mask, grid)
        real = None if self.real is None else resize_nearest(self.real, grid)
        valid = None if real is None else real_after(mask, self.index, real)
        return replace(self, mask=mask, valid=valid, real=real)

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> "Mix":
        """The record with its tensors on `device`, copied without waiting for it if `non_blocking`.

        Raises:
            TypeError: `device` is not a device but a dtype, say: an index stays int64 and a share float32.
            ValueError: torch knows no device of this name.
        """
        place = device_of(device)
        return self._each(lambda tensor: tensor.to(place, non_blocking=non_blocking))

    def pin_memory(self) -> "Mix":
        """The record with its tensors in pinned memory, as a DataLoader with `pin_memory=True` requests."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _dense(self, y: Tensor, axes: str) -> list[tuple[Tensor, Tensor]]:
        """A weight for every location of `y` and of its partner, given by the mask."""
        if not self.partner:
            return [(torch.ones_like(y, dtype=self.lam.dtype), y)]
        own = self._spread(y, axes)
        sides = (y, y.index_select(0, self.index)) if self.moves is None else self._moved(y, axes)
        return list(zip((own, 1 - own), sides, strict=True))

    def _moved(self, x: Tensor, axes: str) -> tuple[Tensor, Tensor]:
        """Both sides of the mix, each with its cells moved."""
        assert self.moves is not None
        return move(x, self.moves[0], axes), move(x.index_select(0, self.index), self.moves[1], axes)

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Mix":
        """The record with a function applied to each of its tensors."""

        def of(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(of, value))
            return function(value) if isinstance(value, Tensor) else value

        return replace(self, **{each.name: of(getattr(self, each.name)) for each in fields(self) if each.init})

    def _spread(self, x: Tensor, axes: str) -> Tensor:
        """The mask in the layout of `x`; a uniform one fits any."""
        if self.uniform:
            return self.mask[(slice(None),) + (0,) * (self.mask.ndim - 1)].view(-1, *[1] * (x.ndim - 1))
        return spread(self.mask, x, axes)
