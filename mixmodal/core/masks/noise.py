"""White noise with given amplitudes, at the cost of few normal numbers: what FMix's fields are made of on a CPU."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mixmodal.core.devices import source

FEW = 256
"""Up to so many complex numbers all are normal."""

EXCESS = 1e-8
"""Bound on the excess kurtosis of a cell, by which its law may differ from the normal one."""

UNSEEN = 2.0**-50
"""Share of the energy that float32 does not resolve."""

KEPT, MIDDLE = -0x0F0F0F0F0F0F0F10, 0x0808080808080808
"""Of each byte of a word the upper four bits, and what puts 0 in their middle: -120, -104, ..., 120 with even odds."""

VARIANCE = 16**2 * (16**2 - 1) / 12
"""That of such a byte."""

KURTOSIS = 6 / 5 * (16**2 + 1) / (16**2 - 1)
"""The excess kurtosis of such a byte without its sign."""


@dataclass(frozen=True, eq=False)
class Filter:
    """Amplitudes (k, ...) of complex noise, and which of its numbers must be normal.

    Args:
        amplitude: what multiplies a normal number of deviation 1, (k, ...), largest where `energy` is.
        scale: what multiplies a random byte, (2 k ...): the amplitudes of real and imaginary parts, flattened.
        normal: places in `scale` of numbers that are normal; None if all are.

    The numbers with most of the energy are normal, as all should be. A cell of the field is a sum over all numbers. Of
    the others, which have a small share each, only such sums are seen: they are uniform on 16 values, independent, and
    of the variance of the normal ones. So the covariance of the field is that of normal noise, and a cell is normal
    but for an excess kurtosis of `EXCESS` at most.
    """

    amplitude: Tensor
    scale: Tensor
    normal: Tensor | None

    @classmethod
    def of(cls, amplitude: Tensor, energy: Tensor) -> "Filter":
        """The filter of amplitudes (k, ...) and the energy that each number brings into the field, of the same shape.

        Trailing parts of the first axis whose energy float32 does not resolve are left out.
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
