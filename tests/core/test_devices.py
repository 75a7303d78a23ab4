"""Large results are what small ones are, and torch's default dtype and device change no draw."""

import errno
import mmap
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import mixmodal as mm
from mixmodal.core import devices as memory
from mixmodal.core.masks import fields
from tests.methods_table import TABLE, Method, over


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


class Labelled(Tensor):
    """A tensor with a name, which results take from the first argument."""

    name = ""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = super().__torch_function__(func, types, args, kwargs)
        if isinstance(found, cls) and args and isinstance(args[0], cls):
            found.name = args[0].name
        return found


@over(TABLE)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_a_subclass_keeps_what_it_holds_beside_values(
    method: Method, padded: bool, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LARGE", 1 if large else 2**25)
    x = torch.randn(4, 2, 5, 6).as_subclass(Labelled)
    x.name = "scan"
    mixed, mix = method.build("b c *")(x, **({"valid": torch.rand(4, 5, 6) > 0.3} if padded else {}))
    assert (type(mixed), mixed.name) == (Labelled, "scan")
    assert torch.equal(mixed.as_subclass(Tensor), mix(x.as_subclass(Tensor)))


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


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are Linux's")
@pytest.mark.parametrize("refused", ["the advice", "the mapping", "the name"])
def test_a_system_without_huge_pages_mixes_all_the_same(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel built without them answers EINVAL, one out of address space ENOMEM, and other systems have no name."""

    class Refusing(mmap.mmap):
        def __new__(cls, file: int, length: int, **options: int) -> "Refusing":
            if refused == "the mapping":
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return super().__new__(cls, file, length, **options)

        def madvise(self, *_: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(memory, "LARGE", 1)
    monkeypatch.setattr(memory.mmap, "mmap", Refusing)
    if refused == "the name":
        monkeypatch.delattr(memory.mmap, "MADV_HUGEPAGE")
    x = torch.rand(6, 3, 8, 8)
    mixed, mix = mm.CutMix()(x)
    assert torch.equal(mixed, torch.where(mix.mask[:, None] == 1, x, x[mix.index]))


# ---------------------------------------------------------------- torch's defaults


def drawn(mixer: Any, x: Tensor, **given: Any) -> list[Tensor]:
    """All that is drawn and mixed from one seed."""
    mixed, mix = mixer(x, generator=torch.Generator("cpu").manual_seed(3), **given)
    y = torch.arange(len(x), device="cpu")
    return [mixed, mix.mask, mix.lam, mix.index, mix.targets(y, num_classes=4), mix.loss(mixed.flatten(1), y)]


PUZZLE = [mm.PuzzleMix(), mm.PuzzleMix(solver="torch", transport="exact")]


@pytest.fixture
def default_dtype() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


@over(TABLE)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.usefixtures("default_dtype")
def test_a_draw_does_not_depend_on_the_default_dtype(method: Method, dtype: torch.dtype, padded: bool) -> None:
    """Nor does what is kept from it: the filter of a field is that of float32 draws that come after."""
    x = torch.randn(4, 2, 6, 7)
    given = {"valid": torch.rand(4, 6, 7) > 0.2} if padded else {}
    parts = [given, *([{**given, "lam": 0.3}] if method.asks else [])]
    fields._filter.cache_clear()
    torch.set_default_dtype(dtype)
    found = [drawn(method.build("b c *"), x, **each) for each in parts]
    torch.set_default_dtype(torch.float32)
    for each, of in zip(parts, found, strict=True):
        for got, expected in zip(of, drawn(method.build("b c *"), x, **each), strict=True):
            assert got.dtype == expected.dtype
            assert torch.equal(got, expected)


@pytest.mark.parametrize("mixer", PUZZLE, ids=["exact", "torch"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.usefixtures("default_dtype")
def test_puzzle_mix_does_not_depend_on_the_default_dtype(mixer: mm.PuzzleMix, dtype: torch.dtype) -> None:
    pytest.importorskip("scipy")
    x, saliency = torch.rand(4, 2, 8, 8), torch.rand(4, 8, 8)
    torch.set_default_dtype(dtype)
    found = drawn(mixer, x, saliency=saliency)
    torch.set_default_dtype(torch.float32)
    for got, expected in zip(found, drawn(mixer, x, saliency=saliency), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.usefixtures("default_dtype")
def test_points_do_not_depend_on_the_default_dtype() -> None:
    clouds, generator = torch.rand(4, 50, 3) * 2 - 1, torch.Generator()
    mixer = mm.OnPoints(mm.CutMix(), resolution=8)

    def made() -> list[Tensor]:
        voxels = mm.voxelize(clouds, 4)
        points = mm.devoxelize(voxels, 20, generator=generator.manual_seed(1))
        return [voxels, points, mixer(clouds, generator=generator.manual_seed(1))[0]]

    torch.set_default_dtype(torch.bfloat16)
    found = made()
    torch.set_default_dtype(torch.float32)
    for got, expected in zip(found, made(), strict=True):
        assert torch.equal(got, expected)


@over(TABLE)
@pytest.mark.parametrize("padded", [False, True])
def test_a_draw_does_not_depend_on_the_default_device(method: Method, padded: bool) -> None:
    x = torch.randn(4, 2, 6, 7)
    given = {"valid": torch.rand(4, 6, 7) > 0.2} if padded else {}
    with torch.device("meta"):
        found = drawn(method.build("b c *"), x, **given)
        global_too, mix = method.build("b c *")(x)
        page = mix._repr_html_()
    assert global_too.device == mix.mask.device == mix.lam.device == mix.index.device == torch.device("cpu")
    assert "<figure" in page
    for got, expected in zip(found, drawn(method.build("b c *"), x, **given), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("mixer", PUZZLE, ids=["exact", "torch"])
def test_puzzle_mix_does_not_depend_on_the_default_device(mixer: mm.PuzzleMix) -> None:
    pytest.importorskip("scipy")
    x, saliency = torch.rand(4, 2, 8, 8), torch.rand(4, 8, 8)
    with torch.device("meta"):
        found = drawn(mixer, x, saliency=saliency)
    for got, expected in zip(found, drawn(mixer, x, saliency=saliency), strict=True):
        assert torch.equal(got, expected)


def test_large_results_and_hidden_sites_do_not_depend_on_the_default_device(maps: list[int]) -> None:
    x = torch.rand(6, 3, 8, 8)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())
    with torch.device("meta"):
        mixed, mix = mm.CutMix()(x)
        assert len(maps) == 1
        preds, hidden = mm.HiddenMix(net, {net: mm.CutMix(), (net[0], "output"): mm.MixUp()})(x)
    assert torch.equal(mixed, torch.where(mix.mask[:, None] == 1, x, x[mix.index]))
    assert preds.device == hidden.lam.device == torch.device("cpu")
