"""Blending a batch with its partners, into a new tensor or a buffer of the caller's."""

import torch
from torch import Tensor

from mixmodal.masks import on_host


def choose(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`x` where `mask` is 1, its partner where it is 0."""
    if out is None and (x.requires_grad or torch.compiler.is_compiling()):
        return torch.where(mask > 0.5, x, x.index_select(0, index))
    out = _partner(x, index, out)
    if _can_be_scaled(x):  # on CPUs torch.where is no vector code, lerp is
        return out.lerp_(x, mask.to(x.dtype))
    return torch.where(mask > 0.5, x, out, out=out)


def _can_be_scaled(x: Tensor) -> bool:
    """Whether 0 and 1 times the difference of any two values are exact: no value is infinite or no number."""
    if on_host(x) and x.dtype in (torch.float32, torch.float64) and x.numel():
        low, high = torch.aminmax(x)
        return bool(torch.isfinite(high - low))
    return False


def blend(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    if x.dtype == dtype:
        return _partner(x, index, out).lerp_(x, mask.to(dtype))
    return give(x.to(dtype).index_select(0, index).lerp_(x.to(dtype), mask.to(dtype)).to(x.dtype), out)


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
    return x.index_select(0, index) if out is None else torch.index_select(x, 0, index, out=out)


def _extent(x: Tensor) -> tuple[int, int]:
    """First and last byte address of a tensor."""
    cells = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
    return x.data_ptr(), x.data_ptr() + (cells * x.element_size() if x.numel() else 0)
