"""Saliency reaches the mixer that needs it, through policies too, and is refused where nobody could give or use it."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mixmodal as mm

PUZZLE = mm.PuzzleMix(solver="torch", transport="none")


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)], ids=["samples", "channels"])
def test_there_must_be_values_to_compare(shape: tuple[int, ...]) -> None:
    message = re.escape(f"x.shape={shape} must have a sample and a channel or more")
    with pytest.raises(ValueError, match=message):
        PUZZLE(torch.zeros(shape), saliency=torch.ones(shape[0], *shape[2:]))


NEEDING: dict[str, Callable[[], mm.Draws]] = {
    "itself": lambda: PUZZLE,
    "OneOf": lambda: mm.OneOf([mm.CutMix(), PUZZLE]),
    "never chosen": lambda: mm.OneOf([mm.NoMix(), PUZZLE], p=[1, 0]),
    "nested": lambda: mm.Alternate([mm.MixUp(), mm.OneOf([PUZZLE])]),
}
needing = pytest.mark.parametrize("make", NEEDING.values(), ids=NEEDING)


def batch() -> tuple[Tensor, Tensor]:
    """Images, and what is salient in them."""
    return torch.rand(6, 3, 8, 8), torch.rand(6, 8, 8)


def test_a_policy_hands_saliency_to_the_mixer_that_needs_it() -> None:
    """In its turn each mixer draws what it draws alone from the same state of the generator."""
    x, saliency = batch()
    policy = mm.Alternate([PUZZLE, mm.CutMix(), mm.OneOf([PUZZLE])])
    alone = [
        lambda generator: PUZZLE(x, saliency=saliency, generator=generator),
        lambda generator: mm.CutMix()(x, generator=generator),
        lambda generator: mm.OneOf([PUZZLE])(x, saliency=saliency, generator=generator),
    ]
    for seed, draw in enumerate(alone):
        mixed, mix = policy(x, saliency=saliency, generator=torch.Generator().manual_seed(seed))
        expected, record = draw(torch.Generator().manual_seed(seed))
        assert mixed.equal(expected)
        assert mix.mask.equal(record.mask)
        assert mix.index.equal(record.index)


def test_what_is_salient_decides() -> None:
    """A policy that lost the saliency could not keep the half of each sample that matters."""
    x = torch.rand(2, 3, 8, 8)
    saliency = torch.zeros(2, 8, 8)
    saliency[0, :, :4] = saliency[1, :, 4:] = 1
    index = torch.tensor([1, 0])
    mixer = mm.OneOf([mm.PuzzleMix(solver="torch", transport="none", blocks=(8,), eta=0.0, n_labels=2)])
    _, mix = mixer(x, saliency=saliency, index=index, lam=0.5)
    assert mix.mask[0, :, :4].mean() > 0.9
    assert mix.mask[0, :, 4:].mean() < 0.1


@needing
def test_it_is_asked_for_at_every_draw(make: Callable[[], mm.Draws]) -> None:
    """Also where another mixer would be chosen, so that no training fails in its hundredth step."""
    x, _ = batch()
    for draw in (make(), make().draw):
        with pytest.raises(TypeError, match=r"needs to know what is salient: saliency = mm.saliency\(model, x, y"):
            draw(x)


@pytest.mark.parametrize(
    "mixer", [mm.FMix(), mm.NoMix(), mm.OneOf([mm.FMix(), mm.NoMix()]), mm.Cutout(size=2)], ids=str
)
def test_what_nobody_looks_at_is_refused(mixer: mm.Draws) -> None:
    x, saliency = batch()
    with pytest.raises(TypeError, match=r"saliency is given, but .* does not use it; leave it out"):
        mixer(x, saliency=saliency)


@needing
def test_who_has_no_model_refuses_it_when_made(make: Callable[[], mm.Draws]) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    makers: dict[str, Callable[[], object]] = {
        "a MixCollate": lambda: mm.MixCollate(make()),
        "OnPoints": lambda: mm.OnPoints(make()),
        "KeepEnds": lambda: mm.KeepEnds(make()),
        "HiddenMix": lambda: mm.HiddenMix(net, {net: make()}),
    }
    for who, made in makers.items():
        with pytest.raises(TypeError, match=f"needs saliency, which {who} cannot give it: mix the batch in"):
            made()
    assert not net._forward_pre_hooks
