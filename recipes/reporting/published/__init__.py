"""Published scores, as printed in the papers: `{(data, model): {method: (mean, std)}}`, all in percent."""

from recipes.reporting.published.fmix import (
    FMIX_COMMANDS,
    FMIX_MODELNET,
    FMIX_TABLE_2,
    FMIX_TABLE_3,
    FMIX_TABLE_4,
    FMIX_TABLE_5,
    FMIX_TABLE_5_TOXIC,
)
from recipes.reporting.published.patchup import PATCHUP_TABLE_1, PATCHUP_TABLE_2, PATCHUP_TABLE_3
from recipes.reporting.published.table import Key, Published, Score

__all__ = [
    "FMIX_COMMANDS",
    "FMIX_MODELNET",
    "FMIX_TABLE_2",
    "FMIX_TABLE_3",
    "FMIX_TABLE_4",
    "FMIX_TABLE_5",
    "FMIX_TABLE_5_TOXIC",
    "PATCHUP_TABLE_1",
    "PATCHUP_TABLE_2",
    "PATCHUP_TABLE_3",
    "TABLES",
    "Key",
    "Published",
    "Score",
    "published_for",
]

TABLES: tuple[Published, ...] = (
    FMIX_TABLE_2,
    FMIX_TABLE_3,
    FMIX_TABLE_4,
    FMIX_TABLE_5,
    FMIX_TABLE_5_TOXIC,
    FMIX_COMMANDS,
    FMIX_MODELNET,
    PATCHUP_TABLE_1,
    PATCHUP_TABLE_2,
    PATCHUP_TABLE_3,
)


def published_for(key: Key) -> tuple[Published, ...]:
    """All tables that hold `key` = (data, model).

    Raises: KeyError if no table does, naming the known keys.
    """
    found = tuple(table for table in TABLES if key in table.scores)
    if not found:
        known = sorted({"/".join(known) for table in TABLES for known in table.scores})
        raise KeyError(f"no published table for {'/'.join(key)!r}; there are: {', '.join(known)}")
    return found
