"""The loss in the Trainer of Hugging Face: the criterion's own mean, in one part or several, against sums by hand."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mixmodal as mm

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore::DeprecationWarning", "ignore::FutureWarning")

FEATURES, CLASSES, TOKENS, ROWS, PARTS = 5, 4, 3, 16, 4
WEIGHT = torch.tensor([0.1, 1.0, 2.0, 5.0])
LAM = 0.7


class Net(nn.Module):
    """Logits of a sample (B, C), or of its tokens (B, C, T)."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig()
        self.dense, self.head = dense, nn.Linear(FEATURES, CLASSES, bias=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.head(x)
        return {"logits": logits.movedim(2, 1) if self.dense else logits[:, 0]}


class Roll(mm.MixUp):
    """Partners within groups of four samples, as each part has them, and one share."""

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        size = ROWS // PARTS
        place = torch.arange(len(x))
        index = place // size * size + (place + 1) % size
        return super().record(x, mm.Asked(index=index, lam=LAM))


def labels_of(kind: str) -> Tensor:
    torch.manual_seed(3)
    return {
        "classes": torch.randint(CLASSES, (ROWS,)),
        "one class in a part": torch.arange(ROWS) // PARTS,
        "ignored": torch.tensor([0, 1, -100, 2, -100, -100, 3, -100, 1, 1, 2, 0, -100, -100, -100, -100]),
        "ignored 3": torch.tensor([0, 1, 3, 2, 3, 3, 1, 3, 1, 1, 2, 0, 3, 3, 3, 0]),
        "soft": torch.rand(ROWS, CLASSES).softmax(1),
        "several": (torch.rand(ROWS, CLASSES) > 0.5).float(),
        "booleans": torch.rand(ROWS, CLASSES) > 0.5,
        "dense": torch.randint(CLASSES, (ROWS, TOKENS)).masked_fill(torch.rand(ROWS, TOKENS) < 0.4, -100),
    }[kind]


def trained(folder: Path, labels: Tensor, parts: int, criterion: Any, *, mixed: bool = True) -> Tensor:
    """The gradient of the head after one step of the real Trainer, on all rows in `parts` parts."""
    torch.manual_seed(5)
    dense = labels.ndim == 2 and not labels.is_floating_point() and labels.dtype != torch.bool
    model, x = Net(dense), torch.randn(ROWS, TOKENS, FEATURES)
    start = model.head.weight.detach().clone()
    rows = [{"x": one, "labels": label} for one, label in zip(x, labels, strict=True)]

    class InOrder(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(rows, batch_size=ROWS // parts)  # type: ignore[arg-type]

    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=1, gradient_accumulation_steps=parts, report_to="none", save_strategy="no",
        use_cpu=True, max_grad_norm=0.0, disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False,
    )  # fmt: skip
    mixer = Roll() if mixed else mm.NoMix()
    with mm.HiddenMix(model, {(model, "x"): mixer}) as mixing:
        loss = mm.trainer_loss(mixing, arguments, criterion=criterion, axes="b *" if dense else None)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        InOrder(model, arguments, train_dataset=rows, compute_loss_func=loss, optimizers=(optimizer, None)).train()
    return start - model.head.weight.detach()


def by_hand(labels: Tensor, each: Callable[[Tensor, Tensor], Tensor], divisor: float, *, mixed: bool = True) -> Tensor:
    """The same gradient, of losses `each` (B, ...) summed over samples and both labels."""
    torch.manual_seed(5)
    dense = labels.ndim == 2 and not labels.is_floating_point() and labels.dtype != torch.bool
    model, x = Net(dense), torch.randn(ROWS, TOKENS, FEATURES)
    partner = torch.tensor([b // 4 * 4 + (b + 1) % 4 for b in range(ROWS)])
    lam = LAM if mixed else 1.0
    logits = model(lam * x + (1 - lam) * x[partner])["logits"]
    total = lam * each(logits, labels).sum() + (1 - lam) * each(logits, labels[partner]).sum()
    return torch.autograd.grad(total / divisor, model.head.weight)[0]


CROSS_ENTROPY = functools.partial(F.cross_entropy, reduction="none")
BINARY = functools.partial(F.binary_cross_entropy_with_logits, reduction="none")
ARGUMENTS = transformers.TrainingArguments()
NUMBER = {"ignored": int((labels_of("ignored") != -100).sum()), "dense": int((labels_of("dense") != -100).sum())}
EXACT: dict[str, tuple[str, Any, Callable[[Tensor, Tensor], Tensor], float]] = {
    "classes": ("classes", F.cross_entropy, CROSS_ENTROPY, ROWS),
    "classes, module": ("classes", nn.CrossEntropyLoss(), CROSS_ENTROPY, ROWS),
    "ignored, a whole part too": ("ignored", F.cross_entropy, CROSS_ENTROPY, NUMBER["ignored"]),
    "smoothed": (
        "ignored",
        nn.CrossEntropyLoss(label_smoothing=0.2),
        functools.partial(CROSS_ENTROPY, label_smoothing=0.2),
        NUMBER["ignored"],
    ),
    "soft": ("soft", F.cross_entropy, CROSS_ENTROPY, ROWS),
    "soft, divergence": (
        "soft",
        lambda p, t, reduction="mean": F.kl_div(
            p.log_softmax(1), t, reduction="batchmean" if reduction == "mean" else reduction
        ),
        lambda p, t: F.kl_div(p.log_softmax(1), t, reduction="none"),
        ROWS,
    ),
    "several labels": ("several", nn.BCEWithLogitsLoss(), BINARY, ROWS * CLASSES),
    "booleans": ("booleans", nn.BCEWithLogitsLoss(), lambda p, t: BINARY(p, t.float()), ROWS * CLASSES),
    "dense": ("dense", F.cross_entropy, CROSS_ENTROPY, NUMBER["dense"]),
    "a focal loss of one number": (
        "classes",
        lambda p, t: (
            (1 - (-F.cross_entropy(p, t, reduction="none")).exp()) * F.cross_entropy(p, t, reduction="none")
        ).mean(),
        lambda p, t: (1 - (-CROSS_ENTROPY(p, t)).exp()) * CROSS_ENTROPY(p, t),
        ROWS,
    ),
}


@pytest.mark.parametrize("parts", [1, PARTS])
@pytest.mark.parametrize(("kind", "criterion", "each", "divisor"), EXACT.values(), ids=EXACT.keys())
def test_parts_have_the_gradient_of_one_large_batch(
    tmp_path: Path, kind: str, criterion: Any, each: Callable[[Tensor, Tensor], Tensor], divisor: float, parts: int
) -> None:
    labels = labels_of(kind)
    expected = by_hand(labels, each, divisor)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(trained(tmp_path, labels, parts, criterion), expected, rtol=1e-5, atol=1e-6)


def test_a_part_without_a_label_that_counts_adds_nothing() -> None:
    net = nn.Linear(2, CLASSES)
    loss = mm.trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}), ARGUMENTS, criterion=F.cross_entropy)
    assert loss({"logits": net(torch.rand(3, 2))}, torch.full((3,), -100), torch.tensor(8)) == 0


UNEVEN: dict[str, tuple[str, Any, Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "class weights": (
        "classes",
        nn.CrossEntropyLoss(weight=WEIGHT),
        functools.partial(CROSS_ENTROPY, weight=WEIGHT),
        lambda y: WEIGHT[y].sum(),
    ),
    "ignored 3": (
        "ignored 3",
        functools.partial(F.cross_entropy, ignore_index=3),
        functools.partial(CROSS_ENTROPY, ignore_index=3),
        lambda y: (y != 3).sum(),
    ),
}
uneven = pytest.mark.parametrize(("kind", "criterion", "each", "weigh"), UNEVEN.values(), ids=UNEVEN.keys())


@uneven
def test_in_one_part_the_mean_is_the_criterions(
    tmp_path: Path, kind: str, criterion: Any, each: Any, weigh: Callable[[Tensor], Tensor]
) -> None:
    labels = labels_of(kind)
    expected = by_hand(labels, each, float(weigh(labels)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the mean of")
        torch.testing.assert_close(trained(tmp_path, labels, 1, criterion), expected, rtol=1e-5, atol=1e-6)


@uneven
def test_in_several_parts_it_is_their_average_and_says_so(
    tmp_path: Path, kind: str, criterion: Any, each: Any, weigh: Callable[[Tensor], Tensor]
) -> None:
    """By numbers of labels, equal here; never off by more than the parts' means are."""
    labels = labels_of(kind)
    with pytest.warns(UserWarning, match="mean of .*Trainer tells no more.*averaged.*take it in one part"):
        found = trained(tmp_path, labels, PARTS, criterion)
    size = ROWS // PARTS
    expected = torch.zeros_like(found)
    for part in range(PARTS):
        inside = torch.arange(ROWS) // size == part

        def only(logits: Tensor, y: Tensor, inside: Tensor = inside) -> Tensor:
            return each(logits, y) * inside

        expected += by_hand(labels, only, float(weigh(labels[inside]))) / PARTS
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_mean_over_the_batch_is_kept(tmp_path: Path) -> None:
    """`KLDivLoss(reduction="batchmean")`, of log-probabilities that the model gives."""

    def each(logits: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(logits, target, reduction="none")

    labels = labels_of("soft")
    for parts in (1, PARTS):
        found = trained(tmp_path, labels, parts, nn.KLDivLoss(reduction="batchmean"))
        torch.testing.assert_close(found, by_hand(labels, each, ROWS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_criterion_that_is_no_mean_is_refused(reduction: str) -> None:
    net = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=f"CrossEntropyLoss is set to reduction='{reduction}'.*needs a mean"):
        mm.trainer_loss(
            mm.HiddenMix(net, {net: mm.MixUp()}), ARGUMENTS, criterion=nn.CrossEntropyLoss(reduction=reduction)
        )


@pytest.mark.parametrize("criterion", [F.cross_entropy, nn.CrossEntropyLoss()])
def test_smoothing_of_a_criterion_that_is_given_is_refused(criterion: Any) -> None:
    net = nn.Linear(2, 2)
    arguments = transformers.TrainingArguments(label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match=r"label_smoothing_factor=0\.1.*set it to 0.*label_smoothing=0\.1"):
        mm.trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}), arguments, criterion=criterion)


def test_what_is_no_training_arguments_is_refused() -> None:
    net = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="args is function and must be the TrainingArguments"):
        mm.trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}), F.cross_entropy)


def test_the_recommended_smoothing_is_the_trainers_own(tmp_path: Path) -> None:
    """Without mixing: the Trainer's label smoother against the criterion that the message names."""
    labels = labels_of("ignored")
    from transformers.trainer_pt_utils import LabelSmoother

    torch.manual_seed(5)
    model, x = Net(False), torch.randn(ROWS, TOKENS, FEATURES)
    theirs = LabelSmoother(epsilon=0.1)({"logits": model(x)["logits"]}, labels, num_items_in_batch=NUMBER["ignored"])
    expected = torch.autograd.grad(theirs, model.head.weight)[0]
    found = trained(tmp_path, labels, PARTS, nn.CrossEntropyLoss(label_smoothing=0.1), mixed=False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
