"""What the parts measure: mixers of the recipes' table, peers that may be absent, shares, graphs, workers."""

import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import mixmodal as mm
from recipes.measuring.benchmark.cases import DRAWS, FEATURES, INPUTS, Batch, Bench, methods_for, mixer_of
from recipes.measuring.benchmark.clock import Clock
from recipes.measuring.benchmark.figures import Figures
from recipes.measuring.benchmark.parts import loading, peers, steps, waiting
from recipes.measuring.benchmark.parts.compiling import graphs
from recipes.training.methods import IN_TURN, METHODS


@dataclass(frozen=True)
class Told(Clock):
    """A clock that says what it is told to, by the name of the call."""

    times: Any = None

    def milliseconds(self, function: Callable[[], object], seconds: float | None = None) -> float:
        name = getattr(getattr(function, "func", function), "__name__", "")
        return float(self.times[name])


CPU = torch.device("cpu")
SMALL = Bench(Clock(CPU, 1e-6), small=True)


def test_every_method_of_the_table_is_measured_but_those_in_turn() -> None:
    measured = {method for shape in (*INPUTS, *FEATURES) for method in methods_for(shape)}
    assert measured == METHODS.keys() - IN_TURN.keys()


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("shape", [*INPUTS[:1], *INPUTS[-1:], *FEATURES[1:2]], ids=str)
def test_calls_of_a_batch_draw_as_often_as_is_said(shape: tuple[int, ...], draws: str) -> None:
    batch = Batch(shape, SMALL)
    for method in methods_for(shape):
        mixer = batch.mixer(method, draws)
        mix = mixer.draw(batch.x, **batch.saliency(mixer))
        own = len(mix.mask) > 1 or mixer.needs_saliency
        assert own == (draws == "sample" or mixer.needs_saliency), method
    floor = batch.floor(draws)()
    assert floor is batch.out
    assert bool((floor == batch.x).all())  # both batches are alike


def test_a_peer_that_is_absent_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)

    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'kornia'", name="kornia")

    monkeypatch.setitem(peers.LIBRARIES, "kornia", absent)
    calls, said = peers.found()
    assert said == ["kornia is not installed here, so its column is empty: `pip install 'mixmodal[bench]'`."]
    assert set(calls) == {*peers.COLUMNS} - {"kornia"}


def test_a_peer_that_is_broken_is_no_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ModuleNotFoundError("No module named 'kornia_rs'", name="kornia_rs")

    monkeypatch.setattr(peers, "LIBRARIES", {"kornia": broken})
    with pytest.raises(ModuleNotFoundError, match="kornia_rs"):
        peers.found()


def test_kornia_is_called_as_its_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def transform(name: str) -> Callable[..., object]:
        return lambda **settings: made.append((name, settings)) or (lambda x, y: (x, y))

    module = types.ModuleType("kornia.augmentation")
    module.RandomMixUpV2, module.RandomCutMixV2 = transform("mixup"), transform("cutmix")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kornia", types.ModuleType("kornia"))
    monkeypatch.setitem(sys.modules, "kornia.augmentation", module)
    assert set(peers.kornia()["kornia"]) == {*peers.COMPARED}
    assert [name for name, _ in made] == [*peers.COMPARED]
    assert all(settings["data_keys"] == ["input", "class"] and settings["p"] == 1.0 for _, settings in made)


@pytest.mark.parametrize("method", peers.COMPARED)
def test_peers_mix_and_make_soft_targets_as_we_do(method: str) -> None:
    """All give a mixed batch and targets whose rows sum to 1, with at most two classes each."""
    calls, _ = peers.found()
    x, y = torch.rand(4, 3, 8, 8), torch.arange(4)
    own = peers.with_targets(mixer_of(method, "b c *", 8, "batch"), x, y)
    for mixed, targets in [own, *(of[method](x.clone(), y) for name, of in calls.items() if name != "kornia")]:
        assert mixed.shape == x.shape
        torch.testing.assert_close(targets.sum(1), torch.ones(4), check_dtype=False)
        assert int((targets > 0).sum(1).max()) <= 2


def test_the_share_of_a_step_is_what_mixing_adds_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 10 ms of which the loss is 1, and mixing with its loss 3.5: 2.5 of 12.5 ms."""
    monkeypatch.setattr(steps, "NETWORKS", {"VoxNet": steps.NETWORKS["VoxNet"]})
    clock = Told(CPU, 0.0, times={"step": 10.0, "plain": 1.0, "mixing": 3.5})
    figures = Figures()
    steps.measure(Bench(clock, small=True), figures)
    assert {round(number, 6) for number in steps.shares(figures).values() if number is not None} == {20.0}
    assert len(steps.shares(figures)) == len(DRAWS)


@pytest.mark.parametrize("name", ["PreAct-ResNet18", "VoxNet"])
def test_a_step_changes_the_network_and_mixing_does_not(name: str) -> None:
    training = steps.Training(steps.NETWORKS[name], SMALL)
    before = [parameter.detach().clone() for parameter in training.net.parameters()]

    def changed() -> bool:
        return any(not torch.equal(*pair) for pair in zip(before, training.net.parameters(), strict=True))

    training.mixing(mm.FMix())
    training.plain()
    assert not changed()
    training.step()
    assert changed()


class Unrolled(mm.MixUp):
    """A mixer whose code is another one for each length."""

    def mask(self, lam: Tensor, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        mask = super().mask(lam, shape, generator)
        for _ in range(shape[0]):
            mask = mask * 1.0
        return mask


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_graphs_are_counted() -> None:
    """NoMix has one of the first size and one of any, or only this one; the other one for each length."""
    sizes = [(8, 5), (12, 6), (9, 7), (7, 9)]
    assert 1 <= graphs.graphs(mm.NoMix(axes="b * d"), sizes, SMALL) <= 2
    assert graphs.graphs(mm.NoMix(axes="b * d"), sizes, SMALL, dynamic=True) == 1
    assert graphs.graphs(Unrolled(axes="b * d"), sizes, SMALL) == len(sizes)


def test_batches_of_a_loader_are_timed_and_used() -> None:
    used = []
    data = [(torch.zeros(2, 3), torch.zeros(2))] * 4

    def use(x: Tensor, y: Tensor) -> None:
        used.append((x.shape, y.shape))

    assert 0 <= loading._epoch(data, SMALL, use) < 1000  # type: ignore[arg-type]
    assert used == [((2, 3), (2,))] * 4


def test_waits_are_asked_for_of_every_mixer_on_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Figures()
    waiting.measure(SMALL, figures)
    assert waiting.waiting(figures) == {}
    assert "--device cuda" in "".join(waiting.sections(figures))
    monkeypatch.setattr(Clock, "on_cuda", True)
    asked = []

    def waits(function: Any) -> str | None:
        function()
        asked.append(type(function.args[0]).__name__)
        return "it synchronizes" if asked[-1] == "FMix" else None

    monkeypatch.setattr(waiting, "waits", waits)
    waiting.measure(SMALL, figures)
    found = waiting.waiting(figures)
    assert sorted(name for name, number in found.items() if number) == [
        f"{INPUTS[0]}, fmix, a draw for each {draws}" for draws in DRAWS
    ]
    assert len(asked) == len(found) == 2 * (len(methods_for(INPUTS[0])) + len(methods_for(FEATURES[1])))
    assert f"| {len(found)} | 2 |" in waiting.sections(figures)
