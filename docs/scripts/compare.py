"""What mixmodal and similar libraries do when asked: `python docs/scripts/compare.py --out docs/results/peers.md`.

Each cell of the table is a probe that was run: "yes", what came out, or "no" with the first words of the error, which
the page prints as notes. The other libraries are tried if they can be imported, as after
`pip install --target PEERS --no-deps timm kornia kornia_rs openmixup gco-wrapper` with PEERS in PYTHONPATH.
"""

import argparse
import datetime
import functools
import pickle
import random
import textwrap
import warnings
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path

import numpy
import torch
from peers import IMAGE, LIBRARIES, Library, Method, planes
from torch import Tensor

GRIDS = {"(B, C, L)": (24,), "(B, C, H, W)": IMAGE, "(B, C, D, H, W)": (6, 8, 5)}


def mixes(run: Method, batch: int = 8, grid: tuple[int, ...] = IMAGE) -> object:
    """The shape stays, shares add up to one, something is mixed, and masks that vary do so along every axis."""
    x, y = planes(batch, grid)
    drawn = [run(x.clone(), y)[0] for _ in range(20)]
    assert drawn[0].shape == x.shape, f"returns the shape {tuple(drawn[0].shape)}"
    assert all(torch.allclose(mixed.sum(1), torch.ones(())) for mixed in drawn), "shares do not add up to one"
    assert batch == 1 or any(not torch.equal(mixed, x) for mixed in drawn), "nothing is mixed"
    spanned = {axis for axis in range(2, x.ndim) if all((mixed.diff(dim=axis) == 0).all() for mixed in drawn)}
    assert batch == 1 or len(spanned) in (0, len(grid)), f"each box spans axis {min(spanned)}"
    return True


def exact(run: Method) -> object:
    """The labels' weights are the shares of the image."""
    pairs = [run(*planes()) for _ in range(100)]
    off = max(float((mixed.mean((2, 3)) - targets).abs().max()) for mixed, targets in pairs)
    return off < 1e-5 or f"no: off by up to {off:.1g}"


def untouched(run: Method) -> object:
    """The batch that was given is as before."""
    x, y = planes()
    for _ in range(5):
        run(given := x.clone(), y)
        assert torch.equal(given, x), "it is written into"
    return True


def repeats(run: Method) -> object:
    """`torch.manual_seed` repeats a draw."""
    pairs = [(torch.manual_seed(seed), run(*planes()))[1] for seed in (1, 1, 2, 2)]
    return torch.equal(pairs[0][0], pairs[1][0]) and torch.equal(pairs[2][0], pairs[3][0])


def several(run: Method) -> object:
    """Shares differ within a batch; who is its own partner does not count."""
    top = run(*planes())[0].amax((1, 2, 3))
    return len(set(top[top < 1 - 1e-6].mul(1e4).round().tolist())) > 1 or "no: one for the batch"


def soft(run: Method, values: Tensor) -> object:
    """Labels of a number for each class are mixed as the image is."""
    mixed, targets = run(planes()[0], values)
    return torch.allclose(targets, mixed.mean((2, 3)) @ values, atol=1e-5)


def compiles(run: Method) -> object:
    """One graph, that draws anew in each call."""
    torch.compiler.reset()
    function = torch.compile(run, fullgraph=True, backend="aot_eager")
    try:
        drawn = [function(*planes())[0] for _ in range(6)]
    except Exception:
        return "no: not one graph"
    return any(not torch.equal(drawn[0], other) for other in drawn) or "no: each call has the same draw"


def keeps(run: Method, dtype: torch.dtype, scale: int) -> object:
    """The batch keeps its dtype and its shares, the labels are float32."""
    x, y = planes()
    mixed, targets = run((scale * x).to(dtype), y)
    assert mixed.dtype == dtype, f"returns {mixed.dtype}"
    assert targets.dtype == torch.float32, f"labels are {targets.dtype}"
    return torch.allclose(mixed.float().mean((2, 3)) / scale, targets, atol=0.01)


def lazy(run: Method) -> object:
    """A batch on the meta device holds no values: whoever reads one, and so would wait for a GPU, fails."""
    return run(*(tensor.to("meta") for tensor in planes()))[0].is_meta


