"""The packed files follow from their sources, byte for byte."""

import csv
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from recipes.data.audio.containers import sound_of
from recipes.data.packed import comments, files, furniture, speech

sys.path.insert(0, str(Path(__file__).parents[4] / "docs" / "scripts"))

import packed  # of docs/scripts


def same(out: Path, *names: str) -> bool:
    """Whether files are those that come with the recipes: tables and points by what is compressed in them."""

    def read(path: Path) -> bytes:
        return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()

    return all(read(out / name) == read(files.FOLDER / name) for name in names)


def test_comments_are_those_of_the_challenge(real: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real("toxic")
    packed.pack_comments(folder, tmp_path)
    assert same(tmp_path, comments.TABLE)
    with (folder / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    data = comments.load()
    assert [row["comment_text"] for row in rows] == [*data.train_x]
    assert [[float(row[label]) for label in data.classes] for row in rows] == data.train_y.tolist()


@pytest.mark.slow
def test_words_are_chosen_and_coded_again(real: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real("speech_commands")
    packed.pack_speech(folder, tmp_path)
    assert same(tmp_path, speech.CLIPS, speech.LIST)
    data, listed = speech.load(), files.rows(speech.LIST)
    for number in range(0, 700, 50):
        wave, _ = soundfile.read(folder / listed[number]["clip"], dtype="float64")
        coded = data.train_x[number][: len(wave)].double() / 32768
        lost = (coded - torch.from_numpy(wave)).square().mean() / torch.from_numpy(wave).square().mean()
        assert lost < 0.1
    tested = (folder / "testing_list.txt").read_text().split()
    assert {row["clip"] for row in listed if row["split"] == "testing"} <= {*tested}


@pytest.mark.slow
def test_shapes_are_drawn_again(real: Callable[[str], Path], tmp_path: Path) -> None:
    packed.pack_furniture(real("furniture10"), tmp_path)
    assert same(tmp_path, furniture.CLOUDS, furniture.LIST)


def test_a_stream_of_ogg_has_one_number_and_the_same_sound() -> None:
    wave = torch.sin(torch.arange(40_000) / 20).numpy() / 2
    raws = []
    for _ in range(3):
        file = io.BytesIO()
        soundfile.write(file, wave, 16_000, format="OGG", subtype="VORBIS")
        raws.append(file.getvalue())
    made = [packed.numbered(raw) for raw in raws]
    assert len({raw[14:18] for raw in raws}) > 1
    assert made[0] == made[1] == made[2]
    assert made[0][14:18] == bytes(4)
    before, after = (soundfile.read(io.BytesIO(sound_of(raw)))[0] for raw in (raws[0], made[0]))
    assert (before == after).all()
    assert len(after) == 40_000
