"""Mixing inside networks: what the record says is what happened, in every forward that trains and in no other."""

import copy
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mixmodal as mm

CLASSES = 5
Z = 4.5


class Net(nn.Module):
    """Stages of a convolutional network of any rank, of which two may be checkpointed together."""

    def __init__(self, rank: int = 2, reentrant: bool | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        conv = [nn.Conv1d, nn.Conv2d, nn.Conv3d][rank - 1]
        self.stem = conv(3, 8, 3, padding=1)
        self.layer1 = nn.Sequential(nn.ReLU(), conv(8, 8, 3, padding=1), nn.Dropout(dropout))
        self.layer2 = nn.Sequential(nn.ReLU(), conv(8, 8, 3, padding=1))
        self.head = nn.Linear(8, CLASSES)
        self.reentrant = reentrant

    def middle(self, x: Tensor) -> Tensor:
        return self.layer2(self.layer1(x))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.reentrant is None or not self.training:
            x = self.middle(x)
        else:
            x = checkpoint(self.middle, x, use_reentrant=self.reentrant)
        return self.head(x.flatten(2).mean(2))


STAGES = ("stem", "layer1", "layer2")


def by_hand(net: nn.Module, x: Tensor, site: int, mix: mm.Mix) -> Tensor:
    """The network stage by stage, mixed before stage `site` from what the record holds, sample by sample."""
    for place, name in enumerate(STAGES):
        if place == site:
            mask = mix.mask.expand(len(x), *mix.mask.shape[1:])
            mask = mask if mix.axes == "b *" else mask[:, None]
            x = torch.stack([mask[b] * x[b] + (1 - mask[b]) * x[i] for b, i in enumerate(mix.index.tolist())])
        x = getattr(net, name)(x)
    return net.head(x.flatten(2).mean(2))


def batch(rank: int = 2, size: int = 6) -> tuple[Tensor, Tensor]:
    return torch.randn(size, 3, *[9, 7, 5][:rank]), torch.randint(CLASSES, (size,))


def sites(net: Net) -> dict[Any, mm.Draws]:
    return {net: mm.CutMix(), net.layer1: mm.PatchUp(block_size=3), net.layer2: mm.PatchUp(block_size=3, soft=False)}


def site_of(hidden: mm.HiddenMix) -> int:
    """The place of the site that was drawn, by the class and the shape of what it recorded."""
    assert hidden.mix is not None
    return 0 if hidden.mix.axes == "b c *" else 2 if hidden.mix.hard else 1


def gradients(net: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in net.parameters()]


# ---------------------------------------------------------------- the record is what happened


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_outputs_are_those_of_mixing_by_hand_from_the_record(rank: int) -> None:
    net = Net(rank)
    hidden = mm.HiddenMix(net, sites(net))
    seen = set()
    for _ in range(24):
        x, _ = batch(rank)
        logits, mix = hidden(x)
        seen.add(site_of(hidden))
        torch.testing.assert_close(logits, by_hand_without_hooks(net, x, site_of(hidden), mix), rtol=0, atol=1e-5)
    assert seen == {0, 1, 2}


def by_hand_without_hooks(net: Net, x: Tensor, site: int, mix: mm.Mix) -> Tensor:
    twin = Net([0, 3, 4, 5].index(x.ndim) if x.ndim < 6 else 0)
    twin.load_state_dict(net.state_dict())
    return by_hand(twin, x, site, mix)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_forwards_have_the_outputs_and_gradients_of_plain_ones(reentrant: bool) -> None:
    plain = Net(dropout=0.3)
    again = copy.deepcopy(plain)
    again.reentrant = reentrant
    results = []
    for net in (plain, again):
        hidden = mm.HiddenMix(net, sites(net))
        torch.manual_seed(5)
        drawn = []
        for _ in range(12):
            x, y = batch()
            logits, mix = hidden(x.requires_grad_())
            net.zero_grad()
            mix.loss(logits, y).backward()
            drawn.append((site_of(hidden), logits.detach(), mix.lam, *gradients(net), torch.get_rng_state()))
        results.append(drawn)
    assert {entry[0] for entry in results[0]} == {0, 1, 2}
    for a, b in zip(*results, strict=True):
        assert a[0] == b[0]
        for left, right in zip(a[1:], b[1:], strict=True):
            torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_a_model_checkpointed_as_a_whole() -> None:
    net = Net(dropout=0.3)
    twin = copy.deepcopy(net)
    found = []
    for each, call in ((net, lambda x: net(x)), (twin, lambda x: checkpoint(twin, x, use_reentrant=False))):
        hidden = mm.HiddenMix(each, sites(each))
        torch.manual_seed(3)
        for _ in range(6):
            x, y = batch()
            each.zero_grad()
            hidden.loss(call(x), y).backward()
        found.append(gradients(each))
    torch.testing.assert_close(found[0], found[1])


def test_alternating_mixers_are_replayed_and_not_asked_again() -> None:
    net = Net(reentrant=False)
    policy = mm.Alternate([mm.CutMix(), mm.MixUp()])
    hidden = mm.HiddenMix(net, {net.layer1: policy})
    x, y = batch()
    logits, mix = hidden(x)
    mix.loss(logits, y).backward()
    assert policy.turn == 1


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, at any break of a graph
def test_compiled_forwards_are_those_of_mixing_by_hand_from_the_record() -> None:
    """100 of 100 training forwards mix, 0 of 100 evaluation forwards."""
    net = Net()
    hidden = mm.HiddenMix(net, sites(net))
    compiled = torch.compile(net, backend="aot_eager")
    seen = []
    for _ in range(100):
        x, y = batch()
        logits = compiled(x)
        mix = hidden.mix
        assert mix is not None
        seen.append(site_of(hidden))
        torch.testing.assert_close(logits, by_hand_without_hooks(net, x, seen[-1], mix), rtol=0, atol=1e-5)
        hidden.mix = None
    hidden.loss(logits, y).backward()
    assert set(seen) == {0, 1, 2}
    net.eval()
    for _ in range(100):
        x, _ = batch()
        torch.testing.assert_close(compiled(x), hidden(x)[0])
        assert hidden.mix is None


def test_a_model_that_was_compiled_and_called_before_says_so() -> None:
    net = Net()
    compiled = torch.compile(net, backend="eager")
    compiled(batch()[0])
    hidden = mm.HiddenMix(net, {net.layer1: mm.MixUp()})
    with pytest.raises(
        RuntimeError, match=r"site layer1 was drawn, but its module was not called.*before the compiled"
    ):
        compiled(batch()[0])
    hidden.remove()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    net = Net()
    hidden = mm.HiddenMix(net, {net.layer1: mm.PatchUp(block_size=3)})
    seen: list[Tensor] = []
    net.layer1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x, y = batch()
    with torch.autocast("cpu", dtype):
        logits, mix = hidden(x)
        stem = net.stem(x)
        loss = mix.loss(logits, y)
    assert seen[0].dtype == stem.dtype == dtype
    expected = mix.mask * stem.double() + (1 - mix.mask) * stem.double()[mix.index]
    torch.testing.assert_close(seen[0].double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)
    loss.backward()


PROCESS = """
import os, torch, torch.distributed as dist
import mixmodal as mm
from torch import nn
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
ddp = nn.parallel.DistributedDataParallel(net)
hidden = mm.HiddenMix(net, {net: mm.MixUp(), net[2]: mm.MixUp()})
torch.manual_seed(1 + rank)
draws = []
for _ in range(6):
    x, y = torch.randn(5, 4), torch.randint(3, (5,))
    hidden.loss(ddp(x), y).backward()
    draws.append(hidden.mix.lam[0])
found = [torch.zeros(6) for _ in range(2)]
dist.all_gather(found, torch.stack(draws))
assert not torch.isclose(found[0], found[1]).any(), found
own = torch.cat([p.grad.flatten() for p in net.parameters()])
other = [torch.zeros_like(own) for _ in range(2)]
dist.all_gather(other, own)
assert torch.equal(other[0], other[1]) and own.abs().sum() > 0
net.eval()
ddp(x)
assert hidden.mix is None
dist.destroy_process_group()
os.write(1, f"fine {rank} ".encode())  # in one piece: two processes write to one pipe
os._exit(0)  # threads of gloo may outlive the interpreter, which then aborts
"""


def test_two_processes_mix_each_in_their_own_way_and_share_gradients(tmp_path: Path) -> None:
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "fine 0" in done.stdout
    assert "fine 1" in done.stdout


# ---------------------------------------------------------------- when


def test_every_training_forward_mixes_and_no_evaluation_forward_does() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, sites(net))
    x, y = batch()
    for _ in range(100):
        logits, mix = hidden(x)
        assert hidden.mix is mix
        assert mix.partner
        torch.testing.assert_close(hidden.loss(logits, y), mix.loss(logits, y))
    plain = copy.deepcopy(net.state_dict())
    net.eval()
    twin = Net().eval()
    twin.load_state_dict(plain)
    state = torch.get_rng_state()
    for _ in range(100):
        logits, mix = hidden(x)
        assert hidden.mix is None
        assert torch.equal(logits, twin(x))
        torch.testing.assert_close(mix.loss(logits, y), F.cross_entropy(logits, y))
        torch.testing.assert_close(hidden.loss(logits, y, reduction="sum"), F.cross_entropy(logits, y, reduction="sum"))
    assert torch.equal(torch.get_rng_state(), state)


