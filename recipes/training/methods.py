"""The one table of methods, shared by all recipes, and the settings that it reads."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import MethodType
from typing import Annotated, Any, Literal

import tyro
from torch import nn

import mixmodal as mm
from mixmodal import Draws
from mixmodal.hidden.arguments import takes
from mixmodal.hidden.replay import Site
from recipes.training.mixing import AtSites, Mixing, WithSaliency


@dataclass(frozen=True, eq=False)
class Place:
    """Where a method can mix.

    Args:
        net: the network; as a site it stands for the input.
        sites: where hidden-site methods mix; the network may be among them.
        axes: axes pattern of the input and of hidden tensors.
        side: size of the input along an axis of its grid.
        valid: name of the argument that tells the network which locations are real, see `HiddenMix`.
        adapt: turns a mixer into one for an input that is not a grid, such as `OnPoints` for clouds.
    """

    net: nn.Module
    sites: Sequence[Site]
    axes: str
    side: int
    valid: str | None = None
    adapt: Callable[[Draws], Draws] = lambda mixer: mixer


Make = Callable[["Method", Place], Mixing]
AT_INPUT: dict[str, Make] = {
    "baseline": lambda m, at: AtSites(at.net, {at.net: at.adapt(mm.NoMix(axes=at.axes))}, valid=at.valid),
    "mixup": lambda m, at: _input(m, at, _mixup(m, at)),
    "cutmix": lambda m, at: _input(m, at, _cutmix(m, at)),
    "fmix": lambda m, at: _input(m, at, _fmix(m, at)),
    "cutout": lambda m, at: _input(m, at, mm.Cutout(size=m.cutout_size or at.side // 2, axes=at.axes)),
}
BY_SALIENCY: dict[str, Make] = {
    "puzzlemix": lambda m, at: WithSaliency(
        at.net, at.adapt(mm.PuzzleMix(alpha=m.beta(), axes=at.axes)), prob=m.prob, keep=m.clean_lam
    ),
}
IN_BANDS: dict[str, Make] = {
    "spec-time": lambda m, at: _input(m, at, mm.CutMix(alpha=m.beta(), axes="b c f *")),
    "spec-frequency": lambda m, at: _input(m, at, mm.CutMix(alpha=m.beta(), axes="b c * t")),
}
IN_TURN: dict[str, Make] = {
    "fmix+mixup": lambda m, at: _input(m, at, _fmix(m, at), _mixup(m, at)),
    "cutmix+mixup": lambda m, at: _input(m, at, _mixup(m, at), _cutmix(m, at)),
    "fmix+cutmix": lambda m, at: _input(m, at, _fmix(m, at), _cutmix(m, at)),
}
AT_SITES: dict[str, Make] = {
    "manifold-mixup": lambda m, at: _anywhere(m, at, _mixup(m, at, 2.0)),
    "feature-cutmix": lambda m, at: _anywhere(m, at, _cutmix(m, at)),
    "patchup-soft": lambda m, at: _patchup(m, at, soft=True),
    "patchup-hard": lambda m, at: _patchup(m, at, soft=False),
    "dropblock": lambda m, at: _dropblock(m, at),
}
WITHOUT_LABELS = AT_INPUT | IN_BANDS | IN_TURN
"""Methods that mix the input and need no labels for it."""
ALONE = ("baseline", "cutout", "dropblock")
"""Methods whose samples have no partner."""
METHODS = AT_INPUT | BY_SALIENCY | IN_BANDS | IN_TURN | AT_SITES
CHOICES = (
    f"At the input: {', '.join(AT_INPUT | BY_SALIENCY)}; in bands: {', '.join(IN_BANDS)}; in turn: "
    f"{', '.join(IN_TURN)}; at hidden sites: {', '.join(AT_SITES)}."
)


@dataclass(frozen=True)
class Method:
    """What mixes, and how: the part of the command line that all recipes share."""

    method: Annotated[str, tyro.conf.arg(help=CHOICES)] = "fmix"
    prob: float = 1.0
    """Share of the batches that are mixed."""
    alpha: float | None = None
    """Beta parameter of the share; 1 by default, and 2 for Manifold Mixup and PatchUp."""
    decay_power: float = 3.0
    """Decay power of FMix."""
    cutout_size: int | None = None
    """Side of Cutout's box in cells; half the input by default, as on CIFAR-10."""
    block_size: int = 7
    """Side of a block of PatchUp and DropBlock in cells."""
    gamma: float | None = None
    """Nominal share of a feature map that PatchUp alters; by default 0.75 if soft, 0.5 if hard."""
    patchup_input: Literal["box", "blocks"] = "box"
    """What PatchUp mixes at the input: a box of the partner, as in CutMix, or blocks, as at hidden sites."""
    drop_prob: float = 0.1
    """Nominal share of a feature map that DropBlock drops."""
    clean_lam: float = 0.0
    """Weight of the loss of the unmixed batch, which Puzzle Mix adds."""
    sites: tuple[str, ...] | None = None
    """Modules of the network before which hidden-site methods mix; "input" is the network itself, which DropBlock
    leaves out. By default those of the recipe."""
    mixed_weight: float = 1.0
    """Factor of the loss of mixed batches; the PatchUp paper's loss is twice the library's."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} is unknown; choose {', '.join(METHODS)}")
        if not 0 <= self.prob <= 1:
            raise ValueError(f"prob={self.prob} must be in [0, 1]")

    def check_read(self, given: Collection[str]) -> None:
        """Refuse options that the method does not read.

        Args:
            given: names of the options in the command line, which may include others.

        Raises:
            ValueError: there is one.

        >>> Method("baseline", alpha=2.0).check_read(["alpha", "seed"])
        Traceback (most recent call last):
        ...
        ValueError: alpha=2.0 is not read by --method baseline, which has no options: leave it out
        """
        read = options_of(self.method)
        for field in fields(self):
            if field.name in given and field.name not in read:
                has = ", ".join(sorted(read - {"method"})) or "no options"
                value = getattr(self, field.name)
                raise ValueError(
                    f"{field.name}={value!r} is not read by --method {self.method}, which has {has}: leave it out"
                )

    def beta(self, default: float = 1.0) -> float:
        """`alpha`, or the method's default."""
        return default if self.alpha is None else self.alpha

    def sometimes(self, mixer: Draws) -> Draws:
        """The mixer, with the probability of these settings."""
        return mixer if self.prob == 1 else mm.OneOf([mixer, mm.NoMix()], p=[self.prob, 1 - self.prob])


