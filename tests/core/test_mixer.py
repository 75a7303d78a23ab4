"""What the base of all methods makes of padding: lengths of mixed samples, and mixing without holes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import mixmodal as mm

LENGTHS = torch.tensor([40, 31, 7, 1, 0, 22])
WHOLE = [
    mm.FMix(axes="b *", holes=False),
    mm.FMix(axes="b *", holes=False, per_sample=True),
    mm.FMix(axes="b *", holes=False, max_soft=0.2),
    mm.CutMix(axes="b *", holes=False),
    mm.CutMix(axes="b *", holes=False, per_sample=True),
]
over_whole = pytest.mark.parametrize("mixer", WHOLE, ids=str)


def padded(side: str = "right") -> Tensor:
    """Real locations (6, 40) of samples padded on one side."""
    valid = torch.arange(40) < LENGTHS[:, None]
    return valid if side == "right" else valid.flip(1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def last(row: list[bool]) -> int:
    """The last true place of a row, plus 1."""
    return max((place for place, there in enumerate(row, start=1) if there), default=0)


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    "mixer", [mm.FMix(axes="b *"), mm.CutMix(axes="b *"), mm.MixUp(axes="b *"), mm.NoMix(axes="b *")], ids=str
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_lengths_are_those_of_what_is_real_in_the_mix(mixer: Any, side: str) -> None:
    """Ones are mixed along: what is not zero then is real. Padding on the left leaves texts as long as the batch."""
    valid = padded(side)
    for seed in range(5):
        mixed, mix = mixer(valid.float(), valid=valid, generator=seeded(seed))
        expected = [last(row) for row in (mixed != 0).tolist()]
        if not mixer.uniform:  # a share may round to zero
            assert mix.lengths.tolist() == expected
        assert mix.lengths.dtype == torch.int64
        assert mix.lengths.tolist() == [last(row) for row in mix.valid.tolist()]


def test_lengths_of_embeddings_and_spectrograms_lie_along_the_padded_axis() -> None:
    """Clip k holds k + 1: the last frame with anything but zero, whatever band it is in."""
    frames = padded()
    code = torch.arange(1.0, 7)
    for axes, x, valid in (
        ("b * d", code.view(-1, 1, 1).expand(-1, 40, 3), frames),
        ("b c *", code.view(-1, 1, 1, 1).expand(-1, 1, 8, 40), frames[:, None]),
        ("b c f *", code.view(-1, 1, 1, 1).expand(-1, 1, 8, 40), frames),
        ("b c *", code.view(-1, 1, 1, 1).expand(-1, 1, 40, 8), frames[:, :, None]),
        ("b c *", code.view(-1, 1, 1, 1).expand(-1, 1, 1, 40), frames[:, None]),
    ):
        for mixer in (mm.FMix(axes=axes), mm.CutMix(axes=axes)):
            mixed, mix = mixer(x.contiguous(), valid=valid, generator=seeded(3))
            along = mixed.movedim(x.shape.index(40), 1).flatten(2).any(2)
            assert mix.lengths.tolist() == [last(row) for row in along.tolist()]
            assert torch.equal(mix.to("cpu").lengths, mix.lengths)


def test_lengths_follow_a_record_to_another_grid_and_between_special_tokens() -> None:
    valid = padded()
    mix = mm.FMix(axes="b c *").draw(torch.empty(6, 1, 8, 40), valid=valid[:, None]).resize([4, 20])
    assert mix.valid is not None
    assert mix.lengths.tolist() == [last(row) for row in mix.valid.any(1).tolist()]
    ids = torch.randint(5, 9, (6, 40))
    mix = mm.KeepEnds(mm.FMix(axes="b *")).draw(ids, valid=valid)
    assert mix.valid is not None
    assert mix.lengths.tolist() == [last(row) for row in mix.valid.tolist()]
    _, mix = mm.OnPoints(mm.FMix(), resolution=4)(torch.rand(6, 40, 3), valid=valid)
    assert mix.lengths.tolist() == LENGTHS.tolist()


def test_lengths_for_each_channel_of_patchup() -> None:
    mix = mm.PatchUp(axes="b * d", block_size=3).draw(torch.empty(6, 40, 5), valid=padded())
    assert mix.valid is not None
    assert mix.lengths.tolist() == [last(row) for row in mix.valid.tolist()]


def test_lengths_that_are_not_known_are_named() -> None:
    with pytest.raises(ValueError, match="has no padding, so lengths are unknown: pass valid= to the draw"):
        _ = mm.FMix().draw(torch.empty(2, 1, 8)).lengths
    everywhere = torch.rand(2, 4, 8) < 0.5
    with pytest.raises(ValueError, match=r"valid of shape \(2, 4, 8\) may vary along several axes.*frames\[:, None\]"):
        _ = mm.FMix().draw(torch.empty(2, 1, 4, 8), valid=everywhere).lengths
    with pytest.raises(ValueError, match="may vary along several axes"):
        _ = mm.FMix().draw(torch.empty(2, 1, 4, 8), valid=torch.ones(2, 1, 1, dtype=torch.bool)).lengths


def test_lengths_are_found_in_compiled_code() -> None:
    torch._dynamo.reset()
    valid = padded()

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        mix = mm.FMix(axes="b * d", holes=False).draw(x, valid=valid, index=torch.arange(6).roll(1))
        return mix.lengths, mix.lam

    lengths, lam = torch.compile(step, fullgraph=True, backend="eager")(torch.empty(6, 40, 2))
    assert lengths.tolist() == torch.maximum(LENGTHS, LENGTHS.roll(1)).tolist()
    assert ((lam >= 0) & (lam <= 1)).all()


# ---------------------------------------------------------------- holes


@over_whole
@pytest.mark.parametrize("side", ["right", "left"])
def test_without_holes_all_of_the_longer_sample_is_real(mixer: mm.Mixer, side: str) -> None:
    """Sample k holds k + 1. Where both are real either may be; where one is, it is; elsewhere there is zero."""
    valid = padded(side)
    x = (torch.arange(1.0, 7)[:, None] * valid).where(valid, torch.nan)
    mixtures = 0
    for seed in range(8):
        mixed, mix = mixer(x, valid=valid, generator=seeded(seed))
        partner, there = x[mix.index], valid[mix.index]
        assert torch.equal(mixed[valid & ~there], x[valid & ~there])
        assert torch.equal(mixed[~valid & there], partner[~valid & there])
        assert not mixed[~valid & ~there].any()
        both = valid & there
        low, high = torch.minimum(x, partner), torch.maximum(x, partner)
        assert ((mixed >= low) & (mixed <= high))[both].all()
        assert mix.valid is not None
        assert torch.equal(mix.valid, valid | there)
        weight = mix(torch.eye(6)[:, None].expand(6, 40, 6).contiguous(), axes="b * d").sum(1)
        total, rows = weight.sum(1), torch.arange(6)
        paired = (mix.index != rows) & (total > 0)
        share = weight[rows, rows] / total
        torch.testing.assert_close(mix.lam[paired], share[paired], rtol=0, atol=1e-5)
        assert (mix.lam[total == 0] == 1).all()
        mixtures += int(((share > 0.05) & (share < 0.95) & paired).sum())
    assert mixtures > 5


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0])
def test_without_holes_the_share_asked_for_is_met_where_both_are_real(lam: float) -> None:
    """Within a cell of the mask, which is stretched over the shorter text; the rest of the longer one comes on top."""
    valid = padded()
    x = torch.arange(1.0, 7)[:, None].expand(6, 40)
    mixed, mix = mm.FMix(axes="b *", holes=False)(x, valid=valid, lam=lam, index=torch.arange(6).roll(1))
    for k, partner in enumerate(mix.index.tolist()):
        shorter, longer = sorted((int(LENGTHS[k]), int(LENGTHS[partner])))
        own = int((mixed[k, :shorter] == k + 1).sum())
        if lam in (0.0, 1.0):
            assert own == lam * shorter
        elif shorter > 20:
            assert abs(own - lam * shorter) <= 4  # a boundary falls between cells of either length
        tail = longer - shorter if LENGTHS[k] > LENGTHS[partner] else 0
        assert mix.lam[k].item() == pytest.approx((own + tail) / longer if longer else 1)


@pytest.mark.parametrize("axes", ["b c *", "b c f *"])
def test_spectrograms_without_holes(axes: str) -> None:
    frames = padded()
    x = torch.arange(1.0, 7).view(-1, 1, 1, 1).repeat(1, 1, 8, 40)
    valid = frames[:, None] if axes == "b c *" else frames
    mixed, mix = mm.FMix(axes=axes, holes=False)(x, valid=valid)
    real = (frames | frames[mix.index])[:, None, None]
    assert torch.equal(mixed != 0, real.expand_as(mixed))
    assert torch.equal(mix.lengths, torch.maximum(LENGTHS, LENGTHS[mix.index]))


def test_special_tokens_and_policies_without_holes() -> None:
    ids = torch.randint(5, 9, (6, 40)).masked_fill(~padded(), 0)
    fmix = mm.FMix(axes="b *", holes=False)
    for mixer in (mm.KeepEnds(fmix), mm.OneOf([fmix]), mm.KeepEnds(mm.OneOf([fmix]))):
        mixed, mix = mixer(ids, valid=padded())
        assert torch.equal(mixed != 0, padded() | padded()[mix.index])
        assert torch.equal(mix.lengths, torch.maximum(LENGTHS, LENGTHS[mix.index]))


@over_whole
def test_holes_play_no_part_without_padding(mixer: mm.Mixer) -> None:
    settings = {"axes": "b *", "per_sample": mixer.per_sample}
    if isinstance(mixer, mm.FMix):
        settings["max_soft"] = mixer.max_soft
    other = type(mixer)(**settings)
    x, whole = torch.rand(4, 30), torch.ones(4, 30, dtype=torch.bool)
    draws = [each.draw(x, generator=seeded(2), **more) for each in (mixer, other) for more in ({}, {"valid": whole})]
    assert all(torch.allclose(draws[0].lam, each.lam, atol=1e-6) for each in draws[1:])
    assert all(torch.equal(draws[0].mask.expand(4, 30), each.mask.expand(4, 30)) for each in draws[1:])


def test_holes_are_true_or_false() -> None:
    for method in (mm.FMix, mm.CutMix):
        with pytest.raises(ValueError, match="holes='no' must be True or False"):
            method(holes="no")  # type: ignore[arg-type]
    for method in (mm.MixUp, mm.NoMix, mm.PatchUp):
        with pytest.raises(TypeError, match="unexpected keyword argument 'holes'"):
            method(holes=False)  # type: ignore[call-arg]


# ---------------------------------------------------------------- models that count what is real


@pytest.mark.parametrize("holes", [True, False])
def test_packed_sequences_end_where_mixed_texts_do(holes: bool) -> None:
    """The state of a GRU after a packed text is that after the text alone, cut behind its last real token."""
    valid = padded()[:4]
    x = torch.randn(4, 40, 5)
    gru = nn.GRU(5, 7, batch_first=True)
    short = 0
    for seed in range(6):
        mixed, mix = mm.FMix(axes="b * d", holes=holes)(x, valid=valid, generator=seeded(seed))
        _, state = gru(pack_padded_sequence(mixed, mix.lengths, batch_first=True, enforce_sorted=False))
        for k, row in enumerate((mixed != 0).any(2).tolist()):
            _, alone = gru(mixed[k : k + 1, : last(row)])
            torch.testing.assert_close(state[:, k], alone[:, 0])
        assert mix.valid is not None
        short += int((mix.valid.sum(1) < mix.lengths).sum())
    assert bool(short) == holes  # what counts ones would lose real ends


@pytest.mark.parametrize("holes", [True, False])
def test_wav2vec2_hears_the_whole_of_mixed_clips(holes: bool) -> None:
    """It counts the ones of its mask: logits are those of the clip alone, cut behind its last real sample."""
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        feat_extract_norm="layer",  # the other one sees padding
        do_stable_layer_norm=True,
        num_labels=3,
    )
    model = transformers.Wav2Vec2ForSequenceClassification(config).eval()
    lengths = torch.tensor([800, 500, 320, 640])
    wave, valid = torch.randn(4, 800), torch.arange(800) < lengths[:, None]
    differ = False
    for seed in range(4):
        mixed, mix = mm.FMix(axes="b *", holes=holes)(wave, valid=valid, generator=seeded(seed))
        assert mix.valid is not None
        counted = model(mixed, attention_mask=mix.valid.long()).logits
        marks = (torch.arange(800) < mix.lengths[:, None]).long()
        logits = model(mixed, attention_mask=marks).logits
        ends = [last(row) for row in (mixed != 0).tolist()]
        alone = torch.cat([model(mixed[k : k + 1, :end]).logits for k, end in enumerate(ends)])
        torch.testing.assert_close(logits, alone, rtol=1e-3, atol=1e-4)
        differ |= not torch.allclose(counted, alone, rtol=1e-3, atol=1e-4)
    assert differ == holes


def test_lengths_weigh_a_mean_over_time() -> None:
    """A mean over real steps of what a recurrent network gives needs the count of steps, which is the length."""
    valid = padded()[:4]
    mixed, mix = mm.CutMix(axes="b * d", holes=False)(torch.ones(4, 40, 2), valid=valid)
    mean = F.relu(mixed).sum(1) / mix.lengths[:, None]
    torch.testing.assert_close(mean, torch.ones(4, 2))
