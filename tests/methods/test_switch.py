"""A mixer for each sample, and batches in pairs: the switch of timm's recipes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mixmodal as mm

Z = 4.5
SHAPE = (17, 16)


def each(**settings: Any) -> mm.OneOf:
    return mm.OneOf([mm.MixUp(alpha=0.8, per_sample=True), mm.CutMix(per_sample=True)], per_sample=True, **settings)


def seen(batch: int) -> tuple[Tensor, Tensor]:
    """A batch whose mixed images show the mask: the first half is ones, its partners are zeros, and so are labels."""
    own = (torch.arange(batch) < batch // 2).long()
    return own.float().view(-1, 1, 1, 1).expand(-1, 1, *SHAPE).clone(), own


def facts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of the first half: the shares in the images, which are in the labels, and whether they are cut by a box."""
    half = len(x) // 2
    image = x[:half].flatten(1)
    torch.testing.assert_close(image.mean(1), y[:half, 1].float().expand(half))
    return image.mean(1), ((image == 0) | (image == 1)).all(1)


# ---------------------------------------------------------------- timm

MODES: dict[str, tuple[int, int, Callable[[], mm.Draws]]] = {
    "batch": (2, 400, lambda: mm.OneOf([mm.MixUp(alpha=0.8), mm.CutMix(alpha=1.0)])),
    "pair": (500, 6, lambda: mm.InPairs(each())),
    "elem": (500, 6, each),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_switch_has_the_law_of_timms(mode: str) -> None:
    """1500 samples of each, or 400 batches.

    The rate of boxes is met by 4.5 standard errors, and shares by Kolmogorov's and Smirnov's bound at 1e-4.
    """
    timm, np = pytest.importorskip("timm.data", reason="pip install timm"), pytest.importorskip("numpy")
    batch, times, build = MODES[mode]
    np.random.seed(1)
    peer = timm.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, mode=mode, label_smoothing=0.0, num_classes=2)
    theirs = [facts(*peer(*seen(batch))) for _ in range(times)]
    torch.manual_seed(1)
    mixer, ours = build(), []
    for _ in range(times):
        x, y = seen(batch)
        given = {} if mode == "pair" else {"index": torch.arange(batch).flip(0)}
        x, mix = mixer(x, **given)
        ours.append(facts(x, mix.targets(y, num_classes=2)))
    shares, boxes = zip(*(map(torch.cat, zip(*drawn, strict=True)) for drawn in (ours, theirs)), strict=True)
    n = len(shares[0])
    assert n == len(shares[1]) == batch // 2 * times
    for box in boxes:
        assert abs(box.float().mean() - 0.5) < Z * 0.5 / n**0.5
    for kind in (True, False):
        first, second = (share[box == kind] for share, box in zip(shares, boxes, strict=True))
        assert distance(first, second) < 2.23 * (1 / len(first) + 1 / len(second)) ** 0.5


def distance(first: Tensor, second: Tensor) -> float:
    """Kolmogorov and Smirnov's, between two samples; shares that differ by rounding are one."""
    first, second = (values.double().mul(1e5).round().sort().values for values in (first, second))
    at = torch.cat([first, second])
    below = [torch.searchsorted(values, at, right=True) / len(values) for values in (first, second)]
    return float((below[0] - below[1]).abs().max())


# ---------------------------------------------------------------- one of several for each sample


def test_each_sample_is_mixed_by_one_of_the_mixers_and_its_label_with_it() -> None:
    """By hand: own values are 1, those of the partner 0, so that the image is the mask, and its mean the share."""
    torch.manual_seed(0)
    x, y = seen(400)
    x, mix = each()(x, index=torch.arange(400).flip(0))
    image = x[:200].flatten(1)
    box = ((image == 0) | (image == 1)).all(1)
    plain = (image == image[:, :1]).all(1)
    assert (box | plain).all()
    assert box.any()
    assert plain.any()
    torch.testing.assert_close(mix.targets(y, num_classes=2)[:200, 1], image.mean(1))


@pytest.mark.parametrize("with_generator", [False, True])
@pytest.mark.parametrize("p", [(0.25, 0.25, 0.5), (0.0, 0.1, 0.9), (0.2, 0.8, 0.0)])
def test_samples_have_their_mixers_at_their_rates(p: tuple[float, ...], with_generator: bool) -> None:
    """4.5 standard errors of 2000 samples, which are independent: as many pairs of neighbours agree as should."""
    n, generator = 2000, torch.Generator().manual_seed(3) if with_generator else None
    torch.manual_seed(3)
    halves = mm.MixUp(alpha=1e6, per_sample=True)
    policy = mm.OneOf([mm.CutMix(per_sample=True), halves, mm.NoMix()], p=p, per_sample=True)
    x = torch.arange(n).float().view(-1, 1, 1).expand(-1, 1, 64)
    mixed, mix = policy(x, index=torch.arange(n).roll(1), generator=generator)
    own, partner = x[:, 0, :1], x[:, 0, :1].roll(1, 0)
    image = mixed[:, 0]
    half = (image - (own + partner) / 2).abs().amax(1) < 0.02 * (own - partner).abs()[:, 0]
    none = (image == own).all(1) & ~((image == own) & (mix.mask < 1)).any(1)
    rest = ~half & ~none
    kept = float((mm.CutMix(per_sample=True).draw(x).mask == 1).all(1).float().mean())  # boxes without a cell
    for count, share in ((rest, p[0] * (1 - kept)), (half, p[1]), (none, p[2] + p[0] * kept)):
        assert abs(count.float().mean() - share) <= Z * max(share * (1 - share) / n, 1 / n**2) ** 0.5 + 0.01 * p[0]
    again = half[1:] == half[:-1]
    agree = p[1] ** 2 + (1 - p[1]) ** 2
    assert abs(again.float().mean() - agree) < Z * 2**0.5 * (agree * (1 - agree) / n) ** 0.5 + 1e-6


def test_an_unmixed_sample_keeps_its_own_partner_and_the_others_one_permutation() -> None:
    policy = mm.OneOf([mm.MixUp(per_sample=True), mm.NoMix()], per_sample=True)
    torch.manual_seed(0)
    mix = policy.draw(torch.rand(200, 1, 4))
    own = mix.index == torch.arange(200)
    assert 60 < int(own.sum()) < 140
    assert (mix.lam[own] == 1).all()
    assert len(mix.index[~own].unique()) == int((~own).sum())


def test_a_loss_is_that_of_each_samples_mixer() -> None:
    """PatchUp's has terms of its own; drawn alone with the same index and mask, each sample's loss is the same."""
    block = mm.PatchUp(block_size=3, channels="shared", per_sample=True)
    policy = mm.OneOf([block, mm.MixUp(per_sample=True), mm.NoMix()], per_sample=True)
    x, y, preds = torch.rand(60, 1, 9, 9), torch.randint(5, (60,)), torch.randn(60, 5)
    torch.manual_seed(4)
    mix = policy.draw(x)
    torch.manual_seed(4)
    index = torch.randperm(60)
    drawn = [mixer.draw(x, index=index) for mixer in policy.mixers]
    losses = torch.stack([each.loss(preds, y, reduction="none") for each in drawn])
    found = mix.loss(preds, y, reduction="none")
    same = (losses - found).abs() < 1e-5
    assert same.any(0).all()
    assert {int(place) for place in same.float().argmax(0)} == {0, 1, 2}


def test_padding_is_that_of_each_samples_mixer() -> None:
    """MixUp has what is real in either, CutMix in the side that is taken; with the axes of tokens."""
    valid = torch.arange(8) < torch.randint(1, 9, (50, 1))
    x = torch.rand(50, 8, 3) + 1
    policy = mm.OneOf(
        [mm.MixUp(axes="b * d", per_sample=True), mm.CutMix(axes="b * d", per_sample=True)], per_sample=True
    )
    mixed, mix = policy(x, valid=valid)
    there = valid[mix.index]
    own = mix.mask * valid
    other = (1 - mix.mask) * there
    expected = own[..., None] * x + other[..., None] * x[mix.index]
    torch.testing.assert_close(mixed, expected)
    assert torch.equal(mix.valid, (own + other) > 0)
    torch.testing.assert_close(mix.lam, own.sum(1) / (own + other).sum(1))


def test_hard_masks_stay_hard_and_choose_label_maps() -> None:
    policy = mm.OneOf([mm.CutMix(per_sample=True), mm.FMix(per_sample=True), mm.NoMix()], per_sample=True)
    x = torch.arange(40).view(-1, 1, 1).expand(-1, 6, 6)
    mixed, mix = policy(x.float()[:, None])
    assert mix.hard
    assert torch.equal(mix(x, axes="b *").float(), mixed[:, 0])
    with pytest.raises(TypeError, match="soft"):
        each()(x[:, None])


def test_uniform_mixers_take_a_batch_of_any_rank() -> None:
    policy = mm.OneOf([mm.MixUp(per_sample=True), mm.NoMix()], per_sample=True)
    for shape in ((5,), (5, 3), (0, 2)):
        assert policy(torch.rand(shape))[0].shape == shape
    assert policy.draw(torch.rand(5, 3)).uniform


JOINED: dict[str, tuple[list[mm.Draws], str]] = {
    "without a partner": ([mm.Cutout(size=2), mm.MixUp()], "Cutout.* drops what has no partner, and others"),
    "scaled": ([mm.DropBlock(block_size=2, drop_prob=0.5), mm.NoMix()], "DropBlock.* scales what is left"),
}


