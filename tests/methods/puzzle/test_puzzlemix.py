"""Saliency against gradients by hand, and Puzzle Mix's laws."""

import copy
import functools
import importlib
import itertools
import math
import pickle
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from mixmodal.methods.puzzle.puzzlemix import PuzzleMix
from mixmodal.methods.puzzle.saliency import saliency
from tests.methods.puzzle.test_cuts import loop_energy, loop_terms

MODULE = importlib.import_module("mixmodal.methods.puzzle.puzzlemix")
GRIDS = [(9,), (1,), (5, 8), (1, 6), (3, 4, 5), (2, 1, 3, 4)]
grids = pytest.mark.parametrize("grid", GRIDS, ids=str)


class Net(nn.Module):
    """Batch norm, dropout, and a part whose mode differs from the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.frozen = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout(), nn.Linear(4, 5)
        self.frozen.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.frozen(self.norm(self.conv(x)))).relu().mean((2, 3)))


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


X, Y = torch.randn(6, 3, 8, 6), torch.tensor([0, 1, 2, 3, 4, 0])


def plain(*grid: int, features: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(features * math.prod(grid), 16), nn.Tanh(), nn.Linear(16, 5))


# ---------------------------------------------------------------- saliency


def test_saliency_is_the_root_mean_square_of_a_gradient_by_hand() -> None:
    """A linear model under cross entropy: the gradient in x is Wᵀ(softmax - onehot) / B."""
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 5)), torch.randn(6, 3, 4, 5)
    error = model(x).softmax(1) - F.one_hot(Y, 5)
    gradient = (error @ model[1].weight / 6).view(6, 3, 4, 5)
    expected = torch.stack([(gradient[:, c] ** 2) / 3 for c in range(3)]).sum(0).sqrt()
    torch.testing.assert_close(saliency(model, x, Y), expected.detach())


@pytest.mark.parametrize("axes", ["b c *", "b * d", "b *", "b c f *", "b c * t"])
def test_saliency_is_a_mean_over_the_named_axes(axes: str) -> None:
    x = torch.randn(6, 3, 4, 5)
    model = plain(4, 5)
    leaf = x.clone().requires_grad_()
    F.cross_entropy(model(leaf), Y).backward()
    assert leaf.grad is not None
    named = {"b c *": (1,), "b * d": (3,), "b *": (), "b c f *": (1, 2), "b c * t": (1, 3)}[axes]
    square = leaf.grad.square()
    expected = square.mean(named).sqrt() if named else leaf.grad.abs()
    torch.testing.assert_close(saliency(model, x, Y, axes=axes), expected)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_saliency_leaves_everything_as_it_is(requires_grad: bool, fails: bool) -> None:
    model, x = Net().train(), X.clone().requires_grad_(requires_grad)
    model.frozen.eval()
    model.conv.weight.grad = torch.full_like(model.conv.weight, 0.5)
    before, state, version = modes(model), copy.deepcopy(model.state_dict()), x._version
    random = torch.get_rng_state()

    def criterion(preds: Tensor, y: Tensor) -> Tensor:
        if fails:
            raise KeyError("mine")
        return F.cross_entropy(preds, y)

    if fails:
        with pytest.raises(KeyError, match="mine"):
            saliency(model, x, Y, criterion)
    else:
        assert not saliency(model, x, Y, criterion).requires_grad
    assert modes(model) == before
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.conv.weight.grad, torch.full_like(model.conv.weight, 0.5))
    assert all(p.grad is None for name, p in model.named_parameters() if name != "conv.weight")
    assert torch.equal(x, X)
    assert (x.grad, x.requires_grad, x._version) == (None, requires_grad, version)
    assert torch.equal(torch.get_rng_state(), random)


def test_saliency_is_that_of_the_model_in_evaluation_mode() -> None:
    model = Net().train()
    found = saliency(model, X, Y)
    assert torch.equal(found, saliency(model.eval(), X, Y))
    assert not torch.allclose(found, saliency(model.train(), X, Y, keep=1.0))


@pytest.mark.parametrize("keep", [0.25, 2.0])
def test_kept_gradients_add_to_those_there_are(keep: float) -> None:
    model = plain(8, 6)
    reference = copy.deepcopy(model)
    expected = saliency(model, X, Y)
    (keep * F.cross_entropy(reference(X), Y)).backward()
    F.mse_loss(reference(X), torch.zeros(6, 5)).backward()
    F.mse_loss(model(X), torch.zeros(6, 5)).backward()
    torch.testing.assert_close(saliency(model, X, Y, keep=keep), expected)
    for parameter, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)


def test_a_kept_pass_trains_in_the_mode_it_finds() -> None:
    model = Net().train()
    model.frozen.eval()
    before = modes(model)
    tracked, frozen = int(model.norm.num_batches_tracked), int(model.frozen.num_batches_tracked)
    saliency(model, X, Y, keep=1.0)
    assert modes(model) == before
    assert int(model.norm.num_batches_tracked) == tracked + 1
    assert int(model.frozen.num_batches_tracked) == frozen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64])
def test_saliency_is_single_precision_at_least(dtype: torch.dtype) -> None:
    class Size(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.abs().double().mean(2)

    found = saliency(Size(), torch.randn(6, 5, 4).to(dtype), Y)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.shape == (6, 4)
    assert (found > 0).all()


def test_saliency_where_gradients_are_off_and_under_autocast() -> None:
    model = plain(8, 6)
    expected = saliency(model, X, Y)
    with torch.no_grad():
        assert torch.equal(saliency(model, X, Y), expected)
        assert not torch.is_grad_enabled()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = saliency(model, X, Y)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1 * float(expected.max()))


def test_saliency_of_a_model_without_trainable_parameters() -> None:
    model = plain(8, 6)
    expected = saliency(model, X, Y)
    assert torch.equal(saliency(model.requires_grad_(False), X, Y), expected)
    torch.testing.assert_close(saliency(model, X, Y, keep=1.0), expected)


class Blind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight


SALIENCY_ERRORS = {
    "integers": (
        {"x": torch.zeros(6, 3, 8, 6, dtype=torch.int64)},
        TypeError,
        r"torch\.int64.*pass embeddings.*b \* d",
    ),
    "no tensor": ({"x": [1.0]}, TypeError, r"x is list.*torch\.Tensor"),
    "no module": ({"model": lambda x: x}, TypeError, r"model is function.*torch\.nn\.Module"),
    "rank": ({"x": torch.zeros(6, 3)}, ValueError, r"axes='b c \*'.*3 axes or more.*\(6, 3\)"),
    "axes": ({"axes": "c b *"}, ValueError, r"axes='c b \*'.*as in 'b c \*'"),
    "keep": ({"keep": -0.1}, ValueError, r"keep=-0\.1 must be a number, 0 or more"),
    "keep, no number": ({"keep": True}, ValueError, r"keep=True must be a number, 0 or more"),
    "losses": ({"criterion": nn.CrossEntropyLoss(reduction="none")}, ValueError, r"losses of shape \(6,\).*mean"),
    "blind": ({"model": Blind()}, ValueError, "loss does not depend on x"),
    "blind, kept": ({"model": Blind(), "keep": 1.0}, ValueError, "loss does not depend on x"),
    "constant": ({"criterion": lambda preds, y: torch.zeros(())}, ValueError, "loss does not depend on x"),
}


@pytest.mark.parametrize(("changes", "error", "message"), SALIENCY_ERRORS.values(), ids=SALIENCY_ERRORS.keys())
def test_errors_of_saliency(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"model": plain(8, 6), "x": X, "y": Y, "criterion": F.cross_entropy, **changes}
    with pytest.raises(error, match=message):
        saliency(given.pop("model"), given.pop("x"), given.pop("y"), given.pop("criterion"), **given)


# ---------------------------------------------------------------- Puzzle Mix: the mask


@pytest.mark.parametrize(
    ("grid", "n_labels"),
    [((7,), 3), ((7,), 4), ((6, 5), 2), ((6, 5), 3), ((6, 5), 4), ((1, 5), 3), ((4, 3, 5), 2), ((4, 3, 5), 3)],
    ids=str,
)
def test_the_mask_has_the_least_energy_of_all(grid: tuple[int, ...], n_labels: int) -> None:
    """Over all labellings of 2 blocks an axis, 6561 at most, in plain loops; 3 samples, or 1 in three dimensions."""
    x, salient, index = torch.randn(3, 2, *grid), torch.rand(3, *grid), torch.tensor([1, 2, 0])
    counts, lam = tuple(min(2, size) for size in grid), torch.tensor([0.4, 0.7, 0.5])
    settings = {"n_labels": n_labels, "beta": 4.0, "gamma": 0.7, "eta": 0.3, "neigh_size": 2}
    mixer = PuzzleMix(blocks=(2,), transport="none", **settings)  # type: ignore[arg-type]
    mix = mixer.draw(x, saliency=salient, index=index, lam=lam)
    first = [
        [next(p for p in range(s) if p * n // s == k) for k in range(n)] for s, n in zip(grid, counts, strict=True)
    ]
    corners = list(itertools.product(*first))
    for own, partner in list(enumerate(index.tolist()))[: 3 if len(grid) < 3 else 1]:
        unary, weights, _ = loop_terms(
            x.double().numpy(), salient.double().numpy(), own, partner, float(lam[own]), counts, **settings
        )
        labels = [round((1 - float(mix.mask[(own, *corner)])) * (n_labels - 1)) for corner in corners]
        every = itertools.product(range(n_labels), repeat=math.prod(counts))
        assert loop_energy(unary, weights, labels) <= min(loop_energy(unary, weights, each) for each in every) + 1e-6


@pytest.mark.parametrize("solver", ["exact", "torch"])
@pytest.mark.parametrize("n_labels", [2, 3, 4])
@grids
def test_a_mask_is_made_of_blocks_and_levels(grid: tuple[int, ...], n_labels: int, solver: str) -> None:
    mixer = PuzzleMix(n_labels=n_labels, solver=solver, blocks=(3,))  # type: ignore[arg-type]
    x, salient = torch.randn(5, 1, *grid), torch.rand(5, *grid)
    mixed, mix = mixer(x, saliency=salient)
    assert mix.mask.shape == (5, *grid)
    assert mix.mask.dtype == torch.float32
    assert mix.hard == (n_labels == 2)
    levels = torch.arange(n_labels) / (n_labels - 1)
    assert ((mix.mask[..., None] - levels).abs().amin(-1) < 1e-6).all()
    assert mixed.shape == x.shape
    assert mixed.dtype == x.dtype
    block = [[p * min(3, size) // size for p in range(size)] for size in grid]
    seen: dict[tuple[int, ...], Tensor] = {}
    for cell in itertools.product(*[range(size) for size in grid]):
        value = mix.mask[(slice(None), *cell)]
        key = tuple(along[p] for along, p in zip(block, cell, strict=True))
        assert torch.equal(seen.setdefault(key, value), value)


@pytest.mark.parametrize("transport", ["heuristic", "exact", "none"])
@grids
def test_lam_is_the_mean_of_the_mask(grid: tuple[int, ...], transport: str) -> None:
    mix = PuzzleMix(transport=transport).draw(torch.randn(5, 2, *grid), saliency=torch.rand(5, *grid))  # type: ignore[arg-type]
    torch.testing.assert_close(mix.lam, mix.mask.flatten(1).mean(1), rtol=0, atol=1e-6)
    assert (mix.moves is None) == (transport == "none")


@pytest.mark.parametrize("solver", ["exact", "torch"])
@pytest.mark.parametrize("n_labels", [2, 3, 4])
@grids
def test_a_strong_prior_gives_the_share_asked_for(grid: tuple[int, ...], n_labels: int, solver: str) -> None:
    """All is the sample's own at lam = 1 and the partner's at lam = 0, moves included."""
    mixer = PuzzleMix(n_labels=n_labels, solver=solver, eta=1e4)  # type: ignore[arg-type]
    x, salient, index = torch.randn(5, 2, *grid), torch.rand(5, *grid), torch.arange(5).roll(1)
    for lam, expected in ((1.0, x), (0.0, x[index])):
        mixed, mix = mixer(x, saliency=salient, index=index, lam=lam)
        assert torch.equal(mixed, expected)
        assert (mix.lam == lam).all()


def test_lam_is_a_prior_for_each_sample() -> None:
    mixer = PuzzleMix(eta=1e4, transport="none")
    lam = torch.tensor([1.0, 0.0, 0.5, 0.0, 1.0, 0.5])
    assert torch.equal(mixer.draw(X, saliency=torch.rand(6, 8, 6), lam=lam).lam, lam)


def test_what_is_salient_is_kept() -> None:
    """Left halves of the first sample matter, right halves of the second: the cut is between them."""
    salient = torch.zeros(2, 8, 8)
    salient[0, :, :4] = 1
    salient[1, :, 4:] = 1
    mixer = PuzzleMix(blocks=(8,))
    mix = mixer.draw(torch.rand(2, 3, 8, 8), saliency=salient, index=torch.tensor([1, 0]), lam=0.5)
    assert torch.equal(mix.mask[0], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]).expand(8, 8))
    assert torch.equal(mix.mask[1], 1 - mix.mask[0])


def test_partners_see_one_problem_from_two_sides() -> None:
    mixer = PuzzleMix(blocks=(4,), transport="none")
    x, salient = torch.randn(2, 3, 8, 8), torch.rand(2, 8, 8)
    mix = mixer.draw(x, saliency=salient, index=torch.tensor([1, 0]), lam=torch.tensor([0.3, 0.7]))
    assert 0 < mix.lam[0] < 1
    assert torch.equal(mix.mask[0], 1 - mix.mask[1])


def test_axes_of_the_grid_are_alike() -> None:
    mixer = PuzzleMix(blocks=(4,), transport="none")
    x, salient, index = torch.randn(4, 3, 8, 12), torch.rand(4, 8, 12), torch.tensor([1, 2, 3, 0])
    mask = mixer.draw(x, saliency=salient, index=index, lam=0.5).mask
    turned = mixer.draw(x.mT, saliency=salient.mT, index=index, lam=0.5).mask
    assert len(mask.unique()) == 3
    assert torch.equal(mask.mT, turned)


def test_scales_of_saliency_and_of_channels_make_no_difference() -> None:
    mixer, salient = PuzzleMix(blocks=(4,)), torch.rand(6, 8, 6)
    index = torch.arange(6).roll(1)
    mix = mixer.draw(X, saliency=salient, index=index, lam=0.5)
    scaled = X * torch.tensor([10.0, 0.3, 1.0]).view(3, 1, 1) - torch.tensor([5.0, 0.0, 7.0]).view(3, 1, 1)
    other = mixer.draw(scaled, saliency=1e-6 * salient, index=index, lam=0.5)
    assert torch.equal(mix.mask, other.mask)
    flat = mixer.draw(torch.zeros_like(X), saliency=torch.zeros_like(salient), index=index, lam=0.9)
    assert (flat.mask == 1).all()


@pytest.mark.parametrize("layout", ["b * d", "b d e *"])
def test_other_layouts_give_the_same_record(layout: str) -> None:
    x, salient, index = torch.randn(4, 6, 9, 7), torch.rand(4, 9, 7), torch.tensor([2, 3, 0, 1])
    laid = x.movedim(1, -1) if layout == "b * d" else x.view(4, 2, 3, 9, 7)
    expected, record = PuzzleMix(blocks=(4,))(x, saliency=salient, index=index, lam=0.4)
    mixed, mix = PuzzleMix(blocks=(4,), axes=layout)(laid, saliency=salient, index=index, lam=0.4)
    assert torch.equal(mix.mask, record.mask)
    torch.testing.assert_close(mixed.movedim(-1, 1) if layout == "b * d" else mixed.reshape(x.shape), expected)


# ---------------------------------------------------------------- Puzzle Mix: the mix


@pytest.mark.parametrize("solver", ["exact", "torch"])
@grids
def test_images_that_are_the_same_stay(grid: tuple[int, ...], solver: str) -> None:
    x = torch.randn(1, 3, *grid).expand(4, 3, *grid)
    mixed, _ = PuzzleMix(transport="none", solver=solver)(x, saliency=torch.rand(4, *grid))  # type: ignore[arg-type]
    torch.testing.assert_close(mixed, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("transport", ["heuristic", "exact", "none"])
@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("grid", [(12,), (5, 8), (4, 4, 3)], ids=str)
def test_what_is_recorded_is_what_is_blended(grid: tuple[int, ...], n_labels: int, transport: str) -> None:
    """m · moved(x) + (1 - m) · moved(x[index]), cell by cell."""
    mixer = PuzzleMix(blocks=(3,), n_labels=n_labels, transport=transport, t_eps=1e-4)  # type: ignore[arg-type]
    x, salient = torch.randn(3, 2, *grid), torch.rand(3, *grid) ** 4
    mixed, mix = mixer(x, saliency=salient, index=torch.tensor([1, 2, 0]), lam=0.5)
    cells = list(itertools.product(*[range(size) for size in grid]))
    moved = 0
    for sample, partner in enumerate(mix.index.tolist()):
        for place, cell in enumerate(cells):
            sides = []
            for side, source in enumerate((sample, partner)):
                taken = place if mix.moves is None else int(mix.moves[side][(sample, *cell)])
                moved += taken != place
                sides.append(x[(source, slice(None), *cells[taken])] if taken >= 0 else torch.zeros(2))
            share = float(mix.mask[(sample, *cell)])
            torch.testing.assert_close(
                mixed[(sample, slice(None), *cell)], share * sides[0] + (1 - share) * sides[1], rtol=1e-5, atol=1e-6
            )
    assert (moved > 0) == (transport != "none")


@pytest.mark.parametrize("transport", ["heuristic", "exact"])
def test_each_side_moves_by_its_own_saliency_and_share(transport: str) -> None:
    """The own side's moves are the partner side's of the mirrored problem."""
    mixer = PuzzleMix(blocks=(4,), transport=transport, t_eps=1e-3)  # type: ignore[arg-type]
    x, salient = torch.randn(2, 3, 8, 8), torch.rand(2, 8, 8) ** 6
    mix = mixer.draw(x, saliency=salient, index=torch.tensor([1, 0]), lam=torch.tensor([0.4, 0.6]))
    assert mix.moves is not None
    assert torch.equal(mix.moves[0][0], mix.moves[1][1])
    assert torch.equal(mix.moves[0][1], mix.moves[1][0])
    assert not torch.equal(mix.moves[0][0], mix.moves[0][1])


@pytest.mark.parametrize("transport", ["heuristic", "exact"])
def test_moves_show_more_of_what_is_salient(transport: str) -> None:
    """In every one of 16 samples no less, and more on average."""
    x, salient = torch.zeros(16, 1, 16, 16), torch.rand(16, 16, 16) ** 8
    kept = PuzzleMix(blocks=(8,), transport="none").draw(x, saliency=salient, lam=0.5, index=torch.arange(16).roll(1))
    mixer = PuzzleMix(blocks=(8,), transport=transport, t_eps=0.1)  # type: ignore[arg-type]
    moved = mixer.draw(x, saliency=salient, lam=0.5, index=kept.index)
    assert torch.equal(kept.mask, moved.mask)
    assert moved.moves is not None
    source = moved.moves[0].flatten(1)
    shown = torch.where(source >= 0, salient.flatten(1).gather(1, source.clamp(min=0)), 0)
    seen = kept.mask.flatten(1) > 0
    before, after = (salient.flatten(1) * seen).sum(1), (shown * seen).sum(1)
    assert (after >= before - 1e-5).all()
    assert after.mean() > 1.005 * before.mean()


@pytest.mark.parametrize("solver", ["exact", "torch"])
def test_the_loss_is_that_of_the_targets(solver: str) -> None:
    model = plain(8, 6)
    mixed, mix = PuzzleMix(solver=solver)(X, saliency=saliency(model, X, Y))  # type: ignore[arg-type]
    preds = model(mixed)
    torch.testing.assert_close(mix.loss(preds, Y), F.cross_entropy(preds, mix.targets(Y, num_classes=5)))


def test_two_labels_choose_integers() -> None:
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    mixed, mix = PuzzleMix(n_labels=2, transport="none")(images, saliency=torch.rand(4, 8, 8))
    assert torch.equal(mixed, torch.where(mix.mask[:, None] > 0.5, images, images[mix.index]))
    with pytest.raises(TypeError, match=r"torch\.uint8 and integers are chosen, never blended"):
        PuzzleMix()(images, saliency=torch.rand(4, 8, 8))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_dtypes_are_kept(dtype: torch.dtype) -> None:
    mixed, mix = PuzzleMix(transport="none")(X.to(dtype), saliency=torch.rand(6, 8, 6, dtype=torch.float64))
    assert mixed.dtype == dtype
    assert (mix.mask.dtype, mix.lam.dtype) == (torch.float32, torch.float32)


def test_the_mix_is_differentiable_and_the_draw_is_not() -> None:
    x, salient = X.clone().requires_grad_(), torch.rand(6, 8, 6, requires_grad=True)
    mixed, mix = PuzzleMix()(x, saliency=salient)
    assert not mix.mask.requires_grad
    mixed.sum().backward()
    assert x.grad is not None
    assert salient.grad is None


def test_inputs_are_untouched() -> None:
    x, salient, index, lam = X.clone(), torch.rand(6, 8, 6), torch.arange(6).roll(1), torch.full((6,), 0.5)
    given = [salient.clone(), index.clone(), lam.clone()]
    for transport, solver in itertools.product(["heuristic", "exact"], ["exact", "torch"]):
        PuzzleMix(transport=transport, solver=solver)(x, saliency=salient, index=index, lam=lam)  # type: ignore[arg-type]
    assert torch.equal(x, X)
    assert all(torch.equal(a, b) for a, b in zip(given, [salient, index, lam], strict=True))


def test_a_buffer_takes_the_mix() -> None:
    out = torch.empty_like(X)
    mixed, mix = PuzzleMix()(X, saliency=torch.rand(6, 8, 6), out=out)
    assert mixed is out
    assert torch.equal(mix(X), out)


# ---------------------------------------------------------------- Puzzle Mix: the draw


@pytest.mark.parametrize("solver", ["exact", "torch"])
def test_the_same_generator_gives_the_same_draw(solver: str) -> None:
    mixer, salient = PuzzleMix(solver=solver, per_sample=True), torch.rand(6, 8, 6)  # type: ignore[arg-type]
    one, same, other = (
        mixer.draw(X, saliency=salient, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one.mask, same.mask)
    assert torch.equal(one.index, same.index)
    assert one.moves is not None
    assert same.moves is not None
    assert all(torch.equal(a, b) for a, b in zip(one.moves, same.moves, strict=True))
    assert not torch.equal(one.index, other.index) or not torch.equal(one.mask, other.mask)


def test_a_generator_leaves_the_global_one_alone_and_none_uses_it() -> None:
    mixer, salient, random = PuzzleMix(), torch.rand(6, 8, 6), torch.get_rng_state()
    mixer.draw(X, saliency=salient, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), random)
    one = mixer.draw(X, saliency=salient)
    assert not torch.equal(torch.get_rng_state(), random)
    torch.set_rng_state(random)
    same = mixer.draw(X, saliency=salient)
    assert torch.equal(one.mask, same.mask)


def test_block_counts_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 draws each of 3 counts has 100, within 4.5 standard errors."""
    drawn: list[tuple[int, ...]] = []
    real = MODULE.Blocks

    def spy(grid: tuple[int, ...], counts: tuple[int, ...]) -> Any:
        drawn.append(counts)
        return real(grid, counts)

    monkeypatch.setattr(MODULE, "Blocks", spy)
    mixer = PuzzleMix(blocks=[1, 2, 9], transport="none", solver="torch")
    monkeypatch.setattr(MODULE, "relaxed_cut", lambda energy: energy.unary.argmin(1))
    for _ in range(300):
        mixer.draw(torch.rand(2, 1, 4, 3), saliency=torch.ones(2, 4, 3))
    assert set(drawn) == {(1, 1), (2, 2), (4, 3)}
    for counts in set(drawn):
        assert abs(drawn.count(counts) - 100) < 4.5 * (300 * 2 / 9) ** 0.5


