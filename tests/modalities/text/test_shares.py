"""Batches of similar length where a framework wraps the sampler: every epoch in an order of its own, in any process."""

import copy
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import BatchSamplerShard, DataLoaderDispatcher, DataLoaderShard
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler

from mixmodal.modalities.text.buckets import LengthBucketBatchSampler

SIZE, BATCH, EPOCHS = 103, 8, 3
LENGTHS = [7 * i % 50 for i in range(SIZE)]
Epoch = list[list[int]]


def buckets(**arguments: Any) -> LengthBucketBatchSampler:
    return LengthBucketBatchSampler(LENGTHS, BATCH, **arguments)


def epochs_of(**arguments: Any) -> list[Epoch]:
    """What `set_epoch` gives in plain PyTorch."""
    batches, found = buckets(**arguments), []
    for epoch in range(EPOCHS):
        batches.set_epoch(epoch)
        found.append(list(batches))
    return found


def check_shares(shares: list[list[Epoch]], *, batch_size: int = BATCH) -> None:
    """By process and epoch: no sample lost or repeated, as many batches in each process, none larger; new orders."""
    for epoch in zip(*shares, strict=True):
        assert len({len(share) for share in epoch}) == 1
        assert sorted(sample for share in epoch for batch in share for sample in batch) == list(range(SIZE))
        assert {len(batch) for share in epoch for batch in share} <= set(range(1, batch_size + 1))
    for share in shares:
        assert len({str(epoch) for epoch in share}) == EPOCHS


# ---------------------------------------------------------------- Accelerate


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("even_batches", [True, False])
def test_accelerate_deals_out_every_sample_once(processes: int, even_batches: bool) -> None:
    shares = []
    for process in range(processes):
        whole = buckets(rank=None, world_size=processes)
        dealt = BatchSamplerShard(whole, processes, process, even_batches=even_batches)
        loader = DataLoaderShard(range(SIZE), batch_sampler=dealt, collate_fn=list)
        assert len(loader) == len(list(dealt))
        shares.append([list(loader) for _ in range(EPOCHS)])  # it counts the epochs itself
        assert shares[-1] == epochs_of(rank=process, world_size=processes)
        assert len(loader) == len(shares[-1][0])
    check_shares(shares)


@pytest.mark.parametrize("split_batches", [True, False])
def test_accelerate_gives_every_epoch_an_order_with_any_settings(split_batches: bool) -> None:
    """What it repeats to make the last batches whole are samples of the epoch, each of which is there."""
    shares = []
    for process in range(2):
        dealt = BatchSamplerShard(buckets(), 2, process, split_batches=split_batches)
        loader = DataLoaderShard(range(SIZE), batch_sampler=dealt, collate_fn=list)
        shares.append([list(loader) for _ in range(EPOCHS)])
        assert len({str(epoch) for epoch in shares[-1]}) == EPOCHS
    for epoch in zip(*shares, strict=True):
        assert {sample for share in epoch for batch in share for sample in batch} == set(range(SIZE))


def test_accelerate_sets_the_epoch_where_one_process_or_the_first_reads() -> None:
    one = DataLoaderShard(range(SIZE), batch_sampler=buckets(), collate_fn=list)
    assert [list(one) for _ in range(EPOCHS)] == epochs_of()
    dispatched = DataLoaderDispatcher(range(SIZE), batch_sampler=buckets(), collate_fn=list)
    for epoch, expected in enumerate(epochs_of()):
        dispatched.set_epoch(epoch)
        assert list(dispatched.base_dataloader) == expected


def test_accelerate_goes_on_within_an_epoch() -> None:
    """With its `skip_first_batches`; of one process, since it is the first to say the epoch."""
    loader = DataLoaderShard(range(SIZE), batch_sampler=buckets(), collate_fn=list)
    loader.set_epoch(2)
    rest = skip_first_batches(loader, 5)
    rest.set_epoch(2)
    assert list(rest) == epochs_of()[2][5:]
    whole = buckets(rank=None, world_size=2)
    whole.set_epoch(2)
    for process in range(2):
        shard = BatchSamplerShard(whole, 2, process)
        rest = skip_first_batches(DataLoaderShard(range(SIZE), batch_sampler=shard, collate_fn=list), 5)
        assert list(rest) == epochs_of(rank=process, world_size=2)[2][5:]


