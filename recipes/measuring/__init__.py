"""Measurements that are not training runs: `python -m recipes.measuring.NAME --help`."""
