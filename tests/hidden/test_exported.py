"""Networks on their way out of training: a program made of a mixed network never mixes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mixmodal as mm

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
MIXERS = {
    "MixUp": mm.MixUp(),
    "CutMix": mm.CutMix(),
    "FMix": mm.FMix(),
    "PatchUp": mm.PatchUp(block_size=3),
    "Cutout": mm.Cutout(size=3),
    "Alternate": mm.Alternate([mm.MixUp(), mm.CutMix()]),
}
PROGRAMS: dict[str, Callable[[nn.Module, Tensor], Callable[..., Any]]] = {
    "export": lambda net, x: torch.export.export(net, (x,)).module(),
    "trace": lambda net, x: torch.jit.trace(net, x, check_trace=False),  # type: ignore[no-untyped-call]
}
READ_HOOKS: dict[str, Callable[[nn.Module, Tensor], Callable[..., Any]]] = {
    "export, strictly": lambda net, x: torch.export.export(net, (x,), strict=True).module(),
    "script": lambda net, x: torch.jit.script(net),
}


@pytest.fixture
def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))


@pytest.fixture
def x() -> Iterator[Tensor]:
    yield torch.rand(2, 3, 8, 8)
    torch.compiler.reset()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_made_in_evaluation_is_that_of_the_plain_network(program: str, net: nn.Module, x: Tensor) -> None:
    plain = net(x)
    mm.HiddenMix(net, {net: mm.CutMix(), net[2]: mm.MixUp()})  # type: ignore[index]
    made = PROGRAMS[program](net.eval(), x)
    net.train()
    assert torch.equal(made(x), plain)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", MIXERS)
def test_none_is_made_in_training(name: str, program: str, net: nn.Module, x: Tensor) -> None:
    hidden = mm.HiddenMix(net, {net: MIXERS[name]})
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=r"in training mode.*call model.eval\(\) or hidden.remove\(\) first"):
        PROGRAMS[program](net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert hidden.mix is None
    _, mix = hidden(x)  # and training goes on
    assert hidden.mix is mix


@pytest.mark.parametrize("program", PROGRAMS)
def test_in_training_mode_one_is_made_while_mixing_is_paused(program: str, net: nn.Module, x: Tensor) -> None:
    plain = net(x)
    with mm.HiddenMix(net, {net: mm.Cutout(size=3)}).paused():
        made = PROGRAMS[program](net, x)
    assert torch.equal(made(x), plain)


@pytest.mark.parametrize("program", READ_HOOKS)
def test_what_reads_the_hooks_themselves_works_once_they_are_removed(program: str, net: nn.Module, x: Tensor) -> None:
    plain = net(x)
    mm.HiddenMix(net, {net[2]: mm.MixUp()}).remove()  # type: ignore[index]
    assert torch.equal(READ_HOOKS[program](net.eval(), x)(x), plain)
