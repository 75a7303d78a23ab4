"""Orders of samples that are drawn anew for every epoch."""

import copy
import pickle
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard

from recipes.data.loading import ShuffledBatches, shuffled_loader

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
