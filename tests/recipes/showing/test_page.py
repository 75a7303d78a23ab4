"""The page of the demo: what is on it is what the library drew, and it needs nothing beside it."""

import base64
import io
import re
import wave
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from recipes.showing import page
from recipes.showing.exhibits import Section
from recipes.showing.media import Picture, Sentence, Sound
from recipes.showing.voxels import cells, chair, table


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return page.gathered()


class Read(HTMLParser):
    """Tags with their attributes, and the text of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self.within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag  # all that is opened is closed, in order

    def handle_data(self, data: str) -> None:
        if "code" in self.within:
            self.code.append(data)


def test_the_page_needs_nothing_beside_it(sections: list[Section]) -> None:
    read = Read(page.page(sections))
    assert read.within == []
    sources = [given["src"] for _, given in read.tags if "src" in given]
    assert sources
    assert all(source is not None and source.startswith("data:") for source in sources)
    assert not [given for tag, given in read.tags if tag in ("link", "script") or "href" in given]
    assert "prefers-color-scheme: dark" in page.STYLE
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in read.tags


def test_every_picture_and_sound_has_a_text_of_its_own(sections: list[Section]) -> None:
    tags = Read(page.page(sections)).tags
    texts = [given["alt"] for tag, given in tags if tag == "img"]
    assert all(texts)
    seen = [text for text in texts if text is not None and not text.startswith("Mask")]
    assert len({*seen}) == len(seen)
    players = [given["aria-label"] for tag, given in tags if tag == "audio"]
    assert len({*players}) == 5  # both tones and three mixes
    assert len([1 for tag, given in tags if given.get("class") == "sentence" and given["aria-label"]]) == 5


def test_every_method_has_its_lines(sections: list[Section]) -> None:
    code = Read(page.page(sections)).code
    for method in ("MixUp", "CutMix", "FMix"):
        assert sum(f"mm.{method}(" in lines for lines in code) >= 4
    assert sum("mm.HiddenMix(net, {net.layer1: mm.PatchUp(" in lines for lines in code) == 2
    for lines in code:
        assert lines.count("mix.loss(") == 1
        compile(lines, "page", "exec")


def test_shares_are_those_of_the_masks(sections: list[Section]) -> None:
    """Of photographs and of the cells of hard masks, as drawn."""
    for exhibit in sections[0].exhibits:
        mask, mix = exhibit.mask, exhibit.mix
        assert isinstance(mask, Picture)
        assert isinstance(mix, Picture)
        share = float(mask.image.mean())
        assert exhibit.shares == f"{round(100 * share)} % temple, {100 - round(100 * share)} % flower"
        own, partner = (shown.image for shown in (sections[0].own, sections[0].partner))  # type: ignore[attr-defined]
        expected = mask.image[..., None] * own + (1 - mask.image[..., None]) * partner
        np.testing.assert_allclose(mix.image, expected, atol=1e-6)


def test_a_sound_is_played_as_it_is() -> None:
    samples = torch.tensor([0.0, 0.5, -1.0, 2.0])
    shown = Sound(Picture(np.zeros((2, 2)), 'a "tone"'), samples, 8000).page()
    with wave.open(io.BytesIO(base64.b64decode(re.search(r"audio/wav;base64,([^\"]+)", shown)[1]))) as file:  # type: ignore[index]
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        found = np.frombuffer(file.readframes(9), np.int16)
    assert found.tolist() == [0, 16383, -32767, 32767]
    assert 'aria-label="Play: a &quot;tone&quot;"' in shown


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (2, 3, 4)], ids=["grey", "colour", "transparent"])
def test_a_picture_is_shown_as_it_is(shape: tuple[int, ...]) -> None:
    image = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    source = re.search(r"base64,([^\"]+)", Picture(image, "x").page())
    assert source is not None
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(source[1])))) / 255
    np.testing.assert_allclose(found, image, atol=0.5 / 255 + 1e-9)


def test_a_sentence_has_the_words_of_either_side() -> None:
    shown = Sentence(["a", "b", "c", ""], ["w", "x", "y", "z"], [1.0, 0.0, 0.5, 0.5], "mixed")
    assert shown.places() == [
        [("own", "a")],
        [("partner", "x")],
        [("own", "c"), ("partner", "y")],
        [("partner", "z")],
    ]
    assert '<span class="own">a</span>' in shown.page()


def test_voxels_are_coloured_by_whose_they_are() -> None:
    """Blue where own, orange where the partner's; nothing where neither is."""
    nothing = torch.zeros(14, 14, 14)
    blue, orange = (cells(*pair, "x").image for pair in ((chair().float(), nothing), (nothing, table().float())))
    for image, channel in ((blue, 2), (orange, 0)):
        seen = image[image[..., 3] == 1]
        assert 0.02 < len(seen) / image[..., 0].size < 0.6
        assert (seen[:, :3].argmax(1) == channel).mean() > 0.9
    assert blue[0, 0, 3] == 0  # a page is seen through it, light or dark


def test_the_picture_has_all_mixes(sections: list[Section]) -> None:
    figure = page.picture(sections)
    titles = " ".join(axes.get_title() for axes in figure.axes)
    for section in sections:
        for exhibit in section.exhibits:
            assert f"{exhibit.title}\n{exhibit.shares}" in titles
