"""Every table and figure of the FMix and PatchUp papers as a list: `python -m recipes.experiments --help`."""

from recipes.experiments import fmix, patchup

ROWS = {row.name: row for row in (*fmix.ROWS, *patchup.ROWS)}
TITLES = fmix.TITLES | patchup.TITLES
