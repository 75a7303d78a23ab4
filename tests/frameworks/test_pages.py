"""The scripts of the pages run as they stand: every training step is mixed and no evaluation, and the loss is right."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

import mixmodal as mm

FOLDER = Path(__file__).parents[2] / "docs" / "guide" / "frameworks"
MOST_LINES = 30


class Run:
    """The blocks of a page, one after the other, with what was drawn and when."""

    def __init__(self, page: str) -> None:
        text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
        self.blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        self.names: dict[str, Any] = {"__name__": "page"}
        self.records: list[mm.Mix] = []
        self.at: list[int] = []
        """The number of optimizer steps that were done before each draw."""
        self.steps = 0

    def block(self, number: int) -> dict[str, Any]:
        """What a block leaves, which has mixed once in every step and never else."""
        assert len(self.blocks[number].splitlines()) <= MOST_LINES
        self.records.clear()
        self.at.clear()
        self.steps = 0
        exec(compile(self.blocks[number], f"block {number}", "exec"), self.names)
        assert self.steps > 1
        assert self.at == [*range(self.steps)]
        return self.names


@pytest.fixture
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    page = Run(request.param)
    record = mm.Mixer.record

    def counted(mixer: mm.Mixer, *args: Any, **kwargs: Any) -> mm.Mix:
        drawn = record(mixer, *args, **kwargs)
        page.records.append(drawn)
        page.at.append(page.steps)
        return drawn

    def step(*_: Any) -> None:
        page.steps += 1

    monkeypatch.setattr(mm.Mixer, "record", counted)
    handle = register_optimizer_step_post_hook(step)
    try:
        yield page
    finally:
        handle.remove()


def on(page: str) -> Any:
    return pytest.mark.parametrize("run", [page], indirect=True)


def by_hand(mix: mm.Mix, x: Tensor) -> Tensor:
    """The mixed batch, channels first, from what the record holds."""
    mask = mix.mask.expand(len(x), *x.shape[2:])[:, None]
    return mask * x + (1 - mask) * x[mix.index]


def soft(mix: mm.Mix, y: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    one_hot = F.one_hot(y, classes) * (1 - smoothing) + smoothing / classes
    return mix.lam[:, None] * one_hot + (1 - mix.lam[:, None]) * one_hot[mix.index]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def mixed_rows(targets: Tensor, mix: mm.Mix) -> None:
    """Each target has the own label's share and the partner's, or all where both have one class."""
    assert len(targets) == len(mix.lam)
    for row, lam in zip(targets.tolist(), mix.lam.tolist(), strict=True):
        shares = sorted(share for share in row if share)
        assert shares == pytest.approx(sorted({lam, 1 - lam} - {0.0})) or shares == pytest.approx([1.0])


@on("plain")
def test_plain_pytorch(run: Run) -> None:
    names = run.block(0)
    mix = run.records[-1]
    torch.testing.assert_close(names["mixed"], by_hand(mix, names["x"]))
    torch.testing.assert_close(names["loss"], cross_entropy(names["logits"], soft(mix, names["y"], 10)))
    assert 0 <= names["accuracy"] <= 1


@on("timm")
def test_timm(run: Run) -> None:
    mixup = pytest.importorskip("timm.data.mixup")
    names = run.block(0)
    mix, y = run.records[-1], names["y"]
    torch.testing.assert_close(names["input"], by_hand(mix, names["x"]))
    smooth = mixup.one_hot(y, 10, on_value=0.91, off_value=0.01)
    targets = mix.lam[:, None] * smooth + (1 - mix.lam[:, None]) * smooth[mix.index]
    torch.testing.assert_close(names["target"], targets)
    torch.testing.assert_close(names["loss"], cross_entropy(names["output"], targets))
    assert len(names["losses"]) == 1


def test_timms_own_targets_are_those_of_its_pairs() -> None:
    """timm mixes each sample with the one as far from the other end, by one share for the batch."""
    mixup = pytest.importorskip("timm.data.mixup")
    x, y = torch.rand(6, 3, 8, 8), torch.randint(10, (6,))
    mixed = mm.MixBatch(mm.MixUp(), num_classes=10, label_smoothing=0.1)
    _, mix = mm.MixUp()(x, index=torch.arange(6).flip(0), lam=0.3)
    theirs = mixup.mixup_target(y, 10, lam=0.3, smoothing=0.1)
    torch.testing.assert_close(mix.targets(y, num_classes=10, label_smoothing=mixed.label_smoothing), theirs)


@on("torchvision")
def test_torchvision(run: Run) -> None:
    pytest.importorskip("torchvision")
    names = run.block(0)
    mixed_rows(names["target"], run.records[-1])
    smooth = names["target"] * 0.9 + 0.01
    torch.testing.assert_close(names["loss"], cross_entropy(names["output"], smooth))
    assert len(names["losses"]) == 1
    names = run.block(1)
    mix, y, logits = run.records[-1], names["target"], names["output"]
    own, other = (F.cross_entropy(logits, each, reduction="none", label_smoothing=0.1) for each in (y, y[mix.index]))
    share = mix.mask.flatten(1).mean(1).expand(len(y))
    expected = (share * own + (1 - share) * other).mean()
    if not mix.hard:  # PatchUp: equation 6, halved; outside its blocks the mask is 1, and in them one share
        whole, inside = (mix.mask == 1).float().mean(), mix.mask.min()
        blocks = whole * own + (1 - whole) * (inside * own + (1 - inside) * other)
        expected = (expected + blocks.mean()) / 2
    torch.testing.assert_close(names["loss"], expected)
    assert len(names["losses"]) == 1


@on("monai")
def test_monai(run: Run) -> None:
    pytest.importorskip("monai")
    names = run.block(0)
    mix, batch = run.records[-1], names["batch"]
    torch.testing.assert_close(names["mixed"]["image"].as_tensor(), by_hand(mix, batch["image"].as_tensor()))
    targets = soft(mix, batch["label"], 2, smoothing=0.1)
    torch.testing.assert_close(names["loss"].as_tensor(), cross_entropy(names["logits"].as_tensor(), targets))
    names = run.block(1)
    mix, batch = run.records[-1], names["batch"]
    one_hot = F.one_hot(batch["label"].as_tensor()[:, 0].long(), 3).movedim(-1, 1)
    torch.testing.assert_close(names["mixed"].as_tensor(), by_hand(mix, batch["image"].as_tensor()))
    shares, probabilities = by_hand(mix, one_hot), names["logits"].as_tensor().softmax(1)
    overlap, size = (probabilities * shares).flatten(2).sum(2), (probabilities + shares).flatten(2).sum(2)
    torch.testing.assert_close(names["loss"].as_tensor(), (1 - (2 * overlap + 1e-5) / (size + 1e-5)).mean())


@pytest.mark.parametrize("mixer", [mm.MixUp(), mm.CutMix(), mm.FMix(), mm.PatchUp(block_size=3), mm.NoMix()], ids=repr)
def test_a_mixed_metatensor_has_the_metadata_of_the_own_sample(mixer: mm.Mixer) -> None:
    data = pytest.importorskip("monai.data")
    items = [
        {"image": data.MetaTensor(torch.rand(2, 5, 6, 7), meta={"filename_or_obj": f"{name}.nii"}), "id": name}
        for name in "abc"
    ]
    batch = next(iter(data.DataLoader(data.Dataset(items), batch_size=3)))
    before = batch["image"].clone()
    mixed, mix = mm.MixBatch(mixer, inputs="image", labels=None, carried=("id",))(batch)
    assert isinstance(mixed["image"], data.MetaTensor)
    assert [each["image"].meta["filename_or_obj"] for each in data.decollate_batch(mixed)] == [
        "a.nii",
        "b.nii",
        "c.nii",
    ]
    assert all(type(part) is Tensor for part in (mix.index, mix.mask, mix.lam))
    assert torch.equal(batch["image"], before)
    torch.testing.assert_close(mixed["image"].as_tensor(), mix(before.as_tensor()), rtol=0, atol=0)
    assert type(mix(before.as_tensor())) is Tensor


def test_label_maps_of_monai_are_mixed_by_the_draw_of_the_image() -> None:
    data = pytest.importorskip("monai.data")
    volume, label_map = data.MetaTensor(torch.rand(3, 1, 5, 6, 7)), data.MetaTensor(torch.randint(4, (3, 1, 5, 6, 7)))
    mixing = mm.MixBatch(mm.FMix(), inputs={"image": None, "label": None}, labels=None)
    mixed, mix = mixing({"image": volume, "label": label_map})
    own = mix.mask.expand(3, 5, 6, 7)[:, None] > 0.5
    plain = label_map.as_tensor()
    assert torch.equal(mixed["label"].as_tensor(), torch.where(own, plain, plain[mix.index]))
    assert torch.equal(mix(plain[:, 0], axes="b *"), mixed["label"].as_tensor()[:, 0])


@on("geometric")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # at its import
def test_geometric(run: Run) -> None:
    pytest.importorskip("torch_geometric")
    names = run.block(0)
    mix, dense, valid, mixed = (names[name] for name in ("mix", "dense", "valid", "mixed"))
    for number, partner in enumerate(mix.index.tolist()):
        points = mixed[number][valid[number]]
        own = (points[:, None] == dense[number][valid[number]]).all(2).any(1)
        others = (points[:, None] == dense[partner][valid[partner]]).all(2).any(1)
        assert bool((own | others).all())
        if partner != number:
            torch.testing.assert_close(own.float().mean(), mix.lam[number])
    torch.testing.assert_close(names["loss"], cross_entropy(names["logits"], soft(mix, names["data"].y, 4)))


@on("webdataset")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # open shards
def test_webdataset(run: Run) -> None:
    pytest.importorskip("webdataset")
    names = run.block(0)
    mixed_rows(names["y"], run.records[-1])
    torch.testing.assert_close(names["loss"], cross_entropy(names["logits"], names["y"]))
    fields = names["wds"].WebDataset(names["shard"].name, shardshuffle=False).decode()
    collate = mm.MixCollate(
        mm.CutMix(), inputs="pth", labels={"cls": 10}, carried=("__key__", "__url__", "__local_path__")
    )
    batch = next(iter(fields.batched(8, collation_fn=collate)))
    assert batch["pth"].shape == (8, 3, 16, 16)
    assert batch["cls"].shape == (8, 10)
    assert batch["__key__"] == [f"{i:03}" for i in range(8)]
