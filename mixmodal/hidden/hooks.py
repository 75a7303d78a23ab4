"""Hooks that belong to one module object, even when it is copied, pickled or wrapped."""

import sys
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from mixmodal.hidden.arguments import untrace


class Place:
    """What a hook does and for which module object; as a hook itself, it does nothing.

    Args:
        act: name of a method of the owner, which is called with `given`, then with what torch passes to a hook.
        module: the module object that the hook is for.
        given: first arguments of the method.

    >>> Place("see", nn.Identity())(1)
    """

    def __init__(self, act: str, module: nn.Module, *given: Any) -> None:
        self.act, self.module, self.given = act, module, given

    def __call__(self, *_: Any) -> None:
        return None


class Hook:
    """A hook of one module object that calls a method of its owner; a copy of it is just its `Place`, and does nothing.

    Modules are copied and pickled together with their hooks: for weight averaging, a mean teacher, a spawned process.
    Such a copy does not belong to the owner, unless the owner's `Hooks` are copied with it.

    Args:
        owner: what the hook acts for.
        place: what it does, and where.

    >>> import copy
    >>> class Owner:
    ...     def see(self, what, module, args): print(what, args)
    >>> net = nn.Identity()
    >>> handle = net.register_forward_pre_hook(Hook(Owner(), Place("see", net, "seen")))
    >>> net(1), copy.deepcopy(net)(2)
    seen (1,)
    (1, 2)
    """

    def __init__(self, owner: object, place: Place) -> None:
        untrace(Hook)
        self._owner, self._place = owner, place

    def __call__(self, module: nn.Module, *called: Any) -> Any:
        if module is self._place.module:
            return getattr(self._owner, self._place.act)(*self._place.given, module, *called)
        failed = called[-1] is None  # the output of a forward that has already raised
        if getattr(module, "_is_replica", False) and not failed:
            raise RuntimeError(
                f"{type(module).__name__} is a replica of nn.DataParallel, whose threads would share one record; use "
                f"nn.parallel.DistributedDataParallel, which mixes in each process"
            )
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._place,)


class Hooks:
    """The hooks of an owner. If copied or pickled together with it, they act for the copy, on the copy's modules.

    Args:
        owner: what the hooks act for.

    >>> net = nn.Identity()
    >>> hooks = Hooks(None)
    >>> hooks.before(net, "see")
    >>> hooks.remove()
    >>> len(net._forward_pre_hooks)
    0
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._made: list[tuple[Place, RemovableHandle]] = []

    def __bool__(self) -> bool:
        return bool(self._made)

    def before(self, module: nn.Module, act: str, *given: Any, first: bool = False) -> None:
        """Call a method of the owner before a module runs: with `given`, the module, its args and its kwargs.

        Args:
            module: the module.
            act: name of the method.
            given: its first arguments.
            first: whether to run before all existing hooks.
        """
        place = Place(act, module, *given)
        hook = Hook(self._owner, place)
        self._made.append((place, module.register_forward_pre_hook(hook, prepend=first, with_kwargs=True)))

    def after(self, module: nn.Module, act: str, *given: Any, always: bool = False) -> None:
        """Call a method of the owner after a module has run: with `given`, the module, its arguments and its output.

        Args:
            module: the module.
            act: name of the method.
            given: its first arguments.
            always: whether to call it even if the module raised an exception.
        """
        place = Place(act, module, *given)
        self._made.append((place, module.register_forward_hook(Hook(self._owner, place), always_call=always)))

    def remove(self) -> None:
        """Remove all hooks."""
        for _, handle in self._made:
            handle.remove()
        self._made.clear()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for place, handle in self._made:
            there = handle.hooks_dict_ref()
            if there is not None:
                there[handle.id] = Hook(self._owner, place)


def _itself(place: Place) -> Place:
    return place


def calls_itself(module: nn.Module) -> bool:
    """Whether a module's hook is running inside a nested call of that module, made from an outer call of it.

    >>> calls_itself(nn.Identity())
    False
    """
    frame, count = sys._getframe(1), 0
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is nn.Module._call_impl.__code__ and frame.f_locals.get("self") is module:
            count += 1
    return count > 1
