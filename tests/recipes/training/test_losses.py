"""The loss of the PatchUp code against torch's binary cross entropy, and where that has lost its digits."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal import CutMix
from recipes.training.losses import log_one_minus, softmax_bce

classes = pytest.mark.parametrize("count", [2, 3, 10, 100])


def one_hot(target: Tensor, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.one_hot(target, count).to(dtype)


def gradient(loss: Callable[[Tensor], Tensor], preds: Tensor) -> Tensor:
    leaf = preds.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf), leaf)
    return slope


@classes
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("soft", [False, True])
def test_it_is_binary_cross_entropy_of_the_softmax(batch: int, count: int, soft: bool) -> None:
    torch.manual_seed(count)
    preds = 3 * torch.randn(batch, count, dtype=torch.float64)
    labels = torch.randint(count, (batch,))
    shares = torch.rand(batch, count, dtype=torch.float64).softmax(1)
    target, full = (shares, shares) if soft else (labels, one_hot(labels, count))

    def reference(x: Tensor) -> Tensor:
        return F.binary_cross_entropy(x.softmax(1), full)

    torch.testing.assert_close(softmax_bce(preds, target), reference(preds))
    torch.testing.assert_close(gradient(lambda x: softmax_bce(x, target), preds), gradient(reference, preds))
    each = F.binary_cross_entropy(preds.softmax(1), full, reduction="none").mean(1)
    torch.testing.assert_close(softmax_bce(preds, target, reduction="none"), each)
    torch.testing.assert_close(softmax_bce(preds, target, reduction="sum"), each.sum())


@pytest.mark.parametrize("count", [2, 10, 100, 200])
def test_its_first_gradient_is_that_of_cross_entropy_over_c_minus_1(count: int) -> None:
    """At equal logits, from the definition: 1 for 2 classes, 0.111 for 10, 0.0101 for 100, 0.00503 for 200."""
    preds = torch.full((4, count), 0.7, dtype=torch.float64)
    target = torch.arange(4) % count
    bce = gradient(lambda x: softmax_bce(x, target), preds)
    cross_entropy = gradient(lambda x: F.cross_entropy(x, target), preds)
    torch.testing.assert_close(bce, cross_entropy / (count - 1))


def test_it_is_affine_in_the_target() -> None:
    torch.manual_seed(0)
    preds, own, partner = torch.randn(6, 4, dtype=torch.float64), torch.randint(4, (6,)), torch.randint(4, (6,))
    blended = softmax_bce(preds, 0.3 * one_hot(own, 4) + 0.7 * one_hot(partner, 4))
    torch.testing.assert_close(blended, 0.3 * softmax_bce(preds, own) + 0.7 * softmax_bce(preds, partner))


def test_a_mix_takes_it_as_a_criterion() -> None:
    torch.manual_seed(0)
    preds, y = torch.randn(6, 5, dtype=torch.float64), torch.randint(5, (6,))
    _, mix = CutMix()(torch.rand(6, 3, 8, 8))
    soft = mix.targets(y, num_classes=5).double()
    for reduction in ("mean", "sum", "none"):
        found = mix.loss(preds, y, softmax_bce, reduction=reduction)
        torch.testing.assert_close(found, softmax_bce(preds, soft, reduction=reduction), check_dtype=False)


@pytest.mark.parametrize("scale", [30.0, 1e3, 1e5, 1e30])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_extreme_logits_keep_their_loss_and_gradient(scale: float, label: int) -> None:
    """Logits (0, -s, -2s): log p is (0, -s, -2s) and log(1 - p) (-s, 0, 0), but for terms of at most exp(-s)."""
    log_p, log_rest = torch.tensor([0.0, -scale, -2 * scale]), torch.tensor([-scale, 0.0, 0.0])
    t = one_hot(torch.tensor(label), 3, torch.float32)
    preds = torch.tensor([[0.0, -scale, -2 * scale]])
    target = torch.tensor([label])
    torch.testing.assert_close(softmax_bce(preds, target), -(t * log_p + (1 - t) * log_rest).mean())
    slope_of_p = torch.tensor([1.0, 0.0, 0.0]) - t
    slope_of_rest = (1 - t[0]) * torch.tensor([1.0, -1.0, 0.0])
    found = gradient(lambda x: softmax_bce(x, target), preds)
    torch.testing.assert_close(found, (slope_of_p + slope_of_rest)[None] / 3, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("gap", [5.0, 10.0, 17.0, 40.0, 90.0])
def test_float32_keeps_the_digits_of_float64(gap: float) -> None:
    """A wrong class far ahead, where 1 - p has few digits left or none."""
    preds = torch.tensor([[gap, 0.0, -1.0], [-gap, 2.0, 1.9]], dtype=torch.float64)
    target = torch.tensor([1, 0])
    torch.testing.assert_close(
        softmax_bce(preds.float(), target).double(), softmax_bce(preds, target), rtol=1e-6, atol=0
    )


def test_the_logarithm_of_almost_one_keeps_its_digits() -> None:
    """log(1 - p) is -p for a small p, which is lost where 1 - p is rounded, and log(2e-10) for p = 1 - 2e-10."""
    found = log_one_minus(torch.tensor([[0.0, math.log(1e-10), math.log(1e-10)]]))
    torch.testing.assert_close(found, torch.tensor([[math.log(2e-10), -1e-10, -1e-10]]), rtol=1e-5, atol=0)


def test_ties_at_the_top() -> None:
    preds, target = torch.tensor([[50.0, 50.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    torch.testing.assert_close(softmax_bce(preds, target).item(), 2 * math.log(2) / 3)
    half = gradient(lambda x: softmax_bce(x, target), preds)
    torch.testing.assert_close(half, torch.tensor([[-1.0, 1.0, 0.0]], dtype=torch.float64) / 3)


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    preds = 4 * torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    target = torch.rand(3, 5, dtype=torch.float64).softmax(1)
    assert torch.autograd.gradcheck(lambda x: softmax_bce(x, target, reduction="none"), preds)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    preds = torch.tensor([[30.0, -5.0, 0.5], [-3e4, 3e4, 0.0], [0.25, 0.5, 0.75]]).to(dtype)
    target = torch.tensor([2, 0, 1])
    soft = one_hot(target, 3, dtype)
    loss = softmax_bce(preds, target, reduction="none")
    assert loss.dtype == torch.float32
    assert torch.equal(loss, softmax_bce(preds.float(), target, reduction="none"))
    assert torch.equal(loss, softmax_bce(preds, soft, reduction="none"))


def test_autocast_keeps_it_finite() -> None:
    torch.manual_seed(0)
    x, target = 1e3 * torch.randn(16, 8), torch.randint(10, (16,))
    layer = torch.nn.Linear(8, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        preds = layer(x)
        loss = softmax_bce(preds, target)
    assert preds.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, softmax_bce(preds.float(), target))
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.any()


@pytest.mark.parametrize(
    ("preds", "target", "reduction", "message"),
    [
        (torch.zeros(4), torch.zeros(4), "mean", r"preds has shape \(4,\), expected \(B, C\) with C of at least 2"),
        (torch.zeros(4, 1), torch.zeros(4, 1), "mean", r"preds has shape \(4, 1\), expected"),
        (torch.zeros(4, 3), torch.zeros(4), "mean", r"target is torch.float32 \(4,\), expected integers \(4,\) or"),
        (torch.zeros(4, 3), torch.zeros(4, 3).long(), "mean", r"target is torch.int64 \(4, 3\), .*numbers \(4, 3\)"),
        (torch.zeros(4, 3), torch.zeros(3).long(), "mean", r"target is torch.int64 \(3,\)"),
        (torch.zeros(4, 3), torch.zeros(4).long(), "batchmean", "reduction='batchmean' must be 'mean', 'sum' or"),
    ],
)
def test_wrong_arguments_are_named(preds: Tensor, target: Tensor, reduction: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        softmax_bce(preds, target, reduction=reduction)


@pytest.mark.parametrize("label", [-100, -1, 3])
def test_labels_out_of_range_are_errors(label: int) -> None:
    with pytest.raises(RuntimeError, match="out of bounds"):
        softmax_bce(torch.zeros(1, 3), torch.tensor([label]))
