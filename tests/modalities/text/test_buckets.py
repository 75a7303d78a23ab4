"""Laws of length buckets and padded batches."""

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

import mixmodal as mm
from mixmodal.modalities.text.buckets import LengthBucketBatchSampler
from mixmodal.modalities.text.padding import PadCollate, from_torchtext

many = st.lists(st.integers(0, 50), min_size=4, max_size=120)
sizes = st.integers(1, 9)


def padding(lengths: Tensor, batches: list[list[int]]) -> float:
    """Share of the tokens of an epoch that are padding."""
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - lengths.sum().item() / padded


@settings(deadline=None)
@given(many, sizes, st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_every_process_sees_an_even_share_and_together_they_see_every_sample_once(
    lengths: list[int], batch_size: int, world_size: int, shuffle: bool, epoch: int
) -> None:
    shares = []
    for rank in range(world_size):
        batches = LengthBucketBatchSampler(
            lengths, batch_size, chunk=2, shuffle=shuffle, rank=rank, world_size=world_size
        )
        batches.set_epoch(epoch)
        shares.append(list(batches))
        assert len(shares[-1]) == len(batches)
    assert len({len(share) for share in shares}) == 1
    assert sorted(sample for share in shares for batch in share for sample in batch) == list(range(len(lengths)))
    for turn in zip(*shares, strict=True):
        assert min(map(len, turn)) > 0
        assert max(map(len, turn)) - min(map(len, turn)) <= 1


@settings(deadline=None)
@given(many, sizes, st.integers(0, 5))
def test_all_batches_but_the_last_are_whole(lengths: list[int], batch_size: int, epoch: int) -> None:
    """What shards a loader by itself, as Accelerate does, counts on it."""
    batches = LengthBucketBatchSampler(lengths, batch_size, chunk=2)
    batches.set_epoch(epoch)
    assert all(len(batch) == batch_size for batch in list(batches)[:-1])


@settings(deadline=None)
@given(many, sizes, st.integers(1, 4))
def test_only_whole_batches_are_left_if_the_rest_is_dropped(
    lengths: list[int], batch_size: int, world_size: int
) -> None:
    batches = LengthBucketBatchSampler(lengths, batch_size, drop_last=True, world_size=world_size)
    assert [len(batch) for batch in batches] == [batch_size] * (len(lengths) // (batch_size * world_size))
    assert len(batches) == len(list(batches))


def test_epochs_differ_and_repeat() -> None:
    lengths = torch.randint(1, 100, (300,))
    batches = LengthBucketBatchSampler(lengths, 8, seed=3)
    first = list(batches)
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert first == list(batches) != second
    assert first != list(LengthBucketBatchSampler(lengths, 8, seed=4))
    torch.manual_seed(9)
    state = torch.get_rng_state()
    list(batches)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_goes_on_where_it_was_left() -> None:
    lengths = torch.randint(1, 100, (300,))
    batches = LengthBucketBatchSampler(lengths, 8)
    batches.set_epoch(5)
    whole = list(batches)
    batches.set_epoch(5, start=7)
    assert list(batches) == whole[7:]
    assert len(batches) == len(whole) - 7
    batches.set_epoch(5)
    assert list(batches) == whole


def test_samples_of_like_length_are_together_and_little_is_padded() -> None:
    """1,000 log-normal lengths, as texts have them."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.empty(1000).log_normal_(5, 0.7, generator=generator).long() + 1
    bucketed = padding(lengths, list(LengthBucketBatchSampler(lengths, 10)))
    by_chance = padding(lengths, list(LengthBucketBatchSampler(lengths, 10, chunk=1)))
    assert bucketed < by_chance / 10
    for batch in LengthBucketBatchSampler(lengths, 10):
        assert lengths[batch].tolist() == sorted(lengths[batch].tolist(), reverse=True)


def test_batches_of_a_chunk_hold_its_samples_only() -> None:
    """Without shuffling the chunks are known: 3 batches of 4 samples in their order."""
    lengths = torch.randint(1, 9, (24,))
    batches = list(LengthBucketBatchSampler(lengths, 4, chunk=3, shuffle=False))
    assert {sample for batch in batches[:3] for sample in batch} == set(range(12))
    assert [sample for batch in batches[:3] for sample in batch] == sorted(
        range(12), key=lambda sample: -int(lengths[sample])
    )


def test_the_order_of_batches_says_nothing_of_their_length() -> None:
    """Mean place of the batch with the longest sample over 400 epochs of 10 batches: 4.5 within 4 standard errors."""
    lengths = torch.arange(40)
    batches = LengthBucketBatchSampler(lengths, 4)
    places = []
    for epoch in range(400):
        batches.set_epoch(epoch)
        places.append(next(place for place, batch in enumerate(batches) if 39 in batch))
    deviation = ((10**2 - 1) / 12) ** 0.5
    assert abs(sum(places) / 400 - 4.5) < 4 * deviation / 400**0.5


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no batch": ({"batch_size": 0}, "batch_size=0 must"),
    "no chunk": ({"chunk": 0}, "chunk=0 must"),
    "rank": ({"rank": 2, "world_size": 2}, "rank=2 must be one of 2 processes"),
    "negative": ({"lengths": [3, -1]}, "lengths has dtype torch.int64.*0 or more"),
    "floating": ({"lengths": [3.0, 1.0]}, "lengths has dtype torch.float32"),
    "matrix": ({"lengths": torch.ones(2, 2, dtype=torch.int64)}, r"shape \(2, 2\)"),
    "few": ({"world_size": 4}, "3 samples, fewer than the 4 processes"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LengthBucketBatchSampler(**{"lengths": [3, 1, 2], "batch_size": 2} | arguments)


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize("workers", [0, 2])
def test_texts_are_padded_and_marked(workers: int) -> None:
    texts = [torch.randint(3, 50, (size,)) for size in (5, 1, 0, 7, 2, 4)]
    data = [(text, place) for place, text in enumerate(texts)]
    batches = LengthBucketBatchSampler([len(text) for text in texts], 2)
    loader = DataLoader(data, batch_sampler=batches, collate_fn=PadCollate(9), num_workers=workers)  # type: ignore[arg-type]
    seen = []
    for ids, lengths, valid, labels in loader:
        assert ids.shape == valid.shape == (2, max(int(lengths.max()), 1))
        for row, length, real, label in zip(ids, lengths.tolist(), valid, labels.tolist(), strict=True):
            assert torch.equal(row[real], texts[label])
            assert real.tolist() == [True] * length + [False] * (len(row) - length)
            assert (row[length:] == 9).all()
            seen.append(label)
    assert sorted(seen) == list(range(6))


def test_empty_texts_are_one_wide_and_not_valid() -> None:
    ids, lengths, valid, _ = PadCollate(4)([([], 0), ([], 1)])
    assert ids.tolist() == [[4], [4]]
    assert not valid.any()
    assert lengths.tolist() == [0, 0]
    mixed, mix = mm.FMix(axes="b * d")(torch.rand(2, 1, 3), valid=valid)
    assert mixed.abs().sum() == 0
    assert mix.lam.tolist() == [1, 1]


def test_a_width_is_a_multiple() -> None:
    assert PadCollate(0, multiple=8)([([1] * 9, 0), ([1], 1)]).ids.shape == (2, 16)
    assert PadCollate(0, multiple=8)([([1] * 8, 0), ([1], 1)]).ids.shape == (2, 8)


def test_a_vocabulary_needs_a_pad_token() -> None:
    with pytest.raises(ValueError, match="the vocabulary has no pad token; give it one"):
        PadCollate(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"token ids must be integers \(T,\), got torch.float32"):
        PadCollate(0)([(torch.rand(3), 0)])


def test_collating_is_pickled() -> None:
    collate = pickle.loads(pickle.dumps(PadCollate(3, multiple=4)))
    assert collate == PadCollate(3, multiple=4)


# ---------------------------------------------------------------- torchtext


def test_batches_of_torchtext_are_read() -> None:
    """The real BucketIterator, time first and batch first, with lengths and without."""
    data = pytest.importorskip("torchtext.data")
    texts = ["a b c d e", "b", "c a b", "e e", "d c b a"]
    for batch_first in (False, True):
        for include_lengths in (False, True):
            field = data.Field(batch_first=batch_first, include_lengths=include_lengths)
            fields = [("text", field)]
            examples = [data.Example.fromlist([text], fields) for text in texts]
            corpus = data.Dataset(examples, fields)
            field.build_vocab(corpus)
            batches = data.BucketIterator(corpus, batch_size=2, sort_key=lambda each: len(each.text), train=False)
            pad_id = field.vocab.stoi[field.pad_token]
            read = []
            for batch in batches:
                ids, lengths, valid, labels = from_torchtext(batch.text, pad_id=pad_id, batch_first=batch_first)
                assert labels is None
                for row, length, real in zip(ids, lengths.tolist(), valid, strict=True):
                    words = [field.vocab.itos[each] for each in row.tolist()]
                    assert real.tolist() == [word != "<pad>" for word in words]
                    assert length == int(real.sum())
                    read.append(" ".join(word for word in words if word != "<pad>"))
            assert sorted(read) == sorted(texts)
