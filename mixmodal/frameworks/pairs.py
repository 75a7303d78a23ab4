"""Pairs (x, y) for training scripts that call a function of both: timm's, torchvision's, data pipelines."""

from dataclasses import KW_ONLY, dataclass

from torch import Tensor

from mixmodal.core.draws import Draws
from mixmodal.methods.uniform import NoMix
from mixmodal.modalities.batches import MixBatch


@dataclass
class MixPairs:
    """Mix a batch and turn its labels into soft targets, (x, y) -> (x', y').

    It replaces timm's `mixup_fn`, whose attribute `mixup_enabled` the script sets for `--mixup-off-epoch`; and the
    transforms in torchvision's references, as `collate_fn=lambda samples: pairs(*default_collate(samples))`. Use a loss
    for soft targets, `nn.CrossEntropyLoss` or timm's `SoftTargetCrossEntropy`, without label smoothing of its own if
    `label_smoothing` is set here. Picklable.

    Args:
        mixer: the mixer or policy that draws. It determines what timm calls `mode`, see `OneOf` and `InPairs`.
        num_classes: number of classes if labels are class numbers; None for soft, multi-label or regression targets.
        label_smoothing: the share of a class label that is spread evenly over all classes, in [0, 1].
        mixup_enabled: whether to mix; if False, labels still become soft targets.

    Raises:
        TypeError: a mixer that needs saliency.
        ValueError: `label_smoothing` out of range, or without `num_classes`.

    >>> import torch, mixmodal as mm
    >>> mixup_fn = MixPairs(mm.CutMix(), num_classes=10, label_smoothing=0.1)
    >>> x, y = mixup_fn(torch.rand(4, 3, 8, 8), torch.tensor([3, 1, 4, 1]))
    >>> x.shape, y.shape
    (torch.Size([4, 3, 8, 8]), torch.Size([4, 10]))
    """

    mixer: Draws
    _: KW_ONLY
    num_classes: int | None = None
    label_smoothing: float = 0.0
    mixup_enabled: bool = True

    def __post_init__(self) -> None:
        self._mixing(self.mixer)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mix.

        Args:
            x: the batch, (B, ...), which is not modified.
            y: class numbers, integers (B,); or soft, multi-label or regression targets, floating (B, ...).

        Returns:
            The mixed batch, like `x`, and its targets, (B, num_classes) for class numbers.

        Raises:
            ValueError: class numbers without `num_classes`; labels of another batch size.
        """
        return self._mixing(self.mixer if self.mixup_enabled else NoMix())((x, y))[0]

    def _mixing(self, mixer: Draws) -> MixBatch:
        return MixBatch(mixer, num_classes=self.num_classes, label_smoothing=self.label_smoothing)
