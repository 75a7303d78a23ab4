"""Audio: log-mel spectrograms with padding, and targets for overlapping sound events.

Waveforms and spectrograms need no method of their own, only the axes along which a mask varies:

| batch | shape | axes |
|---|---|---|
| waveforms | (B, T) | "b *" |
| waveforms | (B, 1, T) | "b c *" |
| spectrograms, in time and frequency | (B, 1, mels, frames) | "b c *" |
| spectrograms, in time only | (B, 1, mels, frames) | "b c f *" |
| spectrograms, in frequency only | (B, 1, mels, frames) | "b c * t" |

A mask in frequency only is the same in every frame, so it cannot account for padding in time.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mixmodal.core.checks import check, check_range, check_tensor, is_number, require
from mixmodal.core.records.mix import Mix
from mixmodal.modalities.waves import check_frames, check_lengths, filters, flat, whole

SMALLEST = 1e-5
"""The smallest magnitude that is not treated as silence in decibels, as in librosa."""


class LogMel(nn.Module):
    """Mel spectrograms in decibels relative to the loudest band of each clip.

    With the defaults these are librosa's `melspectrogram` and `power_to_db(ref=np.max)`: Hann window, frames centred on
    every `hop`-th sample with zeros beyond the ends, Slaney's mel scale and norm. A `scaled` result is in another
    unit. A silent clip is 0 dB everywhere, since it is as loud as its maximum.

    Padding changes nothing: samples beyond the length of a clip count as zero, just like what lies beyond its end, so
    its real frames are those of the clip alone. Padded frames hold -`floor` dB, and the maximum ignores them.

    It computes in at least float32, even under autocast and in a model that is cast to another dtype (`.half()`,
    `.bfloat16()`), where its window and filters stay in float32. The result has the dtype of the waveform.

    Args:
        sample_rate: of the waveforms, in Hz.
        n_fft: samples of a window, even.
        hop: samples from one frame to the next.
        n_mels: number of mel bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; half the sample rate if None.
        power: exponent of the magnitudes that are summed in a band, in (0, 7], 2 for energy. Decibels refer to the
            magnitude.
        floor: levels further below the maximum than this are clipped to it, in dB.
        scaled: map [-floor, 0] dB to [-1/2, 1/2].

    Raises:
        ImportError: the package `torchaudio` is missing.
        ValueError: a number is out of range.

    >>> import mixmodal as mm
    >>> logmel = LogMel()
    >>> wave, lengths = torch.randn(4, 16000), torch.tensor([16000, 12000, 9000, 16000])
    >>> spec = logmel(wave, lengths=lengths)
    >>> real = logmel.valid(lengths, spec.shape[-1])
    >>> mixed, mix = mm.FMix()(spec, valid=real[:, None])
    >>> mixed.shape, mix.valid.shape
    (torch.Size([4, 1, 32, 32]), torch.Size([4, 32, 32]))

    Source: McFee et al. 2015, "librosa: Audio and Music Signal Analysis in Python"; the tests use its version 0.11 as
    the reference. The defaults are those for Google commands in the code of Harris et al. 2020 (FMix).
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop: int = 512,
        n_mels: int = 32,
        f_min: float = 0.0,
        f_max: float | None = None,
        power: float = 2.0,
        floor: float = 80.0,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        try:
            import torchaudio.functional  # noqa: F401
        except ImportError as error:
            raise ImportError("LogMel needs torchaudio: pip install 'mixmodal[audio]'") from error
        for name, value in {"sample_rate": sample_rate, "f_min": f_min, "power": power, "floor": floor}.items():
            require(is_number(value), name, value, "be a finite number")
        for name, count in {"n_fft": n_fft, "hop": hop, "n_mels": n_mels}.items():
            require(type(count) is int, name, count, "be a whole number")
        require(sample_rate > 0, "sample_rate", sample_rate, "be a number of Hz above 0")
        require(n_fft >= 2 and n_fft % 2 == 0, "n_fft", n_fft, "be an even number of samples of 2 or more")
        require(hop >= 1, "hop", hop, "be a number of samples of 1 or more")
        require(n_mels >= 1, "n_mels", n_mels, "be a number of bands of 1 or more")
        f_max = sample_rate / 2 if f_max is None else f_max
        require(0 < f_max <= sample_rate / 2, "f_max", f_max, f"lie in (0, {sample_rate / 2:g}], in Hz")
        require(0 <= f_min < f_max, "f_min", f_min, f"lie in [0, f_max={f_max:g}), in Hz")
        require(0 < power <= 7, "power", power, "be an exponent in (0, 7], for float32 to hold it of silence")
        require(floor > 0, "floor", floor, "be a number of dB above 0")
        self.sample_rate, self.n_fft, self.hop, self.n_mels = sample_rate, n_fft, hop, n_mels
        self.f_min, self.f_max, self.exponent, self.floor, self.scaled = f_min, f_max, power, floor, scaled
        device = torch.get_default_device()
        window, bands = filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max)
        if not bands.any(0).all():
            warnings.warn(
                f"n_mels={n_mels} leaves bands without a frequency; take fewer, or a larger n_fft", stacklevel=2
            )
        self.register_buffer("window", window.to(device), persistent=False)
        self.register_buffer("bands", bands.to(device), persistent=False)
        self.window: Tensor
        self.bands: Tensor

    def forward(self, wave: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The spectrograms of a batch.

        Args:
            wave: floating (B, T) or (B, 1, T), finite, full scale at 1.
            lengths: number of real samples of each clip, int64 (B,), from 0 to T; all of them if None.

        Returns:
            (B, 1, mels, frames) with 1 + T // hop frames, in [-1/2, 1/2] if `scaled`, else in [-floor, 0] dB.

        Raises:
            TypeError: `wave` is not floating, or `lengths` is not int64.
            ValueError: another shape, an empty batch or clip, values within the length of a clip that are not finite,
                or so large that their powers are not; a length out of range.

        >>> LogMel(n_mels=8)(torch.zeros(2, 1024)).shape
        torch.Size([2, 1, 8, 3])
        """
        valid = None
        if lengths is not None:
            wave = flat(wave)
            check_lengths(lengths)
            if lengths.shape != wave.shape[:1]:
                raise ValueError(
                    f"lengths has shape {tuple(lengths.shape)} and must hold one length per clip, ({len(wave)},)"
                )
            check_range(lengths, 0, wave.shape[1], f"lengths must lie in [0, {wave.shape[1]}]")
            lengths = lengths.to(wave.device)
            wave = wave.masked_fill(torch.arange(wave.shape[1], device=wave.device) >= lengths[:, None], 0)
            valid = self.valid(lengths, 1 + wave.shape[1] // self.hop)
        return self.of_power(self.power(wave), valid=valid).to(wave.dtype)

    def stft(self, wave: Tensor) -> Tensor:
        """The short-time Fourier transform of a batch, complex (B, n_fft // 2 + 1, 1 + T // hop).

        Args:
            wave: see `forward`.

        Raises:
            TypeError, ValueError: see `forward`.
        """
        wave = flat(wave)
        check(wave.isfinite(), "wave must be finite; leave out or mend clips with infinite or missing samples", wave)
        wave = wave.to(torch.promote_types(wave.dtype, torch.float32))
        window = whole(self.window).to(wave.dtype)
        return torch.stft(wave, self.n_fft, self.hop, window=window, pad_mode="constant", return_complex=True)

    def power(self, wave: Tensor) -> Tensor:
        """The magnitudes of `stft`, raised to `power`: (B, n_fft // 2 + 1, frames), in float32 at least.

        Args:
            wave: see `forward`.

        Raises:
            TypeError, ValueError: see `forward`.
        """
        stft = self.stft(wave)
        if self.exponent == 2:
            return torch.addcmul(stft.real.square(), stft.imag, stft.imag)
        return stft.abs() ** self.exponent

    def of_power(self, power: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """The spectrograms that `forward` makes from the output of `power`, so that it can be altered in between.

        Args:
            power: floating (B, n_fft // 2 + 1, frames), finite, 0 or more where a frame is real.
            valid: real frames, bool (B, frames); all of them if None.

        Returns:
            (B, 1, mels, frames), in float32 at least.

        Raises:
            TypeError: `power` is not floating, or `valid` is not bool.
            ValueError: another shape, or values out of range.

        >>> logmel, wave = LogMel(), torch.randn(2, 4000)
        >>> bool((logmel.of_power(logmel.power(wave)) == logmel(wave)).all())
        True
        """
        check_tensor(power, "power")
        if not power.is_floating_point():
            raise TypeError(f"power is {power.dtype} and must be floating; pass power.float()")
        if power.ndim != 3 or power.shape[1] != len(self.bands):
            raise ValueError(
                f"power has shape {tuple(power.shape)} and must be (B, {len(self.bands)}, frames), n_fft // 2 + 1 "
                f"frequencies, as LogMel.power gives it"
            )
        if valid is not None:
            check_frames(valid, power)
            power = power.masked_fill(~valid[:, None], 0)
        power = power.to(torch.promote_types(power.dtype, torch.float32))
        most = torch.finfo(power.dtype).max / len(self.bands)
        check_range(power, 0, most, f"power must lie in [0, {most:.0e}], as of waves with full scale at 1")
        with torch.autocast(power.device.type, enabled=False):
            mel = whole(self.bands).to(power.dtype).T @ power
        level = 20 / self.exponent * mel.clamp(min=SMALLEST**self.exponent).log10()
        level = (level - level.amax((1, 2), keepdim=True)).clamp(min=-self.floor)
        if valid is not None:
            level = level.masked_fill(~valid[:, None], -self.floor)
        return ((level + self.floor / 2) / self.floor if self.scaled else level)[:, None]

    def frames(self, lengths: Tensor) -> Tensor:
        """The number of real frames of each clip: 1 + length // hop, or 0 if it has no sample.

        Args:
            lengths: numbers of samples, int64 (B,), 0 or more.

        Returns:
            int64 (B,).

        Raises:
            TypeError: `lengths` is not int64.
            ValueError: another shape, or negative lengths.

        >>> LogMel(hop=512).frames(torch.tensor([0, 1, 511, 512, 16000]))
        tensor([ 0,  1,  1,  2, 32])
        """
        check_lengths(lengths)
        check_range(lengths, 0, torch.inf, "lengths must be numbers of samples, 0 or more")
        return torch.where(lengths > 0, 1 + torch.div(lengths, self.hop, rounding_mode="floor"), 0)

    def valid(self, lengths: Tensor, frames: int) -> Tensor:
        """Which frames are real: pass `valid[:, None]` to a mixer over (mels, frames), `valid` to one over (frames).

        Args:
            lengths: numbers of samples, int64 (B,).
            frames: number of frames of the spectrograms.

        Returns:
            bool (B, frames).

        Raises:
            TypeError: `lengths` is not int64.
            ValueError: another shape, or lengths that are negative or need more frames.

        >>> LogMel(hop=512).valid(torch.tensor([0, 600]), 3)
        tensor([[False, False, False],
                [ True,  True, False]])
        """
        real = self.frames(lengths)
        remedy = "count samples of the waveforms that LogMel is given, and drop frames from `valid` if you drop them"
        check_range(real, 0, frames, f"lengths must make {frames} frames or fewer at hop={self.hop}: {remedy}")
        return torch.arange(frames, device=lengths.device) < real[:, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":
        """What `to`, `half` and `to_empty` call; window and filters move to the device, but keep values and dtype."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.window.device
        self.window, self.bands = (
            each.to(device) for each in filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max)
        )
        return self


def union_targets(mix: Mix, y: Tensor) -> Tensor:
    """Targets for tagging: the events of both clips, each at its full weight.

        y' = max([lam > 0] · y, [lam < 1] · y[index])

    For multi-label data whose labels say that an event is heard somewhere in a clip: in a mixed clip the events of both
    sides are heard, and the share of the mask is not the share of an event. If labels are mutually exclusive, or state
    an amount, use `Mix.targets` and `Mix.loss`.

    Args:
        mix: the record of the draw; without a partner, labels are unchanged.
        y: labels of the batch before mixing, bool or floating (B, K), in [0, 1].

    Returns:
        (B, K), in the dtype of `y`, at least float32.

    Raises:
        TypeError: `y` holds integers.
        ValueError: another shape, another batch size, or values outside [0, 1].

    >>> mix = Mix(index=torch.tensor([1, 0]), mask=torch.full((2, 1), 0.75), lam=torch.full((2,), 0.75))
    >>> union_targets(mix, torch.tensor([[True, False, False], [False, False, True]]))
    tensor([[1., 0., 1.],
            [1., 0., 1.]])

    Source: in tagging data sets, such as AudioSet (Gemmeke et al. 2017), labels say which events a clip contains; for
    two clips, this gives the union.
    """
    check_tensor(y, "y")
    if not (y.is_floating_point() or y.dtype == torch.bool):
        raise TypeError(f"y is {y.dtype} and must be bool or floating (B, K); write y.bool(), or F.one_hot(y).bool()")
    if y.ndim != 2 or len(y) != len(mix.index):
        raise ValueError(
            f"y has shape {tuple(y.shape)} and must be (B, K) with the batch of the record, {len(mix.index)}"
        )
    check_range(y, 0, 1, "y must lie in [0, 1]")
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    own, other = (mix.lam > 0)[:, None], (mix.lam < 1)[:, None]
    return torch.maximum(y * own, y.index_select(0, mix.index) * other)
