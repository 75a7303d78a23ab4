"""Texts: mixing the tokens of Hugging Face models, in any trainer."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.checks import check
from mixmodal.core.draws import Draws
from mixmodal.core.grids import parse_axes
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.arguments import Call, first_tensor, follow, get, put, takes, unmixed_labels, untrace
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.hidden.hooks import Hooks
from mixmodal.hidden.mixers import alike, compare, leaves
from mixmodal.hidden.replay import Forward, recomputing
from mixmodal.modalities.text.beside import stand_in, with_tokens

BESIDE = ("token_type_ids", "position_ids", "global_attention_mask", "bbox", "langs")
"""Arguments of Hugging Face models that hold a value for each token, (B, T, ...)."""


class TokenMix:
    """Mix the tokens of a Hugging Face model in every training forward; evaluation is left alone.

    The model is called as usual, with `input_ids` and `attention_mask`. The output of its input embeddings is mixed,
    the masks are fitted to the real length of each pair, and the attention mask marks what is real in the mixed text.
    This works whatever calls the model: `Trainer`, Accelerate, DistributedDataParallel.

    Whatever the model derives from `input_ids`, it derives from ids for the mixed text: ids of real tokens from one end
    of the text to the other, and padding around it. So GPT-2, Llama and the like find the last token, and RoBERTa
    counts positions, as in evaluation, with padding on either side. `check` tells whether this holds for a given model.

    Args:
        model: a model that takes `input_ids`, `inputs_embeds` and `attention_mask`, and embeds its ids once; not an
            encoder-decoder model, which needs `ids=True`.
        mixer: a mixer with `axes="b * d"`, or a policy of such mixers; with `ids=True`, a hard one with `axes="b *"`.
        ids: mix the token ids, as the FMix paper does for BERT, rather than their embeddings.

    Raises:
        ValueError: the model takes no such arguments, has a decoder, or is already mixed; a mixer has other axes.

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
        config = getattr(model, "config", None)
        if not ids and getattr(config, "is_encoder_decoder", False):
            raise ValueError(
                f"{type(model).__name__} has a decoder, which reads the ids too: embeddings that are mixed for its "
                f"encoder alone would leave it the text as it was; mix token ids, with ids=True"
            )
        self._table: nn.Module | None = None if ids else _table(model)
        self._site = (model, "input_ids") if self._table is None else (self._table, "output")
        self._pad = getattr(config, "pad_token_id", None)
        self._labels = [name for name in inspect.signature(model.forward).parameters if _is_label(name)]
        self._read: tuple[Forward, Tensor, Tensor] | None = None
        """The last mixed forward, its token ids, and the ids that the model was given in their place."""
        self.hidden = HiddenMix(model, {self._site: _of_tokens(mixer, ids=ids)}, valid="attention_mask")
        self._hooks = Hooks(self)
        self._hooks.before(model, "_enter")
        if self._table is not None:
            self._hooks.before(self._table, "_own_ids")
            self._hooks.after(self._table, "_keep_padding")

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
        """`Mix.loss` of the last forward; the plain loss in evaluation, see `HiddenMix.loss`."""
        return self.hidden.loss(preds, y, criterion, reduction=reduction, axes=axes)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Turn mixing off for a while, even in training; see `HiddenMix.paused`."""
        with self.hidden.paused():
            yield

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Raise unless the model, with mixers that mix nothing, gives its own output; see `HiddenMix.check`."""
        self.hidden.check(*args, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """State that the mixer carries from draw to draw; see `HiddenMix.state_dict`."""
        return self.hidden.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from where a `state_dict` was taken; see `HiddenMix.load_state_dict`."""
        self.hidden.load_state_dict(state)

    def remove(self) -> None:
        """Remove all hooks; the model is as it was before."""
        self.hidden.remove()
        self._hooks.remove()

    def __repr__(self) -> str:
        (mixer,) = self.hidden.at.values()
        return f"{type(self).__name__}({type(self.hidden.model).__name__}, {mixer!r}, ids={self._table is None})"

    def __enter__(self) -> "TokenMix":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_read": None}

    def __copy__(self) -> "TokenMix":
        raise TypeError("a model has one TokenMix, so there is no shallow copy of it; take copy.deepcopy(mixing)")

    def _enter(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Before the model: draw the record, and pass the ids, mask and per-token numbers of the mixed text."""
        call, acting = (args, kwargs), self.hidden.acting
        if not acting.forward.mixing:
            return None
        self._refuse(model, call)
        ids = get(model, call, "input_ids")
        if self._table is None:
            mix = self.hidden.mix
        elif ids is None:
            embeddings = get(model, call, "inputs_embeds")
            call = put(model, call, "inputs_embeds", acting.apply(self._site, embeddings))
            mix = self.hidden.mix
        else:
            weight: Any = self._table.weight
            like = weight.new_empty(1, dtype=weight.dtype).expand(*ids.shape, weight.shape[-1])
            mix = acting.draw_ahead(self._site, like)
        if mix is None:
            return None
        for name in BESIDE:
            numbers = get(model, call, name)
            if isinstance(numbers, Tensor) and len(numbers) == len(mix.index):
                call = put(model, call, name, with_tokens(numbers, mix))
        if self._table is not None and mix.valid is not None:
            call = put(model, call, "attention_mask", follow(get(model, call, "attention_mask"), mix))
        if self._table is not None and ids is not None:
            read = stand_in(ids, mix)
            self._read = acting.forward, ids, read
            call = put(model, call, "input_ids", read)
        return call

    def _refuse(self, model: nn.Module, call: Call) -> None:
        """Raise if the labels would be used unmixed, or if padding is not marked."""
        partner = any(mixer.partner for mixer in self.hidden.at.values())
        for name in self._labels:
            if partner and get(model, call, name) is not None:
                raise unmixed_labels(model, name)
        ids = get(model, call, "input_ids")
        if get(model, call, "attention_mask") is None and isinstance(ids, Tensor) and isinstance(self._pad, int):
            check(
                ids != self._pad,
                f"input_ids hold padding, pad_token_id={self._pad}, and attention_mask is not given, so that nobody "
                f"knows what is real; pass attention_mask",
                ids,
            )

    def _own_ids(self, table: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Before the embeddings: look up the ids of the text before mixing."""
        swapped = self._swapped()
        if swapped is None:
            return None
        ids, read = swapped
        given = first_tensor((*args, *kwargs.values()), "the arguments of the input embeddings")
        if (self._site in self.hidden.acting.forward and not recomputing()) or given.shape != read.shape:
            raise RuntimeError(
                f"{type(self.hidden.model).__name__} embeds ids of shape {tuple(given.shape)} where input_ids have "
                f"{tuple(read.shape)}, or embeds them twice, so that its embeddings cannot be mixed; mix token ids, "
                f"with ids=True, or pad texts to the multiple that it wants"
            )
        check(given == read, "the ids that the model embeds are not its input_ids; mix token ids, with ids=True", given)
        return tuple(ids if each is given else each for each in args), {
            name: ids if each is given else each for name, each in kwargs.items()
        }

    def _keep_padding(self, table: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """After the embeddings: embed padding as usual."""
        swapped, mix = self._swapped(), self.hidden.mix
        if swapped is None or mix is None or mix.valid is None:
            return None
        return torch.where(mix.valid[..., None], output, table.forward(swapped[1]).to(output.dtype))

    def _swapped(self) -> tuple[Tensor, Tensor] | None:
        """The ids before mixing and those that stand in for them, if we are in the forward where they do."""
        forward = self.hidden.acting.forward
        if self._read is None or self._read[0] is not forward or not (forward.running or recomputing()):
            return None
        return self._read[1:]


def _table(model: nn.Module) -> nn.Module:
    """The input embeddings of a model."""
    table = model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(table, nn.Module) or not isinstance(getattr(table, "weight", None), Tensor):
        raise ValueError(
            f"{type(model).__name__}.get_input_embeddings() gives {type(table).__name__}, which is not a table of "
            f"embeddings; mix token ids, with ids=True"
        )
    return table


def _of_tokens(mixer: Draws, *, ids: bool) -> Draws:
    """The mixer, in which parts that fit any tensor take the axes of tokens."""
    axes = "b *" if ids else "b * d"
    for each in leaves(mixer):
        own = getattr(each, "axes", axes)
        if not getattr(each, "uniform", False) and parse_axes(own) != parse_axes(axes):
            what = "token ids (B, T)" if ids else "token embeddings (B, T, D)"
            raise ValueError(f"mixer {each!r} has axes={own!r} and is to mix {what}; give it axes={axes!r}")
    return alike(mixer, axes)


def _is_label(name: str) -> bool:
    """Whether a Hugging Face model computes a loss from an argument of this name."""
    return "label" in name or name in ("start_positions", "end_positions")


def embed_ids(model: nn.Module) -> torch.utils.hooks.RemovableHandle:
    """Make a Hugging Face model in training take its input as embeddings: `(model, "inputs_embeds")` is then a site.

    The ids are removed, so this is for models that use ids only for embeddings, with padding on the right: BERT is
    one; GPT-2 and Llama, which look for their last token, are not. Two short texts are tried.

    Args:
        model: a model that takes `input_ids` and `inputs_embeds`.

    Returns:
        A handle, whose `remove()` undoes it.

    Raises:
        ValueError: the model gives a different output without ids.

    >>> from transformers import BertConfig, BertModel
    >>> small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    >>> handle = embed_ids(BertModel(small))
    """
    _check_without_ids(model)
    return model.register_forward_pre_hook(_Embed(), prepend=True, with_kwargs=True)


class _Embed:
    """A hook before a model, or a copy of it: in training, pass embeddings in place of ids."""

    def __init__(self) -> None:
        untrace(_Embed)

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        ids = get(model, (args, kwargs), "input_ids")
        if ids is None or not model.training:
            return None
        args, kwargs = put(model, (args, kwargs), "input_ids", None)
        return put(model, (args, kwargs), "inputs_embeds", _table(model)(ids))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Embed, ()


@torch.no_grad()
def _check_without_ids(model: nn.Module) -> None:
    """Raise unless a text padded on the right gives the same output from its ids and from their embeddings."""
    table, pad = _table(model), getattr(getattr(model, "config", None), "pad_token_id", None)
    weight: Any = table.weight
    if weight.is_meta or pad is None:
        return
    words = torch.arange(len(weight), device=weight.device)
    ids = words[words != pad][-4:].repeat(2, 1)
    marks = torch.ones_like(ids)
    ids[1, 2:], marks[1, 2:] = pad, 0
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        plain = model(input_ids=ids, attention_mask=marks)
        compare(model(inputs_embeds=table(ids), attention_mask=marks), plain, marks.bool(), model)
    except RuntimeError as error:
        raise ValueError(
            f"{type(model).__name__} makes more of input_ids than embeddings, such as the place of the last token: use "
            f"TokenMix, which gives it ids of the mixed text, or the site (model.get_input_embeddings(), 'output') "
            f"with padding on the left"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode
