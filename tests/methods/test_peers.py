"""Bugs and complaints of other packages (reference/peers.md §2, §3 and §5) that stay impossible here."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mixmodal as mm
from mixmodal.core import masks
from tests.methods_table import PARTNERED, TABLE, Method, over, roll


def shares(mixer: Any, batch: int, grid: tuple[int, ...], **parts: Any) -> tuple[Tensor, mm.Mix]:
    """(B, B): how much of each sample is in each mix, counted in batches of which one sample is one, the rest zero."""
    mix = mixer.draw(torch.empty(batch, 2, *grid), **parts)
    ones = torch.eye(batch).view(batch, batch, *[1] * (1 + len(grid)))
    return torch.stack([mix(one.expand(batch, 2, *grid)).flatten(1).mean(1) for one in ones], dim=1), mix


@over([method for method in PARTNERED if method.exact])
def test_monai_dense_labels_keep_the_shares_of_the_voxels(method: Method) -> None:
    """§2.1: there, (B, K) labels were the partner's while 5 to 9 % of the voxels were."""
    for grid in ((9, 7), (5, 4, 6)):
        if method.takes(grid):
            got, mix = shares(method.build("b c *"), 5, grid)
            torch.testing.assert_close(mix.targets(torch.eye(5)), got, rtol=0, atol=1e-6)
            torch.testing.assert_close(mix.targets(torch.eye(5).bool()), got, rtol=0, atol=1e-6)


@over(TABLE)
def test_saliencymix_targets_have_one_row_a_sample(method: Method) -> None:
    """§2.2: (B, 1, B, K) there, which no loss takes."""
    mix = method.build("b c *").draw(torch.empty(4, 3, 8, 8))
    targets = mix.targets(torch.tensor([0, 1, 2, 2]), num_classes=3)
    assert targets.shape == (4, 3)
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    assert F.cross_entropy(torch.randn(4, 3), targets).isfinite()


def test_integer_labels_are_never_averaged() -> None:
    """§2.2: classes 0 and 4 at one half are not class 2."""
    mix = mm.MixUp().draw(torch.empty(2, 1), lam=0.5, index=roll(2))
    y = torch.tensor([0, 4])
    with pytest.raises(ValueError, match="num_classes"):
        mix.targets(y)
    assert mix.targets(y, num_classes=5).tolist() == [[0.5, 0, 0, 0, 0.5]] * 2
    with pytest.raises(TypeError, match="never blended"):
        mix(y)


def test_masks_of_more_than_16_million_cells() -> None:
    """§2.2: `quantile` ends there. Exact count in one mask."""
    shape = (4200, 4001)
    mask = masks.fourier(torch.tensor([0.25]), shape)
    count = int(mask.double().sum())
    assert abs(count - 0.25 * math.prod(shape)) < 1
    assert (mask[0].diff(dim=1) != 0).float().mean() < 0.01  # not noise


def test_rank_one_inputs() -> None:
    """§2.2: the FMix of others fails on (B, L) and (B, C, L)."""
    for axes, shape in (("b *", (3, 17)), ("b c *", (3, 2, 17)), ("b * d", (3, 17, 2))):
        mixed, mix = mm.FMix(axes=axes)(torch.ones(shape))
        assert (mixed == 1).all()
        assert mix.mask.shape == (1, 17)


def test_keras_segmentation_masks_keep_their_shape_and_region() -> None:
    """§2.3: (4, 8, 8, 1) became (4, 8, 8, 4)."""
    label_map = torch.randint(9, (4, 8, 8, 1))
    mix = mm.FMix().draw(torch.empty(4, 3, 8, 8), index=roll(4))
    mixed = mix(label_map, axes="b * c")
    assert mixed.shape == (4, 8, 8, 1)
    same = mix(label_map.movedim(3, 1))
    assert torch.equal(mixed, same.movedim(1, 3))


def test_keras_label_weights_are_shares_of_whole_pixels() -> None:
    """§2.3: .225 of the label for .141 of the pixels on 8 x 8. Here equal for 200 boxes."""
    got, mix = shares(mm.CutMix(per_sample=True), 200, (8, 8), index=roll(200))
    torch.testing.assert_close(mix.lam, got.diagonal(), rtol=0, atol=1e-6)
    foreign = ((1 - mix.lam) * 64).double()
    torch.testing.assert_close(foreign, foreign.round(), rtol=0, atol=1e-4)


def test_kerascv_lam_is_corrected_for_clipped_boxes() -> None:
    """§2.4, §2.7: at lam = 0.5 asked, boxes are clipped, and less than half is foreign."""
    got, mix = shares(mm.CutMix(per_sample=True), 100, (16, 16), index=roll(100), lam=0.5)
    torch.testing.assert_close(mix.lam, got.diagonal(), rtol=0, atol=1e-6)
    assert (mix.lam > 0.6).any()
    assert len(mix.lam.unique()) > 5


