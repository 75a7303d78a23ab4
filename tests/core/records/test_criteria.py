"""Criteria of all kinds: their own reductions and means, shapes that would broadcast, criteria without a reduction."""

import functools
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from mixmodal.core.records.losses import MODULES
from mixmodal.core.records.means import known_divisor

SIZE, CLASSES = 6, 4
LAM = torch.tensor([0.75, 0.0, 1.0, 0.3, 0.5, 0.9])
INDEX = torch.tensor([1, 2, 0, 4, 5, 3])
Y = torch.tensor([0, 3, 2, 1, 2, 2])
WEIGHT = torch.tensor([0.1, 1.0, 2.0, 5.0])


@pytest.fixture
def mix() -> mm.Mix:
    return mm.Mix(index=INDEX, mask=LAM.view(SIZE, 1), lam=LAM)


def by_hand(each: Any, y: Tensor) -> Tensor:
    """The sum of a mixed loss, sample by sample: `each` of one prediction's place and one label is a number."""
    total = torch.zeros((), dtype=torch.float64)
    for b, i in enumerate(INDEX.tolist()):
        total += float(LAM[b]) * float(each(b, y[b])) + (1 - float(LAM[b])) * float(each(b, y[i]))
    return total


def close(got: Tensor, expected: Any, tolerance: float = 1e-5) -> None:
    expected = torch.as_tensor(expected).double()
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)


def nll_of(preds: Tensor) -> Any:
    logs = preds.double().log_softmax(1)
    return lambda b, label: -logs[b, int(label)]


# ---------------------------------------------------------------- a reduction of the criterion's own


@pytest.mark.parametrize(
    "criterion", [nn.KLDivLoss(reduction="batchmean"), functools.partial(F.kl_div, reduction="batchmean")]
)
def test_the_mean_over_the_batch_is_honoured(mix: mm.Mix, criterion: Any) -> None:
    """It is C times the mean over elements, which torch warns of."""
    preds, y = torch.randn(SIZE, CLASSES).log_softmax(1), torch.rand(SIZE, CLASSES).softmax(1)
    expected = by_hand(lambda b, target: (target * (target.log() - preds[b])).sum(), y)
    close(mix.loss(preds, y, criterion), expected / SIZE)
    close(mix.loss(preds, y, nn.KLDivLoss()), expected / SIZE / CLASSES)


@pytest.mark.parametrize(
    "criterion",
    [nn.CrossEntropyLoss(reduction="sum"), functools.partial(F.cross_entropy, reduction="sum")],
    ids=["module", "partial"],
)
def test_a_sum_is_honoured(mix: mm.Mix, criterion: Any) -> None:
    preds = torch.randn(SIZE, CLASSES)
    close(mix.loss(preds, Y, criterion), by_hand(nll_of(preds), Y))
    close(mix.loss(preds, Y, criterion, reduction="sum"), by_hand(nll_of(preds), Y))


def test_no_reduction_is_honoured(mix: mm.Mix) -> None:
    preds = torch.randn(SIZE, CLASSES)
    losses = mix.loss(preds, Y, nn.CrossEntropyLoss(reduction="none"))
    assert losses.shape == (SIZE,)
    close(losses.sum(), by_hand(nll_of(preds), Y))


@pytest.mark.parametrize(("own", "asked"), [("sum", "mean"), ("none", "mean"), ("none", "sum"), ("sum", "none")])
def test_a_contradiction_is_refused(mix: mm.Mix, own: str, asked: str) -> None:
    preds = torch.randn(SIZE, CLASSES)
    for criterion in (nn.CrossEntropyLoss(reduction=own), functools.partial(F.cross_entropy, reduction=own)):
        with pytest.raises(ValueError, match=f"reduction='{asked}' contradicts reduction='{own}'.*leave it out"):
            mix.loss(preds, Y, criterion, reduction=asked)


