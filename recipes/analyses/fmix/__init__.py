"""Analyses that only the FMix paper has: `python -m recipes.analyses.fmix.NAME --help`."""
