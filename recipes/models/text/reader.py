"""From token ids to logits: a table that embeds them, and an encoder of the embeddings."""

from torch import Tensor, nn


class Reader(nn.Module):
    """Embeds token ids and passes them to an encoder.

    Args:
        embedding: maps ids (B, T) to embeddings (B, T, D).
        encoder: maps embeddings and `attention_mask` (B, T) to logits (B, C).
    """

    def __init__(self, embedding: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder

    def forward(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map ids (B, T) and marks of real tokens (B, T) to logits (B, C)."""
        logits: Tensor = self.encoder(self.embedding(ids), attention_mask=attention_mask)
        return logits


class FromIds(nn.Module):
    """Reads padded token ids.

    Args:
        reader: maps ids and `attention_mask` to logits.
        pad_id: id of the pad token, which marks padding.
    """

    def __init__(self, reader: nn.Module, pad_id: int) -> None:
        super().__init__()
        self.reader = reader
        self.pad_id = pad_id

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, T) to logits (B, C)."""
        logits: Tensor = self.reader(ids, attention_mask=ids != self.pad_id)
        return logits
