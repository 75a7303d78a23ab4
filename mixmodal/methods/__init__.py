"""The named methods, one class each, grouped by what their masks consist of, and the policies that choose among them.

`uniform` (MixUp, NoMix), `boxes` (CutMix, Cutout), `fields` (FMix) and `blocks` (PatchUp, DropBlock) each have a file
of mask generators of the same name in `core.masks`; `puzzle` derives its masks from a model's saliency. Imports the
core.
"""
