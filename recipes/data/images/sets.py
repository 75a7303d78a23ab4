"""Image classification sets: digits, the sets of the FMix and PatchUp papers, and folders of images.

They are held in memory, unless they are too large for that: see ``recipes.data.images.reading``.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from recipes.data.disk.lazy import Samples
from recipes.data.files import Examples
from recipes.data.images.facts import FACTS, IMAGENET_HUB, IMAGENET_MEAN, IMAGENET_STD, PATCHUP
from recipes.data.images.files import CIFAR10, CIFAR100, FASHION_MNIST, SVHN, read_cifar, read_idx, read_svhn
from recipes.data.images.folders import TINY_IMAGENET, read_folder, read_tiny_imagenet
from recipes.data.images.hub import read_hub
from recipes.data.images.reading.imagenet import read_imagenet, squares
from recipes.data.subsets import pick, shuffled

IMAGENETS = ("imagenet", "imagenet-a")
NAMES = ("digits", *FACTS, *IMAGENETS, "folder")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A labelled image set with what its augmentation needs.

    Args:
        name: name of the set, extended by ``subset`` and ``split_off``.
        train_x: training images (N, C, H, W) uint8.
        train_y: training labels (N,) int64, below the number of classes.
        test_x: test images (M, C, H, W) uint8.
        test_y: test labels (M,) int64.
        classes: name of each class.
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel, for pixels in [0, 1].
        pad: zero padding of the random crop, in pixels.
        flip: whether a mirrored image keeps its class.
        tested: numbers of the classes in the test set, if answers are to be among them; empty otherwise.

    Raises:
        ValueError: a tensor has the wrong shape, dtype or values.
    """

    name: str
    train_x: Samples = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Samples = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool
    tested: tuple[int, ...] = field(default=(), repr=False)

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


def load(name: str, *, root: Path | None = None, hub: bool = False, side: int | None = None) -> ImageSet:
    """Load an image set by name.

    Mean, standard deviation, padding and flip are those of ``recipes.data.images.facts``.

    Args:
        name: ``"digits"`` (part of scikit-learn: ``root`` and ``hub`` play no part), ``"cifar10"``, ``"cifar100"``,
            ``"fashion-mnist"``, ``"svhn"``, ``"tiny-imagenet"``, ``"imagenet"``, ``"imagenet-a"`` or ``"folder"``.
        root: folder of the published files, or its parent, or a folder with the published archives. CIFAR is read in
            its binary and its Python form, unpacked or not, Fashion-MNIST as idx files, gzipped or not, SVHN's cropped
            digits as MATLAB files, Tiny-ImageNet as its unpacked folder. For ``"folder"``, see ``read_folder``,
            and for the ImageNets ``read_imagenet``.
        hub: fetch the set from the Hugging Face hub instead.
        side: pixels that the images of ``"folder"`` and the ImageNets are resized and cropped to.

    Raises:
        ValueError: the name is unknown, options contradict each other, or a file is damaged.
        FileNotFoundError: the files are not there.
        ConnectionError: the hub cannot be reached.
        ImportError: an optional package is missing.

    >>> load("digits").train_x.shape
    torch.Size([1442, 1, 8, 8])
    """
    if name not in NAMES:
        raise ValueError(f"name={name!r} is unknown: choose {', '.join(NAMES)}")
    if side is not None and name not in (*IMAGENETS, "folder"):
        raise ValueError(f"side={side} is for 'folder' and the ImageNets, not for {name!r}: leave it out")
    if side is not None and side < 1:
        raise ValueError(f"side={side} must be a number of pixels of at least 1")
    if name == "digits":
        return _digits()
    if name == "folder":
        return _folder(root, hub, side)
    if hub and root is not None:
        raise ValueError(f"root={str(root)!r} and hub=True exclude each other: give one")
    if name in IMAGENETS:
        return _imagenet(name, root, hub, side)
    facts = FACTS[name]
    train, test, classes = read_hub(facts.hub) if hub else _read_files(name, root)
    return ImageSet(name, *train, *test, facts.classes or classes, facts.mean, facts.std, facts.pad, facts.flip)


def as_in_patchup(data: ImageSet) -> ImageSet:
    """Return a set of the PatchUp paper, or a part of it, with the mean, deviation, padding and flip of its code.

    Raises:
        ValueError: the paper does not have the set.
    """
    facts = next((facts for name, facts in PATCHUP.items() if f"{data.name}-".startswith(f"{name}-")), None)
    if facts is None:
        raise ValueError(f"{data.name} is not in the PatchUp paper, which has {', '.join(PATCHUP)}")
    return replace(data, mean=facts.mean, std=facts.std, pad=facts.pad, flip=facts.flip)


