"""The papers' analyses of trained networks: `python -m recipes.analyses.NAME --help`."""
