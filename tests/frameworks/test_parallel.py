"""Sharded, replicated and compiled networks mix as plain ones do: every row of the page's table is tried."""

import copy
import functools
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.utils import counters
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import mixmodal as mm

fsdp = pytest.importorskip("torch.distributed.fsdp")
PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "frameworks" / "parallel.md").read_text(encoding="utf-8")
ROWS = [re.split(r"\s+\|\s*", line.strip("| \n") + " |")[:-1] for line in PAGE.splitlines() if line.startswith("| `")]
TABLE = {how: (right, graphs[0] if graphs else "") for how, right, *graphs in ROWS}
CLASSES, STEPS, SETTLED = 5, 6, 2
BACKEND = "aot_eager"


class Net(nn.Module):
    """A stem, two stages and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.layer2 = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.stem(x))).flatten(2).mean(2))


class Recomputed(Net):
    """Its stages are computed again in the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in (self.layer1, self.layer2):
            x = checkpoint(stage, x, use_reentrant=False)
        return self.head(x.flatten(2).mean(2))


class Block(nn.Sequential):
    """Layers in a row, with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


def in_a_row(block: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    """The same network as blocks in a row."""
    net = Net()
    last = block(nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.head)
    return nn.Sequential(block(net.stem), block(*net.layer1), block(*net.layer2), last)


def stages(net: Any) -> list[nn.Module]:
    return [*net] if isinstance(net, nn.Sequential) else [net.stem, net.layer1, net.layer2]


def head(net: Any, x: Tensor) -> Tensor:
    return x if isinstance(net, nn.Sequential) else net.head(x.flatten(2).mean(2))


def sites(net: nn.Module, *, root: bool = True, inside: bool = True) -> dict[Any, mm.Draws]:
    _, layer1, layer2, *_ = stages(net)
    within: dict[Any, mm.Draws] = {layer1: mm.MixUp(), (layer2, "output"): mm.FMix()}
    return {**({net: mm.CutMix()} if root else {}), **(within if inside else {})}


def place(net: nn.Module, site: Any) -> tuple[int, bool]:
    """The stage that a site is before, or after."""
    if site is net or isinstance(site, DistributedDataParallel):
        return 0, False
    return (2, True) if isinstance(site, tuple) else (stages(net).index(site), False)


def by_hand(net: nn.Module, x: Tensor, mix: mm.Mix, where: tuple[int, bool]) -> Tensor:
    """The logits of a network without hooks, mixed at a place from what the record holds."""

    def mixed(x: Tensor) -> Tensor:
        own = mix.mask.expand(len(x), *x.shape[2:])[:, None]
        return own * x + (1 - own) * x[mix.index]

    for number, stage in enumerate(stages(net)):
        x = mixed(x) if where == (number, False) else x
        x = stage(x)
        x = mixed(x) if where == (number, True) else x
    return head(net, x)


def loss_by_hand(logits: Tensor, y: Tensor, mix: mm.Mix) -> Tensor:
    own, other = (F.cross_entropy(logits, each, reduction="none") for each in (y, y[mix.index]))
    return (mix.lam * own + (1 - mix.lam) * other).mean()


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(4, 3, 8, 8), torch.randint(CLASSES, (4,))


def apart(a: Tensor, b: Tensor) -> float:
    return float((a.detach() - b.detach()).abs().max())


def whole(gradient: Any) -> Tensor:
    """The gradient of a parameter, gathered where it is sharded."""
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient


Trained = tuple[Callable[[Tensor], Tensor], mm.HiddenMix]


def follow(net: nn.Module, build: Callable[[Any], Trained], seed: int, mean: Callable[[Tensor], Tensor]) -> Any:
    """Train by what was built and by hand: the largest difference, what was drawn, and graphs, by step."""
    torch.compiler.reset()
    counters.clear()
    twin = copy.deepcopy(net)
    call, hidden = build(net)
    torch.manual_seed(seed)
    worst, drawn, graphs = 0.0, [], []
    for _ in range(STEPS):
        x, y = batch()
        logits = call(x)
        mix, where = hidden.mix, place(net, hidden.acting.forward.site)
        assert mix is not None
        hidden.mix = None  # so that no record of this step passes for that of the next
        expected = by_hand(twin, x, mix, where)
        worst = max(worst, apart(logits, expected))
        mix.loss(logits, y).backward()
        loss_by_hand(expected, y, mix).backward()
        for own, other in zip(net.parameters(), twin.parameters(), strict=True):
            assert own.grad is not None
            assert other.grad is not None
            worst = max(worst, apart(whole(own.grad), mean(other.grad)))
            own.grad = other.grad = None
        drawn.append((where, [round(value, 6) for value in mix.lam.tolist()], mix.index.tolist()))
        graphs.append(counters["stats"]["unique_graphs"])
    for module in (net, hidden.model, call):
        if isinstance(module, nn.Module):
            module.eval()
    x, _ = batch()
    worst = max(worst, apart(call(x), twin(x)))
    assert hidden.mix is None
    hidden.remove()
    return worst, drawn, graphs


# ---------------------------------------------------------------- several processes


def mixed(net: nn.Module, **where: bool) -> mm.HiddenMix:
    return mm.HiddenMix(net, sites(net, **where))


def sharded(net: Net) -> Net:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for module in (net.layer1, net.layer2, net):
        fsdp.fully_shard(module, mesh=mesh)
    return net


def on(net: Net) -> Trained:
    ddp = DistributedDataParallel(net)
    at = sites(net)
    return ddp, mm.HiddenMix(ddp, {ddp if site is net else site: mixer for site, mixer in at.items()})


def inside_shards(net: Net) -> Trained:
    hidden = mixed(sharded(net))
    return lambda x: hidden(x)[0], hidden


def around(net: Net) -> Trained:
    hidden = mixed(net)
    DistributedDataParallel(net)
    return lambda x: hidden(x)[0], hidden


def then(first: Callable[[Net], Any], second: Callable[[Net], Any], trained: int) -> Callable[[Net], Trained]:
    """Do both to a network in this order; what is trained is the result of one of them."""

    def build(net: Net) -> Trained:
        made = first(net), second(net)
        hidden = next(each for each in made if isinstance(each, mm.HiddenMix))
        return made[trained], hidden

    return build


def compiled(net: nn.Module, **options: Any) -> Any:
    return torch.compile(net, backend=BACKEND, **options)


SPREAD: dict[str, Callable[[Net], Trained]] = {
    "`HiddenMix(net, …)`, then `DistributedDataParallel(net)`": then(mixed, DistributedDataParallel, 1),
    "`DistributedDataParallel(net)`, then `HiddenMix(net, …)`": then(DistributedDataParallel, mixed, 0),
    "`ddp = DistributedDataParallel(net)`, then `HiddenMix(ddp, …)`": on,
    "`HiddenMix(net, …)`, then `fully_shard(net)`": then(mixed, sharded, 1),
    "`fully_shard(net)`, then `HiddenMix(net, …)`": then(sharded, mixed, 0),
    "`HiddenMix(net, …)`, then `fully_shard(net)`, stages in `torch.utils.checkpoint`": then(mixed, sharded, 1),
    "`hidden(x)` where `fully_shard(net)` is trained": inside_shards,
    "`hidden(x)` where `ddp` is trained": around,
}
SPREAD_AND_COMPILED: dict[str, Callable[[Net], Trained]] = {
    "`torch.compile(DistributedDataParallel(net))`": then(mixed, lambda net: compiled(DistributedDataParallel(net)), 1),
    "`DistributedDataParallel(torch.compile(net))`": then(mixed, lambda net: DistributedDataParallel(compiled(net)), 1),
    "`fully_shard(net)`, then `torch.compile(net)`": then(mixed, lambda net: compiled(sharded(net)), 1),
}


def mean_of_all(gradient: Tensor) -> Tensor:
    total = gradient.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def in_a_process(rank: int, port: int, names: list[str], folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for name in names:
        torch.manual_seed(0)
        net = Recomputed() if "checkpoint" in name else Net()
        found[name] = follow(net, {**SPREAD, **SPREAD_AND_COMPILED}[name], 100 + rank, mean_of_all)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    os._exit(0)  # fully_shard keeps gloo's threads alive, which now and then abort Python's shutdown


def run_in_two(names: list[str], folder: Path) -> list[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(in_a_process, (port, names, str(folder)), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def check_spread(found: list[Any], name: str) -> None:
    (worst, drawn, graphs), (other_worst, other_drawn, _) = (process[name] for process in found)
    right, said = TABLE[name]
    assert (max(worst, other_worst) < 1e-5) == (right == "yes"), name
    assert len({json.dumps(draw) for draw in drawn + other_drawn}) == 2 * STEPS  # anew in each step and process
    assert len({json.dumps(where) for where, *_ in drawn}) > 1
    assert {*graphs[SETTLED:]} == {int(said or 0)}, name


def test_two_processes_have_the_mean_of_their_gradients(tmp_path: Path) -> None:
    found = run_in_two([*SPREAD], tmp_path)
    for name in SPREAD:
        check_spread(found, name)


@pytest.mark.slow
def test_two_processes_that_compile(tmp_path: Path) -> None:
    found = run_in_two([*SPREAD_AND_COMPILED], tmp_path)
    for name in SPREAD_AND_COMPILED:
        check_spread(found, name)


# ---------------------------------------------------------------- compiled


def mix_then_compile(net: nn.Module, **where: bool) -> Trained:
    hidden = mixed(net, **where)
    return compiled(net), hidden


def compile_then_mix(net: nn.Module) -> Trained:
    call = compiled(net)
    return call, mixed(net)


def mix_then_compile_in_place(net: nn.Module) -> Trained:
    hidden = mixed(net)
    net.compile(backend=BACKEND)
    return net, hidden


def compile_in_place_then_mix(net: nn.Module) -> Trained:
    net.compile(backend=BACKEND)
    return net, mixed(net)


def compile_a_step(net: nn.Module) -> Trained:
    hidden = mixed(net)
    return torch.compile(lambda x: hidden(x)[0], backend=BACKEND), hidden


def call_hidden(net: nn.Module) -> Trained:
    hidden = mixed(net)
    compiled(net)
    return lambda x: hidden(x)[0], hidden


def compile_forward(net: nn.Module) -> Trained:
    hidden = mixed(net, inside=False)
    net.forward = torch.compile(net.forward, backend=BACKEND, fullgraph=True)
    return net, hidden


ROOT = functools.partial(mix_then_compile, inside=False)
INSIDE = functools.partial(mix_then_compile, root=False)
COMPILED: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Trained]]] = {
    "`torch.compile(net)`, sites: `net`": (Net, ROOT),
    "`torch.compile(net)`, sites inside": (Net, INSIDE),
    "`torch.compile(net)`, sites: `net` and inside": (Net, mix_then_compile),
    "`torch.compile(net)` before `HiddenMix(net, …)`": (Net, compile_then_mix),
    "`net.compile()`": (Net, mix_then_compile_in_place),
    "`net.compile()` before `HiddenMix(net, …)`": (Net, compile_in_place_then_mix),
    "`torch.compile(step)`, where `step` calls `hidden(x)`": (Net, compile_a_step),
    "`hidden(x)` where `torch.compile(net)` is trained": (Net, call_hidden),
    "`torch.compile(net)`, `net` an `nn.Sequential` of PyTorch's layers, sites: `net`": (in_a_row, ROOT),
    "`torch.compile(net)`, `net` an `nn.Sequential` of PyTorch's layers, sites inside": (in_a_row, INSIDE),
    "`torch.compile(net)`, `net` an `nn.Sequential` of blocks of your own, sites inside": (
        functools.partial(in_a_row, Block),
        INSIDE,
    ),
    "`net.forward = torch.compile(net.forward, fullgraph=True)`, sites: `net`": (Net, compile_forward),
}
REFUSED = {
    "`torch.compile(net, fullgraph=True)`, sites inside": Unsupported,
    "`HiddenMix(net, …)` after the first compiled call, sites inside": RuntimeError,
}
breaks = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, at any break of a graph


def test_every_row_of_the_table_is_tried() -> None:
    assert [*TABLE] == [*SPREAD, *SPREAD_AND_COMPILED, *COMPILED, *REFUSED]


@breaks
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "before" in name else []) for name in COMPILED]
)
def test_compiled_networks_mix_anew_and_are_compiled_once(name: str) -> None:
    make, build = COMPILED[name]
    net = make()
    plain = copy.deepcopy(net)
    worst, drawn, graphs = follow(net, build, 3, lambda gradient: gradient)
    right, said = TABLE[name]
    assert right == "yes"
    assert worst < 1e-5
    assert {*graphs[SETTLED:]} == {int(said.split()[0])}
    assert len({json.dumps(draw) for draw in drawn}) == STEPS

    def eager(net: nn.Module) -> Trained:
        where = build.keywords if isinstance(build, functools.partial) else {"inside": build is not compile_forward}
        return net, mixed(net, **where)

    assert follow(plain, eager, 3, lambda gradient: gradient)[1] == drawn  # the same seed, the same draws


@breaks
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_raises(name: str) -> None:
    assert TABLE[name][0].startswith(f"no: `{REFUSED[name].__name__}` is raised")
    torch.compiler.reset()
    net, (x, _) = Net(), batch()
    call = compiled(net, fullgraph="fullgraph" in name)
    if "after" in name:
        call(x)
    with mixed(net, root=False), pytest.raises(REFUSED[name]):
        call(x)


@breaks
@pytest.mark.slow
def test_a_resnet_that_mixes_inside_compiles_as_much_of_it_as_one_that_does_not() -> None:
    models = pytest.importorskip("torchvision.models")
    captured, graphs = [], []
    for mixes in (False, True):
        torch.compiler.reset()
        counters.clear()
        net = models.resnet18(num_classes=CLASSES)
        hidden = mm.presets.patchup(net, mm.sites.resnet(net)[:3], block_size=3) if mixes else None
        call = torch.compile(net, backend="eager")
        for _ in range(4):
            call(torch.randn(2, 3, 32, 32))
            captured.append(counters["stats"]["calls_captured"])
            graphs.append(counters["stats"]["unique_graphs"])
        assert hidden is None or hidden.mix is not None
    assert len({*captured}) == 1
    assert graphs == [1] * 4 + [4] * 4
    assert "ResNet-18 is four graphs" in " ".join(PAGE.split())


@breaks
@pytest.mark.slow
def test_the_default_compiler_changes_nothing() -> None:
    def build(net: nn.Module) -> Trained:
        hidden = mixed(net)
        return torch.compile(net), hidden

    worst, _, graphs = follow(Net(), build, 3, lambda gradient: gradient)
    assert worst < 1e-5
    assert {*graphs[SETTLED:]} == {int(TABLE["`torch.compile(net)`, sites: `net` and inside"][1])}
