"""Batches of many fields: what is mixed, what are labels, what is carried along."""

from collections import UserDict
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mixmodal as mm


class Pair(NamedTuple):
    image: Tensor
    label: Tensor


def batch_of(kind: str) -> Any:
    x, y = torch.rand(4, 3, 6, 5), torch.tensor([0, 2, 1, 2])
    return {
        "dict": {"image": x, "label": y},
        "UserDict": UserDict(image=x, label=y),
        "named tuple": Pair(x, y),
        "tuple": (x, y),
        "list": [x, y],
        "triple": (x, y, y),
    }[kind]


def values(batch: Any) -> list[Tensor]:
    return list(batch.values()) if hasattr(batch, "values") else list(batch)


@pytest.mark.parametrize("kind", ["dict", "UserDict", "named tuple", "tuple", "list"])
def test_a_batch_of_any_kind_is_mixed_and_stays_of_its_kind(kind: str) -> None:
    batch = batch_of(kind)
    x, y = (tensor.clone() for tensor in values(batch))
    keys = ("image", "label") if kind in ("dict", "UserDict", "named tuple") else (0, 1)
    mixed, mix = mm.MixBatch(mm.MixUp(), inputs=keys[0], labels={keys[1]: 3})(batch)
    assert type(mixed) is type(batch)
    lam = mix.lam.view(-1, 1, 1, 1)
    torch.testing.assert_close(values(mixed)[0], lam * x + (1 - lam) * x[mix.index])
    one_hot = F.one_hot(y, 3).float()
    torch.testing.assert_close(
        values(mixed)[1], mix.lam[:, None] * one_hot + (1 - mix.lam[:, None]) * one_hot[mix.index]
    )
    assert all(torch.equal(kept, value) for kept, value in zip(values(batch), (x, y), strict=True))  # not in place


def test_a_label_map_and_a_class_label_move_by_one_draw() -> None:
    """Every pixel of image and map says whose it is; so does the label, by its share."""
    number = torch.arange(4)
    batch = {
        "image": number.view(4, 1, 1, 1).expand(4, 3, 6, 5).float(),
        "map": number.view(4, 1, 1).expand(4, 6, 5).clone(),
        "label": number,
        "path": ["a", "b", "c", "d"],
    }
    mixing = mm.MixBatch(mm.CutMix(), inputs={"image": None, "map": "b *"}, labels={"label": 4}, carried=["path", "no"])
    mixed, _ = mixing(batch)
    assert torch.equal(mixed["image"][:, 0].long(), mixed["map"])
    counted = torch.stack([(mixed["map"] == k).float().mean((1, 2)) for k in range(4)], 1)
    torch.testing.assert_close(mixed["label"], counted)
    assert mixed["path"] == batch["path"]


def test_padding_is_marked_and_counted_after_the_mix() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]])
    padded = mm.Padded(ids, torch.tensor([5, 2]), ids > 0, torch.tensor([0, 1]))
    mixing = mm.MixBatch(mm.FMix(axes="b *"), inputs="ids", labels={"labels": 2}, valid="valid", lengths="lengths")
    for _ in range(20):
        mixed, mix = mixing(padded)
        assert torch.equal(mixed.valid, mixed.ids > 0)
        ends = [max(t for t in range(5) if row[t]) + 1 for row in mixed.ids.tolist()]
        assert mixed.lengths.tolist() == ends
        own = torch.stack([(torch.isin(row, ids[k]) & (row > 0)).float().sum() for k, row in enumerate(mixed.ids)])
        torch.testing.assert_close(own / (mixed.ids > 0).sum(1), torch.where(mix.index == torch.arange(2), 1, mix.lam))


