"""Copies, pickles and wrappers of a mixed model, and forwards that fail, nest or come between."""

import copy
import functools
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.multiprocessing
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint

import mixmodal as mm

X, Y = torch.arange(20.0).view(5, 4).sin(), torch.tensor([0, 1, 2, 0, 1])


class Net(nn.Module):
    """Two layers, of which the second may fail, or the whole may call itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 3)
        self.fails = self.again = False

    def forward(self, x: Tensor) -> Tensor:
        if self.again:
            self.again = False
            self(x)
        x = self.first(x).relu()
        if self.fails:
            raise ArithmeticError("in the middle")
        return self.last(self.norm(x))


def plain(net: Any, x: Tensor = X) -> Tensor:
    """What a network in training computes by itself, from its weights."""
    h = (x @ net.first.weight.T + net.first.bias).clamp(min=0)
    h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
    return h @ net.last.weight.T + net.last.bias


def by_record(net: Any, mix: mm.Mix, x: Tensor = X) -> Tensor:
    """The same of inputs that are blended by what the record holds."""
    lam = mix.lam[:, None]
    return plain(net, lam * x + (1 - lam) * x[mix.index])


def mixed(net: nn.Module) -> mm.HiddenMix:
    return mm.HiddenMix(net, {net: mm.MixUp(per_sample=True)})


def saved(net: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    loaded: nn.Module = torch.load(buffer, weights_only=False)
    return loaded


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "average": lambda net: AveragedModel(net).module,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "save": saved,
    "copy of a copy": lambda net: copy.deepcopy(copy.deepcopy(net)),
    "shallow": copy.copy,
}
copies = pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())


# ---------------------------------------------------------------- copies of the model


@copies
def test_a_copy_of_the_model_is_inert(make: Callable[[nn.Module], nn.Module]) -> None:
    net = Net()
    with mixed(net) as hidden:
        logits, mix = hidden(X)
        other: Any = make(net)
        state = torch.get_rng_state()
        torch.testing.assert_close(other(X), plain(other))
        torch.testing.assert_close(other.eval()(X), other(X))
        other.train()
        assert torch.equal(torch.get_rng_state(), state)
        assert hidden.mix is mix
        net.train()
        torch.testing.assert_close(hidden.loss(logits, Y), mix.loss(logits, Y))
    torch.testing.assert_close(other(X), plain(other))


@copies
def test_a_copy_can_be_mixed_by_another(make: Callable[[nn.Module], nn.Module]) -> None:
    """Each by its own record, whichever was called last; a shallow copy shares its modules, and is refused."""
    net = Net()
    hidden, other = mixed(net), make(net)
    if other.first is net.first:
        with pytest.raises(ValueError, match="is already mixed by another HiddenMix"):
            mixed(other)
        return
    second = mixed(other)
    (a, first_mix), (b, second_mix) = hidden(X), second(X)
    assert hidden.mix is first_mix
    assert second.mix is second_mix
    torch.testing.assert_close(a, by_record(net, first_mix))
    torch.testing.assert_close(b, by_record(other, second_mix))
    hidden.remove()
    torch.testing.assert_close(net(X), plain(net))
    logits, mix = second(X)
    torch.testing.assert_close(logits, by_record(other, mix))


def test_a_copied_part_of_a_mixed_model_is_inert() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, {(net.first, "output"): mm.MixUp(), net.last: mm.MixUp()})
    for part in (net.first, net.last):
        alone = copy.deepcopy(part)
        x = torch.randn(5, part.in_features)
        torch.testing.assert_close(alone(x), F.linear(x, part.weight, part.bias))
        torch.testing.assert_close(part(x), F.linear(x, part.weight, part.bias))  # outside of a forward of the model
    assert hidden.mix is None


class Owner(nn.Module):
    """As a LightningModule holds both; the site may be itself."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.net = Net()
        self.hidden = mixed(self if whole else self.net)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("make", [copy.deepcopy, COPIES["pickle"], saved])
