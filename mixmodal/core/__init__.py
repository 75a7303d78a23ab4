"""The one idea: a mask says what share of each location a sample keeps of itself, and a record of it does the rest.

`masks` generates them, in any rank, and `grids` knows what an axes pattern says of a tensor. `records` is one draw and
what follows from it; `draws` is the interface of what draws, and `mixer` the base of all methods. Imports torch and
nothing of the library but what stands here.
"""
