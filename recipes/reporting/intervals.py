"""95 % t-intervals over seeds, and what they say about a claim."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

from recipes.reporting.cells import markdown_table, plain

LEVEL = 0.95
Values = Mapping[str, Mapping[int, float]]
"""A measured value of each run, by method and seed."""


@dataclass(frozen=True)
class Interval:
    """A mean over n values and half the width of its 95 % t-interval, infinite for one value.

    >>> round(interval([1.0, 2.0, 3.0]).half, 2)  # 4.30 standard errors of 0.577
    2.48
    """

    n: int
    mean: float
    half: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half


def interval(values: Sequence[float]) -> Interval:
    """The mean of normally distributed values, and its 95 % interval.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    n = len(values)
    mean = statistics.fmean(values)
    if n == 1:
        return Interval(1, mean, math.inf)
    return Interval(n, mean, float(t.ppf(0.5 + LEVEL / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n))


@dataclass(frozen=True)
class Claim:
    """A paper's claim that a value is lower with one method than with another.

    Args:
        quantity: what is compared, such as "NLL".
        lower: method that has the lower value.
        higher: method that has the higher one.
        source: where it is claimed.
    """

    quantity: str
    lower: str
    higher: str
    source: str


def difference(values: Mapping[int, float], of: Mapping[int, float]) -> Interval | None:
    """The interval of `values - of` over the seeds that both have; None if they have none in common."""
    seeds = sorted(values.keys() & of.keys())
    return interval([values[seed] - of[seed] for seed in seeds]) if seeds else None


def verdict(gap: Interval | None) -> str:
    """What the interval of higher minus lower says about a claim.

    `holds` if it is above 0, `contradicted` if it is below, `open` if 0 is in it or there is one seed, and `not run`
    for None.
    """
    if gap is None:
        return "not run"
    if gap.low > 0:
        return "holds"
    return "contradicted" if gap.high < 0 else "open"


def cell(found: Interval, digits: int, sign: str = "") -> str:
    """Mean and half width, such as `2.00 ± 2.48`; `2.00 ± –` for one seed."""
    half = "–" if math.isinf(found.half) else plain(found.half, digits=digits)
    return f"{plain(found.mean, sign, digits)} ± {half}"


def value_table(measured: Mapping[str, Values], digits: int) -> str:
    """A Markdown table: a row for each method, a column for each quantity, mean ± half of the 95 % t-interval.

    Args:
        measured: values by quantity; all have the same methods.
        digits: decimals.
    """
    methods = list(next(iter(measured.values())))
    rows = []
    for method in methods:
        found = [interval(list(values[method].values())) for values in measured.values()]
        rows.append([method, str(found[0].n), *(cell(each, digits) for each in found)])
    return markdown_table(["method", "n", *measured], rows)


def claim_table(claims: Sequence[Claim], measured: Mapping[str, Values], digits: int) -> str:
    """A Markdown table: each claim, the measured difference, paired by seed, and whether the claim holds."""
    rows = []
    for claim in claims:
        values = measured[claim.quantity]
        gap = difference(values.get(claim.higher, {}), values.get(claim.lower, {}))
        stated = f"{claim.quantity}: {claim.lower} below {claim.higher} ({claim.source})"
        rows.append([stated, *(("–", "–") if gap is None else (str(gap.n), cell(gap, digits, "+"))), verdict(gap)])
    return markdown_table(["claim", "pairs", "higher − lower", "here"], rows)


READING = (
    "± is the half-width of the 95 % t-interval over the seeds: 12.7 standard errors for 2, 4.30 for 3, 2.78 for 5. "
    "Differences are paired by seed. A claim holds if the whole interval is on its side of 0, is contradicted if the "
    "whole interval is on the other side, and is open otherwise."
)
"""How to read both tables."""


def csv_text(measured: Mapping[str, Values]) -> str:
    """Every run, in full precision: method, seed and a column for each quantity."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "seed", *measured])
    first = next(iter(measured.values()))
    for method, by_seed in first.items():
        for seed in by_seed:
            writer.writerow([method, seed, *(values[method][seed] for values in measured.values())])
    return text.getvalue()
