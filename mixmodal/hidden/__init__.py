"""Mixing inside a network, through hooks on its modules: `HiddenMix`, the usual `sites`, the published `presets`.

`arguments` and `replay` are what the hooks need: arguments by name, and what a forward did, for checkpointing. Imports
the core and the methods.
"""
