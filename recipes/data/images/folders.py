"""Read sets that are folders of image files: Tiny-ImageNet as published, and one folder for each class.

Source: http://cs231n.stanford.edu/tiny-imagenet-200.zip.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.data.files import Examples, files_in, is_hidden, listed, text_of
from recipes.data.images.reading.decoding import ONE_SIZE, Square
from recipes.data.images.reading.lazily import Files, images_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
TEST_FOLDERS = ("test", "val")


@dataclass(frozen=True)
class TinyLayout:
    """The published form of Tiny-ImageNet.

    Args:
        folder: name of the unpacked folder.
        classes: number of classes.
        per_class: number of training images of every class.
        test: number of images of the ``val`` split, which is the test set: the published test has no labels.
    """

    folder: str
    classes: int
    per_class: int
    test: int


TINY_IMAGENET = TinyLayout("tiny-imagenet-200", classes=200, per_class=500, test=10_000)


def read_tiny_imagenet(bases: tuple[Path, ...], layout: TinyLayout) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Read Tiny-ImageNet from the first of ``bases`` that is its unpacked folder or holds it.

    Labels number the sorted WordNet ids, as on the hub; classes are named by their first synonym in ``words.txt``.

    Returns:
        training and test examples, images (N, 3, H, W) uint8 and labels (N,) int64, and the names of the classes.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: a file is missing from a folder that is there, or damaged.
    """
    places = (place for base in bases for place in (base, base / layout.folder))
    root = next((place for place in places if (place / "wnids.txt").is_file()), None)
    if root is None:
        raise FileNotFoundError(f"no unpacked {layout.folder}/ with its wnids.txt is in {listed(bases)}")
    ids = sorted(_lines(root / "wnids.txt", layout.classes))
    wrong = next((wnid for wnid in ids if not _is_name(wnid)), None)
    if wrong is not None:
        raise ValueError(f"{root / 'wnids.txt'} has {wrong!r:.80}, expected names of folders: unpack it again")
    words = dict(line.split("\t")[:2] for line in _lines(root / "words.txt") if "\t" in line)
    label_of = {wnid: label for label, wnid in enumerate(ids)}
    train = [images_in(root / "train" / wnid / "images") for wnid in ids]
    for wnid, paths in zip(ids, train, strict=True):
        if len(paths) != layout.per_class:
            raise ValueError(
                f"{root / 'train' / wnid / 'images'} has {len(paths):,} images, expected {layout.per_class:,}: unpack "
                "it again"
            )
    annotations = root / "val" / "val_annotations.txt"
    test: list[list[Path]] = [[] for _ in ids]
    for line in _lines(annotations, layout.test):
        file, wnid = (*line.split("\t"), "")[:2]
        if wnid not in label_of:
            raise ValueError(f"{annotations} has {file!r:.80} in {wnid!r:.80}, which wnids.txt lacks: unpack it again")
        if not _is_name(file):
            raise ValueError(f"{annotations} has {file!r:.80}, expected names of images: unpack it again")
        test[label_of[wnid]].append(root / "val" / "images" / file)
    names = tuple(words.get(wnid, wnid).split(",")[0] for wnid in ids)
    return _decoded(train), _decoded(test), names


def read_folder(root: Path, side: int | None) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Read ``root/train/CLASS/*`` and ``root/test/CLASS/*``, or ``root/val`` where ``test`` has no class.

    Labels number the sorted names of the folders in ``train``. Images become RGB as a viewer shows them: see
    ``recipes.data.images.pixels`` for orientation, transparency, 16 bits and animations. Hidden files and folders, and
    files with other suffixes, are left out.

    Args:
        root: folder with the two splits.
        side: resize the shorter side of every image to this many pixels and cut out the square in the middle, as
            torchvision's ``Resize`` and ``CenterCrop`` do; by default images stay as they are and must have one size.

    Returns:
        as from ``read_tiny_imagenet``.

    Raises:
        FileNotFoundError: there are no such folders.
        ValueError: a class has no image, the test split has a class that training lacks, images differ in size, or an
            image is damaged.
    """
    names = classes_in(root / "train")
    tests = [(root / folder, classes_in(root / folder)) for folder in TEST_FOLDERS]
    test, test_names = next((found for found in tests if found[1]), (root, ()))
    if not names or not test_names:
        lacking = "train" if not names else " or ".join(TEST_FOLDERS)
        raise FileNotFoundError(f"{root} has no folder {lacking} with a folder of images for each class")
    unknown = sorted({*test_names} - {*names})
    if unknown:
        raise ValueError(f"{test} has classes that {root / 'train'} lacks: {', '.join(unknown)}")
    train_examples = _decoded([images_in(root / "train" / name) for name in names], side)
    test_examples = _decoded([images_in(test / name) if name in test_names else [] for name in names], side)
    train_size, test_size = (f"{x.shape[-1]}x{x.shape[-2]}" for x, _ in (train_examples, test_examples))
    if train_size != test_size:
        raise ValueError(f"{root / 'train'} has images of {train_size} pixels, {test} of {test_size}: {ONE_SIZE}")
    return train_examples, test_examples, names


def read_images(folder: Path) -> Examples:
    """Read ``folder/CLASS/*``, which must have one size; labels number the sorted names of the folders.

    Raises:
        ValueError: there is no class, a class has no image, images differ in size, or an image is damaged.
    """
    names = classes_in(folder)
    if not names:
        raise ValueError(f"{folder} has no folder of images for each class")
    return _decoded([images_in(folder / name) for name in names])


def _decoded(by_class: list[list[Path]], side: int | None = None) -> Examples:
    """The images of every class, in order."""
    labels = torch.arange(len(by_class)).repeat_interleave(torch.tensor([len(members) for members in by_class]))
    files = Files(path for members in by_class for path in members)
    return images_of(files, None if side is None else Square(side, shorter=side)), labels


def classes_in(folder: Path) -> tuple[str, ...]:
    """Name the folders in ``folder``, sorted; none if it is not there."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path)))


def images_in(folder: Path) -> list[Path]:
    """List the image files in ``folder``, sorted by name."""
    paths = files_in(folder, *SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no images ({', '.join(suffix[1:] for suffix in SUFFIXES)})")
    return paths


def _is_name(text: str) -> bool:
    """Whether a text names a file in a folder, and nothing outside it."""
    return text not in ("", "..") and text == Path(text).name


def _lines(file: Path, expected: int | None = None) -> list[str]:
    """Read the lines of a text file, of which there must be ``expected``."""
    if not file.is_file():
        raise ValueError(f"{file.parent} lacks {file.name}: unpack it again")
    lines = text_of(file.read_bytes(), f"{file}").splitlines()
    if expected not in (None, len(lines)):
        raise ValueError(f"{file} has {len(lines):,} lines, expected {expected:,}: unpack it again")
    return lines
