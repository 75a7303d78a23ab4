"""Mixing inside a network, through hooks on its modules: `HiddenMix`, the usual `sites`, the published `presets`.

`acting` implements what the hooks do. It relies on `hooks`, which belong to one module object and not to its copies;
`arguments`, to look arguments up by name; `replay`, to repeat what a forward did under activation checkpointing; and
`mixers` that mix nothing. Imports the core and the methods.
"""
