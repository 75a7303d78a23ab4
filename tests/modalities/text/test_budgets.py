"""Laws of batches within a number of tokens, and of the largest batch first."""

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler

from mixmodal.modalities.text.buckets import LengthBucketBatchSampler
from mixmodal.modalities.text.padding import PadCollate

Epoch = list[list[int]]


def log_normal(size: int, seed: int = 0) -> list[int]:
    """Lengths as texts have them, 1 to 400."""
    drawn = torch.empty(size).log_normal_(4, 0.7, generator=torch.Generator().manual_seed(seed))
    return (drawn.long() + 1).clamp(max=400).tolist()


def epochs_of(batches: LengthBucketBatchSampler, count: int = 3) -> list[Epoch]:
    found = []
    for epoch in range(count):
        batches.set_epoch(epoch)
        assert len(batches) == len(list(batches))
        found.append(list(batches))
    return found


def padded(lengths: list[int], batch: list[int]) -> int:
    """Tokens of a batch as `PadCollate` pads it."""
    samples = [([1] * lengths[sample], 0) for sample in batch]
    return PadCollate(0)(samples).ids.numel()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 40), min_size=4, max_size=90),
    st.integers(100, 300),
    st.none() | st.integers(2, 9),
    st.integers(1, 4),
    st.booleans(),
    st.integers(1, 4),
)
@example([40] * 7, 100, None, 3, True, 1)
@example([40, 1, 1, 1, 1], 100, 2, 4, True, 1)
def test_no_batch_has_more_tokens_and_every_sample_is_seen_once(
    lengths: list[int], max_tokens: int, batch_size: int | None, processes: int, shuffle: bool, chunk: int
) -> None:
    """In each process, all of which have as many batches, in every epoch as many."""
    limits: dict[str, Any] = {"batch_size": batch_size, "max_tokens": max_tokens, "chunk": chunk, "shuffle": shuffle}
    shares = [
        epochs_of(LengthBucketBatchSampler(lengths, rank=rank, world_size=processes, **limits))
        for rank in range(processes)
    ]
    assert len({len(epoch) for share in shares for epoch in share}) == 1
    for epoch in zip(*shares, strict=True):
        assert sorted(sample for share in epoch for batch in share for sample in batch) == list(range(len(lengths)))
        for batch in (batch for share in epoch for batch in share):
            assert 0 < len(batch) <= (batch_size or len(lengths))
            assert padded(lengths, batch) <= max_tokens
    together = LengthBucketBatchSampler(lengths, rank=None, world_size=processes, **limits)
    dealt = [[batch for turn in zip(*epoch, strict=True) for batch in turn] for epoch in zip(*shares, strict=True)]
    assert epochs_of(together) == dealt
    assert together.batch_size is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 100), min_size=4, max_size=40), st.integers(2, 4))
def test_long_samples_are_shared_out_or_refused(lengths: list[int], processes: int) -> None:
    """Of samples that may fill a batch alone; it is refused only if some are left over."""
    refused, shares, whole = "", [], {"batch_size": None, "max_tokens": 100, "world_size": processes}
    try:
        shares = [list(LengthBucketBatchSampler(lengths, rank=rank, **whole)) for rank in range(processes)]
    except ValueError as error:
        refused = str(error)
    if refused:
        assert "which must have the same number of batches" in refused
        assert len(lengths) % processes > 0
        assert max(lengths) > 50 * 8 / 9
        return
    assert len({len(share) for share in shares}) == 1
    assert sorted(sample for share in shares for batch in share for sample in batch) == list(range(len(lengths)))
    assert all(padded(lengths, batch) <= 100 for share in shares for batch in share)


def test_samples_of_a_whole_batch_each_must_come_out_even() -> None:
    with pytest.raises(ValueError, match=r"max_tokens=9 leaves 1 of 7 samples for 2 processes.*so many samples out"):
        LengthBucketBatchSampler([9] * 7, None, max_tokens=9, world_size=2)
    assert len(LengthBucketBatchSampler([9] * 8, None, max_tokens=9, world_size=2)) == 4


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(40, 200), st.integers(1, 9))
def test_batches_are_filled_one_after_the_other(lengths: list[int], max_tokens: int, batch_size: int) -> None:
    """By hand: without shuffling, in one chunk, from the longest sample to the shortest."""
    expected: Epoch = []
    for sample in sorted(range(len(lengths)), key=lambda sample: -lengths[sample]):
        last = expected[-1] if expected else []
        if last and len(last) < batch_size and (len(last) + 1) * lengths[last[0]] <= max_tokens:
            last.append(sample)
        else:
            expected.append([sample])
    batches = LengthBucketBatchSampler(lengths, batch_size, max_tokens=max_tokens, shuffle=False, chunk=10_000)
    assert list(batches) == expected


