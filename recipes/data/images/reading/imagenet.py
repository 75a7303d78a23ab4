"""ImageNet, and any set in its form, whose images are decoded on demand; and ImageNet-a.

Source: Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge"; Hendrycks et al. 2021, "Natural
Adversarial Examples" (ImageNet-a).
"""

from pathlib import Path

import torch

from recipes.data.files import Examples, csv_rows, files_in, listed
from recipes.data.images.folders import SUFFIXES, classes_in, images_in
from recipes.data.images.reading.decoding import Square
from recipes.data.images.reading.lazily import Files, images_of

SIDE = 224
KAGGLE, SOLUTION = Path("ILSVRC", "Data", "CLS-LOC"), "LOC_val_solution.csv"
"""Where Kaggle's archive has the images, and its list of the classes of the validation images."""


def squares(side: int | None) -> Square:
    """The middle square of ``side`` pixels, 224 by default, of an image whose shorter side becomes 256/224 of it."""
    side = SIDE if side is None else side
    return Square(side, shorter=round(side * 256 / 224))


def read_imagenet(
    root: Path, side: int | None, *, adversarial: bool
) -> tuple[Examples, Examples, tuple[str, ...], tuple[int, ...]]:
    """Read ``root/train/CLASS/*`` and ``root/val/CLASS/*``, or Kaggle's archive with its list of validation images.

    In training, a random part of training images is cut out, as by torchvision's ``RandomResizedCrop``; otherwise, and
    from test images, the square in the middle, as by its ``Resize`` and ``CenterCrop``.

    Args:
        root: the folder.
        side: pixels of the squares; 224 by default.
        adversarial: test on ``root/imagenet-a/CLASS/*`` instead, whose classes are some of those in ``train``.

    Returns:
        training and test examples, images (N, 3, side, side) uint8 and labels (N,) int64; the names of the classes; and
        the numbers of those that are tested if only some are, else none.

    Raises:
        FileNotFoundError: there are no such folders.
        ValueError: a class has no image or is tested but not trained, or the first image is damaged.
    """
    bases = (root, root / KAGGLE)
    base = next((base for base in bases if classes_in(base / "train")), None)
    if base is None:
        raise FileNotFoundError(f"{listed(bases)} has no folder train with a folder of images for each class")
    names = classes_in(base / "train")
    found = (
        _in_folders(root / "imagenet-a") if adversarial else _in_folders(base / "val") or _in_list(base / "val", root)
    )
    if not found:
        lacking = root / "imagenet-a" if adversarial else base / "val"
        flat = files_in(lacking, *SUFFIXES)
        reason = f"has images, such as {flat[0].name}, that are in no class folder, and there is no {SOLUTION}"
        raise FileNotFoundError(f"{lacking} {reason if flat else 'has no folder of images for each class'}")
    unknown = sorted(found.keys() - {*names})
    if unknown:
        raise ValueError(f"{base / 'train'} lacks classes that are tested: {', '.join(unknown)}")
    square = squares(side)
    train = _examples([images_in(base / "train" / name) for name in names], square, random=True)
    test = _examples([found.get(name, []) for name in names], square)
    return train, test, names, tuple(names.index(name) for name in sorted(found)) if adversarial else ()


def _examples(by_class: list[list[Path]], square: Square, *, random: bool = False) -> Examples:
    """Images and labels of files, class by class."""
    labels = torch.arange(len(by_class)).repeat_interleave(torch.tensor([len(paths) for paths in by_class]))
    return images_of(Files(path for paths in by_class for path in paths), square, random=random), labels


def _in_folders(folder: Path) -> dict[str, list[Path]]:
    """The images of each class that has a folder."""
    return {name: images_in(folder / name) for name in classes_in(folder)}


def _in_list(folder: Path, root: Path) -> dict[str, list[Path]]:
    """The images of each class in a folder without class folders, by Kaggle's list; none if there is no list."""
    path = root / SOLUTION
    if not path.is_file():
        return {}
    by_name = {image.stem: image for image in files_in(folder, *SUFFIXES)}
    found: dict[str, list[Path]] = {}
    for row in csv_rows(path):
        if row == ["ImageId", "PredictionString"]:
            continue
        if len(row) != 2 or not row[1].strip() or row[0] not in by_name:
            raise ValueError(
                f"{path} has {','.join(row)!r:.80}, expected the name of an image in {folder}, a comma, and the "
                f"name of its class first: unpack it again"
            )
        found.setdefault(row[1].split()[0], []).append(by_name.pop(row[0]))
    if by_name:
        raise ValueError(f"{path} lacks {min(by_name)}, which is in {folder}: unpack it again")
    return {name: sorted(paths) for name, paths in found.items()}
