"""Samples of many fields, padded: as tokenisers make them."""

import pickle
from collections import UserDict
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import mixmodal as mm
from mixmodal.modalities.text.padding import PadCollate

SAMPLES: list[dict[str, Any]] = [
    {
        "input_ids": [5, 6, 7],
        "token_type_ids": [0, 0, 1],
        "labels": 2,
        "weight": 0.5,
        "text": "a",
        "words": ["a", "b"],
    },
    {"input_ids": [8], "token_type_ids": [1], "labels": 0, "weight": 1.5, "text": "d", "words": ["d"]},
]


def test_fields_are_padded_or_collated_by_their_names() -> None:
    batch = PadCollate(9, multiple=2)(SAMPLES)
    assert list(batch) == ["input_ids", "token_type_ids", "labels", "weight", "text", "words", "attention_mask"]
    assert batch["input_ids"].tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert batch["labels"].tolist() == [2, 0]
    assert batch["weight"].tolist() == [0.5, 1.5]
    assert batch["text"] == ["a", "d"]
    assert batch["words"] == [["a", "b"], ["d"]]
    assert {batch[name].dtype for name in ("input_ids", "token_type_ids", "attention_mask", "labels")} == {torch.int64}


def test_what_is_told_of_a_field_counts() -> None:
    assert PadCollate(9, per_token={"token_type_ids": 3})(SAMPLES)["token_type_ids"].tolist() == [[0, 0, 1], [1, 3, 3]]


def test_labels_of_tokens_are_padded_with_what_a_loss_ignores() -> None:
    """The loss of a padded batch is that of all its tokens, one after the other."""
    samples = [{"input_ids": [5, 6, 7], "labels": [2, -100, 1]}, {"input_ids": [8], "labels": [0]}]
    batch = PadCollate(9, per_token={"labels": -100})(samples)
    assert batch["labels"].tolist() == [[2, -100, 1], [0, -100, -100]]
    logits = torch.randn(2, 3, 4)
    apart = torch.stack([logits[0, 0, 2], logits[0, 2, 1], logits[1, 0, 0]])
    expected = (torch.stack([logits[0, 0], logits[0, 2], logits[1, 0]]).logsumexp(1) - apart).mean()
    torch.testing.assert_close(F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten()), expected)


def test_a_mask_that_is_there_is_kept() -> None:
    """Zeros in it too: of texts that were padded before."""
    samples = [{"input_ids": [5, 0, 0], "attention_mask": [1, 0, 0]}, {"input_ids": [8], "attention_mask": [1]}]
    assert PadCollate(0)(samples)["attention_mask"].tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
@pytest.mark.parametrize("sample", [dict, UserDict])
def test_values_of_any_kind_give_the_same_batch(kind: Any, sample: Any) -> None:
    """A vector that is none of tokens, as labels of several kinds, is a row of its own."""
    samples = [
        sample({"input_ids": kind([5, 6]), "labels": kind([0.0, 1.0, 1.0]), "ends": kind([[0, 2], [2, 5]])}),
        sample({"input_ids": kind([8]), "labels": kind([1.0, 0.0, 1.0]), "ends": kind([[0, 3]])}),
    ]
    batch = PadCollate(0, per_token={"ends": -1})(samples)
    assert isinstance(batch, dict)
    assert batch["labels"].tolist() == [[0, 1, 1], [1, 0, 1]]
    assert batch["labels"].is_floating_point()
    assert batch["ends"].tolist() == [[[0, 2], [2, 5]], [[0, 3], [-1, -1]]]


def test_values_keep_their_type_where_a_text_is_empty() -> None:
    samples = [
        {"input_ids": [], "score": [], "flag": [], "labels": []},
        {"input_ids": [4, 4], "score": [1, 0.5], "flag": [True, False], "labels": [3, 4]},
        {"input_ids": [4], "score": [2], "flag": [True], "labels": [5]},
    ]
    batch = PadCollate(0, per_token={"score": 0, "flag": False, "labels": -100})(samples)
    assert batch["score"].tolist() == [[0, 0], [1, 0.5], [2, 0]]
    assert batch["flag"].tolist() == [[False, False], [True, False], [True, False]]
    assert batch["labels"].dtype == torch.int64
    empty = PadCollate(7, per_token={"labels": -100})([{"input_ids": [], "labels": []}] * 2)
    assert empty["input_ids"].tolist() == [[7], [7]]
    assert empty["labels"].tolist() == [[-100], [-100]]
    assert empty["attention_mask"].tolist() == [[0], [0]]
    assert {field.dtype for field in empty.values()} == {torch.int64}


