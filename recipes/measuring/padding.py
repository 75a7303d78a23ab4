"""What length buckets save: `python -m recipes.measuring.padding --data imdb --data-root DIR`.

The share of pad tokens in an epoch, with batches of similar length and with random ones, and how many texts a second
the text CNN trains on with each.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixmodal import LengthBucketBatchSampler, PadCollate
from recipes.data.packed import comments, files
from recipes.data.text import sets, words
from recipes.models.text.networks import TextCNN
from recipes.models.text.reader import FromIds, Reader
from recipes.reporting import pages
from recipes.training import records

PAD_ID = 0
CHUNKS = {"random": 1, "of similar length": 100}
"""Batches that are sorted together."""


@dataclass(frozen=True)
class Settings:
    """Measure and print a table."""

    data: str = files.NAME
    """See `python -m recipes.text --help`."""
    data_root: Path | None = None
    """Folder with the published files of the data."""
    batch_size: int = 64
    """Texts in a batch."""
    seconds: float = 20.0
    """How long to train with each kind of batches."""
    out: Path | None = None
    """File for the table, in Markdown."""


def padding(lengths: Tensor, batches: LengthBucketBatchSampler) -> float:
    """The share of the tokens of an epoch that are padding.

    >>> padding(torch.tensor([4, 2]), LengthBucketBatchSampler([4, 2], 2))
    0.25
    """
    widest = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - lengths.sum().item() / widest


def throughput(model: nn.Module, ids: list[Tensor], batches: LengthBucketBatchSampler, seconds: float) -> float:
    """Texts a second, collated and trained on, forward and backward."""
    collate, start, done = PadCollate(PAD_ID), time.perf_counter(), 0
    for batch in batches:
        logits = model(collate([(ids[sample], 0) for sample in batch]).ids)
        torch.autograd.backward(F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits)))
        done += len(batch)
        if time.perf_counter() - start > seconds:
            break
    return done / (time.perf_counter() - start)


def table(settings: Settings, command: str) -> str:
    """The whole page."""
    packed = settings.data == files.NAME
    data = comments.load() if packed else sets.load(settings.data, root=settings.data_root)
    vocabulary = words.Vocabulary.of(words.split_words(data.train_x, data.style))
    ids = words.encode_all(data.train_x, data.style, vocabulary, most=None)
    lengths = torch.tensor([len(each) for each in ids])
    torch.manual_seed(0)
    model = FromIds(Reader(nn.Embedding(len(vocabulary.words), 100, padding_idx=PAD_ID), TextCNN(100, 1)), PAD_ID)
    rows = []
    for name, chunk in CHUNKS.items():
        batches = LengthBucketBatchSampler(lengths, settings.batch_size, chunk=chunk)
        share, speed = padding(lengths, batches), throughput(model, ids, batches, settings.seconds)
        rows.append(f"| {name} | {100 * share:.2f} | {speed:.0f} |")
    return "\n".join(
        [
            "# Padding",
            "",
            f"Made by `{command}` at {records.environment()['git']} on {records.device_name(torch.device('cpu'))}. The "
            f"{len(ids)} training texts of {data.name} have {int(lengths.min())} to {int(lengths.max())} words, "
            f"{lengths.double().mean():.0f} on average; batches hold {settings.batch_size}. Texts a second are those "
            "that the text CNN trains on, forward and backward.",
            "",
            "| batches | pad tokens in an epoch (%) | texts a second |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    pages.main("measuring.padding", Settings, lambda settings, command: pages.Page(table(settings, command)))