def test_in_evaluation_a_site_gets_the_very_tensor() -> None:
    net = Net().eval()
    mm.HiddenMix(net, {net: mm.CutMix(), net.layer1: mm.DropBlock(block_size=3, drop_prob=0.5)})
    given: list[Tensor] = []
    net.layer1.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    made: list[Tensor] = []
    net.stem.register_forward_hook(lambda module, args, output: made.append(output))
    net(batch()[0])
    assert given[0] is made[0]


def test_sites_are_drawn_with_even_odds() -> None:
    """2,000 forwards; each count is within 4.5 standard errors."""
    net = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())
    policies = [mm.OneOf([mm.MixUp()]) for _ in net]
    counts = dict.fromkeys(range(3), 0)
    hidden = mm.HiddenMix(net, dict(zip(net, policies, strict=True)))
    x, n = torch.rand(2, 1), 2000
    places = {module: place for place, module in enumerate(net)}
    for _ in range(n):
        net(x)
        counts[places[hidden.acting.forward.site]] += 1
    for count in counts.values():
        assert abs(count - n / 3) < Z * (n * (1 / 3) * (2 / 3)) ** 0.5


def test_the_rate_of_a_policy_is_the_rate_of_mixing() -> None:
    net = nn.Sequential(nn.Identity(), nn.Identity())
    sometimes = mm.OneOf([mm.MixUp(), mm.NoMix()], p=[0.7, 0.3])
    hidden = mm.HiddenMix(net, {net: sometimes, net[1]: sometimes})
    x, n = torch.rand(2, 1), 2000
    count = sum(hidden(x)[1].partner for _ in range(n))
    assert abs(count - 0.7 * n) < Z * (n * 0.7 * 0.3) ** 0.5


