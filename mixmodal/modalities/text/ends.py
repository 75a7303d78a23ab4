"""Mixing texts while keeping their special tokens."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mixmodal.core.draws import Asked, Draws, with_realised_share, without_saliency
from mixmodal.core.grids import own_share, real_after
from mixmodal.core.records.mix import Mix


@dataclass(frozen=True)
class KeepEnds(Draws):
    """Mix the tokens between the special ones, so that a mixed text begins and ends like any text.

    The first and the last real token of each text are special ([CLS] and [SEP], say). They are neither mixed nor
    counted: `lam` is the own share of the tokens in between. The mixed text has its own first token and the last token
    of the longer text; where the special token of one side coincides with an ordinary token of the other, the ordinary
    token is taken. Padding may be anywhere, even between tokens.

    Args:
        mixer: what mixes the tokens in between; a mixer whose masks are the same for all channels, or a policy of such
            mixers.

    >>> import mixmodal as mm
    >>> ids = torch.tensor([[1, 5, 5, 5, 2], [1, 7, 2, 0, 0]])
    >>> mixed, mix = KeepEnds(mm.FMix(axes="b *"))(ids, valid=ids > 0, lam=0.0, index=torch.tensor([1, 0]))
    >>> mixed[1], mix.lam[1]
    (tensor([1, 5, 5, 5, 2]), tensor(0.))
    """

    mixer: Draws

    def __post_init__(self) -> None:
        without_saliency(self.mixer, "KeepEnds")
        with_realised_share(self.mixer, "KeepEnds")

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def record(self, x: Tensor, asked: Asked) -> Mix:
        valid = asked.valid
        if not isinstance(valid, Tensor) or valid.ndim != 2:
            shape = tuple(valid.shape) if isinstance(valid, Tensor) else None
            raise TypeError(
                f"valid has shape {shape}, and KeepEnds needs (B, T) to tell where texts end; pass "
                f"valid=attention_mask.bool()"
            )
        place = valid.cumsum(1)
        between = valid & (place > 1) & (place < place[:, -1:])
        drawn = self.mixer.record(x, replace(asked, valid=between))
        if drawn.mask.ndim != 2 or drawn.parts is not None:
            raise ValueError(f"{self.mixer!r} mixes parts of a token; KeepEnds needs a method that mixes whole ones")
        if drawn.mask.shape[1] != valid.shape[1]:
            raise TypeError(
                f"valid has shape {tuple(valid.shape)}, and KeepEnds needs {(len(valid), drawn.mask.shape[1])} to tell "
                f"where texts end; pass valid=attention_mask.bool()"
            )
        end = valid & ~between
        there, end_there = valid.index_select(0, drawn.index), end.index_select(0, drawn.index)
        own = (end & ~(there & ~end_there)) | (between & end_there)
        other = (end & there & ~end_there) | (end_there & ~valid)
        mask = torch.where(own, 1, torch.where(other, 0, drawn.mask))
        return replace(
            drawn,
            mask=mask,
            lam=own_share(mask, drawn.index, between) if drawn.partner else drawn.lam,
            valid=real_after(mask, drawn.index, valid),
            real=valid,
            uniform=False,
        )
