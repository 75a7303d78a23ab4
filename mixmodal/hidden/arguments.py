"""Hooks and arguments of modules: look one up, replace one, and make masks of real locations follow a mix."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mixmodal.core.checks import check, check_range, check_tensor
from mixmodal.core.records.mix import Mix

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""
_Function = TypeVar("_Function", bound=Callable[..., Any])


def untraced(function: _Function) -> _Function:
    """A function that compiled code calls but does not trace: a traced hook would draw once and for all.

    >>> untraced(len)([1, 2])
    2
    """
    eager: _Function = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return eager


@functools.cache
def untrace(kind: type) -> None:
    """Let compiled code call the objects of a class without tracing them.

    Call it in the constructor of the class, so that the compiler is loaded when a hook is made, not on import.
    """
    kind.__call__ = untraced(kind.__call__)  # type: ignore[method-assign,operator]


def takes(module: nn.Module, name: str) -> bool:
    """Whether a module's forward has a parameter of this name.

    >>> takes(nn.Linear(2, 2), "input"), takes(nn.Linear(2, 2), "attention_mask")
    (True, False)
    """
    return name in inspect.signature(module.forward).parameters


def get(module: nn.Module, call: Call, name: str) -> Any:
    """The argument of this name, given by position or by name; None if it is not given.

    >>> get(nn.Linear(2, 2), ((1,), {}), "input"), get(nn.Linear(2, 2), ((), {"input": 2}), "input")
    (1, 2)
    """
    args, kwargs = call
    place = _place(module, name)
    return args[place] if place < len(args) else kwargs.get(name)


def put(module: nn.Module, call: Call, name: str, value: Any) -> Call:
    """The call with a new value for an argument that was given.

    >>> put(nn.Linear(2, 2), ((1,), {}), "input", 3)
    ((3,), {})
    """
    args, kwargs = call
    place = _place(module, name)
    return ((*args[:place], value, *args[place + 1 :]), kwargs) if place < len(args) else (args, kwargs | {name: value})


def first_tensor(values: tuple[Any, ...], where: str) -> Tensor:
    """The first tensor among some values.

    Raises:
        TypeError: there is none.

    >>> first_tensor((1, torch.ones(2)), "the arguments")
    tensor([1., 1.])
    """
    for value in values:
        if isinstance(value, Tensor):
            return value
    raise TypeError(f"{where} hold no positional tensor; name a keyword argument, as in (module, 'hidden_states')")


def follow(marks: Tensor, mix: Mix) -> Tensor:
    """The mask of real locations, or of what a location may attend to, after a mix.

    Args:
        marks: (B, T) or (B, heads or 1, queries or 1, T), of any dtype: 1 or True where to attend; or, if it holds
            negative numbers, an additive mask with 0 where to attend and a large negative number elsewhere.
        mix: the record, with `valid` (B, T).

    Returns:
        Like `marks`: what either side may attend to, provided it is real in the mixed sample.

    >>> index, valid = torch.tensor([1, 0]), torch.tensor([[True, False], [True, False]])
    >>> mix = Mix(index=index, mask=torch.ones(1, 2), lam=torch.ones(2), valid=valid)
    >>> follow(torch.tensor([[1, 0], [1, 1]]), mix)
    tensor([[1, 0],
            [1, 0]])
    """
    assert mix.valid is not None
    real = mix.valid.view(len(mix.valid), *[1] * (marks.ndim - 2), -1)
    other = marks.index_select(0, mix.index)
    if not marks.is_floating_point():
        return ((marks.bool() | other.bool()) & real).to(marks.dtype)
    never = marks.new_full((), torch.finfo(marks.dtype).min) * (marks < 0).any()
    return torch.where(real, torch.maximum(marks, other), never)


def marked(marks: object, name: str) -> Tensor:
    """The mask of real locations that an argument holds, as bool.

    Args:
        marks: (B, *grid), 1 or True where real, 0 or False where not, of any dtype.
        name: what to call it in a message.

    Raises:
        TypeError: it is not a tensor.
        ValueError: floats outside [0, 1], as in an additive mask.

    >>> marked(torch.tensor([[1.0, 0.0]]), "attention_mask")
    tensor([[ True, False]])
    """
    check_tensor(marks, name)
    assert isinstance(marks, Tensor)
    if marks.is_floating_point():
        check_range(marks, 0, 1, f"{name} must hold 1 where a location is real and 0 where not")
    return marks.bool()


def reduced(marks: Tensor, before: Tensor) -> bool:
    """Whether a mask (B, T) covers fewer locations than another of the same batch.

    >>> reduced(torch.ones(2, 3), torch.ones(2, 9)), reduced(torch.ones(2, 1, 1, 3), torch.ones(2, 9))
    (True, False)
    """
    return marks.ndim == before.ndim == 2 and len(marks) == len(before) and marks.shape[1] < before.shape[1]


def check_whole(mix: Mix, valid: Tensor, why: str) -> None:
    """Raise unless every location that is real in the sample or its partner is real after the mix.

    Real locations can then be counted: what is contiguous before the mix is contiguous after it.

    Args:
        mix: the record, with `valid` (B, T).
        valid: what was real before the mix, bool (B, T).
        why: what counts them.

    Raises:
        ValueError: there is padding where one side is real.

    >>> index, valid = torch.tensor([1, 0]), torch.tensor([[True, True], [True, False]])
    >>> mix = Mix(index=index, mask=torch.ones(1, 2), lam=torch.ones(2), valid=valid)
    >>> check_whole(mix, valid, "attention_mask is reduced")
    Traceback (most recent call last):
    ValueError: attention_mask is reduced, which counts what is real, but the mix leaves padding where one side is \
real: give the mixer holes=False
    """
    assert mix.valid is not None
    check(
        mix.valid == (valid | valid.index_select(0, mix.index)),
        f"{why}, which counts what is real, but the mix leaves padding where one side is real: give the mixer "
        f"holes=False",
    )


def decodes(module: nn.Module, call: Call) -> bool:
    """Whether a module is a decoder, whose own mask is for different tokens from the encoder's.

    >>> decodes(nn.Identity(), ((), {}))
    False
    """
    return takes(module, "encoder_hidden_states") and get(module, call, "encoder_hidden_states") is not None


def unmixed_labels(model: nn.Module, name: str) -> ValueError:
    """What to raise if a network in training is given labels: the loss it computes would ignore the mixing."""
    return ValueError(
        f"{name} is given to {type(model).__name__} in training, whose loss would not know how its inputs were mixed: "
        f"leave it out and take mixing.loss(output.logits, labels); in place of a Trainer "
        f"take mixmodal.frameworks.trainer.MixTrainer(model, args, mixing=mixing)"
    )


def _place(module: nn.Module, name: str) -> int:
    """Position of a parameter in a module's forward; past the end if it cannot be given by position."""
    for place, (each, parameter) in enumerate(inspect.signature(module.forward).parameters.items()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY):
            break
        if each == name:
            return place
    return 2**31
