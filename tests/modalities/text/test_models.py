"""What models derive from token ids stays right while their tokens are mixed: positions, places to pool, masks."""

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mixmodal as mm
from mixmodal.core.draws import Draws

transformers = pytest.importorskip("transformers")

PAD = 0
TOKENS = {"vocab_size": 60, "num_labels": 3, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2}
XLM = {"emb_dim": 16, "n_layers": 2, "n_heads": 2, "n_words": 60, "pad_index": PAD}
RELATIVE = SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
OPT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 16, "word_embed_proj_dim": 16}
SEQ2SEQ = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "GPT2": GPT,
    "OPT": OPT,
    "Llama": GROUPED,
    "Mistral": GROUPED,
    "Qwen2": GROUPED,
    "Gemma": GROUPED | {"head_dim": 8},
    "GPTNeoX": SIZES,
    "Bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "Mpt": {"d_model": 16, "n_layers": 2, "n_heads": 2},
    "CTRL": GPT | {"dff": 16},
    "Bert": SIZES,
    "Roberta": SIZES,
    "MPNet": SIZES,
    "DebertaV2": RELATIVE,
    "XLM": XLM,
    "Esm": SIZES | {"mask_token_id": 4, "token_dropout": True},
    "ConvBert": SIZES | {"embedding_size": 16},
    "MobileBert": SIZES | {"embedding_size": 8, "intra_bottleneck_size": 16},
    "Funnel": {"block_sizes": [1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 16},
}
CONVOLVED = {"ConvBert", "MobileBert", "Funnel"}
"""Models in which padding is read by the tokens beside it."""
over_families = pytest.mark.parametrize("family", FAMILIES)
sides = pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])


def build(family: str, sizes: dict[str, Any] | None = None, kind: str = "ForSequenceClassification") -> Any:
    """A small model in training without dropout, whose padding has an embedding of its own."""
    config = getattr(transformers, f"{family}Config")(**TOKENS | (FAMILIES[family] if sizes is None else sizes))
    for name in ("initializer_range", "init_std"):
        if hasattr(config, name):
            setattr(config, name, 0.4)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}{kind}")(config)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_()
    return model.train()


def texts(lengths: list[int], width: int, left: bool) -> tuple[Tensor, Tensor]:
    """Random ids and their marks."""
    ids = torch.randint(5, 60, (len(lengths), width), generator=torch.Generator().manual_seed(1))
    place = torch.arange(width)
    lengths_ = torch.tensor(lengths)[:, None]
    real = place >= width - lengths_ if left else place < lengths_
    return ids * real, real.long()


