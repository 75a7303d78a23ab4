"""Bengali.AI's graphemes, from small files in Kaggle's form."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes import images
from recipes.data.images.graphemes import bengali
from recipes.data.images.graphemes.bengali import Layout

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

SMALL = Layout(height=6, width=8)
COUNT = 40


def pictures(count: int = COUNT) -> np.ndarray[Any, Any]:
    """White pictures with a dark box each, whose grey tells which picture it is."""
    found = np.full((count, 6, 8), 255, dtype=np.uint8)
    for number in range(count):
        found[number, 1:4, 2:7] = number
    return found


def write(root: Path, name: str, ids: list[str], pixels: np.ndarray[Any, Any]) -> None:
    flat = pixels.reshape(len(ids), -1)
    columns = {"image_id": ids} | {str(column): flat[:, column] for column in range(flat.shape[1])}
    parquet.write_table(pyarrow.table(columns), root / name)


def in_kaggles_form(root: Path) -> Path:
    """A folder of 40 graphemes, each with labels that its grey tells."""
    ids = [f"Train_{number}" for number in range(COUNT)]
    lines = ["image_id,grapheme_root,vowel_diacritic,consonant_diacritic,grapheme"]
    lines += [f"{name},{number},{number % 11},{number % 7},x" for number, name in enumerate(ids)]
    (root / "train.csv").write_text("\n".join(reversed(lines[1:])).join([lines[0] + "\n", "\n"]))
    write(root, "train_image_data_0.parquet", ids[:25], pictures()[:25])
    write(root, "train_image_data_1.parquet", ids[25:], pictures()[25:])
    write(root, "test_image_data_0.parquet", ["Test_0"], pictures(1))
    return root


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    return in_kaggles_form(tmp_path)


@pytest.mark.parametrize(("target", "classes"), [("root", 168), ("vowel", 11), ("consonant", 7)])
def test_pictures_have_the_labels_of_their_ids(kaggle: Path, target: Any, classes: int) -> None:
    data = bengali.load(kaggle, target=target, layout=SMALL)
    assert len(data.classes) == classes
    assert len(data.train_x) + len(data.test_x) == COUNT
    assert (data.mean, data.std, data.pad, data.flip) == ((0.0692,), (0.2051,), 0, False)
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert x.shape[1:] == (1, 64, 64)
        for picture, label in zip(x, y.tolist(), strict=True):
            (ink,) = picture.unique().tolist()  # the box alone
            assert label == (255 - ink) % {"root": 999, "vowel": 11, "consonant": 7}[target]


def test_each_picture_is_tested_in_one_fold(kaggle: Path) -> None:
    tested = []
    for fold in range(5):
        data = bengali.load(kaggle, target="root", fold=fold, layout=SMALL)
        tested += data.test_y.tolist()
        assert {*data.train_y.tolist()} == {*range(COUNT)} - {*data.test_y.tolist()}
    assert sorted(tested) == [*range(COUNT)]


def test_folds_are_fifths() -> None:
    """10,000 ids: each fold within 4.5 standard errors of 2,000."""
    counts = np.bincount([bengali.fold_of(f"Train_{number}") for number in range(10_000)], minlength=5)
    assert len(counts) == 5
    assert abs(counts - 2000).max() < 4.5 * (10_000 * 0.2 * 0.8) ** 0.5


def test_what_is_written_fills_the_picture() -> None:
    picture = np.full((6, 8), 255, dtype=np.uint8)
    picture[1:3, 2:6] = 55
    picture[5, 7] = 250  # as faint as nothing
    assert (bengali.written(picture) == 200).all()
    picture[5, 7] = 249
    assert np.unique(bengali.written(picture)).tolist()[0] < 10
    blank = np.full((6, 8), 252, dtype=np.uint8)
    assert bengali.written(blank).shape == (64, 64)
    assert (bengali.written(blank) == 3).all()


def without(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def edited(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / "train.csv").write_text((root / "train.csv").read_text().replace(old, new))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (without("train.csv"), r"has no train.csv with train_image_data_\*\.parquet: get it from http"),
    "a part": (without("train_image_data_1.parquet"), r"has 25 of the 40 pictures of train.csv in 1 files"),
    "column": (edited("grapheme_root", "root"), "train.csv lacks the column grapheme_root: fetch it again"),
    "label": (edited("Train_3,3,", "Train_3,168,"), "has 'Train_3' with grapheme_root '168': fetch it again"),
    "word": (edited("Train_3,3,", "Train_3,a,"), "has 'Train_3' with grapheme_root 'a': fetch it again"),
    "digits": (edited("Train_3,3,", f"Train_3,{'9' * 5000},"), r"has 'Train_3' with grapheme_root '9+: fetch it again"),
    "short": (edited("Train_3,3,", "Train_3\n,"), r"line \d+ has 'Train_3' with grapheme_root '': fetch it again"),
    "csv": (edited("Train_3,3,", 'Train_3,"' + "9" * 200_000), r"train.csv line \d+ cannot be read \(.*: fetch it"),
    "twice": (edited("Train_3,", "Train_4,"), "has 'Train_4' with grapheme_root '[34]': fetch it again"),
    "unknown": (edited("Train_3,", "Train_99,"), "has 'Train_3', which train.csv lacks or .* has twice: fetch"),
    "again": (
        lambda root: write(root, "train_image_data_2.parquet", ["Train_3"], pictures(1)),
        "has 'Train_3', which train.csv lacks or .* has twice: fetch it again",
    ),
    "damaged": (
        lambda root: (root / "train_image_data_1.parquet").write_bytes(b"PAR1"),
        r"train_image_data_1\.parquet cannot be read .*: fetch it again",
    ),
    "pixels": (
        lambda root: write(root, "train_image_data_1.parquet", ["Train_3"], np.zeros((1, 5), dtype=np.uint8)),
        "it lacks columns of image_id and 48 pixels",
    ),
    "floats": (
        lambda root: write(root, "train_image_data_1.parquet", ["Train_3"], np.zeros((1, 48), dtype=np.float32)),
        "its pixels are float32, expected uint8",
    ),
}


@pytest.mark.parametrize(("damage", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_damaged_files_are_named(kaggle: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(kaggle)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        bengali.load(kaggle, target="root", layout=SMALL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--data bengali --data-root x",
            "target=None is not one of Bengali.AI's: give --target root, vowel, consonant",
        ),
        ("--data bengali --target root", "no folder was given for bengali: get it from"),
        ("--data bengali --target root --fold 5 --data-root x", "fold=5 must be 0 to 4"),
        ("--data bengali --target root --hub", "data='bengali' is read from Kaggle's files"),
        ("--data cifar10 --data-root x --target root", "target='root' is not for --data cifar10: leave it out"),
    ],
)
def test_options_that_do_not_go_together(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        images.main(words.split())
    said = " ".join((str(error.value) + capsys.readouterr().err).replace("│", " ").split())
    assert re.search(message, said), said


def test_a_network_is_trained_on_them(kaggle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bengali, "Layout", lambda: SMALL)
    words = ["--data", "bengali", "--data-root", str(kaggle), "--target", "vowel", "--width", "4", "--batch-size", "8"]
    images.main([*words, "--smoke", "--device", "cpu", "--out", str(kaggle / "run")])
    assert (kaggle / "run/result.json").is_file()
