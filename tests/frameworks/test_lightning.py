"""The Lightning callback in real fits, against steps and sums by hand."""

import copy
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mixmodal as mm

L = pytest.importorskip("lightning.pytorch")

from mixmodal.frameworks.lightning import MixCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::lightning", "ignore:::pytorch_lightning")

ROWS, FEATURES, CLASSES, SIZE = 12, 5, 3, 4
STEPS = ROWS // SIZE
LAM = 0.3
WEIGHT = torch.tensor([0.2, 1.0, 3.0])


class Roll(mm.MixUp):
    """The partner is the sample before, and the share always the same."""

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return super().record(x, mm.Asked(index=torch.arange(len(x)).roll(1), lam=LAM))


def rolled(x: Tensor) -> Tensor:
    """What `Roll` makes of a batch."""
    return LAM * x + (1 - LAM) * x.roll(1, 0)


class Net(L.LightningModule):
    """Notes what each of its steps is given, and what its network sees."""

    def __init__(self, *, lr: float = 0.1, dropout: float = 0.0, criterion: Any = None) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Dropout(dropout), nn.Linear(FEATURES, CLASSES))
        self.criterion = nn.CrossEntropyLoss() if criterion is None else criterion
        self.lr = lr
        self.seen: list[tuple[str, Any, Tensor]] = []
        self.losses: list[Tensor] = []

    def logits(self, step: str, batch: Any) -> Tensor:
        inside: list[Tensor] = []
        hook = self.net[0].register_forward_hook(lambda layer, args, output: inside.append(args[0].detach()))
        logits: Tensor = self.net(batch[0])
        hook.remove()
        self.seen.append((step, batch, inside[0]))
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self.logits("train", batch), batch[1])
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", self.criterion(self.logits("val", batch), batch[1]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test", self.criterion(self.logits("test", batch), batch[1]))

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.logits("predict", batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def rows(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, FEATURES, generator=generator), torch.arange(ROWS) % CLASSES


def loader(shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*rows()), batch_size=SIZE, shuffle=shuffle)


def batches() -> list[tuple[Tensor, Tensor]]:
    x, y = rows()
    return list(zip(x.split(SIZE), y.split(SIZE), strict=True))


def trainer(*callbacks: Any, epochs: int = 1, **settings: Any) -> Any:
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    return L.Trainer(**quiet | {"max_epochs": epochs, "accelerator": "cpu", "callbacks": [*callbacks]} | settings)


def inside(mixer: mm.Draws) -> Callable[[Net], mm.HiddenMix]:
    return lambda module: mm.HiddenMix(module.net, {module.net: mixer})


def whole(mixer: mm.Draws, **settings: Any) -> MixCallback:
    """Mixes the inputs and, in the module's loss, the labels."""
    return MixCallback(mm.MixBatch(mixer, labels=None, carried=(1,)), loss="criterion", **settings)