def test_mixers_without_a_partner_act_at_each_of_their_sites_in_every_forward() -> None:
    net = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())
    hidden = mm.HiddenMix(net, {net: mm.Cutout(size=1), net[1]: mm.MixUp(), net[2]: mm.Cutout(size=1)})
    for _ in range(20):
        x = torch.ones(4, 1, 64)
        output, mix = hidden(x)
        assert isinstance(mix.index, Tensor)
        assert mix.partner
        holes = (output < 1).sum((1, 2))
        assert (holes >= 1).all()
    alone = mm.HiddenMix(nn.Sequential(nn.Identity()), {})
    del alone
    only = nn.Sequential(nn.Identity(), nn.Identity())
    dropped, mix = mm.HiddenMix(only, {only: mm.Cutout(size=1), only[1]: mm.Cutout(size=1)})(torch.ones(64, 1, 64))
    assert not mix.partner
    counts = (dropped == 0).sum((1, 2))
    assert set(counts.tolist()) <= {1, 2}
    assert (counts == 2).any()


def test_a_mixer_may_be_replaced_between_steps() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, {net.layer1: mm.DropBlock(drop_prob=0.0)})
    x, _ = batch()
    before, _ = hidden(x)
    torch.testing.assert_close(before, hidden(x)[0])
    hidden.at[net.layer1] = mm.DropBlock(block_size=3, drop_prob=0.5)
    assert not torch.allclose(hidden(x)[0], before)


