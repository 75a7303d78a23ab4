"""Analyses of PatchUp itself: `python -m recipes.analyses.patchup.NAME --help`."""