def test_a_copy_of_both_is_a_pair_of_its_own(whole: bool, make: Callable[[nn.Module], Any]) -> None:
    owner = Owner(whole)
    _, mix = owner.hidden(X)
    twin = make(owner)
    assert twin.hidden.mix is None
    assert twin.hidden.model is (twin if whole else twin.net)
    with pytest.raises(RuntimeError, match="the last forward of this"):
        twin.hidden.loss(plain(twin.net), Y)
    logits = twin(X)
    torch.testing.assert_close(logits, by_record(twin.net, twin.hidden.mix))
    assert owner.hidden.mix is mix
    with pytest.raises(ValueError, match="is already mixed by another HiddenMix"):
        mixed(twin.net)
    owner.hidden.remove()
    torch.testing.assert_close(twin(X), by_record(twin.net, twin.hidden.mix))
    twin.hidden.remove()
    torch.testing.assert_close(twin(X), plain(twin.net))
    torch.testing.assert_close(owner(X), plain(owner.net))
    mixed(twin.net).remove()


def test_a_copied_pair_may_take_another_mixer() -> None:
    hidden = copy.deepcopy(mixed(Net()))
    hidden.at[hidden.model] = mm.NoMix()
    torch.testing.assert_close(hidden(X)[0], plain(hidden.model))


def test_what_was_removed_stays_removed_in_a_copy() -> None:
    hidden = mixed(Net())
    hidden.remove()
    twin = copy.deepcopy(hidden)
    torch.testing.assert_close(twin.model(X), plain(twin.model))
    with pytest.raises(RuntimeError, match="this HiddenMix was removed"):
        twin(X)
    mixed(twin.model).remove()


def test_there_is_no_shallow_copy_of_what_mixes() -> None:
    net = Net()
    hidden = mixed(net)
    with pytest.raises(TypeError, match=r"take copy.deepcopy\(hidden\)"):
        copy.copy(hidden)
    logits, mix = hidden(X)
    torch.testing.assert_close(logits, by_record(net, mix))


def test_a_model_stays_mixed_once_where_nobody_holds_the_hidden_mix() -> None:
    net = Net()
    mixed(net)
    with pytest.raises(ValueError, match="is already mixed by another HiddenMix"):
        mixed(net)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, at any break of a graph
def test_a_copy_compiles_to_one_graph() -> None:
    net = Net()
    with mixed(net) as hidden:
        compiled: Any = torch.compile(copy.deepcopy(net), backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(X), plain(net))
        twin = copy.deepcopy(torch.compile(net, backend="eager"))
        torch.testing.assert_close(twin(X), plain(net))
        assert hidden.mix is None


def in_a_process(place: int, owner: Owner, found: Any) -> None:
    torch.set_num_threads(1)
    logits = owner(X)
    assert owner.hidden.mix is not None
    found[place] = float((logits - by_record(owner.net, owner.hidden.mix)).abs().max())


def test_a_pair_can_be_sent_to_a_process_that_is_spawned() -> None:
    found = torch.full((1,), torch.inf).share_memory_()
    torch.multiprocessing.spawn(in_a_process, (Owner(True), found), nprocs=1)
    assert found.item() < 1e-5


def test_replicas_of_data_parallel_are_refused() -> None:
    net = Net()
    with mixed(net):
        replica = net._replicate_for_data_parallel()
        with pytest.raises(RuntimeError, match=r"replica of nn.DataParallel.*DistributedDataParallel"):
            replica(X)


# ---------------------------------------------------------------- forwards that come between