def test_several_forwards_before_a_backward_each_have_their_record() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, sites(net))
    kept = []
    for _ in range(4):
        x, y = batch()
        logits, mix = hidden(x)
        kept.append((x, y, logits, mix, site_of(hidden)))
    total = sum(mix.loss(logits, y) for _, y, logits, mix, _ in kept)
    total.backward()
    for x, _, logits, mix, site in kept:
        torch.testing.assert_close(logits, by_hand_without_hooks(net, x, site, mix), rtol=0, atol=1e-5)


def test_a_module_that_is_called_twice_is_mixed_at_its_first_call() -> None:
    class Twice(nn.Module):
        def __init__(self, checkpointed: bool) -> None:
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
            self.checkpointed = checkpointed

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(2):
                x = checkpoint(self.layer, x, use_reentrant=False) if self.checkpointed else self.layer(x)
            return x

    plain = Twice(False)
    twin = copy.deepcopy(plain)
    twin.checkpointed = True
    found = []
    for net in (plain, twin):
        hidden = mm.HiddenMix(net, {net.layer: mm.MixUp()})
        torch.manual_seed(2)
        x = torch.randn(5, 4)
        output, mix = hidden(x)
        layer = copy.deepcopy(net.layer)
        layer._forward_pre_hooks.clear()
        lam = mix.lam[:, None]
        torch.testing.assert_close(output, layer(layer(lam * x + (1 - lam) * x[mix.index])))
        output.square().sum().backward()
        found.append(gradients(net))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("keep_state", [True, False])
def test_a_second_checkpointed_forward_before_the_backward_raises(keep_state: bool) -> None:
    class Shifted(Net):
        def forward(self, x: Tensor) -> Tensor:
            x = checkpoint(self.middle, self.stem(x), use_reentrant=False, preserve_rng_state=keep_state)
            return self.head(x.flatten(2).mean(2))

    net = Shifted()
    hidden = mm.HiddenMix(net, {net.layer1: mm.MixUp(), net.layer2: mm.MixUp()})
    x, y = batch()
    first, mix = hidden(x)
    if keep_state:
        hidden(x)
    with pytest.raises(RuntimeError, match="call backward after each training forward, and keep preserve_rng_state"):
        mix.loss(first, y).backward()


def test_an_evaluation_forward_between_forward_and_backward_raises_too() -> None:
    net = Net(reentrant=False)
    hidden = mm.HiddenMix(net, {net.layer1: mm.MixUp()})
    x, y = batch()
    logits, mix = hidden(x)
    net.eval()
    hidden(x)
    with pytest.raises(RuntimeError, match="call backward after each training forward"):
        mix.loss(logits, y).backward()


# ---------------------------------------------------------------- sites


