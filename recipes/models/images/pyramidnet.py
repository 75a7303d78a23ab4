"""PyramidNets of bottlenecks for small images, with ShakeDrop: networks whose width grows at every block.

Source: Han et al. 2017, "Deep Pyramidal Residual Networks"; Yamada et al. 2019, "ShakeDrop Regularization for Deep
Residual Learning"; Harris et al. 2020 (FMix), from their published code.

Deviation: the final pooling is global, where the authors average fixed 8x8 windows; on 32x32 images both are the same.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.models.arguments import check_positive
from recipes.models.images.wide_resnet import init_fmix

EXPANSION = 4
WIDTH, WIDENING = 16, 200
"""Channels of the stem in the paper, and what is added to them up to the last block."""
LAST_DROP = 0.5
"""The drop probability of the last block; it rises linearly from block to block."""


class ShakeDrop(nn.Module):
    """Shake a residual branch in some batches, with separate draws in the forward and the backward pass.

    In training the branch is unchanged with probability `1 - drop_prob`, one draw per batch. Otherwise each sample is
    scaled by a factor from U(-1, 1), and its gradient by one from U(0, 1). In evaluation the branch is scaled by the
    mean of its factor, `1 - drop_prob`.

    Args:
        drop_prob: probability that a batch is shaken, in [0, 1].

    Raises:
        ValueError: `drop_prob` is outside [0, 1].

    >>> ShakeDrop(0.25).eval()(torch.ones(2, 1, 1, 1)).flatten()
    tensor([0.7500, 0.7500])
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        if not 0 <= drop_prob <= 1:
            raise ValueError(f"drop_prob={drop_prob} must be in [0, 1]")
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if not self.training:
            return x * (1 - self.drop_prob)
        kept = torch.rand((), device=x.device) >= self.drop_prob
        forward, backward = (torch.rand((2, len(x), 1, 1, 1), device=x.device)).unbind()
        forward = torch.where(kept, 1.0, 2 * forward - 1).to(x.dtype)
        backward = torch.where(kept, 1.0, backward).to(x.dtype)
        value = x.detach()
        return value * forward + (x - value) * backward


class Bottleneck(nn.Module):
    """A pyramidal bottleneck: convolutions of 1x1, 3x3 and 1x1 between batch norms, ShakeDrop, and the shortcut.

    ReLU follows the second and the third of the four batch norms. The 3x3 convolution has the stride. The shortcut has
    no weights: it is averaged in 2x2 windows where there is a stride, and its missing channels are zeros.
    """

    def __init__(self, inputs: int, inside: int, *, stride: int, drop_prob: float) -> None:
        super().__init__()
        outputs = EXPANSION * inside
        self.stride, self.missing = stride, outputs - inputs
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inside, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, outputs, 1, bias=False)
        self.bn4 = nn.BatchNorm2d(outputs)
        self.shake = ShakeDrop(drop_prob)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 4 * inside, ceil(H / stride), ceil(W / stride))."""
        inner = self.conv1(self.bn1(x))
        inner = self.conv2(F.relu(self.bn2(inner)))
        inner = self.bn4(self.conv3(F.relu(self.bn3(inner))))
        shortcut = x if self.stride == 1 else F.avg_pool2d(x, self.stride, ceil_mode=True)
        residual: Tensor = self.shake(inner)
        return residual + F.pad(shortcut, (0, 0, 0, 0, 0, self.missing))


class PyramidNet(nn.Module):
    """A PyramidNet: ``stem``, ``layer1`` to ``layer3``, ``bn`` with ReLU, global average pooling, ``head``.

    Args:
        depth: number of layers, 9n + 2 for n bottlenecks in each of the three stages.
        channels: number of input channels.
        classes: number of outputs.
        width: channels of the stem; 12.5 times as many are added to it, in equal steps, up to the last block, which is
            the paper's 200 for 16.

    Raises:
        ValueError: ``depth`` is not 9n + 2, or a size is below 1.

    >>> PyramidNet(depth=11, channels=1, classes=5, width=4)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, depth: int = 272, channels: int = 3, classes: int = 10, width: int = WIDTH) -> None:
        super().__init__()
        if depth < 11 or (depth - 2) % 9:
            raise ValueError(f"depth={depth} must be 9n + 2 with n of at least 1: 11, 20, ..., 110, 164, 272")
        check_positive(channels=channels, classes=classes, width=width)
        each = (depth - 2) // 9
        blocks = _blocks(width, 3 * each, strided=(each, 2 * each))
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(*(next(blocks) for _ in range(each))) for _ in range(3))
        last = EXPANSION * _inside(width, 3 * each, 3 * each)
        self.bn = nn.BatchNorm2d(last)
        self.head = nn.Linear(last, classes)
        init_fmix(self, self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, channels, H, W) to logits (B, classes)."""
        features: Tensor = F.relu(self.bn(self.layer3(self.layer2(self.layer1(self.stem(x))))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def _inside(width: int, block: int, blocks: int) -> int:
    """Channels inside a block, counted from 1."""
    return round(width + width * WIDENING / WIDTH * block / blocks)


def _blocks(width: int, blocks: int, *, strided: tuple[int, ...]) -> Iterator[Bottleneck]:
    """All blocks in order; those at the places `strided`, counted from 0, halve the resolution."""
    inputs = width
    for place in range(blocks):
        inside = _inside(width, place + 1, blocks)
        drop_prob = LAST_DROP * (place + 1) / blocks
        yield Bottleneck(inputs, inside, stride=2 if place in strided else 1, drop_prob=drop_prob)
        inputs = EXPANSION * inside
