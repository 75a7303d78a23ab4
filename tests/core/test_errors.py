"""Every error names the argument, the value or shape at fault, and what would be right."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm

X = torch.zeros(4, 3, 6, 5)
Y = torch.tensor([0, 2, 1, 2])


def record(**changes: Any) -> mm.Mix:
    mask = torch.ones(1, 6, 5)
    mask[:, :3] = 0
    return mm.Mix(**{"index": torch.arange(4), "mask": mask, "lam": torch.full((4,), 0.5), "hard": True, **changes})


def soft() -> mm.Mix:
    return record(mask=torch.full((1, 6, 5), 0.5), hard=False)


def blocks(valid: Tensor | None = None, **settings: Any) -> mm.Mix:
    return mm.PatchUp(**settings).draw(X, valid=valid)


BLOCKS = [mm.PatchUp(), mm.DropBlock()]
Case = tuple[Callable[[], Any], type[Exception], str]


def expect(cases: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("call", "error", "message"), cases.values(), ids=cases.keys())


# ---------------------------------------------------------------- axes

AXES = ["c b *", "b c", "* b", "b * *", "b c c *", "b b *", "", "bc*", "*", None, 3, ("b", "*")]


@pytest.mark.parametrize("axes", AXES, ids=repr)
@pytest.mark.parametrize(
    "build",
    [mm.MixUp, mm.CutMix, mm.FMix, mm.NoMix, mm.PatchUp, mm.DropBlock, lambda axes: mm.Cutout(size=2, axes=axes)],
)
def test_wrong_axes(build: Any, axes: Any) -> None:
    with pytest.raises(ValueError, match=r"axes=.*'b'.*'\*'.*as in 'b c \*'") as info:
        build(axes=axes)
    assert f"axes={axes!r}" in str(info.value)


@pytest.mark.parametrize("axes", ["c b *", "b c", "b * *"])
def test_wrong_axes_of_a_replay_or_a_loss(axes: str) -> None:
    with pytest.raises(ValueError, match=r"axes=.*axes pattern"):
        record()(X, axes=axes)
    with pytest.raises(ValueError, match=r"axes=.*axes pattern"):
        record().loss(torch.zeros(4, 3, 6, 5), torch.zeros(4, 6, 5).long(), axes=axes)


@expect(
    {
        "rank": (lambda: mm.FMix()(torch.zeros(4, 3)), ValueError, r"axes='b c \*'.*3 axes or more.*\(4, 3\).*'b \*'"),
        "rank 1": (lambda: mm.CutMix()(torch.zeros(4)), ValueError, r"axes='b c \*'.*3 axes or more.*\(4,\)"),
        "rank, tail": (
            lambda: mm.FMix(axes="b * d")(torch.zeros(4, 3)),
            ValueError,
            r"axes='b \* d'.*3 axes or more.*\(4, 3\)",
        ),
        "no cells": (lambda: mm.FMix()(torch.zeros(4, 3, 0)), ValueError, r"axes='b c \*'.*empty.*\(4, 3, 0\)"),
        "rank, valid": (
            lambda: mm.MixUp()(torch.zeros(4, 3), valid=torch.ones(4, 3).bool()),
            ValueError,
            r"axes='b c \*'.*3 axes or more.*\(4, 3\)",
        ),
        "replay": (lambda: record()(torch.zeros(4, 3)), ValueError, r"axes='b c \*'.*3 axes or more.*\(4, 3\)"),
    }
)
def test_too_few_axes(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- hyper-parameters


@pytest.mark.parametrize("alpha", [0, 0.0, -1, math.nan, math.inf, "1", None, True], ids=repr)
@pytest.mark.parametrize("build", [mm.MixUp, mm.CutMix, mm.FMix, mm.PatchUp])
def test_wrong_alpha(build: Any, alpha: Any) -> None:
    with pytest.raises(ValueError, match=r"alpha=.*positive.*NoMix") as info:
        build(alpha=alpha)
    assert f"alpha={alpha!r}" in str(info.value)


@pytest.mark.parametrize("max_soft", [-0.01, 0.51, 1, math.nan, "0.1", None], ids=repr)
def test_wrong_max_soft(max_soft: Any) -> None:
    with pytest.raises(ValueError, match=r"max_soft=.*\[0, 0.5\]") as info:
        mm.FMix(max_soft=max_soft)
    assert f"max_soft={max_soft!r}" in str(info.value)


@pytest.mark.parametrize("decay_power", [-0.5, math.nan, math.inf, "3", None], ids=repr)
def test_wrong_decay_power(decay_power: Any) -> None:
    with pytest.raises(ValueError, match=r"decay_power=.*0 or more") as info:
        mm.FMix(decay_power=decay_power)
    assert f"decay_power={decay_power!r}" in str(info.value)


MIXERS = [mm.CutMix, mm.DropBlock, mm.FMix, mm.MixUp, mm.NoMix, mm.PatchUp]
NUMBERS = [
    (build, field.name)
    for build in (*MIXERS, partial(mm.FMix, spectrum="upstream"), partial(mm.Cutout, size=2), mm.PuzzleMix)
    for field in dataclasses.fields(build.func if isinstance(build, partial) else build)
    if field.init and (float in (field.type, *get_args(field.type)) or field.type is int)
]


@pytest.mark.parametrize("value", [2**63, 10**30, 10**400, -(10**400)], ids=["2^63", "10^30", "10^400", "-10^400"])
@pytest.mark.parametrize(("build", "name"), NUMBERS)
def test_numbers_of_any_size_are_taken_or_refused(build: Any, name: str, value: int) -> None:
    """Whole numbers of Python's have no end, and torch has 64 bits for them."""
    x = torch.rand(4, 3, 6, 5)
    mixer, refused = None, ""
    try:
        mixer = build(**{name: value})
    except ValueError as error:
        refused = str(error)
    if mixer is None:
        assert refused.startswith(f"{name}={value} must ")
        return
    mixed, mix = mixer(x, **({"saliency": x.mean(1)} if mixer.needs_saliency else {}))
    assert mixed.shape == x.shape
    assert ((mix.lam >= 0) & (mix.lam <= 1)).all()


