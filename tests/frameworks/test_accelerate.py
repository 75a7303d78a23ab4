"""Accelerate: mixed models that are prepared, turns in its checkpoints, exact resumption, two processes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mixmodal as mm
from tests.frameworks.processes import in_two_processes

accelerate = pytest.importorskip("accelerate")
from accelerate.state import AcceleratorState, GradientState, PartialState  # noqa: E402
from accelerate.utils import set_seed  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*pin_memory.*")

ROWS, FEATURES, CLASSES = 24, 6, 3


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    """No Accelerator of another test, before and after."""
    for shared in (AcceleratorState, PartialState, GradientState):
        shared._shared_state.clear()
    yield
    for shared in (AcceleratorState, PartialState, GradientState):
        shared._shared_state.clear()


def network() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, CLASSES))


def samples() -> list[tuple[Tensor, int]]:
    torch.manual_seed(6)
    return [(torch.randn(FEATURES), number % CLASSES) for number in range(ROWS)]


def buckets(world_size: int, size: int = 5) -> DataLoader[Any]:
    """Batches that Accelerate deals out; a generator of its own, so that iterating draws nothing else."""
    lengths = [number * 7 % 10 for number in range(ROWS)]
    batches = mm.LengthBucketBatchSampler(lengths, size, chunk=2, rank=None, world_size=world_size)
    return DataLoader(samples(), batch_sampler=batches, generator=torch.Generator())  # type: ignore[arg-type]


# ---------------------------------------------------------------- a prepared model


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("site", ["the model", "a layer", "an argument"])
@pytest.mark.parametrize("late", [False, True], ids=["mixed before", "mixed after"])
def test_a_prepared_model_is_mixed_in_training_alone(late: bool, site: str, precision: str) -> None:
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision=precision)
    net, x = network(), torch.randn(4, FEATURES)
    model = accelerator.prepare(net) if late else net
    at = {"the model": model, "a layer": model[3], "an argument": (model, "input")}[site]
    hidden = mm.HiddenMix(model, {at: mm.MixUp()})  # type: ignore[dict-item]
    model = model if late else accelerator.prepare(net)
    plain = copy.deepcopy(net)
    for training in (True, False) * 2:
        model.train(training)
        torch.manual_seed(1)
        logits = model(input=x) if site == "an argument" else model(x)
        assert (hidden.mix is not None) is training
        torch.manual_seed(1)
        assert torch.equal(plain.train(training)(x), logits) is not training
    hidden.remove()


# ---------------------------------------------------------------- accumulation


def test_accumulated_gradients_are_those_of_one_large_batch() -> None:
    """Batches of 5, 5, 5, 5 and 4 samples, of which a step takes three and two."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    net = network().eval()
    plain, x, seen = copy.deepcopy(net), torch.stack([row for row, _ in samples()]), []
    net[2].p = 0.0
    model, loader = accelerator.prepare(net.train(), buckets(1))
    hidden, found = mm.HiddenMix(net, {net: mm.MixUp()}), []
    batches = list(loader)
    for group in (batches[:3], batches[3:]):
        count = sum(len(y) for _, y in group)
        for rows, y in group:
            loss = hidden.loss(model(rows), y, reduction="sum") / count
            accelerator.backward(loss * accelerator.gradient_accumulation_steps)
            assert hidden.mix is not None
            seen.append((rows, y, hidden.mix.index, hidden.mix.lam[:, None]))
        found.append(torch.cat([each.grad.flatten() for each in net.parameters()]))  # type: ignore[union-attr]
        model.zero_grad()
    for gradient, group in zip(found, (seen[:3], seen[3:]), strict=True):
        total, count = torch.zeros(()), 0
        for rows, y, index, lam in group:
            assert all((x == row).all(1).any() for row in rows)
            logits, count = plain(lam * rows + (1 - lam) * rows[index]), count + len(y)
            for weight, labels in ((lam, y), (1 - lam, y[index])):
                total = total + (weight[:, 0] * F.cross_entropy(logits, labels, reduction="none")).sum()
        expected = torch.autograd.grad(total / count, list(plain.parameters()))
        torch.testing.assert_close(gradient, torch.cat([each.flatten() for each in expected]), rtol=1e-5, atol=1e-6)
    assert [len(y) for _, y in batches] == [5, 5, 5, 5, 4]


# ---------------------------------------------------------------- checkpoints


def hybrid() -> mm.Draws:
    return mm.Alternate([mm.MixUp(), mm.FMix(axes="b *"), mm.CutMix(axes="b *")])


