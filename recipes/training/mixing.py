"""How a recipe mixes a training batch: at sites of its network, or by what the network looks at."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixmodal import Draws, HiddenMix, Mix, NoMix, saliency
from mixmodal.hidden.arguments import first_tensor, get
from mixmodal.hidden.hiddenmix import Sites
from mixmodal.hidden.replay import Site
from recipes.pictures.rows import Sample


class Mixing(ABC):
    """The forward of a training step: from inputs and targets to predictions and the record of what was mixed."""

    @property
    @abstractmethod
    def mixers(self) -> Sequence[Draws]:
        """All mixers, whose state a checkpoint holds."""

    @abstractmethod
    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Mix]:
        """Predictions of `model`, in training mode, for a mixed batch, and its record."""

    @abstractmethod
    def samples(self, model: nn.Module, x: Tensor, y: Tensor) -> list[Sample]:
        """A draw of each mixer where it acts; the model does not learn from it."""


class AtSites(Mixing):
    """Mix at sites of a network, see `HiddenMix`; the network itself stands for the input space.

    Args:
        net: the network, before anything wraps it.
        at: mixers by site.
        valid: name of the argument that tells the network which locations are real, see `HiddenMix`.
    """

    def __init__(self, net: nn.Module, at: Sites, *, valid: str | None = None) -> None:
        self.net, self.valid = net, valid
        self.hidden = HiddenMix(net, at, valid=valid)

    @property
    def mixers(self) -> Sequence[Draws]:
        return tuple(self.hidden.at.values())

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Mix]:
        preds = model(x)
        assert self.hidden.mix is not None
        return preds, self.hidden.mix

    def samples(self, model: nn.Module, x: Tensor, y: Tensor) -> list[Sample]:
        shown = []
        for site, mixer in self.hidden.at.items():
            before, real = self._seen_at(site, model, x)
            after, mix = mixer(before, valid=real)
            shown.append(Sample(_name(self.net, site), before, after, mix))
        return shown

    @torch.no_grad()
    def _seen_at(self, site: Site, model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The tensor at a site for inputs `x`, in evaluation mode, and which of its locations are real."""
        module, name = site if isinstance(site, tuple) else (site, None)
        seen: list[Tensor] = []
        marks: list[Tensor] = []

        def whole(net: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            if self.valid is not None:
                marks.append(get(net, (args, kwargs), self.valid).bool())

        def before(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            seen.append(first_tensor(args if name is None else (get(module, (args, kwargs), name),), "the site"))

        def after(_module: nn.Module, _args: tuple[object, ...], output: object) -> None:
            seen.append(first_tensor(output if isinstance(output, tuple) else (output,), "the site"))

        handles = [self.net.register_forward_pre_hook(whole, with_kwargs=True)]
        if name == "output":
            handles.append(module.register_forward_hook(after))
        else:
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        model.eval()
        try:
            model(x)
        finally:
            for handle in handles:
                handle.remove()
        found = seen[0]
        return found.float() if found.is_floating_point() else found, marks[0] if marks else None


class WithSaliency(Mixing):
    """Mix the input by what the network looks at, see `PuzzleMix`.

    Args:
        net: the network, before anything wraps it.
        mixer: takes the saliency of the batch.
        prob: share of the batches that are mixed.
        keep: weight of the loss of the unmixed batch, see `saliency`; only in a single process, since its gradients are
            not shared.
    """

    def __init__(self, net: nn.Module, mixer: Draws, *, prob: float = 1.0, keep: float = 0.0) -> None:
        self.net, self.mixer, self.prob, self.keep = net, mixer, prob, keep
        if keep > 0 and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            raise ValueError(f"clean_lam={keep} works in one process only; set it to 0")

    @property
    def mixers(self) -> Sequence[Draws]:
        return (self.mixer,)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Mix]:
        if not x.is_floating_point():
            raise TypeError(f"saliency is a gradient at the input, which is {x.dtype} here; choose a method without it")
        if torch.rand(()).item() >= self.prob:
            return model(x), NoMix().draw(x)
        mixed, mix = self.mixer(x, saliency=saliency(self.net, x, y, keep=self.keep))
        return model(mixed), mix

    def samples(self, model: nn.Module, x: Tensor, y: Tensor) -> list[Sample]:
        mixed, mix = self.mixer(x, saliency=saliency(model, x, y))
        return [Sample("input", x, mixed, mix)]


def _name(model: nn.Module, site: Site) -> str:
    """The name of a site in a picture."""
    module, what = site if isinstance(site, tuple) else (site, "input")
    names = [name for name, each in model.named_modules() if each is module]
    return f"{what} of {names[0]}" if names[0] else what