def test_outputs_and_named_arguments_are_sites() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            states, _ = self.rnn(x)
            return self.inner(1, hidden_states=states)

    class Inner(nn.Module):
        def forward(self, number: int, hidden_states: Tensor | None = None) -> Tensor:
            return hidden_states * number

    net = Named()
    x = torch.randn(3, 6, 4)
    assert mm.sites.recurrent(net) == [(net.rnn, "output")]
    plain = net(x)
    for site in ((net.rnn, "output"), (net.inner, "hidden_states")):
        with mm.HiddenMix(net, {site: mm.CutMix(axes="b * d")}) as hidden:
            output, mix = hidden(x)
            torch.testing.assert_close(output, mix(plain))
            assert mix.mask.shape == (1, 6)
    assert torch.equal(net(x), plain)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda net: {nn.Linear(2, 2): mm.MixUp()}, r"site Linear is not in Net; pass one of its modules"),
        (lambda net: {(nn.Linear(2, 2), "output"): mm.MixUp()}, r"site Linear \(output\) is not in Net"),
        (lambda net: {"layer": mm.MixUp()}, r"site 'layer' is a name; pass the module, model.get_submodule\('layer'\)"),
        (lambda net: {net.stem: "mixup"}, r"at\[stem\] is 'mixup' and must be a mixer or a policy"),
    ],
)
def test_wrong_sites(build: Callable[[Net], Any], message: str) -> None:
    net = Net()
    with pytest.raises(ValueError, match=message):
        mm.HiddenMix(net, build(net))


def test_other_sites_than_at_first_raise() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, {net.layer1: mm.MixUp()})
    hidden.at[net.layer2] = mm.MixUp()
    with pytest.raises(ValueError, match="at has different sites than before"):
        hidden(batch()[0])


def test_a_site_without_a_tensor_raises() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.LSTM(3, 3, batch_first=True)
            self.other = nn.Bilinear(3, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2]), batch_first=True)
            self.inner(packed)
            return self.other(input1=x, input2=x)

    net = Wrong()
    x = torch.randn(2, 4, 3)
    for site, message in (
        (net.other, r"site other hold no positional tensor; name a keyword argument"),
        ((net.inner, "output"), r"site inner \(output\) gives tuple|hold no positional|PackedSequence"),
        ((net.other, "input3"), r"arguments of the name 'input3' hold no positional tensor"),
    ):
        with mm.HiddenMix(net, {site: mm.MixUp()}) as hidden, pytest.raises(TypeError, match=message):
            hidden(x)


def test_a_site_that_is_not_called_raises() -> None:
    class Skips(Net):
        def middle(self, x: Tensor) -> Tensor:
            return self.layer2(x)

    net = Skips()
    hidden = mm.HiddenMix(net, {net.layer1: mm.MixUp()})
    with pytest.raises(RuntimeError, match="site layer1 was drawn, but its module was not called in this forward"):
        hidden(batch()[0])


def test_one_hidden_mix_a_model() -> None:
    net = Net()
    hidden = mm.HiddenMix(net, sites(net))
    outer = nn.Sequential(net)
    for model in (net, outer, net.layer1):
        with pytest.raises(ValueError, match="is already mixed by another HiddenMix"):
            mm.HiddenMix(model, {model: mm.MixUp()})
    hidden.remove()
    mm.HiddenMix(net.layer1, {net.layer1: mm.MixUp()}).remove()
    mm.HiddenMix(outer, {net: mm.MixUp()}).remove()


def test_after_remove_the_model_is_as_before() -> None:
    net = Net()
    hooks = [(dict(m._forward_pre_hooks), dict(m._forward_hooks)) for m in net.modules()]
    with mm.HiddenMix(net, sites(net)) as hidden:
        assert hooks != [(dict(m._forward_pre_hooks), dict(m._forward_hooks)) for m in net.modules()]
    assert hooks == [(dict(m._forward_pre_hooks), dict(m._forward_hooks)) for m in net.modules()]
    with pytest.raises(RuntimeError, match="this HiddenMix was removed from its model"):
        hidden(batch()[0])


