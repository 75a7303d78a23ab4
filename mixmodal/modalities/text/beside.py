"""What a model reads besides the embeddings of a mixed text: per-token numbers, and ids that stand in for tokens."""

import torch
from torch import Tensor

from mixmodal.core.records.mix import Mix


def with_tokens(numbers: Tensor, mix: Mix) -> Tensor:
    """Per-token numbers for a mixed text: of segments, of positions, or the ids themselves.

    If whole tokens are chosen, each brings its own number. If tokens are blended, the own token's number is used, and
    the partner's where there is no own token.

    Args:
        numbers: (B, T, ...), any dtype.
        mix: the record of a mix of (B, T) or (B, T, D).

    Returns:
        Like `numbers`.

    >>> valid = torch.tensor([[True, False], [True, True]])
    >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.full((1, 2), 0.5), lam=torch.full((2,), 0.5), real=valid)
    >>> with_tokens(torch.tensor([[1, 0], [2, 3]]), mix)
    tensor([[1, 3],
            [2, 3]])
    """
    if not mix.partner:
        return numbers
    if mix.hard and mix.mask.ndim == 2:
        own = (mix.mask > 0.5).expand(len(numbers), -1)
    elif mix.real is not None:
        own = _by_token(mix.real)
    else:
        return numbers
    own = own.view(*own.shape, *[1] * (numbers.ndim - 2))
    return torch.where(own, numbers, numbers.index_select(0, mix.index))


def stand_in(ids: Tensor, mix: Mix) -> Tensor:
    """Ids for a mixed text, from which a model derives everything except the embeddings.

    Between the first and the last real location no id is padding, and outside them every id is.

    Args:
        ids: token ids before mixing, integers (B, T).
        mix: the record of the mix of their embeddings.

    Returns:
        Like `ids`; `ids` themselves if nothing is mixed.

    >>> valid = torch.tensor([[True, False, False], [True, True, False]])
    >>> mix = Mix(
    ...     index=torch.tensor([1, 0]), mask=torch.ones(1, 3) / 2, lam=torch.ones(2) / 2, real=valid,
    ...     valid=torch.tensor([[True, True, False], [True, True, False]]),
    ... )
    >>> stand_in(torch.tensor([[5, 0, 0], [6, 7, 0]]), mix)
    tensor([[5, 7, 0],
            [6, 7, 0]])
    """
    chosen = with_tokens(ids, mix)
    if mix.valid is None or mix.real is None or not mix.partner:
        return chosen
    there = mix.valid.long()
    inside = (there.cumsum(1) > 0) & (there.flip(1).cumsum(1).flip(1) > 0)
    side = torch.where(inside == _by_token(mix.real), ids, ids.index_select(0, mix.index))
    return torch.where(mix.valid, chosen, side)


def _by_token(real: Tensor) -> Tensor:
    """Whether a token is real, bool (B, T), from a mask of tokens, (B, T), or of their parts, (B, T, D)."""
    return real if real.ndim == 2 else real.flatten(2).any(2)
