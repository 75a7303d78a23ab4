"""The training transforms of Google commands in the FMix code, for whole batches of waveforms on their device.

Source: the code of Harris et al. 2020 (FMix), which takes them from https://github.com/tugstugi/pytorch-speech-commands.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.modalities.audio import LogMel

LOUDNESS = (0.7, 1.1)
"""Range of the gain."""
SPEED = STRETCH = 0.2
"""Largest relative change of a clip's length, and of the rate of its stretch."""
SHIFT = 8
"""Largest shift in frames."""
NOISE = 0.45
"""Largest share of background noise."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is changed in each clip of a batch; a skipped step has its neutral value.

    Args:
        gain: factor of the samples, (B,); 1 changes nothing.
        length: factor of the length, which changes pitch and speed, (B,); 1 changes nothing.
        rate: speed at equal pitch, (B,); 1 changes nothing.
        shift: frames by which the clip starts later, int64 (B,); 0 changes nothing.
        share: of background noise, (B,); 0 changes nothing.
        chunk: which background clip, int64 (B,).
    """

    gain: Tensor
    length: Tensor
    rate: Tensor
    shift: Tensor
    share: Tensor
    chunk: Tensor


@dataclass(frozen=True, eq=False)
class TrainWaves:
    """Turn a batch of int16 waveforms into log-mel spectrograms, changed at random in training.

    The steps are those of the FMix code, each taken with probability 1/2, independently for each clip: gain U(0.7,
    1.1); resampling by linear interpolation to 1 + U(-0.2, 0.2) times the length, then padding with zeros or cutting to
    the old one; a stretch of the spectrogram by a phase vocoder at the rate 1 + U(-0.2, 0.2); a shift by -8 to 8
    frames, with zeros for what is missing; and with `noise` a share U(0, 0.45) of the spectrum of a background clip,
    which the FMix code leaves out. Randomness comes from torch's global generator.

    Args:
        mel: makes the spectrograms; it moves to the device of the waveforms.
        noise: background clips of the length of the waveforms, int16 (N, T); none are mixed in if None.

    Raises:
        TypeError: `noise` is not int16.
        ValueError: `noise` holds no clip.

    >>> TrainWaves()(torch.zeros(2, 16000, dtype=torch.int16), train=True).shape
    torch.Size([2, 1, 32, 32])
    """

    mel: LogMel = field(default_factory=LogMel)
    noise: Tensor | None = None

    def __post_init__(self) -> None:
        if self.noise is not None:
            _check(self.noise, "noise")
            if not len(self.noise):
                raise ValueError("noise holds no clip: give one or more, or leave it out")

    def __call__(self, waves: Tensor, train: bool) -> Tensor:
        """Map waveforms int16 (B, T) to spectrograms float32 (B, 1, mels, 1 + T // hop); random only if ``train``.

        Raises:
            TypeError: ``waves`` is not int16.
            ValueError: ``waves`` is not of rank 2, or not of the length of ``noise``.
        """
        _check(waves, "waves")
        if self.noise is not None and self.noise.shape[1] != waves.shape[1]:
            raise ValueError(f"waves have {waves.shape[1]} samples and noise {self.noise.shape[1]}: give equal lengths")
        self.mel.to(waves.device)
        return self.changed(waves, self.draw(waves)) if train else self.mel(_scaled(waves))

    def draw(self, waves: Tensor) -> Change:
        """Draw what to change in a batch, (B, T)."""
        batch, device = len(waves), waves.device

        def sometimes(low: float, high: float, neutral: float) -> Tensor:
            value = low + (high - low) * torch.rand(batch, device=device)
            return torch.where(_coins(batch, device), value, neutral)

        return Change(
            gain=sometimes(*LOUDNESS, 1.0),
            length=sometimes(1 - SPEED, 1 + SPEED, 1.0),
            rate=sometimes(1 - STRETCH, 1 + STRETCH, 1.0),
            shift=_coins(batch, device) * torch.randint(-SHIFT, SHIFT + 1, (batch,), device=device),
            share=sometimes(0.0, 0.0 if self.noise is None else NOISE, 0.0),
            chunk=torch.randint(1 if self.noise is None else len(self.noise), (batch,), device=device),
        )

    def changed(self, waves: Tensor, change: Change) -> Tensor:
        """Change a batch int16 (B, T) and return its spectrograms, float32 (B, 1, mels, 1 + T // hop)."""
        stft = self.mel.stft(resampled(_scaled(waves) * change.gain[:, None], change.length))
        frame = torch.arange(stft.shape[2], device=stft.device) - change.shift[:, None]
        changed = magnitude(stft) @ interpolation(frame * change.rate[:, None], stft.shape[2])
        if self.noise is not None and change.share.any():  # phases matter only where something is added
            noisy = change.share.nonzero()[:, 0]
            stretched = frames_of(phase_vocoder(stft[noisy], change.rate[noisy], stft.shape[2] + SHIFT), frame[noisy])
            chunks = self.noise[change.chunk[noisy].to(self.noise.device)].to(stft.device)
            noise = self.mel.stft(_scaled(chunks))
            changed[noisy] = magnitude(torch.lerp(stretched, noise, change.share[noisy, None, None].to(noise.dtype)))
        return self.mel.of_power(changed**self.mel.exponent)


