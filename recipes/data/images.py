"""Small image classification sets, held in memory: digits, CIFAR-10, CIFAR-100 and Fashion-MNIST.

Mean, standard deviation, padding and flip are those of the FMix code. Another recipe changes them with
``dataclasses.replace``; PatchUp, for instance, pads by 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.data.image_files import CIFAR10, CIFAR100, FASHION_MNIST, Examples, read_cifar, read_idx


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A labelled image set with what its augmentation needs.

    Args:
        name: name of the set, extended by ``subset``.
        train_x: training images (N, C, H, W) uint8.
        train_y: training labels (N,) int64, below the number of classes.
        test_x: test images (M, C, H, W) uint8.
        test_y: test labels (M,) int64.
        classes: name of each class.
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel, for pixels in [0, 1].
        pad: zero padding of the random crop, in pixels.
        flip: whether a mirrored image keeps its class.

    Raises:
        ValueError: a tensor has the wrong shape, dtype or values.
    """

    name: str
    train_x: Tensor = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Tensor = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    def __post_init__(self) -> None:
        for split, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            if x.ndim != 4 or x.dtype != torch.uint8 or x.shape[1] != len(self.mean):
                raise ValueError(
                    f"{self.name}: {split}_x is {x.dtype} {tuple(x.shape)}, expected uint8 (N, {len(self.mean)}, H, W)"
                )
            if y.shape != x.shape[:1] or y.dtype != torch.int64:
                raise ValueError(f"{self.name}: {split}_y is {y.dtype} {tuple(y.shape)}, expected int64 ({len(x)},)")
            if len(y) == 0 or int(y.min()) < 0 or int(y.max()) >= len(self.classes):
                raise ValueError(f"{self.name}: {split}_y must hold labels in 0..{len(self.classes) - 1}")


@dataclass(frozen=True)
class HubSource:
    """Where a set lives on the Hugging Face hub: repository, image column and label column."""

    repo: str
    image: str
    label: str


@dataclass(frozen=True)
class Facts:
    """What is known of a set before its files are read; ``url`` is where it comes from."""

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    url: str
    hub: HubSource


def _words(text: str) -> tuple[str, ...]:
    """Split at spaces."""
    return tuple(text.split())


CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar.html"
FACTS = {
    "cifar10": Facts(
        classes=_words("airplane automobile bird cat deer dog frog horse ship truck"),
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        url=CIFAR_URL,
        hub=HubSource("uoft-cs/cifar10", "img", "label"),
    ),
    "cifar100": Facts(
        classes=_words(
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
            "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
            "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
            "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
            "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
            "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table "
            "tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman "
            "worm"
        ),
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        url=CIFAR_URL,
        hub=HubSource("uoft-cs/cifar100", "img", "fine_label"),
    ),
    "fashion-mnist": Facts(
        classes=(*_words("T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag"), "Ankle boot"),
        mean=(0.1307,),
        std=(0.3081,),
        url="https://github.com/zalandoresearch/fashion-mnist",
        hub=HubSource("zalando-datasets/fashion_mnist", "image", "label"),
    ),
}
NAMES = ("digits", *FACTS)


def load(name: str, *, root: Path | None = None, hub: bool = False) -> ImageSet:
    """Load an image set by name.

    Args:
        name: ``"digits"`` (part of scikit-learn: ``root`` and ``hub`` play no part), ``"cifar10"``, ``"cifar100"`` or
            ``"fashion-mnist"``.
        root: folder of the published files, or its parent, or a folder with the published archives. CIFAR is read in
            its binary and its Python form, unpacked or not, Fashion-MNIST as idx files, gzipped or not.
        hub: fetch the set from the Hugging Face hub instead.

    Raises:
        ValueError: the name is unknown, both ``root`` and ``hub`` are given, or a file is damaged.
        FileNotFoundError: the files are not there.
        ConnectionError: the hub cannot be reached.
        ImportError: an optional package is missing.

    >>> load("digits").train_x.shape
    torch.Size([1442, 1, 8, 8])
    """
    if name == "digits":
        return _digits()
    if name not in FACTS:
        raise ValueError(f"name={name!r} is unknown: choose {', '.join(NAMES)}")
    if hub and root is not None:
        raise ValueError(f"root={str(root)!r} and hub=True exclude each other: give one")
    facts = FACTS[name]
    train, test = read_hub(facts.hub) if hub else _read_files(name, root)
    return ImageSet(name, *train, *test, facts.classes, facts.mean, facts.std, pad=4, flip=True)


