"""t-intervals against printed quantiles, and claims against what their intervals say."""

import math

import numpy as np
import pytest

from recipes.reporting.intervals import (
    Claim,
    Interval,
    claim_table,
    csv_text,
    difference,
    interval,
    value_table,
    verdict,
)

QUANTILES = {2: 12.706, 3: 4.303, 5: 2.776, 10: 2.262}  # of a table of Student's t, 97.5 %, n - 1 degrees of freedom
MEASURED = {
    "NLL": {"baseline": {0: 1.0, 1: 1.2, 2: 1.1}, "mixup": {0: 0.5, 1: 0.8, 2: 0.5}, "fmix": {7: 2.0}},
    "ECE": {"baseline": {0: 0.1, 1: 0.1, 2: 0.1}, "mixup": {0: 0.1, 1: 0.2, 2: 0.0}, "fmix": {7: 0.3}},
}


@pytest.mark.parametrize("n", QUANTILES)
def test_the_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = interval(values.tolist())
    assert found.mean == pytest.approx(values.mean())
    assert found.half == pytest.approx(QUANTILES[n] * values.std(ddof=1) / n**0.5, rel=2e-4)
    assert (found.low, found.high) == pytest.approx((values.mean() - found.half, values.mean() + found.half))


def test_it_holds_the_mean_in_95_of_100_cases() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 3))
    held = sum(found.low < 3.0 < found.high for found in map(interval, draws.tolist()))
    assert abs(held - 1900) < 4.5 * (2000 * 0.95 * 0.05) ** 0.5


def test_one_value_says_nothing_and_none_is_refused() -> None:
    assert interval([2.0]) == Interval(1, 2.0, math.inf)
    with pytest.raises(ValueError, match="at least one"):
        interval([])


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (Interval(3, 1.0, 0.9), "holds"),
        (Interval(3, 1.0, 1.1), "open"),
        (Interval(3, -1.0, 1.1), "open"),
        (Interval(3, -1.0, 0.9), "contradicted"),
        (Interval(1, 5.0, math.inf), "open"),
        (None, "not run"),
    ],
)
def test_verdicts(gap: Interval | None, expected: str) -> None:
    assert verdict(gap) == expected


def test_differences_are_paired_by_seed() -> None:
    assert difference({0: 5.0, 1: 7.0, 9: 100.0}, {1: 1.0, 0: 2.0, 8: -100.0}) == interval([3.0, 6.0])
    assert difference({0: 1.0}, {1: 1.0}) is None


def test_tables_by_hand() -> None:
    lines = value_table(MEASURED, 2).splitlines()
    assert lines[0] == "| method | n | NLL | ECE |"
    assert lines[2:] == [
        "| baseline | 3 | 1.10 ± 0.25 | 0.10 ± 0.00 |",  # standard deviation 0.1: 4.303 * 0.1 / sqrt(3) = 0.248
        "| mixup | 3 | 0.60 ± 0.43 | 0.10 ± 0.25 |",  # standard deviation 0.1732
        "| fmix | 1 | 2.00 ± – | 0.30 ± – |",
    ]
    claims = [
        Claim("NLL", "mixup", "baseline", "a paper"),  # pairs 0.5, 0.4, 0.6
        Claim("NLL", "baseline", "mixup", "a paper"),
        Claim("ECE", "baseline", "mixup", "a paper"),
        Claim("ECE", "mixup", "fmix", "a paper"),
        Claim("ECE", "mixup", "cutmix", "a paper"),
    ]
    rows = [[each.strip() for each in line.split("|")[1:-1]] for line in claim_table(claims, MEASURED, 2).splitlines()]
    assert rows[2] == ["NLL: mixup below baseline (a paper)", "3", "+0.50 ± 0.25", "holds"]
    assert rows[3][1:] == ["3", "−0.50 ± 0.25", "contradicted"]
    assert rows[4][1:] == ["3", "+0.00 ± 0.25", "open"]
    assert rows[5][1:] == rows[6][1:] == ["–", "–", "not run"]


def test_the_csv_has_every_run() -> None:
    lines = csv_text(MEASURED).splitlines()
    assert lines[0] == "method,seed,NLL,ECE"
    assert lines[1:3] == ["baseline,0,1.0,0.1", "baseline,1,1.2,0.1"]
    assert lines[-1] == "fmix,7,2.0,0.3"
    assert len(lines) == 8
