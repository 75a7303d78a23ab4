"""The text of an analysis: what was measured, whether the papers' claims hold, and how it was made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes.analyses.shared.trained import Trained
from recipes.reporting.intervals import READING, Claim, Values, claim_table, value_table
from recipes.training import records


def text(
    *,
    title: str,
    about: str,
    made: str,
    measured: Mapping[str, Values],
    digits: int,
    claims: Sequence[Claim],
    pictures: Mapping[str, str],
    name: str,
    judged: Sequence[str] = (),
) -> str:
    """The page of an analysis, in Markdown.

    Args:
        title: its heading.
        about: what is measured, and how.
        made: how it was made.
        measured: values by quantity, for the table of methods; all have the same methods.
        digits: decimals of the tables.
        claims: what the papers say about the quantities.
        pictures: captions by the suffix added to `name`, such as ".png".
        name: name of the page and of the files beside it.
        judged: further findings about the claims, a paragraph each.
    """
    there = {method for values in measured.values() for method in values}
    run = [claim for claim in claims if {claim.lower, claim.higher} <= there]
    absent = dict.fromkeys(name for each in claims for name in (each.lower, each.higher) if name not in there)
    found = [claim_table(run, measured, digits)] if run else []
    if absent:
        found.append(f"Claims about methods that were not run are omitted: {', '.join(absent)}.")
    parts = [
        f"# {title}",
        about,
        value_table(measured, digits),
        *found,
        *judged,
        READING,
        *(f"![{caption}]({name}{suffix})\n\n*{caption}*" for suffix, caption in pictures.items()),
        f"Every run, in full precision: [{name}.csv]({name}.csv).",
        made,
    ]
    return "\n\n".join(parts) + "\n"


def made_by(command: str, first: Trained, runs: int) -> str:
    """How an analysis of trained networks was made.

    Args:
        command: its command line.
        first: one of the networks; the others differ in method and seed.
        runs: how many there are.
    """
    s, revisions = first.settings, first.result.get("git", "unknown")
    smoke = " (a smoke test, which says nothing about the methods)" if s.training.smoke else ""
    network = s.model if s.width is None else f"{s.model}, width {s.width}"
    return (
        f"Made by `{command}` at {records.environment()['git']} on {records.device_name(first.device)}: {runs} runs of "
        f"{network}, trained for {first.result['epochs']} epochs on {len(first.data.train_x)} images "
        f"of {s.data}{smoke}, the first of them at {revisions}, and analysed in float32 on {len(first.data.test_x)} "
        f"{s.score_on} images."
    )


def name_of(out: Path | None, analysis: str) -> str:
    """The name of a page and of the files beside it."""
    return analysis if out is None else out.stem
