"""What compiled graphs call as it is on a CPU: operators that select cells and draw fields."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mixmodal import FMix
from mixmodal.core.masks import fields, fourier, selection

GRIDS = [(3000,), (64, 65), (17, 16, 15), (9, 8, 7, 6)]
"""Large enough for noise that is not normal throughout, which only operators draw in compiled code."""
TOP = (torch.randn(3, 50), torch.tensor([0, 20, 50]))
FIELD = (torch.rand(0), 2, [8, 9], 3.0, "equal", [])


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(function: Any, backend: Any = "aot_eager", **options: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend=backend, **options)


def code_of(function: Any, *args: Any) -> str:
    found = []

    def backend(module: torch.fx.GraphModule, _: Sequence[Tensor]) -> Any:
        found.append(module.code)
        return module.forward

    compiled(function, backend)(*args)
    return "".join(found)


@pytest.mark.parametrize(
    ("name", "args"), [("top", TOP), ("paper_field", FIELD), ("paper_field", (*FIELD[:4], "", [1, 2.5]))]
)
def test_operators_are_what_their_schemas_and_fakes_say(name: str, args: Any) -> None:
    operator = getattr(torch.ops.mixmodal, name).default
    torch.library.opcheck(operator, args, test_utils=("test_schema", "test_faketensor"))
    assert (torch.Tag.nondeterministic_seeded in operator.tags) == (name == "paper_field")


@pytest.mark.parametrize("spacing", ["equal", "relative", (2.0, 0.5)])
def test_a_compiled_draw_on_a_cpu_traces_neither_field_nor_selection(spacing: fields.Spacing) -> None:
    code = code_of(lambda lam: fourier(lam, (64, 64), spacing=spacing), torch.rand(3))
    assert code.count("mixmodal.top") == code.count("mixmodal.paper_field") == 1
    assert not any(word in code for word in ("fft", "randn", "sort", "cumsum"))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_masks_are_those_that_are_drawn_without(grid: tuple[int, ...], dynamic: bool) -> None:
    lam = torch.tensor([0, 0.1, 0.5, 0.7, 1])
    function = compiled(lambda lam, grid: fourier(lam, grid, spacing="relative", decay_power=2), dynamic=dynamic)
    for seed in range(2):
        torch.manual_seed(seed)
        expected = fourier(lam, grid, spacing="relative", decay_power=2)
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        assert torch.equal(function(lam, grid), expected)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_two_draws_of_one_graph_differ(backend: str) -> None:
    """Compilers merge calls with the same arguments unless they know that they are random."""

    def twice(lam: Tensor) -> tuple[Tensor, Tensor]:
        return fourier(lam, (40, 40)), fourier(lam, (40, 40))

    lam = torch.full((4,), 0.5)
    first, second = compiled(twice, backend)(lam)
    assert (first != second).flatten(1).any(1).all()
    assert (first.mean((1, 2)) == 0.5).all()
    assert (second.mean((1, 2)) == 0.5).all()


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_checkpointed_draw_is_the_same_in_the_backward_pass(backend: str) -> None:
    """The derivative of x · mask in x is the mask: that of the forward pass, though it is drawn again."""
    lam, x = torch.full((4,), 0.5), torch.rand(4, 40, 40, requires_grad=True)

    def masked(x: Tensor) -> Tensor:
        return (fourier(lam, (40, 40)) * x).sin()

    def step(x: Tensor) -> Tensor:
        found: Tensor = checkpoint(masked, x, use_reentrant=False)
        return found

    mixed = compiled(step, backend)(x)
    (slope,) = torch.autograd.grad(mixed.sum(), x)
    torch.testing.assert_close(slope, torch.where(mixed != 0, x.cos(), 0))


@pytest.mark.parametrize("randomness", ["same", "different"])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_members_of_a_compiled_vmap_share_a_draw_or_have_their_own(randomness: str) -> None:
    lam = torch.full((3, 4), 0.5)
    masks = compiled(torch.vmap(lambda lam: fourier(lam, (40, 40)), randomness=randomness))(lam)
    assert masks.shape == (3, 4, 40, 40)
    assert (masks.mean((2, 3)) == 0.5).all()
    assert torch.equal(masks[0], masks[1]) == torch.equal(masks[1], masks[2]) == (randomness == "same")


def test_a_compiled_vmap_that_does_not_say_how_to_draw_fails() -> None:
    with pytest.raises(RuntimeError, match="random"):
        compiled(torch.vmap(lambda lam: fourier(lam, (40, 40))))(torch.full((3, 4), 0.5))


def test_a_mixer_draws_by_them() -> None:
    """One draw for the batch and one for each sample, in a graph for any size."""
    for mixer in (FMix(), FMix(per_sample=True)):
        function = compiled(lambda x, mixer=mixer: mixer(x)[1].mask, dynamic=True)
        for shape in ((3, 2, 40, 41), (5, 2, 41, 50)):
            mask = function(torch.randn(shape))
            assert {*mask.unique().tolist()} <= {0.0, 1.0}


def test_modules_can_be_loaded_again() -> None:
    importlib.reload(selection)
    importlib.reload(fields)
    mask = compiled(lambda lam: fields.fourier(lam, (40, 40)))(torch.full((2,), 0.25))
    assert mask.mean((1, 2)).tolist() == [0.25, 0.25]