def in_a_process(process: int, out: Path) -> None:
    """What one of two processes sees: under Accelerate, and in plain PyTorch."""
    os.environ |= {"RANK": str(process), "LOCAL_RANK": str(process), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    os.environ |= {"MASTER_PORT": (out / "port").read_text()}
    accelerator = Accelerator(cpu=True)
    assert torch.distributed.get_backend() == "gloo"
    seen: dict[str, list[Epoch]] = {"accelerate": [], "even": [], "torch": []}
    together: Any = DataLoader(range(SIZE), batch_sampler=buckets(rank=None, world_size=2), collate_fn=torch.tensor)  # type: ignore[arg-type]
    padded: Any = DataLoader(range(SIZE), batch_sampler=buckets(), collate_fn=torch.tensor)  # type: ignore[arg-type]
    for name, loader in {"accelerate": together, "even": padded}.items():
        prepared = accelerator.prepare(loader)
        for _ in range(EPOCHS):
            seen[name].append([batch.tolist() for batch in prepared])
    own = buckets(rank=accelerator.process_index, world_size=accelerator.num_processes)
    plain: Any = DataLoader(range(SIZE), batch_sampler=own, collate_fn=list)  # type: ignore[arg-type]
    for epoch in range(EPOCHS):
        own.set_epoch(epoch)
        seen["torch"].append(list(plain))
    (out / f"{process}.json").write_text(json.dumps(seen))
    accelerator.wait_for_everyone()
    accelerator.end_training()


def test_two_processes_share_every_epoch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    torch.multiprocessing.spawn(in_a_process, (tmp_path,), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    seen = [json.loads((tmp_path / f"{process}.json").read_text()) for process in range(2)]
    check_shares([each["accelerate"] for each in seen])
    check_shares([each["torch"] for each in seen])
    assert [each["accelerate"] for each in seen] == [each["torch"] for each in seen]
    for each in seen:
        assert len({str(epoch) for epoch in each["even"]}) == EPOCHS


# ---------------------------------------------------------------- Lightning


def injected(process: int, processes: int = 2) -> DistributedSampler[int]:
    """The sampler that Lightning makes of a loader with a batch sampler."""
    return DistributedSampler(range(SIZE), num_replicas=processes, rank=process, shuffle=True, seed=42)  # type: ignore[arg-type]


def by_keyword(_: LengthBucketBatchSampler, sampler: Any) -> LengthBucketBatchSampler:
    """As Lightning makes one anew that was made within its hooks, by its signature."""
    return buckets(sampler=sampler, seed=5)


def by_what_is_saved(batches: LengthBucketBatchSampler, sampler: Any) -> LengthBucketBatchSampler:
    """As Lightning's `_dataloader_init_kwargs_resolve_sampler` and `_reinstantiate_wrapped_cls` make any other."""
    saved = {name: getattr(batches, f"__pl_saved_{name}") for name in ("args", "kwargs", "arg_names", "default_kwargs")}
    assert "sampler" in saved["kwargs"]
    saved["kwargs"]["sampler"] = sampler
    anew = type(batches)(*saved["args"], **saved["kwargs"])
    for arguments, change in getattr(batches, "__pl_attrs_record", []):
        change(anew, *arguments)
    return anew


Remake = Callable[[LengthBucketBatchSampler, Any], LengthBucketBatchSampler]


@pytest.mark.parametrize("remake", [by_keyword, by_what_is_saved])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_lightning_makes_the_batches_anew(remake: Remake, processes: int) -> None:
    """Around a sampler that says the share of a process, and whose epoch it sets."""
    shares: list[list[Epoch]] = []
    for process in range(processes):
        batches = remake(pickle.loads(pickle.dumps(buckets(seed=5))), injected(process, processes))
        shares.append([])
        for epoch in range(EPOCHS):
            batches.sampler.set_epoch(epoch)
            shares[-1].append(list(batches))
            assert len(batches) == len(shares[-1][-1])
        assert shares[-1] == epochs_of(rank=process, world_size=processes, seed=5)
    check_shares(shares)


def test_lightning_keeps_every_setting() -> None:
    """A remade sampler differs in its share alone, and where an epoch is resumed in nothing."""
    settings = {"chunk": 2, "shuffle": False, "seed": 9, "drop_last": True}
    batches = buckets(**settings)
    batches.set_epoch(1, start=3)
    for process in range(2):
        anew = by_what_is_saved(copy.deepcopy(batches), injected(process))
        anew.sampler.set_epoch(1)
        assert list(anew) == epochs_of(rank=process, world_size=2, **settings)[1][3:]
    alone = by_what_is_saved(batches, SequentialSampler(range(SIZE)))  # for predictions in one process
    alone.set_epoch(1)
    assert list(alone) == epochs_of(**settings)[1]


def test_a_share_is_given_once() -> None:
    assert list(buckets(rank=1, world_size=2, sampler=injected(1))) == epochs_of(rank=1, world_size=2)[0]
    assert list(buckets(rank=None, world_size=2, sampler=injected(1))) == epochs_of(rank=1, world_size=2)[0]
    with pytest.raises(ValueError, match="sampler is for process 1 of 2, and rank=0 and world_size=2 say otherwise"):
        buckets(rank=0, world_size=2, sampler=injected(1))
    with pytest.raises(ValueError, match="sampler is for process 1 of 2, and rank=1 and world_size=4 say otherwise"):
        buckets(rank=1, world_size=4, sampler=injected(1))
    with pytest.raises(ValueError, match="sampler is for 103 samples, and lengths has 2"):
        LengthBucketBatchSampler([1, 2], 2, sampler=injected(1))
    with pytest.raises(TypeError, match="sampler is RandomSampler, whose order would be lost"):
        buckets(sampler=RandomSampler(range(SIZE)))
    with pytest.raises(TypeError, match="lengths is DistributedSampler and must hold one whole number for each"):
        LengthBucketBatchSampler(injected(0), 8, drop_last=False)  # type: ignore[arg-type]


LIGHTNING = """
import json, sys
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader
from tests.modalities.text.test_shares import EPOCHS, SIZE, buckets

inside, devices, out = sys.argv[1] == "inside", int(sys.argv[2]), sys.argv[3]

def loader():
    return DataLoader([torch.tensor([float(i)]) for i in range(SIZE)], batch_sampler=buckets())

class Seen(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), [[] for _ in range(EPOCHS)]

    def training_step(self, batch, _):
        self.seen[self.current_epoch].append(batch.flatten().int().tolist())
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def on_train_end(self):
        with open(f"{out}/{self.global_rank}.json", "w") as file:
            json.dump(self.seen, file)

    if inside:
        train_dataloader = lambda self: loader()

if __name__ == "__main__":
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    strategy = "ddp_spawn" if devices > 1 else "auto"
    trainer = Trainer(max_epochs=EPOCHS, accelerator="cpu", devices=devices, strategy=strategy, **quiet)
    trainer.fit(Seen(), *([] if inside else [loader()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["inside", "outside"])
@pytest.mark.parametrize("devices", [1, 2])
def test_lightning_shares_every_epoch(where: str, devices: int, tmp_path: Path) -> None:
    """The real Trainer, with a loader made within its hooks or before."""
    pytest.importorskip("lightning", reason="pip install lightning")
    script = tmp_path / "script.py"
    script.write_text(LIGHTNING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", str(script), where, str(devices), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    check_shares([json.loads((tmp_path / f"{process}.json").read_text()) for process in range(devices)])
