"""Draw, blend, targets and loss as one compiled graph; autocast and activation checkpointing."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mixmodal as mm
from tests.methods_table import TABLE, Method, over

COMPILED = [method for method in TABLE if method.compiles]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(function: Any, backend: str = "aot_eager") -> Any:
    return torch.compile(function, fullgraph=True, backend=backend)


def step(mixer: Any, x: Tensor, y: Tensor, weight: Tensor, **parts: Any) -> tuple[Tensor, ...]:
    """A training step's use of a mixer."""
    mixed, mix = mixer(x, **parts)
    preds = mixed.flatten(1) @ weight
    soft = mix.targets(y, num_classes=4)
    return (
        mixed,
        mix.lam,
        mix.index,
        soft,
        mix.loss(preds, y),
        mix.loss(preds, soft, F.mse_loss),
        mix.accuracy(preds, y),
    )


def batch(size: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(size, 2, 5, 6), torch.randint(4, (size,)), torch.randn(60, 4)


@over(COMPILED)
def test_a_step_is_one_graph_of_the_same_values(method: Method) -> None:
    x, y, weight = batch()
    mixer = method.build("b c *")
    function = compiled(lambda x, y, weight: step(mixer, x, y, weight))
    torch.manual_seed(1)
    expected = step(mixer, x, y, weight)
    torch.manual_seed(1)
    for got, value in zip(function(x, y, weight), expected, strict=True):
        torch.testing.assert_close(got, value)


@over(COMPILED)
def test_compiled_draws_differ(method: Method) -> None:
    x = torch.randn(4, 2, 5, 6)
    mixer = method.build("b c *")
    function = compiled(lambda x: mixer(x)[0])
    drawn = [function(x) for _ in range(12)]
    if method.name != "NoMix":
        assert any(not torch.equal(drawn[0], other) for other in drawn[1:])


@over(COMPILED)
def test_a_step_with_given_parts_and_padding_is_one_graph(method: Method) -> None:
    x, y, weight = batch()
    mixer = method.build("b c *")
    valid, index, lam = torch.rand(4, 5, 6) > 0.3, torch.tensor([1, 1, 3, 0]), torch.rand(4)
    function = compiled(lambda x, y, w, v, i, lam: step(mixer, x, y, w, valid=v, index=i, **method.ask(lam)))
    torch.manual_seed(1)
    expected = step(mixer, x, y, weight, valid=valid, index=index, **method.ask(lam))
    torch.manual_seed(1)
    for got, value in zip(function(x, y, weight, valid, index, lam), expected, strict=True):
        torch.testing.assert_close(got, value)


@over([method for method in COMPILED if method.name in ("MixUp", "CutMix", "FMix", "FMix-soft", "PatchUp-shared")])
def test_a_record_replays_in_compiled_code(method: Method) -> None:
    """Criteria as modules, dense labels, class weights, gradients."""
    x = torch.randn(3, 2, 5, 6, requires_grad=True)
    y, weight = torch.randint(4, (3, 5, 6)), torch.rand(4) + 0.1
    mix = method.build("b c *").draw(x)
    criterion = nn.CrossEntropyLoss(weight=weight, ignore_index=3)

    def dense(x: Tensor, y: Tensor) -> Tensor:
        preds = mix(x).repeat(1, 2, 1, 1)
        return mix.loss(preds, y, criterion, axes="b *") + mix.loss(preds, y, axes="b *", reduction="sum")

    expected, got = dense(x, y), compiled(dense)(x, y)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got, x)[0], torch.autograd.grad(expected, x)[0])
    assert criterion.reduction == "mean"


SIZES_VARY = ("MixUp", "MixUp-per-sample", "CutMix", "FMix", "Cutout", "PatchUp", "PatchUp-hard", "DropBlock")


@over([method for method in COMPILED if method.name in SIZES_VARY])
def test_batches_of_other_sizes_compile(method: Method) -> None:
    """The odd last batch, and grids that vary: with automatic dynamic shapes."""
    mixer = method.build("b c *")
    function = compiled(lambda x, y, weight: step(mixer, x, y, weight))
    for size in (4, 5, 7, 1):
        x, y, weight = batch(size)
        mixed, lam, *_ = function(x, y, weight)
        assert mixed.shape == x.shape
        assert lam.shape == (size,)
    whole = compiled(lambda x: mixer(x)[0])
    for grid in ((8, 8), (9, 8), (11, 7)):
        mixed = whole(torch.ones(3, 2, *grid))
        assert mixed.shape == (3, 2, *grid)
        assert (mixed == 1).all() or not method.partner


