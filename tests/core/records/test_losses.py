"""Targets, losses and accuracy against computations by hand, for every kind of label and criterion."""

import copy
import functools
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from tests.methods_table import TABLE, Method, over

LAM = torch.tensor([0.75, 0.0, 1.0, 0.3, 0.5])
INDEX = torch.tensor([1, 2, 0, 4, 4])  # no permutation: sample 4 is a partner twice, sample 3 never


@pytest.fixture
def mix() -> mm.Mix:
    """A share for every sample; the mask is of a grid that has no part in it."""
    return mm.Mix(index=INDEX, mask=LAM.view(5, 1), lam=LAM)


def both(y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The terms of a record by hand: weights (B,) and labels."""
    return [(LAM.double(), y), (1 - LAM.double(), torch.stack([y[i] for i in INDEX.tolist()]))]


def close(got: Tensor, expected: Any, tolerance: float = 1e-5) -> None:
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(got.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_targets_of_classes(mix: mm.Mix, dtype: torch.dtype) -> None:
    y = torch.tensor([0, 3, 3, 1, 2], dtype=dtype)
    expected = np.zeros((5, 4))
    for b, i in enumerate(INDEX.tolist()):
        expected[b, y[b]] += float(LAM[b])
        expected[b, y[i]] += 1 - float(LAM[b])
    targets = mix.targets(y, num_classes=4)
    assert targets.dtype == torch.float32
    close(targets, expected)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 6), (5, 6, 2), (5, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_targets_of_soft_multi_label_and_regression_labels(
    mix: mm.Mix, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    y = torch.randn(shape).to(dtype)
    before = y.clone()
    targets = mix.targets(y)
    assert targets.shape == y.shape
    assert targets.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for b, i in enumerate(INDEX.tolist()):
        close(targets[b], LAM[b].double() * y[b].double() + (1 - LAM[b].double()) * y[i].double(), 1e-6)
    assert torch.equal(y, before)


def test_targets_of_booleans_are_shares(mix: mm.Mix) -> None:
    y = torch.rand(5, 7) > 0.5
    targets = mix.targets(y)
    assert targets.dtype == torch.float32
    close(targets, mix.targets(y.double()))
    assert ((targets >= 0) & (targets <= 1)).all()


def test_targets_keep_what_is_sure_exact(mix: mm.Mix) -> None:
    y = torch.randn(5, 3)
    targets = mix.targets(y)
    assert torch.equal(targets[1], y[INDEX[1]])
    assert torch.equal(targets[2], y[2])
    assert torch.equal(targets[4], y[4])  # its own partner


def test_targets_pass_gradients(mix: mm.Mix) -> None:
    y = torch.rand(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mix.targets, (y,))


# ---------------------------------------------------------------- losses by sample

WEIGHT = torch.tensor([0.2, 1.0, 3.0, 0.5])
CLASSES = torch.tensor([0, 3, 2, 1, 2])
IGNORED = torch.tensor([0, -100, 2, 1, -100])
SOFT = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0.25] * 4, [0, 0, 0, 1.0]])
LABELS = (SOFT > 0.2).float()
REGRESSION = torch.tensor([[0.5, -1.0, 2.0, 0.0]] * 5) * torch.arange(1, 6)[:, None]

CASES: dict[str, tuple[Any, Tensor]] = {
    "classes": (F.cross_entropy, CLASSES),
    "classes, module": (nn.CrossEntropyLoss(), CLASSES),
    "class weights": (functools.partial(F.cross_entropy, weight=WEIGHT.double()), CLASSES),
    "class weights, module": (nn.CrossEntropyLoss(weight=WEIGHT.double()), CLASSES),
    "ignored": (F.cross_entropy, IGNORED),
    "ignored, class 2": (functools.partial(F.cross_entropy, ignore_index=2), CLASSES),
    "ignored and weights, module": (nn.CrossEntropyLoss(weight=WEIGHT.double()), IGNORED),
    "label smoothing": (functools.partial(F.cross_entropy, label_smoothing=0.1), CLASSES),
    "smoothing, weights, ignored": (nn.CrossEntropyLoss(weight=WEIGHT.double(), label_smoothing=0.2), IGNORED),
    "soft": (F.cross_entropy, SOFT.double()),
    "soft, class weights": (nn.CrossEntropyLoss(weight=WEIGHT.double()), SOFT.double()),
    "multi-label": (F.binary_cross_entropy_with_logits, LABELS.double()),
    "multi-label, module": (nn.BCEWithLogitsLoss(), LABELS.double()),
    "multi-label, weights": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT.double()), LABELS.double()),
    "regression": (F.mse_loss, REGRESSION.double()),
    "regression, l1": (nn.L1Loss(), REGRESSION.double()),
    "regression, huber": (nn.SmoothL1Loss(), REGRESSION.double()),
}
cases = pytest.mark.parametrize(("criterion", "y"), CASES.values(), ids=CASES.keys())


def each_loss(criterion: Any, preds: Tensor, y: Tensor) -> Tensor:
    if isinstance(criterion, nn.Module):
        criterion = copy.deepcopy(criterion)
        criterion.reduction = "none"
        return criterion(preds, y)
    return criterion(preds, y, reduction="none")


def divisor(criterion: Any, y: Tensor) -> float:
    """What the mean of the criterion is over: labels that count, by weight if they are classes."""
    settings = criterion.keywords if isinstance(criterion, functools.partial) else getattr(criterion, "__dict__", {})
    if y.is_floating_point():
        return float(len(y)) if y is CASES["soft"][1] or y is CASES["soft, class weights"][1] else float(y.numel())
    ignored = settings.get("ignore_index", -100)
    weight = settings.get("weight")
    if weight is None and isinstance(criterion, nn.Module):
        weight = criterion.weight
    counted = [label for label in y.flatten().tolist() if label != ignored]
    return float(len(counted)) if weight is None else sum(float(weight[label]) for label in counted)


@cases
def test_losses_weigh_both_labels(mix: mm.Mix, criterion: Any, y: Tensor) -> None:
    preds = torch.randn(5, 4, dtype=torch.float64)
    expected = sum(
        weight.view(-1, *[1] * (each.ndim - 1)) * each
        for weight, label in both(y)
        for each in [each_loss(criterion, preds, label)]
    )
    none = mix.loss(preds, y, criterion, reduction="none")
    assert isinstance(expected, Tensor)
    assert none.shape == expected.shape
    close(none, expected)
    close(mix.loss(preds, y, criterion, reduction="sum"), expected.sum())
    close(mix.loss(preds, y, criterion), expected.sum() / divisor(criterion, y))
    close(mix.loss(preds, y, criterion, reduction="mean"), expected.sum() / divisor(criterion, y))


@cases
def test_the_divisor_is_that_of_the_criterion(criterion: Any, y: Tensor) -> None:
    """The table's own divisors are right: the criterion's mean is its sum over them."""
    preds = torch.randn(5, 4, dtype=torch.float64)
    close(criterion(preds, y), each_loss(criterion, preds, y).sum() / divisor(criterion, y))


@cases
def test_a_whole_own_share_is_the_plain_loss(criterion: Any, y: Tensor) -> None:
    preds = torch.randn(5, 4, dtype=torch.float64)
    whole = mm.Mix(index=INDEX, mask=torch.ones(5, 1), lam=torch.ones(5))
    close(whole.loss(preds, y, criterion), criterion(preds, y))


@cases
def test_a_record_without_a_partner_has_the_plain_loss(criterion: Any, y: Tensor) -> None:
    preds = torch.randn(5, 4, dtype=torch.float64)
    for mixer in (mm.NoMix(), mm.Cutout(size=2), mm.DropBlock(block_size=2)):
        mix = mixer.draw(torch.empty(5, 3, 4, 4))
        close(mix.loss(preds, y, criterion), criterion(preds, y))
        assert len(mix.terms) == 1


@cases
def test_a_module_is_not_changed(mix: mm.Mix, criterion: Any, y: Tensor) -> None:
    if not isinstance(criterion, nn.Module):
        criterion = nn.CrossEntropyLoss() if not y.is_floating_point() else nn.MSELoss()
    criterion.marker = object()
    before = dict(vars(criterion))
    for reduction in ("mean", "sum", "none"):
        mix.loss(torch.randn(5, 4, dtype=torch.float64), y, criterion, reduction=reduction)
        assert vars(criterion) == before
        assert criterion.reduction == "mean"


def test_a_module_of_ones_own(mix: mm.Mix) -> None:
    class Focal(nn.Module):
        def __init__(self, power: float) -> None:
            super().__init__()
            self.power, self.reduction = power, "mean"
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

        def forward(self, preds: Tensor, y: Tensor) -> Tensor:
            nll = F.cross_entropy(preds, y, reduction="none")
            each = self.scale * (1 - (-nll).exp()) ** self.power * nll
            return each if self.reduction == "none" else each.mean() if self.reduction == "mean" else each.sum()

    preds, focal = torch.randn(5, 4, dtype=torch.float64), Focal(2.0)
    expected = sum((w * each_loss(focal, preds, label)).sum() for w, label in both(CLASSES)) / 5
    loss = mix.loss(preds, CLASSES, focal)
    close(loss.detach(), expected.detach())  # type: ignore[union-attr]
    loss.backward()
    assert focal.scale.grad is not None
    close(focal.scale.grad, loss.detach() / 2)


@pytest.mark.parametrize("name", ["classes", "label smoothing", "soft", "multi-label"])
def test_losses_that_are_affine_in_the_target_are_those_of_the_soft_target(mix: mm.Mix, name: str) -> None:
    """With gradients: fmix.md §6.9."""
    criterion, y = CASES[name]
    preds = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    loss = mix.loss(preds, y, criterion)
    soft = criterion(preds, mix.targets(y, num_classes=4 if not y.is_floating_point() else None).double())
    close(loss.detach(), soft.detach())
    close(torch.autograd.grad(loss, preds)[0], torch.autograd.grad(soft, preds)[0], 1e-6)


def test_losses_that_are_not_affine_are_not_those_of_the_soft_target(mix: mm.Mix) -> None:
    preds, y = torch.randn(5, 4), torch.randn(5, 4)
    assert not torch.isclose(mix.loss(preds, y, F.mse_loss), F.mse_loss(preds, mix.targets(y)))


def test_binary_labels_of_shape_b(mix: mm.Mix) -> None:
    preds, y = torch.randn(5), torch.tensor([1.0, 0, 0, 1, 1])
    expected = 0.0
    for b, i in enumerate(INDEX.tolist()):
        target = float(LAM[b] * y[b] + (1 - LAM[b]) * y[i])
        p = 1 / (1 + math.exp(-float(preds[b])))
        expected -= (target * math.log(p) + (1 - target) * math.log(1 - p)) / 5
    close(mix.loss(preds, y, F.binary_cross_entropy_with_logits), expected)


def test_probabilities_and_log_probabilities(mix: mm.Mix) -> None:
    preds = torch.randn(5, 4, dtype=torch.float64)
    close(mix.loss(preds.log_softmax(1), CLASSES, F.nll_loss), mix.loss(preds, CLASSES))
    logits = mix.loss(preds, LABELS.double(), F.binary_cross_entropy_with_logits)
    close(mix.loss(preds.sigmoid(), LABELS.double(), F.binary_cross_entropy), logits)


@pytest.mark.parametrize("criterion", [F.mse_loss, nn.L1Loss()], ids=["mse", "l1"])
def test_a_loss_of_zero_is_zero(criterion: Any) -> None:
    """Where there is nothing to divide, the mean is still 0."""
    y = torch.zeros(5, 3)
    mix = mm.Mix(index=INDEX, mask=LAM.view(5, 1), lam=LAM)
    assert mix.loss(y, y, criterion) == 0
    constant = torch.full((5, 3), 2.0)
    assert mix.loss(constant, constant, criterion) == 0
    close(mix.loss(constant, y, criterion), criterion(constant, y))


def test_all_ignored_is_as_the_criterion_has_it(mix: mm.Mix) -> None:
    preds, y = torch.randn(5, 4), torch.full((5,), -100)
    assert F.cross_entropy(preds, y).isnan()
    assert mix.loss(preds, y).isnan()
    assert mix.loss(preds, y, reduction="sum") == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_predictions_of_low_precision(mix: mm.Mix, dtype: torch.dtype) -> None:
    """The loss is not below float32, and no further from the exact one than the criterion's own rounding."""
    preds = (torch.randn(5, 4) * 3).to(dtype)
    loss = mix.loss(preds, CLASSES)
    assert loss.dtype == torch.float32
    exact = mix.loss(preds.double(), CLASSES)
    assert abs(loss - exact) <= 4 * torch.finfo(dtype).eps * (1 + exact)
    soft = mix.targets(CLASSES, num_classes=4)
    assert soft.dtype == torch.float32
    assert abs(F.cross_entropy(preds.float(), soft) - exact) < 1e-5


def test_the_mean_of_many_labels_is_right_for_low_precision() -> None:
    """70000 labels: float16 ends at 65504."""
    n = 70_000
    preds, y = torch.zeros(n, 2, dtype=torch.float16), torch.zeros(n, dtype=torch.long)
    mix = mm.Mix(index=torch.arange(n), mask=torch.full((1, 1), 0.5), lam=torch.full((n,), 0.5))
    assert abs(mix.loss(preds, y) - math.log(2)) < 1e-3


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0, 1e4])
def test_the_mean_does_not_depend_on_the_size_of_predictions(mix: mm.Mix, scale: float) -> None:
    preds = scale * torch.randn(5, 4)
    expected = sum((w * F.cross_entropy(preds.double(), label, reduction="none")).sum() for w, label in both(CLASSES))
    close(mix.loss(preds, CLASSES), expected / 5)  # type: ignore[operator]


