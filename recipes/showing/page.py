"""The sections as one self-contained page, and as one picture."""

import html
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipes.showing.exhibits import Exhibit, Section, photographs, sentences, shapes, sounds
from recipes.showing.hidden import feature_maps
from recipes.showing.media import Shown

SECTIONS = (photographs, sounds, sentences, shapes, feature_maps)
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1c1c; --soft: #5a5a5a; --card: #f3f4f6; --line: #d4d6da;
  --own: #2f6fb3; --partner: #e8833a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #ececec; --soft: #b0b3b8; --card: #22252b; --line: #3b3f47; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { margin: 0 0 .5rem; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; }
section > .pair { max-width: 32rem; }
.methods { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1rem;
  margin-top: 1rem; }
article { padding: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .9rem; }
img { display: block; width: 100%; aspect-ratio: 1; border-radius: .3rem; } img.sharp { image-rendering: pixelated; }
.stacked .pair { grid-template-columns: 1fr; } .stacked img { aspect-ratio: 12; }
audio { display: block; width: 100%; height: 2.5rem; margin-top: .3rem; }
pre { margin: 0 0 .7rem; font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.sentence { margin: 0; line-height: 1.9; }
.place { display: inline-flex; flex-direction: column; vertical-align: middle; margin: .1rem .15rem .1rem 0;
  line-height: 1.5; }
.own, .partner { padding: 0 .3rem; border-radius: .2rem; }
.own { background: var(--own); color: #fff; } .partner { background: var(--partner); color: #111; font-style: italic; }
"""
ABOUT = (
    "Every method is a <em>mask</em>: how much of itself a sample keeps at each location. The label is divided in the "
    "same way. These are draws of the library, each with the lines of a training step that change. In training the "
    "share is drawn too; here it is set to 60 %, so that much of both samples is visible. With CutMix it is larger "
    "where the box is clipped at the border."
)
KEY = (
    '<p>Words and voxels: <span class="own">the sample\'s own</span> and '
    "<span class=\"partner\">the partner's</span>. Masks: white is own, black the partner's.</p>"
)


def gathered() -> list[Section]:
    """All sections, drawn anew but the same each time."""
    return [make() for make in SECTIONS]


def page(sections: Sequence[Section]) -> str:
    """The page as self-contained HTML."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>What mixing does: mixmodal</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>What mixing does</h1>\n<p>{ABOUT}</p>\n{KEY}\n{body}\n"
        "</body>\n</html>\n"
    )


def picture(sections: Sequence[Section]) -> Figure:
    """A column for each section: the sample, the partner, and what each method makes of them."""
    rows = 2 + max(len(section.exhibits) for section in sections)
    figure = Figure(figsize=(2.5 * len(sections), 2.75 * rows), layout="constrained")
    grid = figure.subplots(rows, len(sections), squeeze=False)
    for column, section in zip(grid.T, sections, strict=True):
        _cell(column[0], section.own, f"{section.title}\n\n{section.names[0]}")
        _cell(column[1], section.partner, section.names[1])
        for axes, exhibit in zip(column[2:], section.exhibits, strict=True):
            _cell(axes, exhibit.mix, f"{exhibit.title}\n{exhibit.shares}")
    for axes, name in zip(grid[:2, 0], ("sample", "partner"), strict=True):
        axes.set_ylabel(name, fontsize=11)
    return figure


def write(folder: Path) -> tuple[Path, Path]:
    """Write `see.html` and `see.png` into a folder, which is made if it is missing; returns their paths."""
    sections = gathered()
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "see.html", folder / "see.png"
    paths[0].write_text(page(sections), encoding="utf-8")
    picture(sections).savefig(paths[1], dpi=110, facecolor="white")
    return paths


def _section(section: Section) -> str:
    pair = _pair((section.own, f"sample: {section.names[0]}"), (section.partner, f"partner: {section.names[1]}"))
    methods = "\n".join(_article(exhibit) for exhibit in section.exhibits)
    return (
        f"<section>\n<h2>{html.escape(section.title)}</h2>\n<p>{html.escape(section.about)}</p>\n{pair}\n"
        f'<div class="methods{" stacked" * section.stacked}">\n{methods}\n</div>\n</section>'
    )


def _article(exhibit: Exhibit) -> str:
    pair = _pair((exhibit.mask, "mask"), (exhibit.mix, f"mix: {exhibit.shares}"))
    code = f"<pre><code>{html.escape(exhibit.code)}</code></pre>"
    return f"<article>\n<h3>{html.escape(exhibit.title)}</h3>\n{code}\n{pair}\n</article>"


def _pair(*shown: tuple[Shown, str]) -> str:
    figures = (
        f"<figure>{each.page()}<figcaption>{html.escape(caption)}</figcaption></figure>" for each, caption in shown
    )
    return f'<div class="pair">{"".join(figures)}</div>'


def _cell(axes: Axes, shown: Shown, title: str) -> None:
    shown.draw(axes)
    axes.set_title(title, fontsize=9)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
