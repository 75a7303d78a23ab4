"""Waveforms: checks of them, and the filters for their spectrograms."""

import warnings

import torch
from torch import Tensor

from mixmodal.core.checks import check_tensor

REMEDIES = {
    torch.uint8: "; of unsigned samples of 8 bits, pass (wave.float() - 128) / 128",
    torch.int16: "; of samples of 16 bits, pass wave.float() / 32768",
    torch.int32: "; of samples of 32 bits, pass (wave.double() / 2**31).float()",
}
"""What to pass for integer waveforms, by dtype."""


def filters(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> tuple[Tensor, Tensor]:
    """The window (n_fft,) and the filters (n_fft // 2 + 1, mels), float32 on the CPU whatever torch's defaults are.

    torchaudio places frequencies from 0 to the integer part of half the sample rate, in the default dtype. So we ask it
    for twice as many at twice the rate; the first half of them is correct for an odd rate too.

    >>> window, bands = filters(16000, 512, 8, 0.0, 8000.0)
    >>> window.shape, bands.shape
    (torch.Size([512]), torch.Size([257, 8]))
    """
    from torchaudio.functional import melscale_fbanks

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about bands without a frequency; LogMel warns once
            ends = f_min, f_max, n_mels, 2 * sample_rate
            bands = melscale_fbanks(n_fft + 1, *ends, norm="slaney", mel_scale="slaney")
            return torch.hann_window(n_fft), bands[: n_fft // 2 + 1].clone()
    finally:
        torch.set_default_dtype(default)


def check_lengths(lengths: Tensor) -> None:
    """Raise unless `lengths` holds a number of samples for each clip."""
    if not isinstance(lengths, Tensor) or lengths.dtype != torch.int64:
        raise TypeError(f"lengths must be an int64 tensor, got {getattr(lengths, 'dtype', type(lengths).__name__)}")
    if lengths.ndim != 1:
        raise ValueError(f"lengths has shape {tuple(lengths.shape)} and must hold one length per clip, (B,)")


def whole(filters: Tensor) -> Tensor:
    """The window or the filters; raises if a framework has cast them to a lower dtype."""
    if torch.promote_types(filters.dtype, torch.float32) != filters.dtype:
        raise TypeError(
            f"the window and the filters of LogMel are {filters.dtype} and must be float32: leave its buffers out of "
            f"what casts them, such as buffer_dtype of FSDP, or make LogMel outside the model"
        )
    return filters


def flat(wave: Tensor) -> Tensor:
    """`wave` as (B, T), with everything checked except its values."""
    check_tensor(wave, "wave")
    if not wave.is_floating_point():
        raise TypeError(f"wave is {wave.dtype} and must be floating{REMEDIES.get(wave.dtype, '')}")
    if wave.ndim not in (2, 3) or (wave.ndim == 3 and wave.shape[1] != 1) or 0 in wave.shape:
        raise ValueError(
            f"wave has shape {tuple(wave.shape)} and must be (B, T) or (B, 1, T), not empty; pass "
            f"wave[None] for one clip, wave.mean(1) for stereo"
        )
    return wave if wave.ndim == 2 else wave[:, 0]


def check_frames(valid: Tensor, power: Tensor) -> None:
    """Raise unless `valid` marks the real frames of `power` (B, frequencies, frames)."""
    if not isinstance(valid, Tensor) or valid.dtype != torch.bool:
        raise TypeError(
            f"valid must be a bool tensor, True where a frame is real, got "
            f"{getattr(valid, 'dtype', type(valid).__name__)}; write logmel.valid(lengths, frames)"
        )
    if valid.shape != (len(power), power.shape[2]):
        raise ValueError(
            f"valid has shape {tuple(valid.shape)} and must be (B, frames), {(len(power), power.shape[2])}, as "
            f"logmel.valid(lengths, frames) gives it"
        )
