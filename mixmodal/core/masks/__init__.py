"""Mask generators: `(lam (n,), shape) -> mask (n, *shape)` in any rank, 1 where a sample keeps its own values.

All of them are pure functions of their arguments and torch's random state, run on the device of `lam`, and never
wait for that device.
"""

from mixmodal.core.masks.blocks import GammaMode, SeedRegion, blocks, seed_probability
from mixmodal.core.masks.boxes import box, hole
from mixmodal.core.masks.fields import Spacing, Spectrum, fourier, paper_field, upstream_field
from mixmodal.core.masks.uniform import constant

__all__ = [
    "GammaMode",
    "SeedRegion",
    "Spacing",
    "Spectrum",
    "blocks",
    "box",
    "constant",
    "fourier",
    "hole",
    "paper_field",
    "seed_probability",
    "upstream_field",
]