def test_little_is_padded_and_batches_are_full() -> None:
    """2,000 log-normal lengths: no more than 15 % over the fewest batches that could hold them."""
    lengths = log_normal(2000)
    for epoch in epochs_of(LengthBucketBatchSampler(lengths, None, max_tokens=4096)):
        assert len(epoch) <= 1.15 * sum(lengths) / 4096
        assert sum(padded(lengths, batch) for batch in epoch) <= 1.1 * sum(lengths)
        for batch in epoch:
            assert [lengths[sample] for sample in batch] == sorted((lengths[sample] for sample in batch), reverse=True)


def test_samples_meet_others_in_every_epoch() -> None:
    """Those together in one epoch are not in the next: at most a tenth of the pairs, though lengths are alike."""
    first, second, _ = (
        {frozenset(pair) for batch in epoch for pair in itertools.pairwise(batch)}
        for epoch in epochs_of(LengthBucketBatchSampler(log_normal(2000), None, max_tokens=2048))
    )
    assert len(first & second) < len(first) / 10


def test_the_order_of_batches_says_nothing_of_their_length() -> None:
    """Mean place of the longest sample over 400 epochs of 10 batches: 4.5 within 4 standard errors."""
    batches = LengthBucketBatchSampler(range(30, 60), None, max_tokens=190)
    count, places = len(batches), []
    for epoch in range(400):
        batches.set_epoch(epoch)
        places.append(next(place for place, batch in enumerate(batches) if 29 in batch))
    deviation = ((count**2 - 1) / 12) ** 0.5
    assert abs(sum(places) / 400 - (count - 1) / 2) < 4 * deviation / 400**0.5


def test_epochs_and_seeds_have_orders_of_their_own_and_repeat() -> None:
    lengths = log_normal(300)
    first = epochs_of(LengthBucketBatchSampler(lengths, None, max_tokens=1000, seed=3))
    assert first == epochs_of(LengthBucketBatchSampler(lengths, None, max_tokens=1000, seed=3))
    assert (
        len({str(epoch) for epoch in first + epochs_of(LengthBucketBatchSampler(lengths, None, max_tokens=1000))}) == 6
    )


@pytest.mark.parametrize(
    "limits", [{"batch_size": 8}, {"batch_size": None, "max_tokens": 500}, {"max_tokens": 500, "batch_size": 8}]
)
@pytest.mark.parametrize("rank", [0, 1, None])
def test_an_epoch_goes_on_where_it_was_left(limits: dict[str, int], rank: int | None) -> None:
    """In any process, also after a copy, and with the largest batch first."""
    for largest_first in (False, True):
        batches = LengthBucketBatchSampler(
            log_normal(301), rank=rank, world_size=2, largest_first=largest_first, **limits
        )
        batches.set_epoch(5)
        whole, each = list(batches), 2 if rank is None else 1
        for resumed in (batches, copy.deepcopy(batches), pickle.loads(pickle.dumps(batches))):
            resumed.set_epoch(5, start=7)
            assert list(resumed) == whole[7 * each :]
            assert len(resumed) == len(whole) - 7 * each
            most = len(whole) // each
            resumed.set_epoch(5, start=most)
            assert list(resumed) == []
            with pytest.raises(ValueError, match=f"start={most + 1} must be at most {most}"):
                resumed.set_epoch(5, start=most + 1)


# ---------------------------------------------------------------- the largest batch first


