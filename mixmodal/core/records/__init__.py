"""What follows from a draw: `mix` is its record, which blends any tensor of the batch, makes targets and losses.

`blends`, `targets`, `losses` and `means` are the pure functions that it calls, `views` how it is shown. Imports grids,
checks and devices.
"""
