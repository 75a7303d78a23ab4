"""Operators of PyTorch for what is fast on a CPU only if values can be read: compiled graphs call them as they are."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Tensor])

_LIBRARIES: dict[str, torch.library.Library] = {}
"""One for each operator: it lives as long as its library, and makes way when its module is loaded again."""


def operator(schema: str, like: Callable[..., Tensor], *, random: bool = False) -> Callable[[F], F]:
    """A decorator that makes a function for tensors on the CPU an operator, `torch.ops.mixmodal.NAME`.

    Args:
        schema: its name, arguments and result, as `torch.library.Library.define` wants them.
        like: returns an uninitialised result, for compilers.
        random: whether it draws from torch's global generator. One of its arguments must then be a draw of torch's, if
            only an empty tensor: that shows compilers that two calls are two draws, and `torch.func.vmap` whether the
            members of a batch share one.
    """
    name = schema.partition("(")[0]
    tags = (torch.Tag.nondeterministic_seeded,) if random else ()

    def register(function: F) -> F:
        library = _LIBRARIES[name] = torch.library.Library("mixmodal", "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(schema, tags=tags)  # type: ignore[no-untyped-call]
        library.impl(name, function, "CPU")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"mixmodal::{name}", like, lib=library)
        return function

    return register


def compiled_on_cpu(x: Tensor) -> bool:
    """Whether a tensor is on the CPU in compiled code, where operators are to be called.

    >>> compiled_on_cpu(torch.zeros(1))
    False
    """
    return torch.compiler.is_compiling() and x.is_cpu
