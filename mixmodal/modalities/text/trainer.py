"""The loss of mixed batches in the Hugging Face Trainer."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.records.losses import BY_CLASS, Criterion, function_of, name_of, reduction_of, setting
from mixmodal.core.records.means import known_divisor
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.modalities.text.tokens import TokenMix

NOT_COUNTED = -100
"""The label that the Trainer does not count."""
OF_TOKENS = ("ForTokenClassification", "ForMaskedLM")
"""Models whose own loss is a cross entropy per token, by the name that transformers gives the loss."""
OF_SAMPLES = tuple(f"For{data}Classification" for data in ("Sequence", "Image", "Video", "Audio"))
"""Models whose own loss depends on `config.problem_type`."""


def trainer_loss(
    mixing: HiddenMix | TokenMix, args: Any, *, criterion: Criterion | None = None, axes: str | None = None
) -> Callable[..., Tensor]:
    """The loss of mixed batches, for Hugging Face's `Trainer(compute_loss_func=…)`: the criterion's own mean.

    `mixmodal.frameworks.trainer.MixTrainer` uses it automatically; call it yourself if your Trainer cannot be one.

    The Trainer splits a batch among gradient accumulation steps and processes, and passes the number of labels in the
    whole batch, counted element by element and excluding -100. Each part is weighted by its share of them. So the
    gradient is that of one large batch if the criterion averages over a fixed number of elements for each sample or
    label: class numbers with -100 ignored, soft labels, multi-label and regression targets, dense labels. It cannot be
    exact if the labels of the other parts would have to be known: for class weights, for an `ignore_index` other than
    -100, and for a criterion of your own with such a mean. In that case each part uses the criterion's own mean, and a
    batch of several parts gets their average; for torch's criteria, a UserWarning says so.

    Args:
        mixing: what mixes the model.
        args: the `TrainingArguments` of the Trainer, which leaves their `label_smoothing_factor` to this loss.
        criterion: see `Mix.loss`; its own reduction must be a mean. If None, the loss that the model has without
            mixing, given by its `config.problem_type`, or, if that is None, by `config.num_labels` and the labels:
            squared error, binary cross entropy, or cross entropy of class numbers (B,), or of one for each token
            (B, T), each weighted by its own mask. Cross entropy smooths labels by `label_smoothing_factor`, as the
            Trainer does.
        axes: see `Mix.loss`; only if a criterion is given.

    Returns:
        A function of the model's output, the labels and the number of labels.

    Raises:
        TypeError: `args` are not training arguments.
        ValueError: the criterion is set to a sum, or to no reduction; a `label_smoothing_factor` together with a
            criterion; when the function is called: no labels, labels to smooth that are not class numbers, or a model
            whose own loss is not among those above.

    >>> import torch, mixmodal as mm
    >>> from transformers import TrainingArguments
    >>> net = torch.nn.Linear(4, 3)
    >>> loss = trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}), TrainingArguments(), criterion=F.cross_entropy)
    >>> bool(loss({"logits": net(torch.rand(2, 4))}, torch.tensor([0, 1])) > 0)
    True
    """
    smoothing = _smoothing(args, criterion)
    if criterion is None and axes is not None:
        raise ValueError(f"axes={axes!r} is for a criterion that is given; leave it out, or give criterion=")
    model = mixing.hidden.model if isinstance(mixing, TokenMix) else mixing.model
    if criterion is not None and reduction_of(criterion, None) in ("sum", "none"):
        raise ValueError(
            f"criterion {name_of(criterion)} is set to reduction={reduction_of(criterion, None)!r}, and the Trainer "
            f"needs a mean; leave its reduction out"
        )

    def loss(outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if labels is None:
            raise ValueError("the batch has no field 'labels', of which the loss of a mixed batch is made; name it so")
        if criterion is not None:
            return _mean(mixing, criterion, axes, logits, labels, num_items_in_batch)
        preds, y, own, dense = _own_loss(model, logits, labels, smoothing)
        return _mean(mixing, own, dense, preds, y, num_items_in_batch)

    return loss


def _smoothing(args: Any, criterion: Criterion | None) -> float:
    """The label smoothing that these training arguments ask for."""
    if not hasattr(args, "label_smoothing_factor"):
        raise TypeError(
            f"args is {type(args).__name__} and must be the TrainingArguments of the Trainer, which leaves their "
            f"label_smoothing_factor to its loss"
        )
    factor: float = args.label_smoothing_factor
    if factor and criterion is not None:
        raise ValueError(
            f"label_smoothing_factor={factor} of the TrainingArguments does nothing to a criterion that is given; set "
            f"it to 0, and smooth in the criterion: criterion=torch.nn.CrossEntropyLoss(label_smoothing={factor})"
        )
    return factor


def _own_loss(
    model: nn.Module, logits: Tensor, labels: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Criterion, str | None]:
    """What a Hugging Face model computes its loss from: matching predictions and labels, a criterion, label axes."""
    problem, smoothed = _problem(model, labels), functools.partial(F.cross_entropy, label_smoothing=smoothing)
    if problem == "tokens":
        return logits.movedim(-1, 1), labels, smoothed, "b *"
    if problem == "single_label_classification":
        return logits, labels, smoothed, None
    if smoothing:
        raise ValueError(
            f"label_smoothing_factor={smoothing} of the TrainingArguments is for class numbers, and this is "
            f"{problem}; set it to 0"
        )
    if not labels.is_floating_point():
        labels = labels.to(torch.promote_types(logits.dtype, torch.float32))
    if problem == "multi_label_classification":
        return logits, labels, F.binary_cross_entropy_with_logits, None
    one = labels.ndim == 1 and logits.shape == (len(labels), 1)
    return logits.squeeze(1) if one else logits, labels, F.mse_loss, None


def _problem(model: nn.Module, labels: Tensor) -> str:
    """The task of a Hugging Face model, as it would infer it itself: "tokens", or a `config.problem_type`."""
    config, kind = getattr(model, "config", None), getattr(model, "loss_type", None)
    known = config is not None and kind in (None, *OF_TOKENS, *OF_SAMPLES)
    if known and kind in OF_TOKENS:
        return "tokens"
    if known and getattr(config, "problem_type", None) is not None:
        return str(config.problem_type)  # type: ignore[union-attr]
    if known and getattr(config, "num_labels", None) == 1:
        return "regression"
    if known and (labels.is_floating_point() or labels.dtype == torch.bool):
        return "multi_label_classification"
    if known and labels.ndim == 1:
        return "single_label_classification"
    raise ValueError(
        f"{type(model).__name__} has no loss that is known for labels of shape {tuple(labels.shape)} and dtype "
        f"{labels.dtype}, so it is unclear which loss of a mixed batch is meant; pass criterion=, and axes= for "
        f"dense labels"
    )


def _mean(
    mixing: HiddenMix | TokenMix,
    criterion: Criterion,
    axes: str | None,
    preds: Tensor,
    y: Tensor,
    items: Tensor | int | None,
) -> Tensor:
    """A part's contribution to the mean over a batch with `items` counted labels; the mean of the part if None."""
    if items is None:
        return mixing.loss(preds, y, criterion, axes=axes)
    counted = y.ne(NOT_COUNTED)
    items = torch.as_tensor(items, device=y.device)
    if _uneven(criterion, y, counted) and bool((items != counted.sum()).any()):
        warnings.warn(
            f"the mean of {name_of(criterion)} is not over the labels that are not -100, and the Trainer tells no "
            f"more of the other parts of a batch than their number: each part has its own mean, and they are "
            f"averaged by their numbers of labels; for the mean of the whole batch take it in one part",
            stacklevel=3,
        )
    reduction = reduction_of(criterion, None)
    divisor = known_divisor(criterion, reduction, preds, y) if reduction == "mean" else None
    if divisor is None:
        return mixing.loss(preds, y, criterion, axes=axes) * (counted.sum() / items)
    divisor = torch.as_tensor(divisor, device=y.device)
    total = mixing.loss(preds, y, criterion, reduction="sum", axes=axes)
    return total * (counted.sum() / torch.where(divisor > 0, divisor, 1) / items)


def _uneven(criterion: Criterion, labels: Tensor, counted: Tensor) -> bool:
    """Whether one of torch's criteria averages over something other than the labels that the Trainer counts."""
    if function_of(criterion) not in BY_CLASS or labels.is_floating_point():
        return labels.is_floating_point() and not bool(counted.all())
    return setting(criterion, "weight") is not None or bool(
        setting(criterion, "ignore_index", NOT_COUNTED) != NOT_COUNTED
    )
