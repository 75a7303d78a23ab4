"""A published table."""

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[str, str]
Score = tuple[float, float | None]
Scores = Mapping[Key, Mapping[str, Score]]


@dataclass(frozen=True)
class Published:
    """One published table: its column name, where it is from, what it measures and its values in percent.

    `metric` names what `scores` hold: "accuracy" or another score that grows with quality, or "error", which is kept as
    printed and turned into accuracy by `score`. A standard deviation is None if the paper does not print it.
    """

    name: str
    source: str
    metric: str
    scores: Scores

    @property
    def shown_metric(self) -> str:
        """The metric that `score` returns: "accuracy" for a table of errors, else the table's own."""
        return "accuracy" if self.metric == "error" else self.metric

    def score(self, key: Key, method: str) -> Score | None:
        """Mean and standard deviation in percent of `shown_metric`; None where the method was not published."""
        value = self.scores[key].get(method)
        if value is None or self.metric != "error":
            return value
        return round(100.0 - value[0], 6), value[1]
