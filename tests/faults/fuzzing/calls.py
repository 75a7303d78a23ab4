"""The public calls, with arguments that bytes choose: shapes, strides, types, axes patterns, extremes, empty sizes."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mixmodal as mm
from mixmodal.core.grids import spread
from tests.faults.fuzzing.search import Target, Wrong

NUMBERS: tuple[Any, ...] = (
    1,
    0.5,
    0,
    2,
    3,
    -1,
    0.0,
    1.0,
    1e-30,
    1e30,
    math.inf,
    math.nan,
    10**30,
    None,
    "1",
    True,
    1e-3,
)
SIZES = (2, 1, 3, 4, 5, 0, 7, 8, 16, 33)
AXES = (
    "b c *",
    "b *",
    "b * d",
    "b c * d",
    "b",
    "* b",
    "b c * *",
    "c *",
    "",
    "b  c  *",
    "b C *",
    "b ...",
    "B c *",
    None,
    3,
)
DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool),
    *(torch.complex64, torch.int8),
)
CLOSE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.complex64: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


class Chooser:
    """Choices by the bytes of an input, which is at its end the first of each."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def number(self) -> int:
        self.at += 1
        return self.raw[self.at - 1] if self.at <= len(self.raw) else 0

    def of(self, choices: Iterable[Any]) -> Any:
        listed = tuple(choices)
        return listed[self.number() % len(listed)]

    def rarely(self, usual: Any, others: Iterable[Any]) -> Any:
        """The usual value in three of four."""
        return self.of(others) if self.number() % 4 == 3 else usual


