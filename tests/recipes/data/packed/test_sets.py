"""The sets of spoken words, comments and furniture: how many of what, and that nothing is on two sides."""

import io
import lzma
from collections import Counter

import numpy as np
import pytest
import torch

from recipes import audio, points, text
from recipes.data.audio.files import SAMPLES
from recipes.data.packed import comments, files, furniture, speech
from recipes.data.text.files import TOXIC


def test_the_recipes_train_on_them_unless_told_otherwise() -> None:
    assert audio.load(audio.Settings()).name == "packed-speech"
    assert text.load(text.Settings()).name == "packed-comments"
    train, test = points.load(points.Settings(points=4))
    assert (train.name, test.name) == ("packed-furniture", "packed-furniture")
    voxels, _ = points.load(points.Settings(model="voxnet", resolution=6, per_class=2))
    assert voxels.train_x.shape == (20, 1, 6, 6, 6)


def test_every_word_is_said_equally_often() -> None:
    data = speech.load()
    for y, count in ((data.train_y, 70), (data.validation_y, 10), (data.test_y, 20)):
        assert y.bincount().tolist() == [count] * 10
    assert data.classes == ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def test_clips_are_those_of_their_names() -> None:
    """Each clip begins where the list says: a word is silent at both ends of its second, and loud between them."""
    listed, data = files.rows(speech.LIST), speech.load()
    assert [row["split"] for row in listed] == ["training"] * 700 + ["validation"] * 100 + ["testing"] * 200
    whole = torch.cat([data.train_x, data.validation_x, data.test_x]).double()
    words = [data.classes[label] for label in torch.cat([data.train_y, data.validation_y, data.test_y]).tolist()]
    assert words == [row["clip"].split("/")[0] for row in listed]
    loud = whole.square().mean(0).view(10, SAMPLES // 10).mean(1).sqrt()
    assert loud[[0, -1]].max() < loud[3:7].min() / 3
    assert whole.square().mean(1).min() > 0


def test_no_speaker_is_on_two_sides() -> None:
    sides: dict[str, set[str]] = {split: set() for split in speech.SPLITS}
    for row in files.rows(speech.LIST):
        sides[row["split"]].add(row["clip"].split("/")[1].split("_nohash_")[0])
    assert sum(map(len, sides.values())) == len(set.union(*sides.values()))
    assert min(map(len, sides.values())) >= 15
    clips = [row["clip"] for row in files.rows(speech.LIST)]
    assert len({*clips}) == len(clips)


def test_comments_have_their_labels_and_are_on_one_side() -> None:
    data = comments.load()
    assert data.classes == TOXIC
    assert (len(data.train_x), len(data.test_x)) == (2_199, 609)
    assert data.train_y.sum(0).tolist() == [503, 51, 283, 17, 263, 48]
    assert data.test_y.sum(0).tolist() == [139, 7, 72, 7, 74, 18]  # each label is tested on both of its values
    assert not {*data.train_x} & {*data.test_x}


def test_shapes_are_in_ten_classes_and_on_one_side() -> None:
    data = furniture.load(points=2048)
    train, test = (Counter(y.tolist()) for y in (data.train_y, data.test_y))
    assert (sum(train.values()), sum(test.values())) == (232, 63)
    assert (min(train.values()), max(train.values())) == (13, 40)
    assert (min(test.values()), max(test.values())) == (3, 11)
    assert len(train) == len(test) == len(data.classes) == 10
    clouds = {tuple(each.flatten().tolist()) for part in (data.train_x, data.test_x) for each in part}
    assert len(clouds) == 295
    keys = Counter(row["id"] for row in files.rows(furniture.LIST))
    assert max(keys.values()) == 1


def test_clouds_and_voxels_are_of_the_points_in_the_file() -> None:
    """Cells are counted by hand; points are found again, whatever their order, by their places on the grid of 256."""
    places = np.load(io.BytesIO(lzma.decompress(files.content(furniture.CLOUDS)))).transpose(0, 2, 1)
    tested = [number for number, row in enumerate(files.rows(furniture.LIST)) if row["split"] == "test"]
    clouds, voxels = furniture.load(points=2048), furniture.load(form="voxels", resolution=8)
    for number, cloud, grid in zip(tested, clouds.test_x, voxels.test_x, strict=True):
        points = places[number].astype(float)
        whole = (points - points.min()) / (points.max() - points.min())
        cells = {tuple(cell) for cell in np.minimum(whole * 8, 7).astype(int).tolist()}
        assert {tuple(cell) for cell in grid[0].nonzero().tolist()} == cells
        found = cloud.double().numpy() * points.std(0) + points.mean(0)
        assert sorted(np.rint(found).tolist()) == sorted(points.tolist())


def test_other_points_are_drawn_with_another_seed() -> None:
    one, same, other = (furniture.load(points=8, seed=seed).train_x for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one.mean(1), torch.zeros(232, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("given", "message"), [({"form": "mesh"}, "form='mesh' is unknown"), ({"points": 0}, "points=0 .* at least 1")]
)
def test_wrong_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        furniture.load(**given)  # type: ignore[arg-type]