@pytest.mark.parametrize(("mixers", "message"), JOINED.values(), ids=JOINED.keys())
def test_mixers_that_cannot_share_a_batch_are_refused(mixers: list[mm.Draws], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        mm.OneOf(mixers, per_sample=True).draw(torch.rand(3, 1, 8, 8))


def test_what_a_policy_for_samples_cannot_do_is_named() -> None:
    with pytest.raises(TypeError, match="has no mixer for a batch, since each sample has its own"):
        each().choose()
    with pytest.raises(ValueError, match="per_sample=1 must be True or False"):
        mm.OneOf([mm.MixUp()], per_sample=1)  # type: ignore[arg-type]
    apart = mm.OneOf([mm.CutMix(axes="b c *"), mm.CutMix(axes="b * d")], per_sample=True)
    with pytest.raises(
        ValueError, match=r"masks on the same grid, and \(7,\) of axes='b c \*' is not \(4,\) of axes='b \* d'"
    ):
        apart.draw(torch.rand(3, 4, 7))


def test_holes_are_shared_where_nothing_else_is_mixed() -> None:
    """Cutout and NoMix have no partner, either of them."""
    torch.manual_seed(0)
    cut, mix = mm.OneOf([mm.Cutout(size=3), mm.NoMix()], per_sample=True)(torch.ones(60, 1, 8, 8))
    whole = (cut == 1).flatten(1).all(1)
    assert 15 < int(whole.sum()) < 45
    assert not mix.partner
    assert torch.equal(mix.targets(F.one_hot(torch.arange(60)).float()), torch.eye(60))


# ---------------------------------------------------------------- in pairs


@pytest.mark.parametrize("batch", [0, 1, 2, 5, 8])
@pytest.mark.parametrize(
    "mixer",
    [mm.MixUp(per_sample=True), mm.CutMix(), mm.FMix(per_sample=True, max_soft=0.2), each(), mm.NoMix()],
    ids=lambda mixer: type(mixer).__name__,
)
def test_what_one_of_a_pair_loses_the_other_gets(mixer: mm.Draws, batch: int) -> None:
    """Of both together nothing is lost; the share of both labels is that of the mask that the image shows."""
    torch.manual_seed(batch)
    x, y = torch.rand(batch, 2, 7, 6), torch.eye(batch)
    mixed, mix = mm.InPairs(mixer)(x)
    torch.testing.assert_close(mixed + mixed.flip(0), x + x.flip(0))
    if mix.partner:
        mask = mix.mask.expand(batch, *mix.mask.shape[1:])[:, None]
        torch.testing.assert_close(mixed, mask * x + (1 - mask) * x.flip(0))
    soft = mix.targets(y)
    torch.testing.assert_close(soft.flip(0).flip(1), soft)
    shown = mix(y[:, :, None, None].expand(-1, -1, 7, 6).contiguous()).mean((2, 3))
    torch.testing.assert_close(shown, soft)
    if batch % 2:
        torch.testing.assert_close(mixed[batch // 2], x[batch // 2])


def test_pairs_have_masks_of_their_own() -> None:
    mix = mm.InPairs(mm.CutMix(per_sample=True)).draw(torch.rand(40, 1, 32, 32))
    assert torch.equal(mix.mask, mix.mask.flip(0))
    assert len({tuple(mask.flatten().tolist()) for mask in mix.mask[:20]}) > 15
    assert mm.InPairs(mm.CutMix()).draw(torch.rand(40, 1, 8, 8), lam=0.5).mask.shape == (1, 8, 8)


def test_a_pair_has_one_loss_of_patchup() -> None:
    """That of its mixer for the first half of the batch, from the same seed."""
    block, x = mm.PatchUp(block_size=3, per_sample=True), torch.rand(6, 4, 9, 9)
    torch.manual_seed(0)
    terms = mm.InPairs(block).draw(x).terms
    torch.manual_seed(0)
    first = block.draw(x[:3], index=torch.arange(3)).terms
    assert len(terms) == len(first) == 3
    for (weight, share), (half_weight, half_share) in zip(terms, first, strict=True):
        assert torch.equal(weight, torch.cat([half_weight, half_weight.flip(0)]))
        if isinstance(half_share, Tensor):
            assert torch.equal(torch.as_tensor(share), torch.cat([half_share, half_share.flip(0)]))
        else:
            assert share == half_share


def test_what_names_samples_is_refused_of_pairs() -> None:
    x, pairs = torch.rand(4, 1, 5), mm.InPairs(mm.CutMix())
    for name, given in {"index": torch.arange(4), "valid": torch.ones(4, 5) > 0, "lam": torch.rand(4)}.items():
        with pytest.raises(TypeError, match=rf"{name} of shape .* is given to InPairs, where both samples of a pair"):
            pairs.draw(x, **{name: given})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"index \(list\) is given to InPairs"):
        pairs.draw(x, index=[1, 0, 3, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"axes='b c \*' needs a tensor with 3 axes or more .* got shape \(\)"):
        pairs.draw(torch.tensor(1.0))
    with pytest.raises(TypeError, match="needs saliency, which InPairs cannot give it"):
        mm.InPairs(mm.PuzzleMix())
    hybrid = mm.InPairs(mm.Alternate([mm.CutMix(), mm.MixUp()]))
    hybrid.draw(x)
    assert hybrid.state_dict() == {"mixer": {"turn": 1}}
