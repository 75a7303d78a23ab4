"""Mixed-sample data augmentation in any modality and any rank."""

from mixmodal import meshes, presets, sites
from mixmodal.audio import LogMel, union_targets
from mixmodal.buckets import LengthBucketBatchSampler, PadCollate, Padded, from_torchtext
from mixmodal.hidden import HiddenMix
from mixmodal.images import MixCollate
from mixmodal.methods import CutMix, Cutout, FMix, MixUp, NoMix
from mixmodal.mix import Mix
from mixmodal.mixer import Draws, Mixer
from mixmodal.patches import DropBlock, PatchUp
from mixmodal.points import OnPoints, devoxelize, voxelize
from mixmodal.policies import Alternate, OneOf, Policy
from mixmodal.saliency import PuzzleMix, saliency
from mixmodal.text import KeepEnds, TokenMix, embed_ids, trainer_loss

__version__ = "0.1.0"

__all__ = [
    "Alternate",
    "CutMix",
    "Cutout",
    "Draws",
    "DropBlock",
    "FMix",
    "HiddenMix",
    "KeepEnds",
    "LengthBucketBatchSampler",
    "LogMel",
    "Mix",
    "MixCollate",
    "MixUp",
    "Mixer",
    "NoMix",
    "OnPoints",
    "OneOf",
    "PadCollate",
    "Padded",
    "PatchUp",
    "Policy",
    "PuzzleMix",
    "TokenMix",
    "devoxelize",
    "embed_ids",
    "from_torchtext",
    "meshes",
    "presets",
    "saliency",
    "sites",
    "trainer_loss",
    "union_targets",
    "voxelize",
]
