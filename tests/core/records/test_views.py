"""A record as people see it: one line, and masks as pictures in a notebook."""

import base64
import io
import re

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

import mixmodal as mm
from mixmodal.core.records.views import pixels
from tests.methods_table import TABLE, Method, over


@over(TABLE)
def test_a_record_is_shown_in_one_line(method: Method) -> None:
    """Who, how much, which grid and of what kind: no tensor is printed."""
    shown = repr(method.build("b c *").draw(torch.rand(64, 3, 16, 16)))
    assert len(shown) < 200
    assert "\n" not in shown
    assert "tensor" not in shown
    assert re.match(r"Mix\(index=\[.*… of 64\], lam=.*, grid=\(.*16, 16\), (hard|soft).*, axes='b [c ]*\*'\)$", shown)


def test_the_line_says_what_was_drawn() -> None:
    given = {"index": torch.tensor([1, 0, 2]), "lam": torch.tensor([0.25, 0.5, 1.0])}
    mix = mm.FMix(per_sample=True).draw(torch.rand(3, 1, 8), **given)
    expected = "index=[1, 0, 2], lam=[0.25, 0.50, 1.00], grid=(8,), hard, a mask for each sample, axes='b c *'"
    assert repr(mix) == f"Mix({expected})"


def test_a_record_elsewhere_is_not_read() -> None:
    mix = mm.MixUp().draw(torch.rand(3, 1, 8)).to("meta")
    assert repr(mix) == "Mix(index=(3,) on meta, lam=(3,) on meta, grid=(8,), soft, axes='b c *')"


def pictures(html: str) -> list[torch.Tensor]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [pil_to_tensor(Image.open(io.BytesIO(base64.b64decode(each))))[0] / 255 for each in found]


@pytest.mark.parametrize("grid", [(5,), (12, 16), (3, 8, 8), (2, 3, 8, 4)], ids=str)
def test_a_notebook_shows_mask_and_shares_of_each_sample(grid: tuple[int, ...]) -> None:
    """Another library reads the pictures: they are the mask, enlarged cell by cell."""
    mask = torch.zeros(2, *grid)
    mask[0, ..., : grid[-1] // 2] = 1
    mix = mm.Mix(index=torch.tensor([1, 0]), mask=mask, lam=torch.tensor([0.4, 0.0]), hard=True)
    html = mix._repr_html_()
    first, second = pictures(html)
    assert (second == 0).all()
    edge = torch.arange(first.shape[1]) * grid[-1] // first.shape[1] < grid[-1] // 2
    assert (first == edge.float()).all()
    assert "0.40 of 0<br>0.60 of 1" in html
    assert "0.00 of 1<br>1.00 of 0" in html


def test_of_a_large_batch_the_first_samples_are_shown() -> None:
    mix = mm.Cutout(size=2).draw(torch.rand(20, 1, 8, 8))
    html = mix._repr_html_()
    assert len(pictures(html)) == 8
    assert "<br>" not in html  # no partner


def test_wide_masks_keep_their_proportions() -> None:
    assert pixels(torch.rand(4, 48)).shape == (8, 96)
    assert pixels(torch.rand(1, 1000)).shape == (8, 96)
    assert pixels(torch.rand(64, 32)).shape == (96, 48)
