"""What the hooks of a HiddenMix do: draw a site before the network runs, mix there, and update the padding masks."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mixmodal.core.checks import check
from mixmodal.core.draws import Draws
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.arguments import (
    Call,
    check_whole,
    decodes,
    first_tensor,
    follow,
    get,
    marked,
    put,
    reduced,
    takes,
    unmixed_labels,
)
from mixmodal.hidden.hooks import Hooks, calls_itself
from mixmodal.hidden.replay import Forward, Site, State, exporting, random_state, recomputing


class Acting:
    """The hooks on a network, and the state of the current forward.

    A copy, which is made together with a copy of the network, has seen no forward yet.

    Args:
        model: the network.
        at: mixers by site.
        marks: name of the argument that tells the network which locations are real; None if there is no padding.

    >>> import mixmodal as mm
    >>> net = nn.Identity()
    >>> acting = Acting(net, {net: mm.MixUp()}, None)
    >>> mixed = net(torch.rand(2, 3))
    >>> acting.forward.mix.index.shape
    torch.Size([2])
    """

    def __init__(self, model: nn.Module, at: dict[Site, Draws], marks: str | None) -> None:
        self.model, self.at = model, at
        self.forward = Forward()
        self.paused = False
        """Whether mixing is off, with forwards leaving no trace."""
        self._sites, self._marks = set(at), marks
        self.hooks = Hooks(self)
        self.hooks.before(model, "_begin", first=True)
        told = [] if marks is None else [module for module in model.modules() if takes(module, marks)]
        for module in told:
            if module is not model:
                self.hooks.before(module, "_tell", marks)
        for site in at:
            module, name = site if isinstance(site, tuple) else (site, None)
            if name == "output":
                self.hooks.after(module, "_mix_output", site)
            else:
                self.hooks.before(module, "_mix_argument", site)
        self._around = {
            module: {each for each in told if each is not module and module in set(each.modules())} for module in told
        }
        """For each module that receives the padding mask, the enclosing modules that receive it too."""
        for module in told:
            self.hooks.before(module, "_lead", marks)
        self.hooks.after(model, "_end")
        self.hooks.after(model, "_close", always=True)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"forward": Forward(), "paused": False}

    @contextmanager
    def aside(self, *, paused: bool, at: dict[Site, Draws] | None = None) -> Iterator[None]:
        """Run forwards that leave no trace in the record.

        Args:
            paused: whether mixing is off in them.
            at: mixers to use in place of the current ones.
        """
        before, self.forward, self.paused = (self.forward, self.paused, self.at), Forward(), paused
        self.at = self.at if at is None else at
        try:
            yield
        finally:
            self.forward, self.paused, self.at = before

    def apply(self, site: Site, x: Tensor) -> Tensor:
        """What a site passes on in place of `x`."""
        forward = self.forward
        if recomputing():
            mixed = forward.repeat(site, x)
            self._tell_model(site)
            return mixed
        if not forward.running:
            return x
        state = random_state(x.device)
        if not self._acts(site):
            forward.note_passed(state)
            return x
        if site in forward.ahead:
            record = forward.ahead[site]
            mixed = record(x)
        else:
            self._check_told(site, x)
            mixed, record = self.at[site](x, valid=forward.valid)
        self._note(site, site, record, state, random_state(x.device))
        self._tell_model(site)
        return mixed

    def draw_ahead(self, site: Site, x: Tensor) -> Mix | None:
        """The record that a site will use in this forward, drawn before the site is reached; None if it will not mix.

        Args:
            site: the site.
            x: a tensor with the shape, dtype and device of what will be mixed.
        """
        forward, place = self.forward, ("ahead", site)
        if recomputing():
            return forward.again(place, x.device)
        state = random_state(x.device)
        if not self._acts(site):
            forward.note_passed(state)
            return None
        record = forward.ahead[site] = self.at[site].draw(x, valid=forward.valid)
        self._note(place, site, record, state, random_state(x.device))
        return record

    def _acts(self, site: Site) -> bool:
        """Whether a site mixes when it is next reached in this forward."""
        forward = self.forward
        return forward.mixing and site not in forward and (site == forward.site or not self.at[site].partner)

    def _note(self, place: Hashable, site: Site, record: Mix, before: State, after: State) -> None:
        """Remember what was drawn."""
        self.forward.note(place, record, before, after)
        if self.at[site].partner and record is not self.forward.mix:
            self.forward.followed.clear()  # masks that followed a mix without a partner were left unchanged
        if self.at[site].partner or self.forward.mix is None:
            self.forward.mix = record

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Before the model: draw the site, and pass the model its own copy of the mask if a later mix may change it."""
        if set(self.at) != self._sites:
            raise ValueError("at has different sites than before; only replace mixers, or make another HiddenMix")
        mixing = model.training and not self.paused
        if mixing and self.at and exporting():
            raise RuntimeError(
                f"{type(model).__name__} is exported or traced in training mode, and the program would mix whatever it "
                f"is given: call model.eval() or hidden.remove() first, or export it within hidden.paused()"
            )
        partnered = [site for site, mixer in self.at.items() if mixer.partner] if mixing else []
        site = partnered[int(torch.randint(len(partnered), (), device="cpu"))] if partnered else None
        if recomputing():
            return self._lend(model, (args, kwargs))
        if self.forward.running and self.forward.mixing and calls_itself(model):
            raise RuntimeError(
                f"{type(model).__name__} calls itself within a training forward, which has one record; call its "
                f"forward method there, or mix at a module that is called once"
            )
        self.forward = Forward()
        if partnered and get(model, (args, kwargs), "labels") is not None:
            raise unmixed_labels(model, "labels")
        marks = None if self._marks is None else get(model, (args, kwargs), self._marks)
        valid = None if marks is None else marked(marks, f"{self._marks} of {type(model).__name__}")
        self.forward = Forward(site, mixing=mixing, running=True, valid=valid)
        return self._lend(model, (args, kwargs))

    def _end(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """After the model: the drawn site must have been reached; if all mix without a partner, any of them."""
        forward = self.forward
        if recomputing() or not forward.running:
            return
        sites = list(self.at) if forward.site is None else [forward.site]
        if forward.mixing and sites and not any(site in forward for site in sites):
            raise RuntimeError(
                f"site {name_of(model, sites[0])} was drawn, but its module was not called in this forward; take it "
                f"out of at, or make the HiddenMix before the compiled model is first called; layers must not be "
                f"skipped at random, as with model.config.layerdrop = 0"
            )
        forward.running, forward.done = False, True

    def _close(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """After the model, even if it failed: an unfinished forward leaves nothing behind."""
        if self.forward.running and not recomputing():
            self.forward = Forward()

    def _mix_argument(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Before the module of a site."""
        name, where = site[1] if isinstance(site, tuple) else None, f"site {name_of(self.model, site)}"
        if name is None:
            x = first_tensor(args, where)
            return tuple(self.apply(site, x) if each is x else each for each in args), kwargs
        value = get(module, (args, kwargs), name)
        if value is None and not self.forward.mixing:
            return args, kwargs
        x = first_tensor((value,), f"{where}: arguments of the name {name!r}")
        return put(module, (args, kwargs), name, self.apply(site, x))

    def _mix_output(self, site: Site, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """After the module of a site."""
        if isinstance(output, Tensor):
            return self.apply(site, output)
        if type(output) is tuple and output and isinstance(output[0], Tensor):
            return self.apply(site, output[0]), *output[1:]
        raise TypeError(
            f"site {name_of(self.model, site)} gives {type(output).__name__}, and must give a tensor or a tuple that "
            f"begins with one; take the argument of the next module, and pad packed sequences first"
        )

    def _lend(self, model: nn.Module, call: Call) -> Call | None:
        """The call of the model with a copy of its mask, for mixing inside it; see `_tell_model`."""
        forward = self.forward
        inside = forward.site is not None and module_of(forward.site) is not model
        if self._marks is None or forward.valid is None or not inside:
            return None
        forward.given = get(model, call, self._marks)
        forward.lent = forward.given.clone()
        return put(model, call, self._marks, forward.lent)

    def _tell_model(self, site: Site) -> None:
        """After mixing what a model has downsampled: update its own mask to where mixed samples end, for later use.

        The model may pool with that mask. It is the copy that the model was lent, and the only one it holds, so it is
        changed in place.
        """
        forward = self.forward
        mix, given, lent = forward.mix, forward.given, forward.lent
        if site != forward.site or mix is None or mix.valid is None or given is None or lent is None:
            return
        if reduced(mix.valid, given):
            if forward.running and forward.valid is not None:
                check_whole(
                    mix, forward.valid, f"{self._marks} of {type(self.model).__name__} is reduced before the mix"
                )
            lent.copy_(torch.maximum(given, given.index_select(0, mix.index)))

    def _tell(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before an inner module whose mask covers fewer locations than before: the model has downsampled its mask."""
        marks, forward = get(module, (args, kwargs), name), self.forward
        if recomputing() or not forward.running or forward.valid is None or decodes(module, (args, kwargs)):
            return
        if not isinstance(marks, Tensor) or marks.is_floating_point() or not reduced(marks, forward.valid):
            return
        mix, model = forward.mix, type(self.model).__name__
        if mix is not None and mix.valid is not None and mix.partner and reduced(marks, mix.valid):
            if self.model not in forward.followed:
                raise ValueError(
                    f"site {name_of(self.model, forward.site or self.model)} mixes {mix.valid.shape[1]} locations of "
                    f"which {model} makes {marks.shape[1]} by the {name} from before the mix; mix an argument of the "
                    f"model itself, as in (model, 'input_values'), or after {name_of(self.model, module)} is called"
                )
            check_whole(mix, forward.valid, f"{name} of {model} is reduced after the mix")
        forward.valid = marks.bool()

    def _check_told(self, site: Site, x: Tensor) -> None:
        """Raise unless `x` has an axis for each axis of the mask of real locations."""
        valid = self.forward.valid
        if valid is not None and any(size not in (1, *x.shape[1:]) for size in valid.shape[1:]):
            raise TypeError(
                f"site {name_of(self.model, site)} is a tensor of the shape {tuple(x.shape)}, and {self._marks} was "
                f"last told of the shape {tuple(valid.shape)}; mix where a module has been told it of this shape, as a "
                f"model that reduces it tells its encoder"
            )

    def _lead(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Before a module that receives the mask: make it follow the mix, unless an enclosing module's already did."""
        name = f"encoder_{name}" if decodes(module, (args, kwargs)) else name
        marks, forward = get(module, (args, kwargs), name), self.forward
        if marks is None or forward.mix is None or forward.mix.valid is None:
            return None
        if recomputing():
            led = module in forward.followed
        else:
            led = forward.running and forward.followed.isdisjoint(self._around[module])
        if not led:
            return None
        where = f"{name} of {name_of(self.model, module)}"
        if not isinstance(marks, Tensor):
            raise TypeError(
                f"{where} is {type(marks).__name__}, which cannot follow a mix; use an attention that takes a tensor, "
                f"as with attn_implementation='sdpa'"
            )
        if marks.dtype == torch.bool and marks.ndim == 4 and marks.shape[-2] == marks.shape[-1]:
            seen = marks.diagonal(dim1=-2, dim2=-1).any(1)
            check(
                seen if forward.valid is None else seen | ~forward.valid,
                f"{where} is False where a token attends to itself, so it seems to mark what to leave out, and cannot "
                f"follow a mix; mix before the model makes it, as TokenMix does",
                marks,
            )
        forward.followed.add(module)
        if not forward.mix.partner:
            return None
        locations = forward.mix.valid[0].numel()
        if marks.shape[-1] != locations:
            raise ValueError(
                f"{where} has the shape {tuple(marks.shape)} and cannot follow a mix of {locations} locations, which "
                f"the model has changed in between; mix an argument of the model itself, or after this module is called"
            )
        return put(module, (args, kwargs), name, follow(marks, forward.mix))


def module_of(site: Site) -> nn.Module:
    """The module of a site.

    >>> net = nn.Identity()
    >>> module_of((net, "output")) is module_of(net) is net
    True
    """
    return site[0] if isinstance(site, tuple) else site


def name_of(model: nn.Module, site: Site) -> str:
    """How to call a site in a message.

    >>> net = nn.Sequential(nn.Identity())
    >>> name_of(net, net), name_of(net, (net[0], "output"))
    ('the model itself', '0 (output)')
    """
    module = module_of(site)
    names = [name or "the model itself" for name, each in model.named_modules() if each is module]
    return (names[0] if names else type(module).__name__) + (f" ({site[1]})" if isinstance(site, tuple) else "")
