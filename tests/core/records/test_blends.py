"""What is blended and chosen: nothing of a side that is not there, in the memory order and the dtype of the input."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import mixmodal as mm
from tests.methods_table import PARTNERED, TABLE, Method, over, roll

ROLLED = torch.tensor([1, 0])
SOFT = {
    "uniform": torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(2, 4, 8),
    "ramp": torch.linspace(-0.5, 1.5, 32).clamp(0, 1).view(1, 4, 8),
    "by sample": torch.stack([torch.linspace(-1, 1, 32).clamp(min=0), torch.ones(32)]).view(2, 4, 8),
}
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]


def record(mask: Tensor, **more: Any) -> mm.Mix:
    return mm.Mix(index=ROLLED, mask=mask, lam=mask.flatten(1).mean(1).expand(2), **more)


def spoilt(value: float, dtype: torch.dtype = torch.float32, width: int = 1) -> Tensor:
    """Two samples of (3, 4, 8 · width): ones, and one that is `value` everywhere."""
    return torch.stack([torch.ones(3, 4, 8 * width), torch.full((3, 4, 8 * width), value)]).to(dtype)


def by_hand(mask: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """Cell by cell on Python's numbers; a side with the share 0 is not looked at."""
    mask, rows = mask.expand(x.shape), []
    for m, a, b in zip(mask.flatten().tolist(), x.flatten().tolist(), other.flatten().tolist(), strict=True):
        rows.append(a if m == 1 else b if m == 0 else m * a + (1 - m) * b)
    return torch.tensor(rows, dtype=x.dtype).view(x.shape)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


HOW: dict[str, Callable[[mm.Mix, Tensor], Tensor]] = {
    "new": lambda mix, x: mix(x),
    "out=": lambda mix, x: mix(x, out=torch.empty_like(x)),
    "tracked": lambda mix, x: mix(x.clone().requires_grad_()).detach(),
    "vmap": lambda mix, x: torch.func.vmap(mix)(x[None])[0],
    "compiled": lambda mix, x: compiled(mix)(x),
}


