"""Networks for shapes: PointNet on clouds of points, as in the FMix paper, and VoxNet on voxels.

Source: Qi et al. 2017, "PointNet", without the learned transforms, as the FMix paper's code takes it from kaolin 0.1;
Maturana and Scherer 2015, "VoxNet".
"""

from torch import Tensor, nn

import mixmodal as mm
from recipes.models.arguments import check_positive


class PointNet(nn.Module):
    """PointNet without learned transforms: per point ``layer1`` to ``layer3``, the maximum over points, then the rest.

    ``layer1`` to ``layer3`` are 1x1 convolutions to 64, 128 and 1024 channels, each with BN, the first two with ReLU;
    ``layer4`` and ``layer5`` are linear to 512 and 256 with BN and ReLU; ``head`` is linear.

    Args:
        channels: values per point: its three coordinates, and anything else it carries.
        classes: number of outputs.
        width: channels of ``layer1``; the other layers scale in proportion. 64 in the paper.

    Raises:
        ValueError: an argument is below 1.

    >>> import torch
    >>> PointNet(classes=5, width=4)(torch.rand(2, 100, 3)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, channels: int = 3, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        check_positive(channels=channels, classes=classes, width=width)
        self.layer1 = nn.Sequential(nn.Conv1d(channels, width, 1), nn.BatchNorm1d(width), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv1d(width, 2 * width, 1), nn.BatchNorm1d(2 * width), nn.ReLU())
        self.layer3 = nn.Sequential(nn.Conv1d(2 * width, 16 * width, 1), nn.BatchNorm1d(16 * width))
        self.layer4 = nn.Sequential(nn.Linear(16 * width, 8 * width), nn.BatchNorm1d(8 * width), nn.ReLU())
        self.layer5 = nn.Sequential(nn.Linear(8 * width, 4 * width), nn.BatchNorm1d(4 * width), nn.ReLU())
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map clouds (B, N, channels) to logits (B, classes)."""
        features: Tensor = self.layer3(self.layer2(self.layer1(x.transpose(1, 2))))
        logits: Tensor = self.head(self.layer5(self.layer4(features.amax(dim=2))))
        return logits


class VoxNet(nn.Module):
    """A small network of 3-D convolutions: ``stem``, ``layer1``, ``layer2``, ``head``.

    ``stem`` is a convolution of 5 cells and stride 2, ``layer1`` one of 3 cells and a pooling of 2, each with BN and
    ReLU; ``layer2`` is linear to 4 times the width, with BN and ReLU; ``head`` is linear. Deviations from the paper: BN
    and ReLU where it has leaky ReLU and dropout.

    Args:
        channels: number of input channels.
        classes: number of outputs.
        width: channels of the convolutions; 32 in the paper.
        resolution: cells along each axis of the voxels, 11 or more; 32 in the paper.

    Raises:
        ValueError: an argument is below 1, or ``resolution`` below 11.

    >>> import torch
    >>> VoxNet(classes=5, width=4, resolution=16)(torch.rand(2, 1, 16, 16, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, channels: int = 1, classes: int = 10, width: int = 32, resolution: int = 32) -> None:
        super().__init__()
        check_positive(channels=channels, classes=classes, width=width)
        if resolution < 11:
            raise ValueError(f"resolution={resolution} leaves nothing after the convolutions: give 11 or more")
        side = ((resolution - 3) // 2 - 2) // 2
        self.stem = nn.Sequential(nn.Conv3d(channels, width, 5, stride=2), nn.BatchNorm3d(width), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv3d(width, width, 3), nn.BatchNorm3d(width), nn.ReLU(), nn.MaxPool3d(2))
        dense = nn.Linear(width * side**3, 4 * width)
        self.layer2 = nn.Sequential(nn.Flatten(), dense, nn.BatchNorm1d(4 * width), nn.ReLU())
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map voxels (B, channels, R, R, R), R the ``resolution``, to logits (B, classes)."""
        logits: Tensor = self.head(self.layer2(self.layer1(self.stem(x))))
        return logits


class FromVoxels(nn.Module):
    """Draws points from voxels, anew at each forward, and passes clouds to a network.

    Args:
        net: maps clouds (B, N, 3) to logits (B, C).
        count: number of points to draw.
        standardise: give the points drawn zero mean and unit deviation along each axis, as clouds have; if False they
            lie in (-1/2, 1/2), as in the FMix paper's code.
    """

    def __init__(self, net: nn.Module, count: int, *, standardise: bool) -> None:
        super().__init__()
        self.net, self.count, self.standardise = net, count, standardise

    def forward(self, x: Tensor) -> Tensor:
        """Map voxels (B, 1, R, R, R), 0 or 1, or clouds (B, N, 3), to logits (B, C).

        Raises:
            ValueError: voxels between 0 and 1, or a sample without any.
        """
        if x.ndim == 5:
            if not ((x == 0) | (x == 1)).all():
                raise ValueError("points cannot be drawn from shares of voxels; choose a method with hard masks")
            points = mm.devoxelize(x, self.count)
            x = mm.meshes.normalise(points) if self.standardise else points / 2
        logits: Tensor = self.net(x)
        return logits