@pytest.mark.parametrize("scale", [10.0, 100.0, 1e4])
def test_the_mean_is_by_class_weights_for_predictions_that_are_sure(mix: mm.Mix, scale: float) -> None:
    """The own label is predicted without loss, so that the criterion's own mean says nothing of its divisor."""
    preds, weight = scale * F.one_hot(CLASSES, 4).float(), WEIGHT
    criterion = nn.CrossEntropyLoss(weight=weight)
    expected = sum((w * each_loss(criterion, preds, label)).sum() for w, label in both(CLASSES))
    close(mix.loss(preds, CLASSES, criterion), expected / sum(float(weight[label]) for label in CLASSES.tolist()))


# ---------------------------------------------------------------- dense labels


def dense_by_hand(mix: mm.Mix, preds: Tensor, y: Tensor, weight: Tensor | None = None, ignored: int = -100) -> Tensor:
    """(B, *grid): location by location, in Python."""
    result = torch.zeros(y.shape, dtype=torch.float64)
    for b, i in enumerate(mix.index.tolist()):
        for place in itertools.product(*map(range, y.shape[1:])):
            m = float(mix.mask[(b if len(mix.mask) > 1 else 0, *place)])
            logits = preds[(b, slice(None), *place)].double()
            log = (logits - logits.logsumexp(0)).tolist()
            for share, source in ((m, b), (1 - m, i)):
                label = int(y[(source, *place)])
                if label != ignored:
                    result[(b, *place)] -= share * log[label] * (1 if weight is None else float(weight[label]))
    return result


