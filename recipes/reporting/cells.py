"""Numbers and tables in the format of the pages."""

from collections.abc import Iterable, Sequence


def plain(value: float, sign: str = "", digits: int = 2) -> str:
    """A number with this many decimals, a true minus and no negative zero; `sign="+"` marks positive values too."""
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}".replace("-", "−")


def mean_and_std(mean: float, std: float | None, digits: int = 2) -> str:
    """Cell such as `81.23 ± 0.20`, or `81.23 ± –` without a standard deviation."""
    return f"{plain(mean, digits=digits)} ± {'–' if std is None else plain(std, digits=digits)}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
