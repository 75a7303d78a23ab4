"""Puzzle Mix: keep in each block what is salient in one partner or the other, and move it where it shows.

`saliency` asks the model, `cuts` finds the labelling, `transport` the places, and `puzzlemix` makes a record of them.
Imports the core and the method that draws its pairs.
"""
