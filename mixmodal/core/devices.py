"""What depends on where tensors lie: whether they can be read, where draws come from, memory for large results."""

import mmap
from typing import Any

import torch
from torch import Tensor

LARGE = 2**25
"""Bytes from which on the C library takes memory from the system for each result, and gives it back after."""


def on_host(x: Tensor) -> bool:
    """Whether values can be read without waiting for a device or breaking a compiled graph.

    Args:
        x: the tensor, of any shape.

    >>> on_host(torch.zeros(1)), on_host(torch.zeros(1, device="meta"))
    (True, False)
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def source(generator: torch.Generator | None) -> dict[str, Any]:
    """The keyword argument of a draw for its generator; none for the global one.

    In compiled code torch's draws with `generator=None` take no sizes that vary.

    >>> source(None)
    {}
    """
    return {} if generator is None else {"generator": generator}


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