@pytest.mark.parametrize("what", ["lam", "index"])
def test_wrong_values_are_found_in_compiled_code(what: str) -> None:
    x = torch.randn(4, 2, 5, 6)
    lam, index = torch.rand(4), torch.arange(4)
    function = compiled(lambda x, lam, index: mm.MixUp()(x, lam=lam, index=index)[0])
    function(x, lam, index)
    lam, index = (lam + 1, index) if what == "lam" else (lam, index + 1)
    with pytest.raises((RuntimeError, ValueError, IndexError), match=what if what == "lam" else "index"):
        function(x, lam, index)


def test_inductor_gives_the_same_values_for_a_given_draw() -> None:
    x, y, weight = batch()
    mix = mm.FMix(max_soft=0.2, per_sample=True).draw(x)

    def replay(x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed = mix(x)
        return mixed, mix.targets(y, num_classes=4), mix.loss(mixed.flatten(1) @ weight, y)

    for got, value in zip(compiled(replay, "inductor")(x, y, weight), replay(x, y, weight), strict=True):
        torch.testing.assert_close(got, value)


def test_inductor_draws() -> None:
    """Ones stay ones, and lam is the kept share, counted in a batch of sample numbers."""
    x = torch.eye(4).view(4, 4, 1, 1).expand(4, 4, 6, 5).clone()
    index = torch.tensor([1, 2, 3, 0])

    def draw(x: Tensor) -> tuple[Tensor, Tensor]:
        mixed, mix = mm.CutMix(per_sample=True)(x, index=index)
        return mixed, mix.lam

    function = compiled(draw, "inductor")
    for _ in range(5):
        mixed, lam = function(x)
        assert (mixed.sum(1) == 1).all()
        torch.testing.assert_close(mixed.diagonal().mean((0, 1)), lam)


@over(COMPILED)
@pytest.mark.parametrize("padded", [False, True])
def test_nothing_is_read_by_the_host(method: Method, padded: bool) -> None:
    """Tensors of the meta device hold no values: a draw, blend or loss that looked at one would raise.

    Shares are given, as torch draws no Beta there.
    """
    x, y = torch.empty(4, 2, 5, 6, device="meta"), torch.empty(4, device="meta", dtype=torch.long)
    index, valid = torch.empty(4, device="meta", dtype=torch.long), torch.empty(4, 5, 6, device="meta").bool()
    soft = torch.empty(4, 60, device="meta")
    mixer = method.build("b c *")
    for lam in (0.5, torch.empty((), device="meta"), torch.empty(4, device="meta")):
        asked = method.ask(lam)
        mixed, mix = mixer(x, **asked, **({"valid": valid, "index": index} if padded else {}))
        results = [mixed, mixer.draw(x, **asked)(x), mix.targets(y, num_classes=3), mix.loss(mixed.flatten(1), soft)]
        if not (method.letters and padded):  # which cannot be resized
            results += [mix.resize((2, 3, 4) if method.letters else (3, 4)).mask]
        results += [mix.loss(mixed.flatten(1), y), mix.accuracy(mixed.flatten(1), y), mix.lam, mix.mask, mix.index]
        assert {result.device.type for result in results} == {"meta"}


# ---------------------------------------------------------------- one graph for many sizes and shares


def graphs(function: Any, calls: Sequence[Sequence[Any]], *, dynamic: bool | None = None) -> int:
    """How often a function is compiled for these calls."""
    seen: list[str] = []

    def backend(module: torch.fx.GraphModule, _: Sequence[Tensor]) -> Any:
        seen.append(module.code)
        return module.forward

    traced = torch.compile(function, fullgraph=True, backend=backend, dynamic=dynamic)
    for call in calls:
        traced(*call)
    return len(seen)


LENGTHS = [20, 21, 23, 26, 28, 29, 33, 37, 38, 41, 46, 52, 53, 55, 60, 64]


@over(COMPILED)
def test_lengths_and_batches_that_vary_take_two_graphs_at_most(method: Method) -> None:
    """16 lengths of 3 batch sizes, as length buckets give them: the draw, the blend and the loss in one graph."""
    mixer = method.build("b * d")
    calls = [(torch.randn(size, length, 3), torch.randint(3, (size,))) for length in LENGTHS for size in (4, 5, 7)]

    def of(x: Tensor, y: Tensor) -> Tensor:
        mixed, mix = mixer(x)
        return mix.loss(mixed.mean(1), y)

    assert graphs(of, calls, dynamic=True) <= 2


@over([method for method in COMPILED if method.name in ("MixUp", "CutMix", "FMix", "FMix-soft", "PatchUp-shared")])
def test_padding_that_varies_takes_two_graphs_at_most(method: Method) -> None:
    """Without being told: the first call is compiled for its size, the second for any."""
    mixer, y = method.build("b * d"), torch.randint(3, (7,))

    def padded(x: Tensor, valid: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mixed, mix = mixer(x, valid=valid)
        return mixed, mix.loss(mixed.sum(1), y)

    sizes = [(4, 20), (5, 31), (7, 24), (4, 31), (6, 64), (5, 57), (6, 20), (7, 33), (4, 41), (5, 46), (6, 52), (7, 53)]
    calls = [(torch.randn(b, n, 3), torch.arange(n).expand(b, n) < n - b, y[:b]) for b, n in sizes]
    assert graphs(padded, calls) <= 2


@over(
    [method for method in COMPILED if method.name in ("MixUp", "CutMix", "FMix", "FMix-soft", "PatchUp", "DropBlock")]
)
def test_images_of_many_sizes_take_two_graphs_at_most(method: Method) -> None:
    mixer = method.build("b c *")
    calls = [(torch.randn(4 + i % 3, 3, 20 + 3 * i, 31 + 2 * i),) for i in range(9)]
    assert graphs(lambda x: mixer(x)[0], calls) <= 2


def test_axes_shorter_than_a_block_share_a_graph() -> None:
    mixer = mm.PatchUp(block_size=5, axes="b * d")
    calls = [(torch.randn(8 + length % 2, length, 7),) for length in (2, 3, 4, 5, 6, 9, 12)]
    assert graphs(lambda x: mixer(x)[0], calls, dynamic=True) <= 2


@over([method for method in COMPILED if method.asks and not method.per_sample])
def test_a_share_that_varies_takes_two_graphs_at_most(method: Method) -> None:
    """A number of Python's: the first is compiled in, from the second on any will do."""
    mixer, x = method.build("b c *"), torch.randn(4, 2, 5, 6)
    shares = [0.25, 0.75, 0.5, 0.125, 0.0625, 0.875]
    assert graphs(lambda x, lam: mixer(x, lam=lam)[1].lam, [(x, lam) for lam in shares]) <= 2
    if method.meets and method.partner:
        traced = compiled(lambda x, lam: mixer(x, lam=lam)[1].lam)
        for lam in shares:
            assert abs(float(traced(x, lam)[0]) - lam) <= 1 / 30 + 1e-6


@pytest.mark.parametrize("max_soft", [0.0, 0.2])
def test_a_graph_for_any_grid_draws_what_is_drawn_without(max_soft: float) -> None:
    """Odd and even sizes: the columns of a half spectrum that are their own mirrors differ."""
    mixer = mm.FMix(max_soft=max_soft)
    function = compiled(lambda x: mixer(x)[0])
    for shape in ((3, 1, 8, 9), (4, 1, 9, 8), (5, 1, 12, 15), (3, 1, 15, 12)):
        x = torch.randn(shape)
        torch.manual_seed(1)
        expected = mixer(x)[0]
        torch.manual_seed(1)
        torch.testing.assert_close(function(x), expected)


# ---------------------------------------------------------------- autocast, activation checkpointing


@over(TABLE)
def test_autocast_leaves_labels_and_losses_in_float32(method: Method) -> None:
    x, y, weight = batch()
    mixer = method.build("b c *")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, mix = mixer(x)
        preds = mixed.flatten(1) @ weight
        loss, targets = mix.loss(preds, y), mix.targets(y, num_classes=4)
    assert preds.dtype == torch.bfloat16
    assert mixed.dtype == torch.float32
    assert mix.lam.dtype == mix.mask.dtype == targets.dtype == loss.dtype == torch.float32
    assert torch.equal(targets, mix.targets(y, num_classes=4))
    assert torch.equal(mixed, mix(x))
    assert abs(loss - mix.loss(preds.double(), y)) < 0.02 * (1 + loss)


def test_autocast_in_compiled_code() -> None:
    x, y, weight = batch()

    def under(x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return step(mm.FMix(), x, y, weight)

    mixed, lam, _, soft, loss, *_ = compiled(under)(x, y, weight)
    assert mixed.dtype == lam.dtype == soft.dtype == loss.dtype == torch.float32


@over(TABLE)
def test_activation_checkpointing_replays_a_draw(method: Method) -> None:
    """The draw is inside what is computed again, from the global generator."""
    net = nn.Conv2d(2, 2, 3, padding=1)
    x = torch.randn(4, 2, 5, 6)
    mixers = [method.build("b c *") for _ in range(2)]

    def forward(x: Tensor, mixer: Any) -> Tensor:
        return mixer(net(x))[0].square().sum()

    if method.name == "Alternate":  # its turn is state; the draw is made outside
        mix = mixers[0].draw(x)
        mixers = [lambda h: (mix(h), mix)] * 2  # type: ignore[list-item]
    gradients = []
    for again, mixer in zip((False, True), mixers, strict=True):
        torch.manual_seed(4)
        loss = checkpoint(forward, x, mixer, use_reentrant=False) if again else forward(x, mixer)
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
