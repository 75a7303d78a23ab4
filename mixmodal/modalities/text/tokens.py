"""Texts: mixing the tokens of Hugging Face models, in any trainer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.draws import Draws
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.arguments import Call, get, put, takes, untraced
from mixmodal.hidden.hiddenmix import HiddenMix


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
        reduction: str | None = None,
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
