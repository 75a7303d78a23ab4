"""Blending a batch with its partners, into a new tensor or the caller's buffer."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from mixmodal.core.devices import at_least_single, fresh_like, on_host, wrapped

LONG = 2**16
"""Values in a sample from which samples are mixed one by one: each partner is then read once, without a copy."""

WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer dtypes by their size in bytes."""


def choose(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`x` where `mask` is 1, its partner where it is 0."""
    if _functional(mask, x, index, out):
        return torch.where(laid_out(mask > 0.5, x), x, partners(x, index))
    out = fresh_like(x) if out is None else out
    if on_host(x) and not x.is_complex():
        return _choose_bits(mask, x, index, out)
    torch.index_select(x, 0, index, out=out)
    return torch.where(mask > 0.5, x, out, out=out)


def _choose_bits(mask: Tensor, x: Tensor, index: Tensor, out: Tensor) -> Tensor:
    """`choose` on CPUs, where arithmetic is vectorised and torch.where is not.

    Bits are read as integers, whose sums wrap around: nothing is rounded, whatever the values are.
    """
    word = WORDS[x.element_size()]
    kept = (mask > 0.5).to(word)
    for keep, own, partner, into in _pairs(kept, x.resolve_neg().view(word), index, out.view(word)):
        torch.addcmul(partner, partner, keep, value=-1, out=into).addcmul_(own, keep)
    return out


def blend(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, in at least float32; a side whose share is 0 has no effect at all."""
    dtype = at_least_single(x.dtype)
    if x.dtype == dtype:
        return _lerp(mask.to(dtype), x, index, out)
    return give(_lerp(mask.to(dtype), x.to(dtype), index, None).to(x.dtype), out)


def _lerp(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> Tensor:
    """`mask · x + (1 - mask) ·` its partner, all in the same dtype."""
    if out is None and _requires_grad(x) and on_host(x) and on_host(index) and not _dual(x):
        return _Lerp.apply(mask, x, index)  # type: ignore[no-any-return, no-untyped-call]
    if _functional(mask, x, index, out) or (out is None and x.device.type != "cpu"):
        return between(laid_out(mask, x), x, partners(x, index))
    out = fresh_like(x) if out is None else out
    if on_host(x):
        return _lerp_on_host(mask, x, index, out)
    return out.copy_(between(mask, x, x.index_select(0, index)))


def _lerp_on_host(mask: Tensor, x: Tensor, index: Tensor, out: Tensor) -> Tensor:
    """`_lerp` into `out`.

    A share of 0 fails to cancel its other factor only if that is infinite or not a number, which a sum reveals while
    the result is still in the cache: selecting values takes longer than mixing them.
    """
    ends = _has_ends(mask)
    for place, (share, own, partner, into) in enumerate(_pairs(mask, x, index, out)):
        torch.lerp(partner, own, share, out=into)
        if ends and not _is_finite(into):
            into.copy_(between(share, own, x[index if own is x else index[place]]))
    return out


class _Lerp(torch.autograd.Function):
    """`_lerp` on the host with a derivative, in which both sides receive the gradient times their share."""

    @staticmethod
    def forward(ctx: Any, mask: Tensor, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(mask, index)
        return _lerp(mask, x, index, torch.empty_like(x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        mask, index = ctx.saved_tensors
        own, other = _times(mask, gradient), _times(1 - mask, gradient)
        return None, own.index_add(0, index, other), None


def _times(share: Tensor, x: Tensor) -> Tensor:
    """`share · x`, 0 where the share is 0, even if the value is infinite or not a number."""
    product = share * x
    if on_host(product) and _is_finite(product):
        return product
    return torch.where(share == 0, 0, product)


def _is_finite(x: Tensor) -> bool:
    """Whether all values of a readable tensor are finite; may be False for very large ones."""
    if on_host(x):
        return bool(x.sum().isfinite().item())
    return False


def between(mask: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """`mask · own + (1 - mask) · other`; a side whose share is 0 has no effect at all, not even on derivatives.

    Args:
        mask: own share, in the dtype of both sides or its real counterpart, in [0, 1].
        own: values of any shape that `mask` broadcasts with.
        other: like `own`.

    >>> between(torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1.0, torch.inf, 4.0]), torch.tensor([torch.nan, 2.0, 2.0]))
    tensor([1., 2., 3.])
    """
    mixed = torch.lerp(other, own, mask)
    if not _has_ends(mask):
        return mixed
    share = mask.real
    return torch.where(share == 1, own, torch.where(share == 0, other, mixed))


def _has_ends(mask: Tensor) -> bool:
    """Whether a mask is 0 or 1 anywhere, or cannot be read."""
    if mask.numel() and on_host(mask):
        least, most = mask.real.aminmax()
        return not (least.item() > 0 and most.item() < 1)
    return True


def _pairs(mask: Tensor, x: Tensor, index: Tensor, out: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Masks, samples, their partners and the destination of their mix.

    Long samples on the CPU come one by one; others as a whole batch, with its partners copied to the destination.
    """
    if x.numel() >= LONG * max(x.shape[0], 1) and on_host(x):
        for share, own, partner, into in zip(mask.expand(len(x), *mask.shape[1:]), x, index.tolist(), out, strict=True):
            yield share, own, x[partner], into
    else:
        yield mask, x, torch.index_select(x, 0, index, out=out), out


def single(x: Tensor) -> Tensor:
    """`x` in at least float32 or complex64."""
    return x.to(at_least_single(x.dtype))


def clear(x: Tensor, away: Tensor, out: Tensor | None = None) -> Tensor:
    """A copy of `x` that is zero where `away`, a bool tensor that broadcasts with it, in the memory order of `x`.

    It is written to `out` if it can be.
    """
    if on_host(x) and on_host(away) and not x.is_complex() and not _tracked(x):
        return _clear_bits(x, away, fresh_like(x) if out is None else out)
    if x.dtype.itemsize < 2:  # torch cannot fill these
        return clear(single(x), away).to(x.dtype)
    order = memory_order(x)
    if order is None:
        return x.masked_fill(away, 0)
    return x.permute(order).masked_fill(away.permute(order), 0).permute(_inverse(order))


def _clear_bits(x: Tensor, away: Tensor, out: Tensor) -> Tensor:
    """`clear` on CPUs, where bitwise operations are vectorised and masked_fill is not."""
    word = WORDS[x.element_size()]
    kept = away.to(word).sub_(1)  # no bit set where the value is cleared, all elsewhere
    torch.bitwise_and(x.resolve_neg().view(word), kept, out=out.view(word))
    return out


def partners(x: Tensor, index: Tensor) -> Tensor:
    """`x[index]` in the memory order of `x`."""
    order = memory_order(x)
    if order is None:
        return x.index_select(0, index)
    return x.permute(order).index_select(order.index(0), index).permute(_inverse(order))


def laid_out(result: Tensor, x: Tensor) -> Tensor:
    """`result`, which has the axes of `x`, in the memory order of `x`; copied only if its order differs."""
    order = memory_order(x)
    if order is None:
        return result.contiguous()
    return result.permute(order).contiguous().permute(_inverse(order))


def memory_order(x: Tensor) -> list[int] | None:
    """The axes of `x` from the outermost in memory to the innermost; None if `x` is contiguous.

    >>> memory_order(torch.zeros(2, 3, 4, 5)), memory_order(torch.zeros(2, 4, 5, 3).movedim(-1, 1))
    (None, [0, 2, 3, 1])
    """
    if x.is_contiguous():
        return None
    strides = torch.empty_like(x, device="meta").stride()
    return sorted(range(x.ndim), key=lambda axis: strides[axis], reverse=True)


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(axis) for axis in range(len(order))]


def _functional(mask: Tensor, x: Tensor, index: Tensor, out: Tensor | None) -> bool:
    """Whether to mix `x` without `out=`, which autograd does not support and compilers do not need."""
    return out is None and (torch.compiler.is_compiling() or _tracked(x) or any(map(wrapped, (mask, x, index))))


def _tracked(x: Tensor) -> bool:
    """Whether a derivative with respect to `x` is being taken."""
    return _requires_grad(x) or _dual(x)


def _requires_grad(x: Tensor) -> bool:
    """Whether a reverse-mode derivative with respect to `x` is being taken."""
    return x.requires_grad and torch.is_grad_enabled()


def _dual(x: Tensor) -> bool:
    """Whether `x` carries a tangent of forward-mode differentiation."""
    return unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]


def give(x: Tensor, out: Tensor | None) -> Tensor:
    """`x`, or `out` filled with its values."""
    return x if out is None else out.copy_(x)


def check_buffer(x: Tensor, out: Tensor) -> None:
    """Raise ValueError unless `out` can hold the mix of `x`."""
    if (out.shape, out.dtype, out.device) != (x.shape, x.dtype, x.device):
        raise ValueError(
            f"out is {out.dtype} {tuple(out.shape)} on {out.device} and must match x, "
            f"{x.dtype} {tuple(x.shape)} on {x.device}"
        )
    if _tracked(x):
        raise ValueError("out= cannot be used where x requires grad; leave it out")
    if torch.compiler.is_compiling():
        return
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        raise ValueError("out= cannot be used inside torch.func.vmap or torch.func.grad; leave it out")
    if _share_memory(x, out):
        raise ValueError("out shares memory with x, which must not change; pass a separate buffer")


def _share_memory(x: Tensor, out: Tensor) -> bool:
    """Whether the two may share a byte."""
    addressed = x.device.type != "meta" and not wrapped(x) and not wrapped(out)
    if not addressed and x.untyped_storage()._cdata != out.untyped_storage()._cdata:
        return False
    (a, b), (c, d) = _extent(x, addressed), _extent(out, addressed)
    return a < d and c < b


def _extent(x: Tensor, addressed: bool) -> tuple[int, int]:
    """First byte of a tensor and the one after its last, as addresses or offsets into its storage."""
    cells = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
    first = x.data_ptr() if addressed else int(x.storage_offset()) * x.element_size()
    return first, first + (cells * x.element_size() if x.numel() else 0)


def check_chosen(x: Tensor, hard: bool) -> None:
    """Raise TypeError unless the mask is hard, since integers are chosen rather than blended."""
    if not hard:
        raise TypeError(
            f"x is {x.dtype} and integers are chosen, never blended, but this mask is soft: use a method with a hard "
            f"mask (CutMix, FMix with max_soft=0), convert integer images to floats first, mix embeddings or one-hot "
            f"floats, or weight the losses of dense labels with mix.loss(preds, y, axes=...)"
        )