def make(method: Method, place: Place) -> Mixing:
    """The mixing of a method."""
    return METHODS[method.method](method, place)


class _Noted:
    """Stands in for an object, and notes which of its attributes are read."""

    def __init__(self, of: object, names: set[str]) -> None:
        self._of, self._names = of, names

    def __getattr__(self, name: str) -> Any:
        self._names.add(name)
        found = getattr(self._of, name)
        return MethodType(found.__func__, self) if isinstance(found, MethodType) else found


@cache
def options_of(name: str) -> frozenset[str]:
    """Names of the settings that a method reads, found by making it.

    >>> sorted(options_of("fmix"))
    ['alpha', 'decay_power', 'method', 'mixed_weight', 'prob']
    """
    names = {"method"} if name in ALONE else {"method", "mixed_weight"}
    net = nn.Sequential(nn.Identity())
    method: Any = _Noted(Method(name), names)
    place: Any = _Noted(Place(net, [net, net[0]], "b c *", 8), names)
    METHODS[name](method, place)
    return frozenset(names & {field.name for field in fields(Method)})


def named_sites(net: nn.Module, names: Sequence[str]) -> list[Site]:
    """Sites of a network by the names of its modules, "input" for itself; encoder layers mix hidden states.

    Raises:
        ValueError: there are no names, or one is not that of a module.
    """
    if not names:
        raise ValueError("sites=() is empty: name modules after --sites, or leave it out for the recipe's own")
    modules = {name or "input": module for name, module in net.named_modules()}
    for name in names:
        if name not in modules:
            known = ", ".join(name for name in modules if "." not in name)
            raise ValueError(f"sites: {name!r} is not a module of this network; choose from {known}")
    found = [modules[name] for name in names]
    return [(module, "hidden_states") if takes(module, "hidden_states") else module for module in found]


def _input(m: "Method", at: Place, *mixers: Draws) -> Mixing:
    """Mix at the input, with several mixers in turn."""
    adapted = [at.adapt(mixer) for mixer in mixers]
    mixer = adapted[0] if len(adapted) == 1 else mm.Alternate(adapted)
    return AtSites(at.net, {at.net: m.sometimes(mixer)}, valid=at.valid)


def _anywhere(m: "Method", at: Place, mixer: Draws) -> Mixing:
    mixers = {site: m.sometimes(at.adapt(mixer) if site is at.net else mixer) for site in at.sites}
    return AtSites(at.net, mixers, valid=at.valid)


def _patchup(m: "Method", at: Place, *, soft: bool) -> Mixing:
    """One box at the input, as in the paper, or blocks, as in its Table 7; blocks at hidden sites."""
    blocks = mm.PatchUp(block_size=m.block_size, gamma=m.gamma, soft=soft, alpha=m.beta(2.0), axes=at.axes)
    first = at.adapt(mm.CutMix(axes=at.axes) if m.patchup_input == "box" else blocks)
    mixers = {site: m.sometimes(first if site is at.net else blocks) for site in at.sites}
    return AtSites(at.net, mixers, valid=at.valid)


def _dropblock(m: "Method", at: Place) -> Mixing:
    blocks = mm.DropBlock(block_size=m.block_size, drop_prob=m.drop_prob, axes=at.axes)
    mixers = {site: m.sometimes(blocks) for site in at.sites if site is not at.net}
    if not mixers:
        raise ValueError("sites: DropBlock drops inside a network and leaves out its input; name another module")
    return AtSites(at.net, mixers, valid=at.valid)


def _mixup(m: "Method", at: Place, alpha: float = 1.0) -> mm.MixUp:
    return mm.MixUp(alpha=m.beta(alpha), axes=at.axes)


def _cutmix(m: "Method", at: Place) -> mm.CutMix:
    return mm.CutMix(alpha=m.beta(), axes=at.axes)


def _fmix(m: "Method", at: Place) -> mm.FMix:
    return mm.FMix(alpha=m.beta(), decay_power=m.decay_power, axes=at.axes)
