"""What is measured: batches, and the mixers of the recipes' table of methods for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mixmodal import Draws, Mix
from recipes.measuring.benchmark.clock import Clock
from recipes.measuring.benchmark.figures import Figures
from recipes.measuring.benchmark.recorded import BLOCKS, MASKS, Shape
from recipes.training.methods import AT_INPUT, AT_SITES, BY_SALIENCY, IN_BANDS, Method, Place, make

CLASSES = 10
SMALL = 4
"""Samples of a batch where it is enough to see that it runs."""
DRAWS = ("batch", "sample")
INPUTS: tuple[Shape, ...] = tuple(dict.fromkeys(shape for sizes in MASKS.values() for shape in sizes))
"""Batches at the input: images, volumes, sound, texts."""
FEATURES: tuple[Shape, ...] = tuple(dict.fromkeys(shape for sizes in BLOCKS.values() for shape in sizes))
"""Features inside a network."""
LAST: dict[Shape, str] = {(64, 300, 200): "b * d"}
"""Batches whose channels come last."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Bench:
    """Where and how long things are measured.

    Args:
        clock: measures calls.
        compiled: number of sizes that mixers are compiled for.
        small: whether one size, a few calls and small networks are enough, to see that it runs.
    """

    clock: Clock
    compiled: int = 2
    small: bool = False

    @property
    def device(self) -> torch.device:
        """Where tensors are made."""
        return self.clock.device

    @property
    def settling(self) -> float | None:
        """Seconds that the first call of a size is repeated before anything is counted; as any other where it is small.

        A virtual machine fetches memory that it has not used for a while from its host when it is first written, for
        some seconds of calls: no step of a training but the first waits for that.
        """
        return None if self.small else 1.0

    @property
    def inputs(self) -> Sequence[Shape]:
        """The batches at the input."""
        return INPUTS[:1] if self.small else INPUTS

    @property
    def features(self) -> Sequence[Shape]:
        """The features inside a network."""
        return FEATURES[1:2] if self.small else FEATURES

    def some(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The items, or the last of them."""
        return items[-1:] if self.small else items

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers on the device."""
        return torch.rand(shape, device=self.device)

    def labels(self, count: int) -> Tensor:
        """Class numbers on the device."""
        return torch.randint(CLASSES, (count,), device=self.device)


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Args:
        measure: adds figures.
        sections: makes sections of the page of them.
        once: whether one sweep is enough, since it is no time, or one that takes long.
    """

    measure: Callable[[Bench, Figures], None]
    sections: Callable[[Figures], list[str]]
    once: bool = False


def axes_of(shape: Shape) -> str:
    """The axes pattern of a batch of this shape."""
    return LAST.get(shape, "b c *")


def methods_for(shape: Shape) -> list[str]:
    """The methods that are measured on a batch: at the input, in bands of images, by saliency on small ones, at sites.

    Methods in turn cost what their mixers cost.

    >>> methods_for((128, 1, 16000))
    ['baseline', 'mixup', 'cutmix', 'fmix', 'cutout']
    """
    if shape in FEATURES:
        return list(AT_SITES)
    return [*AT_INPUT, *(IN_BANDS if len(shape) == 4 else ()), *(BY_SALIENCY if shape == INPUTS[0] else ())]


def mixer_of(method: str, axes: str, side: int, draws: str) -> Draws:
    """The mixer of a method with its default settings, at the input or inside, one draw for the batch or each sample.

    >>> mixer_of("fmix", "b c *", 32, "sample").per_sample
    True
    """
    net = nn.Sequential(nn.Identity())
    sites = [net[0]] if method in AT_SITES else [net]
    (mixer,) = make(Method(method), Place(net, sites, axes=axes, side=side)).mixers
    changed: Draws = replace(mixer, per_sample=draws == "sample")  # type: ignore[type-var]
    return changed


class Batch:
    """A batch of a shape and what mixing one needs: another, a buffer, and a choice between the two.

    Args:
        shape: its shape; it has few samples only where that is enough.
        bench: where it is.
    """

    def __init__(self, shape: Shape, bench: Bench) -> None:
        self.shape, self.bench = shape, bench
        self.count = min(shape[0], SMALL) if bench.small else shape[0]
        self.x = bench.rand(self.count, *shape[1:])
        self.y, self.out = self.x.clone(), torch.empty_like(self.x)

    def mixer(self, method: str, draws: str) -> Draws:
        """The mixer of a method for this batch."""
        side = self.shape[-2 if self.shape in LAST else -1]
        return mixer_of(method, axes_of(self.shape), side, draws)

    def floor(self, draws: str) -> Callable[[], Tensor]:
        """The least that torch can do: choose between two batches that exist, into a buffer that exists.

        The choice has the shape of the masks: (1, ...) or (B, ...), and varies over channels in features.
        """
        count = self.count if draws == "sample" else 1
        inside = self.shape[1:] if self.shape in FEATURES else (1, *self.shape[2:])
        if self.shape in LAST:
            inside = (*self.shape[1:-1], 1)
        keep = self.bench.rand(count, *inside) > 0.5
        return lambda: torch.where(keep, self.x, self.y, out=self.out)

    def saliency(self, mixer: Draws) -> dict[str, Tensor]:
        """What a draw needs beside the batch."""
        return {"saliency": self.bench.rand(self.count, *self.shape[2:])} if mixer.needs_saliency else {}

    def calls(self, method: str, draws: str) -> dict[str, Callable[[], object]]:
        """The calls that are measured: a draw, a draw and a blend, the same into a buffer, and a blend into it."""
        mixer = self.mixer(method, draws)
        asked: Any = self.saliency(mixer)
        mix: Mix = mixer.draw(self.x, **asked)
        return {
            "draw": lambda: mixer.draw(self.x, **asked),
            "call": lambda: mixer(self.x, **asked),
            "out": lambda: mixer(self.x, out=self.out, **asked),
            "blend": lambda: mix(self.x, out=self.out),
        }