def test_smoothed_labels_give_the_loss_that_torch_smooths() -> None:
    """F.cross_entropy(label_smoothing=) of both labels, weighed by their shares."""
    x, y, logits = torch.rand(6, 3, 8, 8), torch.randint(5, (6,)), torch.randn(6, 5)
    mixed, mix = mm.MixBatch(mm.CutMix(), num_classes=5, label_smoothing=0.1)((x, y))
    assert isinstance(mixed, tuple)
    smooth = [F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none") for labels in (y, y[mix.index])]
    expected = (mix.lam * smooth[0] + (1 - mix.lam) * smooth[1]).mean()
    torch.testing.assert_close(F.cross_entropy(logits, mixed[1]), expected)


def test_labels_stay_for_a_loss_and_draws_repeat_from_a_generator() -> None:
    x, y = torch.rand(4, 1, 8), torch.tensor([3, 1, 0, 2])
    mixing = mm.MixBatch(mm.FMix(), labels=None, carried=[1])
    (one, labels), mix = mixing([x, y], generator=torch.Generator().manual_seed(5))
    assert labels is y
    assert torch.equal(one, mix(x))
    assert torch.equal(one, mixing([x, y], generator=torch.Generator().manual_seed(5))[0][0])


@pytest.mark.parametrize(
    ("settings", "batch", "error", "message"),
    [
        ({}, {"image": 0}, KeyError, "no field 0 but 'image'"),
        ({"num_classes": 3}, "triple", ValueError, "a field 2, and nothing says"),
        (
            {"inputs": "picture", "carried": ["image", "label"]},
            "dict",
            KeyError,
            "no field 'picture' but 'image', 'label'",
        ),
        ({"num_classes": 3}, 3, TypeError, "got int"),
        ({"inputs": {}}, None, ValueError, r"inputs=\{\} names no field"),
        ({"inputs": {0: None, 1: "b *"}}, None, ValueError, "field 1 is named twice"),
        ({"label_smoothing": 0.1}, None, ValueError, "label_smoothing=0.1 is for class labels"),
        ({"label_smoothing": 1.5, "num_classes": 3}, None, ValueError, r"label_smoothing=1.5 must lie in \[0, 1\]"),
        ({"label_smoothing": "0.1", "num_classes": 3}, None, ValueError, r"label_smoothing='0.1' must lie in \[0, 1\]"),
        ({"labels": None, "num_classes": 3}, None, ValueError, "num_classes=3 is for one field"),
        ({"lengths": "lengths"}, None, ValueError, "lengths='lengths' needs valid="),
        ({"carried": "path"}, None, ValueError, r"carried='path' must be several names.*\('path',\)"),
    ],
    ids=str,
)
def test_wrong_fields(settings: dict[str, Any], batch: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mm.MixBatch(mm.MixUp(), **settings)(batch_of(batch) if isinstance(batch, str) else batch)


def test_a_name_that_is_not_there_is_told_before_a_field_that_is_not_named() -> None:
    batch = {"image": torch.rand(2, 3, 4, 4), "label": torch.tensor([0, 1])}
    for settings in ({"inputs": "images", "labels": {"label": 2}}, {"inputs": "image", "labels": {"lable": 2}}):
        with pytest.raises(KeyError, match=r"no field '(images|lable)' but 'image', 'label'"):
            mm.MixBatch(mm.CutMix(), **settings)(batch)  # type: ignore[arg-type]


def test_what_is_no_mixer_is_told() -> None:
    for make in (mm.MixBatch, mm.MixCollate, mm.KeepEnds, mm.OnPoints, mm.InPairs):
        with pytest.raises(TypeError, match=r"mixer is Identity and must be a mixer or a policy, such as FMix"):
            make(torch.nn.Identity())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, r"samples=\[\] makes no batch"),
        (
            [(torch.zeros(2), 0), (torch.zeros(3), 1)],
            ValueError,
            r"fields of the samples cannot be batched \(.*equal size",
        ),
        ([(torch.zeros(2), None)], TypeError, "fields of the samples cannot be batched"),
        ([{"x": 0}, {"y": 0}], ValueError, r"fields of the samples cannot be batched \('x'\)"),
    ],
    ids=["none", "sizes", "kind", "names"],
)
def test_samples_that_make_no_batch_are_told(samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mm.MixCollate(mm.FMix())(samples)


def test_what_another_collation_raises_is_its_own() -> None:
    def collate(_: object) -> None:
        raise RuntimeError("no batch")

    with pytest.raises(RuntimeError, match=r"^no batch$"):
        mm.MixCollate(mm.FMix(), collate=collate)([0])
