"""The loss of mixed batches in the Trainer of Hugging Face."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mixmodal.core.records.losses import Criterion
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.modalities.text.tokens import TokenMix


def trainer_loss(
    mixing: HiddenMix | TokenMix, *, criterion: Criterion = F.cross_entropy, axes: str | None = None
) -> Callable[..., Tensor]:
    """The loss of mixed batches, for `Trainer(compute_loss_func=…)` of Hugging Face.

    With gradient accumulation the sum of the losses of each part is divided by the number of labels in the whole batch,
    which the Trainer counts, so that the gradient is that of one large batch.

    Args:
        mixing: what mixes the model.
        criterion: see `Mix.loss`.
        axes: see `Mix.loss`.

    Returns:
        A function of the model's output, the labels and the number of labels.

    >>> import torch, mixmodal as mm
    >>> net = torch.nn.Linear(4, 3)
    >>> loss = trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}))
    >>> bool(loss({"logits": net(torch.rand(2, 4))}, torch.tensor([0, 1])) > 0)
    True
    """

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if num_items_in_batch is None:
            return mixing.loss(logits, labels, criterion, axes=axes)
        return mixing.loss(logits, labels, criterion, reduction="sum", axes=axes) / num_items_in_batch

    return loss