@dataclasses.dataclass(frozen=True)
class Given(Draws):
    """Pairs neighbours, with a share that is given."""

    mixer: Draws
    partner = True  # type: ignore[assignment]

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return self.mixer.draw(x, valid=asked.valid, index=torch.arange(len(x)) ^ 1, lam=0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Front(mm.Mixer):
    """Keeps the first half of what is real in a pair."""

    hard = True  # type: ignore[assignment]

    def mask(self, lam: Tensor, shape: Any, generator: torch.Generator | None = None) -> Tensor:
        return ((torch.arange(shape[0]) + 0.5) / shape[0] < lam[:, None]).float()


def front_by_hand(ids: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and marks of texts of which the first half of what is real in a pair is the own, location by location."""
    mixed, real = ids.clone(), marks.clone()
    for row in range(len(ids)):
        other = row ^ 1
        places = [t for t in range(ids.shape[1]) if marks[row, t] or marks[other, t]]
        for k, t in enumerate(places):
            side = row if (k + 0.5) / len(places) < 0.5 else other
            mixed[row, t], real[row, t] = ids[side, t], marks[side, t]
    return mixed, real


LENGTHS = [6, 4, 3, 5]  # in no pair is a hole between real tokens


@over_families
@sides
def test_a_model_that_mixes_nothing_is_the_model(family: str, left: bool) -> None:
    model = build(family)
    ids, marks = texts(LENGTHS, 8, left)
    expected = model(input_ids=ids, attention_mask=marks).logits
    for ids_too in (False, True):
        with mm.TokenMix(model, mm.NoMix(), ids=ids_too) as mixing:
            found, _ = mixing(input_ids=ids, attention_mask=marks)
            mixing.check(input_ids=ids, attention_mask=marks)
        torch.testing.assert_close(found.logits, expected)
    assert left or (expected[1:] - expected[:-1]).abs().min() > 1e-4


@over_families
@sides
def test_a_mixed_text_is_read_as_that_text_is(family: str, left: bool) -> None:
    """Halves of token embeddings are joined as by hand halves of texts are, which the model then reads by their ids."""
    model = build(family)
    ids, marks = texts(LENGTHS, 8, left)
    mixed, real = front_by_hand(ids, marks)
    expected = model(input_ids=mixed, attention_mask=real).logits
    with mm.TokenMix(model, Given(Front(axes="b * d"))) as mixing:
        found, mix = mixing(input_ids=ids, attention_mask=marks)
        floating, _ = mixing(input_ids=ids, attention_mask=marks.float())
    torch.testing.assert_close(found.logits, expected)
    torch.testing.assert_close(floating.logits, expected)
    assert mix.valid is not None
    assert torch.equal(mix.valid.long(), real)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in CONVOLVED])
def test_a_blended_text_is_read_to_the_end_of_the_longer_one(family: str) -> None:
    """A short text with itself, beside a blend of a short and a long one: padding makes no difference."""
    model, found = build(family), []
    for width in (6, 9):
        ids, marks = texts([6, 3, 4, 4], width, False)
        ids[:, :6], ids[3] = texts([6, 3, 4, 4], 6, False)[0], ids[2]
        ids[2, :6], ids[3, :6] = ids[0, :6] * marks[2, :6], ids[0, :6] * marks[3, :6]
        with mm.TokenMix(model, Given(mm.MixUp(axes="b * d"))) as mixing:
            found.append(mixing(input_ids=ids, attention_mask=marks)[0].logits)
        alone = model(input_ids=ids[2:3, :4], attention_mask=marks[2:3, :4]).logits
        torch.testing.assert_close(found[-1][2:3], alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0][0], found[0][1], rtol=1e-4, atol=1e-4)  # half and half, either way


@pytest.mark.parametrize("family", ["GPT2", "Roberta"])
def test_holes_in_a_text_are_no_ends(family: str) -> None:
    """A hard mask that takes the end of the short text: positions and the last token are those of the long one."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Middle(mm.Mixer):
        hard = True  # type: ignore[assignment]

        def mask(self, lam: Tensor, shape: Any, generator: torch.Generator | None = None) -> Tensor:
            place = torch.arange(shape[0])
            return ((place < 4) | (place > 5)).float().expand(len(lam), -1)

    model = build(family)
    ids, marks = texts([8, 3], 8, False)
    with mm.TokenMix(model, Given(Middle(axes="b * d"))) as mixing:
        output, mix = mixing(input_ids=ids, attention_mask=marks)
    assert mix.valid is not None
    assert mix.valid[0].tolist() == [True] * 4 + [False] * 2 + [True] * 2
    holed = marks.clone()
    holed[0, 4:6] = 0
    expected = model(input_ids=ids[:1], attention_mask=holed[:1]).logits  # ids are whole, so that positions go on
    torch.testing.assert_close(output.logits[:1], expected)


# ---------------------------------------------------------------- refused, with the way that works


def test_models_with_a_decoder_are_mixed_by_ids() -> None:
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = build("Bart", SEQ2SEQ | heads)
    with pytest.raises(ValueError, match=r"BartForSequenceClassification has a decoder.*with ids=True"):
        mm.TokenMix(model, mm.FMix(axes="b * d"))
    ids, marks = texts(LENGTHS, 8, False)
    last = marks.sum(1) - 1
    ids[torch.arange(4), last] = 2
    with mm.TokenMix(model, mm.KeepEnds(mm.FMix(axes="b *")), ids=True) as mixing:
        mixing.check(input_ids=ids, attention_mask=marks)
        output, mix = mixing(input_ids=ids, attention_mask=marks)
    assert mix.valid is not None
    by_hand = torch.where(mix.mask.expand_as(ids) > 0.5, ids, ids[mix.index])
    torch.testing.assert_close(output.logits, model(input_ids=by_hand, attention_mask=mix.valid.long()).logits)


@pytest.mark.parametrize("width", [8, 4])
def test_models_that_embed_other_ids_say_so(width: int) -> None:
    """XLNet transposes its ids, also those that are as many as the texts."""
    model = build("XLNet", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 16})
    ids, marks = texts([3, 4, 2, 4], width, True)
    with (
        mm.TokenMix(model, mm.FMix(axes="b * d")) as mixing,
        pytest.raises((RuntimeError, ValueError), match="ids=True"),
    ):
        mixing(input_ids=ids, attention_mask=marks)
    with mm.TokenMix(model, mm.FMix(axes="b *"), ids=True) as mixing:
        mixing.check(input_ids=ids, attention_mask=marks)


def test_ids_are_not_taken_from_a_model_that_makes_more_of_them() -> None:
    for family in ("GPT2", "Llama"):
        with pytest.raises(ValueError, match=r"makes more of input_ids than embeddings.*TokenMix"):
            mm.embed_ids(build(family))
    model = build("Roberta")
    copied = pickle.loads(pickle.dumps(model))
    handle = mm.embed_ids(model)
    assert all(module.training for module in model.modules())
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    handle.remove()
    ids, marks = texts(LENGTHS, 8, False)
    expected = copied(input_ids=ids, attention_mask=marks).logits
    torch.testing.assert_close(twin(input_ids=ids, attention_mask=marks).logits, expected)
    torch.testing.assert_close(model(input_ids=ids, attention_mask=marks).logits, expected)


def test_a_hidden_mask_of_what_to_leave_out_is_found_out() -> None:
    """MPT's layers are given True where not to look: following it would turn it around."""
    model = build("Mpt")
    ids, marks = texts(LENGTHS, 8, False)
    layer = model.transformer.blocks[1]
    hidden = mm.HiddenMix(model, {layer: mm.MixUp(axes="b * d")}, valid="attention_mask")
    with pytest.raises(ValueError, match="False where a token attends to itself"):
        hidden(input_ids=ids, attention_mask=marks)


def test_padding_must_be_marked() -> None:
    model = build("GPT2")
    ids, marks = texts(LENGTHS, 8, False)
    whole = texts([6, 6], 6, False)[0]
    for ids_too, axes in ((False, "b * d"), (True, "b *")):
        with mm.TokenMix(model, mm.FMix(axes=axes), ids=ids_too) as mixing:
            with pytest.raises(ValueError, match=r"input_ids hold padding, pad_token_id=0.*pass attention_mask"):
                model(input_ids=ids)
            mixing.check(input_ids=whole)
            assert mixing(input_ids=whole)[1].valid is None
            with pytest.raises(TypeError, match="attention_mask of GPT2ForSequenceClassification is list"):
                model(input_ids=ids, attention_mask=marks.tolist())
            with pytest.raises(ValueError, match=r"attention_mask.*must hold 1 where a location is real"):
                model(input_ids=ids, attention_mask=(marks - 1.0) * 1e4)


@pytest.mark.parametrize("ids_too", [False, True])
def test_axes_are_those_of_tokens(ids_too: bool) -> None:
    """A mixer that reads another layout would cut channels; what fits any tensor takes the layout of tokens."""
    model, axes = build("Bert"), "b *" if ids_too else "b * d"
    for wrong in (mm.FMix(), mm.OneOf([mm.FMix(axes=axes), mm.CutMix(axes="b c *")]), mm.KeepEnds(mm.Cutout(size=2))):
        with pytest.raises(ValueError, match=r"has axes='b c \*' and is to mix token.*give it axes='b \*"):
            mm.TokenMix(model, wrong, ids=ids_too)
    ids, marks = texts(LENGTHS, 8, False)
    plain = model(input_ids=ids, attention_mask=marks, token_type_ids=ids % 2).logits
    policy = mm.OneOf([mm.FMix(axes=axes), mm.NoMix()])
    partners = set()
    with mm.TokenMix(model, policy, ids=ids_too) as mixing:
        for _ in range(30):
            output, mix = mixing(input_ids=ids, attention_mask=marks, token_type_ids=ids % 2)
            partners.add(mix.partner)
            if not mix.partner:
                torch.testing.assert_close(output.logits, plain)
    assert partners == {False, True}


# ---------------------------------------------------------------- labels


def test_labels_are_not_learned_unmixed() -> None:
    model, y = build("Bert"), torch.tensor([0, 1, 2, 0])
    ids, marks = texts(LENGTHS, 8, False)
    batch = {"input_ids": ids, "attention_mask": marks, "labels": y}
    expected = model(**batch).loss
    with mm.TokenMix(model, mm.FMix(axes="b * d")) as mixing:
        with pytest.raises(
            ValueError, match=r"labels is given to BertForSequenceClassification in training.*MixTrainer"
        ):
            model(**batch)
        with pytest.raises(RuntimeError, match="the last forward of this"):
            mixing.loss(torch.zeros(4, 3), y)
        with mixing.paused():
            torch.testing.assert_close(model(**batch).loss, expected)
        torch.testing.assert_close(model.eval()(**batch).loss, expected)
    reader = build("Bert", kind="ForQuestionAnswering")
    with mm.TokenMix(reader, mm.FMix(axes="b * d")), pytest.raises(ValueError, match="start_positions is given"):
        reader(input_ids=ids, attention_mask=marks, start_positions=y, end_positions=y)


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_that_computes_no_mixed_loss_is_stopped(tmp_path: Path) -> None:
    model = build("Bert")
    ids, marks = texts(LENGTHS, 8, False)
    rows = [{"input_ids": a, "attention_mask": b, "labels": 1} for a, b in zip(ids, marks, strict=True)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=1, report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True
    )
    with mm.TokenMix(model, mm.FMix(axes="b * d")):
        trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        with pytest.raises(ValueError, match=r"in place of a Trainer take .*MixTrainer"):
            trainer.train()


# ---------------------------------------------------------------- what goes with tokens


def given_to(model: Any, mixer: Draws, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the forward method of a mixed model is given."""
    seen: list[dict[str, Tensor]] = []
    with mm.TokenMix(model, mixer):
        handle = model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
        model(**batch)
        handle.remove()
    return seen[0]


def test_numbers_of_tokens_go_with_them() -> None:
    """Chosen with hard masks of whole tokens; else the own, and the partner's where there is no own token."""
    model = build("Bert")
    ids, marks = texts(LENGTHS, 8, False)
    numbers = {"token_type_ids": torch.randint(2, (4, 8)), "position_ids": torch.randint(32, (4, 8))}
    batch = {"input_ids": ids, "attention_mask": marks} | numbers
    front = given_to(model, Given(Front(axes="b * d")), batch)
    blend = given_to(model, Given(mm.MixUp(axes="b * d")), batch)
    given_to(model, mm.PatchUp(axes="b * d", soft=False, block_size=3), batch)
    for name, plain in numbers.items():
        assert torch.equal(front[name][marks > 0], front_by_hand(plain, marks)[0][marks > 0])
        for row in range(4):
            for place in range(max(LENGTHS[row], LENGTHS[row ^ 1])):
                assert blend[name][row, place] == plain[row if marks[row, place] else row ^ 1, place]
    one = batch | {"position_ids": torch.arange(8)[None]}
    assert torch.equal(given_to(model, Given(mm.MixUp(axes="b * d")), one)["position_ids"], torch.arange(8)[None])


def test_embeddings_are_looked_up_once_and_other_hooks_on_them_act_once() -> None:
    """As NEFTune's does, which adds noise to the embeddings."""
    model, calls = build("GPT2"), []
    ids, marks = texts(LENGTHS, 8, False)
    table = model.get_input_embeddings()
    with mm.TokenMix(model, mm.FMix(axes="b * d")):
        handle = table.register_forward_hook(lambda module, args, output: calls.append(args[0]))
        model(input_ids=ids, attention_mask=marks)
        handle.remove()
        assert len(calls) == 1
        assert torch.equal(calls[0], ids)
        torch.testing.assert_close(table(ids), F.embedding(ids, table.weight))


def test_embeddings_may_be_given() -> None:
    model = build("Bert")
    ids, marks = texts(LENGTHS, 8, False)
    embedded = model.get_input_embeddings()(ids).detach()
    with mm.TokenMix(model, Given(Front(axes="b * d"))) as mixing:
        found, _ = mixing(inputs_embeds=embedded, attention_mask=marks)
    mixed, real = front_by_hand(ids, marks)
    torch.testing.assert_close(found.logits, model(input_ids=mixed, attention_mask=real).logits)


# ---------------------------------------------------------------- copies, checkpoints


@pytest.mark.parametrize("family", ["GPT2", "Roberta"])
@pytest.mark.parametrize("how", ["layers", "whole"])
def test_checkpointed_forwards_have_the_gradients_of_plain_ones(family: str, how: str) -> None:
    plain, y = build(family), torch.tensor([0, 1, 2, 0])
    again, found = copy.deepcopy(plain), []
    if how == "layers":
        again.activation_checkpointing_enable()
    ids, marks = texts(LENGTHS, 8, False)
    for model in (plain, again):
        with mm.TokenMix(model, mm.OneOf([mm.FMix(axes="b * d"), mm.MixUp(axes="b * d"), mm.NoMix()])) as mixing:
            torch.manual_seed(3)
            for _ in range(4):
                if model is again and how == "whole":
                    logits = checkpoint(lambda: model(input_ids=ids, attention_mask=marks).logits, use_reentrant=False)  # noqa: B023
                else:
                    logits = model(input_ids=ids, attention_mask=marks).logits
                mixing.loss(logits, y).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found[0]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("ids_too", [False, True])
def test_copies_of_a_model_are_inert_and_copies_of_both_a_pair(ids_too: bool) -> None:
    model = build("GPT2")
    ids, marks = texts(LENGTHS, 8, False)
    mixing = mm.TokenMix(model, Given(Front(axes="b *" if ids_too else "b * d")), ids=ids_too)
    model(input_ids=ids, attention_mask=marks)
    mix = mixing.mix
    teacher, twin = copy.deepcopy(model), pickle.loads(pickle.dumps(copy.deepcopy(mixing)))
    by_hand = dict(zip(("input_ids", "attention_mask"), front_by_hand(ids, marks), strict=True))
    plain = teacher(input_ids=ids, attention_mask=marks).logits
    logits = twin.hidden.model(input_ids=ids, attention_mask=marks).logits
    assert mixing.mix is mix
    twin.remove()
    torch.testing.assert_close(logits, teacher(**by_hand).logits)
    torch.testing.assert_close(twin.hidden.model(input_ids=ids, attention_mask=marks).logits, plain)
    mixing.remove()
    torch.testing.assert_close(model(input_ids=ids, attention_mask=marks).logits, plain)
    assert (plain - logits).abs().max() > 1e-2
    with pytest.raises(TypeError, match=r"take copy.deepcopy\(mixing\)"):
        copy.copy(mixing)