@pytest.mark.parametrize("before", [False, True])
def test_a_loss_in_training_needs_a_record(before: bool) -> None:
    """Not the plain loss in silence: before the first forward, or when the model itself was evaluated between."""
    net = Net()
    hidden = mixed(net)
    logits = hidden(X)[0] if before else plain(net)
    if before:
        net.eval()
        net(X)
        torch.testing.assert_close(hidden.loss(logits, Y), F.cross_entropy(logits, Y))
        net.train()
    with pytest.raises(RuntimeError, match=r"was not in training mode, or failed.*hidden.paused\(\)"):
        hidden.loss(logits, Y)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_pause_mixes_nothing_and_leaves_no_trace(checkpointed: bool) -> None:
    net = Net()
    hidden = mixed(net)
    call = functools.partial(checkpoint, net, use_reentrant=False) if checkpointed else net
    logits = call(X)
    mix = hidden.mix
    assert mix is not None
    state = torch.get_rng_state()
    with hidden.paused():
        teacher = net(X)
        assert hidden.mix is None
        torch.testing.assert_close(hidden.loss(teacher, Y), F.cross_entropy(teacher, Y))
        same, nothing = hidden(X)
        assert not nothing.partner
        net.eval()
        net(X)
        net.train()
    torch.testing.assert_close(teacher, plain(net))
    torch.testing.assert_close(same, plain(net))
    assert torch.equal(torch.get_rng_state(), state)
    assert hidden.mix is mix
    loss = hidden.loss(logits, Y)
    loss.backward()
    expected = torch.autograd.grad(mix.loss(by_record(net, mix), Y), [net.first.weight, net.last.bias])
    torch.testing.assert_close([net.first.weight.grad, net.last.bias.grad], list(expected))


def test_a_pause_may_train() -> None:
    net = Net()
    hidden = mixed(net)
    with hidden.paused():
        hidden.loss(checkpoint(net, X, use_reentrant=False), Y).backward()
    expected = torch.autograd.grad(F.cross_entropy(plain(net), Y), net.first.weight)[0]
    torch.testing.assert_close(net.first.weight.grad, expected)


def test_statistics_of_batch_norms_are_those_of_the_batches_as_they_are() -> None:
    net = Net()
    hidden = mixed(net)
    hidden(X)
    with hidden.paused():
        update_bn([X], net)
    features = (X @ net.first.weight.T + net.first.bias).clamp(min=0)
    torch.testing.assert_close(net.norm.running_mean, features.mean(0).detach())


def test_a_pause_ends_where_it_fails() -> None:
    net = Net()
    hidden = mixed(net)
    net.fails = True
    with pytest.raises(ArithmeticError), hidden.paused():
        net(X)
    net.fails = False
    logits, mix = hidden(X)
    torch.testing.assert_close(logits, by_record(net, mix))


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_forward_that_fails_leaves_nothing_behind(interrupt: bool) -> None:
    """Neither a record, nor a site that waits; an interrupt is no Exception, and torch calls no hook for it."""
    net = Net()
    hidden = mm.HiddenMix(net, {net: mm.MixUp(per_sample=True)})
    logits, _ = hidden(X)
    net.fails = True
    if interrupt:
        handle = net.last.register_forward_pre_hook(stop)
        net.fails = False
        with pytest.raises(KeyboardInterrupt):
            net(X)
        handle.remove()
    else:
        with pytest.raises(ArithmeticError, match="in the middle"):
            net(X)
    with pytest.raises(RuntimeError, match="was not in training mode, or failed"):
        hidden.loss(logits, Y)
    net.fails = False
    logits, mix = hidden(X)
    torch.testing.assert_close(logits, by_record(net, mix))


def stop(_module: nn.Module, _args: Any) -> None:
    raise KeyboardInterrupt


def test_after_a_failure_a_site_that_was_drawn_does_not_act_on_its_own() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, {net.last: mm.MixUp()})
    net.fails = True
    with pytest.raises(ArithmeticError):
        net(X)
    x = torch.randn(5, 8)
    torch.testing.assert_close(net.last(x), F.linear(x, net.last.weight, net.last.bias))
    assert hidden.mix is None