SOFT = torch.eye(8).lerp(torch.full((8, 8), 1 / 8), 0.1)
TAGS = (torch.eye(8) + torch.eye(8).roll(1, 0)).clamp(max=1)
QUESTIONS: dict[str, tuple[str, Callable[[Method], object]] | None] = {
    **{
        f"{name} on {shape}": (name, functools.partial(mixes, grid=grid))
        for name in ("MixUp", "CutMix", "FMix", "PatchUp")
        for shape, grid in GRIDS.items()
    },
    "Puzzle Mix": None,
    "Manifold Mixup in a network of your own": None,
    "PatchUp in a network of your own": None,
    "CutMix, batch of 5": ("CutMix", functools.partial(mixes, batch=5)),
    "CutMix, batch of one": ("CutMix", functools.partial(mixes, batch=1)),
    "labels stay integers": None,
    "soft labels (B, K)": ("labels (B, K)", functools.partial(soft, values=SOFT)),
    "several tags a sample (B, K)": ("labels (B, K)", functools.partial(soft, values=TAGS)),
    "labels weighted by their share, MixUp": ("MixUp", exact),
    "labels weighted by their share, CutMix": ("CutMix", exact),
    "labels weighted by their share, FMix": ("FMix", exact),
    "input unchanged, MixUp": ("MixUp", untouched),
    "input unchanged, CutMix": ("CutMix", untouched),
    "a share for each sample": ("each sample", several),
    "`torch.manual_seed` repeats a draw": ("MixUp", repeats),
    "`generator=`": None,
    "partner and share given": None,
    "one draw on a second tensor": None,
    "label maps follow CutMix": None,
    "padding is not counted": None,
    "token ids (B, T), CutMix": None,
    "raw point clouds (B, N, 3)": None,
    "`torch.compile(fullgraph=True)`, MixUp": ("MixUp", compiles),
    "`torch.compile(fullgraph=True)`, CutMix": ("CutMix", compiles),
    "bfloat16 stays, labels are float32": ("MixUp", functools.partial(keeps, dtype=torch.bfloat16, scale=1)),
    "uint8 images, MixUp": ("MixUp", functools.partial(keeps, dtype=torch.uint8, scale=200)),
    "uint8 images, CutMix": ("CutMix", functools.partial(keeps, dtype=torch.uint8, scale=200)),
    "reads nothing from the batch's device": ("CutMix", lazy),
    "can be pickled": None,
    "runs on a CPU": ("MixUp", mixes),
}
"""Each with the method to ask; None where the answer needs the library's own API."""


def answer(library: Library, name: str) -> str:
    """A cell of the table."""
    question = QUESTIONS[name]
    if name in library.own:
        asked = library.own[name]
    elif name == "can be pickled":
        asked = lambda: type(pickle.loads(pickle.dumps(library.transform))) is type(library.transform)
    elif question is None:
        return "not offered"
    else:
        fallback = library.methods["MixUp"] if question[0] in ("each sample", "labels (B, K)") else None
        run = library.methods.get(question[0], fallback)
        if run is None:
            return "not offered"
        asked = functools.partial(question[1], run)
    for seed in (random.seed, numpy.random.seed, torch.manual_seed):
        seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = asked()
    except Exception as error:
        first = str(error).strip().split("\n")[0].rstrip(".")
        return f"no: {textwrap.shorten(first, 90, placeholder=' ...') or type(error).__name__}".replace("|", "/")
    return said if isinstance(said, str) else "yes" if said else "no"


def column(package: str) -> dict[str, str]:
    """The answers of a library, by question; none where it cannot be imported."""
    try:
        library = LIBRARIES[package]()
    except ImportError:
        return {}
    facts = metadata(package)
    licence = facts["License-Expression" if "License-Expression" in facts else "License"]
    return {"version": facts["Version"], "licence": licence} | {name: answer(library, name) for name in QUESTIONS}


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def page(out: Path) -> str:
    """The whole page."""
    columns = {package: column(package) for package in LIBRARIES}
    found = [package for package, answers in columns.items() if answers]
    head = f"""# Other libraries, probed

Made by `python docs/scripts/compare.py --out {out}` on {datetime.date.today()} with torch {torch.__version__} and NumPy
{numpy.__version__} on a CPU. Each cell is a probe that was run: "yes", what came out, or "no" with the number of a
note: the first words of the error, or what was wrong; "not offered" where there is nothing to call. The conclusions
are in [Compared with other libraries](../guide/comparison.md).

Samples are planes of zeros and ones, so a mixed batch shows where each location comes from. "On" a shape means that
the shares at each location add up to one and that masks vary along every axis. torchvision gets batches with a third
axis as `Video`, and timm labels (B, K) with `multi_label=True`; kornia's CutMix has `use_correct_lambda=True`.
openmixup's functions were loaded one by one from the files of its wheel, with `Tensor.cuda` patched to stay on the
CPU, except in the last row.
"""
    table = [[name, *(columns[package][name] for package in found)] for name in ("version", "licence", *QUESTIONS)]
    notes = list(dict.fromkeys(cell[4:] for cells in table for cell in cells if cell.startswith("no: ")))
    numbered = [[f"no ({notes.index(c[4:]) + 1})" if c.startswith("no: ") else c for c in cells] for cells in table]
    lines = [row(cells) for cells in (["", *found], ["---"] * (len(found) + 1), *numbered)]
    return "\n".join([head, *lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, 1)), ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/peers.md"), help="the page")
    chosen = parser.parse_args().out
    if not chosen.parent.is_dir():
        parser.error(f"--out {chosen}: there is no folder {chosen.parent}")
    chosen.write_text(page(chosen), encoding="utf-8")