KINDS: dict[str, Callable[[mm.Draws], MixCallback]] = {
    "soft": lambda mixer: MixCallback(mm.MixBatch(mixer, num_classes=CLASSES)),
    "whole": whole,
    "inside": lambda mixer: MixCallback(hidden=inside(mixer), loss="criterion"),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_every_training_step_is_mixed_and_no_other_one(kind: str) -> None:
    """Sanity checks, validation within the epoch and after it, test and prediction have the batch as it is."""
    net, callback = Net(), KINDS[kind](Roll())
    run = trainer(callback, epochs=2, val_check_interval=2, num_sanity_val_steps=1)
    run.fit(net, loader(), loader())
    for call in (run.validate, run.test, run.predict):
        call(net, loader())
    count = dict.fromkeys(("train", "val", "test", "predict"), 0)
    for step, (_, y), inputs in net.seen:
        sanity = step == "val" and not count["train"]
        x, labels = batches()[count[step] % STEPS]
        count[step] += not sanity
        if step == "train":
            torch.testing.assert_close(inputs, rolled(x))
            assert (inputs - x).abs().max() > 0.1
            one_hot = F.one_hot(labels, CLASSES).float()
            torch.testing.assert_close(y, rolled(one_hot) if kind == "soft" else labels)
        else:
            assert torch.equal(inputs, x)
            assert torch.equal(y, labels)
    assert count == {"train": 2 * STEPS, "val": 2 * STEPS + STEPS, "test": STEPS, "predict": STEPS}


@kinds
@pytest.mark.parametrize("parts", [1, STEPS])
def test_the_loss_and_a_step_are_those_by_hand(kind: str, parts: int) -> None:
    """Also of class weights, where labels are whole, and of several batches for a step, by the mean of their losses."""
    weight = None if kind == "soft" else WEIGHT
    net, callback = Net(lr=1.0, criterion=nn.CrossEntropyLoss(weight=weight)), KINDS[kind](Roll())
    by_hand = copy.deepcopy(net.net)
    trainer(callback, accumulate_grad_batches=parts, limit_train_batches=parts).fit(net, loader())
    losses = []
    for x, y in batches()[:parts]:
        each = [F.cross_entropy(by_hand(rolled(x)), label, weight=weight, reduction="none") for label in (y, y.roll(1))]
        total = LAM * each[0] + (1 - LAM) * each[1]
        losses.append(total.sum() / (SIZE if weight is None else weight[y].sum()))
    torch.testing.assert_close(torch.stack(net.losses), torch.stack(losses).detach())
    (sum(losses) / parts).backward()  # type: ignore[union-attr]
    for found, start in zip(net.net.parameters(), by_hand.parameters(), strict=True):
        assert start.grad is not None
        assert start.grad.abs().max() > 1e-3
        torch.testing.assert_close(found, start - start.grad)


@kinds
def test_scores_are_those_of_the_network_without_mixing(kind: str) -> None:
    net, callback = Net(lr=0.0), KINDS[kind](mm.MixUp())
    x, y = rows()
    plain = F.cross_entropy(net.net(x), y)
    run = trainer(callback, epochs=2, num_sanity_val_steps=0)
    run.fit(net, loader(), loader())
    torch.testing.assert_close(run.callback_metrics["val"], plain)
    torch.testing.assert_close(torch.tensor(run.validate(net, loader(), verbose=False)[0]["val"]), plain)
    torch.testing.assert_close(torch.tensor(run.test(net, loader(), verbose=False)[0]["test"]), plain)
    torch.testing.assert_close(torch.cat(run.predict(net, loader())), net.net(x))


class Stays(Net):
    """Is in training mode in validation too."""

    def on_validation_model_eval(self) -> None:
        pass


@kinds
def test_validation_is_left_alone_whatever_mode_the_module_is_in(kind: str) -> None:
    net = Stays()
    trainer(KINDS[kind](Roll()), epochs=2).fit(net, loader(), loader())
    validated = [inputs for step, _, inputs in net.seen if step == "val"]
    assert len(validated) > 2 * STEPS
    for found, (x, _) in zip(validated[-STEPS:], batches(), strict=True):
        assert torch.equal(found, x)


class Crash(L.Callback):
    """Ends a fit in the middle of a training step, or saves a checkpoint after one."""

    def __init__(self, at: int, *, path: Path | None = None) -> None:
        self.at, self.path = at, path

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self.path is not None and self.at == 0:
            trainer.save_checkpoint(self.path)

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if self.path is None and trainer.global_step == self.at:
            raise RuntimeError("the power is gone")

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if self.path is not None and trainer.global_step == self.at:
            trainer.save_checkpoint(self.path)


def net_of(seed: int, *, dropout: float = 0.0) -> Net:
    torch.manual_seed(seed)
    return Net(dropout=dropout)


def same_rows() -> DataLoader[Any]:
    """Batches that are alike, since a loader of torch begins anew after a resume."""
    x, y = batches()[0]
    return DataLoader(TensorDataset(x.repeat(STEPS, 1), y.repeat(STEPS)), batch_size=SIZE)


def turning(kind: str) -> MixCallback:
    return KINDS[kind](mm.Alternate([mm.MixUp(), mm.NoMix(), mm.MixUp(alpha=0.2)]))


def losses_of(kind: str, epochs: int) -> tuple[Net, Callable[[int], Net]]:
    """What a fit without interruption gives, and what starts another one; with dropout if it is inside the network."""
    started = functools.partial(net_of, dropout=0.5 if kind == "inside" else 0.0)
    net = started(4)
    trainer(turning(kind), epochs=epochs).fit(net, same_rows())
    assert len(net.losses) == epochs * STEPS
    return net, started


def check_same(found: Net, expected: Net, after: int) -> None:
    """Losses after some steps, and weights, bit for bit."""
    assert [*map(float, found.losses)] == [*map(float, expected.losses)][after:]
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


ENDS = {
    "at the start": 0,
    "after a step": STEPS + 1,
    "first of two callbacks": STEPS + 1,
    "within a step": STEPS + 1,
    "after an epoch": STEPS,
    "later": STEPS,
}
"""Where a checkpoint is saved, and how many steps were made before it."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["whole", "inside"])
def test_a_resumed_fit_is_an_uninterrupted_one(kind: str, end: str, tmp_path: Path) -> None:
    """With turns, in a process with another seed, wherever the checkpoint was saved: in a hook, or after the fit."""
    uninterrupted, started = losses_of(kind, 3)
    path = tmp_path / "last.ckpt"
    at = ENDS[end]
    callbacks: list[Any] = [turning(kind), Crash(at, path=None if end == "within a step" else path)]
    if end == "within a step":
        callbacks.append(L.callbacks.OnExceptionCheckpoint(tmp_path, "last"))
    if end == "first of two callbacks":
        callbacks.reverse()
    run = trainer(*callbacks, epochs=1 if end == "later" else 2, enable_checkpointing=end == "within a step")
    if end == "within a step":
        with pytest.raises(RuntimeError, match="the power is gone"):
            run.fit(started(4), same_rows())
    else:
        run.fit(started(4), same_rows())
    if end == "later":
        run.save_checkpoint(path)

    resumed = started(99)
    trainer(turning(kind), epochs=3).fit(resumed, same_rows(), ckpt_path=path)
    check_same(resumed, uninterrupted, at)


@pytest.mark.parametrize("kind", ["whole", "inside"])
def test_a_fit_that_goes_on_is_one_fit(kind: str) -> None:
    uninterrupted, started = losses_of(kind, 2)
    run, net = trainer(turning(kind), epochs=1), started(4)
    run.fit(net, same_rows())
    run.fit_loop.max_epochs = 2
    torch.manual_seed(99)
    run.fit(net, same_rows())
    check_same(net, uninterrupted, 0)


class Search(L.callbacks.LearningRateFinder):
    """Looks for a learning rate when an epoch starts, as the pages of Lightning show."""

    done = False

    def on_fit_start(self, *_: Any) -> None:
        pass

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 0 and not self.done:
            self.done = True
            self.lr_find(trainer, pl_module)


@kinds
def test_a_search_for_a_learning_rate_is_not_mixed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning sets callbacks aside in it."""
    monkeypatch.chdir(tmp_path)  # where it saves its checkpoint
    net = Net()
    search = Search(num_training_steps=2, update_attr=False)
    trainer(KINDS[kind](Roll()), search, epochs=2).fit(net, same_rows())
    x = batches()[0][0]
    mixed = [bool(torch.allclose(inputs, rolled(x))) for _, _, inputs in net.seen]
    searched = len(mixed) - 2 * STEPS
    assert searched > 0
    assert mixed == [False] * searched + [True] * 2 * STEPS


def test_a_seed_that_is_given_is_kept(tmp_path: Path) -> None:
    """A checkpoint of another seed does not change it."""
    path = tmp_path / "last.ckpt"
    trainer(whole(mm.MixUp(), seed=1), Crash(STEPS, path=path), epochs=2).fit(Net(), loader())
    resumed, expected = Shares(2), Shares(2)
    trainer(resumed.callback, resumed, epochs=2).fit(Net(), loader(), ckpt_path=path)
    trainer(expected.callback, expected, epochs=2).fit(Net(), loader())
    assert resumed.drawn == expected.drawn[STEPS:]


class Shares(L.Callback):
    """Notes the shares that are drawn in a fit."""

    def __init__(self, seed: int | None) -> None:
        self.callback, self.drawn = whole(mm.MixUp(), seed=seed), list[float]()

    def on_train_batch_end(self, *_: Any) -> None:
        assert self.callback.mix is not None
        self.drawn.append(float(self.callback.mix.lam[0]))


def drawn(seed: int | None) -> list[float]:
    shares = Shares(seed)
    trainer(shares.callback, shares, epochs=2).fit(Net(), loader())
    return shares.drawn


def test_draws_follow_from_the_seed() -> None:
    torch.manual_seed(1)
    one = drawn(None)
    assert len({*one}) == 2 * STEPS
    assert one == drawn(None)
    assert one == drawn(1)
    torch.manual_seed(2)
    assert {*one}.isdisjoint(drawn(None))
    assert one == drawn(1)


@kinds
def test_what_else_is_random_is_as_without_it(kind: str) -> None:
    """The order of the samples, which the DataLoader draws from the global generator for each epoch."""

    def order(*callbacks: Any) -> list[Tensor]:
        net = net_of(3)
        trainer(*callbacks, epochs=3).fit(net, loader(shuffle=True))
        return [batch[1].argmax(1) if batch[1].ndim > 1 else batch[1] for _, batch, _ in net.seen]

    still = KINDS[kind](mm.MixUp(alpha=0.5))
    if kind == "soft":
        still = MixCallback(mm.MixBatch(mm.OneOf([mm.NoMix(), mm.NoMix()]), num_classes=CLASSES))
    assert all(map(torch.equal, order(still), order()))


class Tell(L.Callback):
    """Writes what a process has drawn, and where its weights are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        mix = next(each.mix for each in trainer.callbacks if isinstance(each, MixCallback))
        told = {"index": mix.index, "lam": mix.lam, "weights": [p.detach() for p in pl_module.net.parameters()]}
        torch.save(told, self.folder / str(trainer.global_rank))


PROCESSES: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "use_distributed_sampler": False}
"""Two, which have the same batches."""


@pytest.mark.forks
@pytest.mark.parametrize("kind", ["soft", "inside"])
def test_two_processes_draw_differently_and_share_a_gradient(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    net = Net(lr=1.0)
    by_hand, (x, y) = copy.deepcopy(net.net), batches()[0]
    trainer(KINDS[kind](mm.MixUp()), Tell(tmp_path), limit_train_batches=1, **PROCESSES).fit(net, loader())
    told = [torch.load(tmp_path / str(rank)) for rank in range(2)]
    assert not torch.equal(told[0]["lam"], told[1]["lam"])
    loss = torch.zeros(())
    for each in told:
        lam, index = each["lam"][0], each["index"]
        logits = by_hand(lam * x + (1 - lam) * x[index])
        loss = loss + lam * F.cross_entropy(logits, y) + (1 - lam) * F.cross_entropy(logits, y[index])
    (loss / 2).backward()
    for place, start in enumerate(by_hand.parameters()):
        assert start.grad is not None
        assert torch.equal(told[0]["weights"][place], told[1]["weights"][place])
        torch.testing.assert_close(told[0]["weights"][place], start - start.grad)


class Tensors(L.strategies.DDPStrategy):
    """All processes read the same data, as where tensors are divided among them."""

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        return {"num_replicas": 1, "rank": 0}


@pytest.mark.forks
@pytest.mark.parametrize("kind", ["soft", "inside"])
def test_processes_that_share_their_batches_mix_them_alike(kind: str, tmp_path: Path) -> None:
    settings = PROCESSES | {"strategy": Tensors(start_method="fork")}
    trainer(KINDS[kind](mm.MixUp()), Tell(tmp_path), limit_train_batches=1, **settings).fit(Net(), loader())
    first, second = (torch.load(tmp_path / str(rank)) for rank in range(2))
    assert torch.equal(first["lam"], second["lam"])
    assert torch.equal(first["index"], second["index"])


class Seeds(L.Callback):
    """Seeds each process differently, as where nobody seeds them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        torch.manual_seed(self.seed + trainer.global_rank)


@pytest.mark.forks
def test_two_processes_resume(tmp_path: Path) -> None:
    """Each draws what it would have drawn, whatever the seeds of the processes are."""
    mixer = mm.OneOf([mm.MixUp(), mm.NoMix()])
    uninterrupted, path = net_of(4), tmp_path / "last.ckpt"
    trainer(whole(mixer), Crash(STEPS, path=path), Seeds(4), epochs=2, **PROCESSES).fit(uninterrupted, loader())
    resumed = net_of(99)
    trainer(whole(mixer), Seeds(99), epochs=2, **PROCESSES).fit(resumed, loader(), ckpt_path=path)
    for a, b in zip(resumed.parameters(), uninterrupted.parameters(), strict=True):
        assert torch.equal(a, b)


def traces(net: nn.Module) -> list[Any]:
    """What hooks and replaced attributes would leave on a module."""
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    left = [{name: dict(getattr(module, name)) for name in hooks} for module in net.modules()]
    return [*left, {name: id(value) for name, value in vars(net).items() if callable(value)}, [*net.state_dict()]]


@kinds
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("function", [False, True])
def test_everything_is_put_back(kind: str, fails: bool, function: bool) -> None:
    net = Net(criterion=F.cross_entropy if function else nn.CrossEntropyLoss(weight=WEIGHT))
    criterion, before = net.criterion, traces(net)
    callback = KINDS[kind](mm.MixUp())
    run = trainer(callback, *([Crash(1)] if fails else []))
    if fails:
        with pytest.raises(RuntimeError, match="the power is gone"):
            run.fit(net, loader())
    else:
        run.fit(net, loader())
    assert net.criterion is criterion
    assert traces(net) == before
    assert "batch_to_device" not in vars(run.strategy)
    assert callback.mix is None
    mm.HiddenMix(net.net, {net.net: mm.MixUp()}).remove()  # it could not be made on a network that is mixed


class Skip(Net):
    """Ends each epoch before its second batch."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx == 1 else None

    def on_train_epoch_end(self) -> None:
        assert isinstance(self.criterion, nn.CrossEntropyLoss)


def test_a_batch_that_is_skipped_leaves_nothing_behind() -> None:
    net = Skip()
    trainer(whole(Roll()), epochs=2).fit(net, loader())
    assert [step for step, *_ in net.seen] == ["train", "train"]


class Copies(L.Callback):
    """Copies the callback, and the module with its criterion, in the middle of a fit."""

    def __init__(self) -> None:
        self.copies: list[Any] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        callback = next(each for each in trainer.callbacks if isinstance(each, MixCallback))
        self.copies += [copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))]


def patched(module: Net) -> mm.HiddenMix:
    return mm.HiddenMix(module.net, {module.net: mm.Alternate([Roll(), mm.NoMix()])})


@pytest.mark.parametrize("kind", ["whole", "inside"])
def test_a_copy_is_a_callback_of_its_own(kind: str) -> None:
    mixer = mm.Alternate([Roll(), mm.NoMix()])
    callback = whole(mixer) if kind == "whole" else MixCallback(hidden=patched, loss="criterion")
    copies, net = Copies(), Net()
    trainer(callback, copies, limit_train_batches=1).fit(net, loader())
    assert len(net.seen) == 1
    for each in copies.copies:
        other = Net()
        trainer(each, limit_train_batches=2).fit(other, loader())
        assert len(other.seen) == 2
        assert each.mix is None


class Squares(L.LightningDataModule):
    """Changes batches after they were moved."""

    def train_dataloader(self) -> DataLoader[Any]:
        return loader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] ** 2, batch[1]]


def test_what_a_datamodule_does_on_the_device_comes_before() -> None:
    net = Net()
    trainer(whole(Roll())).fit(net, datamodule=Squares())
    for (_, _, inputs), (x, _) in zip(net.seen, batches(), strict=True):
        torch.testing.assert_close(inputs, rolled(x**2))


class Manual(Net):
    """Makes its steps itself, in two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        loss = self.criterion(self.logits("train", batch), batch[1])
        self.manual_backward(loss)
        self.optimizers().step()  # type: ignore[union-attr]
        self.losses.append(loss.detach())


def test_a_module_may_make_its_steps_itself() -> None:
    net = Manual()
    by_hand = copy.deepcopy(net.net)
    trainer(whole(Roll()), limit_train_batches=1).fit(net, loader())
    x, y = batches()[0]
    logits = by_hand(rolled(x))
    expected = LAM * F.cross_entropy(logits, y) + (1 - LAM) * F.cross_entropy(logits, y.roll(1))
    torch.testing.assert_close(net.losses[0], expected)


class Half(mm.Mixer):
    """The first half of each sample is its own, the rest that of the sample before."""

    def mask(self, lam: Tensor, shape: Any, generator: Any = None) -> Tensor:
        return (torch.arange(shape[0]) < shape[0] // 2).float().expand(len(lam), -1)

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return super().record(x, mm.Asked(index=torch.arange(len(x)).roll(1), lam=0.5))


class Frames(Net):
    """A class for each frame, by a criterion that is given weights when it is called."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self.logits("train", batch).movedim(2, 1), batch[1], weight=WEIGHT)
        self.losses.append(loss.detach())
        return loss


def test_frames_have_the_label_of_their_side() -> None:
    frames, x, y = 6, torch.randn(SIZE, 6, FEATURES), torch.randint(CLASSES, (SIZE, 6))
    net = Frames(criterion=F.cross_entropy)
    by_hand, own = copy.deepcopy(net.net), torch.arange(frames) < frames // 2
    mixed, label = torch.where(own[:, None], x, x.roll(1, 0)), torch.where(own, y, y.roll(1, 0))
    trainer(whole(Half(axes="b * d"), axes="b *")).fit(net, DataLoader(TensorDataset(x, y), batch_size=SIZE))
    total = F.cross_entropy(by_hand(mixed).movedim(2, 1), label, weight=WEIGHT, reduction="sum")
    torch.testing.assert_close(net.losses[0], (total / WEIGHT[y].sum()).detach())


class Fetches(Net):
    def training_step(self, dataloader_iter: Any) -> Tensor:  # type: ignore[override]
        batch, _, _ = next(dataloader_iter)
        return super().training_step(batch, 0)


class Returns(Net):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.logits("train", batch), batch[1])


def test_what_would_be_wrong_is_refused() -> None:
    soft = mm.MixBatch(mm.MixUp(), num_classes=CLASSES)
    with pytest.raises(ValueError, match="give one of them"):
        MixCallback()
    with pytest.raises(ValueError, match="give one of them"):
        MixCallback(soft, hidden=patched)
    with pytest.raises(ValueError, match=r"loss=.criterion. mixes labels.*set labels=None"):
        MixCallback(soft, loss="criterion")
    with pytest.raises(ValueError, match="learn them unmixed; name its criterion"):
        MixCallback(mm.MixBatch(mm.MixUp(), labels=None, carried=(1,)))
    with pytest.raises(ValueError, match="learn them unmixed; name its criterion"):
        MixCallback(mm.MixBatch(mm.MixUp(), labels={}, carried=(1,)))
    MixCallback(mm.MixBatch(mm.CutMix(), inputs={"image": None, "map": "b *"}, labels=None))
    net = Net()
    with mm.HiddenMix(net.net, {net.net: mm.MixUp()}) as hidden, pytest.raises(TypeError, match="on a network already"):
        MixCallback(hidden=hidden, loss="criterion")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"axes='b \*' is for the labels of the loss"):
        MixCallback(soft, axes="b *")
    with pytest.raises(TypeError, match=r"must be a MixBatch, as in MixBatch\(MixUp"):
        MixCallback(mm.MixUp())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"seed=0\.5 must be a whole number"):
        MixCallback(soft, seed=0.5)  # type: ignore[arg-type]
    MixCallback(mm.MixBatch(mm.Cutout(size=2), labels=None, carried=(1,)))


@pytest.mark.parametrize(
    ("net", "callbacks", "message"),
    [
        (Net, [whole(Roll()), whole(Roll())], "more than one stateful callback of type `MixCallback`"),
        (Net, [MixCallback(hidden=patched, loss="loss_fn")], "loss='loss_fn' is not an attribute of Net that can be"),
        (Net, [MixCallback(hidden=patched)], "learn them unmixed; name its criterion"),
        (Net, [MixCallback(hidden=lambda module: module.net, loss="criterion")], "must give a HiddenMix"),
        (Fetches, [whole(Roll())], "takes a dataloader_iter"),
        (Returns, [whole(Roll())], "training_step of Returns has not called self.criterion"),
    ],
)
def test_modules_that_do_not_go_with_it_are_refused(net: type[Net], callbacks: list[Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        trainer(*callbacks).fit(net(), loader())


class Texts(L.LightningModule):
    """A text classifier with a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        small = transformers.BertConfig(
            vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=CLASSES,
        )  # fmt: skip
        self.bert = transformers.BertForSequenceClassification(small)
        self.criterion, self.losses = nn.CrossEntropyLoss(), list[Tensor]()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        ids, y = batch
        loss: Tensor = self.criterion(self.bert(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, y)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_tokens_are_mixed_inside_a_text_model() -> None:
    net, ids, y = Texts(), torch.randint(1, 30, (SIZE, 6)), torch.arange(SIZE) % CLASSES
    by_hand = copy.deepcopy(net.bert)
    callback = MixCallback(hidden=lambda module: mm.TokenMix(module.bert, Roll(axes="b * d")), loss="criterion")
    trainer(callback).fit(net, DataLoader(TensorDataset(ids, y), batch_size=SIZE))
    words = rolled(by_hand.bert.embeddings.word_embeddings(ids))
    logits = by_hand(inputs_embeds=words, attention_mask=torch.ones_like(ids)).logits
    expected = LAM * F.cross_entropy(logits, y) + (1 - LAM) * F.cross_entropy(logits, y.roll(1))
    torch.testing.assert_close(net.losses[0], expected.detach())


class Plainer(Net):
    """Without notes, so that it compiles."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self.net(batch[0]), batch[1])
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(outputs["loss"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's tracing asks for it
@kinds
def test_a_compiled_module_has_the_same_losses(kind: str) -> None:
    torch.compiler.reset()
    nets = []
    for wrap in (lambda net: net, functools.partial(torch.compile, backend="eager")):
        torch.manual_seed(3)
        net = Plainer()
        trainer(KINDS[kind](mm.Alternate([mm.MixUp(), mm.NoMix()])), epochs=2).fit(wrap(net), loader())
        nets.append(net)
    check_same(nets[1], nets[0], 0)


def test_the_older_package_takes_it() -> None:
    older = pytest.importorskip("pytorch_lightning")

    class Plain(older.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.seen = nn.Linear(FEATURES, CLASSES), []  # type: ignore[var-annotated]

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen.append(batch)
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    net = Plain()
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    run = older.Trainer(max_epochs=1, accelerator="cpu", callbacks=[KINDS["soft"](Roll())], **quiet)
    run.fit(net, loader())
    for (found, _), (x, _) in zip(net.seen, batches(), strict=True):
        torch.testing.assert_close(found, rolled(x))
