"""What the page on speech and video says of its own numbers, against loops over samples and locations."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import mixmodal as mm

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "speech.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_a_transposed_video_is_mixed_in_a_tube() -> None:
    (block,) = [each for each in BLOCKS if "tube" in each]
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        found = run(block, {"torch": torch, "mm": mm})
        torch.manual_seed(seed)
        before, mix = torch.randn(2, 8, 3, 16, 16), found["mix"]
        other = mix.mask[0] < 0.5
        spans = [other.movedim(axis, 0).flatten(1).any(1) for axis in range(3)]
        box = spans[0][:, None, None] & spans[1][:, None] & spans[2]
        assert torch.equal(other, box)
        for span in spans:
            places = span.nonzero().flatten().tolist()
            assert not places or places == list(range(places[0], places[-1] + 1))
        for row, partner in enumerate(mix.index.tolist()):
            for channel in range(3):
                expected = torch.where(box, before[partner, :, channel], before[row, :, channel])
                assert torch.equal(found["video"][row, :, channel], expected)
        seen.add(tuple(mix.index.tolist()))
    assert (1, 0) in seen


@pytest.mark.parametrize(
    ("axes", "shape", "varies"),
    [  # 5 frames of 3 channels
        ("b t c *", (2, 5, 3, 7, 6), (3, 4)),
        ("b * c h w", (2, 5, 3, 7, 6), (1,)),
        ("b c *", (2, 3, 5, 7, 6), (2, 3, 4)),
        ("b c t *", (2, 3, 5, 7, 6), (3, 4)),
        ("b c * h w", (2, 3, 5, 7, 6), (2,)),
    ],
)
def test_masks_of_a_video_vary_over_the_axes_that_the_table_says(
    axes: str, shape: tuple[int, ...], varies: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1, 1).expand(shape)
    chosen, _ = mm.FMix(axes=axes)(x, lam=0.5, index=torch.tensor([1, 0]))
    for axis in range(1, 5):
        first = chosen.narrow(axis, 0, 1)
        assert bool((chosen != first).any()) == (axis in varies)


def test_the_loss_of_transcripts_is_that_of_both_clip_by_clip() -> None:
    pytest.importorskip("transformers")
    names: dict[str, Any] = {"__name__": "page"}
    run(BLOCKS[0], names)
    names["hidden"].remove()
    (block,) = [each for each in BLOCKS if "ctc" in each]
    for _ in range(3):
        run(block, names)
        names["hidden"].remove()
        mix, logits, expected = names["mix"], names["output"].logits, 0.0
        assert mix.partner
        for row, other in enumerate(mix.index.tolist()):
            samples = max(names["lengths"][row], names["lengths"][other]).item()
            frames = ((samples - 10) // 5 + 1 - 3) // 2 + 1
            for side, weight in ((row, mix.lam[row]), (other, 1 - mix.lam[row])):
                words = [word for word in names["transcripts"][side].tolist() if word >= 0]
                scores = logits[row, :frames].log_softmax(-1)[:, None]
                one = F.ctc_loss(scores, torch.tensor([words]), (frames,), (len(words),), reduction="sum")
                expected = expected + weight * one / len(words) / len(logits)
        torch.testing.assert_close(names["loss"], expected)
        names["loss"].backward()