@pytest.mark.parametrize("spectrum", ["Paper", "", None, 0], ids=repr)
def test_wrong_spectrum(spectrum: Any) -> None:
    with pytest.raises(ValueError, match=r"spectrum=.*'paper' or 'upstream'"):
        mm.FMix(spectrum=spectrum)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, None, (3, 3)], ids=repr)
def test_wrong_size(size: Any) -> None:
    with pytest.raises(ValueError, match=r"size=.*whole number.*1 or more"):
        mm.Cutout(size=size)


@pytest.mark.parametrize("block_size", [0, -1, 1.5, 3.0, True, None, "7", (3, 3)], ids=repr)
@pytest.mark.parametrize("build", [mm.PatchUp, mm.DropBlock])
def test_wrong_block_size(build: Any, block_size: Any) -> None:
    with pytest.raises(ValueError, match=r"block_size=.*whole number of cells, 1 or more") as info:
        build(block_size=block_size)
    assert f"block_size={block_size!r}" in str(info.value)


@pytest.mark.parametrize("share", [-0.01, 1.01, 7, math.nan, math.inf, "0.5", True, (0.5,)], ids=repr)
@pytest.mark.parametrize(("build", "name"), [(mm.PatchUp, "gamma"), (mm.DropBlock, "drop_prob")])
def test_wrong_share_of_blocks(build: Any, name: str, share: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.*number in \[0, 1\]") as info:
        build(**{name: share})
    assert f"{name}={share!r}" in str(info.value)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("channels", ("independent", "shared")),
        ("seed_region", ("everywhere", "valid")),
        ("gamma_mode", ("nominal", "calibrated")),
    ],
)
@pytest.mark.parametrize("value", ["Shared", "", None, 0, True, ["shared"]], ids=repr)
def test_wrong_choices_of_blocks(name: str, choices: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*{choices[0]}.*{choices[1]}") as info:
        mm.PatchUp(**{name: value})
    assert f"{name}={value!r}" in str(info.value)
    for choice in choices:
        assert getattr(mm.PatchUp(**{name: choice}), name) == choice  # type: ignore[arg-type]


@pytest.mark.parametrize("soft", [1, 0, "hard", None], ids=repr)
def test_wrong_soft(soft: Any) -> None:
    with pytest.raises(ValueError, match=r"soft=.*True or False") as info:
        mm.PatchUp(soft=soft)
    assert f"soft={soft!r}" in str(info.value)


@pytest.mark.parametrize("per_sample", [1, 0, "yes", None], ids=repr)
@pytest.mark.parametrize("build", [mm.MixUp, mm.FMix, mm.NoMix, mm.PatchUp, mm.DropBlock])
def test_wrong_per_sample(build: Any, per_sample: Any) -> None:
    with pytest.raises(ValueError, match=r"per_sample=.*True or False"):
        build(per_sample=per_sample)


@pytest.mark.parametrize("build", [mm.MixUp, mm.CutMix, mm.FMix, mm.Cutout, mm.NoMix, mm.PatchUp, mm.DropBlock])
def test_hyper_parameters_are_keywords(build: Any) -> None:
    first = {"Cutout": "size", "NoMix": "axes", "PatchUp": "block_size", "DropBlock": "block_size"}
    name = build.__name__
    with pytest.raises(TypeError, match=rf"{name} takes no positional.*{name}\({first.get(name, 'alpha')}=0.4\)"):
        build(0.4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'beta'"):
        build(beta=1.0)


# ---------------------------------------------------------------- parts of a draw


@pytest.mark.parametrize(
    "mixer", [mm.MixUp(), mm.CutMix(), mm.FMix(), mm.OneOf([mm.FMix()]), mm.Cutout(size=2), *BLOCKS]
)
@pytest.mark.parametrize("lam", [-0.01, 1.01, 2, math.nan, math.inf, "0.5", True], ids=repr)
def test_wrong_lam(mixer: Any, lam: Any) -> None:
    with pytest.raises(ValueError, match=r"lam=.*\[0, 1\]") as info:
        mixer(X, lam=lam)
    assert f"lam={lam!r}" in str(info.value)


@pytest.mark.parametrize("lam", [1.5, -0.1, math.nan, [0.5, 0.5, 1.2, 0.0]], ids=repr)
def test_wrong_lam_tensor(lam: Any) -> None:
    with pytest.raises(ValueError, match=r"lam.*\[0, 1\]"):
        mm.FMix()(X, lam=torch.tensor(lam))


@expect(
    {
        "shape": (lambda: mm.FMix()(X, lam=torch.rand(3)), ValueError, r"lam.*\(3,\).*\(4,\)"),
        "shape (1,)": (lambda: mm.FMix()(X, lam=torch.rand(1)), ValueError, r"lam.*\(1,\).*\(4,\)"),
        "shape (4, 1)": (lambda: mm.MixUp()(X, lam=torch.rand(4, 1)), ValueError, r"lam.*\(4, 1\).*\(4,\)"),
        "integers": (lambda: mm.FMix()(X, lam=torch.ones(4).long()), TypeError, r"lam.*torch.int64.*floating"),
        "bools": (lambda: mm.MixUp()(X, lam=torch.tensor(True)), TypeError, r"lam.*torch.bool.*floating"),
    }
)
def test_wrong_lam_shape_or_dtype(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("lam", [0, 1, 0.5, 1.5, "0.5", torch.tensor(0.5), torch.full((4,), 0.5)], ids=repr)
@pytest.mark.parametrize("per_sample", [False, True])
def test_hard_blocks_have_no_share_to_ask_for(lam: Any, per_sample: bool) -> None:
    mixer = mm.PatchUp(soft=False, per_sample=per_sample)
    for call in (mixer.draw, mixer, mm.OneOf([mixer])):
        with pytest.raises(ValueError, match=r"lam=.*hard blocks are swapped whole.*leave it out.*soft=True") as info:
            call(X, lam=lam)
        assert f"lam={lam!r}" in str(info.value)


LINES = torch.rand(20, dtype=torch.float64)
"""A tensor whose `repr` has several lines."""


@expect(
    {
        "a setting": (lambda: mm.FMix(alpha=LINES), ValueError, "alpha="),
        "axes": (lambda: mm.FMix(axes=LINES), ValueError, "axes="),
        "lam of hard blocks": (lambda: mm.PatchUp(soft=False)(torch.rand(20, 3, 6, 6), lam=LINES), ValueError, "lam="),
        "a device": (lambda: record().to(LINES), TypeError, "device="),
        "a state": (lambda: mm.Alternate([mm.FMix()]).load_state_dict({"turn": LINES}), ValueError, "state="),
        "a mixer": (lambda: mm.HiddenMix(net := nn.Linear(2, 2), {net: LINES}), ValueError, "at"),
        "an id": (lambda: mm.PadCollate(LINES), ValueError, "pad_id="),
    }
)
def test_a_sentence_is_one_line(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    assert "\n" in repr(LINES)
    with pytest.raises(error, match=f"^{message}.*tensor") as info:
        call()
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("mixer", [mm.MixUp(), mm.CutMix(), mm.FMix(), mm.Alternate([mm.FMix()]), mm.NoMix(), *BLOCKS])
@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (torch.arange(3), ValueError, r"index.*\(3,\).*\(4,\)"),
        (torch.arange(5), ValueError, r"index.*\(5,\).*\(4,\)"),
        (torch.zeros(4, 1).long(), ValueError, r"index.*\(4, 1\).*\(4,\)"),
        (torch.tensor(0), ValueError, r"index.*\(\).*\(4,\)"),
        (torch.arange(4).int(), TypeError, r"index.*int64.*torch.int32"),
        (torch.arange(4).float(), TypeError, r"index.*int64.*torch.float32"),
        (torch.ones(4).bool(), TypeError, r"index.*int64.*torch.bool"),
        ([1, 0, 3, 2], TypeError, r"index.*int64.*list"),
        (torch.tensor([0, 1, 2, 4]), ValueError, r"index.*0 to 3|index.*\[0, 4\)"),
        (torch.tensor([-1, 1, 2, 3]), ValueError, r"index.*0 to 3|index.*\[0, 4\)"),
    ],
)
def test_wrong_index(mixer: Any, index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mixer(X, index=index)


@pytest.mark.parametrize(
    "mixer", [mm.MixUp(), mm.CutMix(), mm.FMix(), mm.OneOf([mm.FMix()]), mm.Cutout(size=2), *BLOCKS]
)
@pytest.mark.parametrize(
    ("valid", "message"),
    [
        (torch.ones(4, 6, 5), r"valid.*bool.*torch.float32.*attention_mask.bool\(\)"),
        (torch.ones(4, 6, 5).long(), r"valid.*bool.*torch.int64.*attention_mask.bool\(\)"),
        ([[True] * 5] * 6, r"valid.*bool.*list"),
        (torch.ones(4, 5).bool(), r"valid.*\(4, 5\).*\(4, 6, 5\).*valid=frames\[:, None\]"),
        (torch.ones(4, 5, 6).bool(), r"valid.*\(4, 5, 6\).*\(4, 6, 5\)"),
        (torch.ones(3, 6, 5).bool(), r"valid.*\(3, 6, 5\).*\(4, 6, 5\)"),
        (torch.ones(1, 6, 5).bool(), r"valid.*\(1, 6, 5\).*\(4, 6, 5\)"),
        (torch.ones(4, 3, 6, 5).bool(), r"valid.*\(4, 3, 6, 5\).*\(4, 6, 5\)"),
    ],
)
def test_wrong_valid(mixer: Any, valid: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        mixer(X, valid=valid)


# ---------------------------------------------------------------- replays


@expect(
    {
        "batch": (lambda: record()(X[:3]), ValueError, r"x has shape \(3, 3, 6, 5\).*batch of 4.*whole batch"),
        "0-d": (lambda: record()(torch.tensor(1.0)), ValueError, r"x has shape \(\).*batch of 4"),
        "grid": (
            lambda: record()(torch.zeros(4, 3, 12, 10)),
            ValueError,
            r"\(4, 3, 12, 10\).*\(12, 10\).*axes='b c \*'.*\(6, 5\).*mix.resize\(\(12, 10\)\)",
        ),
        "swapped grid": (lambda: record()(X.movedim(2, 3)), ValueError, r"\(5, 6\).*\(6, 5\).*mix.resize\(\(5, 6\)\)"),
        "channels last": (lambda: record()(torch.zeros(4, 6, 5, 3)), ValueError, r"\(5, 3\).*\(6, 5\).*axes"),
        "label map without its axes": (lambda: record()(torch.zeros(4, 6, 5).long()), ValueError, r"axes='b c \*'"),
        "soft on integers": (
            lambda: soft()(X.long()),
            TypeError,
            r"torch.int64.*chosen, never blended.*soft.*FMix with max_soft=0.*embeddings",
        ),
        "soft on bytes": (lambda: mm.MixUp()(X.byte()), TypeError, r"torch.uint8.*chosen, never blended"),
        "soft on bools": (lambda: mm.FMix(max_soft=0.1)(X.bool()), TypeError, r"torch.bool.*chosen, never blended"),
        "grid of resize": (lambda: record().resize((6,)), ValueError, r"grid=\(6,\).*2 sizes.*\(6, 5\)"),
        "other channels": (
            lambda: blocks()(torch.zeros(4, 5, 6, 5)),
            ValueError,
            r"\(4, 5, 6, 5\).*grid \(5, 6, 5\).*axes='b \*'.*grid \(3, 6, 5\)",
        ),
        "label map, a mask for each channel": (
            lambda: blocks(soft=False)(torch.zeros(4, 6, 5).long()),
            ValueError,
            r"\(4, 6, 5\).*grid \(6, 5\).*grid \(3, 6, 5\)",
        ),
        "resize of a mask for each channel under padding": (
            lambda: blocks(valid=torch.ones(4, 6, 5).bool()).resize((3, 3, 5)),
            ValueError,
            r"resized under padding.*channels='shared'",
        ),
        "resize of moved cells": (
            lambda: record(moves=(torch.zeros(4, 6, 5).long(),) * 2).resize((3, 5)),
            ValueError,
            r"moves cells.*its own grid",
        ),
        "size of resize": (lambda: record().resize((6, 0)), ValueError, r"grid=\(6, 0\).*1 or more"),
        "fraction of resize": (lambda: record().resize((6, 2.5)), ValueError, r"grid=\(6, 2\.5\).*1 or more"),
        "text for resize": (lambda: record().resize("ab"), ValueError, r"grid=\('a', 'b'\).*1 or more"),
    }
)
def test_wrong_replays(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def overlapping() -> tuple[Tensor, Tensor]:
    buffer = torch.zeros(5, 3, 6, 5)
    return buffer[:4], buffer[1:]


@expect(
    {
        "shape": (lambda: record()(X, out=torch.zeros(4, 3, 6, 6)), ValueError, r"out.*\(4, 3, 6, 6\).*\(4, 3, 6, 5\)"),
        "broadcast": (lambda: record()(X[:, :1], out=X.clone()), ValueError, r"out.*\(4, 3, 6, 5\).*\(4, 1, 6, 5\)"),
        "dtype": (lambda: record()(X, out=X.double()), ValueError, r"out.*torch.float64.*torch.float32"),
        "device": (lambda: record()(X, out=X.to("meta")), ValueError, r"out.*meta.*cpu"),
        "itself": (lambda: record()(X, out=X), ValueError, r"out shares memory with x.*pass a separate buffer"),
        "view": (lambda: record()(X, out=X.view(4, 3, 6, 5)), ValueError, r"out shares memory with x"),
        "overlap": (lambda: (lambda a, b: record()(a, out=b))(*overlapping()), ValueError, r"out shares memory with x"),
        "soft, overlap": (lambda: (lambda a, b: soft()(a, out=b))(*overlapping()), ValueError, r"out shares memory"),
        "mixer": (lambda: mm.MixUp()(X, out=X), ValueError, r"out shares memory with x"),
        "nothing to do": (lambda: mm.NoMix()(X, out=X), ValueError, r"out shares memory with x"),
        "policy": (lambda: mm.OneOf([mm.MixUp()])(X, out=X), ValueError, r"out shares memory with x"),
        "gradient": (
            lambda: record()(X.clone().requires_grad_(), out=torch.empty_like(X)),
            ValueError,
            r"out=.*requires grad.*leave it out",
        ),
        "gradient, mixer": (
            lambda: mm.MixUp()(X.clone().requires_grad_(), out=torch.empty_like(X)),
            ValueError,
            r"out=.*requires grad",
        ),
    }
)
def test_wrong_buffers(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_buffer_and_a_gradient_go_together_under_no_grad() -> None:
    with torch.no_grad():
        out = torch.empty_like(X)
        assert record()(X.clone().requires_grad_(), out=out) is out


# ---------------------------------------------------------------- labels and losses


def no_reduction(preds: Tensor, y: Tensor) -> Tensor:
    return (preds - y).square().sum()


@expect(
    {
        "classes without their number": (
            lambda: record().targets(Y),
            ValueError,
            r"y holds integers.*num_classes=.*None",
        ),
        "class too large": (lambda: record().targets(Y, num_classes=2), ValueError, r"y must.*num_classes"),
        "class negative": (lambda: record().targets(Y - 100, num_classes=3), ValueError, r"y must.*num_classes"),
        "integers, two axes": (
            lambda: record().targets(torch.ones(4, 3).long(), num_classes=3),
            ValueError,
            r"y holds integers of shape \(4, 3\).*y.float\(\).*axes='b \*'",
        ),
        "label map": (
            lambda: record().targets(torch.ones(4, 6, 5).long()),
            ValueError,
            r"y holds integers of shape \(4, 6, 5\).*mix\(y, axes='b \*'\)",
        ),
        "batch": (lambda: record().targets(Y[:3], num_classes=3), ValueError, r"y has shape \(3,\).*batch of 4"),
        "0-d": (lambda: record().targets(torch.tensor(1.0)), ValueError, r"y has shape \(\).*batch of 4"),
        "batch of a loss": (lambda: record().loss(torch.zeros(4, 3), Y[:3]), ValueError, r"y has shape \(3,\).*of 4"),
        "dense without axes": (
            lambda: record().loss(torch.zeros(4, 3, 6, 5), torch.zeros(4, 6, 5).long()),
            ValueError,
            r"y holds integers of shape \(4, 6, 5\).*axes='b \*'",
        ),
        "dense grid": (
            lambda: record().loss(torch.zeros(4, 3, 5, 6), torch.zeros(4, 5, 6).long(), axes="b *"),
            ValueError,
            r"\(5, 6\).*axes='b \*'.*\(6, 5\).*mix.resize",
        ),
        "reduction": (
            lambda: record().loss(torch.zeros(4, 3), Y, reduction="avg"),
            ValueError,
            r"reduction='avg'.*'mean', 'sum' or 'none'",
        ),
        "no criterion": (lambda: record().loss(torch.zeros(4, 3), Y, nn.Linear(3, 3)), TypeError, "positional"),
        "a sum without reduction": (
            lambda: record().loss(torch.zeros(4, 3), torch.ones(4, 3), no_reduction),
            ValueError,
            r"no_reduction.*reduction=.*not the mean.*gives 12, and the mean is 3",
        ),
        "loss of one number": (
            lambda: record().loss(torch.zeros(4, 3), Y, lambda p, y, reduction: F.cross_entropy(p, y)),
            ValueError,
            r"criterion.*\(\).*\(4,\).*per sample",
        ),
        "accuracy of a map": (
            lambda: record().accuracy(torch.zeros(4, 3, 6, 5), torch.zeros(4, 6, 5).long()),
            ValueError,
            r"accuracy.*\(4, 3, 6, 5\).*\(4, 6, 5\)",
        ),
        "accuracy of no class": (
            lambda: record().accuracy(torch.zeros(4, 0), Y),
            ValueError,
            r"accuracy.*\(4, 0\).*\(4,\)",
        ),
        "accuracy of labels of no class": (
            lambda: record().accuracy(torch.zeros(4, 3), torch.zeros(4, 0)),
            ValueError,
            r"accuracy.*\(4, 3\).*\(4, 0\)",
        ),
        "accuracy, batch": (lambda: record().accuracy(torch.zeros(3, 3), Y), ValueError, r"accuracy.*\(3, 3\).*\(4,\)"),
    }
)
def test_wrong_labels(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_classes_out_of_range_are_never_targets_of_zero() -> None:
    """An ignored label in soft targets would train towards no class."""
    y = Y.clone()
    y[1] = -100
    with pytest.raises(ValueError, match=r"mix.loss"):
        record().targets(y, num_classes=3)


# ---------------------------------------------------------------- policies and collation


@pytest.mark.parametrize("policy", [mm.OneOf, mm.Alternate])
@pytest.mark.parametrize(
    "mixers", [[], (), [mm.FMix, mm.NoMix], [mm.FMix(), "MixUp"], [None], mm.FMix(), None], ids=str
)
def test_wrong_mixers(policy: Any, mixers: Any) -> None:
    with pytest.raises(ValueError, match=r"mixers=.*as in \[FMix\(\), NoMix\(\)\]"):
        policy(mixers)


@pytest.mark.parametrize(
    "p", [[1.0], [0.5, 0.4], [0.5, 0.6], [1.5, -0.5], [0.2, 0.3, 0.5], [], [math.nan, 1.0]], ids=str
)
def test_wrong_p(p: Any) -> None:
    with pytest.raises(ValueError, match=r"p=.*2 probabilities.*sum to 1") as info:
        mm.OneOf([mm.FMix(), mm.NoMix()], p=p)
    assert f"p={p!r}" in str(info.value)


@pytest.mark.parametrize("state", [{}, {"turn": 2}, {"turn": -1}, {"turn": None}], ids=str)
def test_wrong_state(state: Any) -> None:
    with pytest.raises(ValueError, match=r"state=.*turn below 2"):
        mm.Alternate([mm.FMix(), mm.NoMix()]).load_state_dict(state)


SAMPLES = [(torch.rand(3, 6, 5), 0), (torch.rand(3, 6, 5), 1)]
MAPS = [(torch.rand(3, 6, 5), torch.zeros(6, 5).long())] * 2


@expect(
    {
        "both": (
            lambda: mm.MixCollate(mm.FMix(), num_classes=3, labels={1: 3}),
            ValueError,
            r"num_classes=3.*labels is \{1: 3\}.*labels=\{name: 3\}",
        ),
        "classes without their number": (lambda: mm.MixCollate(mm.FMix())(SAMPLES), ValueError, r"num_classes="),
        "label maps without axes": (
            lambda: mm.MixCollate(mm.FMix())(MAPS),
            ValueError,
            r"y holds integers.*axes='b \*'",
        ),
        "label maps, soft": (
            lambda: mm.MixCollate(mm.MixUp(), inputs={0: None, 1: "b *"}, labels=None)(MAPS),
            TypeError,
            r"torch.int64.*chosen, never blended",
        ),
        "triples": (
            lambda: mm.MixCollate(mm.FMix(), num_classes=3)([(*s, 1) for s in SAMPLES]),
            ValueError,
            r"a field 2, and nothing says.*carried=\(2,\)",
        ),
        "images alone": (
            lambda: mm.MixCollate(mm.FMix(), num_classes=3)([s[0] for s in SAMPLES]),
            TypeError,
            r"mapping, a tuple or a list of fields, such as \(image, label\), got Tensor.*collate=",
        ),
    }
)
def test_wrong_collation(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_leaves_the_input_as_it_was() -> None:
    x = torch.randn(4, 3, 6, 5)
    before = x.clone()
    for call in (lambda: mm.MixUp()(x, lam=2), lambda: mm.MixUp()(x, out=x), lambda: mm.FMix()(x, valid=x)):
        with pytest.raises((ValueError, TypeError)):
            call()
    assert torch.equal(x, before)


@pytest.mark.parametrize("wrong", [np.zeros((4, 3, 8, 8), np.float32), [[0.0]], None], ids=lambda x: type(x).__name__)
def test_what_is_no_tensor(wrong: Any) -> None:
    mix = mm.CutMix().draw(torch.zeros(4, 3, 8, 8))
    message = f"is {type(wrong).__name__} and must be a torch.Tensor; make one with torch.as_tensor"
    for call in (lambda: mm.CutMix()(wrong), lambda: mm.OneOf([mm.FMix()])(wrong), lambda: mix(wrong)):
        with pytest.raises(TypeError, match="x " + message):
            call()
    for call in (lambda: mix.targets(wrong), lambda: mix.loss(torch.zeros(4, 3), wrong)):
        with pytest.raises(TypeError, match="y " + message):
            call()