@over([method for method in TABLE if method.partner])
@pytest.mark.parametrize("grid", [(6,), (3, 5), (2, 1, 3)])
def test_dense_labels_are_weighed_location_by_location(method: Method, grid: tuple[int, ...]) -> None:
    """Where every channel has a mask of its own, dense labels are of each channel."""
    x = torch.randn(3, 2, *grid)
    y = torch.randint(4, x.shape if method.letters else (3, *grid))
    preds = torch.randn(3, 4, *y.shape[1:], dtype=torch.float64)
    _, mix = method.build("b c *")(x)
    expected = dense_by_hand(mix, preds, y)
    close(mix.loss(preds, y, reduction="none", axes="b *"), expected)
    close(mix.loss(preds, y, axes="b *"), expected.mean())
    if method.hard:  # as if the label map had been mixed
        mixed_y = mix(y, axes="b *")
        close(mix.loss(preds, y, axes="b *"), F.cross_entropy(preds, mixed_y))
        close(mix.loss(preds, y, nn.CrossEntropyLoss(), axes="b *"), F.cross_entropy(preds, mixed_y))


@pytest.mark.parametrize("mixer", [mm.FMix(), mm.MixUp(), mm.FMix(max_soft=0.3)], ids=["FMix", "MixUp", "FMix-soft"])
def test_dense_labels_with_ignored_ones_and_class_weights(mixer: mm.Mixer) -> None:
    y = torch.randint(4, (3, 4, 5))
    y[0, 1:3], y[2, :, 4] = -100, -100
    preds = torch.randn(3, 4, 4, 5, dtype=torch.float64)
    criterion = nn.CrossEntropyLoss(weight=WEIGHT.double())
    mix = mixer.draw(torch.empty(3, 2, 4, 5), index=torch.tensor([1, 1, 0]))
    expected = dense_by_hand(mix, preds, y, WEIGHT)
    close(mix.loss(preds, y, criterion, reduction="none", axes="b *"), expected)
    close(mix.loss(preds, y, criterion, reduction="sum", axes="b *"), expected.sum())
    counted = sum(float(WEIGHT[label]) for label in y.flatten().tolist() if label != -100)
    close(mix.loss(preds, y, criterion, axes="b *"), expected.sum() / counted)


