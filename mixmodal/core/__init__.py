"""The one idea: a mask says what share of each location a sample keeps of itself, and a record of it does the rest.

`masks` generates masks, in any rank, and `grids` applies axes patterns to tensors. `records` holds one draw and
everything that follows from it; `draws` is the interface of anything that draws, and `mixer` the base of all methods.
Imports torch, and nothing of the library from outside this folder.
"""
