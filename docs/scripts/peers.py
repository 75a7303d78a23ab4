"""How mixmodal, torchvision, timm, kornia and openmixup are asked to mix a batch; `compare.py` has the questions."""

import functools
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distribution
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

import mixmodal as mm

CLASSES = 8
IMAGE = (12, 9)
Method = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A batch (B, C, ...) and its labels to the mixed batch and soft targets (B, CLASSES)."""
Probe = Callable[[], object]


@dataclass(frozen=True)
class Library:
    """What is probed: methods by name, what a DataLoader's worker is sent, and answers that need the library's API."""

    methods: dict[str, Method]
    transform: object
    own: dict[str, Probe]


def planes(batch: int = 8, grid: tuple[int, ...] = IMAGE) -> tuple[Tensor, Tensor]:
    """Sample i is 1 in channel i and 0 in the others, so that a mixed batch tells whose each location is."""
    x = torch.eye(batch, CLASSES).view(batch, CLASSES, *[1] * len(grid)).repeat(1, 1, *grid)
    return x, torch.arange(batch)


def blend(y: Tensor, partner: Tensor, share: Tensor | float) -> Tensor:
    """Soft targets for a library that returns both labels and a share."""
    a, b = (nn.functional.one_hot(v.long(), CLASSES).float() if v.ndim == 1 else v for v in (y, partner))
    share = share[:, None] if isinstance(share, Tensor) else share
    return share * a + (1 - share) * b


def then(drawn: Any, check: Callable[..., Any]) -> Any:
    """What holds for a mixed batch and what came with it."""
    return check(*drawn)


def ours() -> Library:
    """The library itself."""
    x, y = planes()
    index, maps = torch.arange(8).roll(3), y.view(8, 1, 1).repeat(1, *IMAGE)
    net = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(320, 8))
    quarter = 0.25 * x + 0.75 * x[index]
    valid = torch.arange(10) < torch.tensor([10, 3, 7, 10, 2, 5, 9, 10])[:, None]
    words = torch.eye(8)[:, None] * valid[..., None]

    def method(mixer: mm.Mixer) -> Method:
        classes = {torch.int64: CLASSES}
        return lambda x, y: then(mixer(x), lambda mixed, mix: (mixed, mix.targets(y, num_classes=classes.get(y.dtype))))

    def generated(seed: int) -> Tensor:
        return mm.FMix()(x, lam=0.5, generator=torch.Generator().manual_seed(seed))[0]

    def inside(mixer: mm.Mixer) -> object:
        with mm.HiddenMix(net.train(), {net[2]: mixer}) as hidden:
            logits, mix = hidden(x)
        return bool(mix.loss(logits, y).isfinite()) and not torch.equal(logits, net(x))

    def padded(mixed: Tensor, mix: mm.Mix) -> object:
        shares = mixed.sum(1) / mixed.sum((1, 2))[:, None]
        return torch.allclose(shares, mix.targets(torch.eye(8)), atol=1e-5)

    mixers = {"MixUp": mm.MixUp(), "CutMix": mm.CutMix(), "FMix": mm.FMix(), "each sample": mm.MixUp(per_sample=True)}
    blocks = mm.PatchUp(block_size=3, channels="shared")
    answers: dict[str, Probe] = {
        "Puzzle Mix": lambda: not torch.equal(mm.PuzzleMix()(x, saliency=mm.saliency(net, x, y))[0], x),
        "Manifold Mixup in a network of your own": lambda: inside(mm.MixUp()),
        "PatchUp in a network of your own": lambda: inside(mm.PatchUp(block_size=3)),
        "labels stay integers": lambda: bool(mm.FMix()(x)[1].loss(net(x), y).isfinite()),
        "`generator=`": lambda: torch.equal(generated(3), generated(3)) and not torch.equal(generated(3), generated(4)),
        "partner and share given": lambda: torch.allclose(mm.MixUp()(x, index=index, lam=0.25)[0], quarter),
        "one draw on a second tensor": lambda: then(mm.FMix()(x), lambda a, mix: torch.equal(mix(2 * x), 2 * a)),
        "label maps follow CutMix": lambda: then(
            mm.CutMix()(x), lambda mixed, mix: torch.equal(mixed.argmax(1), mix(maps, axes="b *"))
        ),
        "padding is not counted": lambda: then(mm.FMix(axes="b * d", per_sample=True)(words, valid=valid), padded),
        "token ids (B, T), CutMix": lambda: (mm.CutMix(axes="b *")(maps[:, 0])[0] != maps[:, 0]).any().item(),
        "raw point clouds (B, N, 3)": lambda: mm.OnPoints(mm.FMix())(torch.rand(8, 50, 3))[0].shape == (8, 50, 3),
    }
    methods = {name: method(mixer) for name, mixer in {**mixers, "PatchUp": blocks}.items()}
    return Library(methods, mm.FMix(), answers)


def torchvision() -> Library:
    """Its v2 transforms; batches with three axes after the channels are given as `Video`."""
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    x, y = planes()
    transforms = {name: getattr(v2, name)(num_classes=CLASSES) for name in ("MixUp", "CutMix")}
    pair = v2.CutMix(num_classes=CLASSES, labels_getter=lambda batch: batch[-1])
    image, double, maps = tv_tensors.Image(x), tv_tensors.Image(2 * x), tv_tensors.Mask(torch.zeros(8, *IMAGE))
    answers: dict[str, Probe] = {
        "labels stay integers": lambda: "no: soft labels" if transforms["MixUp"](x, y)[1].is_floating_point() else True,
        "one draw on a second tensor": lambda: then(
            pair(image, double, y), lambda a, b, _: torch.equal(2 * a, b) and "yes, images in one call"
        ),
        "label maps follow CutMix": lambda: pair(image, maps, y),
        "token ids (B, T), CutMix": lambda: transforms["CutMix"](torch.zeros(8, 10).long(), y),
    }

    def method(transform: Any) -> Method:
        return lambda x, y: transform(tv_tensors.Video(x) if x.ndim == 5 else x, y)

    return Library({name: method(transform) for name, transform in transforms.items()}, transforms["MixUp"], answers)


def timm() -> Library:
    """Its `Mixup`, without label smoothing; labels (B, K) with `multi_label=True`."""
    from timm.data.mixup import Mixup

    method: Callable[..., Any] = functools.partial(Mixup, label_smoothing=0.0, num_classes=CLASSES)
    methods = {"MixUp": method(), "CutMix": method(mixup_alpha=0.0, cutmix_alpha=1.0)}
    methods |= {"each sample": method(mode="elem"), "labels (B, K)": method(multi_label=True)}
    answers: dict[str, Probe] = {
        "labels stay integers": lambda: "no: soft labels" if method()(*planes())[1].is_floating_point() else True,
        "token ids (B, T), CutMix": lambda: bool(methods["CutMix"](torch.zeros(8, 10).long(), torch.arange(8))),
    }
    return Library(methods, method(), answers)


def kornia() -> Library:
    """Its V2 transforms. The share that they return is the partner's in MixUp and, corrected, the own one in CutMix."""
    from kornia.augmentation import RandomCutMixV2, RandomMixUpV2

    x, y = planes()
    keys: Any = ["input", "class"]
    mixup, cutmix = RandomMixUpV2(data_keys=keys), RandomCutMixV2(data_keys=keys, use_correct_lambda=True)
    methods: dict[str, Method] = {
        "MixUp": lambda x, y: then(mixup(x, y), lambda a, b: (a, blend(b[:, 0], b[:, 1], 1 - b[:, 2]))),
        "CutMix": lambda x, y: then(cutmix(x, y), lambda a, b: (a, blend(*b[0].unbind(1)))),
    }

    def again() -> object:
        first = cutmix(x, y)[0]
        return torch.equal(2 * first, cutmix(2 * x, y, params=cutmix._params)[0]) and "yes, `params=`"

    answers: dict[str, Probe] = {
        "labels stay integers": lambda: torch.equal(mixup(x, y)[1][:, 0].long(), y) and "yes, in floats",
        "partner and share given": again,
        "one draw on a second tensor": again,
        "label maps follow CutMix": lambda: cutmix(x, torch.zeros(8, 1, *IMAGE), data_keys=["input", "mask"]),
        "token ids (B, T), CutMix": lambda: cutmix(torch.zeros(8, 10).long(), y),
    }
    return Library(methods, mixup, answers)


