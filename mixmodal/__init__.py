"""Mixed-sample data augmentation in any modality and any rank."""

from mixmodal import presets, sites
from mixmodal.hidden import HiddenMix
from mixmodal.images import MixCollate
from mixmodal.methods import CutMix, Cutout, FMix, MixUp, NoMix
from mixmodal.mix import Mix
from mixmodal.mixer import Mixer
from mixmodal.patches import DropBlock, PatchUp
from mixmodal.policies import Alternate, OneOf, Policy
from mixmodal.saliency import PuzzleMix, saliency

__version__ = "0.1.0"

__all__ = [
    "Alternate",
    "CutMix",
    "Cutout",
    "DropBlock",
    "FMix",
    "HiddenMix",
    "Mix",
    "MixCollate",
    "MixUp",
    "Mixer",
    "NoMix",
    "OneOf",
    "PatchUp",
    "Policy",
    "PuzzleMix",
    "presets",
    "saliency",
    "sites",
]
