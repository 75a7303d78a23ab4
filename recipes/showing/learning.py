"""Train on noisy labels with each method and seed, and compare the accuracies on clean test data by t-intervals."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import torch

import mixmodal as mm
from recipes.reporting.cells import markdown_table
from recipes.reporting.intervals import Values, cell, difference, interval, verdict
from recipes.showing.tasks import TASKS, Reader, Task, noisy

METHODS: dict[str, type[mm.Mixer]] = {"baseline": mm.NoMix, "MixUp": mm.MixUp, "CutMix": mm.CutMix, "FMix": mm.FMix}
BATCH = 64
WORDS = {"holds": "ahead", "contradicted": "behind", "open": "open"}

ABOUT = """\
40 % of the training labels are replaced at random, the test labels are clean, and the score is that of the last epoch.
Without mixing, a network ends up memorising the wrong labels, which is much harder on mixed samples. So this shows
regularisation on small data made noisy on purpose, where it matters most. For gains on CIFAR-10 and other unaltered
data, see docs/results/README.md. ± is half of the 95 % t-interval over the seeds; "ahead" and "behind" mean that the
whole interval is on that side of 0."""

Job = tuple[str, str, int]
"""A task, a method and a seed."""


def train(task: Task, method: str, seed: int) -> float:
    """Train a network; returns its accuracy on the clean test samples after the last epoch, in percent."""
    torch.manual_seed(seed)
    y = noisy(task.train_y, task.classes, seed)
    net, mixer = task.network(), METHODS[method](axes=task.axes)
    optimizer = torch.optim.Adam(net.parameters(), lr=task.rate)
    for _ in range(task.epochs):
        for batch in torch.split(torch.randperm(len(y)), BATCH):
            if len(batch) == 1:  # which batch norm cannot take
                continue
            x, valid = net.embed(task.train_x[batch])
            x, mix = mixer(x, valid=valid)  # 1
            loss = mix.loss(net(x, mix.valid), y[batch])  # 2
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return accuracy(net, task)


@torch.no_grad()
def accuracy(net: Reader, task: Task) -> float:
    """Share of the test samples that are classified correctly, in percent."""
    net.eval()
    found = net(*net.embed(task.test_x)).argmax(1)
    return 100 * float((found == task.test_y).float().mean())


def run(job: Job, smoke: bool) -> float:
    """Train one network in a process of its own."""
    torch.set_num_threads(1)
    task = TASKS[job[0]]()
    return train(task.smoke() if smoke else task, *job[1:])


def scores(seeds: int, *, smoke: bool, workers: int | None = None) -> Iterator[tuple[Job, float]]:
    """The accuracy of every task, method and seed, in order, each as soon as it is known.

    Args:
        seeds: number of seeds.
        smoke: train an epoch on a hundred samples.
        workers: number of processes; one for each core if None. With 1, this process trains them all.
    """
    jobs: list[Job] = [*product(TASKS, METHODS, range(seeds))]
    workers = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    if workers == 1:
        yield from ((job, run(job, smoke)) for job in jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(jobs, pool.map(run, jobs, [smoke] * len(jobs)), strict=True)


def by_task(found: Sequence[tuple[Job, float]]) -> dict[str, Values]:
    """Accuracies by task, method and seed."""
    values: dict[str, dict[str, dict[int, float]]] = {}
    for (task, method, seed), score in found:
        values.setdefault(task, {}).setdefault(method, {})[seed] = score
    return {**values}


def table(values: Mapping[str, Values]) -> str:
    """A Markdown table: a row for each task and method, with its difference to the baseline, paired by seed."""
    rows = []
    for task, of in values.items():
        for method, by_seed in of.items():
            mean = interval([*by_seed.values()])
            gap = None if method == "baseline" else difference(by_seed, of["baseline"])
            compared = ("–", "") if gap is None else (cell(gap, 1, "+"), WORDS[verdict(gap)])
            rows.append([task, method, str(mean.n), f"{mean.mean:.1f}", *compared])
    return markdown_table(["task", "method", "seeds", "accuracy (%)", "gain (points)", "verdict"], rows)