def magnitude(stft: Tensor) -> Tensor:
    """The absolute values of complex numbers, several times as fast as `abs`, which guards against overflow.

    >>> magnitude(torch.tensor([3.0 + 4.0j]))
    tensor([5.])
    """
    return torch.addcmul(stft.real.square(), stft.imag, stft.imag).sqrt()


def resampled(waves: Tensor, factors: Tensor) -> Tensor:
    """Each waveform resampled by linear interpolation to a multiple of its length, then padded with zeros or cut to it.

    Args:
        waves: floating (B, T).
        factors: multiple of the length of each, (B,), above 0.

    Returns:
        (B, T).

    >>> resampled(torch.tensor([[0.0, 2.0, 4.0, 6.0]] * 2), torch.tensor([2.0, 0.5]))
    tensor([[0., 1., 2., 3.],
            [0., 4., 0., 0.]])
    """
    size = waves.shape[1]
    position = torch.arange(size, device=waves.device) / factors[:, None]
    before = position.long().clamp(max=size - 1)
    after = (before + 1).clamp(max=size - 1)
    between = torch.lerp(waves.gather(1, before), waves.gather(1, after), (position - before).to(waves.dtype))
    return between.masked_fill(position >= size, 0)


def interpolation(position: Tensor, size: int) -> Tensor:
    """Matrices that interpolate linearly along the last axis of what is multiplied by them.

    Args:
        position: where to take values, in steps of the last axis, (B, out); values outside [0, size) are zero.
        size: of the last axis of x; values after its end are zero.

    Returns:
        (B, size, out).

    >>> torch.tensor([[1.0, 2.0, 4.0]]) @ interpolation(torch.tensor([[-0.5, 0.0, 1.5, 2.5, 3.0]]), 3)[0]
    tensor([[0., 1., 3., 2., 0.]])
    """
    place = torch.arange(size, device=position.device)[:, None]
    weight = (1 - (position[:, None] - place).abs()).clamp(min=0)
    return weight * (position >= 0)[:, None]


def phase_vocoder(stft: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Each spectrogram played at its own rate, without a change of pitch.

    Magnitudes are interpolated between frames; phases advance by as much as they do from one frame to the next at the
    current place in the clip. The advance is known up to whole turns, on which the result does not depend.

    Args:
        stft: complex (B, frequencies, frames of the clip).
        rates: speed of each clip, (B,), above 0.
        frames: number of frames of the result; after the end of a clip they are zero.

    Returns:
        complex (B, frequencies, frames).

    >>> phase_vocoder(torch.ones(2, 5, 8, dtype=torch.complex64), torch.tensor([1.0, 2.0]), 6).abs()[:, 0]
    tensor([[1., 1., 1., 1., 1., 1.],
            [1., 1., 1., 1., 0., 0.]])

    Source: ``torchaudio.functional.phase_vocoder``, which takes one rate for all; the tests compare with it.
    """
    size = stft.shape[2]
    position = torch.arange(frames, device=stft.device) * rates.to(stft.real.dtype)[:, None]
    angle = stft.angle()
    step = position.long().clamp(max=size)[:, None].expand(-1, stft.shape[1], -1)
    advance = F.pad(angle, (0, 2)).diff().gather(2, step)
    phase = torch.cat([angle[..., :1], advance[..., :-1]], dim=2).cumsum(2)
    return torch.polar(magnitude(stft) @ interpolation(position, size), phase)


def frames_of(stft: Tensor, frame: Tensor) -> Tensor:
    """Frames of each spectrogram by number.

    Args:
        stft: (B, frequencies, frames of the clip).
        frame: numbers of the frames to take, int64 (B, out); frames outside the clip are zero.

    Returns:
        (B, frequencies, out).

    >>> frames_of(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[-1, 0, 1]]))
    tensor([[[0., 1., 2.]]])
    """
    size = stft.shape[2]
    taken = stft.gather(2, frame.clamp(0, size - 1)[:, None].expand(-1, stft.shape[1], -1))
    return taken.masked_fill(((frame < 0) | (frame >= size))[:, None], 0)


def _coins(batch: int, device: torch.device) -> Tensor:
    """Heads or tails for each clip."""
    return torch.rand(batch, device=device) < 0.5


def _scaled(waves: Tensor) -> Tensor:
    """Samples int16 as float32 in [-1, 1)."""
    return waves.float() / 32768


def _check(waves: Tensor, name: str) -> None:
    """Raise unless `waves` is int16 (B, T)."""
    if waves.dtype != torch.int16:
        raise TypeError(f"{name} is {waves.dtype}, expected int16 samples, as recipes.data.audio reads them")
    if waves.ndim != 2:
        raise ValueError(f"{name} has shape {tuple(waves.shape)}, expected (B, T)")
