"""Batches as the packages make them that data come from: webdataset, TensorDict, `datasets`, PyTorch Geometric."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

import mixmodal as mm

CLASSES = 6


def sample(i: int) -> dict[str, Any]:
    """Image k is 1 in channel k, its label map and its label are k: each tells the same of a mix."""
    image = F.one_hot(torch.tensor(i % CLASSES), CLASSES).float()
    return {"image": image[:, None, None].repeat(1, 9, 8), "map": torch.full((9, 8), i % CLASSES), "label": i % CLASSES}


def settings(**others: Any) -> dict[str, Any]:
    return {"inputs": {"image": None, "map": "b *"}, "labels": {"label": CLASSES}, **others}


def check(image: Tensor, label_map: Tensor, label: Tensor) -> None:
    """The label map is the class that each place of the image shows, and the label the share of each class."""
    assert label_map.dtype == torch.int64
    assert torch.equal(image.argmax(1), label_map)
    torch.testing.assert_close(label, F.one_hot(label_map, CLASSES).float().mean((1, 2)))
    assert bool((label.amax(1) < 1).any())


# ---------------------------------------------------------------- webdataset


@pytest.fixture
def shard(tmp_path: Path) -> str:
    wds = pytest.importorskip("webdataset", reason="pip install webdataset")
    path = str(tmp_path / "0.tar")
    with wds.TarWriter(path) as sink:
        for i in range(12):
            each = sample(i)
            sink.write({"__key__": f"{i:03}", "image.pth": each["image"], "map.pth": each["map"], "cls": each["label"]})
    return path


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the shard, which it leaves open
@pytest.mark.parametrize("kind", ["dictionaries", "tuples"])
@pytest.mark.parametrize("where", ["collate", "loop"])
def test_webdataset(kind: str, where: str, shard: str) -> None:
    """What it keeps about each sample is carried along, where samples are dictionaries."""
    wds = pytest.importorskip("webdataset", reason="pip install webdataset")
    data = wds.WebDataset(shard, shardshuffle=False, empty_check=False).decode()
    names: dict[str, Any] = {"inputs": {0: None, 1: "b *"}, "labels": {2: CLASSES}}
    if kind == "tuples":
        data = data.to_tuple("image.pth", "map.pth", "cls")
    else:
        names = {"inputs": {"image.pth": None, "map.pth": "b *"}, "labels": {"cls": CLASSES}}
        names["carried"] = ("__key__", "__url__", "__local_path__")
    torch.manual_seed(0)
    if where == "collate":
        batches = list(
            wds.WebLoader(data.batched(6, collation_fn=mm.MixCollate(mm.CutMix(), **names)), batch_size=None)
        )
    else:
        plain = wds.WebLoader(data.batched(6, collation_fn=torch.utils.data.default_collate), batch_size=None)
        batches = [mm.MixBatch(mm.CutMix(), **names)(batch)[0] for batch in plain]
    assert len(batches) == 2
    for place, batch in enumerate(batches):
        check(*(batch[key] for key in [*names["inputs"], *names["labels"]]))
        if kind == "dictionaries":
            assert batch["__key__"] == [f"{6 * place + i:03}" for i in range(6)]


# ---------------------------------------------------------------- TensorDict


@pytest.mark.parametrize("locked", [False, True])
def test_tensordict(locked: bool) -> None:
    """A batch of it stays one, of its batch size; the given one is not changed, and may be locked."""
    tensordict = pytest.importorskip("tensordict", reason="pip install tensordict")
    given = tensordict.TensorDict.stack([tensordict.TensorDict(sample(i)) for i in range(CLASSES)])
    given["about"] = tensordict.TensorDict({"place": torch.arange(CLASSES)}, batch_size=[CLASSES])
    if locked:
        given.lock_()
    before = given.clone()
    torch.manual_seed(0)
    mixed, mix = mm.MixBatch(mm.FMix(), **settings(carried=("about",)))(given)
    assert isinstance(mixed, tensordict.TensorDict)
    assert mixed.batch_size == (CLASSES,)
    assert bool((given == before).all())
    check(mixed["image"], mixed["map"], mixed["label"])
    assert torch.equal(mixed["about", "place"], torch.arange(CLASSES))
    torch.testing.assert_close(mixed["label"], mix.targets(before["label"], num_classes=CLASSES))
    with pytest.raises(ValueError, match="the batch has a field 'about', and nothing says what to do with it"):
        mm.MixBatch(mm.FMix(), **settings())(given)


def test_tensordicts_are_collated_and_mixed() -> None:
    tensordict = pytest.importorskip("tensordict", reason="pip install tensordict")
    data = [tensordict.TensorDict(sample(i)) for i in range(12)]
    collate = mm.MixCollate(mm.CutMix(), **settings(), collate=tensordict.TensorDict.stack)
    torch.manual_seed(0)
    loader: Any = DataLoader(data, batch_size=6, collate_fn=collate)  # type: ignore[arg-type]
    for batch in loader:
        assert batch.batch_size == (6,)
        check(batch["image"], batch["map"], batch["label"])


# ---------------------------------------------------------------- datasets


@pytest.mark.parametrize("where", ["collate", "loop", "whole batches"])
def test_datasets(where: str) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    columns = [{**sample(i), "name": str(i)} for i in range(12)]
    for each in columns:
        each |= {name: each[name].numpy() for name in ("image", "map")}
    data = datasets.Dataset.from_list(columns).with_format("torch")
    names = settings(carried=("name",))
    torch.manual_seed(0)
    if where == "collate":
        batches = list(DataLoader(data, batch_size=6, collate_fn=mm.MixCollate(mm.CutMix(), **names)))
    elif where == "loop":
        batches = [mm.MixBatch(mm.CutMix(), **names)(batch)[0] for batch in DataLoader(data, batch_size=6)]
    else:
        batches = [mm.MixBatch(mm.CutMix(), **names)(batch)[0] for batch in data.iter(6)]
    for place, batch in enumerate(batches):
        check(batch["image"], batch["map"], batch["label"])
        assert list(batch["name"]) == [str(6 * place + i) for i in range(6)]


def test_texts_of_datasets_are_padded_in_batches_of_like_length() -> None:
    """As a tokeniser leaves them: with labels of tokens, in batches of at most so many tokens."""
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    texts = [list(range(1, 2 + i % 7)) for i in range(40)]
    data = datasets.Dataset.from_list([{"input_ids": ids, "labels": [i % 3 for i in ids]} for ids in texts])
    batches = mm.LengthBucketBatchSampler([len(ids) for ids in data["input_ids"]], None, max_tokens=24)
    collate = mm.PadCollate(0, per_token={"labels": -100})
    seen = []
    for batch in DataLoader(data, batch_sampler=batches, collate_fn=collate):
        assert batch["input_ids"].numel() <= 24
        assert torch.equal(batch["labels"] == -100, batch["attention_mask"] == 0)
        seen += [row[real > 0].tolist() for row, real in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert sorted(seen) == sorted(texts)


# ---------------------------------------------------------------- PyTorch Geometric


def test_clouds_of_pytorch_geometric_are_mixed_in_two_lines() -> None:
    """Points are those of both sides, each cloud has as many as before, and `valid` leads back to the long list."""
    data = pytest.importorskip("torch_geometric.data", reason="pip install torch_geometric")
    to_dense_batch = pytest.importorskip("torch_geometric.utils").to_dense_batch
    clouds = [data.Data(pos=2 * torch.rand(20 + 7 * i, 3) - 1, y=torch.tensor([i])) for i in range(4)]
    batch = data.Batch.from_data_list(clouds)

    dense, valid = to_dense_batch(batch.pos, batch.batch)
    mixed, mix = mm.OnPoints(mm.CutMix(per_sample=True), resolution=8)(dense, valid=valid, lam=0.5)

    listed = mixed[valid]
    assert listed.shape == batch.pos.shape
    for i, cloud in enumerate(clouds):
        points = {tuple(point) for point in listed[batch.batch == i].tolist()}
        own = {tuple(point) for point in cloud.pos.tolist()}
        partner = {tuple(point) for point in clouds[int(mix.index[i])].pos.tolist()}
        assert points <= own | partner
        share = sum(tuple(point) in own for point in listed[batch.batch == i].tolist()) / len(cloud.pos)
        assert mix.index[i] == i or abs(share - float(mix.lam[i])) < 1e-6
    channels, _ = mm.OnPoints(mm.NoMix(), axes="b c *")(dense.transpose(1, 2), valid=valid)
    assert torch.equal(channels, dense.transpose(1, 2))
