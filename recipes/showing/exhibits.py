"""What each method does to two samples of a modality: photographs, sounds, sentences and voxels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from matplotlib import colormaps
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn.functional import interpolate

import mixmodal as mm
from mixmodal.core.grids import spread
from recipes.data.audio import sets
from recipes.data.audio.files import RATE
from recipes.data.disk.lazy import read
from recipes.data.packed.declarations import articles
from recipes.showing.media import Picture, Sentence, Shown, Sound
from recipes.showing.voxels import cells, chair, solid, table

METHODS: dict[str, type[mm.Mixer]] = {"MixUp": mm.MixUp, "CutMix": mm.CutMix, "FMix": mm.FMix}
SWAP = torch.tensor([1, 0])
LAM = 0.6
"""The own share that is asked for, so that much of both samples is visible."""


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A method at work.

    Args:
        title: the method, or what it works on.
        code: the lines that do it.
        mask: where the sample keeps its own values.
        mix: the mixed sample.
        shares: the shares of both labels.
    """

    title: str
    code: str
    mask: Shown
    mix: Shown
    shares: str


@dataclass(frozen=True, eq=False)
class Section:
    """Two samples of a modality, and what the methods make of the first.

    Args:
        title: the modality.
        about: a sentence.
        own: the sample.
        partner: the other one.
        names: their labels.
        exhibits: one for each method.
        stacked: show masks above mixes, not beside them.
    """

    title: str
    about: str
    own: Shown
    partner: Shown
    names: tuple[str, str]
    exhibits: Sequence[Exhibit]
    stacked: bool = False


def shares(lam: Tensor, names: Sequence[str]) -> str:
    """The label of a mix in words.

    >>> shares(torch.tensor([0.75]), ("temple", "flower"))
    '75 % temple, 25 % flower'
    """
    own = round(100 * lam[0].item())
    return f"{own} % {names[0]}, {100 - own} % {names[1]}"


def exhibits(
    batch: Tensor,
    names: tuple[str, str],
    code: str,
    show: Callable[[mm.Mix, Tensor, str], tuple[Shown, Shown]],
    axes: str = "b c *",
    valid: Tensor | None = None,
) -> list[Exhibit]:
    """Mix two samples by each method.

    Args:
        batch: both samples (2, ...).
        names: their labels.
        code: the two lines of a training step, with `METHOD` for the method.
        show: draws the mask and the mix of a record, the mixed batch and its label.
        axes: of the batch.
        valid: real locations, where there is padding.
    """
    found = []
    for name, method in METHODS.items():
        torch.manual_seed(4)
        mixed, mix = method(axes=axes)(batch, index=SWAP, lam=LAM, valid=valid)
        label = shares(mix.lam, names)
        pattern = "" if axes == "b c *" else f'axes="{axes}"'
        lines = code.replace("METHOD", f"mm.{name}({pattern})")
        found.append(Exhibit(name, lines, *show(mix, mixed, f"by {name}: {label}"), label))
    return found


def grey(mask: Tensor, what: str) -> Picture:
    """A mask (H, W)."""
    return Picture(mask.numpy(), f"{what}: white is the sample's own, black the partner's", sharp=True)


def two_photographs(side: int = 256) -> tuple[Tensor, tuple[str, str]]:
    """A temple and a flower, from scikit-learn, float32 (2, 3, side, side) in [0, 1], and what they are."""
    pictures = [torch.from_numpy(load_sample_image(f"{name}.jpg").copy()) for name in ("china", "flower")]
    squares = [picture[:, 107:-106].permute(2, 0, 1)[None].float() / 255 for picture in pictures]
    return torch.cat([interpolate(square, (side, side), mode="area") for square in squares]), ("temple", "flower")


def photographs() -> Section:
    """Two photographs."""
    batch, names = two_photographs()

    def seen(x: Tensor, alt: str) -> Picture:
        return Picture(x.permute(1, 2, 0).numpy(), alt)

    def show(mix: mm.Mix, mixed: Tensor, label: str) -> tuple[Shown, Shown]:
        return grey(mix.mask[0].expand(256, 256), "Mask of the photographs"), seen(
            mixed[0], f"Photographs mixed {label}"
        )

    own, partner = seen(batch[0], "A temple with a curved roof"), seen(batch[1], "A red flower in front of leaves")
    code = "x, mix = METHOD(x)  # (B, C, H, W)\nloss = mix.loss(model(x), y)"
    about = "Two photographs of 256 × 256 pixels."
    return Section("Photographs", about, own, partner, names, exhibits(batch, names, code, show))


