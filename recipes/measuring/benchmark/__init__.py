"""What `python -m recipes.benchmark` is made of: clocks, cases, figures, targets; its parts are in `parts`."""