def split_off(data: ImageSet, per_class_limit: int, validation: int, *, seed: int = 0) -> tuple[ImageSet, Examples]:
    """Split every class of the training images at random, as PatchUp does: validation first, then training.

    The images of a class are shuffled. The first ``validation`` are the validation images, of the others the first
    ``per_class_limit`` are the training images and the rest is left out. A class may have fewer: of 5,000 images,
    ``per_class_limit=5000, validation=500`` leaves 4,500. Images keep their original order. The draw depends on
    ``seed`` alone: the global random state is neither used nor changed. The test split stays whole.

    Args:
        data: set whose training images are split.
        per_class_limit: most training images of a class.
        validation: validation images of every class.
        seed: of the shuffle.

    Returns:
        the set with fewer training images, and the validation images (V, C, H, W) uint8 and labels (V,) int64.

    Raises:
        ValueError: a number is below 1, or a class has no image left for training.

    Source: Faramarzi et al. 2020 (PatchUp), from their published code. Its numbers are
    ``recipes.data.images.facts.PATCHUP_SPLITS``.
    """
    if per_class_limit < 1 or validation < 1:
        raise ValueError(f"per_class_limit={per_class_limit} and validation={validation} must be at least 1")
    members = shuffled(data.train_y, len(data.classes), seed)
    for label, of_class in enumerate(members):
        if len(of_class) <= validation:
            raise ValueError(
                f"validation={validation} leaves no training image of class {label}, which has {len(of_class)}"
            )
    kept = torch.cat([each[validation : validation + per_class_limit] for each in members]).sort().values
    held = torch.cat([each[:validation] for each in members]).sort().values
    name = f"{data.name}-without-{validation}-per-class-seed-{seed}"
    fewer = replace(data, name=name, train_x=data.train_x[kept], train_y=data.train_y[kept])
    return fewer, (data.train_x[held], data.train_y[held])


def _read_files(name: str, root: Path | None) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Read the published files of ``name`` from ``root`` or the folders under it where they usually are.

    The third value is the names of the classes, if the files have them.
    """
    facts = FACTS[name]
    remedy = f"get {name} from {facts.url} and give its folder with --data-root, or fetch {facts.hub.repo} with --hub"
    if root is None:
        raise FileNotFoundError(f"no folder was given for {name}: {remedy}")
    try:
        if name == "tiny-imagenet":
            return read_tiny_imagenet((root, root / name), TINY_IMAGENET)
        if name == "fashion-mnist":
            train, test = read_idx((root, root / name, root / "FashionMNIST" / "raw"), FASHION_MNIST)
        elif name == "svhn":
            train, test = read_svhn((root, root / name), SVHN)
        else:
            train, test = read_cifar((root, root / name), CIFAR10 if name == "cifar10" else CIFAR100)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name} was not found, {error}: {remedy}") from error
    return train, test, ()


def _folder(root: Path | None, hub: bool, side: int | None) -> ImageSet:
    """Return the set in ``root``, with ImageNet's mean and deviation."""
    form = "give --data-root DIR with images in DIR/train/CLASS/ and DIR/test/CLASS/ or DIR/val/CLASS/"
    if hub:
        raise ValueError(f"hub=True is for named sets, not for 'folder': {form}")
    if root is None:
        raise FileNotFoundError(f"no folder was given for 'folder': {form}")
    try:
        train, test, names = read_folder(root, side)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}: {form}") from error
    name = f"folder-{root.resolve().name}"
    return ImageSet(name, *train, *test, names, IMAGENET_MEAN, IMAGENET_STD, pad=4, flip=True)


def _imagenet(name: str, root: Path | None, hub: bool, side: int | None) -> ImageSet:
    """Return ImageNet, or its training images and the test images of ImageNet-a."""
    form = "give --data-root DIR with images in DIR/train/CLASS/ and DIR/val/CLASS/, or for imagenet-a DIR/imagenet-a/"
    if hub and name == "imagenet-a":
        raise ValueError(f"hub=True is for imagenet, not for {name!r}: {form}")
    tested: tuple[int, ...] = ()
    if hub:
        train, test, names = read_hub(IMAGENET_HUB, train=squares(side), test=squares(side))
    elif root is None:
        raise FileNotFoundError(f"no folder was given for {name!r}: {form}")
    else:
        try:
            train, test, names, tested = read_imagenet(root, side, adversarial=name == "imagenet-a")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}: {form}") from error
    return ImageSet(name, *train, *test, names, IMAGENET_MEAN, IMAGENET_STD, pad=0, flip=True, tested=tested)


def _digits() -> ImageSet:
    """Return scikit-learn's 1,797 digits of 8x8 pixels; a fifth of every class, rounded down, is for testing.

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
    test[pick(y, [count // 5 for count in y.bincount().tolist()], seed=0)] = True
    pixels = x[~test] / 255
    mean, std = (pixels.mean().item(),), (pixels.std().item(),)
    names = tuple(str(digit) for digit in range(10))
    return ImageSet("digits", x[~test], y[~test], x[test], y[test], names, mean, std, pad=1, flip=False)
