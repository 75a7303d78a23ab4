"""Thin adapters to training frameworks, one file each, which needs the framework and is imported where it is used.

`import mixmodal` does not import any of them.
"""
