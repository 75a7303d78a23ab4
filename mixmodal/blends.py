"""Blending a batch with its partners, into a new tensor or a buffer of the caller's."""

import torch
from torch import Tensor

WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers by their size in bytes."""
CACHED = 2**22
"""Bytes of a batch that a CPU keeps in its cache."""


def choose(keep: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`x` where `keep`, else its partner."""
    if out is None and (x.requires_grad or torch.compiler.is_compiling()):
        return torch.where(keep, x, x.index_select(0, index))
    other = _partner(x, index, out)
    if x.device.type != "cpu" or x.nbytes > CACHED or x.element_size() not in WHOLE:
        return torch.where(keep, x, other, out=other)
    # On CPUs torch.where is no vector code, bit operations are: three passes in the cache are faster than its one.
    whole = WHOLE[x.element_size()]
    bits, own = other.view(whole), x.view(whole)
    bits.bitwise_xor_(own).bitwise_and_(keep.to(whole) - 1).bitwise_xor_(own)
    return other


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
