"""What the method cards say about cost, read from docs/results/speed.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path

SPEED = Path(__file__).parents[1] / "results" / "speed.md"
Row = Mapping[str, str]


def costs(page: Path = SPEED) -> dict[str, str]:
    """Phrases for the cards, as `fmix_cost`: "2.3 times the floor on (128, 3, 32, 32), 2.1 on (128, 3, 224, 224)".

    Raises:
        ValueError: the page has none of the rows that a phrase is made of.
    """
    tables = list(_tables(page.read_text(encoding="utf-8")))
    fmix = _table(tables, "batch", "floor (ms)", "`fmix(x, out=)` (ms)", "`fmix(x)` / floor")
    patchup = _table(tables, "features", "floor (ms)", "`patchup(x)` (ms)")
    others = _table(tables, "batch", "method", "`mixer(x)` (ms)", "torchvision (ms)")
    floors = {row["batch"]: float(row["floor (ms)"]) for row in fmix}
    found = {"fmix_cost": _phrase({row["batch"]: float(row["`fmix(x)` / floor"]) for row in fmix})}
    for mode in ("soft", "hard"):
        rows = {row["features"]: row for row in patchup if mode in row.values()}
        found[f"patchup_{mode}_cost"] = _phrase(
            {batch: float(row["`patchup(x)` (ms)"]) / float(row["floor (ms)"]) for batch, row in rows.items()}
        )
    for method in ("MixUp", "CutMix"):
        rows = {row["batch"]: row for row in others if row["method"] == method}
        own = {batch: float(row["`mixer(x)` (ms)"]) for batch, row in rows.items()}
        found[f"{method.lower()}_cost"] = _phrase(
            {batch: own[batch] / floors[batch] for batch in own if batch in floors}
        )
        theirs = {batch: own[batch] / float(row["torchvision (ms)"]) for batch, row in rows.items()}
        found[f"{method.lower()}_peer"] = _phrase(theirs, f"times what torchvision's {method} takes")
    empty = [name for name, phrase in found.items() if not phrase]
    if empty:
        raise ValueError(f"{page} has no rows for {', '.join(empty)}")
    return found


def _phrase(ratios: Mapping[str, float], unit: str = "times the floor") -> str:
    """The ratios by batch, the unit after the first."""
    said = [f"{_short(ratio)} on {batch}" for batch, ratio in ratios.items()]
    return ", ".join(said).replace(" on", f" {unit} on", 1)


def _short(ratio: float) -> str:
    """Two digits, or all before the point."""
    return f"{ratio:#.2g}" if ratio < 9.95 else f"{ratio:.0f}"


def _tables(text: str) -> Iterator[list[Row]]:
    """The tables of a Markdown page, each row by the head's names."""
    for block in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.strip().splitlines()]
        if block.lstrip().startswith("|"):
            yield [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def _table(tables: list[list[Row]], *names: str) -> list[Row]:
    """The first table with these columns; none is an empty one."""
    return next((table for table in tables if table and all(name in table[0] for name in names)), [])
