"""The loss of mixed batches in the Trainer of Hugging Face."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.core.records.losses import BY_CLASS, Criterion, function_of, name_of, reduction_of, setting
from mixmodal.core.records.means import known_divisor
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.modalities.text.tokens import TokenMix

NOT_COUNTED = -100
"""Labels that the Trainer does not count."""


def trainer_loss(
    mixing: HiddenMix | TokenMix, *, criterion: Criterion = F.cross_entropy, axes: str | None = None
) -> Callable[..., Tensor]:
    """The loss of mixed batches, for `Trainer(compute_loss_func=…)` of Hugging Face: the criterion's own mean.

    The Trainer splits a batch among gradient accumulation steps and processes, and tells how many labels the whole of
    it has, element by element, without those of -100. Each part is weighed by its share of them. So the gradient is
    that of one large batch where the criterion's mean is over a fixed number of elements for each sample or label:
    class numbers with -100 ignored, soft labels, multi-label and regression targets, dense labels. It cannot be exact
    where the labels of the other parts would have to be known: for class weights, for an `ignore_index` other than
    -100, and for a criterion of one's own with such a mean. There the mean of each part is the criterion's own, and a
    batch of several parts has their average; of torch's criteria a UserWarning says so.

    Args:
        mixing: what mixes the model.
        criterion: see `Mix.loss`; its own reduction must be a mean.
        axes: see `Mix.loss`.

    Returns:
        A function of the model's output, the labels and the number of labels.

    Raises:
        ValueError: the criterion is set to a sum, or to no reduction; when it is called, by a Trainer with a
            `label_smoothing_factor`, which the Trainer leaves to its `compute_loss_func`.

    >>> import torch, mixmodal as mm
    >>> net = torch.nn.Linear(4, 3)
    >>> loss = trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}))
    >>> bool(loss({"logits": net(torch.rand(2, 4))}, torch.tensor([0, 1])) > 0)
    True
    """
    reduction = reduction_of(criterion, None)
    if reduction in ("sum", "none"):
        raise ValueError(
            f"criterion {name_of(criterion)} is set to reduction={reduction!r}, and the Trainer needs a mean; leave "
            f"its reduction out"
        )

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        _check_smoothing()
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if num_items_in_batch is None:
            return mixing.loss(logits, labels, criterion, axes=axes)
        counted = labels.ne(NOT_COUNTED)
        items = torch.as_tensor(num_items_in_batch, device=labels.device)
        if _uneven(criterion, labels, counted) and bool((items != counted.sum()).any()):
            warnings.warn(
                f"the mean of {name_of(criterion)} is not over the labels that are not -100, and the Trainer tells no "
                f"more of the other parts of a batch than their number: each part has its own mean, and they are "
                f"averaged by their numbers of labels; for the mean of the whole batch take it in one part",
                stacklevel=2,
            )
        divisor = known_divisor(criterion, reduction, logits, labels) if reduction == "mean" else None
        if divisor is None:
            return mixing.loss(logits, labels, criterion, axes=axes) * (counted.sum() / items)
        divisor = torch.as_tensor(divisor, device=labels.device)
        total = mixing.loss(logits, labels, criterion, reduction="sum", axes=axes)
        return total * (counted.sum() / torch.where(divisor > 0, divisor, 1) / items)

    return loss


def _uneven(criterion: Criterion, labels: Tensor, counted: Tensor) -> bool:
    """Whether a criterion of torch's has a mean that is not over the labels that the Trainer counts."""
    if function_of(criterion) not in BY_CLASS or labels.is_floating_point():
        return labels.is_floating_point() and not bool(counted.all())
    return setting(criterion, "weight") is not None or bool(
        setting(criterion, "ignore_index", NOT_COUNTED) != NOT_COUNTED
    )


def _check_smoothing() -> None:
    """Raise ValueError if a Trainer that calls us was told to smooth labels, which is then our part."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if hasattr(caller, "compute_loss_func"):
            factor = getattr(getattr(caller, "args", None), "label_smoothing_factor", 0)
            if factor:
                raise ValueError(
                    f"label_smoothing_factor={factor} of the TrainingArguments does nothing where compute_loss_func is "
                    f"given; set it to 0, and smooth in the criterion: trainer_loss(mixing, "
                    f"criterion=torch.nn.CrossEntropyLoss(label_smoothing={factor}))"
                )
            return
        frame = frame.f_back
