"""Altered test images, and the errors of networks on them."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recipes.analyses.shared.trained import Trained
from recipes.data.disk.kept import whole
from recipes.data.loading import ordered_loader
from recipes.pictures.conditions import Band
from recipes.reporting import intervals
from recipes.reporting.intervals import Values

SHOWN = 8
"""Images in a picture of samples."""


class Alterations:
    """Altered test images by name, made once and shared by all networks that have the same test images.

    Args:
        make: maps test images (N, C, H, W) uint8 and a name to altered images of the same kind.
        folder: where to keep them for later analyses, one file per name; only in memory if None.
        facts: anything else they depend on, such as the seed; stored in the files.

    >>> darker = Alterations(lambda x, name: x // int(name))
    >>> x = torch.full((1, 1, 1, 1), 8, dtype=torch.uint8)
    >>> darker(x, "2").item(), darker(x, "2") is darker(x, "2")
    (4, True)
    """

    def __init__(
        self,
        make: Callable[[Tensor, str], Tensor],
        *,
        folder: Path | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self.make, self.folder = make, folder
        self.facts = {name: str(value) for name, value in (facts or {}).items()}
        self.made: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, name: str) -> Tensor:
        """The images of `name`.

        Raises:
            ValueError: different images were altered before, so the networks are not tested on the same ones; or the
                file of `name` is damaged, or holds images that were altered from others or in another way.
            OSError: they cannot be saved.
        """
        given, altered = self.made.get(name, (None, None))
        if given is None or altered is None:
            self.made[name] = x, altered = x, self._kept(x, name)
        elif given is not x and not torch.equal(given, x):
            raise ValueError("the runs have different test images; analyse them separately")
        return altered

    def _kept(self, x: Tensor, name: str) -> Tensor:
        """The images of a file, which is written if it is missing."""
        if self.folder is None:
            return self.make(x, name)
        path = self.folder / f"{name.replace(' ', '-')}.safetensors"
        digest = hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
        wanted = {**self.facts, "name": name, "altered from": digest}
        if not path.exists():
            altered = self.make(x, name)
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(path) as place:
                save_file({"images": altered.contiguous()}, place, metadata=wanted)
            return altered
        try:
            with safe_open(path, framework="pt") as file:
                found = file.metadata() or {}
                images: Tensor = file.get_tensor("images")
        except SafetensorError as error:
            raise ValueError(f"sets: {path} is damaged ({error}): remove it, and it will be made again") from error
        for key, value in wanted.items():
            if found.get(key) != value:
                raise ValueError(
                    f"sets: the images of {path} differ in {key!r}, {found.get(key)} there and {value} now: choose "
                    f"another folder"
                )
        return images


@torch.no_grad()
def error(trained: Trained, x: Tensor, labels: Tensor, batch_size: int = 250) -> float:
    """Percentage of images (N, C, H, W) uint8 that a network misclassifies, given their labels (N,)."""
    wrong = 0
    for some, y in ordered_loader(x, labels, batch_size=batch_size):
        logits = trained.net(trained.normalise(some.to(trained.device).float() / 255))
        wrong += int((logits.argmax(dim=1).cpu() != y).sum())
    return 100 * wrong / len(x)


def add(measured: dict[str, dict[str, dict[int, float]]], quantity: str, trained: Trained, value: float) -> None:
    """Record what was measured for a network."""
    measured.setdefault(quantity, {}).setdefault(trained.method, {})[trained.seed] = value


def bands(measured: Mapping[str, Values]) -> dict[str, dict[str, Band]]:
    """Mean and half-width of the interval, by quantity and method."""
    return {
        quantity: {
            method: (found.mean, found.half)
            for method, seeds in values.items()
            for found in (intervals.interval(list(seeds.values())),)
        }
        for quantity, values in measured.items()
    }