def test_a_site_that_a_forward_left_out_does_not_act_on_its_own() -> None:
    class Skips(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.first(x)

    net, holes = Skips(), mm.DropBlock(block_size=1, drop_prob=0.9, axes="b *")
    mm.HiddenMix(net, {net.first: holes, net.last: holes})
    net(X)
    x = torch.randn(5, 8)
    torch.testing.assert_close(net.last(x), F.linear(x, net.last.weight, net.last.bias))


def test_a_model_that_calls_itself_raises_in_training() -> None:
    net = Net()
    with mixed(net):
        net.again = True
        with pytest.raises(RuntimeError, match="Net calls itself within a training forward, which has one record"):
            net(X)
        net.eval()
        expected = net(X)
        net.again = True
        torch.testing.assert_close(net(X), expected)
        net.train()
        net(X)


def test_a_model_within_another_is_mixed_in_each_of_its_forwards() -> None:
    net = Net()
    outer = nn.Sequential(nn.Identity(), net)
    hidden = mixed(net)
    logits = outer(X)
    assert hidden.mix is not None
    torch.testing.assert_close(logits, by_record(net, hidden.mix))


def test_mixers_without_a_partner_must_be_reached_too() -> None:
    class Skips(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.first(x)

    net = Skips()
    hidden = mm.HiddenMix(net, {net.last: mm.DropBlock()})
    with pytest.raises(RuntimeError, match="site last was drawn, but its module was not called"):
        hidden(X)


# ---------------------------------------------------------------- labels, and the check


class Learner(nn.Linear):
    """Computes a loss by itself, as Hugging Face models do."""

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Any:
        logits = super().forward(input)
        return logits if labels is None else F.cross_entropy(logits, labels)


def test_labels_are_not_learned_unmixed() -> None:
    net = Learner(4, 3)
    with mm.HiddenMix(net, {net: mm.MixUp()}) as hidden:
        for labelled in (lambda: net(X, Y), lambda: net(X, labels=Y)):
            with pytest.raises(ValueError, match=r"labels is given to Learner in training.*mixing.loss"):
                labelled()
        expected = F.cross_entropy(F.linear(X, net.weight, net.bias), Y)
        with hidden.paused():
            torch.testing.assert_close(net(X, labels=Y), expected)
        torch.testing.assert_close(net.eval()(X, labels=Y), expected)
    net.train()
    with mm.HiddenMix(net, {net: mm.NoMix()}):  # labels stay where there is no partner
        torch.testing.assert_close(net(X, labels=Y), expected)


class Shifted(nn.Module):
    """Derives something from an argument that a hook replaces."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.inner, self.drop, self.norm, self.by = nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4), by

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return self.drop(self.norm(self.inner(x[..., 0] if x.ndim == 3 else x)) + self.by * (x == 0).any())


def test_the_check_finds_what_a_hook_changes() -> None:
    """Zeros in padding, which the hook makes, are read by one model and not by the other."""
    x, marks = torch.rand(3, 4, 2) + 1, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])
    for by in (0.0, 1.0):
        net = Shifted(by)
        net.inner.weight.data[:, 1:] = 0  # padding is read by nobody else
        policy = mm.Alternate([mm.FMix(axes="b * d"), mm.MixUp(axes="b * d")])
        hidden = mm.HiddenMix(net, {net: policy}, valid="attention_mask")
        before = copy.deepcopy(net.state_dict())
        state = torch.get_rng_state()
        if by:
            with pytest.raises(RuntimeError, match="Shifted gives a different output with hooks that mix nothing"):
                hidden.check(x, marks)
        else:
            hidden.check(x, marks)
        assert torch.equal(torch.get_rng_state(), state)
        assert policy.turn == 0
        assert hidden.at[net] is policy
        assert hidden.mix is None
        torch.testing.assert_close(net.state_dict(), before)
        assert hidden(x, marks)[1].partner


def test_a_check_in_evaluation_leaves_it_in_evaluation() -> None:
    net = Net().eval()
    hidden = mixed(net)
    hidden.check(X)
    assert not net.training
    hidden(X)
    assert hidden.mix is None


@pytest.mark.parametrize("policy", [mm.OneOf, mm.Alternate])
def test_what_fits_any_tensor_takes_the_axes_of_the_others(policy: Any) -> None:
    """Padding has axes though the mask of NoMix has none."""
    net = Shifted(0.0)
    x, marks = torch.rand(3, 4, 2), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])
    mixers = [mm.FMix(axes="b * d"), mm.NoMix()]
    if policy is mm.Alternate:
        with pytest.raises(ValueError, match=r"give it to each, as in NoMix\(axes='b \* d'\)"):
            mm.HiddenMix(net, {net: policy(mixers)}, valid="attention_mask")
        return
    hidden = mm.HiddenMix(net, {net: policy(mixers)}, valid="attention_mask")
    found = {hidden(x, marks)[1].partner for _ in range(40)}
    assert found == {True, False}
    assert mixers == [mm.FMix(axes="b * d"), mm.NoMix()]
