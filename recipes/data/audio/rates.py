"""Resample waveforms."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ZEROS = 6
"""Zero crossings of the filter on either side."""
ROLLOFF = 0.99
"""Where the filter ends, relative to half the lower of the two rates."""
RATES = (1_000, 768_000)
"""Rates between which sound is recorded."""
BLOCK = 2**22
"""Numbers that are held in memory at once."""


def to_rate(wave: Tensor, rate: int, wanted: int) -> Tensor:
    """Resample a waveform by a sinc under a Hann window, which cuts off at half the lower of the two rates.

    Time and memory depend on the length of the waveform and on the ratio of the rates, not on their common divisor: the
    filter is computed only for the places between two samples that occur.

    Args:
        wave: floating (T,).
        rate: of the waveform, in samples a second.
        wanted: the rate of the result.

    Returns:
        (ceil(T * wanted / rate),).

    Raises:
        ValueError: ``rate`` is not one at which sound is recorded.

    >>> to_rate(torch.ones(4000), 8000, 16000).shape
    torch.Size([8000])

    Source: the default of ``torchaudio.functional.resample``, whose table has as many numbers as the product of the
    rates without their common divisor.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"is at {rate:,} Hz, expected {RATES[0]:,} to {RATES[1]:,} Hz")
    if rate == wanted:
        return wave
    common = math.gcd(rate, wanted)
    step, steps = rate // common, wanted // common  # from one result to the next, in parts of a sample
    cutoff = min(1.0, wanted / rate) * ROLLOFF
    reach = math.ceil(ZEROS / cutoff)
    taps = torch.arange(-reach, reach + 2)
    frames = F.pad(wave, (reach, reach + 2)).unfold(0, len(taps), 1)
    count = -(-len(wave) * steps // step)
    parts = [wave[:0]]
    size = max(1, BLOCK // len(taps))
    for start in range(0, count, size):
        some = torch.arange(start, min(start + size, count))
        before, between = (some * step).div(steps, rounding_mode="floor"), some * step % steps
        places, which = torch.unique(between, return_inverse=True)
        kernel = _filter((taps - places[:, None].double() / steps) * cutoff) * cutoff
        parts.append((frames[before] * kernel.to(wave.dtype)[which]).sum(1))
    return torch.cat(parts)


def _filter(place: Tensor) -> Tensor:
    """The windowed sinc at places in units of its zero crossings."""
    window = torch.cos(place.clamp(-ZEROS, ZEROS) * (math.pi / ZEROS / 2)).square()
    return torch.sinc(place) * window
