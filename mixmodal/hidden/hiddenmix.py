"""HiddenMix: mix inside any network with hooks."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal.core.checks import shown
from mixmodal.core.draws import Draws, without_saliency
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.acting import Acting, module_of, name_of
from mixmodal.hidden.arguments import first_tensor, takes
from mixmodal.hidden.mixers import Still, alike, compare
from mixmodal.hidden.replay import Site, other_state, random_state, restore, restore_other
from mixmodal.methods.uniform import NoMix

Sites = Mapping[nn.Module, Draws] | Mapping[tuple[nn.Module, str], Draws] | Mapping[Site, Draws]
"""Mixers by site."""


class HiddenMix:
    """Mix at one of several sites of a network, drawn anew for each training forward: PatchUp, Manifold Mixup.

    A site is a module, which stands for its first tensor argument; or `(module, "output")` for its output, the first
    element if that is a tuple; or `(module, name)` for its argument of that name. The network itself stands for the
    input space; to mix "after the first stage", name the module that comes next. A site is mixed at the first call of
    its module in a forward. Among the sites whose mixer uses a partner, one is drawn uniformly. The others (Cutout,
    DropBlock) act in every training forward. While `model.training` is False, nothing is mixed or drawn.

    Draws use torch's global generators. It works with DistributedDataParallel and FSDP2, whichever is made first, under
    autocast, with activation checkpointing (one training forward for each backward) and under `torch.compile`: make it
    before the compiled network is first called; hooks break the graph, so it cannot be combined with fullgraph=True,
    and an `nn.Sequential` of PyTorch's layers with sites inside is not compiled.

    It mixes this model and no copy of it: a weight average or a teacher copied from it behaves as if there were no
    hooks, and may have a HiddenMix of its own. If an object that holds both is copied or pickled, its copy holds a pair
    that works just like this one.

    A network that uses `input_ids` to find the last token (GPT-2, Llama) looks in the text before mixing: pad on the
    left, or use `TokenMix`. See `check`.

    Args:
        model: the network, called as before.
        at: mixers by site. A mixer may be replaced between steps: `hidden.at[site] = mixer`.
        valid: name of the argument that tells the model which locations are real, (B, *grid) of ones and zeros, such as
            "attention_mask" of a Hugging Face encoder. It is passed to the mixers, and the outermost modules that take
            an argument of this name after the mix get one updated to follow it. A model that downsamples it on the way,
            as speech encoders do from samples to frames, counts real locations: mix the model's own argument, or at a
            site where its encoder has received the mask of frames, and use mixers with `holes=False`.

    Raises:
        ValueError: a site is not a module of the model or has no mixer; the model, or a part of it, is mixed by another
            HiddenMix; the model takes no argument named by `valid`. In a training forward: `labels` are given to the
            model, whose loss would ignore the mixing; the model downsamples `valid`, and the mix leaves padding
            between real locations, or happens where the model cannot be told of it.
        RuntimeError: the model is exported or traced in training mode: the program would mix whatever it is given.

    >>> import mixmodal as mm
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 4 * 4, 10))
    >>> hidden = mm.HiddenMix(net, {net: mm.CutMix(), net[2]: mm.PatchUp(block_size=3)})
    >>> logits, mix = hidden(torch.rand(4, 3, 8, 8))
    >>> loss = mix.loss(logits, torch.tensor([0, 1, 2, 3]))

    Source: Verma et al., Manifold Mixup (ICML 2019), section 2; Faramarzi et al., PatchUp (AAAI 2022), section 3.
    """

    def __init__(self, model: nn.Module, at: Sites, *, valid: str | None = None) -> None:
        self.model = model
        _check(model, at, valid)
        mixers: dict[Site, Draws] = {site: mixer if valid is None else alike(mixer) for site, mixer in at.items()}
        self.acting = Acting(model, mixers, valid)
        """What the hooks do, for classes that build on this one."""
        _LIVING.add(self.acting)

    @property
    def at(self) -> dict[Site, Draws]:
        """Mixers by site."""
        return self.acting.at

    @property
    def mix(self) -> Mix | None:
        """The record of the last training forward; None after an evaluation forward, and after one that failed."""
        return self.acting.forward.mix

    @mix.setter
    def mix(self, mix: Mix | None) -> None:
        self.acting.forward.mix = mix

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Mix]:
        """The model's output, and the record of what was mixed; in evaluation, a record that mixes nothing.

        Raises:
            RuntimeError: `remove` was called; the module of the drawn site was not called.
            ValueError: the model is given `labels` in training, which it would not mix.
        """
        self._require_hooks()
        output = self.model(*args, **kwargs)
        return output, self.mix or _plain(first_tensor((*args, *kwargs.values()), "the arguments of the model"))

    def loss(
        self,
        preds: Tensor,
        y: Tensor,
        criterion: Criterion = F.cross_entropy,
        *,
        reduction: str | None = None,
        axes: str | None = None,
    ) -> Tensor:
        """`Mix.loss` of the last forward, for trainers that call the model themselves; the plain loss in evaluation.

        Raises:
            RuntimeError: the model is in training mode, and its last forward was not a completed training forward.
        """
        forward = self.acting.forward
        if self.model.training and not self.acting.paused and not (forward.mixing and forward.done):
            raise RuntimeError(
                f"the last forward of this {type(self.model).__name__} was not in training mode, or failed, so nobody "
                f"knows how preds were mixed: take the loss right after the forward, or keep its record, as in logits, "
                f"mix = hidden(x) and mix.loss(logits, y), and make other forwards within hidden.paused(); a copy of "
                f"the model does not belong to this HiddenMix"
            )
        return (self.mix or _plain(y)).loss(preds, y, criterion, reduction=reduction, axes=axes)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Turn mixing off for a while, even in training: for `update_bn`, or for a teacher on the unmixed batch.

        Forwards inside the context leave no trace: afterwards, `mix` and `loss` are those of the last forward before
        it. Inside it, `mix` is None and `loss` is the plain loss.

        >>> import mixmodal as mm
        >>> net, x = nn.Linear(4, 3), torch.rand(2, 4)
        >>> with mm.HiddenMix(net, {net: mm.MixUp()}) as hidden, hidden.paused():
        ...     bool((net(x) == F.linear(x, net.weight, net.bias)).all())
        True
        """
        with self.acting.aside(paused=True):
            yield

    @torch.no_grad()
    def check(self, *args: Any, **kwargs: Any) -> None:
        """Raise unless the model, with mixers that mix nothing at every site, gives the same output as without hooks.

        A model may use its arguments in ways that its sites do not show: count positions, or find the last token, from
        padding that a hook replaces. This checks one batch; pass one with padding. Random generators and buffers, such
        as batch-norm statistics, are restored afterwards.

        Raises:
            RuntimeError: the outputs differ, or `remove` was called.

        >>> import mixmodal as mm
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
        >>> mm.HiddenMix(net, {net: mm.MixUp()}).check(torch.rand(2, 4))
        """
        self._require_hooks()
        model, device = self.model, first_tensor((*args, *kwargs.values()), "the arguments of the model").device
        state, other = random_state(device), other_state()
        training, buffers = model.training, [(b, b.clone()) for b in model.buffers()]
        model.training = True
        try:
            with self.paused():
                plain = model(*args, **kwargs)
            restore(state, device)
            restore_other(other)
            with self.acting.aside(paused=False, at={site: Still(mixer) for site, mixer in self.at.items()}):
                found, valid = model(*args, **kwargs), self.acting.forward.valid
        finally:
            model.training = training
            restore(state, device)
            restore_other(other)
            for buffer, value in buffers:
                buffer.copy_(value)
        compare(found, plain, valid, model)

    def state_dict(self) -> dict[str, Any]:
        """State that the mixers carry from draw to draw, such as the turn of an `Alternate`, by the name of the site.

        >>> import mixmodal as mm
        >>> net = nn.Sequential(nn.Linear(4, 3))
        >>> mm.HiddenMix(net, {net[0]: mm.Alternate([mm.MixUp(), mm.NoMix()])}).state_dict()
        {'0': {'turn': 0}}
        """
        states = {name_of(self.model, site): mixer.state_dict() for site, mixer in self.at.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from where a `state_dict` was taken.

        Raises:
            ValueError: the state is of other sites, or of other mixers.
        """
        names = self.state_dict().keys()
        if not isinstance(state, Mapping) or state.keys() != names:
            raise ValueError(f"state={state} is for other sites: those with a state are {', '.join(names) or 'none'}")
        for site, mixer in self.at.items():
            if name_of(self.model, site) in names:
                mixer.load_state_dict(state[name_of(self.model, site)])

    def remove(self) -> None:
        """Remove all hooks; the model is as it was before."""
        self.acting.hooks.remove()

    def __repr__(self) -> str:
        at = ", ".join(f"{name_of(self.model, site)}: {mixer!r}" for site, mixer in self.at.items())
        return f"{type(self).__name__}({type(self.model).__name__}, {{{at}}})"

    def __enter__(self) -> "HiddenMix":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _LIVING.add(self.acting)

    def __copy__(self) -> "HiddenMix":
        raise TypeError("a model has one HiddenMix, so there is no shallow copy of it; take copy.deepcopy(hidden)")

    def _require_hooks(self) -> None:
        if not self.acting.hooks:
            raise RuntimeError("this HiddenMix was removed from its model; make another one")


_LIVING: weakref.WeakSet[Acting] = weakref.WeakSet()
"""The hooks on every model that is still alive, even if nothing refers to the HiddenMix."""


def _check(model: nn.Module, at: Sites, valid: str | None) -> None:
    """Raise unless a model can be mixed at these sites."""
    modules = set(model.modules())
    for site, mixer in at.items():
        if isinstance(site, str):
            raise ValueError(f"site {site!r} is a name; pass the module, model.get_submodule({site!r})")
        if module_of(site) not in modules:
            raise ValueError(
                f"site {name_of(model, site)} is not in {type(model).__name__}; pass one of its modules, "
                f"(module, 'output') or (module, name of an argument)"
            )
        if not isinstance(mixer, Draws):
            raise ValueError(f"at[{name_of(model, site)}] is {shown(mixer)} and must be a mixer or a policy")
        without_saliency(mixer, "HiddenMix")
    for other in _LIVING:
        if other.hooks and not modules.isdisjoint(other.model.modules()):
            raise ValueError(
                f"{type(model).__name__} is already mixed by another HiddenMix, or shares a module with one that is; "
                f"give all sites to one, or call remove() on the other"
            )
    if valid is not None and not takes(model, valid):
        raise ValueError(f"valid={valid!r} is not an argument of {type(model).__name__}; pass the name of one")


def _plain(x: Tensor) -> Mix:
    """A record that mixes nothing, for a batch the size of `x`."""
    return NoMix().draw(x)
