"""Laws of length buckets and padded batches."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
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


def comes_out_even(lengths: list[int], batch_size: int, world_size: int) -> bool:
    """Whether batches of a size can be shared: those of one sample only if they come out even."""
    return batch_size > 1 or len(lengths) % world_size == 0


@settings(deadline=None)
@given(many, sizes, st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_every_process_sees_an_even_share_and_together_they_see_every_sample_once(
    lengths: list[int], batch_size: int, world_size: int, shuffle: bool, epoch: int
) -> None:
    assume(comes_out_even(lengths, batch_size, world_size))
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
        assert max(map(len, turn)) <= batch_size
        assert max(map(len, turn)) - min(map(len, turn)) <= 1
    together = LengthBucketBatchSampler(lengths, batch_size, chunk=2, shuffle=shuffle, rank=None, world_size=world_size)
    together.set_epoch(epoch)
    assert list(together) == [batch for turn in zip(*shares, strict=True) for batch in turn]
    assert len(together) == world_size * len(shares[0])


def test_a_rest_of_fewer_samples_than_processes_makes_no_larger_batch() -> None:
    """9 samples for 2 processes of 4: by falling length, 3 and 3, then 2 and 1, whatever the order."""
    shares = [list(LengthBucketBatchSampler(range(9), 4, rank=rank, world_size=2, shuffle=False)) for rank in (0, 1)]
    assert shares == [[[8, 6, 4], [2, 0]], [[7, 5, 3], [1]]]
    with pytest.raises(ValueError, match=r"batch_size=1 with 9 samples leaves 1 for 2 processes.*drop_last=True"):
        LengthBucketBatchSampler(range(9), 1, world_size=2)
    assert list(LengthBucketBatchSampler(range(3), 1, world_size=2, drop_last=True, shuffle=False)) == [[2]]


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


@settings(deadline=None)
@given(many, sizes, st.booleans(), st.booleans(), st.integers(0, 12))
def test_the_rest_of_an_epoch_is_its_end(
    lengths: list[int], batch_size: int, drop_last: bool, together: bool, start: int
) -> None:
    """Batch number `start` of this process, or of all of two in turn; the epoch may be over, and not more."""
    assume(drop_last or comes_out_even(lengths, batch_size, 2))
    rank = None if together else 1
    batches = LengthBucketBatchSampler(lengths, batch_size, rank=rank, world_size=2, drop_last=drop_last)
    whole, each = list(batches), 2 if together else 1
    assert len(batches) == len(whole)
    if start * each > len(whole):
        with pytest.raises(ValueError, match=f"start={start} must be at most {len(whole) // each}"):
            batches.set_epoch(0, start=start)
        assert list(batches) == whole
    else:
        batches.set_epoch(0, start=start)
        assert list(batches) == whole[start * each :]
        assert len(batches) == len(whole) - start * each


def test_a_start_is_that_of_its_epoch_whoever_sets_the_next() -> None:
    lengths = torch.randint(1, 100, (300,))
    batches, others = LengthBucketBatchSampler(lengths, 8), LengthBucketBatchSampler(lengths, 8)
    batches.set_epoch(5, start=7)
    batches.sampler.set_epoch(6)
    others.set_epoch(6)
    assert list(batches) == list(others)
    assert len(batches) == len(list(others))


@pytest.mark.parametrize("epoch", [-1, 0.5, 2.0, "1", None, torch.tensor(-1), torch.tensor([1, 2]), np.float32(1)])
def test_a_wrong_epoch_or_start_is_named(epoch: Any) -> None:
    batches = LengthBucketBatchSampler([3, 1, 2], 2)
    with pytest.raises((TypeError, ValueError), match=r"epoch=.* must be a whole number, 0 or more"):
        batches.set_epoch(epoch)
    with pytest.raises((TypeError, ValueError), match=r"start=.* must be a whole number, 0 or more"):
        batches.set_epoch(0, start=epoch)
    batches.sampler.set_epoch(epoch)  # as a framework does
    with pytest.raises((TypeError, ValueError), match=r"epoch=.* must be a whole number, 0 or more"):
        list(batches)


def test_an_epoch_is_any_whole_number() -> None:
    lengths = torch.randint(1, 100, (60,))
    batches = LengthBucketBatchSampler(lengths, 8)
    batches.set_epoch(3)
    third = list(batches)
    for epoch in (torch.tensor(3), np.int64(3)):
        batches.set_epoch(0)
        batches.set_epoch(epoch)  # type: ignore[arg-type]
        assert list(batches) == third
    counter = torch.tensor(3)
    batches.set_epoch(counter)  # type: ignore[arg-type]
    counter += 1
    assert list(batches) == third
    assert (batches.epoch, batches.rank, batches.world_size) == (3, 0, 1)


def test_seeds_of_64_bits_have_orders_of_their_own() -> None:
    lengths = torch.randint(1, 100, (60,))
    seeds = [0, 1, -1, 2**32, 2**44, 2**63, 2**64 - 2, -(2**63) + 7]
    orders = {str(list(LengthBucketBatchSampler(lengths, 8, seed=seed))) for seed in seeds}
    assert len(orders) == len(seeds)
    for seed in (2**64, -(2**63) - 1, 0.5):
        with pytest.raises(ValueError, match=f"seed={seed} must be a whole number of at most 64 bits"):
            LengthBucketBatchSampler(lengths, 8, seed=seed)  # type: ignore[arg-type]


def test_lengths_of_any_kind_give_the_same_batches() -> None:
    numbers = [3, 9, 4, 8, 2, 7, 7, 1]
    kinds: list[Any] = [numbers, tuple(numbers), torch.tensor(numbers), [torch.tensor(n) for n in numbers]]
    dtypes = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
    kinds += [np.array(numbers, dtype=dtype) for dtype in dtypes]
    kinds.append(list(np.array(numbers)))
    kinds += [torch.tensor(numbers, dtype=dtype) for dtype in (torch.uint8, torch.int16, torch.uint16, torch.int32)]
    assert len({str(list(LengthBucketBatchSampler(kind, 3))) for kind in kinds}) == 1


def test_lengths_are_as_they_were_when_given() -> None:
    for lengths in (np.arange(1, 61), torch.arange(1, 61)):
        batches = LengthBucketBatchSampler(lengths, 8)
        before = list(batches)
        lengths[:30] = 0
        assert list(batches) == before


def test_iterators_are_their_own() -> None:
    """Two at once, one that is left in the middle, and one that another epoch overtakes."""
    lengths = torch.randint(1, 100, (60,))
    batches = LengthBucketBatchSampler(lengths, 8)
    whole = list(batches)
    for pair in zip(batches, batches, strict=True):
        assert pair[0] == pair[1]
    left, overtaken = iter(batches), iter(batches)
    assert next(left) == whole[0]
    assert list(batches) == whole
    batches.set_epoch(1)
    assert list(overtaken) == whole
    assert [*whole[:1], *left] == whole


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda batches: pickle.loads(pickle.dumps(batches))])
def test_a_copy_goes_on_and_is_its_own(twin: Any) -> None:
    batches = LengthBucketBatchSampler(torch.randint(1, 100, (60,)), 8, seed=3, drop_last=True, rank=None, world_size=2)
    batches.set_epoch(4, start=1)
    other = twin(batches)
    expected = list(batches)
    assert list(other) == expected
    other.set_epoch(5)
    assert list(batches) == expected != list(other)


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
    "flags": ({"lengths": [True, False]}, "lengths has dtype torch.bool"),
    "complex": ({"lengths": [1j, 2]}, "lengths has dtype torch.complex64"),
    "none": ({"lengths": []}, "0 samples, fewer than the 1 processes"),
    "no rank": ({"rank": -1, "world_size": 2}, "rank=-1 must be one of 2 processes, from 0, or None"),
    "few": ({"world_size": 4}, "3 samples, fewer than the 4 processes"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LengthBucketBatchSampler(**{"lengths": [3, 1, 2], "batch_size": 2} | arguments)


@pytest.mark.parametrize(
    "lengths", [iter([1, 2]), [[1], [1, 2]], ["a", "bc"], None, {1, 2}], ids=lambda each: type(each).__name__
)
def test_what_are_no_numbers_is_named(lengths: Any) -> None:
    with pytest.raises(TypeError, match=r"lengths is .* and must hold one whole number for each sample, as in"):
        LengthBucketBatchSampler(lengths, 2)


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