def subset(data: ImageSet, per_class: int, *, seed: int = 0) -> ImageSet:
    """Keep ``per_class`` training images of every class, drawn without replacement, in their original order.

    The draw depends on ``seed`` alone: the global random state is neither used nor changed. The test split stays
    whole, and the name says what was kept.

    Raises:
        ValueError: ``per_class`` is below 1 or above the size of a class.
    """
    if per_class < 1:
        raise ValueError(f"per_class={per_class} must be at least 1")
    kept = _pick(data.train_y, [per_class] * len(data.classes), seed)
    name = f"{data.name}-{per_class}-per-class-seed-{seed}"
    return replace(data, name=name, train_x=data.train_x[kept], train_y=data.train_y[kept])


def read_hub(source: HubSource) -> tuple[Examples, Examples]:
    """Fetch the ``train`` and ``test`` splits of a hub repository, or of a local folder of the same form.

    Raises:
        ImportError: the package ``datasets`` is missing.
        ConnectionError: the repository cannot be reached.
    """
    try:
        import datasets
    except ImportError as error:
        raise ImportError("hub=True needs the package datasets: pip install 'mixmodal[recipes]'") from error
    try:
        splits = datasets.load_dataset(source.repo)
    except OSError as error:
        raise ConnectionError(
            f"{source.repo} cannot be fetched from the Hugging Face hub ({type(error).__name__}): check the network, "
            "or give the published files with --data-root"
        ) from error
    return to_tensors(splits["train"], source), to_tensors(splits["test"], source)


def to_tensors(split: Any, source: HubSource) -> Examples:
    """Decode a ``datasets.Dataset`` into images (N, C, H, W) uint8 and labels (N,) int64."""
    images = torch.from_numpy(np.stack([np.asarray(image) for image in split[source.image]]))
    labels = torch.tensor(list(split[source.label]), dtype=torch.int64)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous(), labels


def _read_files(name: str, root: Path | None) -> tuple[Examples, Examples]:
    """Read the published files of ``name`` from ``root`` or the folders under it where they are usually put."""
    facts = FACTS[name]
    remedy = f"get {name} from {facts.url} and give its folder with --data-root, or fetch {facts.hub.repo} with --hub"
    if root is None:
        raise FileNotFoundError(f"no folder was given for {name}: {remedy}")
    try:
        if name == "fashion-mnist":
            return read_idx((root, root / name, root / "FashionMNIST" / "raw"), FASHION_MNIST)
        return read_cifar((root, root / name), CIFAR10 if name == "cifar10" else CIFAR100)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name} was not found, {error}: {remedy}") from error


def _digits() -> ImageSet:
    """Return scikit-learn's 1,797 digits of 8x8 pixels, of which a fifth of every class, rounded down, is the test.

    The 355 test and 1,442 training images are always the same ones. Grey values 0..16 are scaled to 0..255. Mean and
    standard deviation are those of the training images.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits". The split is this project's own.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("digits needs scikit-learn: pip install 'mixmodal[recipes]'") from error
    bunch = load_digits()
    x = torch.from_numpy(bunch.images / 16 * 255).round().to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    test = torch.zeros(len(y), dtype=torch.bool)
    test[_pick(y, [count // 5 for count in y.bincount().tolist()], seed=0)] = True
    pixels = x[~test] / 255
    mean, std = (pixels.mean().item(),), (pixels.std().item(),)
    names = tuple(str(digit) for digit in range(10))
    return ImageSet("digits", x[~test], y[~test], x[test], y[test], names, mean, std, pad=1, flip=False)


def _pick(labels: Tensor, per_class: Sequence[int], seed: int) -> Tensor:
    """Return the sorted indices of ``per_class[c]`` random examples of every class ``c``."""
    generator = torch.Generator().manual_seed(seed)
    picked = []
    for label, count in enumerate(per_class):
        members = (labels == label).nonzero().squeeze(1)
        if count > len(members):
            raise ValueError(f"per_class={count} exceeds the {len(members)} training images of class {label}")
        picked.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(picked).sort().values
