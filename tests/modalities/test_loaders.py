"""Mixing in a DataLoader: seeds, workers, epochs, label maps."""

import itertools
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

import mixmodal as mm

BATCH = 6


def class_number(i: int) -> int:
    return i % BATCH


class SampleNumbers(Dataset[tuple[Tensor, Any]]):
    """Every batch in order is the same: image k of it is 1 in channel k. Batches differ in nothing but the draw."""

    def __init__(self, length: int, label: Callable[[int], Any] = class_number) -> None:
        self.length, self.label = length, label

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[Tensor, Any]:
        return F.one_hot(torch.tensor(i % BATCH), BATCH).float().view(BATCH, 1, 1).expand(BATCH, 9, 8), self.label(i)


def label_map(i: int) -> Tensor:
    return torch.full((9, 8), i % BATCH)


def epochs(collate: mm.MixCollate, seed: int, *, workers: int, count: int = 2, batches: int = 4) -> list[list[Any]]:
    torch.manual_seed(seed)
    loader = DataLoader(
        SampleNumbers(BATCH * batches, label_map if collate.labels is None else class_number),
        batch_size=BATCH,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context="fork" if workers else None,
    )
    return [list(loader) for _ in range(count)]


@pytest.mark.parametrize("workers", [0, 2])
def test_draws_differ_between_batches_workers_and_epochs(workers: int) -> None:
    """8 batches of equal images: a worker or epoch that began with the seed of another would repeat its draw."""
    first, second = epochs(mm.MixCollate(mm.FMix(), num_classes=BATCH), 1, workers=workers)
    images = [x for x, _ in first + second]
    assert len(images) == 8
    for a in range(8):
        for b in range(a):
            assert not torch.equal(images[a], images[b])


