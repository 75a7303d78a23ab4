"""Every mixer on every size, one draw for the batch or one for each sample: time, and memory beside the batch."""

from collections.abc import Callable

from recipes.measuring.benchmark import recorded
from recipes.measuring.benchmark.cases import DRAWS, FEATURES, INPUTS, Batch, Bench, Part, methods_for
from recipes.measuring.benchmark.figures import Figures, Key, ratio, section, table
from recipes.measuring.benchmark.recorded import Shape
from recipes.training.methods import BY_SALIENCY

NAME = "mixing"


def measure(bench: Bench, figures: Figures) -> None:
    """Floor and calls of each method, in milliseconds; memory in multiples of the batch."""
    for shape in (*bench.inputs, *bench.features):
        batch = Batch(shape, bench)
        bench.clock.milliseconds(batch.floor("batch"), bench.settling)
        for draws in DRAWS:
            floor = bench.clock.milliseconds(batch.floor(draws))
            figures.add(Key(NAME, str(shape), "", draws, "floor"), floor)
            for method in methods_for(shape):
                _one(batch, method, draws, figures)


def _one(batch: Batch, method: str, draws: str, figures: Figures) -> None:
    clock = batch.bench.clock
    of = (NAME, str(batch.shape), method, draws)
    calls = batch.calls(method, draws)
    for what, call in calls.items():
        figures.add(Key(*of, what), clock.milliseconds(call))
    if figures.get(*of, "memory") is None:
        bytes_more = clock.peak(calls["call"])
        figures.add(Key(*of, "memory"), ratio(bytes_more, batch.x.nbytes))


def floors(figures: Figures, shape: Shape, method: str, draws: str, what: str) -> float | None:
    """What a call of a method takes, in multiples of the floor of its kind of masks."""
    number = figures.get(NAME, str(shape), method, draws, what)
    return ratio(number, figures.get(NAME, str(shape), "", draws, "floor"))


def theirs(figures: Figures, of: Callable[[str, Shape], float | None], method: str, shape: Shape) -> float | None:
    """What the published code takes in floors; None where it may not be held against this run."""
    return of(method, shape) if figures.comparable else None


def speedup(figures: Figures, shape: Shape, method: str) -> float | None:
    """How many times as fast as the published code a method mixes a batch by one draw."""
    return ratio(theirs(figures, recorded.of_batch, method, shape), floors(figures, shape, method, "batch", "call"))


def masks_speedup(figures: Figures, shape: Shape, method: str) -> float | None:
    """How many times as fast as the published code a method draws a mask for each sample."""
    return ratio(theirs(figures, recorded.of_masks, method, shape), floors(figures, shape, method, "sample", "draw"))


def sections(figures: Figures) -> list[str]:
    """FMix and PatchUp beside the code of their papers, and everything."""
    return [*_fmix(figures), *_fmix_by_sample(figures), *_patchup(figures), *_all(figures)]


def _times(figures: Figures, shape: Shape, method: str, draws: str, *names: str) -> list[float | None]:
    """The floor and calls, in milliseconds."""
    floor = figures.get(NAME, str(shape), "", draws, "floor")
    return [floor, *(figures.get(NAME, str(shape), method, draws, name) for name in names)]


def _measured(figures: Figures, shapes: tuple[Shape, ...], draws: str) -> list[Shape]:
    return [shape for shape in shapes if figures.get(NAME, str(shape), "", draws, "floor") is not None]


def _fmix(figures: Figures) -> list[str]:
    rows = [
        (
            str(shape),
            [
                *_times(figures, shape, method, "batch", "draw", "call", "out"),
                floors(figures, shape, method, "batch", "call"),
                theirs(figures, recorded.of_batch, method, shape),
                speedup(figures, shape, method),
            ],
        )
        for method in recorded.MASKS
        for shape in _measured(figures, INPUTS, "batch")
    ]
    columns = (
        "batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x, out=)` (ms) | `fmix(x)` / floor "
        "| upstream / floor | times as fast as upstream"
    )
    text = (
        "The floor is `torch.where(keep, x, y, out=out)`: both batches exist, and so does the result. The code of the "
        "FMix paper was measured against the same floor in another run, on a CPU, hence the ratio."
    )
    return section("FMix, one mask a batch", text, table(columns, rows))


def _fmix_by_sample(figures: Figures) -> list[str]:
    rows = [
        (
            str(shape),
            [
                *_times(figures, shape, method, "sample", "draw", "call"),
                floors(figures, shape, method, "sample", "call"),
                upstream := theirs(figures, recorded.of_samples, method, shape),
                ratio(upstream, floors(figures, shape, method, "sample", "call")),
                masks_speedup(figures, shape, method),
            ],
        )
        for method in recorded.MASKS
        for shape in _measured(figures, INPUTS, "sample")
    ]
    columns = (
        "batch | floor (ms) | draw (ms) | `fmix(x)` (ms) | `fmix(x)` / floor | upstream / floor "
        "| times as fast as upstream | its masks alone"
    )
    text = (
        "The floor chooses with a mask for each sample too. The authors' code draws one mask for a batch; here its "
        "masks are counted one after the other and applied together."
    )
    return section("FMix, a mask for each sample", text, table(columns, rows))


def _patchup(figures: Figures) -> list[str]:
    rows = []
    for shape in _measured(figures, FEATURES, "batch"):
        for method in recorded.BLOCKS:
            upstream = theirs(figures, recorded.of_batch, method, shape)
            cells = _times(figures, shape, method, "batch", "draw", "call", "out")
            faster = [ratio(upstream, floors(figures, shape, method, "batch", what)) for what in ("call", "out")]
            rows.append((f"{shape} | {method.rpartition('-')[2]}", [*cells, upstream, *faster]))
    columns = (
        "features | | floor (ms) | draw (ms) | `patchup(x)` (ms) | `patchup(x, out=)` (ms) | upstream / floor "
        "| times as fast as upstream | with `out=`"
    )
    return section("PatchUp, a pattern for each channel, shared by the batch", "", table(columns, rows))


def _all(figures: Figures) -> list[str]:
    rows = []
    for case, method, draws in figures.rows(NAME):
        if method:
            number = {
                what: figures.get(NAME, case, method, draws, what)
                for what in ("draw", "call", "out", "blend", "memory")
            }
            floor = figures.get(NAME, case, "", draws, "floor")
            times = [floor, *(number[what] for what in ("draw", "call", "out"))]
            ratios = [ratio(number[what], floor) for what in ("call", "blend")]
            rows.append((f"{case} | {method} | {draws}", [*times, *ratios, number["memory"]]))
    columns = (
        "batch | method | a draw for each | floor (ms) | draw (ms) | `mixer(x)` (ms) | `mixer(x, out=)` (ms) "
        "| `mixer(x)` / floor | `mix(x, out=)` / floor | most memory beside the batch, in batches"
    )
    text = (
        "The methods of the recipes with their default settings, those of hidden sites on features. Methods in turn "
        f"cost what their mixers cost. What {', '.join(BY_SALIENCY)} needs a backward pass for is not counted. The "
        "memory is the most that `mixer(x)` had at a time, with its result."
    )
    return section("Every mixer", text, table(columns, rows))


PART = Part(measure, sections)
