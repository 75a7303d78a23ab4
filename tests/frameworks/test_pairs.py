"""Pairs (x, y) in the scripts of timm and torchvision."""

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate

import mixmodal as mm
from mixmodal.frameworks.pairs import MixPairs

CLASSES = 7


def switch() -> mm.OneOf:
    return mm.OneOf([mm.MixUp(alpha=0.8), mm.CutMix(alpha=1.0)])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("batch", [6, 7])
def test_targets_are_those_of_timm_and_torch(smoothing: float, batch: int) -> None:
    """timm's, whose partner is the mirrored sample, and the loss that torch smooths of both labels by their shares."""
    mixup = pytest.importorskip("timm.data.mixup", reason="pip install timm")
    mixer, x, y = mm.InPairs(mm.CutMix(per_sample=True)), torch.rand(batch, 3, 9, 8), torch.randint(CLASSES, (batch,))
    torch.manual_seed(1)
    mixed, targets = MixPairs(mixer, num_classes=CLASSES, label_smoothing=smoothing)(x, y)
    torch.manual_seed(1)
    expected, mix = mixer(x)
    assert torch.equal(mixed, expected)
    lam = mix.mask.mean((1, 2))
    torch.testing.assert_close(targets, mixup.mixup_target(y, CLASSES, lam[:, None], smoothing))
    logits = torch.randn(batch, CLASSES)
    own, other = (
        F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none") for labels in (y, y.flip(0))
    )
    torch.testing.assert_close(F.cross_entropy(logits, targets), (lam * own + (1 - lam) * other).mean())


def test_mixing_can_be_switched_off_as_timms_script_does() -> None:
    """Its labels are smoothed all the same, as timm's own are."""
    timm = pytest.importorskip("timm.data", reason="pip install timm")
    x, y = torch.rand(6, 3, 8, 8), torch.randint(CLASSES, (6,))
    hybrid = mm.Alternate([mm.CutMix(), mm.MixUp()])
    for mixup_fn in (
        timm.Mixup(label_smoothing=0.1, num_classes=CLASSES),
        MixPairs(hybrid, num_classes=CLASSES, label_smoothing=0.1),
    ):
        mixup_fn.mixup_enabled = False
        same, targets = mixup_fn(x.clone(), y)
        assert torch.equal(same, x)
        torch.testing.assert_close(targets, 0.9 * F.one_hot(y, CLASSES) + 0.1 / CLASSES)
    assert hybrid.turn == 0
    mixup_fn.mixup_enabled = True
    assert not torch.equal(mixup_fn(x, y)[0], x)


def test_timms_loop_learns_from_mixed_batches() -> None:
    """As in its `train.py` with `--no-prefetcher`: the model, the loss and the optimizer are its own."""
    timm, optim, losses = (
        pytest.importorskip(name, reason="pip install timm") for name in ("timm", "timm.optim", "timm.loss")
    )
    torch.manual_seed(0)
    data = TensorDataset(torch.rand(20, 3, 32, 32), torch.randint(CLASSES, (20,)))
    train = DataLoader(data, batch_size=8)
    model = timm.create_model("test_resnet", num_classes=CLASSES)
    optimizer = optim.create_optimizer_v2(model, opt="sgd", lr=0.1)
    train_loss_fn = losses.SoftTargetCrossEntropy()
    mixup_fn = MixPairs(switch(), num_classes=CLASSES, label_smoothing=0.1)
    seen = []
    for input, target in train:
        mixed, soft = mixup_fn(input, target)
        assert soft.shape == (len(input), CLASSES)
        seen.append(not torch.equal(mixed, input))
        loss = train_loss_fn(model(mixed), soft)
        torch.testing.assert_close(loss, F.cross_entropy(model(mixed), soft))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert seen == [True] * 3


@pytest.mark.parametrize("kind", ["soft", "several labels", "regression"])
def test_targets_of_other_kinds_are_blended(kind: str) -> None:
    x = torch.rand(5, 2, 6)
    y = {"soft": torch.rand(5, 3), "several labels": torch.rand(5, 3) > 0.5, "regression": torch.rand(5)}[kind]
    torch.manual_seed(2)
    _, targets = MixPairs(mm.MixUp())(x, y)
    torch.manual_seed(2)
    mix = mm.MixUp().draw(x)
    lam = mix.lam.view(-1, *[1] * (y.ndim - 1))
    torch.testing.assert_close(targets, lam * y.float() + (1 - lam) * y[mix.index].float())


class Collate:
    """As the `collate_fn` of torchvision's references: `mixup_cutmix(*default_collate(batch))`."""

    def __init__(self, pairs: MixPairs) -> None:
        self.pairs = pairs

    def __call__(self, samples: list[Any]) -> Any:
        return self.pairs(*default_collate(samples))


def test_pairs_are_mixed_in_a_loader_and_untouched() -> None:
    """The share of each class in the targets is that of its images in the mix; a seed repeats it, in a copy too."""
    y = torch.arange(CLASSES)
    data = TensorDataset(torch.eye(CLASSES)[:, :, None, None].repeat(1, 1, 9, 8), y)
    before = data.tensors[0].clone()
    pairs, runs = MixPairs(switch(), num_classes=CLASSES), []
    for each in (pairs, copy.deepcopy(pairs), pickle.loads(pickle.dumps(pairs))):
        torch.manual_seed(3)
        runs.append(next(iter(DataLoader(data, batch_size=CLASSES, collate_fn=Collate(each)))))
        assert each == pairs
    for x, targets in runs:
        torch.testing.assert_close(x.mean((2, 3)), targets)
        assert torch.equal(x, runs[0][0])
    assert torch.equal(data.tensors[0], before)


def test_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="label_smoothing=2 must lie in"):
        MixPairs(mm.MixUp(), num_classes=3, label_smoothing=2)
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 is for class labels"):
        MixPairs(mm.MixUp(), label_smoothing=0.1)
    with pytest.raises(TypeError, match="needs saliency"):
        MixPairs(mm.PuzzleMix(), num_classes=3)
    with pytest.raises(ValueError, match="num_classes"):
        MixPairs(mm.MixUp())(torch.rand(2, 3), torch.tensor([0, 1]))