def run(folder: Path, *, save: tuple[int, int] | None = None, load: tuple[int, int] | None = None) -> Any:
    """Weights and turn after two epochs, saved or taken up again at an epoch and a batch of it."""
    accelerator = accelerate.Accelerator(cpu=True)
    net = network()
    mixing = mm.HiddenMix(net, {net: hybrid()})
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    model, optimizer, loader = accelerator.prepare(net, optimizer, buckets(accelerator.num_processes))
    accelerator.register_for_checkpointing(mixing)
    set_seed(3, device_specific=True)
    if load is not None:
        nn.init.normal_(net[0].weight)
        accelerator.load_state(str(folder))
    for epoch in range(load[0] if load else 0, 2):
        done = load[1] if load and epoch == load[0] else 0
        loader.set_epoch(epoch)
        model.train()
        for number, (x, y) in enumerate(accelerator.skip_first_batches(loader, done), done + 1):
            accelerator.backward(mixing.loss(model(x), y))
            optimizer.step()
            optimizer.zero_grad()
            if (epoch, number) == save:
                accelerator.save_state(str(folder))
    return net.state_dict(), mixing.state_dict()


@pytest.mark.parametrize("place", [(0, 2), (1, 1), (0, 5)], ids=["first epoch", "second epoch", "between epochs"])
def test_a_resumed_run_is_the_uninterrupted_one(place: tuple[int, int], tmp_path: Path) -> None:
    expected, turn = run(tmp_path, save=place)
    assert turn == {"the model itself": {"turn": 10 % 3}}
    found, again = run(tmp_path, load=place)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert again == turn


def test_what_has_turns_is_registered_as_it_is(tmp_path: Path) -> None:
    accelerator, x = accelerate.Accelerator(cpu=True), torch.randn(4, FEATURES)
    one, net, table = mm.Alternate([mm.MixUp(), mm.NoMix()]), network(), network()
    hidden = mm.HiddenMix(net, {net: hybrid(), net[3]: hybrid(), net[1]: mm.MixUp()})
    accelerator.register_for_checkpointing(one, hidden)
    one(x)
    for _ in range(20):
        net(x)
    before = one.state_dict(), hidden.state_dict()
    assert before[0] == {"turn": 1}
    assert before[1].keys() == {"the model itself", "3"}
    accelerator.save_state(str(tmp_path))
    one(x)
    while hidden.state_dict() == before[1]:
        net(x)
    accelerator.load_state(str(tmp_path))
    assert (one.state_dict(), hidden.state_dict()) == before
    with (
        mm.HiddenMix(table, {table[1]: hybrid()}) as other,
        pytest.raises(ValueError, match="is for other sites: those with a state are 1"),
    ):
        other.load_state_dict(before[1])


# ---------------------------------------------------------------- two processes


def two_epochs(rank: int, folder: Path) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    net = network()
    net[2].p = 0.0
    start = copy.deepcopy(net.state_dict())
    mixing = mm.HiddenMix(net, {net: mm.Alternate([mm.MixUp(), mm.CutMix(axes="b *")])})
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    model, optimizer, loader = accelerator.prepare(net, optimizer, buckets(2))
    accelerator.register_for_checkpointing(mixing)
    set_seed(0, device_specific=True)
    seen: list[Any] = []
    for epoch in range(2):
        for x, y in loader:
            count = accelerator.gather(torch.tensor([len(y)])).sum()
            loss = mixing.loss(model(x), y, reduction="sum") / count * accelerator.num_processes
            accelerator.backward(loss)
            if not seen:
                first = {name: each.grad.clone() for name, each in net.named_parameters()}  # type: ignore[union-attr]
            assert mixing.mix is not None
            seen.append((epoch, x, y, mixing.mix.index, mixing.mix.mask, mixing.mix.lam))
            optimizer.zero_grad()
        accelerator.save_state(str(folder / "state"))
    state = mixing.state_dict()
    model(x)
    assert mixing.state_dict() != state
    accelerator.wait_for_everyone()  # until the first process has written all
    accelerator.load_state(str(folder / "state"))
    assert mixing.state_dict() == state
    torch.save({"gradient": first, "seen": seen, "start": start}, folder / f"{rank}.pth")


@pytest.mark.forks
def test_two_processes_draw_apart_lose_no_sample_and_have_the_right_gradient(tmp_path: Path) -> None:
    first, second = in_two_processes(two_epochs, tmp_path)
    torch.testing.assert_close(first["gradient"], second["gradient"], rtol=0, atol=0)
    assert all(not torch.equal(a[5], b[5]) for a, b in zip(first["seen"], second["seen"], strict=True))
    rows = torch.stack([row for row, _ in samples()])
    for epoch in range(2):
        x = torch.cat([each[1] for each in first["seen"] + second["seen"] if each[0] == epoch])
        assert sorted((x[:, None] == rows).all(2).nonzero()[:, 1].tolist()) == list(range(ROWS))
    net, total, count = network(), torch.zeros(()), 0
    net.load_state_dict(first["start"])
    net[2].p = 0.0
    for _, x, y, index, mask, lam in (first["seen"][0], second["seen"][0]):
        logits, count = net(mask * x + (1 - mask) * x[index]), count + len(y)
        for weight, labels in ((lam, y), (1 - lam, y[index])):
            total = total + (weight * F.cross_entropy(logits, labels, reduction="none")).sum()
    (total / count).backward()
    expected = {name: each.grad for name, each in net.named_parameters()}
    torch.testing.assert_close(first["gradient"], expected, rtol=1e-5, atol=1e-6)
