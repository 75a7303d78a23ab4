"""Images that are decoded when they are needed: what is seen, and folders in the form of ImageNet."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from recipes import images
from recipes.data.disk.lazy import Lazy, read
from recipes.data.images.reading import lazily
from recipes.data.images.reading.decoding import Square, opened, stack_images
from recipes.data.images.sets import ImageSet, load

CLASSES = ("ant", "bee", "cow")


def picture(path: Path, width: int, height: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def imagenet(root: Path, per_class: int = 3, test: str = "val", classes: tuple[str, ...] = CLASSES) -> Path:
    """A folder in the form of ImageNet, of images of many sizes."""
    for split, names, count in (("train", CLASSES, per_class), (test, classes, 2)):
        for label, name in enumerate(names):
            for number in range(count):
                seed = 1_000 * len(split) + 100 * label + number
                picture(root / split / name / f"{number}.png", 20 + seed % 7, 18 + seed % 5, seed)
    return root


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize(("width", "height"), [(40, 31), (31, 40), (16, 90), (8, 8)])
def test_squares_are_torchvisions(width: int, height: int, tmp_path: Path) -> None:
    picture(tmp_path / "a.png", width, height, 0)
    image, square = opened(tmp_path / "a.png"), Square(14, shorter=16)
    middle = transforms.Compose([transforms.Resize(16), transforms.CenterCrop(14)])
    assert torch.equal(tensor(square(image)), tensor(middle(image)))
    for draw in range(5):
        state = torch.get_rng_state()
        found = square(image, draw)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(draw)
        assert torch.equal(tensor(found), tensor(transforms.RandomResizedCrop(14)(image)))


def test_imagenet_is_read_when_it_is_needed(tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    data = load("imagenet", root=root, side=14)
    assert isinstance(data.train_x, Lazy)
    assert (data.classes, data.tested, data.pad, data.flip) == (CLASSES, (), 0, True)
    assert (data.train_x.shape, data.test_x.shape) == ((9, 3, 14, 14), (6, 3, 14, 14))
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0] * 3 + [1] * 3 + [2] * 3, [0, 0, 1, 1, 2, 2])
    paths = [root / "train" / name / f"{number}.png" for name in CLASSES for number in range(3)]
    square = Square(14, shorter=16)
    assert torch.equal(data.train_x.read(), torch.stack([tensor(square(opened(path))) for path in paths]))
    drawn = torch.stack([tensor(square(opened(path), draw)) for draw, path in enumerate(paths)])
    assert torch.equal(data.train_x.read(range(9)), drawn)
    assert torch.equal(read(data.test_x, range(6)), read(data.test_x))
    (root / "train" / "bee" / "1.png").unlink()
    shutil.copy(root / "train" / "ant" / "0.png", root / "train" / "bee" / "1.png")
    assert torch.equal(data.train_x[torch.tensor([4])].read(), data.train_x[:1].read())


def test_imagenet_has_squares_of_224_pixels_of_256() -> None:
    from recipes.data.images.reading.imagenet import squares

    assert (squares(None), squares(112)) == (Square(224, shorter=256), Square(112, shorter=128))


def test_kaggles_archive_is_read_by_its_list(tmp_path: Path) -> None:
    plain = load("imagenet", root=imagenet(tmp_path / "plain"), side=14)
    base = tmp_path / "kaggle" / "ILSVRC" / "Data" / "CLS-LOC"
    shutil.copytree(tmp_path / "plain", base)
    rows = []
    for number, path in enumerate(sorted((base / "val").rglob("*.png"))):
        rows.append(f"val_{number},{path.parent.name} 1 2 3 4 other 1 2 3 4")
        path.rename(base / "val" / f"val_{number}.png")
    for name in CLASSES:
        (base / "val" / name).rmdir()
    with pytest.raises(FileNotFoundError, match=r"val has images, such as val_0.png, that are in no class folder"):
        load("imagenet", root=tmp_path / "kaggle", side=14)
    solution = tmp_path / "kaggle" / "LOC_val_solution.csv"
    solution.write_text("\n".join(["ImageId,PredictionString", *reversed(rows)]))
    data = load("imagenet", root=tmp_path / "kaggle", side=14)
    assert torch.equal(read(data.test_x), read(plain.test_x))
    assert torch.equal(data.test_y, plain.test_y)
    solution.write_text("\n".join(rows[1:]))
    with pytest.raises(ValueError, match="lacks val_0, which is in"):
        load("imagenet", root=tmp_path / "kaggle", side=14)
    solution.write_text("\n".join([*rows, "val_77,ant 1 2 3 4"]))
    with pytest.raises(ValueError, match="has 'val_77,ant 1 2 3 4', expected the name of an image"):
        load("imagenet", root=tmp_path / "kaggle", side=14)
    solution.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"LOC_val_solution\.csv is not UTF-8"):
        load("imagenet", root=tmp_path / "kaggle", side=14)
    solution.write_text('"' + "9" * 200_000)
    with pytest.raises(
        ValueError, match=r"LOC_val_solution\.csv line 1 cannot be read \(field larger .*: fetch it again"
    ):
        load("imagenet", root=tmp_path / "kaggle", side=14)


def test_imagenet_a_tests_some_classes_among_themselves(tmp_path: Path) -> None:
    root = imagenet(imagenet(tmp_path), test="imagenet-a", classes=("ant", "cow"))
    data = load("imagenet-a", root=root, side=14)
    assert (data.classes, data.tested, data.test_y.tolist()) == (CLASSES, (0, 2), [0, 0, 2, 2])
    picture(root / "imagenet-a" / "dog" / "0.png", 20, 20, 0)
    with pytest.raises(ValueError, match="train lacks classes that are tested: dog"):
        load("imagenet-a", root=root, side=14)


@pytest.mark.parametrize("data", ["imagenet", "folder"])
def test_an_empty_class_and_one_without_training_images_are_named(data: str, tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    (root / "train" / "bee").rename(tmp_path / "away")
    with pytest.raises(ValueError, match="bee"):
        load(data, root=root, side=14)
    (root / "train" / "bee").mkdir()
    with pytest.raises(ValueError, match=r"train.bee has no images \(png, jpg"):
        load(data, root=root, side=14)
    with pytest.raises(FileNotFoundError, match="give --data-root DIR with images in DIR/train/CLASS"):
        load(data, root=tmp_path / "nowhere")


def splits(data: ImageSet) -> list[Tensor]:
    return [read(data.train_x), data.train_y, read(data.test_x), data.test_y]


@pytest.mark.parametrize("side", [None, 6])
def test_a_folder_beyond_the_bound_is_not_held_and_is_the_same(
    side: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "test"):
        for number in range(4):
            picture(tmp_path / split / "ab"[number % 2] / f"{number}.png", 9, 8, number + len(split))
    whole = load("folder", root=tmp_path, side=side)
    assert isinstance(whole.train_x, Tensor)
    monkeypatch.setattr(lazily, "HELD", 4 * 3 * whole.train_x.shape[2] * whole.train_x.shape[3] - 1)
    lazy = load("folder", root=tmp_path, side=side)
    assert isinstance(lazy.train_x, Lazy)
    assert isinstance(lazy.test_x, Lazy)
    assert all(torch.equal(one, two) for one, two in zip(splits(whole), splits(lazy), strict=True))
    monkeypatch.setattr(lazily, "HELD", lazily.HELD + 1)
    assert isinstance(load("folder", root=tmp_path, side=side).train_x, Tensor)


def test_damaged_images_and_others_sizes_are_named_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazily, "HELD", 0)
    for number in range(3):
        picture(tmp_path / "train" / "a" / f"{number}.png", 9, 8, number)
        picture(tmp_path / "test" / "a" / f"{number}.png", 9, 8, number)
    picture(tmp_path / "train" / "a" / "1.png", 8, 9, 1)
    (tmp_path / "train" / "a" / "2.png").write_bytes(b"no image")
    x = load("folder", root=tmp_path).train_x
    with pytest.raises(ValueError, match=r"1\.png has 8x9 pixels and .*0\.png 9x8"):
        read(x[1:2])
    with pytest.raises(ValueError, match=r"2\.png cannot be decoded"):
        read(x[2:])


def test_rows_of_a_hub_set_are_read_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from recipes.data.images.facts import FACTS
    from recipes.data.images.hub import to_tensors

    source = FACTS["cifar10"].hub
    pictures = [Image.fromarray(np.full((5, 4, 3), 20 * number, dtype=np.uint8)) for number in range(6)]
    features = datasets.Features({source.image: datasets.Image(), source.label: datasets.Value("int64")})
    rows = datasets.Dataset.from_dict({source.image: pictures, source.label: [0, 1] * 3}, features=features)
    whole, y = to_tensors(rows, source)
    assert torch.equal(whole, stack_images([("", image) for image in pictures], 6))
    monkeypatch.setattr(lazily, "HELD", 0)
    lazy, same = to_tensors(rows, source)
    assert isinstance(lazy, Lazy)
    assert torch.equal(lazy.read(), whole)
    assert torch.equal(same, y)


# ---------------------------------------------------------------- runs

SMALL = ["--width", "4", "--batch-size", "3", "--device", "cpu", "--epochs", "3", "--side", "8", "--method", "fmix"]


def run(root: Path, out: Path, *words: str, data: str = "imagenet") -> dict[str, Any]:
    images.main([*SMALL, "--data", data, "--data-root", str(root), "--out", str(out), *words])
    return json.loads((out / "result.json").read_text())


def same_runs(one: Path, two: Path) -> bool:
    """Whether losses, scores and weights are the same bit for bit."""
    from safetensors.torch import load_file

    states = [load_file(out / "checkpoint.safetensors") for out in (one, two)]
    logs = [[json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()] for out in (one, two)]
    timeless = [[{k: v for k, v in entry.items() if k not in ("seconds", "wall")} for entry in log] for log in logs]
    return timeless[0] == timeless[1] and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.forks
def test_a_run_depends_neither_on_workers_nor_on_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.training import records

    root = imagenet(tmp_path / "set")
    result = run(root, tmp_path / "one", "--workers", "0")
    run(root, tmp_path / "two", "--workers", "2")
    assert same_runs(tmp_path / "one", tmp_path / "two")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(records.State, "save", saving_once(records.State.save, stop))
        with pytest.raises(SystemExit):
            run(root, tmp_path / "three", "--workers", "1")
    resumed = run(root, tmp_path / "three", "--workers", "2", "--resume")
    assert same_runs(tmp_path / "one", tmp_path / "three")
    assert (resumed["score"], resumed["train_score"]) == (result["score"], result["train_score"])


def saving_once(save: Any, then: Any) -> Any:
    """Save the checkpoint of the first epoch, and be stopped at that of the second."""
    count = iter(range(9))
    return lambda *given: save(*given) if next(count) == 0 else then()


def test_the_training_score_is_of_the_middle_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.data.images.reading import decoding

    root, seen = imagenet(tmp_path / "set"), []
    call = decoding.Square.__call__
    monkeypatch.setattr(
        decoding.Square, "__call__", lambda self, image, draw=None: (seen.append(draw), call(self, image, draw))[1]
    )
    run(root, tmp_path / "run", "--workers", "0", "--epochs", "1", "--evaluate-every", "0")
    drawn = [draw is not None for draw in seen]
    assert drawn == [False] * 6 + [True] * 9 + [False] * 9 + [True] * len(drawn[24:])  # the test images are held


def test_images_as_they_are_have_no_random_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.data.images.reading import decoding

    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(decoding.Square, "_random", refuse)
    run(imagenet(tmp_path / "set"), tmp_path / "run", "--workers", "0", "--epochs", "1", "--augment", "none")


def test_a_run_on_imagenet_a_answers_among_its_classes(tmp_path: Path) -> None:
    """Of one class there is one answer."""
    root = imagenet(imagenet(tmp_path / "set"), test="imagenet-a", classes=("bee",))
    result = run(root, tmp_path / "run", "--workers", "0", "--epochs", "1", data="imagenet-a")
    assert (result["score"], result["nll"]) == (100.0, 0.0)
    assert result["train_score"] < 100


@pytest.mark.forks
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_image_ends_a_run_in_one_sentence(workers: str, tmp_path: Path) -> None:
    root = imagenet(tmp_path / "set")
    (root / "train" / "bee" / "1.png").write_bytes(b"no image")
    with pytest.raises(SystemExit) as ended:
        run(root, tmp_path / "run", "--workers", workers)
    said = str(ended.value)
    path = root / "train" / "bee" / "1.png"
    assert said.startswith(f"recipes.images: {path} cannot be decoded (")
    assert "\n" not in said
    assert "Traceback" not in said