def tensor(choose: Chooser, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Numbers that tell the sample, in memory that is laid out by choice."""
    batch = shape[0] if shape else 1
    kinds = {torch.bool: 2, torch.uint8: 200, torch.int8: 100}
    values = (torch.arange(batch) % kinds.get(dtype, 200)).to(dtype).view(-1, *[1] * (len(shape) - 1))
    whole = values.expand(shape) if shape else values[0]
    layout = choose.number() % 6
    if layout == 0 or not shape:
        return whole.clone().contiguous()
    if layout == 1:
        return whole  # expanded, of stride 0
    if layout == 2:
        return whole.clone().transpose(0, -1).contiguous().transpose(0, -1)
    if layout == 3:
        return whole.repeat_interleave(2, -1)[..., ::2]
    if layout == 4:
        return torch.cat([whole, whole])[: len(whole)].clone()[:batch].contiguous().flip(0).flip(0)
    return torch.empty(1 + whole.numel(), dtype=dtype)[1:].view(shape).copy_(whole)


def shape_of(choose: Chooser) -> tuple[int, ...]:
    """A shape of one to six axes, of few elements."""
    ranks = (4, 3, 2, 5, 1, 6, 0)
    shape = tuple(choose.of(SIZES) for _ in range(choose.of(ranks)))
    return shape if math.prod(shape) <= 20_000 else (*shape[:3],)


# ---------------------------------------------------------------- mixers

FIELDS: dict[str, tuple[Callable[..., mm.Draws], dict[str, tuple[Any, ...]]]] = {
    "MixUp": (mm.MixUp, {"alpha": NUMBERS}),
    "CutMix": (mm.CutMix, {"alpha": NUMBERS, "adjust_lam": (True, False, None), "holes": (True, False, 1)}),
    "FMix": (
        mm.FMix,
        {
            "alpha": NUMBERS,
            "decay_power": (*NUMBERS, 300, -300),
            "max_soft": (*NUMBERS, 0.3, 1e-7),
            "spectrum": ("paper", "upstream", "none"),
            "spacing": ("equal", "lattice", "grid", None),
            "holes": (True, False, None),
        },
    ),
    "Cutout": (mm.Cutout, {"size": (*NUMBERS, 2, 9, 10**6, (1, 2), 2.5)}),
    "PatchUp": (
        mm.PatchUp,
        {
            "block_size": (*NUMBERS, 7, 10**6),
            "gamma": NUMBERS,
            "soft": (True, False, None),
            "alpha": NUMBERS,
            "channels": ("independent", "shared", None),
            "seed_region": ("everywhere", "valid", "x"),
            "gamma_mode": ("nominal", "calibrated", None),
        },
    ),
    "DropBlock": (mm.DropBlock, {"block_size": (*NUMBERS, 7, 10**6), "drop_prob": NUMBERS}),
    "NoMix": (mm.NoMix, {}),
    "PuzzleMix": (
        mm.PuzzleMix,
        {
            "alpha": NUMBERS,
            "n_labels": (*NUMBERS, 3, 9),
            "beta": NUMBERS,
            "gamma": NUMBERS,
            "eta": NUMBERS,
            "neigh_size": (*NUMBERS, 4),
            "blocks": ((2,), (2, 4), (1,), (), 2, (0,), (2.5,), (10**30,), None),
            "transport": ("heuristic", "exact", None, "none"),
            "t_eps": NUMBERS,
            "solver": ("exact", "torch", None, "x"),
        },
    ),
}
COMMON = {"axes": AXES, "per_sample": (True, False, None)}


def mixer_of(choose: Chooser, name: str) -> mm.Draws:
    """A mixer with some settings of its own."""
    make, settings = FIELDS[name]
    given = {key: choose.of(values) for key, values in {**settings, **COMMON}.items() if choose.number() % 4 == 1}
    if name == "Cutout":
        given.setdefault("size", 2)
    mixer = make(**given)
    wrap = choose.number() % 12
    if wrap == 1:
        return mm.OneOf([mixer, mm.MixUp()], p=choose.of((None, [0.5, 0.5], [1, 0], [0.3], [math.nan, 1], [2, -1])))
    if wrap == 2:
        return mm.Alternate([mixer, mm.NoMix()])
    if wrap == 3:
        return mm.InPairs(mixer)
    if wrap == 4:
        return mm.KeepEnds(mixer)
    if wrap == 5:
        return mm.OnPoints(
            mixer,
            resolution=choose.of((4, 1, 0, -1, 2.5, None)),
            frame=choose.of(("common", "own", 1)),
            high=choose.of((300, 1, [300, 1, 1], math.nan)),
        )
    return mixer


def asked(choose: Chooser, shape: tuple[int, ...], mixer: mm.Draws) -> dict[str, Any]:
    """What is given of a draw: well formed in most cases."""
    batch, given = (shape[0] if shape else 1), {}
    if choose.rarely(mixer.needs_saliency, (True, False)):
        good = torch.rand(batch, *shape[2:])
        given["saliency"] = choose.rarely(
            good, (good * 0, -good, good * math.nan, good[:1], good.half(), good.long(), shape)
        )
    if choose.number() % 3 == 1:
        good = torch.randperm(batch)
        given["index"] = choose.rarely(good, (good + 1, good.float(), good[:1], -good, list(range(batch)), good.int()))
    if choose.number() % 3 == 1:
        share = torch.rand(batch)
        given["lam"] = choose.rarely(
            choose.of((0.5, 0.0, 1.0, share, torch.tensor(0.25), share.double(), share.half())),
            (
                1.5,
                -0.0,
                math.nan,
                math.inf,
                share[:1],
                share + 1,
                torch.tensor(math.nan),
                "0.5",
                True,
                torch.ones(batch, dtype=torch.int64),
            ),
        )
    if choose.number() % 4 == 1:
        last = max(shape[-1:], default=1)
        marks = torch.arange(last) < torch.randint(0, 1 + last, (batch,))[:, None]
        grid = marks.view(batch, *[1] * max(len(shape) - 3, 0), last)
        given["valid"] = choose.rarely(
            grid, (marks, marks.long(), marks[:1], grid[..., :1], marks.expand(3, *marks.shape), ~marks & marks)
        )
    return given


def mixed(name: str, raw: bytes) -> None:
    """Mix a batch, and see by its values that the record says what was done."""
    choose = Chooser(raw)
    mixer = mixer_of(choose, name)
    shape = shape_of(choose)
    x = tensor(choose, shape, choose.rarely(choose.of(DTYPES[:4]), DTYPES))
    given = asked(choose, shape, mixer)
    before = x.clone()
    out, mix = mixer(x, **given)
    batch = len(x)
    _same("x", x, before)
    if out.shape != x.shape or out.dtype != x.dtype:
        raise Wrong(f"{x.dtype} {tuple(x.shape)} became {out.dtype} {tuple(out.shape)}")
    if mix.lam.shape != (batch,) or not ((mix.lam >= 0) & (mix.lam <= 1)).all():
        raise Wrong(f"lam is {mix.lam}")
    if mix.index.shape != (batch,) or not ((mix.index >= 0) & (mix.index < max(batch, 1))).all():
        raise Wrong(f"index is {mix.index}")
    _same("a replay", mix(x), out)
    _shares(x, out, mix, mixer, given.get("valid"))
    _targets(mix, batch, choose)


def _same(what: str, value: Tensor, expected: Tensor) -> None:
    if not torch.equal(value, expected):
        raise Wrong(f"{what} differs from the first")


def _shares(x: Tensor, out: Tensor, mix: mm.Mix, mixer: mm.Draws, valid: Any) -> None:
    """What the values of the mixed batch say of the shares, which is `lam` of mixers that record the realised one."""
    if (
        not x.is_floating_point()
        or x.ndim < 2
        or mix.scale is not None
        or mix.moves is not None
        or not mixer.exact
        or not x.numel()
    ):
        return
    values, mixed_values = torch.arange(len(x)) % 200 + 0.0, out.double()
    real = torch.ones_like(x, dtype=torch.bool)
    if mix.valid is not None:
        if not mix.hard:  # where one of a pair is real, all of it is there and a part of it is mixed
            return
        counted = mix.valid
        if isinstance(mixer, mm.KeepEnds):  # which counts the tokens between the special ones
            place = valid.cumsum(1)
            counted = mix(valid & (place > 1) & (place < place[:, -1:]), axes="b *")
        real = (counted if counted.ndim == x.ndim else spread(counted, x, mix.axes)).expand(x.shape)
    count = real.flatten(1).sum(1)
    mean = (mixed_values * real).flatten(1).sum(1) / count.clamp(min=1)
    other = values[mix.index] if mix.partner else torch.zeros(len(x))
    told = mix.lam.double() * values + (1 - mix.lam.double()) * other if mix.partner else mean
    off = (mean - told).abs() > CLOSE[x.dtype] * (1 + values.abs() + other.abs())
    if (off & (count > 0)).any():
        place = int((off & (count > 0)).int().argmax())
        raise Wrong(f"sample {place} with {values[place]} and {other[place]} has mean {mean[place]}, {mix!r}")


def _targets(mix: mm.Mix, batch: int, choose: Chooser) -> None:
    """Soft targets are a distribution with the shares of the record; the loss is a number."""
    if not batch:
        return
    y = torch.arange(batch) % 3
    soft = mix.targets(y, num_classes=3, label_smoothing=choose.of((0.0, 0.1, 1.0)))
    if not torch.allclose(soft.sum(1), torch.ones(batch), atol=1e-5):
        raise Wrong(f"targets sum to {soft.sum(1)}")
    plain = mix.targets(torch.eye(3)[y])
    expected = mix.lam[:, None] * torch.eye(3)[y] + (1 - mix.lam[:, None]) * torch.eye(3)[y[mix.index]]
    if mix.partner and not torch.allclose(plain, expected.to(plain.dtype), atol=1e-5):
        raise Wrong(f"targets are {plain}, by lam {expected}")
    loss = mix.loss(torch.zeros(batch, 3), y)
    if not math.isclose(loss, math.log(3), rel_tol=1e-3):
        raise Wrong(f"the loss of even predictions is {loss}")


# ---------------------------------------------------------------- records


def recorded(raw: bytes) -> None:
    """Calls of a record with other tensors, axes and labels than it was drawn for."""
    choose = Chooser(raw)
    shape = choose.of(((3, 2, 4, 5), (2, 1, 6), (4, 3), (1, 2, 3, 2, 2)))
    mixer = choose.of(
        (
            mm.FMix(),
            mm.MixUp(),
            mm.CutMix(per_sample=True),
            mm.FMix(max_soft=0.4),
            mm.PatchUp(block_size=2),
            mm.NoMix(),
            mm.Cutout(size=2),
        )
    )
    mix = mixer.draw(torch.zeros(shape))
    other = shape_of(choose)
    x = tensor(choose, choose.rarely(shape, (other, shape[::-1], shape[:2], (*shape, 2))), choose.of(DTYPES))
    batch = shape[0]
    y = choose.of(
        (
            *(
                torch.arange(batch) % 3,
                torch.arange(batch),
                torch.rand(batch, 3),
                torch.rand(batch),
                torch.rand(batch + 1),
            ),
            *(torch.arange(batch) - 1, torch.zeros(batch, 2, dtype=torch.bool), torch.zeros(0), x),
        )
    )
    preds = choose.of(
        (
            torch.zeros(batch, 3),
            torch.zeros(batch),
            torch.zeros(batch + 1, 3),
            x,
            torch.zeros(batch, 3).half(),
            torch.zeros(batch, 0),
        )
    )
    what = choose.number() % 7
    if what == 0:
        mix(x, axes=choose.of(AXES), out=choose.rarely(None, (torch.empty(shape), x, x[..., None], torch.empty(0))))
    elif what == 1:
        mix.targets(
            y,
            num_classes=choose.of((3, None, 2, 0, -1, 2.5, "3")),
            label_smoothing=choose.of((0.0, 0.1, 1.5, math.nan, -0.1)),
        )
    elif what == 2:
        criterion = choose.of(
            (
                torch.nn.functional.cross_entropy,
                torch.nn.functional.mse_loss,
                torch.nn.MSELoss(),
                torch.nn.BCEWithLogitsLoss(),
                lambda p, t: p.sum(),
            )
        )
        try:
            mix.loss(
                preds,
                y,
                criterion,
                reduction=choose.of((None, "mean", "sum", "none", "x")),
                axes=choose.rarely(None, AXES),
            )
        except Exception as error:
            step = error.__traceback__
            while step is not None and step.tb_next is not None:
                step = step.tb_next
            if step is None or not step.tb_frame.f_code.co_filename.startswith(str(Path(torch.__file__).parent)):
                raise  # what the criterion itself refuses is its own
    elif what == 3:
        mix.accuracy(preds, y)
    elif what == 4:
        mix.resize(choose.of(([4, 4], [1], [0], [3, 3, 3], [2.5], [-1, 2], [], shape[2:], "ab", 3)))
    elif what == 5:
        mix.to(choose.of(("cpu", torch.float16, None, 3.5, "nowhere", torch.device("cpu"))))
    else:
        repr(mix), mix._repr_html_(), mix.terms


# ---------------------------------------------------------------- batches


def batches(raw: bytes) -> None:
    """`MixBatch` and `MixCollate`, with fields of any kind."""
    choose = Chooser(raw)
    shape = choose.rarely(choose.of(((3, 2, 4), (2, 1, 3, 3), (4, 5))), (shape_of(choose),))
    size = shape[0] if shape else 1
    x, y = tensor(choose, shape, choose.rarely(torch.float32, DTYPES)), torch.arange(size) % 3
    names = choose.rarely(("x", "y"), ((0, 1), ("x", 1), ("z", "y"), ("x", "x"), (None, "y")))
    settings = {
        "inputs": choose.rarely(names[0], ({names[0]: None}, {names[0]: choose.of(AXES)}, {}, [], 7)),
        "labels": choose.rarely(names[1], ({names[1]: 3}, None, {}, {names[1]: None}, "none")),
        "num_classes": choose.rarely(3, (None, 0, -1, 2, 2.5)),
        "label_smoothing": choose.rarely(0.0, (0.1, 1, 2, math.nan, "x")),
        "carried": choose.rarely(("id", "m", "n"), ((), "id", ("x",), None, (0,))),
        "valid": choose.rarely(None, ("m", "x", 0)),
        "lengths": choose.rarely(None, ("n", "y")),
    }
    mixer = choose.of((mm.FMix(), mm.MixUp(), mm.CutMix(axes="b *"), mm.NoMix(), mm.Alternate([mm.FMix()]), 3, None))
    label = choose.rarely(y, (y.float(), y[:1], torch.eye(3)[y], y.tolist(), y + 5))
    fields = {"x": x, "y": label}
    if choose.number() % 3 == 1:
        fields["id"] = list(range(size))
    if choose.number() % 4 == 1:
        fields |= {"m": torch.ones(size, *shape[2:], dtype=torch.int64), "n": torch.full((size,), 2)}
    batch = choose.rarely(fields, (tuple(fields.values()), list(fields.values()), x, [], {}))
    if choose.number() % 3 == 1:
        kept = {key: value for key, value in settings.items() if key in ("inputs", "labels", "num_classes")}
        samples = [(row, int(number)) for row, number in zip(x, y, strict=False)] if x.ndim else [(x, 0)]
        mm.MixCollate(mixer, **kept)(
            choose.rarely(samples, ([], [x], samples[:1], [(x, 0), (x[..., :1], 1)] if x.ndim else []))
        )
        return
    given = x.clone()
    _, mix = mm.MixBatch(mixer, **settings)(batch)
    _same("x", x, given)
    if mix.lam.shape != (len(x),):
        raise Wrong(f"lam is {mix.lam}")


# ---------------------------------------------------------------- texts


def padded(raw: bytes) -> None:
    """`PadCollate` of samples of any kind, and `from_torchtext`."""
    choose = Chooser(raw)
    ids = ([5, 6, 7], [8], [], torch.tensor([1, 2]), [1.5], [[1]], "ab", None, [2**70], [-1], torch.tensor(3), [True])
    collate = mm.PadCollate(
        choose.of((0, 1, -1, None, 2**40, 1.5, "0", math.nan)),
        multiple=choose.of((1, 8, 0, -3, 2.5, None, 10**5)),
        per_token=choose.of(({}, {"labels": -100}, {"labels": "x"}, None, {"labels": 1.5})),
    )
    count = choose.of((2, 1, 3, 0))
    if choose.number() % 2:
        samples: list[Any] = [
            (choose.of(ids), choose.of((0, 1, 2.5, "a", torch.ones(2), [1], None))) for _ in range(count)
        ]
        result = collate(samples)
        for row, (text, _) in zip(result.ids, samples, strict=True):
            if row[: len(text)].tolist() != [int(each) for each in text] or (row[len(text) :] != collate.pad_id).any():
                raise Wrong(f"{text} became {row}")
        if (
            result.lengths.tolist() != [len(text) for text, _ in samples]
            or result.valid.sum(1).tolist() != result.lengths.tolist()
        ):
            raise Wrong(f"lengths are {result.lengths}")
    else:
        keys = ("input_ids", "attention_mask", "labels", "token_type_ids", "label", "note")
        names = [key for key in keys if choose.number() % 2 or key == "input_ids"]
        values = (*ids[:6], 1, 2.0, "text", ["a", "b", "c"], [1, 2, 3], torch.ones(3, 2))
        collate([{key: choose.of(values) for key in names if choose.number() % 16} for _ in range(count)])


def bucketed(raw: bytes) -> None:
    """`LengthBucketBatchSampler`: each sample once in an epoch, over all processes."""
    choose = Chooser(raw)
    lengths = [choose.of((3, 1, 9, 0, 200, 7, 64)) for _ in range(choose.of((5, 12, 1, 0, 33, 2)))]
    given = choose.rarely(
        lengths,
        (
            torch.tensor(lengths),
            torch.tensor(lengths).float(),
            [*lengths, -1],
            [*lengths, 1.5],
            ["a"],
            None,
            [math.nan],
            [2**63],
        ),
    )
    world = choose.of((1, 2, 3, 0, -1, 1.5))
    settings = {
        "max_tokens": choose.rarely(None, (200, 300, 9, 0, -1, 2.5)),
        "chunk": choose.rarely(100, (1, 2, 0, -1, 1.5, None)),
        "shuffle": choose.of((True, False, None)),
        "largest_first": choose.of((False, True)),
        "drop_last": choose.rarely(False, (True, None)),
        "seed": choose.rarely(0, (1, -1, 2**64, 2**63, 1.5, None)),
    }
    size = choose.of((2, 4, 1, None, 0, -1, 1.5, 10**9))
    seen: list[int] = []
    epoch = choose.of((0, 1, 5))
    for rank in range(world) if isinstance(world, int) and world > 0 else [0]:
        sampler = mm.LengthBucketBatchSampler(given, size, rank=rank, world_size=world, **settings)
        sampler.set_epoch(epoch)
        found = list(sampler)
        if len(found) != len(sampler):
            raise Wrong(f"{len(found)} batches, {len(sampler)} by its length")
        seen += [each for batch in found for each in batch]
        if size is not None and any(len(batch) > size for batch in found):
            raise Wrong(f"a batch of more than {size}")
    if not settings["drop_last"] and sorted(seen) != list(range(len(lengths))):
        raise Wrong(f"samples {sorted(seen)} of {len(lengths)}")


# ---------------------------------------------------------------- points and sounds


def voxels(raw: bytes) -> None:
    """`voxelize` and `devoxelize`: points are in the cells that are occupied."""
    choose = Chooser(raw)
    bound = (-1.0, 1.0, 0, [1, 2, 3], math.nan, math.inf, -1e30, 1e30, torch.ones(3), "1", None, [1, 2], 1e-30)
    low, high = choose.rarely(-1.0, bound), choose.rarely(1.0, bound)
    resolution = choose.of((4, 1, 2, 16, 0, -1, 2.5, None, True))
    shape = choose.rarely(choose.of(((2, 5, 3), (1, 1, 3), (0, 4, 3))), ((2, 0, 3), (2, 5, 4), (5, 3), (2, 3, 5), ()))
    points = (torch.rand(shape) * 2 - 1).to(choose.rarely(torch.float32, DTYPES))
    if points.numel() and choose.number() % 4 == 1:
        points.view(-1)[0] = (
            choose.of((1, -1, 0, 100))
            if not points.is_floating_point()
            else choose.of((math.nan, math.inf, 1.0, -1.0, 1.0001))
        )
    points = choose.of(
        (
            points,
            points.flip(0),
            points.expand(shape),
            points.transpose(0, -1).contiguous().transpose(0, -1) if points.ndim else points,
        )
    )
    valid = choose.rarely(
        None,
        (
            torch.ones(shape[:2], dtype=torch.bool),
            torch.zeros(shape[:2], dtype=torch.bool),
            torch.ones(shape[:2]),
            torch.ones(1, dtype=torch.bool),
        ),
    )
    grid = mm.voxelize(points, resolution, low=low, high=high, valid=valid)
    if not ((grid == 0) | (grid == 1)).all() or grid.shape != (len(points), 1, *[resolution] * 3):
        raise Wrong(f"voxels {tuple(grid.shape)}")
    grid = grid.to(choose.rarely(torch.float32, DTYPES[:7]))
    count = choose.of((1, 7, 0, -1, 2.5, 100))
    again = mm.devoxelize(choose.rarely(grid, (grid[:, 0], grid[..., :1], -grid.float())), count, low=low, high=high)
    if again.shape != (len(points), count, 3):
        raise Wrong(f"points {tuple(again.shape)}")
    if (mm.voxelize(again, resolution, low=low, high=high) > grid.float()).any():
        raise Wrong(f"a point of {again.dtype} lies in an empty cell, from {low} to {high}")


def sounds(raw: bytes) -> None:
    """`LogMel` and `union_targets`."""
    choose = Chooser(raw)
    mel = mm.LogMel(n_mels=choose.rarely(8, (1, 0, -1, 2.5, 500))) if choose.number() % 3 == 0 else MEL
    shape = choose.rarely(choose.of(((2, 2000), (1, 600), (2, 1, 1500))), ((0, 2000), (2, 0), (2, 1), (2000,), ()))
    wave = torch.rand(shape).to(choose.rarely(torch.float32, DTYPES))
    lengths = choose.rarely(
        None,
        (
            torch.full(shape[:1], 500),
            torch.full(shape[:1], 10**6),
            torch.full(shape[:1], -1),
            torch.ones(shape[:1]),
            [1, 2],
        ),
    )
    result = mel(wave, lengths=lengths)
    if not result.isfinite().all():
        raise Wrong("a spectrogram is not finite")
    mix = choose.of((mm.FMix(), mm.MixUp(), mm.NoMix())).draw(result)
    y = torch.eye(3)[torch.arange(len(result)) % 3]
    union = mm.union_targets(mix, choose.rarely(y, (y[:1], y.long(), y * 2, y.bool(), torch.zeros(0), y[:, :0])))
    if not ((union >= 0) & (union <= 1)).all():
        raise Wrong(f"union targets are {union}")


MEL = mm.LogMel(n_mels=8)


def targets(_: Path | None = None) -> list[Target]:
    """All calls, the dear ones with a smaller share."""
    starts = (b"", bytes(range(32)), bytes([1] * 40), bytes([2, 3] * 20))
    share = {"FMix": 2, "PatchUp": 2, "DropBlock": 2, "PuzzleMix": 0.4}
    mixers = [Target(f"call: {name}", partial(mixed, name), starts, share=share.get(name, 3)) for name in FIELDS]
    return [
        *mixers,
        Target("call: Mix", recorded, starts, share=3),
        Target("call: MixBatch, MixCollate", batches, starts, errors=(ValueError, TypeError, KeyError), share=3),
        Target("call: PadCollate", padded, starts, share=3),
        Target("call: LengthBucketBatchSampler", bucketed, starts, share=1),
        Target("call: voxelize, devoxelize", voxels, starts, share=2),
        Target("call: LogMel, union_targets", sounds, starts, share=0.5),
    ]