@pytest.mark.parametrize(
    "limits", [{"batch_size": 8}, {"batch_size": None, "max_tokens": 500}, {"max_tokens": 500, "batch_size": 8}]
)
@pytest.mark.parametrize("processes", [1, 3])
def test_the_largest_batch_comes_first_and_the_others_stay_in_order(limits: dict[str, int], processes: int) -> None:
    lengths = log_normal(301)
    for rank in range(processes):
        settings: dict[str, Any] = {"rank": rank, "world_size": processes, "chunk": 3, **limits}
        plain = epochs_of(LengthBucketBatchSampler(lengths, **settings))
        for epoch, found in enumerate(epochs_of(LengthBucketBatchSampler(lengths, largest_first=True, **settings))):
            assert sorted(found) == sorted(plain[epoch])
            assert [batch for batch in plain[epoch] if batch != found[0]] == found[1:]
            if rank == 0:  # which has the longest sample of each turn
                sizes = [padded(lengths, batch) for batch in found]
                assert sizes[0] == max(sizes[:-1] if "max_tokens" not in limits else sizes)
                ties = [lengths[batch[0]] for batch, size in zip(found, sizes, strict=True) if size == sizes[0]]
                assert lengths[found[0][0]] == max(ties)


def test_a_small_batch_stays_last_where_all_others_are_whole() -> None:
    """What deals batches out by itself counts on it, though the longest sample is in it."""
    lengths = [1] * 8 + [1000]
    batches = LengthBucketBatchSampler(lengths, 4, chunk=1, shuffle=False, largest_first=True)
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert list(LengthBucketBatchSampler(range(3), 4, largest_first=True, shuffle=False)) == [[2, 1, 0]]


# ---------------------------------------------------------------- frameworks


@pytest.mark.parametrize("processes", [2, 3])
def test_accelerate_deals_out_every_sample_once(processes: int) -> None:
    lengths, shares = log_normal(103), []
    for process in range(processes):
        whole = LengthBucketBatchSampler(
            lengths, None, max_tokens=700, rank=None, world_size=processes, largest_first=True
        )
        dealt = BatchSamplerShard(whole, processes, process)
        loader = DataLoaderShard(range(103), batch_sampler=dealt, collate_fn=list)
        assert len(loader) == len(list(dealt))
        shares.append([list(loader) for _ in range(3)])
        own = LengthBucketBatchSampler(
            lengths, None, max_tokens=700, rank=process, world_size=processes, largest_first=True
        )
        assert shares[-1] == epochs_of(own)
    for epoch in zip(*shares, strict=True):
        assert sorted(sample for share in epoch for batch in share for sample in batch) == list(range(103))


def test_lightning_makes_the_batches_anew_with_every_setting() -> None:
    lengths = log_normal(103)
    limits: dict[str, Any] = {"max_tokens": 700, "batch_size": 9, "largest_first": True, "chunk": 2, "seed": 9}
    saved = vars(LengthBucketBatchSampler(lengths, **limits))["__pl_saved_kwargs"]
    for process in range(2):
        share = DistributedSampler(range(103), num_replicas=2, rank=process)  # type: ignore[arg-type]
        share.set_epoch(2)
        anew = LengthBucketBatchSampler(**saved | {"sampler": share})
        assert list(anew) == epochs_of(LengthBucketBatchSampler(lengths, rank=process, world_size=2, **limits))[2]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({}, "batch_size=None and max_tokens=None: nothing limits a batch"),
    "no tokens": ({"max_tokens": 0}, "max_tokens=0 must be a whole number, 1 or more"),
    "half a token": ({"max_tokens": 0.5}, "max_tokens=0.5 must be a whole number, 1 or more"),
    "no samples": ({"max_tokens": 9, "batch_size": 0}, "batch_size=0 must be a whole number, 1 or more"),
    "maybe": ({"max_tokens": 9, "drop_last": None}, "drop_last=None must be True or False"),
    "long": ({"max_tokens": 8}, "max_tokens=8 must be at least 9, the length of sample 1; or cut texts to it"),
    "dropped": ({"max_tokens": 9, "drop_last": True}, "drop_last=True with max_tokens=9: batches differ in size"),
    "few": ({"max_tokens": 9, "world_size": 4}, "3 samples, fewer than the 4 processes"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LengthBucketBatchSampler(**{"lengths": [3, 9, 2], "batch_size": None} | arguments)


def test_an_empty_text_counts_as_one_token() -> None:
    """As it does where it is padded."""
    assert sorted(map(len, LengthBucketBatchSampler([0] * 10, None, max_tokens=4))) == [2, 4, 4]


@settings(deadline=None)
@given(st.integers(9, 10**6))
def test_lengths_count_as_less_than_an_eighth_longer(length: int) -> None:
    batches = LengthBucketBatchSampler([length] * 4, None, max_tokens=-(-length * 9 // 8) * 2)
    assert [len(batch) for batch in batches] == [2, 2]
