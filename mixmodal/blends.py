"""Blending a batch with its partners, into a new tensor or a buffer of the caller's."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mixmodal.memory import fresh_like
from mixmodal.selection import on_host

LONG = 2**16
"""Values in a sample from which on samples are mixed one by one: a partner is then read once and not copied first."""


def choose(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`x` where `mask` is 1, its partner where it is 0."""
    if out is None and (x.requires_grad or torch.compiler.is_compiling()):
        return torch.where(mask > 0.5, x, _partner(x, index, None))
    if x.dtype in (torch.float32, torch.float64) and on_host(x):  # on CPUs torch.where is no vector code, lerp is
        mixed = _lerp(mask.to(x.dtype), x, index, out)
        if math.isfinite(mixed.sum().item()):  # so no difference was, and 0 and 1 times each are exact
            return mixed
    out = _partner(x, index, out)
    return torch.where(mask > 0.5, x, out, out=out)


def blend(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    if x.dtype == dtype:
        return _lerp(mask.to(dtype), x, index, out)
    return give(_lerp(mask.to(dtype), x.to(dtype), index, None).to(x.dtype), out)


def _lerp(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, all of one dtype."""
    if x[:1].numel() < LONG or x.requires_grad:
        return _partner(x, index, out).lerp_(x, mask)
    if on_host(x):
        return _lerp_each(mask, x, index.tolist(), out)
    return _partner(x, index, out).lerp_(x, mask)


def _lerp_each(mask: Tensor, x: Tensor, index: Sequence[int], out: Tensor | None) -> Tensor:
    """`_lerp`, sample by sample."""
    out = fresh_like(x) if out is None else out
    for share, own, partner, into in zip(mask.expand(len(x), *mask.shape[1:]), x, index, out, strict=True):
        torch.lerp(x[partner], own, share, out=into)
    return out


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
    if x.requires_grad and torch.is_grad_enabled():
        raise ValueError("out= cannot be used where x requires grad; leave it out")
    if not torch.compiler.is_compiling():
        (a, b), (c, d) = _extent(x), _extent(out)
        if a < d and c < b:
            raise ValueError("out shares memory with x, which must stay as it is; give a buffer of its own")


def _partner(x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    if out is None and not x.is_contiguous():
        return x[index]  # which keeps a memory format
    if out is None and x.requires_grad:
        return x.index_select(0, index)
    return torch.index_select(x, 0, index, out=fresh_like(x) if out is None else out)


def _extent(x: Tensor) -> tuple[int, int]:
    """First and last byte address of a tensor."""
    cells = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
    return x.data_ptr(), x.data_ptr() + (cells * x.element_size() if x.numel() else 0)