def test_dense_soft_labels() -> None:
    y, preds = torch.rand(3, 2, 4, 5).double(), torch.randn(3, 2, 4, 5, dtype=torch.float64)
    mix = mm.FMix(max_soft=0.4, per_sample=True).draw(torch.empty(3, 1, 4, 5))
    m = mix.mask[:, None].double()
    own = F.binary_cross_entropy_with_logits(preds, y, reduction="none")
    other = F.binary_cross_entropy_with_logits(preds, y[mix.index], reduction="none")
    loss = mix.loss(preds, y, F.binary_cross_entropy_with_logits, axes="b c *", reduction="none")
    close(loss, m * own + (1 - m) * other)
    loss = mix.loss(preds, y, F.binary_cross_entropy_with_logits, axes="b c *")
    close(loss, (m * own + (1 - m) * other).mean())


@over([method for method in TABLE if not method.partner])
def test_dense_labels_without_a_partner(method: Method) -> None:
    y, preds = torch.randint(4, (3, 6, 5)), torch.randn(3, 4, 6, 5)
    mix = method.build("b c *").draw(torch.empty(3, 2, 6, 5))
    close(mix.loss(preds, y, axes="b *"), F.cross_entropy(preds, y))
    close(mix.loss(preds, y, axes="b *", reduction="none"), F.cross_entropy(preds, y, reduction="none"))


