"""Measurements that are no training runs: `python -m recipes.measuring.NAME --help`."""
