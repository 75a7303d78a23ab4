"""What the FMix paper alone measures: `python -m recipes.analyses.fmix.NAME --help`."""