@pytest.mark.parametrize("hard", [True, False])
def test_dense_labels_are_moved_where_cells_are(hard: bool) -> None:
    """Each side's labels are those of the cells that were put there; without a cell an integer stays."""
    sources = torch.randint(-1, 6, (2, 3, 6))
    mask = torch.rand(3, 6).round() if hard else torch.rand(3, 6)
    mix = mm.Mix(index=INDEX[:3], mask=mask, lam=mask.mean(1), hard=hard, moves=(sources[0], sources[1]))
    y, preds = torch.randint(4, (3, 6)), torch.randn(3, 4, 6, dtype=torch.float64)
    expected = torch.zeros(3, 6, dtype=torch.float64)
    for b, i in enumerate(INDEX[:3].tolist()):
        for cell in range(6):
            log = preds[b, :, cell].log_softmax(0)
            for share, sample, source in ((mask[b, cell], b, sources[0]), (1 - mask[b, cell], i, sources[1])):
                there = int(source[b, cell])
                expected[b, cell] -= share * log[y[sample, there if there >= 0 else cell]]
    close(mix.loss(preds, y, axes="b *", reduction="none"), expected)
    if hard:
        close(mix.loss(preds, y, axes="b *"), F.cross_entropy(preds, mix(y, axes="b *")))


