"""`--compile`: the same run on compiled code, with a checkpoint that fits the network itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import mixmodal as mm
from recipes.training.engine import Task
from recipes.training.faults.sentences import sentence
from recipes.training.mixing import AtSites
from tests.recipes.training.test_engine import fit, losses, toy, training

COMPILE = torch.compile
"""The function itself, which the tests replace."""
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, at any break of a graph


class Block(nn.Module):
    """A network with a forward of its own, in which a hidden layer can be mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(self.norm(self.first(x).relu().flatten(1)))
        return made


def at_a_hidden_layer() -> Task:
    task, model = toy(), Block()
    at: dict[nn.Module, mm.Draws] = {model.first: mm.MixUp()}
    return replace(task, model=model, mixing=AtSites(model, at))


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.fx.GraphModule]]:
    """Compile into graphs that are run as they are, which takes no time, and note them."""
    made: list[torch.fx.GraphModule] = []

    def noting(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda what, **how: COMPILE(what, backend=noting, **how))
    torch.compiler.reset()
    yield made
    torch.compiler.reset()


@pytest.mark.parametrize("task", [toy, at_a_hidden_layer])
def test_a_compiled_run_is_the_same_run(tmp_path: Path, graphs: list[Any], task: Callable[[], Task]) -> None:
    plain = fit(task(), training(), tmp_path / "plain")
    assert not graphs
    compiled = fit(task(), training(compile=True), tmp_path / "compiled")
    assert graphs
    assert losses(tmp_path / "plain") == pytest.approx(losses(tmp_path / "compiled"), rel=1e-5)
    assert (plain["score"], plain["train_score"]) == (compiled["score"], compiled["train_score"])
    one, other = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("plain", "compiled"))
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[key], other[key], atol=1e-5) for key in one)


def test_the_network_is_one_graph_around_a_mixed_input(tmp_path: Path, graphs: list[torch.fx.GraphModule]) -> None:
    fit(toy(), training(compile=True), tmp_path)
    layers = [sum(node.target is torch._C._nn.linear for node in graph.graph.nodes) for graph in graphs]
    assert {count for count in layers if count} == {2}  # both linear layers of the network


def test_the_result_says_so_and_a_run_may_go_on_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = fit(toy(), training(epochs=2, schedule="constant", compile=True), tmp_path, compile=True)
    assert compiled["device"].endswith("threads, compiled")
    result = fit(toy(), training(epochs=3, schedule="constant", resume=True), tmp_path, compile=False)
    assert result["device"] == f"{compiled['device']}, then {compiled['device'].removesuffix(', compiled')}"
    assert "it does not continue bit for bit" in capsys.readouterr().err


def test_a_compiler_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", lambda what, **how: COMPILE(what, backend=fails, **how))
    with pytest.raises(RuntimeError) as caught:
        fit(toy(), training(compile=True), tmp_path)
    said = sentence(caught.value)
    assert said is not None
    assert said.startswith("the network cannot be compiled here: leave out --compile (")
    assert "no compiler found" in said
    assert "0 of 4 epochs are saved" in said
