"""Wide ResNets for small images, in the two forms used by the FMix and PatchUp papers.

Source: Zagoruyko and Komodakis 2016, "Wide Residual Networks"; Harris et al. 2020 (FMix) and Faramarzi et al. 2020
(PatchUp), from their published code.

Deviation: the final pooling is global. FMix averages a 7x7 window, which on the 8x8 map of CIFAR leaves out the last
row and column; PatchUp averages 8x8, the same as here on 32x32 images.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from recipes.models.arguments import Variant, check_positive, check_variant

STEM_WIDTH = 16


class Block(nn.Module):
    """A wide block, ``conv2(relu(bn2(conv1(relu(bn1(x)))))) + shortcut``, with ``x`` itself as identity shortcut.

    ``"fmix"``: no biases, the stride in ``conv1``, the 1x1 projection applied to ``relu(bn1(x))``.
    ``"patchup"``: biases everywhere, the stride in ``conv2``, the 1x1 projection applied to ``x``.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, variant: Variant) -> None:
        super().__init__()
        patchup = variant == "patchup"
        strides = (1, stride) if patchup else (stride, 1)
        self.project_raw = patchup
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=strides[0], padding=1, bias=patchup)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride=strides[1], padding=1, bias=patchup)
        self.projection: nn.Conv2d | None = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=patchup)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(x if self.project_raw else activated)
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return residual + shortcut


class WideResNet(nn.Module):
    """A wide ResNet: ``stem``, ``layer1`` to ``layer3``, ``bn`` with ReLU, global average pooling, ``head``.

    Args:
        depth: number of layers, 6n + 4 for n blocks in each of the three stages.
        widen: widening factor; the stages have 16, 32 and 64 times as many channels.
        channels: number of input channels.
        classes: number of outputs.
        stem_stride: stride of the stem (2 on Tiny-ImageNet in PatchUp).
        variant: whose network. ``"fmix"`` draws convolution weights from N(0, 2 / (k^2 outputs)) and zeroes the
            bias of the head; ``"patchup"`` keeps torch's initialisation, has a biased stem, and gives the final batch
            norm a momentum of 0.9. For the blocks see ``Block``.

    Raises:
        ValueError: ``depth`` is not 6n + 4, a size is below 1, or the variant is unknown.

    >>> import torch
    >>> WideResNet(depth=10, widen=1, channels=1, classes=5)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        *,
        depth: int = 28,
        widen: int = 10,
        channels: int = 3,
        classes: int = 10,
        stem_stride: int = 1,
        variant: Variant = "fmix",
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth={depth} must be 6n + 4 with n of at least 1: 10, 16, 22, 28, ...")
        check_positive(widen=widen, channels=channels, classes=classes, stem_stride=stem_stride)
        check_variant(variant)
        patchup = variant == "patchup"
        blocks = (depth - 4) // 6
        width = STEM_WIDTH * widen
        self.stem = nn.Conv2d(channels, STEM_WIDTH, 3, stride=stem_stride, padding=1, bias=patchup)
        self.layer1 = _stage(blocks, STEM_WIDTH, width, stride=1, variant=variant)
        self.layer2 = _stage(blocks, width, 2 * width, stride=2, variant=variant)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, stride=2, variant=variant)
        self.bn = nn.BatchNorm2d(4 * width, momentum=0.9 if patchup else 0.1)
        self.head = nn.Linear(4 * width, classes)
        if not patchup:
            init_fmix(self, self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, channels, H, W) to logits (B, classes)."""
        features: Tensor = F.relu(self.bn(self.layer3(self.layer2(self.layer1(self.stem(x))))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def _stage(blocks: int, inputs: int, outputs: int, *, stride: int, variant: Variant) -> nn.Sequential:
    """Return ``blocks`` blocks, of which the first changes width and resolution."""
    first = Block(inputs, outputs, stride=stride, variant=variant)
    rest = [Block(outputs, outputs, stride=1, variant=variant) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def init_fmix(net: nn.Module, head: nn.Linear) -> None:
    """Draw every convolution from N(0, 2 / (k^2 outputs)) and zero the bias of the head, in place."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    nn.init.zeros_(head.bias)
