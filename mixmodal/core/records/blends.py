"""Blending a batch with its partners, into a new tensor or a buffer of the caller's."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from mixmodal.core.devices import fresh_like, on_host

LONG = 2**16
"""Values in a sample from which on samples are mixed one by one: a partner is then read once and not copied first."""

WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integers of as many bytes."""


def choose(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`x` where `mask` is 1, its partner where it is 0."""
    if _functional(x, out):
        return torch.where(mask > 0.5, x, x.index_select(0, index))
    out = fresh_like(x) if out is None else out
    if on_host(x) and not x.is_complex():
        return _choose_bits(mask, x, index, out)
    torch.index_select(x, 0, index, out=out)
    return torch.where(mask > 0.5, x, out, out=out)


def _choose_bits(mask: Tensor, x: Tensor, index: Tensor, out: Tensor) -> Tensor:
    """`choose` on CPUs, where bitwise operations are vector code and torch.where is not."""
    word = WORDS[x.element_size()]
    partners = (mask <= 0.5).to(word).neg_()  # all bits of a value that is the partner's
    for theirs, own, partner, into in _pairs(partners, x.resolve_neg().view(word), index, out.view(word)):
        torch.bitwise_xor(own, partner, out=into).bitwise_and_(theirs).bitwise_xor_(own)
    return out


def blend(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    if x.dtype == dtype:
        return _lerp(mask.to(dtype), x, index, out)
    return give(_lerp(mask.to(dtype), x.to(dtype), index, None).to(x.dtype), out)


def _lerp(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, all of one dtype."""
    if _functional(x, out):
        return x.index_select(0, index).lerp_(x, mask)
    out = fresh_like(x) if out is None else out
    for share, own, partner, into in _pairs(mask, x, index, out):
        torch.lerp(partner, own, share, out=into)
    return out


def _pairs(mask: Tensor, x: Tensor, index: Tensor, out: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Masks, samples, their partners and where their mix goes.

    Long samples on the CPU come one by one; a batch of others at once, its partners copied to where the mix goes.
    """
    if x[:1].numel() >= LONG and on_host(x):
        for share, own, partner, into in zip(mask.expand(len(x), *mask.shape[1:]), x, index.tolist(), out, strict=True):
            yield share, own, x[partner], into
    else:
        yield mask, x, torch.index_select(x, 0, index, out=out), out


def _functional(x: Tensor, out: Tensor | None) -> bool:
    """Whether the mix of `x` is made without `out=`, which derivatives do not pass, and compilers do not need."""
    return out is None and (torch.compiler.is_compiling() or _tracked(x))


def _tracked(x: Tensor) -> bool:
    """Whether a derivative with respect to `x` is being taken."""
    if x.requires_grad and torch.is_grad_enabled():
        return True
    return unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]


def give(x: Tensor, out: Tensor | None) -> Tensor:
    """`x`, or `out` with its values."""
    return x if out is None else out.copy_(x)


def check_buffer(x: Tensor, out: Tensor) -> None:
    """Raise ValueError unless `out` can take the mix of `x`."""
    if (out.shape, out.dtype, out.device) != (x.shape, x.dtype, x.device):
        raise ValueError(
            f"out is {out.dtype} {tuple(out.shape)} on {out.device} and must be as x, "
            f"{x.dtype} {tuple(x.shape)} on {x.device}"
        )
    if _tracked(x):
        raise ValueError("out= cannot be used where x requires grad; leave it out")
    if not torch.compiler.is_compiling():
        (a, b), (c, d) = _extent(x), _extent(out)
        if a < d and c < b:
            raise ValueError("out shares memory with x, which must stay as it is; give a buffer of its own")


def _extent(x: Tensor) -> tuple[int, int]:
    """First and last byte address of a tensor."""
    cells = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
    return x.data_ptr(), x.data_ptr() + (cells * x.element_size() if x.numel() else 0)


def check_chosen(x: Tensor, hard: bool) -> None:
    """Integers are chosen, which takes a hard mask."""
    if not hard:
        raise TypeError(
            f"x is {x.dtype} and integers are chosen, never blended, but this mask is soft: use a method with a hard "
            f"mask (CutMix, FMix with max_soft=0), mix embeddings or one-hot floats, or weigh the losses of dense "
            f"labels with mix.loss(preds, y, axes=...)"
        )
