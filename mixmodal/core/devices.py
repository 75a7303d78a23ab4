"""What depends on a tensor's device and dtype: whether it can be read, random draws, memory for large results."""

import mmap
from typing import Any

import torch
from torch import Tensor

LARGE = 2**25
"""Bytes from which the C library requests memory from the system for each result, and returns it afterwards."""

COUNTED = 2**24
"""Up to here, float32 represents every whole number."""


def on_host(x: Tensor) -> bool:
    """Whether values can be read without waiting for a device or breaking a compiled graph.

    Args:
        x: the tensor, of any shape.

    >>> on_host(torch.zeros(1)), on_host(torch.zeros(1, device="meta"))
    (True, False)
    """
    return x.is_cpu and not torch.compiler.is_compiling() and not wrapped(x)


def wrapped(x: Tensor) -> bool:
    """Whether a tensor stands for others, so that it has no values of its own to read or write.

    Inside `torch.func.vmap` it stands for a batch of tensors, inside `torch.func.grad` for one with a derivative, and a
    fake tensor, as made by compilers and exporters, stands for any tensor of its shape.

    Args:
        x: the tensor, of any shape.

    >>> wrapped(torch.zeros(1)), wrapped(torch.nn.Parameter(torch.zeros(1)))
    (False, False)
    """
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return True
    return type(x) is not Tensor and type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__


def source(generator: torch.Generator | None) -> dict[str, Any]:
    """The keyword argument that passes a generator to a draw; empty for the global one.

    In compiled code, torch's draws with `generator=None` do not accept dynamic sizes.

    >>> source(None)
    {}
    """
    return {} if generator is None else {"generator": generator}


def widest(device: torch.device) -> torch.dtype:
    """The widest floating dtype of a device.

    >>> widest(torch.device("cpu")), widest(torch.device("mps"))
    (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which to compute with values of a dtype: itself, or float32 or complex64 if that is more precise.

    >>> at_least_single(torch.float16), at_least_single(torch.float8_e4m3fn), at_least_single(torch.float64)
    (torch.float32, torch.float32, torch.float64)
    """
    if dtype.itemsize < 2:  # torch does not promote these
        return torch.float32
    return torch.promote_types(dtype, torch.float32)


def fresh_like(x: Tensor) -> Tensor:
    """An uninitialised tensor with the shape, dtype, device and memory format of `x`.

    Linux hands out new memory in pages of 4 kB, each on its first write, which costs more than the mixing itself.
    A large result on the CPU uses huge pages instead if the system has them. Its storage cannot be resized. Subclasses
    of tensors make their own results, which hold more than values: a `MetaTensor` has its metadata.

    >>> fresh_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    large = x.nbytes >= LARGE and on_host(x) and type(x) in (Tensor, torch.nn.Parameter)
    pages = _huge_pages(x.nbytes) if large else None
    if pages is None:
        return torch.empty_like(x)
    strides = torch.empty_like(x, device="meta").stride()
    return torch.frombuffer(pages, dtype=x.dtype).as_strided(x.shape, strides)


def _huge_pages(size: int) -> mmap.mmap | None:
    """`size` bytes of memory requested in huge pages; None if the system has none or refuses."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel without them, or a limit on mapped memory
        return None
    return pages
