"""A network of clouds that also takes voxels."""

from torch import Tensor, nn

from mixmodal.meshes import normalise
from mixmodal.points import devoxelize


class FromVoxels(nn.Module):
    """Draws points from voxels, anew at each forward, and hands clouds to a network.

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
            points = devoxelize(x, self.count)
            x = normalise(points) if self.standardise else points / 2
        logits: Tensor = self.net(x)
        return logits
