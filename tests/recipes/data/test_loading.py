"""Orders of samples that are drawn anew for every epoch."""

import copy
import pickle
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard
from torch.utils.data import BatchSampler, DataLoader

from recipes.data.loading import Dealt, ShuffledBatches, dealt, shuffled_loader

SIZE, BATCH, EPOCHS = 103, 8, 3
WEIGHTS = torch.arange(1.0, SIZE + 1)


def epochs_of(**arguments: Any) -> list[list[list[int]]]:
    batches, found = ShuffledBatches(SIZE, BATCH, seed=5, **arguments), []
    for epoch in range(EPOCHS):
        batches.set_epoch(epoch)
        found.append(list(batches))
    return found


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_accelerate_sets_the_epoch(processes: int, weights: torch.Tensor | None) -> None:
    """Of shards too; together they hold the batches of the epoch, the last ones filled up."""
    expected = epochs_of(weights=weights)
    assert len({str(epoch) for epoch in expected}) == EPOCHS
    loaders = []
    for process in range(processes):
        batches: Any = ShuffledBatches(SIZE, BATCH, seed=5, weights=weights)
        dealt = BatchSamplerShard(batches, processes, process) if processes > 1 else batches
        loaders.append(DataLoaderShard(range(SIZE), batch_sampler=dealt, collate_fn=list))
    for epoch in range(EPOCHS):
        shares = [list(loader) for loader in loaders]
        dealt_out = [batch for turn in zip(*shares, strict=True) for batch in turn]
        assert dealt_out[:12] == expected[epoch][:12]
        assert dealt_out[12][:7] == expected[epoch][12]
        assert len(dealt_out) == len(loaders[0]) * processes


def test_an_order_is_one_permutation() -> None:
    for epoch in epochs_of():
        assert sorted(sample for batch in epoch for sample in batch) == list(range(SIZE))
        assert [len(batch) for batch in epoch] == [BATCH] * 12 + [7]


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda batches: pickle.loads(pickle.dumps(batches))])
def test_a_copy_goes_on_and_is_its_own(twin: Any) -> None:
    batches = ShuffledBatches(SIZE, BATCH, seed=5)
    batches.set_epoch(2)
    other = twin(batches)
    assert list(other) == list(batches) == epochs_of()[2]
    other.set_epoch(1)
    assert list(batches) == epochs_of()[2]


def test_a_loader_gives_the_samples_of_its_batches() -> None:
    x = torch.arange(SIZE) * 10
    loader = shuffled_loader(x, x + 1, batch_size=BATCH, seed=5)
    for (one, other), batch in zip(loader, epochs_of()[0], strict=True):
        assert one.tolist() == [10 * sample for sample in batch]
        assert torch.equal(other, one + 1)


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("size", [2, 4, 7])
def test_processes_share_every_number_of_samples(size: int, processes: int) -> None:
    """Each sample once; as many batches for each process, of two samples or more where there are so many."""
    for samples in range(processes, 5 * size * processes):
        batches = Dealt(BatchSampler(range(samples), size, drop_last=False), processes)
        found = list(batches)
        shares = [len(batch) for batch in found]
        assert [sample for batch in found for sample in batch] == [*range(samples)]
        assert len(batches) == len(found) == -(-samples // (size * processes)) * processes
        assert max(shares) <= size
        assert min(shares) >= (2 if size >= 4 and samples >= 2 * processes else 1)
        rounds = [shares[start : start + processes] for start in range(0, len(shares), processes)]
        assert all(max(each) - min(each) <= 1 for each in rounds)
        assert all(share == size for each in rounds[:-2] for share in each)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("processes", [2, 3])
def test_accelerate_deals_out_every_sample_once(processes: int, workers: int) -> None:
    """In the order of its epoch, which it sets as it does for one process."""
    expected = [[sample for batch in epoch for sample in batch] for epoch in epochs_of()]
    loaders = []
    for process in range(processes):
        batches = ShuffledBatches(SIZE, BATCH, seed=5)
        loader: Any = dealt(DataLoader(range(SIZE), batch_sampler=batches, collate_fn=list), processes)  # type: ignore[arg-type]
        sampler = BatchSamplerShard(loader.batch_sampler, processes, process)
        kept = {"collate_fn": loader.collate_fn, "num_workers": workers}
        loaders.append(DataLoaderShard(range(SIZE), batch_sampler=sampler, **kept))
    for epoch in range(EPOCHS if workers == 0 else 1):
        shares = [list(loader) for loader in loaders]
        assert {len(share) for share in shares} == {len(loaders[0])}
        assert [sample for turn in zip(*shares, strict=True) for batch in turn for sample in batch] == expected[epoch]


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="2 samples are fewer than the 3 processes: start fewer processes"):
        Dealt(BatchSampler(range(2), 4, drop_last=False), 3)
    with pytest.raises(ValueError, match=r"batch_size=1 with 5 samples does not give .*--batch-size to 2 or more"):
        Dealt(BatchSampler(range(5), 1, drop_last=False), 3)
    assert list(Dealt(BatchSampler(range(4), 1, drop_last=False), 2)) == [[0], [1], [2], [3]]


def test_a_loader_that_is_dealt_out_keeps_what_it_was_told() -> None:
    loader = DataLoader(range(9), batch_size=2, num_workers=1, prefetch_factor=3, timeout=7, collate_fn=list)  # type: ignore[arg-type]
    assert dealt(loader, 1) is loader
    other = dealt(loader, 2)
    assert (other.num_workers, other.prefetch_factor, other.timeout, other.collate_fn) == (1, 3, 7, list)


@pytest.mark.parametrize(
    "kind", [pytest.param("fork", marks=pytest.mark.forks), pytest.param("spawn", marks=pytest.mark.slow)]
)
def test_workers_give_the_batches_of_the_main_process(kind: str) -> None:
    plain = shuffled_loader(torch.arange(23), torch.arange(23) % 3, batch_size=4, seed=1)
    workers = DataLoader(
        plain.dataset,
        batch_sampler=plain.batch_sampler,
        collate_fn=plain.collate_fn,
        num_workers=2,
        multiprocessing_context=kind,
        persistent_workers=True,
    )
    for epoch in (0, 1):
        plain.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        expected = [[part.tolist() for part in batch] for batch in plain]
        assert [[part.tolist() for part in batch] for batch in workers] == expected
        assert sorted(number for batch in expected for number in batch[0]) == list(range(23))