def test_a_model_can_be_thrown_away() -> None:
    net = Net()
    mm.HiddenMix(net, sites(net))
    count = len(mm.hidden.hiddenmix._LIVING)
    del net
    gc.collect()
    assert len(mm.hidden.hiddenmix._LIVING) < count


# ---------------------------------------------------------------- presets


def test_the_sites_of_residual_networks() -> None:
    torchvision = pytest.importorskip("torchvision")
    net = torchvision.models.resnet18(num_classes=CLASSES)
    assert mm.sites.resnet(net) == [net, net.layer1, net.layer2, net.layer3, net.layer4]
    x = torch.randn(4, 3, 32, 32)
    for preset, where in (
        (mm.presets.manifold_mixup, [net, net.layer2, net.layer3]),
        (mm.presets.feature_cutmix, [net, net.layer1, net.layer2, net.layer3]),
        (mm.presets.patchup, [net, net.layer1, net.layer2]),
    ):
        with preset(net) as hidden:
            assert list(hidden.at) == where
            logits, mix = hidden(x)
            mix.loss(logits, torch.tensor([0, 1, 2, 3])).backward()
    with mm.presets.patchup(net, soft=False) as hidden:
        assert hidden.at[net.layer1] == mm.OneOf([mm.PatchUp(soft=False), mm.NoMix()], p=[0.7, 1 - 0.7])
        assert hidden.at[net] == mm.OneOf([mm.CutMix(), mm.NoMix()], p=[0.7, 1 - 0.7])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_sites_of_plain_convolutional_networks(rank: int) -> None:
    net = Net(rank)
    found = mm.sites.convolutional(net)
    assert found == [net, net.layer1[1], net.layer2[1]]
    logits, mix = mm.presets.patchup(net, found, block_size=3)(batch(rank)[0])
    assert logits.shape == (6, CLASSES)
    assert mix.partner


def test_networks_without_such_sites() -> None:
    plain = nn.Sequential(nn.Linear(2, 2))
    for find in (mm.sites.resnet, mm.sites.convolutional, mm.sites.recurrent, mm.sites.encoder):
        with pytest.raises(ValueError, match=r"Sequential has no .*; name its modules yourself"):
            find(plain)
    with pytest.raises(ValueError, match="not batch_first"):
        mm.sites.recurrent(nn.Sequential(nn.LSTM(2, 2)))


# ---------------------------------------------------------------- padding


def encoder(**changes: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **changes,
    )  # fmt: skip
    return transformers.BertModel(config)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize(
    "mixer",
    [mm.MixUp(axes="b * d"), mm.FMix(axes="b * d"), mm.PatchUp(axes="b * d", block_size=3)],
    ids=["mixup", "fmix", "patchup"],
)
def test_attention_masks_move_with_hidden_states(attention: str, layer: int, mixer: mm.Mixer) -> None:
    """Layer by layer: mixed before one, and later layers attend to what is real in the mixed sample."""
    net = encoder(attn_implementation=attention)
    ids, real = torch.randint(50, (4, 9)), torch.arange(9) < torch.tensor([9, 7, 4, 2])[:, None]
    where = mm.sites.encoder(net)
    assert len(where) == 3
    with mm.HiddenMix(net, {where[layer]: mixer}, valid="attention_mask") as hidden:
        output, mix = hidden(input_ids=ids, attention_mask=real.long())
    assert mix.valid is not None
    assert mix.valid.shape == real.shape
    states = net.embeddings(ids)
    allowed = real
    for place, each in enumerate(net.encoder.layer):
        if place == layer:
            states, allowed = mix(states), mix.valid
        bias = torch.zeros(4, 1, 9, 9).masked_fill(~allowed[:, None, None], torch.finfo(torch.float32).min)
        states = each(states, bias)
    torch.testing.assert_close(output.last_hidden_state[allowed], states[allowed], rtol=0, atol=1e-5)


