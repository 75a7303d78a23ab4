"""Mixed-sample data augmentation in any modality and any rank."""

from mixmodal.core import masks
from mixmodal.core.draws import Asked, Draws
from mixmodal.core.mixer import Mixer
from mixmodal.core.records.mix import Mix
from mixmodal.hidden import presets, sites
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.methods.blocks import DropBlock, PatchUp
from mixmodal.methods.boxes import CutMix, Cutout
from mixmodal.methods.fields import FMix
from mixmodal.methods.pairs import InPairs
from mixmodal.methods.policies import Alternate, OneOf, Policy
from mixmodal.methods.puzzle.puzzlemix import PuzzleMix
from mixmodal.methods.puzzle.saliency import saliency
from mixmodal.methods.uniform import MixUp, NoMix
from mixmodal.modalities.audio import LogMel, union_targets
from mixmodal.modalities.batches import MixBatch, MixCollate
from mixmodal.modalities.points import meshes
from mixmodal.modalities.points.clouds import OnPoints
from mixmodal.modalities.points.voxels import devoxelize, voxelize
from mixmodal.modalities.text.buckets import LengthBucketBatchSampler
from mixmodal.modalities.text.ends import KeepEnds
from mixmodal.modalities.text.padding import PadCollate, Padded, from_torchtext
from mixmodal.modalities.text.tokens import TokenMix, embed_ids
from mixmodal.modalities.text.trainer import trainer_loss

__version__ = "0.1.0"

__all__ = [
    "Alternate",
    "Asked",
    "CutMix",
    "Cutout",
    "Draws",
    "DropBlock",
    "FMix",
    "HiddenMix",
    "InPairs",
    "KeepEnds",
    "LengthBucketBatchSampler",
    "LogMel",
    "Mix",
    "MixBatch",
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
    "masks",
    "meshes",
    "presets",
    "saliency",
    "sites",
    "trainer_loss",
    "union_targets",
    "voxelize",
]
