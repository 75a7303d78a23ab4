"""The one idea: a mask says what share of each location a sample keeps of itself, and a record of it does the rest.

Mask generators (`masks`), what an axes pattern says of a tensor (`grids`), blending (`blends`) and losses against two
labels (`losses`) are pure functions. `mix` is one draw and what follows from it, `mixer` the interface of what draws.
Imports torch and nothing of the library but what stands here.
"""
