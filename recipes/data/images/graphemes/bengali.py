"""Bengali.AI's handwritten graphemes, in Kaggle's files; each has a root and two diacritics.

Source: https://www.kaggle.com/c/bengaliai-cv19. Pictures are changed as in the FMix code (Harris et al. 2020): they are
inverted, cropped to the writing, and resized to 64 x 64.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipes.data.files import csv_rows, files_in
from recipes.data.images.sets import ImageSet
from recipes.data.splits import share_of

Target = Literal["root", "vowel", "consonant"]
COLUMNS = {"root": ("grapheme_root", 168), "vowel": ("vowel_diacritic", 11), "consonant": ("consonant_diacritic", 7)}
"""Column and number of classes of each target."""
MEAN, STD = (0.0692,), (0.2051,)
FOLDS = 5
SIDE = 64
FAINT = 5
"""Grey level of inverted pictures up to which a pixel counts as blank."""
AT_ONCE = 512


@dataclass(frozen=True)
class Layout:
    """The form of the files: ``train.csv`` and ``PREFIX*.parquet`` with rows of an id and ``height * width`` pixels."""

    prefix: str = "train_image_data_"
    height: int = 137
    width: int = 236


def load(
    root: Path | None, *, target: Target | None, fold: int | None = None, layout: Layout | None = None
) -> ImageSet:
    """Load the graphemes with the labels of one target.

    One fold, a fifth of the pictures chosen by the hash of their ids, is for testing.

    Args:
        root: folder with ``train.csv`` and the parquet files.
        target: which of the three labels.
        fold: number of the fifth that is tested, 0 to 4; 0 if None.
        layout: form of the files; Kaggle's if None.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: there is no such ``target`` or ``fold``, or a file is damaged.
        ImportError: the package ``pyarrow`` is missing.
    """
    if target not in COLUMNS:
        raise ValueError(f"target={target!r} is not one of Bengali.AI's: give --target {', '.join(COLUMNS)}")
    fold = 0 if fold is None else fold
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold={fold} must be 0 to {FOLDS - 1}")
    remedy = "get it from https://www.kaggle.com/c/bengaliai-cv19 and give its folder with --data-root DIR"
    if root is None:
        raise FileNotFoundError(f"no folder was given for bengali: {remedy}")
    layout = layout or Layout()
    files = [path for path in files_in(root, ".parquet") if path.name.startswith(layout.prefix)]
    if not files or not (root / "train.csv").is_file():
        raise FileNotFoundError(f"{root} has no train.csv with {layout.prefix}*.parquet: {remedy}")
    column, classes = COLUMNS[target]
    labels = _labels(root / "train.csv", column, classes)
    x, y, tested = _stacked(files, labels, fold, layout, root)
    train, test = (x[~tested], y[~tested]), (x[tested], y[tested])
    names = tuple(str(label) for label in range(classes))
    return ImageSet(f"bengali-{target}-fold-{fold}", *train, *test, names, MEAN, STD, pad=0, flip=False)


def fold_of(name: str) -> int:
    """The fold in which a picture is tested.

    >>> 0 <= fold_of("Train_0") < 5
    True
    """
    return int(FOLDS * share_of(name))


def written(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Invert a picture (H, W) uint8, crop it to the writing, and resize it to (64, 64) without keeping proportions.

    A blank picture is not cropped.
    """
    ink = 255 - pixels
    rows, columns = ((ink > FAINT).any(axis) for axis in (1, 0))
    if rows.any():
        (top, bottom), (left, right) = (np.flatnonzero(each)[[0, -1]] for each in (rows, columns))
        ink = ink[top : bottom + 1, left : right + 1]
    return np.asarray(Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _labels(path: Path, column: str, classes: int) -> dict[str, int]:
    """The label of each picture by its id."""
    rows = csv_rows(path)
    names = next(rows, [])
    missing = [name for name in ("image_id", column) if name not in names]
    if missing:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}: fetch it again")
    labels = {}
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        values = dict(zip(names, row, strict=False))
        name, label = values.get("image_id", ""), values.get(column, "")
        if not label.isdecimal() or len(label) > len(f"{classes}") or int(label) >= classes or name in labels:
            raise ValueError(f"{path} line {number} has {name!r:.80} with {column} {label!r:.80}: fetch it again")
        labels[name] = int(label)
    return labels


def _stacked(
    files: list[Path], labels: dict[str, int], fold: int, layout: Layout, root: Path
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, 1, 64, 64) uint8, their labels, and whether they are tested."""
    x = torch.empty(len(labels), 1, SIDE, SIDE, dtype=torch.uint8)
    names: list[str] = []
    for path in files:
        for name, pixels in _pictures(path, layout):
            if name not in labels or len(names) == len(labels):
                raise ValueError(f"{path} has {name!r}, which train.csv lacks or {root} has twice: fetch it again")
            x[len(names), 0] = torch.from_numpy(written(pixels).copy())
            names.append(name)
    if len({*names}) < len(labels):
        raise ValueError(
            f"{root} has {len({*names}):,} of the {len(labels):,} pictures of train.csv in {len(files)} files of "
            f"{layout.prefix}*.parquet: fetch the others"
        )
    y = torch.tensor([labels[name] for name in names], dtype=torch.int64)
    return x, y, torch.tensor([fold_of(name) == fold for name in names], dtype=torch.bool)


def _pictures(path: Path, layout: Layout) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Names and pixels (H, W) uint8 of the rows of a file, a few in memory at a time."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError("bengali needs the package pyarrow: pip install 'mixmodal[recipes]'") from error
    columns = ["image_id", *map(str, range(layout.height * layout.width))]
    try:
        file = parquet.ParquetFile(path)
        if {*columns} - {*file.schema_arrow.names}:
            raise ValueError(f"it lacks columns of image_id and {len(columns) - 1:,} pixels")
        for batch in file.iter_batches(AT_ONCE, columns=columns):
            names, *rest = batch.select(columns).columns  # in the file's order until here
            pixels = np.stack([column.to_numpy(zero_copy_only=False) for column in rest], axis=1)
            if pixels.dtype != np.uint8:
                raise ValueError(f"its pixels are {pixels.dtype}, expected uint8")
            yield from zip(names.to_pylist(), pixels.reshape(-1, layout.height, layout.width), strict=True)
    except (ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): fetch it again") from error
