"""Thin adapters to frameworks for training, one file each, which needs the framework and is imported where it is used.

`import mixmodal` imports none of them.
"""