@pytest.mark.parametrize("mask", SOFT.values(), ids=SOFT.keys())
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("long", [1, 2**16], ids=["sample by sample", "at once"])
def test_a_side_that_is_not_there_is_not_seen(
    mask: Tensor, how: str, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the own share is 1 a partner's inf or NaN is not seen, where it is 0 an own one is not."""
    monkeypatch.setattr("mixmodal.core.records.blends.LONG", long)
    mix, ends = record(mask), ((mask == 0) | (mask == 1))[:, None].expand(2, 3, 4, 8)
    for dtype in (torch.bfloat16, torch.complex64) if how == "compiled" else DTYPES:
        for value in (math.nan,) if how == "compiled" else (math.nan, math.inf, -math.inf):
            x = spoilt(value, dtype)
            mixed, expected = HOW[how](mix, x), by_hand(mask[:, None], x, x[ROLLED])
            torch.testing.assert_close(mixed[ends], expected[ends], rtol=0, atol=0, equal_nan=True)
            assert torch.equal(mixed.isfinite(), expected.isfinite())


@pytest.mark.parametrize("mask", SOFT.values(), ids=SOFT.keys())
@pytest.mark.parametrize(("upstream", "eager"), [(math.nan, True), (math.inf, True), (1.0, True), (math.nan, False)])
def test_derivatives_do_not_reach_a_side_that_is_not_there(mask: Tensor, upstream: float, eager: bool) -> None:
    """The derivative of sample 0 of the result is `upstream` everywhere; what it took nothing of gets 0."""
    x = spoilt(math.inf).requires_grad_()
    mix = record(mask)
    mixed = (mix if eager else compiled(mix))(x)
    gradient = torch.zeros_like(x)
    gradient[0] = upstream
    own, partner = torch.autograd.grad(mixed, x, gradient)[0]
    share = mask[0].expand(3, 4, 8)
    torch.testing.assert_close(own, torch.where(share == 0, 0, share * upstream), equal_nan=True)
    torch.testing.assert_close(partner, torch.where(share == 1, 0, (1 - share) * upstream), equal_nan=True)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own, in forward mode
@pytest.mark.parametrize("mask", SOFT.values(), ids=SOFT.keys())
def test_derivatives_are_those_of_differences(mask: Tensor) -> None:
    """First and second, backward and forward, with a partner that several samples have."""
    mix = mm.Mix(index=torch.tensor([1, 1]), mask=mask, lam=torch.ones(2))
    x = torch.randn(2, 1, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mix, (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(mix, (x,))


@over(PARTNERED)
def test_junk_in_padding_and_beyond_is_not_seen(method: Method) -> None:
    """Sample 1 is NaN throughout: of sample 0 only what took from it is, which the record says."""
    x = torch.stack([torch.ones(2, 6, 6), torch.full((2, 6, 6), math.nan)])
    valid = torch.ones(2, 6, 6, dtype=torch.bool)
    valid[:, 4:] = False
    x[:, :, 4:] = math.nan
    for _ in range(5):
        mixed, mix = method.build("b c *")(x.requires_grad_(), valid=valid, index=ROLLED)
        own = mix.mask[:1] if method.letters else mix.mask[:1, None]
        clean = (own == 1).expand(1, 2, 6, 6)[0]
        assert (mixed[0, :, :4][clean[:, :4]] == 1).all()
        assert (mixed[:, :, 4:] == 0).all()
        gradient = torch.autograd.grad(mixed[0][clean].sum(), x)[0]
        assert gradient.isfinite().all()
        assert (gradient[1] == 0).all()


def test_cells_that_move_show_nothing_of_a_side_that_is_not_there() -> None:
    """Three labels, as Puzzle Mix draws them, and cells of the own side that come from elsewhere or from nowhere."""
    mask = torch.tensor([1.0, 0.5, 0.0]).repeat(11)[:32].view(1, 4, 8).expand(2, 4, 8)
    own, other = torch.arange(32).roll(3).view(1, 4, 8).repeat(2, 1, 1), torch.arange(32).view(1, 4, 8).repeat(2, 1, 1)
    own[:, 0, 0] = -1
    mixed = record(mask, moves=(own, other))(spoilt(math.inf))
    whole = mask == 1
    assert (mixed[0][:, whole[0] & (own[0] >= 0)] == 1).all()
    assert (mixed[0, :, 0, 0] == 0).all()
    assert (mixed[1][:, mask[1] == 0] == 1).all()


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_targets_and_losses_do_not_see_a_side_with_no_share(lam: float) -> None:
    mix = mm.MixUp().draw(torch.empty(2, 1), index=ROLLED, lam=lam)
    y = torch.tensor([[1.0, 2.0], [math.nan, math.inf]])
    torch.testing.assert_close(mix.targets(y), y if lam == 1 else y[ROLLED], equal_nan=True)
    preds = torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])  # class 1 is impossible: a loss of infinity
    found = mix.loss(preds, torch.tensor([0, 1]), reduction="none")
    assert found.tolist() == ([0.0, math.inf] if lam == 1 else [math.inf, 0.0])


# ---------------------------------------------------------------- memory order

ORDERS: dict[str, Callable[[], Tensor]] = {
    "contiguous": lambda: torch.randn(4, 3, 6, 5),
    "channels last": lambda: torch.randn(4, 3, 6, 5).contiguous(memory_format=torch.channels_last),
    "channels last in three dimensions": lambda: torch.randn(4, 3, 2, 6, 5).contiguous(
        memory_format=torch.channels_last_3d
    ),
    "turned round": lambda: torch.randn(5, 6, 3, 4).permute(3, 2, 1, 0),
    "the batch within": lambda: torch.randn(3, 4, 6, 5).transpose(0, 1),
    "with holes": lambda: torch.randn(4, 3, 6, 10)[..., ::2],
    "expanded": lambda: torch.randn(1, 3, 1, 5).expand(4, 3, 6, 5),
    "one channel": lambda: torch.randn(4, 1, 6, 5).contiguous(memory_format=torch.channels_last),
}


@over(TABLE)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("tracked", [False, True])
def test_the_memory_order_is_that_of_the_input(method: Method, padded: bool, tracked: bool) -> None:
    for make, dtype in itertools.product(ORDERS.values(), (torch.float32, torch.bfloat16)):
        x = make().to(dtype).requires_grad_(tracked)
        valid = {"valid": torch.rand(4, *x.shape[2:]) > 0.1} if padded else {}
        mixed, mix = method.build("b c *")(x, **valid)
        wanted = x.stride() if mixed is x else torch.empty_like(x).stride()
        assert mixed.stride() == wanted
        assert torch.equal(mixed, mix(x.detach().clone(memory_format=torch.contiguous_format)))


@over([method for method in TABLE if method.name in ("MixUp", "FMix-soft", "CutMix", "PatchUp", "Cutout", "DropBlock")])
def test_the_memory_order_is_that_of_the_input_in_compiled_code(method: Method) -> None:
    mixer = method.build("b c *")
    function = compiled(lambda x: mixer(x)[0])
    for make in (ORDERS["channels last"], ORDERS["turned round"]):
        x = make()
        assert function(x).stride() == x.stride()


def test_the_memory_order_is_kept_where_cells_move() -> None:
    x = ORDERS["channels last"]()
    mixed, mix = mm.PuzzleMix(blocks=(2,))(x, saliency=torch.rand(4, 6, 5))
    assert mix.moves is not None
    assert mixed.stride() == x.stride()


# ---------------------------------------------------------------- without a partner


WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@pytest.mark.parametrize("dtype", [each for each in DTYPES if not each.is_complex] + [torch.float8_e5m2], ids=str)
@pytest.mark.parametrize("per_sample", [False, True])
def test_cleared_cells_are_zero_and_others_keep_their_bits(dtype: torch.dtype, per_sample: bool) -> None:
    """A zero without a sign, and whatever is not a number stays as it is; also in a buffer and with a derivative."""
    word = WORDS[dtype.itemsize]
    x = torch.randint(256, (4, 3, 6, 5 * dtype.itemsize), dtype=torch.uint8).view(dtype)
    before, buffer = x.clone(), torch.full_like(x, 1)
    mix = mm.Cutout(size=3, per_sample=per_sample).draw(x)
    expected = torch.where(mix.mask[:, None].bool(), x.view(word), 0)
    assert mix(x, out=buffer) is buffer
    found = [mix(x), buffer] + [mix(x.clone().requires_grad_()).detach()] * (dtype.itemsize > 1)
    assert all(torch.equal(each.view(word), expected) for each in found)
    assert torch.equal(x.view(word), before.view(word))


# ---------------------------------------------------------------- dtypes, and tensors that stand for others


@over(TABLE)
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize("padded", [False, True])
def test_floats_of_eight_bits_are_blended_as_wider_ones(method: Method, dtype: torch.dtype, padded: bool) -> None:
    x = torch.randn(4, 3, 6, 5).to(dtype)
    given = {"valid": torch.rand(4, 6, 5) > 0.3} if padded else {}
    mixed, mix = method.build("b c *")(x, **given)
    assert mixed.dtype == dtype
    assert torch.equal(mixed.float(), mix(x.float()).to(dtype).float())
    assert torch.equal(mix(x, out=torch.empty_like(x)).float(), mixed.float())


@over(TABLE)
def test_vmap_mixes_a_batch_of_batches_by_one_record(method: Method) -> None:
    mix = method.build("b c *").draw(torch.empty(4, 3, 6, 5))
    x = torch.randn(3, 4, 3, 6, 5)
    expected = torch.stack([mix(each) for each in x])
    torch.testing.assert_close(torch.func.vmap(mix)(x), expected)
    inner = torch.func.vmap(mix, in_dims=2, out_dims=2)(x.movedim(0, 2))
    torch.testing.assert_close(inner, expected.movedim(0, 2))
    if method.hard:
        whole = (x * 100).long()
        assert torch.equal(torch.func.vmap(mix)(whole), torch.stack([mix(each) for each in whole]))


@over([method for method in TABLE if method.compiles])
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_draws_one_record_or_one_for_each(method: Method, randomness: str) -> None:
    """Ones stay ones, and what a sample becomes is between what it was and zero, in eight batches."""
    mixer, x = method.build("b c *"), torch.eye(4).view(4, 4, 1, 1).expand(8, 4, 4, 6, 9)
    mixed = torch.func.vmap(lambda x: mixer(x)[0], randomness=randomness)(x)
    assert mixed.shape == x.shape
    if method.partner and not method.letters:
        torch.testing.assert_close(mixed.sum(2), torch.ones(8, 4, 6, 9))
    if method.name != "NoMix":
        assert all(torch.equal(mixed[0], each) for each in mixed) == (randomness == "same")


def test_out_inside_vmap_says_what_to_do() -> None:
    mix, x = mm.MixUp().draw(torch.empty(4, 3)), torch.randn(2, 4, 3)
    with pytest.raises(ValueError, match=r"out= cannot be used inside torch\.func\.vmap.*leave it out"):
        torch.func.vmap(lambda x: mix(x, out=torch.empty_like(x)))(x)


@over([method for method in TABLE if method.compiles])
def test_fake_tensors_are_mixed(method: Method) -> None:
    """Nothing is read, nor told to overlap: a fake tensor has no address."""
    mixer = method.build("b c *")
    with FakeTensorMode():
        x, y, valid = torch.randn(4, 3, 6, 5), torch.zeros(4, dtype=torch.long), torch.rand(4, 6, 5) > 0.2
        for given in ({}, {"valid": valid}, method.ask(torch.rand(4)), {"out": torch.empty_like(x)}):
            mixed, mix = mixer(x, **given)
            assert isinstance(mixed, FakeTensor)
            assert mixed.shape == x.shape
            assert mix.targets(y, num_classes=3).shape == (4, 3)
            assert repr(mix).startswith("Mix(index=(4,) on cpu")
            assert mix._repr_html_().startswith("<code>Mix(")


@over(TABLE)
def test_a_buffer_of_the_meta_device_takes_a_mix(method: Method) -> None:
    x = torch.empty(4, 3, 6, 5, device="meta")
    mix = method.build("b c *").draw(torch.empty(4, 3, 6, 5)).to("meta")
    out = torch.empty_like(x)
    assert mix(x, out=out) is out
    with pytest.raises(ValueError, match="out shares memory with x"):
        mix(x, out=x)
    both = torch.empty(8, 3, 6, 5, device="meta")
    assert mix(both[:4], out=both[4:]).shape == x.shape
    with pytest.raises(ValueError, match="out shares memory with x"):
        mix(both[:4], out=both[3:7])


@over(TABLE)
def test_an_empty_batch_with_padding_is_mixed(method: Method) -> None:
    mixed, mix = method.build("b c *")(torch.empty(0, 2, 5, 4), valid=torch.empty(0, 5, 4, dtype=torch.bool))
    assert mixed.shape == (0, 2, 5, 4)
    assert mix.lam.shape == (0,)


@over(TABLE)
def test_inference_mode_and_tensors_of_it(method: Method) -> None:
    mixer = method.build("b c *")
    with torch.inference_mode():
        x = torch.randn(4, 3, 6, 5)
        mixed, mix = mixer(x)
    assert torch.equal(mix(x), mixed)
    assert torch.equal(mix(x.clone()), mixed)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint16, torch.uint32, torch.uint64], ids=str)
@pytest.mark.parametrize("eager", [False, True])
def test_integers_of_any_width_are_chosen(dtype: torch.dtype, eager: bool) -> None:
    x = torch.randint(100, (4, 3, 6, 5)).to(dtype)
    mix = mm.CutMix().draw(x, index=roll(4))
    mixed = (mix if eager else compiled(mix))(x)
    own = mix.mask[:, None].bool()
    assert mixed.dtype == dtype
    assert torch.equal(mixed.long(), torch.where(own, x.long(), x.long().roll(1, 0)))
