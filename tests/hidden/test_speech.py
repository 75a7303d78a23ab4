"""Encoders of speech, which reduce what is real from samples to frames: mixed as by hand, or refused."""

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mixmodal as mm

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM's own

KERNELS, STRIDES = (4, 3), (3, 2)
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8, 8),
    "conv_kernel": KERNELS,
    "conv_stride": STRIDES,
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
    "num_labels": 3,
    "tdnn_dim": (8, 8),
    "tdnn_kernel": (3, 1),
    "tdnn_dilation": (1, 1),
    "layerdrop": 0.0,
    "mask_time_length": 2,
    "initializer_range": 0.3,
}
NOT_RANDOM = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"), 0.0
) | {"apply_spec_augment": False}
FAMILIES = [("Wav2Vec2", "eager"), ("Wav2Vec2", "sdpa"), ("Hubert", "eager"), ("Hubert", "sdpa"), ("WavLM", "eager")]
over_families = pytest.mark.parametrize(("family", "attention"), FAMILIES)
LENGTHS = [80, 50, 60, 40]


def build(family: str, attention: str, kind: str = "ForSequenceClassification", **changes: Any) -> Any:
    """A small model in training, without what is random unless `changes` say so."""
    config = getattr(transformers, f"{family}Config")
    torch.manual_seed(0)
    model = getattr(transformers, family + kind)
    return model(config(**SIZES | NOT_RANDOM | changes, attn_implementation=attention)).train()


def clips() -> tuple[Tensor, Tensor]:
    """Clips padded with noise, which nothing may hear, and marks of what is real."""
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return torch.randn(len(LENGTHS), max(LENGTHS), generator=torch.Generator().manual_seed(1)) * real, real.long()


def frames(marks: Tensor) -> Tensor:
    """Marks of frames, by the number of windows that fit in each clip."""
    lengths = []
    for length in [marks.shape[1], *marks.sum(1).tolist()]:
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            length = (length - kernel) // stride + 1
        lengths.append(length)
    return torch.arange(lengths[0]) < torch.tensor(lengths[1:])[:, None]


def mixed_by_hand(x: Tensor, marks: Tensor, mix: mm.Mix) -> tuple[Tensor, Tensor]:
    """A mix of (B, T) or (B, T, D), location by location, and what is real then."""
    mask, out = mix.mask.expand(len(x), -1), torch.zeros_like(x)
    real = torch.zeros_like(marks, dtype=torch.bool)
    for row, other in enumerate(mix.index.tolist()):
        for t in range(x.shape[1]):
            sides = ((row, mask[row, t]), (other, 1 - mask[row, t]))
            for side, share in sides:
                if marks[side, t] and share > 0:
                    out[row, t] += share * x[side, t]
                    real[row, t] = True
    return out, real


def read_by_hand(model: Any, x: Tensor, marks: Tensor, mix: mm.Mix, place: int) -> Tensor:
    """Logits stage by stage; mixed before the encoder, if place is -1, or before a layer."""
    base, encoder = model.base_model, model.base_model.encoder
    real = frames(marks)
    states, _ = base.feature_projection(base.feature_extractor(x).transpose(1, 2)), None
    states = states[0] if isinstance(states, tuple) else states
    if place == -1:
        states, real = mixed_by_hand(states, real, mix)
    states = states * real[..., None]
    states = encoder.layer_norm(states + encoder.pos_conv_embed(states))
    bias = None
    for number, layer in enumerate(encoder.layers):
        if number == place:
            states, real = mixed_by_hand(states, real, mix)
        if type(model).__name__.startswith("WavLM"):
            states, bias = layer(states, attention_mask=real, position_bias=bias, index=number)
        else:
            added = torch.zeros(len(x), 1, *real.shape[1:], real.shape[1])
            states = layer(states, added.masked_fill(~real[:, None, None], torch.finfo(torch.float32).min))
    states = model.projector(states)
    pooled = [state[there].mean(0) for state, there in zip(states, real, strict=True)]
    return model.classifier(torch.stack(pooled))


def mixers(axes: str) -> list[mm.Draws]:
    return [mm.FMix(axes=axes, holes=False), mm.CutMix(axes=axes, holes=False, per_sample=True), mm.MixUp(axes=axes)]


