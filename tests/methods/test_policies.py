"""What a policy remembers: its turns, wherever they are within it."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

import mixmodal as mm
from mixmodal.modalities.text.ends import KeepEnds

A, B, C, D = mm.MixUp(alpha=0.1), mm.MixUp(alpha=0.2), mm.MixUp(alpha=0.3), mm.MixUp(alpha=0.4)


def chosen(policy: mm.Policy) -> mm.Draws:
    """What draws the next batch in the end."""
    found: mm.Draws = policy
    while isinstance(found, mm.Policy):
        found = found.choose()
    return found


NESTED: dict[str, tuple[Callable[[], mm.Policy], list[mm.Draws]]] = {
    "alone": (lambda: mm.Alternate([A, B, C]), [A, B, C] * 4),
    "in one of": (lambda: mm.OneOf([mm.Alternate([A, B, C])]), [A, B, C] * 4),
    "in another": (
        lambda: mm.Alternate([mm.Alternate([A, B, C]), D]),
        [A, D, B, D, C, D] * 2,
    ),
    "three deep": (
        lambda: mm.Alternate([mm.OneOf([mm.Alternate([A, mm.Alternate([B, C])])]), D]),
        [A, D, B, D, A, D, C, D] * 2,
    ),
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("after", range(7))
def test_a_policy_goes_on_where_it_was_saved(name: str, after: int) -> None:
    build, expected = NESTED[name]
    policy, resumed = build(), build()
    assert [chosen(policy) for _ in range(after)] == expected[:after]
    resumed.load_state_dict(json.loads(json.dumps(policy.state_dict())))
    twins = [resumed, copy.deepcopy(policy), pickle.loads(pickle.dumps(policy)), policy]
    for twin in twins:
        assert [chosen(twin) for _ in range(5)] == expected[after : after + 5]


def test_what_wraps_a_policy_has_its_state() -> None:
    """`KeepEnds`, `OnPoints`, and a class of your own."""

    class Twice(mm.Draws):
        partner = True

        def __init__(self, by_name: mm.Draws) -> None:
            self.by_name = by_name

        def record(self, x: torch.Tensor, asked: mm.Asked) -> mm.Mix:
            self.by_name.record(x, asked)
            return self.by_name.record(x, asked)

    ids = torch.randint(2, 9, (3, 7))
    points = torch.rand(3, 20, 3)
    draws: list[tuple[Callable[[mm.Draws], mm.Draws], Any, int]] = [
        (KeepEnds, {"x": ids, "valid": torch.ones(3, 7, dtype=torch.bool)}, 1),
        (mm.OnPoints, {"x": points}, 1),
        (Twice, {"x": torch.rand(3, 1, 7)}, 2),
    ]
    for wrap, given, turns in draws:
        axes = "b *" if wrap is KeepEnds else "b c *"
        inner, other = ([mm.CutMix(axes=axes) for _ in range(5)] for _ in range(2))
        first, second = mm.Alternate(inner), mm.Alternate(other)
        wrapped, resumed = wrap(first), wrap(second)
        wrapped.draw(**given)
        resumed.load_state_dict(json.loads(json.dumps(wrapped.state_dict())))
        assert first.choose() is inner[turns]
        assert second.choose() is other[turns]


def test_frozen_mixers_have_an_empty_state() -> None:
    for mixer in (mm.FMix(), mm.OneOf([mm.FMix(), mm.NoMix()]), mm.OnPoints(mm.CutMix()), KeepEnds(mm.CutMix())):
        assert mixer.state_dict() == {}
        mixer.load_state_dict({})


@pytest.mark.parametrize("state", [{}, {"turn": 0}, {"turn": 0, "mixers.1": {"turn": 0}}, {"mixers.0": {"turn": 0}}])
def test_the_state_of_another_policy_is_refused(state: Any) -> None:
    policy = mm.Alternate([mm.Alternate([A, B]), C])
    chosen(policy)
    before = policy.state_dict()
    with pytest.raises(ValueError, match=r"state="):
        policy.load_state_dict(state)
    assert policy.state_dict() == before
    with pytest.raises(ValueError, match=r"belongs to another mixer: OneOf.* has a state of nothing"):
        mm.OneOf([A, B]).load_state_dict(before)
    for wrong in ({"turn": 0, "mixers.0": {"turn": 2}}, {"turn": True, "mixers.0": {"turn": 0}}, None):
        with pytest.raises(ValueError, match="hold a turn below 2"):
            policy.load_state_dict(wrong)  # type: ignore[arg-type]


def test_sites_have_a_state_each() -> None:
    """What `at` holds is all that changes in a HiddenMix from step to step."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    at = {net: mm.OneOf([mm.Alternate([A, B])]), net[1]: mm.Alternate([C, D])}
    with mm.HiddenMix(net, at) as hidden:
        torch.manual_seed(0)
        for _ in range(9):
            hidden(torch.rand(2, 4))
        turns = [mixer.state_dict() for mixer in hidden.at.values()]
    assert (turns[0]["mixers.0"]["turn"] + turns[1]["turn"]) % 2 == 1  # nine batches between the two
    fresh = [mm.OneOf([mm.Alternate([A, B])]), mm.Alternate([C, D])]
    for mixer, state in zip(fresh, turns, strict=True):
        mixer.load_state_dict(state)
    assert [chosen(mixer) for mixer in fresh] == [chosen(mixer) for mixer in at.values()]