def test_padding_of_any_length_changes_nothing_after_a_mix_inside() -> None:
    """MixUp has no mask that the grid could change: real locations are the same with more padding."""
    net, n = encoder(), 4
    lengths = torch.tensor([5, 3, 4, 2])
    ids, outputs = torch.randint(50, (n, 12)), []
    for size in (5, 12):
        real = torch.arange(size) < lengths[:, None]
        with mm.HiddenMix(net, {mm.sites.encoder(net)[1]: mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden:
            torch.manual_seed(4)
            output, mix = hidden(ids[:, :size] * real, attention_mask=real.long())
        outputs.append((output.last_hidden_state[:, :5], mix.valid[:, :5], mix.lam))
    assert torch.equal(outputs[0][1], outputs[1][1])
    torch.testing.assert_close(outputs[0][2], outputs[1][2])
    torch.testing.assert_close(outputs[0][0][outputs[0][1]], outputs[1][0][outputs[0][1]], rtol=0, atol=1e-5)


def test_gradient_checkpointing_of_an_encoder() -> None:
    plain = encoder()
    twin = copy.deepcopy(plain)
    twin.activation_checkpointing_enable()
    ids, real = torch.randint(50, (4, 9)), torch.arange(9) < torch.tensor([9, 7, 4, 2])[:, None]
    found = []
    for net in (plain, twin):
        net.train()
        fmix = mm.FMix(axes="b * d")
        hidden = mm.HiddenMix(net, dict.fromkeys(mm.sites.encoder(net), fmix), valid="attention_mask")
        torch.manual_seed(6)
        for _ in range(5):
            output, mix = hidden(input_ids=ids, attention_mask=real)
            (output.last_hidden_state * mix.valid[..., None]).square().mean().backward()
        found.append([parameter.grad for parameter in net.parameters() if parameter.grad is not None])
    torch.testing.assert_close(found[0], found[1])


class Attending(nn.Module):
    """Adds the mean of what may be attended to."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        weight = attention_mask / attention_mask.sum(1, keepdim=True)
        return torch.tanh(self.linear(hidden_states)) + (weight[..., None] * hidden_states).sum(1, keepdim=True)


class Attended(nn.Module):
    """Layers of which all are checkpointed together, or none."""

    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Attending(), Attending(), Attending()])
        self.checkpointed = checkpointed

    def body(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        if self.checkpointed:
            return checkpoint(self.body, x, attention_mask, use_reentrant=False)
        return self.body(x, attention_mask)


def test_in_a_recomputed_forward_masks_follow_from_the_same_layer_on() -> None:
    plain = Attended(False)
    twin = copy.deepcopy(plain)
    twin.checkpointed = True
    real = torch.arange(6) < torch.tensor([6, 4, 2])[:, None]
    found = []
    for net in (plain, twin):
        hidden = mm.HiddenMix(net, {mm.sites.encoder(net)[1]: mm.FMix(axes="b * d")}, valid="attention_mask")
        torch.manual_seed(8)
        for _ in range(4):
            output, _ = hidden(torch.randn(3, 6, 4), attention_mask=real)
            output.square().sum().backward()
        found.append(gradients(net))
    torch.testing.assert_close(found[0], found[1])


def test_a_name_for_what_is_real_must_be_an_argument() -> None:
    with pytest.raises(ValueError, match="valid='attention_mask' is not an argument of Net"):
        mm.HiddenMix(Net(), {}, valid="attention_mask")


def test_follow_combines_masks_of_all_kinds() -> None:
    own = torch.tensor([[1, 1, 0], [1, 0, 0]])
    after = torch.tensor([[1, 0, 0], [1, 1, 0]])  # where all but the last location is the partner's
    index = torch.tensor([1, 0])
    mix = mm.Mix(index=index, mask=torch.tensor([[0.0, 0.0, 1.0]]), lam=torch.zeros(2), valid=after.bool(), hard=True)
    causal = torch.ones(3, 3).tril().bool()
    square = own.bool()[:, None, None] & causal
    expected = after.bool()[:, None, None] & causal
    follow = mm.hidden.arguments.follow
    assert torch.equal(follow(own, mix), after)
    assert torch.equal(follow(own.bool(), mix), after.bool())
    assert torch.equal(follow(square, mix), expected)
    low = torch.finfo(torch.float32).min
    bias = torch.zeros(2, 1, 3, 3).masked_fill(~square, low)
    assert torch.equal(follow(bias, mix), torch.zeros(2, 1, 3, 3).masked_fill(~expected, low))
    assert torch.equal(follow(follow(square, mix), mix), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_floating_marks_are_additive_only_where_they_are_negative(dtype: torch.dtype) -> None:
    """Zeros and ones are marks, of any number of axes; padding would be turned on, or all be masked, otherwise."""
    own = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=dtype)
    after = torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=dtype)
    mask, index = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([1, 0])
    mix = mm.Mix(index=index, mask=mask, lam=torch.zeros(2), valid=after.bool(), hard=True)
    follow, low = mm.hidden.arguments.follow, torch.finfo(dtype).min
    assert torch.equal(follow(own, mix), after)
    assert torch.equal(follow(own[:, None, None], mix), after[:, None, None])
    square = own[:, None, None] * own[:, None, :, None]  # as DeBERTa makes it
    expected = torch.maximum(square, square[index]) * after[:, None, None]
    assert torch.equal(follow(square, mix), expected)
    for shape in ((2, 3), (2, 1, 1, 3)):
        bias = torch.zeros(2, 3, dtype=dtype).masked_fill(own == 0, low).view(shape)
        assert torch.equal(follow(bias, mix), torch.zeros(2, 3, dtype=dtype).masked_fill(after == 0, low).view(shape))


@pytest.mark.parametrize("floating", [False, True])
def test_masks_of_deberta_follow_a_mix_inside(floating: bool) -> None:
    """Its layers are given zeros and ones for each pair of tokens; a text with itself is not changed by its padding."""
    transformers = pytest.importorskip("transformers")
    config = transformers.DebertaV2Config(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, relative_attention=True, pos_att_type=["p2c"],
    )  # fmt: skip
    net = transformers.DebertaV2Model(config).train()
    ids = torch.randint(1, 50, (1, 6)).repeat(2, 1)
    real = torch.arange(6) < 4
    plain = net(input_ids=ids[:, :4]).last_hidden_state
    site = mm.sites.encoder(net)[1]
    with mm.HiddenMix(net, {site: mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden:
        marks = real.expand(2, 6).to(torch.float32 if floating else torch.int64)
        output, _ = hidden(input_ids=ids, attention_mask=marks)
    torch.testing.assert_close(output.last_hidden_state[:, :4], plain)


def test_masks_of_another_kind_than_tensors_raise() -> None:
    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Attending()

        def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
            return self.layer(x, {"blocks": attention_mask})

    net = Blocks()
    hidden = mm.HiddenMix(net, {net.layer: mm.MixUp(axes="b * d")}, valid="attention_mask")
    with pytest.raises(TypeError, match="attention_mask of layer is dict, which cannot follow a mix"):
        hidden(torch.rand(2, 3, 4), torch.ones(2, 3))


def test_its_name_says_what_is_mixed_and_where() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Identity())
    hidden = mm.HiddenMix(net, {net: mm.MixUp(alpha=0.5), (net[0], "output"): mm.NoMix()})
    said = "{the model itself: MixUp(axes='b c *', per_sample=False, alpha=0.5), 0 (output): NoMix(axes='b c *', "
    assert repr(hidden).startswith(f"HiddenMix(Sequential, {said}")