BAD: dict[str, tuple[list[dict[str, Any]], type[Exception], str]] = {
    "no ids": ([{"ids": [1]}], ValueError, "sample 0 has no field 'input_ids' but 'ids'"),
    "other fields": ([{"input_ids": [1], "a": 1}, {"input_ids": [1]}], ValueError, r"samples 0 and 1 .* lacks \['a'\]"),
    "floats": ([{"input_ids": [0.5]}], TypeError, "token ids must be integers"),
    "too few": (
        [{"input_ids": [1, 2], "token_type_ids": [0]}],
        ValueError,
        r"token_type_ids of sample 0 has the shape \(1,\), and the text 2 tokens",
    ),
    "one": ([{"input_ids": [1], "token_type_ids": 0}], ValueError, r"token_type_ids of sample 0 has the shape \(\)"),
    "other values": (
        [{"input_ids": [1], "token_type_ids": [[0, 0]]}, {"input_ids": [1], "token_type_ids": [0]}],
        ValueError,
        r"token_type_ids has values of the shapes \[\(\), \(2,\)\] for a token, and must have them of one shape",
    ),
    "not named": (
        [{"input_ids": [1, 2], "labels": [0, 1]}, {"input_ids": [1], "labels": [0]}],
        ValueError,
        r"labels has the shapes \[\(1,\), \(2,\)\], which cannot be batched: .*per_token={'labels': -100}",
    ),
}


@pytest.mark.parametrize(("samples", "error", "message"), BAD.values(), ids=BAD.keys())
def test_bad_samples_are_named(samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PadCollate(0)(samples)


@pytest.mark.parametrize("per_token", ["labels", {"labels": None}, ["labels"]])
def test_a_padding_is_a_number(per_token: Any) -> None:
    with pytest.raises(ValueError, match=r"per_token=.* must say by which number each field is padded, as in"):
        PadCollate(0, per_token=per_token)


def test_a_collation_is_pickled_hashed_and_its_own() -> None:
    told = {"labels": -100}
    collate = PadCollate(3, per_token=told)
    twin = pickle.loads(pickle.dumps(collate))
    told["labels"] = 0
    assert twin == collate == PadCollate(3, per_token={"labels": -100})
    assert hash(twin) == hash(collate)
    assert collate != PadCollate(3, per_token=told)
    loader: Any = DataLoader(SAMPLES, batch_size=2, collate_fn=PadCollate(9))  # type: ignore[arg-type]
    assert next(iter(loader))["text"] == ["a", "d"]


def test_texts_are_padded_as_their_tokeniser_pads_them() -> None:
    """The real one, with words that it makes up here."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=model, pad_token="[PAD]")
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    pairs = [("a b c d", "b"), ("d", "a"), ("c c", "d d a")]
    samples = [tokenizer(*pair, return_special_tokens_mask=True) for pair in pairs]
    assert samples[0]["token_type_ids"] == [0, 0, 0, 0, 0, 0, 1, 1]
    expected = tokenizer.pad([dict(sample) for sample in samples], return_tensors="pt", pad_to_multiple_of=8)
    found = PadCollate(tokenizer.pad_token_id, multiple=8)(samples)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.equal(value, expected[name]), name


def test_a_batch_of_fields_is_mixed() -> None:
    """Embedded by a table, with labels of the texts: the mask of attention says what is real after the mix."""
    samples = [{"input_ids": [5, 6, 7], "labels": 2}, {"input_ids": [8], "labels": 0}]
    batch = PadCollate(0)(samples)
    batch["inputs_embeds"] = torch.nn.functional.one_hot(batch.pop("input_ids"), 10).float()
    mixing = mm.MixBatch(mm.MixUp(axes="b * d"), inputs="inputs_embeds", labels={"labels": 3}, valid="attention_mask")
    mixed, mix = mixing(batch)
    real = torch.tensor([[True, True, True], [True, False, False]])
    assert torch.equal(mixed["attention_mask"], (real | real[mix.index]).long())
    assert mixed["labels"].shape == (2, 3)


@pytest.mark.parametrize("pad_id", [1.5, float("nan"), "0", True, 2**70])
def test_a_pad_id_is_an_id(pad_id: Any) -> None:
    with pytest.raises(ValueError, match=r"pad_id=.* must be the id of a token"):
        mm.PadCollate(pad_id)


def test_samples_that_make_no_batch_are_named() -> None:
    collate = mm.PadCollate(0)
    with pytest.raises(ValueError, match=r"samples=\[\] holds no text"):
        collate([])
    with pytest.raises(TypeError, match="labels of the samples cannot be batched"):
        collate([([1], None), ([2], None)])
    with pytest.raises(ValueError, match="labels of the samples cannot be batched"):
        collate([([1], torch.ones(2)), ([2], torch.ones(3))])
    for ids in ([2**70], "ab", None, [[1], [1, 2]]):
        with pytest.raises(TypeError, match="token ids must be"):
            collate([(ids, 0)])  # type: ignore[list-item]
