"""The named methods, one class each, by what their masks are made of, and the policies that choose among them.

`uniform` (MixUp, NoMix), `boxes` (CutMix, Cutout), `fields` (FMix) and `blocks` (PatchUp, DropBlock) each have a file
of mask generators of the same name in `core.masks`; `puzzle` takes its masks from what a model looks at. Imports the
core.
"""
