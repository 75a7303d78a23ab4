"""Large results lie in memory of their own, and are what small ones are."""

import mmap
import sys

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import mixmodal as mm
from mixmodal.core import devices as memory


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Everything is large; the sizes of the memory that is taken."""
    taken: list[int] = []

    class Counted(mmap.mmap):
        def __new__(cls, file: int, length: int, **options: int) -> "Counted":
            taken.append(length)
            return super().__new__(cls, file, length, **options)

    monkeypatch.setattr(memory, "LARGE", 1)
    monkeypatch.setattr(memory.mmap, "mmap", Counted)
    return taken


LAYOUTS = {
    "contiguous": torch.rand(6, 3, 4, 5),
    "channels last": torch.rand(6, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "transposed": torch.rand(6, 4, 3).transpose(1, 2),
    "expanded": torch.rand(1, 3, 4).expand(6, 3, 4),
    "double": torch.rand(6, 3, 4, dtype=torch.float64),
    "integers": torch.arange(6 * 5).view(6, 1, 5),
    "booleans": torch.rand(6, 1, 5) > 0.5,
}


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are Linux's")
@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_large_result_is_laid_out_as_any(x: Tensor, maps: list[int]) -> None:
    found, plain = memory.fresh_like(x), torch.empty_like(x)
    assert maps == [x.nbytes]
    assert (found.shape, found.dtype, found.stride()) == (plain.shape, plain.dtype, plain.stride())
    found.copy_(x)
    assert torch.equal(found, x)


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are Linux's")
@pytest.mark.parametrize("mixer", [mm.CutMix(), mm.MixUp()], ids=repr)
@pytest.mark.parametrize("long", [1, 2**16], ids=["sample by sample", "at once"])
def test_a_large_batch_is_mixed_as_a_small_one(
    mixer: mm.Mixer, long: int, maps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixmodal.core.records.blends.LONG", long)
    x = torch.rand(6, 3, 8, 8)
    mix = mixer.draw(x)
    mixed = mix(x)
    assert maps == [x.nbytes]
    own = mix.mask[:, None]
    torch.testing.assert_close(mixed, own * x + (1 - own) * x[mix.index])


def test_small_results_and_gradients_take_ordinary_memory(maps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(6, 3, 8, 8, requires_grad=True)
    mixed, _ = mm.CutMix()(x)
    mixed.sum().backward()
    assert maps == []
    monkeypatch.setattr(memory, "LARGE", x.nbytes + 1)
    mm.CutMix()(x.detach())
    assert maps == []


@pytest.mark.usefixtures("maps")
def test_workers_hand_over_large_batches() -> None:
    data = TensorDataset(torch.rand(8, 3, 4, 4), torch.arange(8) % 3)
    loader = DataLoader(data, batch_size=4, num_workers=1, collate_fn=mm.MixCollate(mm.CutMix(), num_classes=3))
    for x, y in loader:
        assert x.shape == (4, 3, 4, 4)
        torch.testing.assert_close(y.sum(1), torch.ones(4))
