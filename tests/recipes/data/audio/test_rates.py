"""Resampling against pure tones, SciPy's polyphase filter, torchaudio, and within bounded memory."""

import math

import pytest
import torch
from torch import Tensor

from recipes.data.audio.rates import to_rate

COPRIME = [11_127, 15_999, 16_001, 44_099, 7_919]
COMMON = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000]


def tone(hertz: float, rate: int, seconds: float = 1.0) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(int(rate * seconds), dtype=torch.float64) / rate)


@pytest.mark.parametrize("rate", COPRIME + COMMON)
def test_tones_stay_what_they_are(rate: int) -> None:
    """Of half of the lower band and less; the ends, which ring, are left out."""
    for share in (0.01, 0.3, 0.5):
        hertz = share * min(rate, 16_000) / 2
        got, expected = to_rate(tone(hertz, rate), rate, 16_000), tone(hertz, 16_000)
        assert got.shape == expected.shape
        torch.testing.assert_close(got[200:-200], expected[200:-200], rtol=0, atol=5e-3)


@pytest.mark.parametrize("rate", [rate for rate in COPRIME + COMMON if rate > 20_000])
def test_tones_above_the_band_are_silenced(rate: int) -> None:
    """A tone of 1.25 times the band, which would fold back to 6 kHz, is damped by 40 dB."""
    folded = to_rate(tone(10_000, rate), rate, 16_000)[200:-200]
    assert folded.abs().max() < 10 ** (-40 / 20)


@pytest.mark.parametrize("rate", COPRIME)
def test_spectra_are_those_of_scipy(rate: int) -> None:
    """Noise in 0.6 of the lower band, resampled by SciPy's polyphase filter: spectra within 1 % of their greatest."""
    signal = pytest.importorskip("scipy.signal")
    edge = int(0.6 * min(rate, 16_000) / 2)
    spectrum = torch.zeros(rate // 2 + 1, dtype=torch.complex128)
    spectrum[1:edge] = torch.randn(edge - 1, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    wave = torch.fft.irfft(spectrum, n=rate) * torch.hann_window(rate, dtype=torch.float64)
    reference = torch.from_numpy(signal.resample_poly(wave.numpy(), 16_000, rate, window=("kaiser", 8.0)))
    ours, theirs = (torch.fft.rfft(each) for each in (to_rate(wave, rate, 16_000), reference))
    assert (ours - theirs).abs().max() < 0.01 * theirs.abs().max()


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
@pytest.mark.parametrize("length", [0, 1, 7, 1000])
def test_waves_are_torchaudios(rate: int, length: int) -> None:
    """Whose table of the filter is made in single precision."""
    functional = pytest.importorskip("torchaudio.functional")
    wave = torch.randn(length, generator=torch.Generator().manual_seed(length))
    expected = functional.resample(wave, rate, 16_000) if length else wave
    torch.testing.assert_close(to_rate(wave, rate, 16_000), expected, rtol=0, atol=5e-4)


def test_long_waves_are_worked_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    wave = torch.randn(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = to_rate(wave, 11_127, 16_000)
    monkeypatch.setattr("recipes.data.audio.rates.BLOCK", 1000)
    torch.testing.assert_close(to_rate(wave, 11_127, 16_000), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [*COPRIME, 767_999])
def test_the_filter_is_of_bounded_size(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest tensor that is made, whatever the rates have in common."""
    largest = 0
    sinc = torch.sinc

    def watched(place: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, place.numel())
        return sinc(place)

    monkeypatch.setattr(torch, "sinc", watched)
    to_rate(torch.zeros(rate // 8), rate, 16_000)
    assert 0 < largest <= 2**22


def test_equal_rates_change_nothing() -> None:
    wave = torch.randn(100)
    assert torch.equal(to_rate(wave, 16_000, 16_000), wave)
