"""Checks of arguments, with errors that say what was found and what would be right."""

import inspect
import math
import numbers
import sys
from dataclasses import fields, is_dataclass
from typing import Any, Self

import torch
from torch import Tensor

from mixmodal.core.devices import on_host


def check(holds: Tensor, message: str, values: Tensor | None = None) -> None:
    """Raise ValueError, with the range of `values`, unless `holds` is true everywhere; off the CPU, assert it."""
    if on_host(holds):
        if not holds.all():
            span = None if values is None else (values.min().item(), values.max().item())
            raise ValueError(message if span is None else f"{message}; got values from {span[0]:.4g} to {span[1]:.4g}")
    else:
        torch._assert_async(holds.all(), message)


def check_range(values: Tensor, least: float, most: float, message: str) -> None:
    """Raise ValueError with the range of `values` unless all lie in [least, most]; off the CPU, assert it."""
    if on_host(values):
        if values.numel():
            low, high = (bound.item() for bound in values.aminmax())
            if not (least <= low and high <= most):
                raise ValueError(f"{message}; got values from {low:.4g} to {high:.4g}")
    else:
        torch._assert_async(((values >= least) & (values <= most)).all(), message)


def check_tensor(x: object, name: str) -> None:
    """Raise TypeError unless `x` is a tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} is {type(x).__name__} and must be a torch.Tensor; make one with torch.as_tensor({name})"
        )


def device_of(device: object) -> torch.device:
    """The argument as a torch device.

    Raises:
        TypeError: it is not a device, but a dtype, for example.
        ValueError: torch knows no device of this name.

    >>> device_of("cpu")
    device(type='cpu')
    """
    if not isinstance(device, torch.device | str) and not is_whole(device):
        raise TypeError(
            f"device={shown(device)} must be a device, as in mix.to('cuda'); a record has no other dtype: index is "
            f"int64, and blends are made in the dtype of what is mixed"
        )
    try:
        return torch.device(plain(device))
    except RuntimeError as error:
        raise ValueError(
            f"device={shown(device)} must be one that torch has here, such as 'cpu' or 'cuda:0'"
        ) from error


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Raise ValueError, naming the argument, its value and the rule, unless the condition holds."""
    if not condition:
        raise ValueError(f"{name}={shown(value)} must {rule}")


def shown(value: object) -> str:
    """A value as shown in a message: its `repr` on one line.

    >>> shown(torch.eye(2))
    'tensor([[1., 0.], [0., 1.]])'
    """
    return " ".join(repr(value).split())


def is_number(value: object) -> bool:
    """Whether a value is a real number that a float can hold, Python's or NumPy's; True and False do not count.

    >>> is_number(0.5), is_number(True), is_number(float("inf")), is_number(10**400)
    (True, False, False, False)
    """
    if isinstance(value, numbers.Integral) and abs(int(value)) > sys.float_info.max:
        return False  # Python ints may be too large for a float
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and -math.inf < value < math.inf  # type: ignore[operator]


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, a Python or NumPy integer; True and False do not count.

    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """A NumPy number or bool as Python's own; anything else unchanged.

    >>> plain(3), plain("paper")
    (3, 'paper')
    """
    if is_whole(value):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return bool(value) if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_") else value


class Settings:
    """Base for dataclasses of settings: each is given by keyword, and NumPy numbers become Python's.

    So two objects with the same settings are equal, hash alike and print alike, wherever their numbers come from.

    Raises:
        TypeError: a setting is given by position.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Pace(Settings):
    ...     alpha: float = 1.0
    >>> Pace(0.4)
    Traceback (most recent call last):
    TypeError: Pace takes no positional arguments: name a setting, as in Pace(alpha=0.4); there are alpha
    """

    given: tuple[str, ...]
    """Names of the settings that were given; not a setting itself."""

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """A new object that knows which settings were given; `__init__` sets them."""
        if args:
            _refuse_positions(cls, args[0])
        made = super().__new__(cls)
        object.__setattr__(made, "given", tuple(settings))
        return made

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))


def _refuse_positions(cls: type, first: object) -> None:
    """Raise TypeError if the class is keyword-only, listing its own settings before those that all classes share."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    settings = [each for each in fields(owner) if each.init] if is_dataclass(owner) else []
    if settings and "__dataclass_fields__" in vars(owner) and all(each.kw_only for each in settings):
        own = [name for name in inspect.get_annotations(owner) if name in {each.name for each in settings}]
        names = own + [each.name for each in settings if each.name not in own]
        raise TypeError(
            f"{cls.__name__} takes no positional arguments: name a setting, as in {cls.__name__}({names[0]}="
            f"{first!r}); there are {', '.join(names)}"
        )
