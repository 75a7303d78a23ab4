"""Puzzle Mix: keep in each block what is salient in one partner or the other, and move it where it is seen.

`saliency` queries the model, `cuts` finds the labelling, `transport` the moves, and `puzzlemix` turns them into a
record. Imports the core and the method that draws its pairs.
"""