@over_families
@pytest.mark.parametrize("number", [0, 1, 2])
def test_mixed_waveforms_are_heard_as_those_waveforms_are(family: str, attention: str, number: int) -> None:
    model = build(family, attention)
    twin = copy.deepcopy(model)
    x, marks = clips()
    with mm.HiddenMix(model, {(model, "input_values"): mixers("b *")[number]}, valid="attention_mask") as hidden:
        for _ in range(3):
            output, mix = hidden(input_values=x, attention_mask=marks)
            wave, real = mixed_by_hand(x, marks, mix)
            torch.testing.assert_close(output.logits, twin(wave, attention_mask=real.long()).logits)
            output.logits.sum().backward()
    assert (output.logits - twin(x, attention_mask=marks).logits).abs().max() > 1e-4


@over_families
@pytest.mark.parametrize("place", [-1, 0, 2])
@pytest.mark.parametrize("number", [0, 2])
def test_mixed_frames_are_attended_to_and_pooled(family: str, attention: str, place: int, number: int) -> None:
    """Also those beyond the own end, which the model pools by the marks that it was given first."""
    model = build(family, attention)
    twin = copy.deepcopy(model)
    x, marks = clips()
    marks = marks.to({-1: torch.int64, 0: torch.bool, 2: torch.float32}[place])
    given = marks.clone()
    where = [*mm.sites.encoder(model), (model.base_model.encoder, "hidden_states")][place]
    with mm.HiddenMix(model, {where: mixers("b * d")[number]}, valid="attention_mask") as hidden:
        for _ in range(3):
            output, mix = hidden(input_values=x, attention_mask=marks)
            assert mix.valid is not None
            assert torch.equal(mix.valid, frames(marks) | frames(marks)[mix.index])
            torch.testing.assert_close(output.logits, read_by_hand(twin, x, marks, mix, place))
            output.logits.sum().backward()
    assert torch.equal(marks, given)


@over_families
@pytest.mark.parametrize("kind", ["Model", "ForCTC", "ForSequenceClassification", "ForXVector"])
@pytest.mark.parametrize("stable", [False, True])
def test_a_model_that_mixes_nothing_is_the_model(family: str, attention: str, kind: str, stable: bool) -> None:
    """In training as it is by default, with dropout and spans of frames that are hidden at random, by NumPy."""
    if not hasattr(transformers, family + kind):
        pytest.skip("there is no such model")
    changes = {"apply_spec_augment": True, "hidden_dropout": 0.1, "do_stable_layer_norm": stable}
    model = build(family, attention, kind, **changes)
    x, marks = clips()
    inside = dict.fromkeys(mm.sites.encoder(model), mm.FMix(axes="b * d"))
    at: dict[Any, mm.Draws] = {(model, "input_values"): mm.FMix(axes="b *"), **inside}
    for each in ({site: mixer} for site, mixer in at.items()):
        with mm.HiddenMix(model, each, valid="attention_mask") as hidden:
            hidden.check(x, attention_mask=marks)
            hidden.check(x)


