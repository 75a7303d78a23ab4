"""Mixers as a network needs them: with matching axes, or mixing nothing, to check that hooks leave it unchanged."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mixmodal.core.draws import Asked, Draws
from mixmodal.core.grids import parse_axes
from mixmodal.core.mixer import Mixer
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.replay import random_state, restore


def leaves(mixer: Draws) -> Iterator[Draws]:
    """The mixers inside a policy or anything else that holds mixers; for a plain mixer, the mixer itself.

    >>> import mixmodal as mm
    >>> list(leaves(mm.OneOf([mm.NoMix(), mm.KeepEnds(mm.MixUp())])))
    [NoMix(axes='b c *', per_sample=False), MixUp(axes='b c *', per_sample=False, alpha=1.0)]
    """
    parts = [part for value in vars(mixer).values() for part in _parts(value)]
    for part in parts:
        yield from leaves(part)
    if not parts:
        yield mixer


def alike(mixer: Draws, axes: str | None = None) -> Draws:
    """A mixer in which the parts that fit any tensor (`NoMix`, `MixUp`) take the axes of the others.

    The mask of real locations has axes, even if the mixing mask has none.

    Args:
        mixer: a mixer, or a policy.
        axes: the axes; if None, those of the other mixers, and nothing is changed if those differ or there are none.

    Raises:
        ValueError: the mixer is inside an object with state, which cannot be recreated.

    >>> import mixmodal as mm
    >>> alike(mm.OneOf([mm.MixUp(axes="b * d"), mm.FMix(axes="b * d"), mm.NoMix()])).mixers[2].axes
    'b * d'
    """
    if axes is None:
        patterns = {each.axes for each in leaves(mixer) if isinstance(each, Mixer) and not each.uniform}
        if len(patterns) != 1:
            return mixer
        (axes,) = patterns
    if isinstance(mixer, Mixer):
        other = mixer.uniform and parse_axes(mixer.axes) != parse_axes(axes)
        return replace(mixer, axes=axes) if other else mixer
    changed: dict[str, Any] = {}
    for name, value in vars(mixer).items():
        parts = _parts(value)
        made = [alike(part, axes) for part in parts]
        if any(new is not old for new, old in zip(made, parts, strict=True)):
            changed[name] = made[0] if isinstance(value, Draws) else tuple(made)
    if changed and not is_dataclass(mixer):
        raise ValueError(f"{mixer!r} holds a mixer without axes={axes!r}; give it to each, as in NoMix(axes={axes!r})")
    return replace(mixer, **changed) if changed else mixer  # type: ignore[type-var]


@dataclass(frozen=True)
class Still(Draws):
    """Records like those of a mixer that leave everything unchanged; the random generators do not advance.

    Args:
        mixer: the mixer.

    >>> import mixmodal as mm
    >>> mixed, mix = Still(mm.FMix())(torch.ones(2, 3, 4, 4))
    >>> bool((mixed == 1).all()), mix.mask.shape, mix.lam
    (True, torch.Size([1, 4, 4]), tensor([1., 1.]))
    """

    mixer: Draws

    @property
    def partner(self) -> bool:
        return False

    def record(self, x: Tensor, asked: Asked) -> Mix:
        state = random_state(x.device)
        drawn = copy.deepcopy(self.mixer).record(x, asked)
        restore(state, x.device)
        return replace(
            drawn,
            index=torch.arange(len(x), device=x.device),
            mask=torch.ones_like(drawn.mask),
            lam=torch.ones_like(drawn.lam),
            valid=None if drawn.valid is None or asked.valid is None else asked.valid.expand_as(drawn.valid),
            hard=True,
            partner=False,
            scale=None,
            moves=None,
            parts=None,
        )


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an output, looking inside mappings, tuples and lists, in order.

    >>> [x.shape[0] for x in tensors({"a": torch.ones(1), "b": (torch.ones(2), None)})]
    [1, 2]
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(each)


def compare(found: Any, plain: Any, valid: Tensor | None, model: nn.Module) -> None:
    """Raise unless two outputs of a network are the same, apart from states (B, T, ...) at padding.

    Args:
        found: the output with hooks that mix nothing.
        plain: the output of the network itself.
        valid: what is real, bool (B, T); None if there is no padding.
        model: the network.

    Raises:
        RuntimeError: they differ.

    >>> compare(torch.ones(2), torch.ones(2), None, nn.Identity())
    """
    pairs = list(zip(tensors(found), tensors(plain), strict=True))
    for place, (a, b) in enumerate(pairs):
        if valid is not None and a.ndim > valid.ndim and a.shape[: valid.ndim] == valid.shape == b.shape[: valid.ndim]:
            a, b = a[valid], b[valid]
        try:
            torch.testing.assert_close(a, b, equal_nan=True)
        except AssertionError as error:
            raise RuntimeError(
                f"{type(model).__name__} gives a different output with hooks that mix nothing than without, in tensor "
                f"{place} of {len(pairs)}: in training it would not be the network that evaluation sees. It may derive "
                f"positions, places to pool or masks from an argument that the hooks replace. {error}"
            ) from error


def _parts(value: object) -> list[Draws]:
    """The mixers that an attribute holds."""
    if isinstance(value, Draws):
        return [value]
    return [each for each in value if isinstance(each, Draws)] if isinstance(value, list | tuple) else []
