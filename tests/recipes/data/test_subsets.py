"""Some samples of every class, of any set."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recipes import audio, images, points
from recipes.data.audio import sets as speech
from recipes.data.images.sets import load
from recipes.data.points import sets as shapes
from recipes.data.subsets import subset

SETS = {
    "digits": lambda: load("digits"),
    "speech": speech.synthetic,
    "shapes": lambda: shapes.load("synthetic", points=8),
}


@pytest.mark.parametrize("make", SETS.values(), ids=SETS)
def test_a_subset_is_balanced_deterministic_and_of_the_set(make: Callable[[], Any]) -> None:
    data = make()
    state = torch.get_rng_state()
    few = subset(data, 7, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    same, other = subset(data, 7, seed=3), subset(data, 7, seed=4)
    assert few.train_y.bincount().tolist() == [7] * len(data.classes)
    assert torch.equal(few.train_x, same.train_x)
    assert not torch.equal(few.train_x, other.train_x)
    assert torch.equal(few.test_x, data.test_x)
    assert few.name == f"{data.name}-7-per-class-seed-3"
    known = {(*x.flatten().tolist(), int(y)) for x, y in zip(data.train_x, data.train_y, strict=True)}
    drawn = {(*x.flatten().tolist(), int(y)) for x, y in zip(few.train_x, few.train_y, strict=True)}
    assert drawn <= known
    assert len(drawn) == len(few.train_y)


def test_impossible_sizes_are_refused() -> None:
    data = load("digits")
    with pytest.raises(ValueError, match="per_class=0 must be at least 1"):
        subset(data, 0)
    with pytest.raises(ValueError, match="per_class=1000 exceeds the 143 training samples of class 0"):
        subset(data, 1000)


def test_recipes_train_on_what_is_asked_for() -> None:
    clips = audio.load(audio.Settings(data="synthetic", per_class=3))
    assert clips.train_y.bincount().tolist() == [3] * len(clips.classes)
    train, test = points.load(points.Settings(data="synthetic", per_class=3, points=8))
    assert train.train_y.bincount().tolist() == [3] * len(train.classes)
    assert len(test.test_y) == len(shapes.load("synthetic", points=8).test_y)
    assert images.load(images.Settings(per_class=3)).train_y.bincount().tolist() == [3] * 10