def sounds() -> Section:
    """Two sung tones, mixed as waveforms."""
    data = sets.synthetic(classes=2, per_class=1, seed=1)
    batch = read(data.train_x) / 32768
    names = ("falling tone", "rising tone")
    logmel = mm.LogMel(hop=128, n_mels=64)

    def heard(x: Tensor, alt: str) -> Sound:
        loud = 0.5 + logmel(x[None])[0, 0].flip(0)
        return Sound(Picture(colormaps["magma"](loud.numpy())[..., :3], alt), x, RATE)

    def show(mix: mm.Mix, mixed: Tensor, label: str) -> tuple[Shown, Shown]:
        mask = mix.mask[0].expand(RATE)[::100].expand(80, -1)
        return grey(mask, "Mask over time"), heard(mixed[0], f"Spectrogram of the tones mixed {label}")

    own, partner = (heard(x, f"Spectrogram of a {name}") for x, name in zip(batch, names, strict=True))
    code = "x, mix = METHOD(x)  # (B, T)\nloss = mix.loss(model(x), y)"
    about = "Two waveforms of a second, mixed over time: listen. The pictures are their mel-spectrograms."
    return Section("Sound", about, own, partner, names, exhibits(batch, names, code, show, axes="b *"))


def sentences() -> Section:
    """The first sentence of the Declaration of Human Rights in two languages, mixed as embeddings."""
    names = ("English", "German")
    texts = [articles()[name][1].split(".")[0].split() for name in names]
    length = max(map(len, texts))
    own, partner = ([*words, *[""] * (length - len(words))] for words in texts)
    valid = torch.arange(length) < torch.tensor([[len(words)] for words in texts])

    def show(mix: mm.Mix, _: Tensor, label: str) -> tuple[Shown, Shown]:
        mask = mix.mask[0].expand(length)
        said = f"Words mixed {label}"
        picture = grey(mask.repeat_interleave(24).expand(12, -1), "Mask over the words")
        return picture, Sentence(own, partner, mask.tolist(), said)

    first = Sentence(own, partner, [1.0] * length, " ".join(own))
    second = Sentence(own, partner, [0.0] * length, " ".join(partner))
    code = "x, mix = METHOD(embed(ids), valid=ids > 0)  # (B, T, D)\nloss = mix.loss(model(x, mix.valid), y)"
    made = exhibits(torch.zeros(2, length, 8), names, code, show, axes="b * d", valid=valid)
    about = (
        "Two sentences of unequal length: their words are embedded, and the embeddings are mixed. Padding is left out."
    )
    return Section("Sentences", about, first, second, names, made, stacked=True)


def shapes() -> Section:
    """A chair and a table of voxels."""
    batch = torch.stack([chair(), table()])[:, None].float()
    names = ("chair", "table")

    def show(mix: mm.Mix, _: Tensor, label: str) -> tuple[Shown, Shown]:
        mask = spread(mix.mask, batch, mix.axes).expand(batch.shape)[0, 0]
        meaning = "Mask of the voxels, a cube: white is the sample's own, black the partner's"
        mixture = cells(batch[0, 0] * mask, batch[1, 0] * (1 - mask), f"Voxels mixed {label}")
        return solid(mask, meaning), mixture

    nothing = torch.zeros_like(batch[0, 0])
    own = cells(batch[0, 0], nothing, "A chair of voxels, blue")
    partner = cells(nothing, batch[1, 0], "A table of voxels, orange")
    code = "x, mix = METHOD(x)  # (B, C, D, H, W)\nloss = mix.loss(model(x), y)"
    about = "Two shapes of 14 × 14 × 14 voxels: one mask of rank 3."
    return Section("Voxels", about, own, partner, names, exhibits(batch, names, code, show))
