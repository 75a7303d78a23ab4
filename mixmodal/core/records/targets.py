"""Targets: labels that can be blended, and the weights of both labels in a loss."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from mixmodal.core.checks import check_range, check_tensor, is_whole, require
from mixmodal.core.records.blends import between

Terms = tuple[tuple[Tensor, Tensor | float], ...]
"""Pairs of a weight (B,) and the own share of the target that it weights: (B,), or 1 or 0."""


def check_batch(y: Tensor, batch: int, *, name: str = "y") -> None:
    """Raise TypeError unless `y` is a tensor, ValueError unless it has this batch size."""
    check_tensor(y, name)
    if y.ndim == 0 or y.shape[0] != batch:
        raise ValueError(
            f"{name} has shape {tuple(y.shape)}, the record is for a batch of {batch}; pass the whole batch, and mix "
            f"it with its samples along the first axis: (B, N, 3) for clouds, x[None] for one image"
        )


def check_predictions(preds: Tensor, y: Tensor) -> None:
    """Raise TypeError unless `preds` is a tensor, ValueError unless it has the batch size of `y`."""
    check_tensor(preds, "preds")
    if preds.ndim == 0 or len(preds) != len(y):
        raise ValueError(
            f"preds has shape {tuple(preds.shape)}, and y has shape {tuple(y.shape)}, of a batch of {len(y)}; "
            f"predictions must be for the batch that was mixed, (B, ...)"
        )


def check_axes(y: Tensor, axes: str | None, grid: Sequence[int]) -> None:
    """Raise ValueError if labels are dense, judging by their number of axes, and `axes` is not given."""
    if axes is None and y.ndim > (2 if y.is_floating_point() else 1):
        raise ValueError(
            f"y holds {'floats' if y.is_floating_point() else 'integers'} of shape {tuple(y.shape)}, and the mask has "
            f"the grid {tuple(grid)}: pass the axes of y, for example axes='b *', or axes='b c *' where it has "
            f"channels, so that each location is weighted by its own mask; or give one target per sample, as "
            f"preds.flatten(1) and y.flatten(1)"
        )


def check_of_samples(y: Tensor, mask: Tensor) -> None:
    """Raise ValueError if float labels are dense, by their number of axes, and the mask differs between locations."""
    if y.ndim > 2 and (y.is_floating_point() or y.dtype == torch.bool) and mask.shape[1:].numel() > 1:
        raise ValueError(
            f"y holds {y.dtype} of shape {tuple(y.shape)}, and each location has a share of its own, by a mask on the "
            f"grid {tuple(mask.shape[1:])}: mix a label map like its sample, as mix(y, axes='b *') or, with channels, "
            f"mix(y, axes='b c *'); for targets of whole samples give y.flatten(1)"
        )


def classes_of(preds: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted class (B,), and the true one, from class numbers (B,) or the largest of the shares (B, C).

    Raises:
        ValueError: another shape, of `preds` (B, C) or of `y`, or complex numbers.

    >>> classes_of(torch.eye(3)[:2], torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    if preds.ndim != 2 or not preds.shape[1] or len(preds) != len(y) or y.ndim > 2 or 0 in y.shape[1:]:
        raise ValueError(
            f"accuracy needs preds (B, C) and y (B,) or (B, C), got the shapes {tuple(preds.shape)} and "
            f"{tuple(y.shape)}"
        )
    if preds.is_complex() or y.is_complex():
        raise ValueError(
            f"accuracy needs real numbers, got preds of {preds.dtype} and y of {y.dtype}: give preds.abs()"
        )
    return _largest(preds), y if y.ndim == 1 else _largest(y)


def _largest(shares: Tensor) -> Tensor:
    """The index of the largest of the shares (B, C); bools count as 0 and 1."""
    return (shares.to(torch.uint8) if shares.dtype == torch.bool else shares).argmax(1)


def soft_labels(y: Tensor, num_classes: int | None, label_smoothing: float = 0.0) -> Tensor:
    """Labels as floats that can be blended, in at least float32: class numbers (B,) become one-hot rows.

    Raises:
        ValueError: integers without `num_classes`, out of range or with more than one axis; `label_smoothing` outside
            [0, 1], or with float labels.

    >>> soft_labels(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    require(0 <= label_smoothing <= 1, "label_smoothing", label_smoothing, "lie in [0, 1]")
    if y.dtype == torch.bool or y.is_floating_point():
        if label_smoothing:
            raise ValueError(
                f"label_smoothing={label_smoothing} is for class numbers, and y holds {y.dtype} of shape "
                f"{tuple(y.shape)}; smooth these labels before they are mixed"
            )
        return y.to(torch.promote_types(y.dtype, torch.float32))
    if y.ndim > 1:
        raise ValueError(
            f"y holds integers of shape {tuple(y.shape)}: pass floats, y.float(), if they are multi-label targets; mix "
            f"a label map as mix(y, axes='b *'), with axes='b c *' where it has channels, as one of the inputs of a "
            f"batch of fields; or weight its losses with mix.loss(preds, y, axes='b *')"
        )
    if num_classes is None:
        raise ValueError(f"y holds integers ({y.dtype}), and soft targets need num_classes=; got None")
    require(is_whole(num_classes) and num_classes > 0, "num_classes", num_classes, "be a whole number, 1 or more")
    check_range(y, 0, num_classes - 1, f"y must lie in [0, num_classes={num_classes}); mix.loss ignores labels")
    one_hot = (y.unsqueeze(1) == torch.arange(num_classes, device=y.device)).float()
    return one_hot * (1 - label_smoothing) + label_smoothing / num_classes if label_smoothing else one_hot


def blend_targets(share: Tensor, y: Tensor, index: Tensor, *, finite: bool = False) -> Tensor:
    """`share · y + (1 - share) · y[index]` for floating targets (B, ...) and shares (B,).

    Args:
        finite: whether all targets are known to be finite, so that a share of 0 cancels any of them.
    """
    share, other = share.to(y.dtype).view(-1, *[1] * (y.ndim - 1)), y.index_select(0, index)
    return torch.lerp(other, y, share) if finite else between(share, y, other)


def targets_of(terms: Terms, y: Tensor, index: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The weights (B,) of a loss and their targets.

    Own labels and partners' labels occur at most once each. Integers cannot be blended: a term with a share is split
    between the two sides.

    >>> targets_of(((torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.0])),), torch.tensor([3, 4]), torch.tensor([1, 0]))
    [(tensor([0.2500, 0.0000]), tensor([3, 4])), (tensor([0.2500, 1.0000]), tensor([4, 3]))]
    """
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    blended = []
    for weight, share in terms:
        if not isinstance(share, Tensor):
            sides[share == 0].append(weight)
        elif y.is_floating_point():
            blended.append((weight, blend_targets(share, y, index)))
        else:
            sides[0].append(weight * share)
            sides[1].append(weight * (1 - share))
    partner_y = y.index_select(0, index) if sides[1] else y
    return [(_sum(side), of) for side, of in zip(sides, (y, partner_y), strict=True) if side] + blended


def _sum(weights: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, weights)
