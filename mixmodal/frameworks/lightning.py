"""Lightning: a callback that mixes the training batches of a LightningModule, which need not be changed."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from mixmodal.core.checks import is_whole, require, shown
from mixmodal.core.draws import Draws
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.hidden.replay import random_state, restore
from mixmodal.modalities.batches import MixBatch
from mixmodal.modalities.text.tokens import TokenMix

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback, LightningModule, Trainer  # type: ignore[assignment]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{__name__} needs Lightning: pip install lightning") from error

Hidden = HiddenMix | TokenMix


class MixCallback(Callback):
    """Mix each training batch of a LightningModule; validation, test and prediction are left alone.

    Either the batch is mixed, after being moved to the device, or the network inside the module is. Soft targets need
    no change if the module's loss accepts them. Otherwise name the attribute of the module that `training_step` calls
    as `self.criterion(preds, y)`: during training steps, it computes the loss of the mix with the original criterion.

    The draw for a batch is determined by the seed, the rank of the process among those that read different data, and
    the number of the batch in the run. So processes draw differently although `seed_everything` is the same in all of
    them, and a resumed fit draws what an uninterrupted one would have drawn. Turns of `Alternate` are saved with the
    checkpoint; with several processes, they are those of the first, and exact if each batch takes a turn. Draws inside
    a network use torch's global generators, which are seeded for each training step and restored after it: this makes
    dropout in the step reproducible too.

    Everything is restored when the fit ends, even with an exception. The package `pytorch_lightning` is supported too.

    Args:
        batch: what is mixed in a batch; give this or `hidden`.
        hidden: function that mixes the network inside a module, as in `lambda module: mm.presets.patchup(module.net)`.
            It is called when a fit starts. It does not mix labels, so name the `loss`.
        loss: the attribute of the module that is its criterion, see `Mix.loss`; `batch` must leave labels unmixed, with
            `labels=None`. None if the batch gets soft targets or mixed label maps, or if nothing has a partner.
        axes: axes pattern of dense labels, for `loss`; see `Mix.loss`.
        seed: seed of all draws. If None, torch's initial seed in the first process, which `seed_everything` sets; it is
            saved with the checkpoint.

    Raises:
        TypeError: `batch` is not a MixBatch; `hidden` is not a function, or returns something else.
        ValueError: both or neither of `batch` and `hidden`; soft targets and `loss`; labels left unmixed and no `loss`.
            In a fit: a module without such a criterion, or whose training step does not call it.
        RuntimeError: in a fit: the training step takes a `dataloader_iter`, so that batches cannot be mixed for it.

    >>> import mixmodal as mm
    >>> soft = MixCallback(mm.MixBatch(mm.CutMix(), num_classes=10))
    >>> whole = MixCallback(mm.MixBatch(mm.CutMix(), labels=None, carried=(1,)), loss="criterion")
    >>> inside = MixCallback(hidden=lambda module: mm.presets.patchup(module.net), loss="criterion")
    """

    def __init__(
        self,
        batch: MixBatch | None = None,
        *,
        hidden: Callable[[Any], Hidden] | None = None,
        loss: str | None = None,
        axes: str | None = None,
        seed: int | None = None,
    ) -> None:
        if (batch is None) == (hidden is None):
            raise ValueError(
                f"batch={shown(batch)} and hidden={shown(hidden)}: pass one of them, a MixBatch or a function"
            )
        if batch is not None and not isinstance(batch, MixBatch):
            raise TypeError(f"batch={shown(batch)} must be a MixBatch, as in MixBatch({shown(batch)}, num_classes=10)")
        if isinstance(hidden, Hidden):
            raise TypeError("hidden is already on a network; pass the function that puts it there: lambda module: ...")
        require(seed is None or is_whole(seed), "seed", seed, "be a whole number, or None for torch's initial seed")
        soft = batch is not None and batch.labels not in (None, {})
        if batch is not None and soft and loss is not None:
            raise ValueError(
                f"loss={loss!r} mixes labels, and labels={batch.labels!r} of the MixBatch would mix them before; set "
                f"labels=None there, or leave loss out"
            )
        if batch is not None and not soft and loss is None and _one(batch.inputs):
            _refuse_partners([batch.mixer])
        if axes is not None and loss is None:
            raise ValueError(f"axes={axes!r} is for the labels of the loss, which is None; name it, or leave axes out")
        self.batch, self.hidden, self.loss, self.axes, self.seed = batch, hidden, loss, axes, seed
        self._seed = self._rank = 0
        self._state: dict[str, Any] = {}
        """State from a checkpoint, or from the end of the last fit, until the next batch is mixed."""
        self._loaded = False
        """Whether it comes from a checkpoint."""
        self._begun: dict[str, Any] = {}
        """Number of the batch that was mixed last, and the states of the mixers before it."""
        self._detach()

    def _detach(self) -> None:
        self._fit, self._step = ExitStack(), ExitStack()
        """What must be restored after the fit, and after the training step."""
        self._inside: Hidden | None = None
        self._mix: Mix | None = None
        self._mixed = self._asked = False
        """Whether the next batch is mixed, and whether the step has asked for a loss."""

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, which takes no part in a fit that this callback is running in."""
        running = ("_fit", "_step", "_inside", "_mix", "_mixed", "_asked")
        kept = {name: value for name, value in vars(self).items() if name not in running}
        return kept | {"_state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._detach()

    @property
    def mix(self) -> Mix | None:
        """The record of the last training batch; None if no fit is running."""
        return self._mix if self._inside is None else self._inside.mix

    def state_dict(self) -> dict[str, Any]:
        if self._state or not self._begun:
            return self._state
        return self._begun | {"seed": self._seed, "after": [mixer.state_dict() for mixer in self._mixers()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._state, self._loaded, self._seed = state_dict, True, state_dict["seed"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.loss is not None and not callable(getattr(pl_module, self.loss, None)):
            raise ValueError(
                f"loss={self.loss!r} is not an attribute of {type(pl_module).__name__} that can be called; name the "
                f"one that training_step calls, as in self.criterion(preds, y)"
            )
        self._rank = (trainer.distributed_sampler_kwargs or {}).get("rank", 0)
        if self.batch is not None:
            moved = functools.partial(self._after_transfer, trainer, trainer.strategy.batch_to_device)
            self._fit.enter_context(_replaced(trainer.strategy, "batch_to_device", moved))
        else:
            self._enter(pl_module)
        if not self._loaded and _number(trainer) == 0:
            self._seed, self._state = trainer.strategy.broadcast(torch.initial_seed()), {}
            self._begun = {"batch": -1, "before": [mixer.state_dict() for mixer in self._mixers()]}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self._inside is not None:
            seed = self._begin(_number(trainer))
            self._step.enter_context(_seeded(seed, trainer.strategy.root_device))
            self._step.enter_context(_replaced(_hidden(self._inside).acting, "paused", False))
        elif not self._mixed:
            raise RuntimeError(
                f"training_step of {type(pl_module).__name__} takes a dataloader_iter, whose batches are not moved by "
                f"Lightning and cannot be mixed for it; take batch, or mix in training_step"
            )
        self._mixed = self._asked = False
        if self.loss is not None:
            mixed_loss = functools.partial(self._mixed_loss, getattr(pl_module, self.loss))
            self._step.enter_context(_replaced(pl_module, self.loss, mixed_loss))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self._step.close()
        skipped = pl_module.automatic_optimization and not outputs
        if self.loss is not None and not self._asked and not skipped:
            raise ValueError(
                f"training_step of {type(pl_module).__name__} has not called self.{self.loss}, so its loss knows "
                f"nothing of the mix; name the attribute that it calls as self.criterion(preds, y)"
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step.close()  # a batch skipped by one of the module's hooks never ends

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._put_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._put_back()

    def _put_back(self) -> None:
        self._state = self.state_dict()
        self._step.close()
        self._fit.close()
        self._detach()

    def _enter(self, module: LightningModule) -> None:
        """Mix inside the network, in training steps only."""
        assert self.hidden is not None
        inside = self.hidden(module)
        if not isinstance(inside, Hidden):
            raise TypeError(f"hidden gave {shown(inside)} and must give a HiddenMix or a TokenMix")
        self._inside = inside
        self._fit.callback(inside.remove)
        if self.loss is None:
            _refuse_partners(self._mixers())
        self._fit.enter_context(_replaced(_hidden(inside).acting, "paused", True))

    def _after_transfer(self, trainer: Trainer, move: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> Any:
        """The batch on the device, mixed if it is for training, unless callbacks are suspended for a search."""
        batch = move(batch, *args, **kwargs)
        if batch is None or not trainer.training or self not in trainer.callbacks:  # type: ignore[attr-defined]
            return batch
        assert self.batch is not None
        generator = torch.Generator(trainer.strategy.root_device).manual_seed(self._begin(_number(trainer)))
        mixed, self._mix = self.batch(batch, generator=generator)
        self._mixed = True
        return mixed

    def _begin(self, number: int) -> int:
        """The seed of a batch; if it is the first after a checkpoint, the mixers' states are restored first."""
        mixers = self._mixers()
        if self._state:
            states = self._state["before" if number <= self._state["batch"] else "after"]
            if len(states) != len(mixers):
                raise ValueError(f"the checkpoint has states of {len(states)} mixers, and there are {len(mixers)}")
            for mixer, state in zip(mixers, states, strict=True):
                mixer.load_state_dict(state)
        self._state, self._loaded = {}, False
        self._begun = {"batch": number, "before": [mixer.state_dict() for mixer in mixers]}
        drawn = repr((int(self._seed if self.seed is None else self.seed), self._rank, number))
        return int.from_bytes(hashlib.sha256(drawn.encode()).digest()[:8], "little")

    def _mixers(self) -> list[Draws]:
        if self.batch is not None:
            return [self.batch.mixer]
        return [] if self._inside is None else list(_hidden(self._inside).at.values())

    def _mixed_loss(self, criterion: Criterion, preds: Tensor, y: Tensor, /, **settings: Any) -> Tensor:
        """What replaces the module's criterion in a training step."""
        self._asked = True
        criterion = functools.partial(criterion, **settings) if settings else criterion
        mixing = self._mix if self._inside is None else self._inside
        assert mixing is not None
        return mixing.loss(preds, y, criterion, axes=self.axes)


def _hidden(inside: Hidden) -> HiddenMix:
    return inside.hidden if isinstance(inside, TokenMix) else inside


def _number(trainer: Trainer) -> int:
    """The number of completed training batches, which a checkpoint stores."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.completed


def _one(fields: object) -> bool:
    """Whether there is only one field, so that it cannot include labels, such as label maps."""
    return not isinstance(fields, Mapping) or len(fields) == 1


def _refuse_partners(mixers: list[Draws]) -> None:
    """Raise ValueError if labels would be used unmixed."""
    if any(mixer.partner for mixer in mixers):
        raise ValueError(
            "labels are not mixed, and loss is None, so the module would learn unmixed labels; name its criterion, as "
            "in loss='criterion', or let a MixBatch make soft targets"
        )


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute for a while, even if it belongs to the class or is a submodule.

    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    >>> with _replaced(net, "0", len):
    ...     getattr(net, "0") is len, list(net.state_dict())
    (True, ['0.weight', '0.bias'])
    >>> "0" in vars(net)
    False
    """
    own, missing = vars(owner), object()
    before, own[name] = own.get(name, missing), value
    try:
        yield
    finally:
        if before is missing:
            del own[name]
        else:
            own[name] = before


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for a while; afterwards they continue from where they were."""
    before = random_state(device)
    places = [torch.device("cpu"), device][: len(before)]
    restore([torch.Generator(place).manual_seed(seed).get_state() for place in places], device)
    try:
        yield
    finally:
        restore(before, device)
