"""Mixing inside a network, through hooks on its modules: `HiddenMix`, the usual `sites`, the published `presets`.

`acting` is what the hooks do. They need `hooks`, which belong to one module object and not to its copies; `arguments`
by name; `replay` of what a forward did, for checkpointing; and `mixers` that mix nothing. Imports the core and the
methods.
"""