class Sphere(nn.Module):
    """A criterion with a mean of its own name: over the root of the number of samples."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, preds: Tensor, y: Tensor) -> Tensor:
        each = (preds - y).square().sum(1)
        return each if self.reduction == "none" else each.sum() / len(each) ** 0.5


def test_a_mean_of_a_name_of_its_own_is_honoured(mix: mm.Mix) -> None:
    preds, y = torch.randn(SIZE, CLASSES), torch.randn(SIZE, CLASSES)
    expected = by_hand(lambda b, target: (preds[b] - target).square().sum(), y) / SIZE**0.5
    close(mix.loss(preds, y, Sphere("rootmean")), expected)


@pytest.mark.parametrize("setting", ["mean", "sum", "none"])
def test_hidden_losses_honour_it_too(setting: str) -> None:
    net = nn.Linear(3, CLASSES)
    hidden = mm.HiddenMix(net, {net: mm.MixUp()})
    preds, mix = hidden(torch.rand(SIZE, 3))
    criterion = nn.CrossEntropyLoss(reduction=setting)
    expected = mix.loss(preds, Y, reduction=setting)
    torch.testing.assert_close(hidden.loss(preds, Y, criterion), expected)


# ---------------------------------------------------------------- what the mean is over


def wrapped(function: Any, **settings: Any) -> Any:
    """A function that torch does not know, so that its divisor is read off."""
    return lambda preds, y, reduction="mean": function(preds, y, reduction=reduction, **settings)


@pytest.mark.parametrize("module", [True, False], ids=["module", "function of your own"])
def test_class_weights_at_predictions_that_are_sure(mix: mm.Mix, module: bool) -> None:
    """The own labels have no loss at all, so that sum and mean are 0: the weights still count."""
    preds = (1e4 * F.one_hot(Y, CLASSES).float()).log_softmax(1)
    criterion = nn.NLLLoss(weight=WEIGHT) if module else wrapped(F.nll_loss, weight=WEIGHT)
    assert criterion(preds, Y) == 0
    expected = by_hand(lambda b, label: -WEIGHT[label] * preds[b, int(label)], Y)
    assert expected > 0
    close(mix.loss(preds, Y, criterion), expected / sum(float(WEIGHT[label]) for label in Y.tolist()))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("power", [0.0, 5.0])
def test_a_mean_is_read_off_at_any_predictions(mix: mm.Mix, scale: float, power: float) -> None:
    """Of a focal loss with class weights, down to losses that float32 cannot hold."""

    def focal(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        nll = F.cross_entropy(preds, y, reduction="none")
        each = WEIGHT[y].to(nll.dtype) * (1 - (-nll).exp()) ** power * nll
        return each if reduction == "none" else each.sum() / (WEIGHT[y].sum() if reduction == "mean" else 1)

    preds = scale * F.one_hot(Y, CLASSES).float() + torch.randn(SIZE, CLASSES)
    nll = nll_of(preds)
    expected = by_hand(lambda b, label: WEIGHT[label] * (1 - torch.exp(-nll(b, label))) ** power * nll(b, label), Y)
    close(mix.loss(preds, Y, focal), expected / float(WEIGHT[Y].double().sum()), 1e-4)


def test_signed_losses_that_add_up_to_nothing_do_not_say_the_mean(mix: mm.Mix) -> None:
    """The own losses add up to what rounding leaves, whose ratio to their mean is noise: the partners' say it."""
    y = torch.tensor([0.3, -0.7, 2.0, 0.1, -4.0, 1.0])[:, None]
    preds = torch.tensor([1.1, 0.2, -0.6, 0.9, 0.4, -1.3])[:, None]
    preds = preds - (preds * y).sum() / y.square().sum() * y

    def criterion(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        each = preds * y
        return each if reduction == "none" else each.double().sum().float() / (3 * len(each))

    own, partners = (preds * y).double().sum(), (preds * y[INDEX]).double().sum()
    assert abs(float(own)) < 1e-6 < abs(float(partners))
    close(mix.loss(preds, y, criterion), by_hand(lambda b, target: preds[b] * target, y) / (3 * SIZE))


def test_all_ignored_is_as_the_criterion_has_it(mix: mm.Mix) -> None:
    criterion = wrapped(F.cross_entropy, ignore_index=7)
    assert mix.loss(torch.randn(SIZE, CLASSES), torch.full((SIZE,), 7), criterion).isnan()


FUNCTIONS = [
    (F.cross_entropy, {}, "classes"),
    (F.cross_entropy, {"weight": WEIGHT, "label_smoothing": 0.1, "ignore_index": 2}, "classes"),
    (F.cross_entropy, {"weight": WEIGHT}, "soft"),
    (F.nll_loss, {"weight": WEIGHT, "ignore_index": 1}, "classes"),
    (F.cross_entropy, {"weight": WEIGHT, "ignore_index": 2}, "dense"),
    (F.cross_entropy, {}, "dense soft"),
    (F.mse_loss, {}, "soft"),
    (F.l1_loss, {}, "soft"),
    (F.smooth_l1_loss, {"beta": 0.2}, "soft"),
    (F.huber_loss, {}, "dense soft"),
    (F.binary_cross_entropy, {"weight": WEIGHT}, "soft"),
    (F.binary_cross_entropy_with_logits, {"pos_weight": WEIGHT}, "soft"),
    (F.soft_margin_loss, {}, "soft"),
]


@pytest.mark.parametrize(("function", "settings", "kind"), FUNCTIONS)
def test_known_divisors_are_those_of_torch(function: Any, settings: dict[str, Any], kind: str) -> None:
    """Torch's own mean is torch's own sum over them."""
    grid = (3, 5) if "dense" in kind else ()
    preds = torch.rand(SIZE, CLASSES, *grid, dtype=torch.float64)
    soft = torch.rand_like(preds).softmax(1)
    y = soft if "soft" in kind else torch.randint(CLASSES, (SIZE, *grid))
    settings = {k: v.double() if isinstance(v, Tensor) else v for k, v in settings.items()}
    divisor = known_divisor(functools.partial(function, **settings), "mean", preds, y)
    assert divisor is not None
    close(function(preds, y, **settings), function(preds, y, reduction="sum", **settings) / divisor)
    for module in (each for each, called in MODULES.items() if called is function):
        made = module(**settings)
        assert torch.equal(torch.as_tensor(known_divisor(made, "mean", preds, y)), torch.as_tensor(divisor))


def test_weights_of_distances_divide_too(mix: mm.Mix) -> None:
    """`F.mse_loss(weight=)` has a mean over the sum of the weights."""
    preds, y, weight = torch.randn(SIZE, 2), torch.randn(SIZE, 2), torch.rand(SIZE, 2)
    criterion = functools.partial(F.mse_loss, weight=weight)
    expected = by_hand(lambda b, target: (weight[b] * (preds[b] - target).square()).sum(), y) / weight.double().sum()
    close(mix.loss(preds, y, criterion), expected)


# ---------------------------------------------------------------- state


class Counting(nn.Module):
    """Counts its calls, in a buffer and in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction, self.calls = "mean", 0
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.seen: Tensor

    def forward(self, preds: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        self.seen += 1
        return F.cross_entropy(preds, y, reduction=self.reduction)


class Seen(nn.Module):
    """Counts its calls in a buffer, in place, which compiled code follows."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction = "mean"
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.seen: Tensor

    def forward(self, preds: Tensor, y: Tensor) -> Tensor:
        self.seen.add_(1)
        return F.cross_entropy(preds, y, reduction=self.reduction)


def test_a_state_advances_once_for_each_label(mix: mm.Mix) -> None:
    criterion = Counting()
    for step in (1, 2, 3):
        mix.loss(torch.randn(SIZE, CLASSES), Y, criterion)
        assert criterion.calls == int(criterion.seen) == 2 * step
    sure = 1e4 * F.one_hot(Y, CLASSES).float()
    mix.loss(sure, Y, criterion)  # here the partners' labels are asked for the mean too
    assert criterion.calls == int(criterion.seen) == 8
    assert criterion.reduction == "mean"


def test_a_setting_is_put_back_after_an_error(mix: mm.Mix) -> None:
    criterion = nn.CrossEntropyLoss()
    with pytest.raises(IndexError):
        mix.loss(torch.randn(SIZE, CLASSES), Y + 100, criterion)
    assert criterion.reduction == "mean"


def test_a_compiled_criterion_keeps_its_reduction(mix: mm.Mix) -> None:
    criterion = torch.compile(nn.CrossEntropyLoss(weight=WEIGHT), backend="eager")
    preds = torch.randn(SIZE, CLASSES)
    close(mix.loss(preds, Y, criterion), mix.loss(preds, Y, nn.CrossEntropyLoss(weight=WEIGHT)))
    assert criterion.reduction == "mean"


def test_compiled_code_counts_and_reads_off_too(mix: mm.Mix) -> None:
    preds, criterion = torch.randn(SIZE, CLASSES), Seen()
    weighted = wrapped(F.nll_loss, weight=WEIGHT)
    soft = F.one_hot(Y, CLASSES).float()

    def step(preds: Tensor) -> tuple[Tensor, ...]:
        logs = preds.log_softmax(1)
        simple = mix.loss(preds, soft, lambda p, t: -(t * p.log_softmax(1)).sum(1).mean())
        return mix.loss(preds, Y, criterion), mix.loss(logs, Y, weighted), simple

    got = torch.compile(step, fullgraph=True, backend="aot_eager")(preds)
    assert int(criterion.seen) == 2
    expected = by_hand(nll_of(preds), Y) / SIZE
    close(got[0], expected)
    close(got[2], expected)
    nll = nll_of(preds)
    close(got[1], by_hand(lambda b, label: WEIGHT[label] * nll(b, label), Y) / float(WEIGHT[Y].sum()))


# ---------------------------------------------------------------- criteria without a reduction


class SoftTargetCrossEntropy(nn.Module):
    """As timm has it."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return torch.sum(-target * F.log_softmax(x, dim=-1), dim=-1).mean()


class Focal(nn.Module):
    """One number, and no attribute that would tell of it."""

    def forward(self, preds: Tensor, y: Tensor) -> Tensor:
        nll = F.cross_entropy(preds, y, reduction="none")
        return ((1 - torch.exp(-nll)) ** 2 * nll).mean()


def test_soft_targets_of_timm(mix: mm.Mix) -> None:
    preds, y = torch.randn(SIZE, CLASSES, requires_grad=True), torch.rand(SIZE, CLASSES).softmax(1)
    loss = mix.loss(preds, y, SoftTargetCrossEntropy())
    expected = F.cross_entropy(preds, mix.targets(y))
    close(loss.detach(), expected.detach())
    close(torch.autograd.grad(loss, preds)[0], torch.autograd.grad(expected, preds)[0])


@pytest.mark.parametrize(
    "criterion",
    [
        Focal(),
        lambda preds, y: Focal()(preds, y),
        lambda preds, y: (1 - preds.softmax(1)[range(len(y)), y]) ** 2 * F.cross_entropy(preds, y, reduction="none"),
    ],
    ids=["module", "lambda", "lambda, by sample"],
)
@pytest.mark.parametrize("reduction", [None, "mean", "sum", "none"])
def test_a_focal_loss(mix: mm.Mix, criterion: Any, reduction: str | None) -> None:
    preds = torch.randn(SIZE, CLASSES)
    nll = nll_of(preds)
    total = by_hand(lambda b, label: (1 - torch.exp(-nll(b, label))) ** 2 * nll(b, label), Y)
    loss = mix.loss(preds, Y, criterion, reduction=reduction)
    assert loss.shape == ((SIZE,) if reduction == "none" else ())
    close(loss.sum(), total / (SIZE if reduction in (None, "mean") else 1))


def test_a_regression_of_ones_own_is_no_loss_of_the_blended_target(mix: mm.Mix) -> None:
    preds, y = torch.randn(SIZE, 2), torch.randn(SIZE, 2)
    expected = by_hand(lambda b, target: (preds[b] - target).square().mean(), y) / SIZE
    close(mix.loss(preds, y, lambda preds, y: (preds - y).square().mean()), expected)
    assert not torch.isclose(F.mse_loss(preds, mix.targets(y)).double(), expected)


NO_MEAN = {
    "sum": lambda preds, y: F.cross_entropy(preds, y, reduction="sum"),
    "class weights": lambda preds, y: F.cross_entropy(preds, y, weight=WEIGHT),
    "ignored": lambda preds, y: F.cross_entropy(preds, y, ignore_index=2),
    "of the whole batch": lambda preds, y: F.cross_entropy(preds, y) + preds.std(0).mean(),
}


@pytest.mark.parametrize("criterion", NO_MEAN.values(), ids=NO_MEAN.keys())
def test_what_is_no_mean_over_samples_is_refused(mix: mm.Mix, criterion: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a deviation of one sample
        with pytest.raises(
            ValueError, match=r"criterion <lambda> takes no reduction=.*not the mean over the samples.*let it"
        ):
            mix.loss(torch.randn(SIZE, CLASSES), Y, criterion)


def test_what_looks_at_values_is_refused(mix: mm.Mix) -> None:
    def criterion(preds: Tensor, y: Tensor) -> Tensor:
        return (preds.abs().sum(1) * y).mean() if preds.sum() > 0 else preds.square().mean()

    with pytest.raises(TypeError, match=r"criterion criterion takes no reduction=.*sample by sample.*let it accept"):
        mix.loss(torch.randn(SIZE, CLASSES), Y, criterion)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_counts_are_means_where_they_are_those_of_one_sample(dtype: torch.dtype) -> None:
    """A criterion may give whole numbers; the sum of several is refused as any."""
    right = lambda preds, y: (preds.argmax(1) == y).sum().to(dtype)
    preds, y = torch.eye(CLASSES)[:2], torch.tensor([0, 0])
    one = mm.Mix(index=torch.zeros(1, dtype=torch.int64), mask=torch.ones(1, 4), lam=torch.ones(1))
    assert one.loss(preds[:1], y[:1], right) == 1
    two = mm.Mix(index=torch.tensor([1, 0]), mask=torch.ones(1, 4), lam=torch.ones(2))
    with pytest.raises(ValueError, match=r"not the mean over the samples .*; it gives 1, and the mean is 0\.5"):
        two.loss(preds, torch.tensor([0, 0]), right)


def test_what_is_no_tensor_is_refused(mix: mm.Mix) -> None:
    with pytest.raises(TypeError, match="gives float and must give a tensor"):
        mix.loss(torch.randn(SIZE, CLASSES), Y, lambda preds, y: F.cross_entropy(preds, y).item())


def test_one_number_has_no_losses_by_location() -> None:
    mix = mm.CutMix().draw(torch.empty(3, 2, 4, 5))
    with pytest.raises(ValueError, match=r"losses of shape \(3,\).*per location where axes= is given"):
        mix.loss(torch.randn(3, 4, 4, 5), torch.randint(4, (3, 4, 5)), lambda p, y: F.cross_entropy(p, y), axes="b *")


def test_the_one_loss_of_a_batch_has_no_losses_by_location() -> None:
    """Predictions (C,) of one sample are no batch, though torch takes them."""
    mix = mm.NoMix().draw(torch.empty(4, 3))
    with pytest.raises(ValueError, match=r"losses of shape \(\).*must return a loss per sample \(B, ...\)"):
        mix.loss(torch.zeros(4), torch.rand(4), F.cross_entropy, axes="b *")


# ---------------------------------------------------------------- booleans


@pytest.mark.parametrize("shape", [(SIZE,), (SIZE, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_booleans_are_read_as_0_and_1(mix: mm.Mix, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    preds, y = torch.randn(shape, dtype=dtype), torch.rand(shape) > 0.5

    def each(b: int, target: Tensor) -> Tensor:
        p = preds[b].double().sigmoid()
        return -torch.where(target, p.log(), (1 - p).log()).sum()

    expected = by_hand(each, y) / preds.numel()
    close(mix.loss(preds, y, nn.BCEWithLogitsLoss()), expected)
    close(mix.loss(preds, y, F.binary_cross_entropy_with_logits), expected)


# ---------------------------------------------------------------- shapes that broadcast

KINDS = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.BCELoss, nn.SoftMarginLoss)
ALIKE: dict[str, Any] = {
    **{kind.__name__: kind() for kind in (*KINDS, nn.PoissonNLLLoss)},
    "mse_loss": F.mse_loss,
    "partial": functools.partial(F.huber_loss, delta=0.5),
    "takes reduction": lambda preds, y, reduction="mean": (preds - y).square(),
    "of each": lambda preds, y: (preds - y).abs(),
    "their mean": lambda preds, y: (preds - y).abs().mean(),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("criterion", ALIKE.values(), ids=ALIKE.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
@pytest.mark.parametrize(("one", "other"), [((SIZE, 1), (SIZE,)), ((SIZE,), (SIZE, 1))], ids=str)
def test_predictions_and_targets_never_broadcast(
    mix: mm.Mix, criterion: Any, dtype: torch.dtype, one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    preds, y = torch.rand(one), torch.randint(2, other).to(dtype)
    if y.ndim == 2 and dtype == torch.int64:
        pytest.skip("integers with several axes need axes=")
    with pytest.raises(ValueError) as raised:
        mix.loss(preds, y, criterion)
    assert str(tuple(preds.shape)) in str(raised.value)
    assert str(tuple(y.shape)) in str(raised.value)


def test_a_square_batch_does_not_broadcast_either() -> None:
    """As many outputs as samples: (B, B) and (B,) give (B, B), each prediction against every target."""
    mix = mm.MixUp().draw(torch.empty(4, 1))
    for criterion in (nn.MSELoss(), lambda preds, y, reduction="mean": (preds - y).square()):
        with pytest.raises(ValueError, match=r"\(4, 4\) and \(4,\).*preds.squeeze\(1\) or y\[:, None\]"):
            mix.loss(torch.randn(4, 4), torch.randn(4), criterion)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_losses_of_classes_are_no_broadcast(size: int) -> None:
    """A loss of each class from class numbers, with as many classes as samples or not."""
    mix = mm.MixUp().draw(torch.empty(size, 1))

    def one_against_all(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        return F.binary_cross_entropy_with_logits(preds, F.one_hot(y, 4).float(), reduction=reduction)

    preds, y = torch.randn(size, 4), torch.arange(size) % 4
    soft = F.binary_cross_entropy_with_logits(preds, mix.targets(y, num_classes=4))
    torch.testing.assert_close(mix.loss(preds, y, one_against_all), soft)


def test_a_criterion_may_reshape_itself(mix: mm.Mix) -> None:
    preds, y = torch.randn(SIZE, 1), torch.randn(SIZE)
    expected = by_hand(lambda b, target: (preds[b, 0] - target).square(), y) / SIZE
    close(mix.loss(preds, y, lambda p, t, reduction="mean": F.mse_loss(p.squeeze(1), t, reduction=reduction)), expected)


def test_quantiles_share_a_target(mix: mm.Mix) -> None:
    preds, y = torch.randn(SIZE, 3), torch.randn(SIZE, 1)
    expected = by_hand(lambda b, target: (preds[b] - target).abs().sum(), y) / (SIZE * 3)
    close(
        mix.loss(
            preds, y, lambda p, t, reduction="mean": (p - t).abs() if reduction == "none" else (p - t).abs().mean()
        ),
        expected,
    )


# ---------------------------------------------------------------- dense labels


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 1, 6, 5), (4, 3, 6, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool], ids=str)
@pytest.mark.parametrize("mixer", [mm.CutMix(), mm.MixUp(), mm.NoMix()], ids=str)
def test_label_maps_of_floats_need_their_axes(mixer: mm.Mixer, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    y = (torch.rand(shape) > 0.5).to(dtype)
    mix = mixer.draw(torch.empty(4, 3, 6, 5))
    with pytest.raises(
        ValueError, match=rf"floats of shape \({', '.join(map(str, shape))}\).*grid \(6, 5\).*axes='b \*'"
    ):
        mix.loss(torch.randn(shape), y, nn.BCEWithLogitsLoss())


@pytest.mark.parametrize("mixer", [mm.CutMix(), mm.FMix()], ids=str)
def test_a_perfect_prediction_of_a_mixed_label_map_costs_nothing(mixer: mm.Mixer) -> None:
    x, y = torch.randn(4, 3, 6, 5), (torch.rand(4, 1, 6, 5) > 0.5).float()
    _, mix = mixer(x)
    truth = mix(y)
    for labels in (y, y.bool()):
        assert mix.loss(2000 * truth - 1000, labels, nn.BCEWithLogitsLoss(), axes="b c *") == 0
        wrong = mix.loss(1000 - 2000 * truth, labels, nn.BCEWithLogitsLoss(), axes="b c *")
        close(wrong, 1000.0)


@pytest.mark.parametrize("mixer", [mm.CutMix(), mm.FMix(max_soft=0.4, per_sample=True), mm.MixUp()], ids=str)
def test_soft_label_maps_of_classes(mixer: mm.Mixer) -> None:
    """Cross entropy takes the classes away, and leaves a loss for each location."""
    preds, y = torch.randn(3, 4, 5, 6, dtype=torch.float64), torch.rand(3, 4, 5, 6, dtype=torch.float64).softmax(1)
    _, mix = mixer(torch.randn(3, 2, 5, 6))
    m = mix.mask.double().expand(3, 5, 6)[:, None]
    expected = -((m * y + (1 - m) * y[mix.index]) * preds.log_softmax(1)).sum() / (3 * 5 * 6)
    close(mix.loss(preds, y, axes="b c *"), expected)


# ---------------------------------------------------------------- one batch


@pytest.mark.parametrize(
    ("preds", "y", "message"),
    [
        ((3, 4), (SIZE,), r"preds has shape \(3, 4\), and y has shape \(6,\), of a batch of 6"),
        ((), (SIZE,), r"preds has shape \(\)"),
        ((2, 4), (2,), r"y has shape \(2,\), the record is for a batch of 6.*\(B, N, 3\)"),
        ((1, 4), (1,), r"y has shape \(1,\), the record is for a batch of 6.*x\[None\]"),
    ],
)
def test_predictions_labels_and_record_are_of_one_batch(
    mix: mm.Mix, preds: tuple[int, ...], y: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mix.loss(torch.randn(preds), torch.zeros(y).long())


def test_an_unbatched_image_is_found_out() -> None:
    _, mix = mm.FMix()(torch.rand(3, 8, 8))  # (C, H, W): a batch of 3 for anyone who cannot know
    with pytest.raises(ValueError, match=r"y has shape \(1,\), the record is for a batch of 3.*x\[None\]"):
        mix.loss(torch.randn(1, CLASSES), torch.tensor([1]))


def test_a_flat_batch_of_points_is_found_out() -> None:
    _, mix = mm.MixUp()(torch.rand(10 + 20, 3))  # (ΣN, 3)
    with pytest.raises(ValueError, match=r"y has shape \(2,\), the record is for a batch of 30.*\(B, N, 3\)"):
        mix.loss(torch.randn(2, CLASSES), torch.tensor([1, 0]))


def test_predictions_must_be_a_tensor(mix: mm.Mix) -> None:
    with pytest.raises(TypeError, match=r"preds is tuple and must be a torch.Tensor"):
        mix.loss((torch.randn(SIZE, CLASSES),), Y)  # type: ignore[arg-type]


# ---------------------------------------------------------------- devices


def test_a_record_goes_to_a_device(mix: mm.Mix) -> None:
    for moved in (mix.to("meta"), mix.to(torch.device("meta")), mix.to("meta", non_blocking=True)):
        assert moved.index.device.type == moved.mask.device.type == moved.lam.device.type == "meta"
        assert moved.index.dtype == torch.int64


@pytest.mark.parametrize("device", ["nowhere", "", "cpu:x", -2])
def test_a_device_that_there_is_none_of_is_named(mix: mm.Mix, device: Any) -> None:
    with pytest.raises(ValueError, match=rf"^device={device!r} must be one that torch has here, such as 'cpu'"):
        mix.to(device)


@pytest.mark.parametrize("device", [torch.float16, torch.ones(1), None, 1.5, True], ids=str)
def test_a_record_has_no_other_dtype(mix: mm.Mix, device: Any) -> None:
    with pytest.raises(TypeError, match=r"device=.*must be a device, as in mix.to\('cuda'\).*index is int64"):
        mix.to(device)