@pytest.mark.parametrize("workers", [0, 2])
def test_draws_repeat_from_a_seed(workers: int) -> None:
    collate = mm.MixCollate(mm.CutMix(per_sample=True), num_classes=BATCH)
    runs = [epochs(collate, seed, workers=workers) for seed in (1, 1, 2)]
    flat = [[tensor for epoch in run for pair in epoch for tensor in pair] for run in runs]
    assert all(torch.equal(a, b) for a, b in zip(flat[0], flat[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(flat[0], flat[2], strict=True))


@pytest.mark.parametrize(
    "mixer",
    [
        mm.FMix(),
        mm.MixUp(per_sample=True),
        mm.CutMix(),
        mm.OneOf([mm.FMix(), mm.MixUp()]),
        mm.PatchUp(block_size=3, channels="shared"),
        mm.PatchUp(block_size=3, soft=False, channels="shared", per_sample=True),
    ],
)
def test_targets_are_the_shares_in_the_images(mixer: Any) -> None:
    """The mean of a mixed image by channel is its soft target; through a worker."""
    for x, y in epochs(mm.MixCollate(mixer, num_classes=BATCH), 1, workers=1, count=1)[0]:
        assert y.shape == (BATCH, BATCH)
        torch.testing.assert_close(x.mean((2, 3)), y, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "mixer",
    [
        mm.FMix(),
        mm.CutMix(per_sample=True),
        mm.PatchUp(block_size=3, soft=False, channels="shared"),
        mm.NoMix(),
    ],
    ids=str,
)
def test_label_maps_follow_the_draw_of_their_images(mixer: Any) -> None:
    changed = False
    for x, y in epochs(mm.MixCollate(mixer, inputs={0: None, 1: "b *"}, labels=None), 1, workers=2, count=1)[0]:
        assert y.dtype == torch.int64
        assert torch.equal(x.argmax(1), y)
        changed |= any((y[k] != k).any() for k in range(BATCH))
    assert changed == bool(mixer != mm.NoMix())


def test_label_maps_with_a_channel_axis_and_soft_ones() -> None:
    samples = [(torch.randn(3, 5, 4), torch.rand(2, 5, 4)) for _ in range(3)]
    torch.manual_seed(3)
    _, y = mm.MixCollate(mm.MixUp(), inputs={0: None, 1: "b k *"}, labels=None)(samples)
    torch.manual_seed(3)
    _, mix = mm.MixUp()(torch.stack([x for x, _ in samples]))
    soft = torch.stack([label for _, label in samples])
    lam = mix.lam.view(3, 1, 1, 1)
    torch.testing.assert_close(y, lam * soft + (1 - lam) * soft[mix.index])


def test_labels_that_are_soft_already() -> None:
    samples = [(torch.full((2, 4, 4), float(k)), F.one_hot(torch.tensor(k), 3).float()) for k in range(3)]
    x, y = mm.MixCollate(mm.CutMix())(samples)
    torch.testing.assert_close(x.mean((1, 2, 3)), y @ torch.arange(3.0))


def test_another_collation() -> None:
    def stack(samples: list[Any]) -> tuple[Tensor, Tensor]:
        return torch.stack([s["image"] for s in samples]), torch.tensor([s["label"] for s in samples])

    samples = [{"image": torch.full((1, 4, 4), float(k)), "label": k} for k in range(3)]
    x, y = mm.MixCollate(mm.FMix(), num_classes=3, collate=stack)(samples)
    torch.testing.assert_close(x.mean((1, 2, 3)), y @ torch.arange(3.0))


def test_a_collation_can_be_pickled() -> None:
    collate = mm.MixCollate(mm.OneOf([mm.FMix(alpha=0.2), mm.NoMix()]), num_classes=3)
    twin = pickle.loads(pickle.dumps(collate))
    assert twin == collate
    samples = [(torch.randn(3, 5, 4), k) for k in range(3)]
    torch.manual_seed(1)
    x, y = collate(samples)
    torch.manual_seed(1)
    for got, value in zip(twin(samples), (x, y), strict=True):
        assert torch.equal(got, value)


def test_alternate_takes_turns_in_a_loader() -> None:
    batches = epochs(mm.MixCollate(mm.Alternate([mm.NoMix(), mm.FMix()]), num_classes=BATCH), 1, workers=0, count=1)[0]
    plain = torch.eye(BATCH)
    assert [torch.equal(y, plain) for _, y in batches] == [True, False, True, False]


Settings = dict[str, Any]
many_workers = pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
WORKERS: dict[str, Settings] = {
    "none": {},
    **{
        f"{count} {method}{' persistent' if persistent else ''}": {
            "num_workers": count,
            "multiprocessing_context": method,
            "persistent_workers": persistent,
        }
        for method, count, persistent in [
            *(("fork", count, persistent) for count in (1, 4) for persistent in (False, True)),
            ("spawn", 2, True),
        ]
    },
}


def turns(mixer: mm.Draws, seed: int, *, batches: int, epochs: int, **settings: Any) -> list[list[bool]]:
    """By epoch and batch, whether it is mixed: of samples that only a partner of another kind can change."""
    torch.manual_seed(seed)
    loader = DataLoader(
        SampleNumbers(BATCH * batches), batch_size=BATCH, collate_fn=mm.MixCollate(mixer, num_classes=BATCH), **settings
    )
    return [[not torch.equal(y, torch.eye(BATCH)) for _, y in loader] for _ in range(epochs)]


def hybrid() -> mm.Alternate:
    return mm.Alternate([mm.NoMix(), mm.MixUp(alpha=50.0, per_sample=True)])  # a share near a half: always seen


@many_workers
@pytest.mark.parametrize("name", WORKERS)
def test_each_worker_takes_turns_and_a_seed_repeats_them(name: str) -> None:
    settings = WORKERS[name]
    count, persistent = max(settings.get("num_workers", 0), 1), settings.get("persistent_workers", not settings)
    found = turns(hybrid(), 3, batches=9, epochs=2, **settings)
    for worker in range(count):  # which has batches worker, worker + count, ... of each epoch
        own = [epoch[worker::count] for epoch in found]
        for stream in [[*itertools.chain(*own)]] if persistent else own:
            assert all(one != next_one for one, next_one in itertools.pairwise(stream))
    if settings.get("multiprocessing_context") != "spawn":  # which takes long to start
        assert turns(hybrid(), 3, batches=9, epochs=2, **settings) == found


@many_workers
@pytest.mark.parametrize(
    ("name", "nested"),
    [("none", True), ("1 fork", False), ("1 fork", True), ("4 fork", True), ("4 fork persistent", True)],
)
def test_every_mixer_has_its_share_in_short_epochs(name: str, nested: bool) -> None:
    """Twelve epochs of one batch: within a policy too, as whose inner turn must not go with the outer one."""
    plain, mixing = hybrid().mixers
    outer = mm.Alternate([mm.Alternate([mixing, plain]), mm.Alternate([plain, mixing])])
    found = turns(outer if nested else hybrid(), 1, batches=1, epochs=12, **WORKERS[name])
    assert 2 <= sum(itertools.chain(*found)) <= 10


@many_workers
def test_workers_begin_at_turns_of_their_own() -> None:
    """Six epochs of a batch for each of four workers: those of an epoch differ, and epochs differ."""
    found = turns(hybrid(), 1, batches=4, epochs=6, **WORKERS["4 fork"])
    assert any(len({*epoch}) == 2 for epoch in found)
    assert len({tuple(epoch) for epoch in found}) > 3


def test_workers_change_nothing_in_the_main_process() -> None:
    mixer = mm.OneOf([hybrid()])
    state = mixer.state_dict()
    turns(mixer, 1, batches=3, epochs=2, **WORKERS["1 fork"])
    assert mixer.state_dict() == state
    assert turns(mixer, 1, batches=3, epochs=2) == [[False, True, False], [True, False, True]]
    assert mixer.state_dict() == {"mixers.0": {"turn": 0}}


class Stream(IterableDataset[Tensor]):
    """Batches that are mixed where they are read."""

    def __init__(self, mixer: mm.Draws) -> None:
        self.mixer = mixer

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(4):
            x = torch.eye(BATCH)[:, :, None]
            yield torch.tensor(not torch.equal(self.mixer(x)[0], x))


def test_a_stream_takes_turns_where_it_is_read() -> None:
    torch.manual_seed(0)
    loader = DataLoader(Stream(hybrid()), batch_size=None, num_workers=2, multiprocessing_context="fork")
    epochs = [[bool(mixed) for mixed in loader] for _ in range(6)]
    for epoch in epochs:
        for worker in range(2):
            own = epoch[worker::2]
            assert own in ([False, True] * 2, [True, False] * 2)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize("size", [1, 2, 5])
def test_last_batches_of_any_size(size: int) -> None:
    x, y = mm.MixCollate(mm.FMix(), num_classes=3)([(torch.ones(3, 5, 4), 2)] * size)
    assert (x == 1).all()
    torch.testing.assert_close(y, torch.tensor([[0.0, 0.0, 1.0]] * size))


def test_samples_are_untouched() -> None:
    samples = [(torch.randn(3, 5, 4), k) for k in range(4)]
    before = [x.clone() for x, _ in samples]
    mm.MixCollate(mm.MixUp(), num_classes=4)(samples)
    assert all(torch.equal(x, b) for (x, _), b in zip(samples, before, strict=True))
