"""What data the experiments need, where to get them, and how many samples a network is trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

from recipes.data.images.facts import FACTS
from recipes.data.text.sets import FACTS as TEXTS


@dataclass(frozen=True)
class Needed:
    """A set of data.

    Args:
        what: the set and where it is from.
        size: training samples in an epoch.
        without_validation: those left if PatchUp's validation images are held out.
    """

    what: str
    size: int
    without_validation: int | None = None


IN_HUB = "or --hub"
DATA: Mapping[str, Needed] = {
    "cifar10": Needed(f"CIFAR-10, {FACTS['cifar10'].url}, {IN_HUB}", 50_000, 45_000),
    "cifar100": Needed(f"CIFAR-100, {FACTS['cifar100'].url}, {IN_HUB}", 50_000, 45_000),
    "fashion-mnist": Needed(f"Fashion-MNIST, {FACTS['fashion-mnist'].url}, {IN_HUB}", 60_000),
    "svhn": Needed(f"SVHN's cropped digits, {FACTS['svhn'].url}, {IN_HUB}", 73_257, 57_158),
    "tiny-imagenet": Needed(f"Tiny-ImageNet, {FACTS['tiny-imagenet'].url}, {IN_HUB}", 100_000),
    "imagenet": Needed("ImageNet of 2012, https://image-net.org, in DIR/train/CLASS and DIR/val/CLASS", 1_281_167),
    "imagenet-a": Needed(
        "ImageNet as above, and ImageNet-a, https://github.com/hendrycks/natural-adv-examples, in DIR/imagenet-a",
        1_281_167,
    ),
    "bengali": Needed("Bengali.AI's graphemes, https://www.kaggle.com/c/bengaliai-cv19", 160_672),
    "speech-commands": Needed("Speech Commands v0.01, which --words='--download v0.01' fetches", 56_196),
    "modelnet10": Needed("ModelNet10, https://modelnet.cs.princeton.edu, which --words=--download fetches", 3_991),
    "toxic": Needed(f"Toxic comments, {TEXTS['toxic'].url}, and word vectors", 159_571),
    "imdb": Needed(f"IMDb, {TEXTS['imdb'].url}, {IN_HUB}, and word vectors", 25_000),
    "yelp-polarity": Needed(f"Yelp polarity, {TEXTS['yelp-polarity'].url}, {IN_HUB}, and word vectors", 560_000),
    "yelp-full": Needed(f"Yelp full, {TEXTS['yelp-full'].url}, {IN_HUB}, and word vectors", 650_000),
}
"""By the names that the recipes use. Training samples are those of the published split, with a tenth of silence for
Speech Commands, and four of five folds for Bengali.AI; SVHN's 57,158 are at most 7,325 per class."""
VECTORS = "FastText's for the Simple English Wikipedia, wiki.simple.vec from https://fasttext.cc, passed to --vectors"
