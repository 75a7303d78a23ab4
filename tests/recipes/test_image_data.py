"""The image readers against files of known content, written here in the published forms."""

import gzip
import io
import pickle
import pickletools
import struct
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes.data import image_files, images
from recipes.data.image_files import CIFAR10, CIFAR100, FASHION_MNIST, CifarLayout, decode_pickle
from recipes.data.images import FACTS, HubSource, ImageSet, load, read_hub, subset, to_tensors

SHARED = Path(__file__).parents[3] / "shared" / "data"
COUNT = 4


def pickled(content: dict[bytes, Any]) -> bytes:
    """Pickle as Python 2 did, in which bytes and text are one type: the form of the published CIFAR batches."""
    raw = bytearray(pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    python2 = {"BINBYTES": pickle.BINSTRING, "BINUNICODE": pickle.BINSTRING, "SHORT_BINBYTES": pickle.SHORT_BINSTRING}
    for opcode, _, at in pickletools.genops(bytes(raw)):
        assert at is not None
        raw[at : at + 1] = python2.get(opcode.name, raw[at : at + 1])
    return bytes(raw)


def examples(seed: int, classes: int) -> tuple[np.ndarray, list[int]]:
    """COUNT random images of 3072 bytes, with labels that include the last class."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8), [classes - 1, *rng.integers(0, classes, COUNT - 1)]


def shortened(layout: CifarLayout) -> CifarLayout:
    return replace(layout, train=dict.fromkeys(layout.train, COUNT), test=dict.fromkeys(layout.test, COUNT))


def cifar_files(layout: CifarLayout, classes: int) -> dict[str, bytes]:
    """File name to contents of a whole CIFAR set; the seed of a file is its place in the order train, test."""
    files = {}
    for seed, name in enumerate([*layout.train, *layout.test]):
        pixels, labels = examples(seed, classes)
        label_columns = np.array(labels, np.uint8)[:, None]
        if classes == 100:
            label_columns = np.concatenate([label_columns // 5, label_columns], axis=1)
        if name.endswith(".bin"):
            files[name] = np.concatenate([label_columns, pixels], axis=1).tobytes()
        else:
            plain = [int(label) for label in labels]
            key = b"fine_labels" if classes == 100 else b"labels"
            files[name] = pickled({b"batch_label": b"x", key: plain, b"data": pixels, b"coarse_labels": [0] * COUNT})
    return files


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    """Pack the files in reverse order, so that a reader that trusts the order of the archive fails."""
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in reversed(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))


def expected_cifar(classes: int, seeds: range) -> tuple[Tensor, Tensor]:
    parts = [examples(seed, classes) for seed in seeds]
    x = torch.from_numpy(np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, 32, 32))
    return x, torch.tensor([int(label) for _, labels in parts for label in labels])


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every published file have four images."""
    monkeypatch.setattr(images, "CIFAR10", tuple(map(shortened, CIFAR10)))
    monkeypatch.setattr(images, "CIFAR100", tuple(map(shortened, CIFAR100)))
    small = replace(FASHION_MNIST, train=(*FASHION_MNIST.train[:2], 6), test=(*FASHION_MNIST.test[:2], 3))
    monkeypatch.setattr(images, "FASHION_MNIST", small)


CASES = [("cifar10", layout, 10) for layout in CIFAR10] + [("cifar100", layout, 100) for layout in CIFAR100]
cifar = pytest.mark.parametrize(("name", "layout", "classes"), CASES, ids=[layout.folder for _, layout, _ in CASES])


@cifar
@pytest.mark.parametrize("form", ["folder", "parent", "grandparent", "archive", "archive itself"])
def test_cifar_is_read_wherever_it_lies(
    tmp_path: Path, name: str, layout: CifarLayout, classes: int, form: str
) -> None:
    files = cifar_files(layout, classes)
    if form.startswith("archive"):
        write_archive(tmp_path / layout.archive, layout.folder, files)
        root = tmp_path / layout.archive if form == "archive itself" else tmp_path
    else:
        write_folder(tmp_path / name / layout.folder, files)
        root = {"folder": tmp_path / name / layout.folder, "parent": tmp_path / name, "grandparent": tmp_path}[form]
    data = load(name, root=root)
    train = len(layout.train)
    for found, expected in zip(
        (data.train_x, data.train_y, data.test_x, data.test_y),
        (*expected_cifar(classes, range(train)), *expected_cifar(classes, range(train, train + 1))),
        strict=True,
    ):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    assert (len(data.classes), data.pad, data.flip) == (classes, 4, True)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">I{values.ndim}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()


def fashion_files() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    files = {}
    for prefix, count in (("train", 6), ("t10k", 3)):
        files[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{prefix}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    return files


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("where", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_fashion_mnist_is_read_wherever_it_lies(tmp_path: Path, where: str, zipped: bool) -> None:
    files = fashion_files()
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        raw = gzip.compress(idx(values)) if zipped else idx(values)
        (tmp_path / where / (f"{name}.gz" if zipped else name)).write_bytes(raw)
    data = load("fashion-mnist", root=tmp_path)
    for x, y, prefix in ((data.train_x, data.train_y, "train"), (data.test_x, data.test_y, "t10k")):
        assert torch.equal(x[:, 0], torch.from_numpy(files[f"{prefix}-images-idx3-ubyte"]))
        assert y.tolist() == files[f"{prefix}-labels-idx1-ubyte"].tolist()
    assert (data.train_x.shape, data.mean, data.std) == ((6, 1, 28, 28), (0.1307,), (0.3081,))


def test_published_sizes() -> None:
    """The sizes of the real files: 3,073 and 3,074 bytes a record, 60,000 and 10,000 images."""
    for layouts in (CIFAR10, CIFAR100):
        for layout in layouts:
            assert (sum(layout.train.values()), sum(layout.test.values())) == (50_000, 10_000)
    with pytest.raises(ValueError, match="has 0 bytes, expected 30,730,000"):
        CIFAR10[0].decode(b"", "data_batch_1.bin", CIFAR10[0].train["data_batch_1.bin"])
    with pytest.raises(ValueError, match="has 0 bytes, expected 153,700,000"):
        CIFAR100[0].decode(b"", "train.bin", CIFAR100[0].train["train.bin"])
    with pytest.raises(ValueError, match="has 0 bytes, expected 47,040,016"):
        image_files.decode_idx(b"", "train-images-idx3-ubyte", (FASHION_MNIST.train[2], *FASHION_MNIST.size))


def test_a_truncated_binary_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    files = cifar_files(CIFAR10[0], 10)
    files["data_batch_3.bin"] = files["data_batch_3.bin"][:-1]
    write_folder(tmp_path / "cifar-10-batches-bin", files)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin has 12,291 bytes, expected 12,292"):
        load("cifar10", root=tmp_path)


def test_a_missing_file_of_a_layout_is_named(tmp_path: Path) -> None:
    files = cifar_files(CIFAR10[0], 10)
    del files["data_batch_3.bin"]
    write_folder(tmp_path / "anywhere", files)
    with pytest.raises(ValueError, match=r"anywhere lacks data_batch_3\.bin"):
        load("cifar10", root=tmp_path / "anywhere")


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cifar-100-binary.tar.gz"
    write_archive(path, "cifar-100-binary", cifar_files(CIFAR100[0], 100))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"cifar-100-binary\.tar\.gz cannot be read to its end"):
        load("cifar100", root=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda raw: gzip.compress(raw)[:10] + b"\7" + raw,
            r"train-images-idx3-ubyte\.gz cannot be .*invalid block type",
        ),
        (lambda raw: gzip.compress(raw)[:-9], r"train-images-idx3-ubyte\.gz cannot be read to its end"),
        (lambda raw: gzip.compress(raw[:-1]), r"train-images-idx3-ubyte\.gz has 4,719 bytes, expected 4,720"),
        (lambda raw: gzip.compress(b"\1" + raw[1:]), "starts with 01000803"),
        (lambda raw: raw, r"train-images-idx3-ubyte\.gz cannot be read to its end"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, damage: Any, message: str) -> None:
    for name, values in fashion_files().items():
        raw = idx(values)
        (tmp_path / f"{name}.gz").write_bytes(damage(raw) if name.startswith("train-images") else gzip.compress(raw))
    with pytest.raises(ValueError, match=message):
        load("fashion-mnist", root=tmp_path)


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(fashion_files()["train-images-idx3-ubyte"]))
    with pytest.raises(FileNotFoundError, match="lacks train-labels-idx1-ubyte"):
        load("fashion-mnist", root=tmp_path)


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("this must never be printed",)


def test_a_pickle_that_runs_code_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    raw = pickle.dumps({b"data": Hostile(), b"labels": []}, protocol=3)
    with pytest.raises(ValueError, match=r"data_batch_1 is no CIFAR batch .*print"):
        decode_pickle(raw, "data_batch_1", COUNT, labels=b"labels")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"nonsense", pickled({b"data": b"x"}), pickled({})])
