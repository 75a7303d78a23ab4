"""Laws of mixing the tokens of Hugging Face models."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mixmodal as mm
from mixmodal.core.draws import Draws

transformers = pytest.importorskip("transformers")

CLS, SEP, PAD = 1, 2, 0
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 60}
LOUD = {"initializer_range": 0.5, "num_labels": 3}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": PAD} | LOUD


def bert() -> Any:
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL, **STILL))


def roberta() -> Any:
    config = transformers.RobertaConfig(**SMALL, **STILL, max_position_embeddings=40)
    return transformers.RobertaForSequenceClassification(config)


def deberta() -> Any:
    config = transformers.DebertaV2Config(**SMALL, **STILL, relative_attention=True, pos_att_type=["p2c", "c2p"])
    return transformers.DebertaV2ForSequenceClassification(config)


def distilbert() -> Any:
    still = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    config = transformers.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=16, vocab_size=60, **still, **LOUD)
    return transformers.DistilBertForSequenceClassification(config)


MODELS: dict[str, Callable[[], Any]] = {
    "bert": bert,
    "roberta": roberta,
    "deberta": deberta,
    "distilbert": distilbert,
}
models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def texts(lengths: list[int], *, width: int | None = None, left: bool = False) -> tuple[Tensor, Tensor]:
    """Ids that name their sample and place, between CLS and SEP; and what is real."""
    width = width or max(lengths)
    ids = torch.zeros(len(lengths), width, dtype=torch.int64)
    for sample, length in enumerate(lengths):
        start = width - length if left else 0
        words = [100 * (sample + 1) + start + place for place in range(1, length - 1)]
        ids[sample, start : start + length] = torch.tensor([CLS, *words, SEP])
    return ids, ids != PAD


@dataclasses.dataclass(frozen=True)
class Given(Draws):
    """Pairs neighbours, with a share that is given: the same in a batch and in its parts."""

    mixer: Draws
    lam: float = 0.3
    partner = True  # type: ignore[assignment]

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        return self.mixer.draw(x, valid=asked.valid, index=torch.arange(len(x)) ^ 1, lam=self.lam)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Front(mm.Mixer):
    """Keeps the first `lam` of a text."""

    hard = True  # type: ignore[assignment]

    def mask(self, lam: Tensor, shape: Any, generator: torch.Generator | None = None) -> Tensor:
        return ((torch.arange(shape[0]) + 0.5) / shape[0] < lam[:, None]).float()


# ---------------------------------------------------------------- special tokens


@pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])
@pytest.mark.parametrize("mixer", [mm.FMix(axes="b *"), mm.CutMix(axes="b *"), mm.FMix(axes="b *", per_sample=True)])
def test_a_mixed_text_begins_and_ends_as_a_text_does(mixer: mm.Mixer, left: bool) -> None:
    for seed in range(40):
        torch.manual_seed(seed)
        lengths = torch.randint(3, 12, (6,)).tolist()
        ids, valid = texts(lengths, left=left)
        mixed, mix = mm.KeepEnds(mixer)(ids, valid=valid)
        assert mix.valid is not None
        for sample, row in enumerate(mixed.tolist()):
            other = int(mix.index[sample])
            real = [token for token in row if token != PAD]
            assert real[0] == CLS
            assert real[-1] == SEP
            words = real[1:-1]
            own = [word for word in words if word // 100 == sample + 1]
            theirs = [word for word in words if word // 100 == other + 1 != sample + 1]
            assert len(own) + len(theirs) == len(words)
            assert all(row[word % 100] == word for word in words)
            if words and other != sample:
                assert mix.lam[sample].item() == pytest.approx(len(own) / len(words))
            assert max(lengths[sample], lengths[other]) == (
                len(row) - row.index(CLS) if left else len(row) - row[::-1].index(SEP)
            )
            assert mix.valid[sample].tolist() == [token != PAD for token in row]


@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize("make", [mm.CutMix, mm.FMix])
def test_the_share_is_that_of_the_tokens_between_wherever_padding_lies(make: Any, holes: bool) -> None:
    for seed in range(40):
        torch.manual_seed(seed)
        valid = torch.rand(5, 9) < 0.6
        place = valid.cumsum(1)
        between = valid & (place > 1) & (place < place[:, -1:])
        sample = torch.arange(5)[:, None].expand(5, 9)
        mix = mm.KeepEnds(make(axes="b *", holes=holes, per_sample=True)).draw(sample, valid=valid)
        counted, whose = mix(between), mix(sample)
        own = (counted & (whose == sample)).sum(1)
        other = mix.index != torch.arange(5)
        share = torch.where(counted.any(1), own / counted.sum(1).clamp(min=1), 1)
        torch.testing.assert_close(mix.lam[other], share[other])
        assert torch.equal(mix(valid), mix.valid)


def test_the_tokens_between_are_mixed_as_by_the_mixer() -> None:
    ids, valid = texts([9, 6, 3, 7])
    between = valid & (ids != CLS) & (ids != SEP)
    x = torch.randn(4, 9, 5)
    for mixer in (mm.MixUp(axes="b * d"), mm.FMix(axes="b * d"), mm.Cutout(axes="b * d", size=3)):
        whole, mix = mm.KeepEnds(mixer)(x, valid=valid, generator=torch.Generator().manual_seed(0))
        alone, plain = mixer(x, valid=between, generator=torch.Generator().manual_seed(0))
        same = between & between[mix.index]
        torch.testing.assert_close(whole[same], alone[same])
        ends = (ids == CLS) | ((ids == SEP) & ~valid[mix.index])
        torch.testing.assert_close(whole[ends], x[ends])
        assert mix.partner == plain.partner
        assert mix.mask[:, 0].eq(1).all()
        if not mix.partner:
            assert mix.lam.eq(1).all()
            torch.testing.assert_close(whole[ids == SEP], x[ids == SEP])


def test_ends_need_marks_and_whole_tokens() -> None:
    x = torch.rand(2, 6, 4)
    with pytest.raises(TypeError, match=r"valid has shape None, and KeepEnds needs \(B, T\)"):
        mm.KeepEnds(mm.FMix(axes="b * d"))(x)
    with pytest.raises(TypeError, match="KeepEnds needs"):
        mm.KeepEnds(mm.FMix(axes="b * d"))(x, valid=[[True] * 6] * 2)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"valid has shape \(2, 1\), and KeepEnds needs \(2, 6\) to tell where texts end"
    ):
        mm.KeepEnds(mm.FMix(axes="b * d"))(x, valid=torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"PatchUp.* mixes parts of a token"):
        mm.KeepEnds(mm.PatchUp(axes="b * d", block_size=3))(x, valid=torch.ones(2, 6, dtype=torch.bool))


# ---------------------------------------------------------------- models


@models
@pytest.mark.parametrize(
    "mixer", [mm.FMix(axes="b * d"), mm.MixUp(axes="b * d"), mm.KeepEnds(mm.CutMix(axes="b * d"))], ids=repr
)
def test_what_is_recorded_is_what_the_model_reads(make: Callable[[], Any], mixer: Draws) -> None:
    torch.manual_seed(0)
    ids, valid = texts([9, 6, 4, 7])
    ids = ids % 60
    model = make()
    with mm.TokenMix(model, mixer) as mixing:
        output, mix = mixing(input_ids=ids, attention_mask=valid.long())
    embedded = model.get_input_embeddings()(ids).masked_fill(~valid[..., None], 0)
    own = mix.mask.expand(valid.shape)[..., None]
    by_hand = own * embedded + (1 - own) * embedded[mix.index]
    real = (valid & (own[..., 0] > 0)) | (valid[mix.index] & (own[..., 0] < 1))
    assert not torch.equal(mix.index, torch.arange(4))
    expected = model(inputs_embeds=by_hand, attention_mask=real.long())
    torch.testing.assert_close(output.logits, expected.logits)


@models
def test_evaluation_is_left_alone(make: Callable[[], Any]) -> None:
    ids, valid = texts([9, 6, 4, 7])
    batch = {"input_ids": ids % 60, "attention_mask": valid.long()}
    model = make().eval()
    plain = model(**batch).logits
    with mm.TokenMix(model, mm.FMix(axes="b * d")) as mixing:
        torch.testing.assert_close(model(**batch).logits, plain)
        assert mixing.mix is None
        y = torch.tensor([0, 1, 2, 0])
        torch.testing.assert_close(mixing.loss(plain, y), F.cross_entropy(plain, y))
        model.train()
        model(**batch)
        assert mixing.mix is not None
    model.train()
    torch.testing.assert_close(model(**batch).logits, plain)
    assert not model._forward_pre_hooks


@models
@pytest.mark.parametrize("mixer", [Front(axes="b * d"), mm.MixUp(axes="b * d")], ids=["front", "mixup"])
def test_logits_do_not_change_when_padding_is_appended(make: Callable[[], Any], mixer: Draws) -> None:
    torch.manual_seed(0)
    model, found = make(), []
    with mm.TokenMix(model, Given(mixer)) as mixing:
        for width in (9, 14):
            ids, valid = texts([9, 5, 3, 7], width=width)
            output, mix = mixing(input_ids=ids % 60, attention_mask=valid.long())
            found.append((output.logits, mix.lam))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_models_mix_in_every_training_forward() -> None:
    ids, valid = texts([9, 6, 4, 7])
    model = bert()
    mixing = mm.TokenMix(model, mm.FMix(axes="b * d"))
    compiled = torch.compile(model, backend="eager")
    drawn: list[mm.Mix] = []
    for _ in range(10):
        logits = compiled(input_ids=ids % 60, attention_mask=valid.long()).logits
        mixing.loss(logits, torch.tensor([0, 1, 2, 0])).backward()
        assert mixing.mix is not None
        assert all(mixing.mix is not mix for mix in drawn)
        drawn.append(mixing.mix)
    assert len({(*mix.index.tolist(), *mix.lam.tolist()) for mix in drawn}) > 5
    model.eval()
    compiled(input_ids=ids % 60, attention_mask=valid.long())
    assert mixing.mix is None


def test_token_ids_are_chosen_and_never_blended() -> None:
    ids, valid = texts([9, 6, 4, 7])
    model, types = bert(), torch.randint(2, (4, 9)) * valid
    batch = {"input_ids": ids % 60, "attention_mask": valid.long(), "token_type_ids": types}
    with mm.TokenMix(model, mm.FMix(axes="b *"), ids=True) as mixing:
        output, mix = mixing(**batch)
    own = (mix.mask > 0.5).expand_as(ids)
    assert mix.valid is not None
    by_hand = {name: torch.where(own, x, x[mix.index]) for name, x in batch.items() if name != "attention_mask"}
    expected = model(**by_hand, attention_mask=mix.valid.long())
    torch.testing.assert_close(output.logits, expected.logits)
    with (
        mm.TokenMix(model, mm.MixUp(axes="b *"), ids=True),
        pytest.raises(TypeError, match=r"never blended.*embeddings"),
    ):
        model(**batch)


def test_a_model_must_take_embeddings_and_be_mixed_once() -> None:
    with pytest.raises(ValueError, match="Linear takes no input_ids; mix it with HiddenMix"):
        mm.TokenMix(nn.Linear(2, 2), mm.FMix())
    model = bert()
    mixing = mm.TokenMix(model, mm.FMix(axes="b * d"))
    hooks = len(model._forward_pre_hooks)
    with pytest.raises(ValueError, match="already mixed by another HiddenMix"):
        mm.TokenMix(model, mm.FMix(axes="b * d"))
    assert len(model._forward_pre_hooks) == hooks
    mixing.remove()
    mm.TokenMix(model, mm.FMix(axes="b * d")).remove()


def test_embeddings_are_a_site_beside_hidden_layers() -> None:
    model = bert()
    ids, valid = texts([9, 6, 4, 7])
    layers = mm.sites.encoder(model)
    handle = mm.embed_ids(model)
    at = dict.fromkeys([(model, "inputs_embeds"), *layers], mm.MixUp(axes="b * d"))
    seen = set()
    with mm.HiddenMix(model, at, valid="attention_mask") as hidden:
        for _ in range(30):
            hidden(input_ids=ids % 60, attention_mask=valid.long())
            seen.add(hidden.acting.forward.site)
    handle.remove()
    assert len(seen) == 3


# ---------------------------------------------------------------- trainer


def trainer_of(model: Any, folder: Path, rows: list[Any], parts: int, loss: Callable[..., Tensor]) -> Any:
    """A Trainer that takes one step on all rows in `parts` micro-batches."""

    class InOrder(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(rows, batch_size=len(rows) // parts, collate_fn=collate)  # type: ignore[arg-type]

    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=1, gradient_accumulation_steps=parts, per_device_train_batch_size=2,
        per_device_eval_batch_size=4, report_to="none", save_strategy="no", use_cpu=True, max_grad_norm=0.0,
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    step = torch.optim.SGD(model.parameters(), lr=1.0), None
    return InOrder(
        model, arguments, train_dataset=rows, eval_dataset=rows, data_collator=collate, compute_loss_func=loss,
        optimizers=step, compute_metrics=lambda found: {"right": (found[0].argmax(1) == found[1]).mean()},
    )  # fmt: skip


def collate(rows: list[Any]) -> dict[str, Tensor]:
    ids, _, valid, labels = mm.PadCollate(PAD, multiple=16)(rows)
    return {"input_ids": ids, "attention_mask": valid.long(), "labels": labels}


def rows_of(labels: Tensor) -> list[Any]:
    ids, valid = texts([9, 6, 4, 7, 5, 9, 3, 8])
    return [(row[real] % 60, label) for row, real, label in zip(ids, valid, labels, strict=True)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("multilabel", [False, True], ids=["classes", "labels"])
def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path: Path, multilabel: bool) -> None:
    torch.manual_seed(0)
    labels = (torch.rand(8, 3) > 0.5).float() if multilabel else torch.randint(3, (8,))
    criterion = F.binary_cross_entropy_with_logits if multilabel else F.cross_entropy
    model = bert()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    stepped = []
    for parts in (4, 1):
        model.load_state_dict(start)
        with mm.TokenMix(model, Given(Front(axes="b * d"))) as mixing:
            loss = mm.trainer_loss(mixing, transformers.TrainingArguments(), criterion=criterion)
            trainer_of(model, tmp_path, rows_of(labels), parts, loss).train()
            stepped.append({name: value.clone() for name, value in model.state_dict().items()})
    assert any((start[name] - stepped[0][name]).abs().max() > 1e-3 for name in start)
    torch.testing.assert_close(stepped[0], stepped[1], rtol=1e-5, atol=1e-5)

    model.load_state_dict(start)
    batch = collate(rows_of(labels))
    embedded = model.get_input_embeddings()(batch["input_ids"])
    mixed, mix = Given(Front(axes="b * d"))(embedded, valid=batch["attention_mask"].bool())
    assert mix.valid is not None
    logits = model(inputs_embeds=mixed, attention_mask=mix.valid.long()).logits
    soft = mix.targets(labels, num_classes=None if multilabel else 3)
    criterion(logits, soft).backward()
    by_hand = {name: start[name] - value.grad for name, value in model.named_parameters() if value.grad is not None}
    torch.testing.assert_close({name: stepped[0][name] for name in by_hand}, by_hand, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_evaluation_in_a_trainer_is_that_of_the_plain_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, rows = bert(), rows_of(torch.randint(3, (8,)))
    plain = trainer_of(model, tmp_path, rows, 1, lambda out, y, num_items_in_batch=None: F.cross_entropy(out.logits, y))
    expected = plain.evaluate()
    with mm.TokenMix(model, mm.FMix(axes="b * d")) as mixing:
        found = trainer_of(
            model, tmp_path, rows, 1, mm.trainer_loss(mixing, transformers.TrainingArguments())
        ).evaluate()
    assert found["eval_right"] == expected["eval_right"]
    assert found["eval_loss"] == pytest.approx(expected["eval_loss"], abs=1e-6)