@pytest.mark.parametrize("per_sample", [False, True])
def test_lam_is_drawn_from_beta(monkeypatch: pytest.MonkeyPatch, per_sample: bool) -> None:
    """Of 800 draws of Beta(2, 2) the mean is 1/2 within 4.5 standard errors, and the variance 1/20 within 20 %."""
    asked: list[Tensor] = []
    real = MODULE.puzzle_energy

    def spy(x: Tensor, salient: Tensor, index: Tensor, lam: Tensor, *args: Any, **kwargs: Any) -> Any:
        asked.append(lam)
        return real(x, salient, index, lam, *args, **kwargs)

    monkeypatch.setattr(MODULE, "puzzle_energy", spy)
    monkeypatch.setattr(MODULE, "relaxed_cut", lambda energy: energy.unary.argmin(1))
    mixer = PuzzleMix(alpha=2.0, blocks=(2,), transport="none", solver="torch", per_sample=per_sample)
    for _ in range(800 // (4 if per_sample else 1)):
        mixer.draw(torch.rand(4, 1, 2), saliency=torch.ones(4, 2))
    lam = torch.stack(asked)
    assert (len(lam[0].unique()) > 1) == per_sample
    drawn = lam.flatten() if per_sample else lam[:, 0]
    assert len(drawn) == 800
    assert abs(float(drawn.mean()) - 0.5) < 4.5 * (0.05 / 800) ** 0.5
    assert float(drawn.var()) == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize("batch", [1, 2, 3])
@grids
def test_any_batch_and_grid_will_do(batch: int, grid: tuple[int, ...]) -> None:
    x, y = torch.randn(batch, 1, *grid), torch.arange(batch)
    model = plain(*grid, features=1)
    mixed, mix = PuzzleMix()(x, saliency=saliency(model, x, y))
    assert mixed.shape == x.shape
    assert mix.loss(model(mixed), y).isfinite()
    assert mix.index.sort().values.tolist() == list(range(batch))


@pytest.mark.parametrize("grid", [(9,), (5, 8)], ids=str)
def test_with_torch_alone_no_device_is_waited_for(monkeypatch: pytest.MonkeyPatch, grid: tuple[int, ...]) -> None:
    """Tensors of the meta device hold no values: whatever looked at one would raise, as would two devices in one."""
    monkeypatch.setattr(MODULE, "relaxed_cut", functools.partial(MODULE.relaxed_cut, rounds=2))
    x, y = torch.empty(4, 3, *grid, device="meta"), torch.empty(4, dtype=torch.int64, device="meta")
    salient = saliency(plain(*grid).to("meta"), x, y)
    mixed, mix = PuzzleMix(solver="torch", blocks=(2,))(x, saliency=salient)
    assert mix.moves is not None
    assert {each.device.type for each in (salient, mixed, mix.index, mix.mask, mix.lam, *mix.moves)} == {"meta"}
    assert mixed.shape == x.shape


def test_a_mixer_is_frozen_hashable_and_picklable() -> None:
    mixer = PuzzleMix(alpha=0.2, blocks=[2, 4])
    assert mixer == pickle.loads(pickle.dumps(mixer))
    assert hash(mixer) == hash(PuzzleMix(alpha=0.2, blocks=(2, 4)))
    assert "alpha=0.2" in repr(mixer)
    assert "blocks=(2, 4)" in repr(mixer)
    assert isinstance(mixer, mm.Draws)
    with pytest.raises(AttributeError):
        mixer.alpha = 1.0  # type: ignore[misc]


# ---------------------------------------------------------------- Puzzle Mix: errors

SALIENT = torch.rand(6, 8, 6)
DRAW_ERRORS = {
    "no saliency": ({"saliency": None}, TypeError, r"saliency = mm\.saliency\(model, x, y, criterion\)"),
    "padding": ({"valid": torch.ones(6, 8, 6).bool()}, TypeError, r"takes no padding.*MixUp, CutMix or FMix"),
    "no tensor": ({"saliency": 1.0}, TypeError, r"saliency is float.*torch\.Tensor"),
    "integers": ({"saliency": SALIENT.long()}, TypeError, r"saliency is torch\.int64 and must be floating"),
    "shape": ({"saliency": SALIENT[:, None]}, ValueError, r"\(6, 1, 8, 6\).*\(6, 8, 6\).*same axes"),
    "negative": ({"saliency": -SALIENT}, ValueError, r"saliency must be finite and 0 or more; got values from -"),
    "infinite": ({"saliency": SALIENT / 0}, ValueError, r"saliency must be finite and 0 or more.*inf"),
    "x": ({"x": X / 0}, ValueError, r"x must be finite"),
    "x, no tensor": ({"x": [0.0]}, TypeError, r"x is list.*torch\.Tensor"),
    "rank": ({"x": X[:, 0, 0]}, ValueError, r"axes='b c \*'.*3 axes or more.*\(6, 6\)"),
    "lam": ({"lam": 1.5}, ValueError, r"lam=1\.5 must be a number in \[0, 1\]"),
    "lam, shape": ({"lam": torch.ones(4)}, ValueError, r"lam has shape \(4,\).*\(6,\)"),
    "index": ({"index": torch.arange(5)}, ValueError, r"index has shape \(5,\).*\(6,\)"),
}


@pytest.mark.parametrize(("changes", "error", "message"), DRAW_ERRORS.values(), ids=DRAW_ERRORS.keys())
def test_errors_of_a_draw(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"x": X, "saliency": SALIENT, **changes}
    x = given.pop("x")
    for call in (PuzzleMix().draw, PuzzleMix()):
        with pytest.raises(error, match=message):
            call(x, **given)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 0}, r"alpha=0 must be a positive number"),
        ({"n_labels": 1}, r"n_labels=1 must be 2, 3 or 4"),
        ({"n_labels": 5}, r"n_labels=5 must be 2, 3 or 4"),
        ({"n_labels": 3.0}, r"n_labels=3\.0 must be 2, 3 or 4"),
        ({"beta": -1}, r"beta=-1 must be a number, 0 or more"),
        ({"eta": math.nan}, r"eta=nan must be a number, 0 or more"),
        ({"t_eps": "1"}, r"t_eps='1' must be a number, 0 or more"),
        ({"gamma": 1.01}, r"gamma=1\.01 must be a number in \[0, 1\]"),
        ({"neigh_size": 0}, r"neigh_size=0 must be a whole number of cells, 1 or more"),
        ({"blocks": ()}, r"blocks=\(\) must hold one whole number or more"),
        ({"blocks": (2, 0)}, r"blocks=\(2, 0\) must hold"),
        ({"blocks": 4}, r"blocks=4 must hold"),
        ({"blocks": "24"}, r"blocks='24' must hold"),
        ({"transport": "yes"}, r"transport='yes' must be 'heuristic', 'exact' or 'none'"),
        ({"solver": "gco"}, r"solver='gco' must be 'exact' or 'torch'"),
        ({"axes": "b c"}, r"axes='b c' is not an axes pattern"),
        ({"per_sample": 1}, r"per_sample=1 must be True or False"),
    ],
    ids=str,
)
def test_errors_of_settings(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PuzzleMix(**setting)


def test_scipy_is_needed_by_what_is_exact_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"] + ["scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    PuzzleMix(solver="torch")(X, saliency=SALIENT)
    for setting in ({"solver": "exact"}, {"solver": "torch", "transport": "exact"}):
        with pytest.raises(ImportError, match=r"PuzzleMix.*pip install 'mixmodal\[puzzle\]'"):
            PuzzleMix(**setting)(X, saliency=SALIENT)  # type: ignore[arg-type]