def test_token_labels_move_with_their_tokens() -> None:
    """Tagging of padded text: padding carries -100."""
    valid = torch.arange(8) < torch.tensor([8, 5, 3])[:, None]
    tags = torch.randint(4, (3, 8)).masked_fill(~valid, -100)
    preds = torch.randn(3, 8, 4, dtype=torch.float64).movedim(2, 1)
    mix = mm.FMix(axes="b * d").draw(torch.empty(3, 8, 2), valid=valid)
    expected = dense_by_hand(mix, preds, tags)
    close(mix.loss(preds, tags, axes="b *"), expected.sum() / int(valid.sum()))


# ---------------------------------------------------------------- accuracy


def test_accuracy_counts_both_labels(mix: mm.Mix) -> None:
    for _ in range(5):
        preds, y = torch.randn(5, 3), torch.randint(3, (5,))
        expected = 0.0
        for b, i in enumerate(INDEX.tolist()):
            row = preds[b].tolist()
            best = row.index(max(row))
            expected += (float(LAM[b]) * (best == int(y[b])) + (1 - float(LAM[b])) * (best == int(y[i]))) / 5
        close(mix.accuracy(preds, y), expected)
        close(mix.accuracy(preds.half(), y), mix.accuracy(preds.half().float(), y))
        close(mix.accuracy(preds, F.one_hot(y, 3).float()), expected)
        close(mix.accuracy(preds, F.one_hot(y, 3).bool()), expected)
        close(mix.accuracy(F.one_hot(preds.argmax(1), 3).bool(), y), expected)


@pytest.mark.parametrize(("preds", "y"), [("complex64", "float32"), ("float32", "complex64")])
def test_accuracy_is_of_real_numbers(mix: mm.Mix, preds: str, y: str) -> None:
    with pytest.raises(ValueError, match=f"accuracy needs real numbers, got preds of torch.{preds} and y of torch.{y}"):
        mix.accuracy(torch.zeros(5, 3, dtype=getattr(torch, preds)), torch.zeros(5, 3, dtype=getattr(torch, y)))


@over([method for method in TABLE if not method.partner])
def test_accuracy_without_a_partner_is_plain(method: Method) -> None:
    preds, y = torch.randn(40, 3), torch.randint(3, (40,))
    mix = method.build("b c *").draw(torch.empty(40, 1, 4, 4))
    close(mix.accuracy(preds, y), (preds.argmax(1) == y).double().mean())


def test_floats_of_locations_have_a_share_each() -> None:
    """One share for a whole label map would weigh each pixel by the mean of the mask; a uniform mask has one anyway."""
    x, maps = torch.rand(4, 3, 6, 5), torch.rand(4, 2, 6, 5)
    for mixer in (mm.CutMix(), mm.FMix(), mm.PatchUp(block_size=3)):
        with pytest.raises(ValueError, match=r"y holds torch.float32 of shape \(4, 2, 6, 5\).*mix\(y, axes='b c \*'\)"):
            mixer(x)[1].targets(maps)
        with pytest.raises(ValueError, match=r"torch.bool.*y.flatten\(1\)"):
            mixer(x)[1].targets(maps > 0.5)
    _, mix = mm.MixUp()(x)
    lam = mix.lam.view(-1, 1, 1, 1)
    close(mix.targets(maps), lam * maps + (1 - lam) * maps[mix.index])
    assert torch.equal(mm.Cutout(size=3)(x)[1].targets(maps), maps)
