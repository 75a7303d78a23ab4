"""Memory for large results."""

import mmap

import torch
from torch import Tensor

from mixmodal.selection import on_host

LARGE = 2**25
"""Bytes from which on the C library takes memory from the system for each result, and gives it back after."""


def fresh_like(x: Tensor) -> Tensor:
    """An uninitialised tensor of the shape, dtype, device and memory format of `x`.

    Linux hands out new memory in pages of 4 kB, each when it is first written, which costs more than the mixing itself.
    A large result on the CPU lies in huge pages instead where the system has them. Its storage cannot be resized.

    >>> fresh_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    if on_host(x) and x.nbytes >= LARGE and hasattr(mmap, "MADV_HUGEPAGE"):
        pages = mmap.mmap(-1, x.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
        strides = torch.empty_like(x, device="meta").stride()
        return torch.frombuffer(pages, dtype=x.dtype).as_strided(x.shape, strides)
    return torch.empty_like(x)
