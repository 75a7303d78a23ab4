"""MixUp and CutMix with soft targets beside torchvision, timm and kornia, each as its documentation calls it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from mixmodal import Draws
from recipes.measuring.benchmark.cases import CLASSES, Batch, Bench, Part, mixer_of
from recipes.measuring.benchmark.figures import Figures, Key, ratio, section, table

NAME = "peers"
MISSING = "{package} is not installed here, so its column is empty: `pip install 'mixmodal[bench]'`."

Call = Callable[[Tensor, Tensor], object]
"""A batch (B, C, H, W) and its classes (B,) to what a library makes of them."""


def torchvision() -> Mapping[str, Mapping[str, Call]]:
    """Its transforms, which draw once for the batch."""
    from torchvision.transforms import v2

    return {"torchvision": {"mixup": v2.MixUp(num_classes=CLASSES), "cutmix": v2.CutMix(num_classes=CLASSES)}}


def timm() -> Mapping[str, Mapping[str, Call]]:
    """Its `Mixup`, which writes into the batch that it is given, by batch and by element, without label smoothing."""
    from timm.data.mixup import Mixup

    def mixing(mode: str, **alpha: float) -> Call:
        made: Any = Mixup
        mixup = made(mode=mode, label_smoothing=0.0, num_classes=CLASSES, **alpha)

        def call(x: Tensor, y: Tensor) -> object:
            return mixup(x, y)

        return call

    modes = {"timm": "batch", "timm elem": "elem"}
    return {
        name: {
            "mixup": mixing(mode, mixup_alpha=1.0, cutmix_alpha=0.0),
            "cutmix": mixing(mode, mixup_alpha=0.0, cutmix_alpha=1.0),
        }
        for name, mode in modes.items()
    }


def kornia() -> Mapping[str, Mapping[str, Call]]:
    """Its V2 transforms, which draw a share for each sample, or a box; they return both labels and the share."""
    from kornia.augmentation import RandomCutMixV2, RandomMixUpV2

    keys: Any = ["input", "class"]
    return {
        "kornia": {
            "mixup": RandomMixUpV2(p=1.0, data_keys=keys),
            "cutmix": RandomCutMixV2(p=1.0, data_keys=keys, use_correct_lambda=True),
        }
    }


LIBRARIES: dict[str, Callable[[], Mapping[str, Mapping[str, Call]]]] = {
    "torchvision": torchvision,
    "timm": timm,
    "kornia": kornia,
}
"""What calls each package has, by the name of a column and the method of the recipes' table."""
COMPARED = ("mixup", "cutmix")
"""What all of them have, by the names of the recipes' table."""
COLUMNS = ("torchvision", "timm", "timm elem", "kornia")


def found() -> tuple[dict[str, Mapping[str, Call]], list[str]]:
    """The calls of the packages that are installed, and a sentence for each that is not."""
    calls: dict[str, Mapping[str, Call]] = {}
    absent = []
    for package, library in LIBRARIES.items():
        try:
            calls |= library()
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            absent.append(MISSING.format(package=package))
    return calls, absent


def measure(bench: Bench, figures: Figures) -> None:
    """A call alone, with soft targets, and each peer's, in milliseconds."""
    calls, absent = found()
    for sentence in absent:
        figures.note(NAME, sentence)
    for shape in (shape for shape in bench.inputs if len(shape) == 4):
        batch = Batch(shape, bench)
        y = bench.labels(batch.count)
        for method in COMPARED:
            mixer = batch.mixer(method, "batch")
            own: dict[str, Callable[[], object]] = {
                "mixmodal": partial(mixer, batch.x),
                "with targets": partial(with_targets, mixer, batch.x, y),
            }
            theirs: dict[str, Callable[[], object]] = {
                name: partial(by_method[method], batch.y, y) for name, by_method in calls.items()
            }
            for what, call in {**own, **theirs}.items():
                figures.add(Key(NAME, str(shape), method, "", what), bench.clock.milliseconds(call))


def with_targets(mixer: Draws, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What the others return: the mixed batch and soft targets."""
    mixed, mix = mixer(x)
    return mixed, mix.targets(y, num_classes=CLASSES)


def against(figures: Figures, case: str, method: str, peer: str) -> float | None:
    """The time of a mixer with soft targets as a multiple of a peer's."""
    return ratio(figures.get(NAME, case, method, "", "with targets"), figures.get(NAME, case, method, "", peer))


def sections(figures: Figures) -> list[str]:
    """The one table."""
    rows = []
    for case, method, _ in figures.rows(NAME):
        alone, both, first, *others = (
            figures.get(NAME, case, method, "", what) for what in ("mixmodal", "with targets", *COLUMNS)
        )
        ratios = [ratio(alone, first), *(against(figures, case, method, peer) for peer in COLUMNS)]
        name = type(mixer_of(method, "b c *", 1, "batch")).__name__
        rows.append((f"{case} | {name}", [alone, both, first, *others, *ratios]))
    columns = (
        f"batch | method | `mixer(x)` (ms) | with targets (ms) | {' | '.join(f'{peer} (ms)' for peer in COLUMNS)} "
        f"| ratio | {' | '.join(f'with targets / {peer}' for peer in COLUMNS)}"
    )
    text = (
        "The others always make soft targets, which `mix.loss` does without; the first ratio is that of `mixer(x)` to "
        "torchvision. timm writes into the batch that it is given, and draws for each element as `timm elem`; kornia "
        "draws for each sample."
    )
    return section(
        "MixUp and CutMix, beside other libraries", text, table(columns, rows), notes=figures.said.get(NAME, ())
    )


PART = Part(measure, sections)
