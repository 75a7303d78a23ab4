"""Pre-activation ResNets for small images, in the two forms used by the FMix and PatchUp papers.

Source: He et al. 2016, "Identity Mappings in Deep Residual Networks"; Harris et al. 2020 (FMix) and Faramarzi et al.
2020 (PatchUp), from their published code; Verma et al. 2019 (Manifold Mixup), from whose published code PatchUp's is
derived, for the bottlenecks of depth 101 and 152.

Deviation: the final pooling is global, where the authors average fixed 4x4 windows; on 32x32 images both are the same.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from recipes.models.arguments import Variant, check_positive, check_variant

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECKS = {101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4


class Block(nn.Module):
    """A pre-activation block: ``o = relu(bn1(x))``, then ``conv2(relu(bn2(conv1(o)))) + shortcut``.

    The shortcut is a 1x1 convolution of ``o`` where the shape changes. Elsewhere it is ``x`` if ``raw_identity`` (the
    textbook block, PatchUp), otherwise ``o`` (FMix).
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, raw_identity: bool) -> None:
        super().__init__()
        self.raw_identity = raw_identity
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.projection: nn.Conv2d | None = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        activated = F.relu(self.bn1(x))
        if self.projection is not None:
            shortcut: Tensor = self.projection(activated)
        else:
            shortcut = x if self.raw_identity else activated
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return residual + shortcut


class Bottleneck(nn.Module):
    """A pre-activation bottleneck: ``o = relu(bn1(x))``, then convolutions of 1x1, 3x3 and 1x1, and the shortcut.

    Inside it has a quarter of the ``outputs``. The 3x3 convolution has the stride, and each of the later two follows
    a batch norm with ReLU. The shortcut is a 1x1 convolution of ``o`` where the shape changes, elsewhere ``x``.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        inside = outputs // EXPANSION
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inside, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, outputs, 1, bias=False)
        self.projection: nn.Conv2d | None = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(activated)
        inner = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        residual: Tensor = self.conv3(F.relu(self.bn3(inner)))
        return residual + shortcut


class PreActResNet(nn.Module):
    """A pre-activation ResNet: ``stem``, ``layer1`` to ``layer4``, global average pooling, ``head``.

    The variants differ in the stem (3x3 convolution, in ``"fmix"`` with BN and ReLU) and in the identity shortcut
    (see ``Block``). Neither has BN or ReLU after the last stage.

    Args:
        blocks: number of blocks in each of the four stages.
        channels: number of input channels.
        classes: number of outputs.
        width: channels of the first stage; the others have 2, 4 and 8 times as many, and stages of bottlenecks output
            4 times what they have inside.
        stem_stride: stride of the stem (2 on Tiny-ImageNet in PatchUp).
        variant: whose network.
        bottleneck: stages of ``Bottleneck`` in place of ``Block``; only ``"patchup"`` has them.

    Raises:
        ValueError: ``blocks`` is not four positive numbers, a size is below 1, or the variant is unknown or has no
            bottlenecks.

    >>> import torch
    >>> PreActResNet((1, 1, 1, 1), channels=1, classes=5, width=4)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        blocks: Sequence[int],
        *,
        channels: int = 3,
        classes: int = 10,
        width: int = 64,
        stem_stride: int = 1,
        variant: Variant = "fmix",
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"blocks={tuple(blocks)} must be four numbers of at least 1, one for each stage")
        check_positive(channels=channels, classes=classes, width=width, stem_stride=stem_stride)
        check_variant(variant)
        raw = variant == "patchup"
        if bottleneck and not raw:
            raise ValueError(f"variant={variant!r} has no network of bottlenecks: choose variant='patchup'")
        block = Bottleneck if bottleneck else partial(Block, raw_identity=raw)
        first = EXPANSION * width if bottleneck else width
        conv = nn.Conv2d(channels, width, 3, stride=stem_stride, padding=1, bias=False)
        self.stem = nn.Sequential(conv) if raw else nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
        self.layer1 = _stage(block, blocks[0], width, first, stride=1)
        self.layer2 = _stage(block, blocks[1], first, 2 * first, stride=2)
        self.layer3 = _stage(block, blocks[2], 2 * first, 4 * first, stride=2)
        self.layer4 = _stage(block, blocks[3], 4 * first, 8 * first, stride=2)
        self.head = nn.Linear(8 * first, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, channels, H, W) to logits (B, classes)."""
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def preact_resnet(
    depth: int,
    *,
    channels: int = 3,
    classes: int = 10,
    width: int = 64,
    stem_stride: int = 1,
    variant: Variant = "fmix",
) -> PreActResNet:
    """Return the PreActResNet of ``depth`` 18 or 34, or of bottlenecks for 101 or 152, which only ``"patchup"`` has.

    The other arguments are those of ``PreActResNet``.

    Raises:
        ValueError: another depth, or what ``PreActResNet`` raises.
    """
    known = {**BLOCKS, **BOTTLENECKS}
    if depth not in known:
        raise ValueError(
            f"depth={depth} is not available: choose {', '.join(map(str, known))}, or give PreActResNet your own blocks"
        )
    return PreActResNet(
        known[depth],
        channels=channels,
        classes=classes,
        width=width,
        stem_stride=stem_stride,
        variant=variant,
        bottleneck=depth in BOTTLENECKS,
    )


def _stage(block: Callable[..., nn.Module], blocks: int, inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Return ``blocks`` blocks, of which the first changes width and resolution."""
    rest = (block(outputs, outputs, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(block(inputs, outputs, stride=stride), *rest)
