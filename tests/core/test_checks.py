"""Numbers of NumPy's are numbers: in constructors, in draws, wherever a number is asked for."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

import mixmodal as mm

X = torch.rand(4, 3, 6, 6)
PAIRS: dict[str, tuple[Callable[[], Any], Any]] = {
    "alpha, float64": (lambda: mm.MixUp(alpha=np.float64(0.5)), mm.MixUp(alpha=0.5)),
    "alpha, float32": (lambda: mm.CutMix(alpha=np.float32(0.5)), mm.CutMix(alpha=0.5)),
    "alpha, int64": (lambda: mm.FMix(alpha=np.int64(2)), mm.FMix(alpha=2)),
    "decay_power": (lambda: mm.FMix(decay_power=np.float32(3), max_soft=np.float16(0.25)), mm.FMix(max_soft=0.25)),
    "adjust_lam": (lambda: mm.CutMix(adjust_lam=np.False_), mm.CutMix(adjust_lam=False)),
    "per_sample": (lambda: mm.MixUp(per_sample=np.True_), mm.MixUp(per_sample=True)),
    "size": (lambda: mm.Cutout(size=np.int64(3)), mm.Cutout(size=3)),
    "block_size": (lambda: mm.PatchUp(block_size=np.int64(3)), mm.PatchUp(block_size=3)),
    "gamma": (lambda: mm.PatchUp(gamma=np.float64(0.5), soft=np.True_), mm.PatchUp(gamma=0.5)),
    "drop_prob": (
        lambda: mm.DropBlock(block_size=np.uint8(3), drop_prob=np.float32(0.5)),
        mm.DropBlock(block_size=3, drop_prob=0.5),
    ),
    "counts": (
        lambda: mm.PuzzleMix(n_labels=np.int64(3), blocks=(np.int64(2), 4)),
        mm.PuzzleMix(n_labels=3, blocks=(2, 4)),
    ),
    "beta": (lambda: mm.PuzzleMix(beta=np.float32(1.5), neigh_size=np.int32(2)), mm.PuzzleMix(beta=1.5, neigh_size=2)),
    "p": (
        lambda: mm.OneOf([mm.MixUp(), mm.NoMix()], p=np.array([0.25, 0.75])),
        mm.OneOf([mm.MixUp(), mm.NoMix()], p=[0.25, 0.75]),
    ),
    "resolution": (lambda: mm.OnPoints(mm.FMix(), resolution=np.int64(8)), mm.OnPoints(mm.FMix(), resolution=8)),
    "multiple": (lambda: mm.PadCollate(0, multiple=np.int64(8)), mm.PadCollate(0, multiple=8)),
}


@pytest.mark.parametrize(("build", "plain"), PAIRS.values(), ids=PAIRS.keys())
def test_settings_of_numpy_are_those_of_python(build: Callable[[], Any], plain: Any) -> None:
    built = build()
    assert built == plain
    assert hash(built) == hash(plain)
    assert repr(built) == repr(plain)
    assert pickle.loads(pickle.dumps(built)) == plain


@pytest.mark.parametrize("lam", [np.float64(0.25), np.float32(0.25), np.float16(0.25)], ids=lambda lam: str(lam.dtype))
def test_shares_of_numpy(lam: Any) -> None:
    for mixer in (mm.MixUp(), mm.FMix(), mm.OneOf([mm.MixUp()]), mm.PatchUp(block_size=3)):
        drawn = []
        for share in (lam, 0.25):
            torch.manual_seed(0)
            drawn.append(mixer.draw(X, lam=share).mask)
        assert torch.equal(*drawn)
    assert (mm.MixUp().draw(X, lam=np.int64(1)).lam == 1).all()


def test_other_numbers_of_numpy() -> None:
    mix = mm.CutMix().draw(X)
    y = torch.tensor([0, 1, 2, 1])
    assert torch.equal(mix.targets(y, num_classes=np.int64(3)), mix.targets(y, num_classes=3))
    assert mix.resize((np.int64(3), np.int64(2))).mask.shape == (1, 3, 2)
    batches = mm.LengthBucketBatchSampler(list(range(1, 9)), np.int64(2), seed=np.int64(1))  # type: ignore[arg-type]
    assert list(batches) == list(mm.LengthBucketBatchSampler(list(range(1, 9)), 2, seed=1))
    cloud = torch.rand(2, 5, 3)
    assert torch.equal(mm.voxelize(cloud, np.int64(4)), mm.voxelize(cloud, 4))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [np.float64("nan"), np.float32("inf"), np.array(0.5), np.str_("1"), np.bool_(True), 1j, torch.tensor(0.5)],
    ids=repr,
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"alpha=.*positive number"):
        mm.MixUp(alpha=value)


@pytest.mark.parametrize("value", [np.float64(3), 3.0, np.True_, True, np.array(3), "3"], ids=repr)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    calls = [
        *(
            lambda: mm.Cutout(size=value),
            lambda: mm.PatchUp(block_size=value),
            lambda: mm.OnPoints(mm.FMix(), resolution=value),
        ),
        lambda: mm.MixUp().draw(X).targets(torch.zeros(4).long(), num_classes=value),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"(size|block_size|resolution|num_classes)=.*whole number"):
            call()


# ---------------------------------------------------------------- settings by name


def test_puzzle_mix_names_its_settings_too() -> None:
    with pytest.raises(TypeError, match=r"PuzzleMix takes no positional.*PuzzleMix\(alpha=0.4\)"):
        mm.PuzzleMix(0.4)  # type: ignore[misc]


def test_mixers_of_ones_own_may_take_positions() -> None:
    @dataclass(frozen=True)
    class Positional(mm.MixUp):
        side: int = 3

    class Written(mm.MixUp):
        def __init__(self, side: int) -> None:
            super().__init__(alpha=float(side))

    assert Positional(5).side == 5
    assert Written(2).alpha == 2.0
    assert replace(Positional(5), side=np.int64(4)) == Positional(4)


# ---------------------------------------------------------------- valid on a square batch


@pytest.mark.parametrize("build", [mm.NoMix, mm.MixUp])
def test_a_square_batch_tells_not_which_axis_is_marked(build: Any) -> None:
    """(B, T, D) with T = D: the default axes would take channels for places, and zero them."""
    x, valid = torch.rand(4, 7, 7), torch.arange(7) < torch.tensor([7, 5, 3, 6])[:, None]
    with pytest.raises(ValueError, match=r"valid of shape \(4, 7\).*\(4, 7, 7\).*axes='b \* d'.*axes='b c \*'"):
        build()(x, valid=valid)
    if build is mm.NoMix:
        assert torch.equal(build(axes="b * d")(x, valid=valid)[0], x * valid[:, :, None])
        assert torch.equal(build(axes="b c *")(x, valid=valid)[0], x * valid[:, None, :])
    mixed, mix = build(axes="b * d")(x, valid=valid, lam=0.75, index=torch.tensor([1, 2, 3, 0]))
    real = valid if build is mm.NoMix else valid | valid[mix.index]
    assert torch.equal((mixed != 0).any(2), real)
    assert build()(torch.rand(4, 3, 7), valid=valid)[0].shape == (4, 3, 7)  # one way only
