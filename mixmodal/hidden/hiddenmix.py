"""HiddenMix: mix inside any network through hooks."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mixmodal.core.draws import Draws, without_saliency
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.arguments import Call, first_tensor, follow, get, put, takes, untraced
from mixmodal.hidden.replay import Forward, random_state, recomputing
from mixmodal.methods.uniform import NoMix

Site = nn.Module | tuple[nn.Module, str]
"""A module, for its first tensor argument; or `(module, "output")`; or `(module, name of an argument)`."""
Sites = Mapping[nn.Module, Draws] | Mapping[tuple[nn.Module, str], Draws] | Mapping[Site, Draws]
"""Mixers by site."""


class HiddenMix:
    """Mix at one of several sites of a network, drawn anew for each training forward: PatchUp, Manifold Mixup.

    A site is a module, and stands for its first tensor argument; or `(module, "output")` for its output, the first
    element if that is a tuple; or `(module, name)` for its argument of that name. The network itself is the input
    space, and "after the first stage" is the module that comes next. A site is mixed at the first call of its module in
    a forward. Of the sites whose mixer has a partner one is drawn, with even odds. The others (Cutout, DropBlock) act
    in every training forward. While `model.training` is False nothing is mixed and nothing drawn.

    Draws use torch's global generators. It works in DistributedDataParallel, under autocast, with activation
    checkpointing (one training forward for each backward) and under `torch.compile`: make it before the compiled
    network is first called; hooks break the graph, so fullgraph=True does not go with it.

    Args:
        model: the network, called as before.
        at: mixers by site. A mixer may be replaced between steps, as `hidden.at[site] = mixer`.
        valid: name of the argument that tells the model what is real, (B, *grid) of ones and zeros, such as
            "attention_mask" of a Hugging Face encoder. The mixers are given it, and all modules that take an argument
            of this name after the mix get one that follows the mix.

    Raises:
        ValueError: a site is no module of the model or has no mixer; the model, or a part of it, is mixed by another
            HiddenMix; the model takes no argument of the name `valid`.

    >>> import mixmodal as mm
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 4 * 4, 10))
    >>> hidden = mm.HiddenMix(net, {net: mm.CutMix(), net[2]: mm.PatchUp(block_size=3)})
    >>> logits, mix = hidden(torch.rand(4, 3, 8, 8))
    >>> loss = mix.loss(logits, torch.tensor([0, 1, 2, 3]))

    Source: Verma et al., Manifold Mixup (ICML 2019), section 2; Faramarzi et al., PatchUp (AAAI 2022), section 3.
    """

    def __init__(self, model: nn.Module, at: Sites, *, valid: str | None = None) -> None:
        self.model = model
        self.at: dict[Site, Draws] = dict(at.items())
        self.mix: Mix | None = None
        """The record of the last training forward; None after an evaluation forward."""
        self._check(valid)
        self._sites = set(self.at)
        self._site: Site | None = None
        self._training = False
        self._valid: Tensor | None = None
        self._forward = Forward()
        self._handles = [model.register_forward_pre_hook(self._begin(valid), prepend=True, with_kwargs=True)]
        self._handles += [self._hook(site) for site in self.at]
        if valid is not None:
            self._handles += [self._lead(module, valid) for module in model.modules() if takes(module, valid)]
        self._handles.append(model.register_forward_hook(untraced(self._end)))
        _LIVING.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Mix]:
        """The model's output, and the record of what was mixed: in evaluation one that mixes nothing.

        Raises:
            RuntimeError: `remove` was called; the module of the site that was drawn was not called.
        """
        if not self._handles:
            raise RuntimeError("this HiddenMix was removed from its model; make another one")
        output = self.model(*args, **kwargs)
        return output, self.mix or _plain(first_tensor((*args, *kwargs.values()), "the arguments of the model"))

    def loss(
        self,
        preds: Tensor,
        y: Tensor,
        criterion: Criterion = F.cross_entropy,
        *,
        reduction: str = "mean",
        axes: str | None = None,
    ) -> Tensor:
        """`Mix.loss` of the last forward, for trainers that call the model themselves; the plain loss in evaluation."""
        return (self.mix or _plain(y)).loss(preds, y, criterion, reduction=reduction, axes=axes)

    def remove(self) -> None:
        """Take all hooks away; the model is as it was before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        _LIVING.discard(self)

    def __enter__(self) -> "HiddenMix":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _check(self, valid: str | None) -> None:
        modules = set(self.model.modules())
        for site, mixer in self.at.items():
            if _module(site) not in modules:
                raise ValueError(
                    f"site {_name(self.model, site)} is not in {type(self.model).__name__}; give one of its modules, "
                    f"(module, 'output') or (module, name of an argument)"
                )
            if not isinstance(mixer, Draws):
                raise ValueError(f"at[{_name(self.model, site)}] is {mixer!r} and must be a mixer or a policy")
            without_saliency(mixer, "HiddenMix")
        for other in _LIVING:
            if not modules.isdisjoint(other.model.modules()):
                raise ValueError(
                    f"{type(self.model).__name__} is mixed by another HiddenMix already, or shares a module with one "
                    f"that is; give all sites to one, or call remove() on the other"
                )
        if valid is not None and not takes(self.model, valid):
            raise ValueError(f"valid={valid!r} is no argument of {type(self.model).__name__}; give the name of one")

    def _begin(self, valid: str | None) -> Callable[..., None]:
        """A hook before the model: draws the site."""

        @untraced
        def begin(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if set(self.at) != self._sites:
                raise ValueError("at has other sites than at first; replace mixers only, or make another HiddenMix")
            partnered = [site for site, mixer in self.at.items() if mixer.partner] if model.training else []
            site = partnered[int(torch.randint(len(partnered), (), device="cpu"))] if partnered else None
            if not recomputing():
                self.mix, self._site, self._training, self._forward = None, site, model.training, Forward()
                marks = None if valid is None else get(model, (args, kwargs), valid)
                self._valid = None if marks is None else marks.bool()

        return begin

    def _end(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A hook after the model: the site that was drawn must have been there."""
        if self._site is not None and self._site not in self._forward:
            raise RuntimeError(
                f"site {_name(self.model, self._site)} was drawn, but its module was not called in this forward; take "
                f"it out of at, or make the HiddenMix before the compiled model is first called"
            )

    def _hook(self, site: Site) -> RemovableHandle:
        """The hook of a site."""
        module, name = site if isinstance(site, tuple) else (site, None)
        where = f"site {_name(self.model, site)}"

        @untraced
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            if name is None:
                x = first_tensor(args, where)
                return tuple(self._apply(site, x) if each is x else each for each in args), kwargs
            value = get(module, (args, kwargs), name)
            if value is None and not self._training:
                return args, kwargs
            x = first_tensor((value,), f"{where}: arguments of the name {name!r}")
            return put(module, (args, kwargs), name, self._apply(site, x))

        @untraced
        def after(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
            if isinstance(output, Tensor):
                return self._apply(site, output)
            if type(output) is tuple and output and isinstance(output[0], Tensor):
                return self._apply(site, output[0]), *output[1:]
            raise TypeError(
                f"{where} gives {type(output).__name__}, and must give a tensor or a tuple that begins with one; take "
                f"the argument of the next module, and pad packed sequences first"
            )

        if name == "output":
            return module.register_forward_hook(after)
        return module.register_forward_pre_hook(before, with_kwargs=True)

    def _apply(self, site: Site, x: Tensor) -> Tensor:
        """What a site passes on in place of `x`."""
        if recomputing():
            return self._forward.repeat(site, x)
        state, mixer = random_state(x.device), self.at[site]
        if not self._training or site in self._forward or (mixer.partner and site != self._site):
            self._forward.note_passed(state)
            return x
        mixed, record = mixer(x, valid=self._valid)
        self._forward.note(site, record, state, random_state(x.device))
        if mixer.partner or self.mix is None:
            self.mix = record
        return mixed

    def _lead(self, module: nn.Module, valid: str) -> RemovableHandle:
        """A hook that makes the marks of what is real follow the mix."""

        @untraced
        def lead(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
            marks, mix, followed = get(module, (args, kwargs), valid), self.mix, self._forward.followed
            if not isinstance(marks, Tensor) or mix is None or mix.valid is None:
                return None
            if not recomputing():
                followed.add(module)
            return put(module, (args, kwargs), valid, follow(marks, mix)) if module in followed else None

        return module.register_forward_pre_hook(lead, with_kwargs=True)


_LIVING: weakref.WeakSet[HiddenMix] = weakref.WeakSet()


def _plain(x: Tensor) -> Mix:
    """A record that mixes nothing, for a batch of the size of `x`."""
    return NoMix().draw(x)


def _module(site: Site) -> nn.Module:
    return site[0] if isinstance(site, tuple) else site


def _name(model: nn.Module, site: Site) -> str:
    """How to call a site in a message."""
    module = _module(site)
    names = [name or "the model itself" for name, each in model.named_modules() if each is module]
    return (names[0] if names else type(module).__name__) + (f" ({site[1]})" if isinstance(site, tuple) else "")