def openmixup() -> Library:
    """Its functions, each from its file, since the package needs mmcv-full; `Tensor.cuda` stays on the CPU."""
    found = distribution("openmixup")
    utils: Any = types.ModuleType("openmixup.models.utils")
    utils.batch_shuffle_ddp = None  # for several processes

    def load(name: str) -> Callable[..., Any]:
        path = str(found.locate_file(f"openmixup/models/augments/{name}.py"))
        spec: Any = importlib.util.spec_from_file_location(f"openmixup_{name}", path)
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        with patch.dict(sys.modules, {utils.__name__: utils}):
            spec.loader.exec_module(module)
        function: Callable[..., Any] = getattr(module, name)
        return function

    def call(name: str, x: Tensor, y: Tensor, **settings: Any) -> Any:
        with patch.object(Tensor, "cuda", lambda tensor: tensor):
            return functions[name](x, y, **settings, **({"size": x.shape[2:]} if name == "fmix" else {}))

    def method(name: str) -> Method:
        return lambda x, y: then(call(name, x, y), lambda mixed, sides: (mixed, blend(*sides)))

    functions = {name: load(name) for name in ("mixup", "cutmix", "fmix", "puzzlemix")}
    shown = {"features": torch.rand(8, 32, 32), "block_num": (2, 3)}
    answers: dict[str, Probe] = {
        "Puzzle Mix": lambda: call("puzzlemix", torch.rand(8, 3, 32, 32), torch.arange(8), **shown)[0].ndim == 4,
        "labels stay integers": lambda: call("mixup", *planes())[1][0].dtype == torch.int64,
        "partner and share given": lambda: call("mixup", *planes(), lam=0.25)[1][2] == 0.25 and "share only",
        "token ids (B, T), CutMix": lambda: call("cutmix", torch.zeros(8, 10).long(), torch.arange(8)),
        "runs on a CPU": lambda: functions["mixup"](*planes()),
    }
    return Library({name: method(name.lower()) for name in ("MixUp", "CutMix", "FMix")}, functions["mixup"], answers)


LIBRARIES = {"mixmodal": ours, "torchvision": torchvision, "timm": timm, "kornia": kornia, "openmixup": openmixup}