@pytest.mark.parametrize("shape", [(32, 32), (8, 12, 16), (16, 12, 8)])
def test_the_spectrum_reaches_high_frequencies_along_every_axis(shape: tuple[int, ...]) -> None:
    """§2.4, §3: the copied bug leaves wavenumbers 0 and 1 of the last axis."""
    field = masks.paper_field(64, shape, 1.0, device=torch.device("cpu"))
    for axis, size in enumerate(shape):
        power = torch.fft.fft(field, dim=axis + 1).abs().square().transpose(axis + 1, -1).flatten(0, -2).mean(0)
        assert (power[2 : size // 2] > 0).all()
        assert power[2] > 0.01 * power[1]


def test_one_dimensional_masks_are_not_always_one_arc() -> None:
    """§3: at decay 1 and length 64 there are 3.8 intervals on average; the bug gives one, whatever the decay."""
    mask = masks.fourier(torch.full((200,), 0.5), (64,), decay_power=1.0)
    intervals = (mask - mask.roll(1, 1)).abs().sum(1) / 2
    assert (intervals > 1).float().mean() > 0.8
    smooth = masks.fourier(torch.full((200,), 0.5), (64,), decay_power=3.0)
    assert ((smooth - smooth.roll(1, 1)).abs().sum(1) / 2).mean() < intervals.mean() / 1.5


def test_openpoints_own_label_has_the_own_share() -> None:
    """§2.5: inverted there, and a share that rounds to no point replaced all of them."""
    for lam in (0.0, 0.001, 0.1, 0.5, 0.9, 0.999, 1.0):
        for mixer in (mm.FMix(), mm.MixUp()):
            got, mix = shares(mixer, 2, (100,), index=roll(2), lam=lam)
            assert (abs(got.diagonal() - lam) <= 0.01 + 1e-6).all()
            torch.testing.assert_close(mix.targets(torch.arange(2), num_classes=2), got, rtol=0, atol=1e-6)


@over(TABLE)
def test_bytes_are_mixed_or_refused_and_never_changed_in_place(method: Method) -> None:
    """§2.6: timm and torchvision fail inside a cast; timm changes its input."""
    x = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    before = x.clone()
    if method.hard:
        mixed, _ = method.build("b c *")(x)
        assert mixed.dtype == torch.uint8
    else:
        with pytest.raises(TypeError, match=r"torch.uint8.*hard mask"):
            method.build("b c *")(x)
    assert torch.equal(x, before)


def test_two_draws_of_a_mixer_are_two_records() -> None:
    """§3: index and lam on the object, overwritten by the next call."""
    mixer, x = mm.FMix(), torch.randn(4, 3, 8, 8)
    mixed, mix = mixer(x, lam=0.25)
    lam, index = mix.lam.clone(), mix.index.clone()
    mixer(x, lam=0.75)
    assert torch.equal(mix.lam, lam)
    assert torch.equal(mix.index, index)
    assert torch.equal(mix(x), mixed)


def test_lam_is_that_of_whole_cells_on_short_grids() -> None:
    """§3: the sampled lam is off by up to 0.062 at length 16."""
    for lam in (0.03, 0.47, 0.97):
        got, mix = shares(mm.FMix(), 2, (16,), index=roll(2), lam=lam)
        torch.testing.assert_close(mix.lam, got.diagonal(), rtol=0, atol=1e-6)
        assert float(mix.lam[0]) in (math.floor(lam * 16) / 16, math.ceil(lam * 16) / 16)


def test_torchs_seed_is_enough() -> None:
    """§3: masks of numpy and Python seeds that nobody set."""
    import random

    import numpy as np

    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(5)
        drawn.append([mixer.draw(torch.empty(4, 1, 9, 9)).mask for mixer in (mm.FMix(), mm.CutMix(), mm.MixUp())])
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_time_is_mixed_in_channels_last_and_channels_first() -> None:
    """§3: `size=-1` reads the wrong axis of (B, C, L)."""
    for axes, x in (("b c *", torch.randn(3, 5, 12)), ("b * d", torch.randn(3, 12, 5))):
        mixed, mix = mm.FMix(axes=axes)(x, lam=0.5, index=roll(3))
        own = (mixed == x).movedim(2 if axes == "b c *" else 1, 1)
        assert (own.all(2) | ~own.any(2)).all()  # a time step is of one sample, in all channels
        assert mix.mask.shape == (1, 12)
        assert own.all(2).sum(1).tolist() == [6, 6, 6]


@pytest.mark.parametrize("shape", [*itertools.permutations((8, 12, 16)), (5, 9, 7), (32, 4, 3)])
def test_grids_that_are_not_cubes(shape: tuple[int, ...]) -> None:
    """§3: (8, 12, 16) has the wrong spectrum there."""
    mask = masks.fourier(torch.tensor([0.5, 0.3]), shape)
    assert mask.shape == (2, *shape)
    assert (mask.flatten(1).sum(1) - torch.tensor([0.5, 0.3]) * math.prod(shape)).abs().max() < 1


@over(TABLE)
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_odd_and_single_batches(method: Method, batch: int) -> None:
    """§5.1 timm#1304, and fastai's IndexError at one sample."""
    x = torch.randn(batch, 3, 8, 8)
    mixed, mix = method.build("b c *")(x)
    assert mixed.shape == x.shape
    assert mix.lam.shape == mix.index.shape == (batch,)
    assert mix.loss(torch.randn(batch, 4), torch.zeros(batch).long()).isfinite()
    if batch == 1 and method.partner:
        torch.testing.assert_close(mixed, x)


def test_correcting_lam_is_a_switch() -> None:
    """§5.3: on by default."""
    x = torch.empty(50, 1, 16, 16)
    assert (mm.CutMix(adjust_lam=False, per_sample=True).draw(x, lam=0.5).lam == 0.5).all()
    assert (mm.CutMix(per_sample=True).draw(x, lam=0.5).lam > 0.5).any()


def test_ignored_labels_stay_ignored_under_mixup() -> None:
    """§5.7 torchvision#9222: they add nothing to the sum and do not count in the mean."""
    preds, y = torch.randn(4, 3), torch.tensor([0, 255, 2, 255])
    mix = mm.MixUp().draw(torch.empty(4, 1), lam=0.75, index=torch.tensor([1, 2, 3, 0]))

    def criterion(preds: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        return F.cross_entropy(preds, y, ignore_index=255, reduction=reduction)

    nll = -preds.log_softmax(1)
    expected = 0.75 * nll[0, 0] + 0.25 * nll[1, 2] + 0.75 * nll[2, 2] + 0.25 * nll[3, 0]
    torch.testing.assert_close(mix.loss(preds, y, criterion, reduction="sum"), expected)
    torch.testing.assert_close(mix.loss(preds, y, criterion), expected / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_labels_are_never_cast_below_float32(dtype: torch.dtype) -> None:
    """§5.14 kornia#4657: one third is not a number of bfloat16."""
    x, y = torch.randn(3, 2, 8).to(dtype), torch.tensor([0, 1, 2])
    mixed, mix = mm.MixUp()(x, lam=1 / 3, index=roll(3))
    assert mixed.dtype == dtype
    assert mix.lam.dtype == torch.float32
    torch.testing.assert_close(mix.targets(y, num_classes=3)[0], torch.tensor([1 / 3, 0, 2 / 3]))
    assert mix.targets(F.one_hot(y).to(dtype)).dtype == torch.float32


@pytest.mark.parametrize("size", [9, 100])
def test_holes_larger_than_the_grid_leave_nothing(size: int) -> None:
    """§5.15 kornia#4650: `size` is the side in cells, clipped at the border."""
    cut, _ = mm.Cutout(size=2 * size)(torch.ones(3, 2, size, size))
    assert (cut == 0).all()


def test_channels_last_images_are_mixed_in_regions_of_all_channels() -> None:
    """§5.16: HWC for a CHW mask gave vertical blocks; the axes say it, and a record refuses the other layout."""
    x = torch.randn(3, 10, 12, 3)
    mixed, mix = mm.FMix(axes="b * c")(x, index=roll(3), lam=0.5)
    own = mixed == x
    assert (own.all(3) | ~own.any(3)).all()
    with pytest.raises(ValueError, match="grid"):
        mix(x, axes="b c *")


def test_regression_targets() -> None:
    """§5.36."""
    mix = mm.MixUp().draw(torch.empty(2, 1), lam=0.75, index=roll(2))
    torch.testing.assert_close(mix.targets(torch.tensor([0.0, 4.0])), torch.tensor([1.0, 3.0]))
    preds = torch.tensor([1.0, 1.0])
    expected = (0.75 * 1 + 0.25 * 9 + 0.75 * 9 + 0.25 * 1) / 2
    torch.testing.assert_close(mix.loss(preds, torch.tensor([0.0, 4.0]), F.mse_loss), torch.tensor(expected))


def test_token_ids_are_swapped_or_refused_with_a_remedy() -> None:
    """§5.23: never interpolated."""
    ids = torch.randint(1, 30_000, (4, 12))
    with pytest.raises(TypeError, match=r"torch.int64.*hard mask.*embeddings"):
        mm.MixUp(axes="b *")(ids)
    mixed, mix = mm.FMix(axes="b *")(ids)
    assert ((mixed == ids) | (mixed == ids[mix.index])).all()


def test_attention_marks_what_is_real_in_the_mix() -> None:
    """§5.22: padding of one sample that the other fills is attended to, and the rest is not."""
    valid = torch.arange(10) < torch.tensor([10, 4])[:, None]
    x = torch.ones(2, 10, 3) * valid[..., None]
    for mixer in (mm.MixUp(axes="b * d"), mm.FMix(axes="b * d"), mm.CutMix(axes="b * d")):
        for lam in (0.0, 0.4, 1.0):
            mixed, mix = mixer(x, valid=valid, index=roll(2), lam=lam)
            assert torch.equal(mix.valid, mixed[..., 0] != 0)  # type: ignore[arg-type]
