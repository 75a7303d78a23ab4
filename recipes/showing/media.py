"""Pictures, sounds and sentences, each as part of a page and drawn into axes."""

import base64
import html
import io
import wave
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

OWN, PARTNER = "#2f6fb3", "#e8833a"
LINE = 34
"""Characters in a line that is drawn."""


class Shown(ABC):
    """Something to look at, with a text for those who cannot see it."""

    alt: str

    @abstractmethod
    def page(self) -> str:
        """Return it as HTML."""

    @abstractmethod
    def draw(self, axes: Axes) -> None:
        """Draw it into axes without ticks."""


@dataclass(frozen=True, eq=False)
class Picture(Shown):
    """A picture (H, W), (H, W, 3) or (H, W, 4) in [0, 1], its first row at the top.

    Args:
        image: the picture.
        alt: what it shows.
        sharp: draw its cells as squares, not blurred.
    """

    image: np.ndarray
    alt: str
    sharp: bool = False

    def page(self) -> str:
        with io.BytesIO() as file:
            Image.fromarray((255 * self.image.clip(0, 1)).round().astype(np.uint8)).save(file, "PNG", optimize=True)
            source = base64.b64encode(file.getvalue()).decode()
        kind = ' class="sharp"' if self.sharp else ""
        return f'<img{kind} alt="{html.escape(self.alt)}" src="data:image/png;base64,{source}">'

    def draw(self, axes: Axes) -> None:
        blur = "nearest" if self.sharp else "antialiased"
        axes.imshow(self.image, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation=blur)


@dataclass(frozen=True, eq=False)
class Sound(Shown):
    """A picture of a sound, with a player.

    Args:
        picture: its spectrogram.
        samples: the waveform (T,) in [-1, 1].
        rate: samples a second.
    """

    picture: Picture
    samples: Tensor
    rate: int

    @property
    def alt(self) -> str:  # type: ignore[override]
        return self.picture.alt

    def page(self) -> str:
        with io.BytesIO() as data:
            with wave.open(data, "wb") as file:
                file.setparams((1, 2, self.rate, 0, "NONE", ""))
                file.writeframes((32767 * self.samples.clamp(-1, 1)).short().numpy().tobytes())
            source = base64.b64encode(data.getvalue()).decode()
        label = html.escape(f"Play: {self.alt}")
        return (
            f'{self.picture.page()}<audio controls aria-label="{label}" src="data:audio/wav;base64,{source}"></audio>'
        )

    def draw(self, axes: Axes) -> None:
        self.picture.draw(axes)


@dataclass(frozen=True, eq=False)
class Sentence(Shown):
    """Words of two sentences, side by side: at each place the own word, the partner's, or both where they are blended.

    Args:
        own: own words, "" where there is none.
        partner: the partner's, equally many.
        shares: own share at each place, in [0, 1].
        alt: what it shows.
    """

    own: Sequence[str]
    partner: Sequence[str]
    shares: Sequence[float]
    alt: str

    def places(self) -> list[list[tuple[str, str]]]:
        """The words at each place, one or two, with whose they are: "own" or "partner"."""
        both = zip(self.own, self.partner, self.shares, strict=True)
        found = ([("own", own)] * (share > 0) + [("partner", other)] * (share < 1) for own, other, share in both)
        return [[(whose, word) for whose, word in place if word] for place in found]

    def page(self) -> str:
        spans = (
            "".join(f'<span class="{whose}">{html.escape(word)}</span>' for whose, word in place)
            for place in self.places()
        )
        words = " ".join(f'<span class="place">{each}</span>' for each in spans if each)
        return f'<p class="sentence" role="img" aria-label="{html.escape(self.alt)}">{words}</p>'

    def draw(self, axes: Axes) -> None:
        axes.set(xlim=(0, LINE), ylim=(0, 1))
        colours = {"own": OWN, "partner": PARTNER}
        tall = any(len(place) > 1 for place in self.places())
        column, height, step = 0.5, 0.9, 0.09
        for place in self.places():
            wide = 1.25 * max((len(word) for _, word in place), default=0) + 1
            if column + wide > LINE:
                column, height = 0.5, height - (2.4 if tall else 1.3) * step
            for line, (whose, word) in enumerate(place):
                style = "italic" if whose == "partner" else "normal"
                axes.text(column, height - line * step, word, color=colours[whose], fontsize=9, style=style)
            column += wide
