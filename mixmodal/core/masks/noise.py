"""White noise with given amplitudes that needs few normal numbers: the source of FMix's fields on a CPU."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mixmodal.core.devices import source

FEW = 256
"""Up to this many complex numbers, all are normal."""

EXCESS = 1e-8
"""Bound on the excess kurtosis of a cell, that is, on how far it may be from normally distributed."""

UNSEEN = 2.0**-50
"""Share of the energy that is below the resolution of float32."""

KEPT, MIDDLE = -0x0F0F0F0F0F0F0F10, 0x0808080808080808
"""Bit masks that keep the upper four bits of each byte and centre them on 0: uniform on -120, -104, ..., 120."""

VARIANCE = 16**2 * (16**2 - 1) / 12
"""The variance of such a byte."""

KURTOSIS = 6 / 5 * (16**2 + 1) / (16**2 - 1)
"""The absolute excess kurtosis of such a byte."""


@dataclass(frozen=True, eq=False)
class Filter:
    """Amplitudes (k, ...) of complex noise, and which of its numbers must be normal.

    Args:
        amplitude: factors of standard normal numbers, (k, ...), largest where `energy` is.
        scale: factors of random bytes, (2 k ...): the amplitudes of real and imaginary parts, flattened.
        normal: positions in `scale` of the numbers that are normal; None if all are.

    The numbers with most of the energy are normal, as all should be. A cell of the field is a sum over all numbers, so
    the others, which contribute little each, matter only through such sums: they are uniform on 16 values, independent,
    and have the variance of the normal ones. So the covariance of the field is that of normal noise, and a cell is
    normal up to an excess kurtosis of at most `EXCESS`.
    """

    amplitude: Tensor
    scale: Tensor
    normal: Tensor | None

    @classmethod
    def of(cls, amplitude: Tensor, energy: Tensor) -> "Filter":
        """The filter with amplitudes (k, ...), given the energy that each number adds to the field, of the same shape.

        The tail of the first axis is left out where its energy is below the resolution of float32.
        """
        share = energy.double() / energy.double().sum()
        behind = share.reshape(len(share), -1).sum(1).flip(0).cumsum(0).flip(0)
        kept = max(int((behind > UNSEEN).sum()), 1)
        amplitude, share = amplitude[:kept].contiguous(), share[:kept].flatten()
        order = share.argsort(descending=True)
        fourth = KURTOSIS * share[order].square().flip(0).cumsum(0).flip(0)
        count = int((fourth > EXCESS).sum())
        if 2 * count > len(share) or len(share) <= FEW:
            return cls(amplitude, amplitude.new_empty(0), None)
        normal = (2 * order[:count, None] + torch.arange(2, device=amplitude.device)).flatten().sort().values
        scale = amplitude.flatten().repeat_interleave(2)
        return cls(amplitude, scale / VARIANCE**0.5, normal)

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Complex noise (n, k, ...) with these amplitudes, on the CPU."""
        device = self.amplitude.device
        if self.normal is None:
            white = torch.randn(n, *self.amplitude.shape, 2, dtype=torch.float32, device=device, **source(generator))
            return torch.view_as_complex(white).mul_(self.amplitude)
        size = len(self.scale)
        words = torch.empty(n, -(-size // 16), dtype=torch.int64, device=device)
        words.random_(-(2**63), None, **source(generator))
        levels = torch.stack((words, words << 4), 2).bitwise_and_(KEPT).bitwise_or_(MIDDLE)
        noise = levels.view(n, -1).view(torch.int8)[:, :size] * self.scale
        exact = torch.randn(n, len(self.normal), dtype=torch.float32, device=device, **source(generator))
        noise.index_copy_(1, self.normal, exact.mul_(self.scale[self.normal] * VARIANCE**0.5))
        return torch.view_as_complex(noise.view(n, *self.amplitude.shape, 2))