@over_families
def test_in_evaluation_nothing_is_mixed(family: str, attention: str) -> None:
    model = build(family, attention).eval()
    x, marks = clips()
    plain = model(x, attention_mask=marks).logits
    for site, axes in (((model, "input_values"), "b *"), (mm.sites.encoder(model)[1], "b * d")):
        with mm.HiddenMix(model, {site: mm.FMix(axes=axes, holes=False)}, valid="attention_mask") as hidden:
            state = torch.get_rng_state()
            assert torch.equal(model(x, attention_mask=marks).logits, plain)
            assert hidden.mix is None
            assert torch.equal(torch.get_rng_state(), state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Middle(mm.Mixer):
    """Keeps the outer parts, so that the partner's padding lies in the middle of a longer clip."""

    hard = True  # type: ignore[assignment]

    def mask(self, lam: Tensor, shape: Any, generator: torch.Generator | None = None) -> Tensor:
        place = (torch.arange(shape[0]) + 0.5) / shape[0]
        return ((place < 0.4) | (place > 0.9)).float().expand(len(lam), -1)


def many(hidden: mm.HiddenMix, x: Tensor, marks: Tensor) -> None:
    """Forwards enough for pairs of unequal lengths."""
    for _ in range(20):
        hidden(x, attention_mask=marks)


@over_families
def test_padding_within_what_is_real_is_refused_where_a_model_counts(family: str, attention: str) -> None:
    model = build(family, attention)
    x, marks = clips()
    for site, axes, when in (
        ((model, "input_values"), "b *", "after"),
        ((model.base_model.encoder, "hidden_states"), "b * d", "before"),
    ):
        with mm.HiddenMix(model, {site: Middle(axes=axes)}, valid="attention_mask") as hidden:
            refused = pytest.raises(ValueError, match=f"mask of {family}.* reduced {when} the mix.*holes=False")
            with refused:
                many(hidden, x, marks)
            hidden(x, attention_mask=torch.ones_like(marks))
            hidden(x)


@over_families
def test_what_a_model_cannot_be_told_is_refused(family: str, attention: str) -> None:
    """Samples that are mixed where their marks were counted before, and frames before anything was told of them."""
    model = build(family, attention)
    x, marks = clips()
    base = model.base_model
    for site in (base.feature_extractor, (base, "input_values")):
        with (
            mm.HiddenMix(model, {site: mm.MixUp(axes="b *")}, valid="attention_mask") as hidden,
            pytest.raises(
                ValueError, match=r"mixes 80 locations of which .*makes 12 by the attention_mask from before"
            ),
        ):
            hidden(x, attention_mask=marks)
    early = (base.feature_projection, "output")
    with (
        mm.HiddenMix(model, {early: mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden,
        pytest.raises(TypeError, match=r"site .*feature_projection \(output\) is a tensor of the shape \(4, 12, 16\)"),
    ):
        hidden(x, attention_mask=marks)
    with mm.HiddenMix(base, {(base, "input_values"): mm.MixUp(axes="b *")}, valid="attention_mask") as hidden:
        hidden(x, attention_mask=marks)


def test_marks_that_were_reduced_out_of_sight_are_refused() -> None:
    """A layer that is given an additive mask of fewer locations, of which nobody was told before."""

    class Layer(nn.Module):
        def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
            return hidden_states * attention_mask.exp()[:, 0, 0, :, None]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.front, self.layer = nn.Linear(3, 3), Layer()

        def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
            added = torch.zeros(len(x), 1, 1, 3).masked_fill(attention_mask[:, None, None, ::2] == 0, -1e9)
            return self.layer(self.front(x)[:, ::2], added)

    net = Net()
    x, marks = torch.randn(2, 6, 3), torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
    with (
        mm.HiddenMix(net, {net.front: mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden,
        pytest.raises(ValueError, match=r"of layer has the shape \(2, 1, 1, 3\) and cannot follow a mix of 6"),
    ):
        hidden(x, marks)
    with mm.HiddenMix(net, {(net, "x"): mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden:
        output, mix = hidden(x, marks)
    mixed, real = mixed_by_hand(x, marks.bool(), mix)
    torch.testing.assert_close(output, net(mixed, real.long()))


def test_layers_are_those_that_attend_and_all_of_them_are_called() -> None:
    for family, attention in FAMILIES:
        model = build(family, attention, layerdrop=0.1)
        with pytest.raises(ValueError, match=r"layers at random in training, layerdrop=0.1.*layerdrop=0"):
            mm.sites.encoder(model)
        model.config.layerdrop = 0.0
        layers = model.base_model.encoder.layers
        assert mm.sites.encoder(model) == [(layer, "hidden_states") for layer in layers]


@pytest.mark.parametrize("how", ["layers", "whole"])
def test_checkpointed_forwards_have_the_gradients_of_plain_ones(how: str) -> None:
    plain = build("Wav2Vec2", "sdpa")
    again, found = copy.deepcopy(plain), []
    if how == "layers":
        again.activation_checkpointing_enable()
    x, marks = clips()
    for model in (plain, again):
        at: dict[Any, mm.Draws] = dict.fromkeys(mm.sites.encoder(model), mm.FMix(axes="b * d", holes=False))
        at[(model, "input_values")] = mm.MixUp(axes="b *")
        with mm.HiddenMix(model, at, valid="attention_mask") as hidden:
            torch.manual_seed(3)
            for _ in range(6):
                if model is again and how == "whole":
                    logits = checkpoint(lambda: model(x, attention_mask=marks).logits, use_reentrant=False)  # noqa: B023
                else:
                    logits = model(x, attention_mask=marks).logits
                hidden.loss(logits, torch.tensor([0, 1, 2, 0])).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(found[0], found[1])


def test_marks_follow_inside_though_something_without_a_partner_was_mixed_before() -> None:
    model = build("Wav2Vec2", "eager")
    twin = copy.deepcopy(model)
    x, marks = clips()
    at = {(model, "input_values"): mm.NoMix(axes="b *"), mm.sites.encoder(model)[1]: mm.MixUp(axes="b * d")}
    with mm.HiddenMix(model, at, valid="attention_mask") as hidden:
        output, mix = hidden(x, attention_mask=marks)
    assert mix.partner
    torch.testing.assert_close(output.logits, read_by_hand(twin, x, marks, mix, 1))


# ---------------------------------------------------------------- spectrograms of a fixed length, without marks


def spectrograms(family: str) -> tuple[Any, Tensor, str]:
    """A model in training, what it takes, and the name of that."""
    torch.manual_seed(0)
    x = torch.randn(4, 8, 24)
    if family == "AST":
        config = transformers.ASTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, patch_size=4,
            time_stride=4, frequency_stride=4, max_length=24, num_mel_bins=8, num_labels=3, initializer_range=0.3,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        return transformers.ASTForAudioClassification(config).train(), x.transpose(1, 2), "input_values"
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=16, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=8, max_source_positions=12, num_labels=3,
        dropout=0.0, classifier_proj_size=8, init_std=0.3, vocab_size=20, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return transformers.WhisperForAudioClassification(config).train(), x, "input_features"


@pytest.mark.parametrize("family", ["AST", "Whisper"])
def test_spectrograms_and_states_of_encoders_without_marks(family: str) -> None:
    """Before the model, and before a layer: the rest of an unhooked copy is given what is mixed by hand there."""
    model, x, name = spectrograms(family)
    twin = copy.deepcopy(model)
    sites = mm.sites.encoder(model)
    assert len(sites) == 2
    mixed: dict[str, Tensor] = {}
    with mm.HiddenMix(model, {(model, name): mm.FMix(axes="b *"), sites[1]: mm.FMix(axes="b * d")}) as hidden:
        hidden.check(**{name: x})
        for _ in range(6):
            output, mix = hidden(**{name: x})
            own = mix.mask.expand(4, *mix.mask.shape[1:])
            if mix.axes == "b *":
                by_hand = twin(**{name: own * x + (1 - own) * x[mix.index]}).logits
            else:
                layer = twin.base_model.encoder.layers[1] if family == "Whisper" else twin.base_model.layers[1]
                handle = layer.register_forward_pre_hook(
                    lambda module, args, own=own[..., None], index=mix.index: (
                        own * args[0] + (1 - own) * args[0][index],
                        *args[1:],
                    )
                )
                by_hand = twin(**{name: x}).logits
                handle.remove()
            torch.testing.assert_close(output.logits, by_hand)
            mixed[mix.axes] = by_hand
    assert set(mixed) == {"b *", "b * d"}
    model.eval()
    assert torch.equal(model(**{name: x}).logits, twin.eval()(**{name: x}).logits)


def test_a_decoder_hears_all_that_is_real_after_a_mix_in_the_encoder_and_keeps_its_own_marks() -> None:
    config = transformers.BartConfig(
        vocab_size=40, d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, init_std=0.3,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=16, dropout=0.0,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BartModel(config).train()
    twin = copy.deepcopy(model)
    ids, real = torch.randint(3, 40, (4, 9)), torch.arange(9) < torch.tensor([9, 4, 7, 2])[:, None]
    said, heard = torch.randint(3, 40, (4, 5)), torch.arange(5) < torch.tensor([5, 3, 4, 2])[:, None]
    with mm.HiddenMix(model, {mm.sites.encoder(model)[1]: mm.MixUp(axes="b * d")}, valid="attention_mask") as hidden:
        output, mix = hidden(
            input_ids=ids, attention_mask=real, decoder_input_ids=said, decoder_attention_mask=heard.long()
        )
    states = twin.encoder(input_ids=ids, attention_mask=real, output_hidden_states=True).hidden_states[1]
    states, after = mixed_by_hand(states, real, mix)
    assert not torch.equal(after, real)
    bias = torch.zeros(4, 1, 9, 9).masked_fill(~after[:, None, None], torch.finfo(torch.float32).min)
    expected = twin.decoder(
        input_ids=said,
        attention_mask=heard.long(),
        encoder_hidden_states=twin.encoder.layers[1](states, bias),
        encoder_attention_mask=after.long(),
    )
    torch.testing.assert_close(output.last_hidden_state, expected.last_hidden_state)
