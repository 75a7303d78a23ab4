"""Samples that are read where they are needed: chosen like tensors, the same in any number of workers and processes."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recipes.data.disk.lazy import Lazy, draw_of, held, parts, read
from recipes.data.loading import MOST_WORKERS, dealt, ordered_loader, shuffled_loader, workers_for

SIZE = 41


@dataclass
class Counted:
    """Sample n is (n, n's draw or 0), and what was read is noted."""

    decodes: bool = True
    seen: list[int] = field(default_factory=list)

    def __call__(self, numbers: Sequence[int], draws: Sequence[int] | None) -> Tensor:
        self.seen += numbers
        return torch.tensor([*zip(numbers, draws or [0] * len(numbers), strict=True)])


def counted(size: int = SIZE, **given: Any) -> Lazy:
    return Lazy(Counted(), torch.arange(size), (2,), torch.int64, **given)


@pytest.mark.parametrize(
    "which", [slice(3, 9), torch.tensor([5, 0, 5]), torch.arange(SIZE) % 3 == 0, torch.tensor([], dtype=torch.int64)]
)
def test_choosing_is_a_tensors_and_reads_nothing(which: Any) -> None:
    lazy, tensor = counted(), counted().read()
    chosen = lazy[which]
    assert lazy.reader.seen == []
    assert (chosen.shape, chosen.ndim, len(chosen)) == (tensor[which].shape, 2, len(tensor[which]))
    assert torch.equal(chosen.read(), tensor[which])
    assert torch.equal(chosen[:2].read(), tensor[which][:2])
    assert lazy.reader.seen == [*tensor[which][:, 0].tolist(), *tensor[which][:2, 0].tolist()]


def test_zeros_come_after_the_others_and_are_not_read() -> None:
    lazy = replace(counted(3), random=True).with_zeros(2)
    assert read(lazy, [5, 6, 7, 8, 9]).tolist() == [[0, 5], [1, 6], [2, 7], [0, 0], [0, 0]]
    assert lazy[torch.tensor([4, 1])].read([8, 9]).tolist() == [[0, 0], [1, 9]]
    assert lazy[3:].read().tolist() == [[0, 0], [0, 0]]


def test_all_are_gone_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.data.disk.lazy.AT_ONCE", 5 * 16)
    assert [len(part) for part in parts(counted())] == [5] * 8 + [1]
    assert torch.equal(torch.cat([*parts(counted())]), counted().read())
    assert torch.equal(held(counted(), "reading"), counted().read())
    tensor = torch.zeros(3)
    assert next(parts(tensor)) is tensor is read(tensor)


def epochs(loader: Any, count: int = 2) -> list[list[Tensor]]:
    found = []
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)
        found.append([batch[0] for batch in loader])
    return found


def test_draws_follow_from_seed_epoch_and_number_alone() -> None:
    y = torch.arange(SIZE)
    loader = shuffled_loader(counted(random=True), y, batch_size=8, seed=3, workers=0)
    plain = shuffled_loader(torch.arange(SIZE), y, batch_size=8, seed=3)
    for epoch, (batches, same) in enumerate(zip(epochs(loader), epochs(plain), strict=True)):
        assert torch.equal(torch.cat(batches)[:, 0], torch.cat(same))
        for number, draw in torch.cat(batches).tolist():
            assert draw == draw_of(3, epoch, number)
    both = torch.cat([torch.cat(batches)[:, 1] for batches in epochs(loader)])
    assert len(both.unique()) == 2 * SIZE


def test_nothing_is_drawn_where_nothing_is_random() -> None:
    y = torch.arange(SIZE)
    assert not counted().read(range(1, SIZE + 1))[:, 1].any()
    for loader in (
        shuffled_loader(counted(), y, batch_size=8, seed=3, workers=0),
        ordered_loader(counted(random=True), y, batch_size=8, workers=0),
    ):
        assert not any(batch[0][:, 1].any() for batch in loader)


@pytest.mark.forks
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_change_nothing_nor_the_generator(start: str) -> None:
    y = torch.arange(SIZE)
    found = []
    for workers in (0, 2):
        torch.manual_seed(5)
        loader = shuffled_loader(counted(random=True), y, batch_size=8, seed=3, workers=workers)
        if workers:
            loader.multiprocessing_context = start
        found.append((torch.cat([torch.cat(batches) for batches in epochs(loader)]), torch.rand(3)))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_samples_and_their_draws(processes: int) -> None:
    """What accelerate deals out: every process takes its turn of the batches."""
    single = shuffled_loader(counted(random=True), batch_size=4, seed=3, workers=0)
    shared = dealt(single, processes)
    for one, all_of in zip(epochs(single), epochs_of(shared), strict=True):
        shares = [torch.cat(all_of[process::processes]) for process in range(processes)]
        assert sorted(torch.cat(shares).tolist()) == sorted(torch.cat(one).tolist())
        assert len(torch.cat(shares)[:, 0].unique()) == SIZE


def epochs_of(loader: Any, count: int = 2) -> list[list[Tensor]]:
    found = []
    for epoch in range(count):
        loader.batch_sampler.sampler.set_epoch(epoch)
        found.append([batch[0] for batch in loader])
    return found


def test_a_copy_reads_the_same() -> None:
    twin = pickle.loads(pickle.dumps(counted(random=True)))
    assert torch.equal(twin.read([1] * SIZE), counted(random=True).read([1] * SIZE))


def test_workers_are_as_many_as_are_asked_for_or_one_a_core_where_files_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(6), raising=False)
    quick = Lazy(Counted(decodes=False), torch.arange(3), (2,), torch.int64)
    assert workers_for([counted()], None) == 6
    assert workers_for([quick, torch.zeros(3)], None) == 0
    assert (workers_for([quick], 3), workers_for([counted()], 0)) == (3, 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert workers_for([counted()], None) == 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(600))
    assert workers_for([counted()], None) == MOST_WORKERS
