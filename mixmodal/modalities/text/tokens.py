"""Texts: mixing the tokens of Hugging Face models, in any trainer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.arguments import Call, get, put, takes, untraced
from mixmodal.grids import own_share, real_after
from mixmodal.hidden import HiddenMix
from mixmodal.losses import Criterion
from mixmodal.mix import Mix
from mixmodal.mixer import Draws


@dataclass(frozen=True)
class KeepEnds(Draws):
    """Mix the tokens between the special ones: a mixed text begins and ends as a text does.

    The first and the last real token of each text are special ([CLS] and [SEP], say). They are not mixed and not
    counted: `lam` is the own share of the tokens between. The mixed text has the own first token and the last token of
    the longer text; where the special token of one side lies on a token of the other, that token is taken.

    Args:
        mixer: what mixes the tokens between; a mixer whose masks are the same for all channels, or a policy of such.

    >>> import mixmodal as mm
    >>> ids = torch.tensor([[1, 5, 5, 5, 2], [1, 7, 2, 0, 0]])
    >>> mixed, mix = KeepEnds(mm.FMix(axes="b *"))(ids, valid=ids > 0, lam=0.0, index=torch.tensor([1, 0]))
    >>> mixed[1], mix.lam[1]
    (tensor([1, 5, 5, 5, 2]), tensor(0.))
    """

    mixer: Draws

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def draw(
        self,
        x: Tensor,
        *,
        valid: Tensor | None = None,
        index: Tensor | None = None,
        lam: Tensor | float | None = None,
        generator: torch.Generator | None = None,
    ) -> Mix:
        if valid is None or valid.ndim != 2:
            shape = None if valid is None else tuple(valid.shape)
            raise TypeError(
                f"valid has shape {shape}, and KeepEnds needs (B, T) to tell where texts end; pass "
                f"valid=attention_mask.bool()"
            )
        place = valid.cumsum(1)
        between = valid & (place > 1) & (place < place[:, -1:])
        record = self.mixer.draw(x, valid=between, index=index, lam=lam, generator=generator)
        if record.mask.ndim != 2 or record.parts is not None:
            raise ValueError(f"{self.mixer!r} mixes parts of a token; KeepEnds needs a method that mixes whole ones")
        end = valid & ~between
        there, end_there = valid.index_select(0, record.index), end.index_select(0, record.index)
        own = (end & ~(there & ~end_there)) | (between & end_there)
        other = (end & there & ~end_there) | (end_there & ~valid)
        mask = torch.where(own, 1, torch.where(other, 0, record.mask))
        return replace(
            record,
            mask=mask,
            lam=own_share(mask, record.index, between) if record.partner else record.lam,
            valid=real_after(mask, record.index, valid),
            real=valid,
            uniform=False,
        )


class TokenMix:
    """Mix the tokens of a Hugging Face model in every training forward; evaluation is left alone.

    The model is called as always, with `input_ids` and `attention_mask`. Its input embeddings are mixed, the masks are
    fitted to the real length of each pair, and the attention mask marks what is real in the mixed text. So does it for
    whatever calls the model: `Trainer`, Accelerate, DistributedDataParallel. To mix at hidden layers too, give
    `HiddenMix` the site `(model, "inputs_embeds")` after `embed_ids(model)`.

    Args:
        model: a model that takes `input_ids`, `inputs_embeds` and `attention_mask`.
        mixer: a mixer with `axes="b * d"`, or a policy of such; with `ids=True` a hard one with `axes="b *"`.
        ids: mix the token ids, as the FMix paper does for BERT, and not their embeddings.

    Raises:
        ValueError: the model takes no such arguments, or is mixed already.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> import mixmodal as mm
    >>> small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    >>> mixing = TokenMix(BertForSequenceClassification(small), mm.FMix(axes="b * d"))
    >>> ids = torch.tensor([[101, 2023, 2003, 102], [101, 2054, 102, 0]])
    >>> output, mix = mixing(input_ids=ids, attention_mask=(ids > 0).long())
    >>> loss = mix.loss(output.logits, torch.tensor([0, 1]))
    """

    def __init__(self, model: nn.Module, mixer: Draws, *, ids: bool = False) -> None:
        for name in ("input_ids", "inputs_embeds", "attention_mask"):
            if not takes(model, name):
                raise ValueError(f"{type(model).__name__} takes no {name}; mix it with HiddenMix at a site it has")
        site = "input_ids" if ids else "inputs_embeds"
        self.hidden = HiddenMix(model, {(model, site): mixer}, valid="attention_mask")
        self._handles = [model.register_forward_pre_hook(untraced(self._mix_types), with_kwargs=True)]
        if not ids:
            self._handles.append(embed_ids(model))

    @property
    def mix(self) -> Mix | None:
        """The record of the last training forward; None after an evaluation forward."""
        return self.hidden.mix

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Mix]:
        """The model's output and the record, see `HiddenMix`."""
        return self.hidden(*args, **kwargs)

    def loss(
        self,
        preds: Tensor,
        y: Tensor,
        criterion: Criterion = F.cross_entropy,
        *,
        reduction: str = "mean",
        axes: str | None = None,
    ) -> Tensor:
        """`Mix.loss` of the last forward; the plain loss in evaluation."""
        return self.hidden.loss(preds, y, criterion, reduction=reduction, axes=axes)

    def remove(self) -> None:
        """Take all hooks away; the model is as it was before."""
        self.hidden.remove()
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "TokenMix":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _mix_types(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Numbers of segments follow their tokens, where tokens are chosen."""
        types = get(model, (args, kwargs), "token_type_ids") if takes(model, "token_type_ids") else None
        if types is None or self.mix is None or not self.mix.hard:
            return None
        return put(model, (args, kwargs), "token_type_ids", self.mix(types, axes="b *"))


def embed_ids(model: nn.Module) -> torch.utils.hooks.RemovableHandle:
    """Let a Hugging Face model in training take its input as embeddings: `(model, "inputs_embeds")` is then a site.

    Args:
        model: a model that takes `input_ids` and `inputs_embeds`.

    Returns:
        A handle, whose `remove()` undoes it.

    >>> from transformers import BertConfig, BertModel
    >>> small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    >>> handle = embed_ids(BertModel(small))
    """

    @untraced
    def embed(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        ids = get(model, (args, kwargs), "input_ids")
        if ids is None or not model.training:
            return None
        args, kwargs = put(model, (args, kwargs), "input_ids", None)
        table = model.get_input_embeddings()  # type: ignore[operator]
        return put(model, (args, kwargs), "inputs_embeds", table(ids))

    return model.register_forward_pre_hook(embed, prepend=True, with_kwargs=True)


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

    >>> import mixmodal as mm
    >>> net = nn.Linear(4, 3)
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
