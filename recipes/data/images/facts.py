"""Facts about each public image set, known before its files are read.

Mean, standard deviation, padding and flip are those of the FMix code, and of the PatchUp code for SVHN. ``PATCHUP``
has those of the PatchUp code for all of its sets, and ``PATCHUP_SPLITS`` their splits.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class HubSource:
    """Where a set lives on the Hugging Face hub.

    Args:
        repo: repository, or a local folder of the same form.
        image: name of the image column.
        label: name of the label column.
        config: which of the repository's sets, if it has several.
        test: name of the test split.
        mode: ``"RGB"``, or ``"L"`` for grey images.
    """

    repo: str
    image: str
    label: str
    config: str | None = None
    test: str = "test"
    mode: str = "RGB"


@dataclass(frozen=True)
class Facts:
    """Facts about a set; ``url`` is where it comes from. ``classes`` is empty if the files themselves name them."""

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    url: str
    hub: HubSource
    pad: int = 4
    flip: bool = True


def _words(text: str) -> tuple[str, ...]:
    """Split at spaces."""
    return tuple(text.split())


def _of_255(*levels: float) -> tuple[float, ...]:
    """Scale grey levels 0..255 to 0..1."""
    return tuple(level / 255 for level in levels)


CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar.html"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_HUB = HubSource("ILSVRC/imagenet-1k", "image", "label", test="validation")
HALF = (0.5, 0.5, 0.5)
FACTS = {
    "cifar10": Facts(
        classes=_words("airplane automobile bird cat deer dog frog horse ship truck"),
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        url=CIFAR_URL,
        hub=HubSource("uoft-cs/cifar10", "img", "label"),
    ),
    "cifar100": Facts(
        classes=_words(
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
            "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
            "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
            "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
            "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
            "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table "
            "tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman "
            "worm"
        ),
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        url=CIFAR_URL,
        hub=HubSource("uoft-cs/cifar100", "img", "fine_label"),
    ),
    "fashion-mnist": Facts(
        classes=(*_words("T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag"), "Ankle boot"),
        mean=(0.1307,),
        std=(0.3081,),
        url="https://github.com/zalandoresearch/fashion-mnist",
        hub=HubSource("zalando-datasets/fashion_mnist", "image", "label", mode="L"),
    ),
    "svhn": Facts(
        classes=_words("0 1 2 3 4 5 6 7 8 9"),
        mean=HALF,
        std=HALF,
        url="http://ufldl.stanford.edu/housenumbers",
        hub=HubSource("ufldl-stanford/svhn", "image", "label", config="cropped_digits"),
        pad=2,
        flip=False,
    ),
    "tiny-imagenet": Facts(
        classes=(),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        hub=HubSource("zh-plus/tiny-imagenet", "image", "label", test="valid"),
        pad=0,
    ),
}
PATCHUP = {
    "cifar10": replace(FACTS["cifar10"], mean=_of_255(125.3, 123.0, 113.9), std=_of_255(63.0, 62.1, 66.7), pad=2),
    "cifar100": replace(FACTS["cifar100"], mean=_of_255(129.3, 124.1, 112.4), std=_of_255(68.2, 65.4, 70.4), pad=2),
    "svhn": FACTS["svhn"],
    "tiny-imagenet": replace(FACTS["tiny-imagenet"], mean=HALF, std=HALF, pad=4),
}
PATCHUP_SPLITS = {"cifar10": (5_000, 500), "cifar100": (500, 50), "svhn": (7_325, 733)}
"""``per_class_limit`` and ``validation`` of ``split_off`` in PatchUp, which does not split Tiny-ImageNet."""
