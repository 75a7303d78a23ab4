"""Pictures of mixed images and feature maps: titles and shares."""

from typing import Any

import torch

import mixmodal as mm
from recipes.pictures import images as pictures
from recipes.pictures.rows import Sample


def drawn(sample: Sample, **given: Any) -> list[tuple[str, list[str]]]:
    """Of each part of a figure its title and the titles of its pictures."""
    facts = {"mean": (0.0,), "std": (1.0,)} | given
    figure = pictures.samples([sample], torch.tensor([0, 1, 2]), ("cat", "dog", "owl"), **facts)
    return [(part.get_suptitle(), [axes.get_title() for axes in part.axes]) for part in figure.subfigs]


def test_the_picture_of_the_input_names_classes_and_shares() -> None:
    x = torch.rand(3, 1, 4, 4)
    mix = mm.MixUp().draw(x, lam=0.75, index=torch.tensor([1, 2, 0]))
    ((title, titles),) = drawn(Sample("input", x, mix(x), mix))
    assert title == "at the input"
    assert titles[:3] == ["cat", "dog", "owl"]
    assert titles[3:6] == ["dog", "owl", "cat"]
    assert titles[6:9] == ["mask, mean 0.75"] * 3
    assert titles[9] == "0.75 cat\n0.25 dog"


def test_the_picture_of_a_hidden_site_shows_channels() -> None:
    x = torch.randn(3, 8, 4, 4)
    mix = mm.PatchUp(block_size=2).draw(x)
    ((title, titles),) = drawn(Sample("input of layer1", x, mix(x), mix))
    assert title == "at the input of layer1: channels of a sample"
    assert titles[:6] == [f"channel {channel}" for channel in range(6)]
    assert titles[12:18] == [f"mask, mean {mix.mask[0, channel].mean():.2f}" for channel in range(6)]


def test_a_picture_without_a_partner() -> None:
    x = torch.rand(3, 1, 4, 4)
    mix = mm.Cutout(size=2).draw(x)
    ((_, titles),) = drawn(Sample("input", x, mix(x), mix))
    assert titles[3:6] == ["no partner"] * 3
    assert titles[9] == "1.00 cat\n"