def test_a_damaged_pickle_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match="test_batch is no CIFAR batch or is truncated"):
        decode_pickle(content, "test_batch", COUNT, labels=b"labels")


def test_a_pickle_of_the_wrong_size_is_named() -> None:
    pixels, labels = examples(0, 10)
    with pytest.raises(ValueError, match=r"pixels \(3, 3072\) and labels \(4,\), expected \(4, 3072\) and \(4,\)"):
        decode_pickle(pickled({b"data": pixels[:3], b"labels": list(map(int, labels))}), "x", COUNT, labels=b"labels")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist"])
def test_missing_data_says_what_where_and_how(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load(name, root=tmp_path)
    message = str(error.value)
    for part in (name, str(tmp_path), FACTS[name].url, FACTS[name].hub.repo, "--data-root", "--hub"):
        assert part in message
    with pytest.raises(FileNotFoundError, match="no folder was given"):
        load(name)


def test_unknown_names_and_contradictions_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name='mnist' is unknown: choose digits, cifar10, cifar100, fashion-mnist"):
        load("mnist")
    with pytest.raises(ValueError, match="exclude each other"):
        load("cifar10", root=tmp_path, hub=True)


def hub_folder(folder: Path, mode: str, source: HubSource) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Write train and test parquet files as the hub keeps them, and return what they hold."""
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    shape = (8, 6, 3) if mode == "RGB" else (8, 6)
    features = datasets.Features({source.image: datasets.Image(), source.label: datasets.ClassLabel(num_classes=10)})
    content = {}
    (folder / "data").mkdir(parents=True)
    for split, count in (("train", 5), ("test", 3)):
        pixels = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        labels = [int(label) for label in rng.integers(0, 10, count)]
        columns = {source.image: [image.fromarray(array) for array in pixels], source.label: labels}
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        content[split] = (pixels, labels)
    return content


@pytest.mark.parametrize(("name", "mode"), [("cifar10", "RGB"), ("fashion-mnist", "L")])
def test_hub_form_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    datasets = pytest.importorskip("datasets")
    source = replace(FACTS[name].hub, repo=str(tmp_path / "repo"))
    content = hub_folder(tmp_path / "repo", mode, source)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setitem(FACTS, name, replace(FACTS[name], hub=source))
    data = load(name, hub=True)
    for x, y, split in ((data.train_x, data.train_y, "train"), (data.test_x, data.test_y, "test")):
        pixels, labels = content[split]
        planes = torch.from_numpy(pixels).permute(0, 3, 1, 2) if mode == "RGB" else torch.from_numpy(pixels)[:, None]
        assert torch.equal(x, planes)
        assert y.tolist() == labels


def test_splits_in_memory_become_tensors() -> None:
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    features = datasets.Features({"img": datasets.Image(), "fine_label": datasets.Value("int64")})
    columns = {"img": [image.fromarray(array) for array in pixels], "fine_label": [7, 3]}
    x, y = to_tensors(datasets.Dataset.from_dict(columns, features=features), FACTS["cifar100"].hub)
    assert torch.equal(x, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert (y.tolist(), y.dtype) == ([7, 3], torch.int64)


def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"nobody/nothing cannot be fetched .*--data-root"):
        read_hub(HubSource("nobody/nothing", "img", "label"))


@pytest.mark.parametrize(("package", "name"), [("datasets", "cifar10"), ("sklearn.datasets", "digits")])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'mixmodal\[recipes\]'"):
        load(name, hub=True)


def test_digits_are_split_once_and_for_all() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    torch.manual_seed(0)
    data = load("digits")
    torch.manual_seed(1)
    again = load("digits")
    assert torch.equal(data.test_x, again.test_x)
    assert torch.equal(data.train_y, again.train_y)
    assert (len(data.train_x), len(data.test_x), data.pad, data.flip) == (1442, 355, 1, False)
    bunch = sklearn.load_digits()
    assert (data.test_y.bincount() == torch.from_numpy(bunch.target).bincount() // 5).all()
    both = torch.cat([data.train_x, data.test_x]).flatten(1).double() * 16 / 255
    rows = [sorted(map(tuple, values)) for values in (both.round().tolist(), bunch.data.tolist())]
    assert rows[0] == rows[1]
    assert data.mean == pytest.approx((np.mean(data.train_x.numpy() / 255),), abs=1e-5)
    assert data.std == pytest.approx((np.std(data.train_x.numpy() / 255),), abs=1e-4)


def test_subset_is_balanced_deterministic_and_of_the_set() -> None:
    data = load("digits")
    state = torch.get_rng_state()
    few = subset(data, 7, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    same, other = subset(data, 7, seed=3), subset(data, 7, seed=4)
    assert few.train_y.bincount().tolist() == [7] * 10
    assert torch.equal(few.train_x, same.train_x)
    assert not torch.equal(few.train_x, other.train_x)
    assert torch.equal(few.test_x, data.test_x)
    assert few.name == "digits-7-per-class-seed-3"
    known = {(*x.flatten().tolist(), int(y)) for x, y in zip(data.train_x, data.train_y, strict=True)}
    drawn = {(*x.flatten().tolist(), int(y)) for x, y in zip(few.train_x, few.train_y, strict=True)}
    assert drawn <= known
    assert len(drawn) == 70


def test_subset_refuses_impossible_sizes() -> None:
    data = load("digits")
    with pytest.raises(ValueError, match="per_class=0 must be at least 1"):
        subset(data, 0)
    with pytest.raises(ValueError, match="per_class=1000 exceeds the 143 training images of class 0"):
        subset(data, 1000)


def test_image_sets_are_checked() -> None:
    x, y = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    good = ImageSet("tiny", x, y, x, y, ("a", "b"), (0.5,), (0.5,), pad=0, flip=False)
    with pytest.raises(ValueError, match=r"tiny: train_x is torch.float32 \(2, 1, 4, 4\)"):
        replace(good, train_x=x.float())
    with pytest.raises(ValueError, match=r"tiny: test_x is torch.uint8 \(2, 4, 4\), expected uint8 \(N, 1, H, W\)"):
        replace(good, test_x=x[:, 0])
    with pytest.raises(ValueError, match=r"tiny: test_y is torch.int64 \(1,\), expected int64 \(2,\)"):
        replace(good, test_y=y[:1])
    with pytest.raises(ValueError, match=r"tiny: train_y must hold labels in 0\.\.1"):
        replace(good, train_y=y + 1)


def test_real_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = SHARED / "unpack.py"
    if not unpack.exists():
        pytest.skip(f"the real CIFAR-10 is not in {SHARED}")
    subprocess.run([sys.executable, str(unpack), str(tmp_path), "cifar10"], check=True, capture_output=True)
    monkeypatch.setattr(images, "CIFAR10", CIFAR10)
    data = load("cifar10", root=tmp_path)
    assert data.train_x.shape == (50_000, 3, 32, 32)
    assert data.train_y.bincount().tolist() == [5_000] * 10
    assert data.test_y.bincount().tolist() == [1_000] * 10
    means = data.train_x[:, :, ::4, ::4].double().mean((0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor(data.mean, dtype=torch.float64), atol=5e-3, rtol=0)
