"""What length buckets save, on a synthetic corpus."""

import re

import torch

from mixmodal import LengthBucketBatchSampler
from recipes.measuring import padding


def test_the_share_of_padding_is_counted() -> None:
    lengths = torch.randint(1, 30, (50,))
    batches = LengthBucketBatchSampler(lengths, 8)
    padded = real = 0
    for batch in batches:
        width = max(int(lengths[sample]) for sample in batch)
        for sample in batch:
            real += int(lengths[sample])
            padded += width - int(lengths[sample])
    assert abs(padding.padding(lengths, batches) - padded / (padded + real)) < 1e-12


def test_the_page_has_both_kinds_of_batches_and_its_command() -> None:
    page = padding.table(padding.Settings(data="synthetic", seconds=0.05), "the command")
    rows = dict(re.findall(r"^\| (random|of similar length) \| ([\d.]+) \|", page, re.MULTILINE))
    assert float(rows["of similar length"]) < float(rows["random"])
    assert "Made by `the command` at " in page
    assert "1000 training texts of synthetic" in page
