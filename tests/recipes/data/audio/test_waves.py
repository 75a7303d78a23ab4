"""Training transforms of waveforms against slow references of one clip, neutral values, and what is drawn."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mixmodal.modalities.audio import LogMel
from recipes.data.audio.waves import Change, TrainWaves, frames_of, interpolation, magnitude, phase_vocoder, resampled

SIZE = 16_000


def clips(count: int, level: float = 3000.0, size: int = SIZE) -> Tensor:
    """Noise in bursts, int16 (count, size)."""
    swell = torch.sin(torch.arange(size) * torch.linspace(1e-3, 3e-3, count)[:, None]).abs()
    return (level * torch.randn(count, size) * swell).to(torch.int16)


def neutral(count: int) -> Change:
    one, zero = torch.ones(count), torch.zeros(count)
    return Change(gain=one, length=one, rate=one, shift=zero.long(), share=zero, chunk=zero.long())


def spectrum(wave: Tensor) -> Tensor:
    """The transform of one clip (T,) in double precision, (1025, frames)."""
    windows = F.pad(wave.double(), (1024, 1024)).unfold(0, 2048, 512)
    stft: Tensor = torch.fft.rfft(windows * torch.hann_window(2048, dtype=torch.float64))
    return stft.T


def reference(wave: Tensor, noise: Tensor, change: dict[str, float]) -> Tensor:
    """The steps on one clip (T,) as they are in the code of the paper, with its libraries; (mels, frames)."""
    vocoder = pytest.importorskip("torchaudio").functional.phase_vocoder
    librosa = pytest.importorskip("librosa")
    samples = wave.double().numpy() / 32768 * change["gain"]
    steps = np.arange(0, len(samples), 1 / change["length"])
    samples = np.interp(steps, np.arange(len(samples)), samples)[:SIZE]
    stft = spectrum(torch.from_numpy(np.pad(samples, (0, SIZE - len(samples)))))
    advance = torch.linspace(0, math.pi * 512, 1025, dtype=torch.float64)[:, None]
    stft = vocoder(stft, change["rate"], advance)
    shift = int(change["shift"])
    stft = F.pad(stft, (shift, 0)) if shift > 0 else stft[:, -shift:]
    stft = F.pad(stft, (0, max(0, 32 - stft.shape[1])))[:, :32]
    stft = (1 - change["share"]) * stft + change["share"] * spectrum(noise / 32768)
    mel = librosa.filters.mel(sr=SIZE, n_fft=2048, n_mels=32).astype(np.float64) @ stft.abs().square().numpy()
    return torch.from_numpy((librosa.power_to_db(mel, ref=np.max, top_db=80) + 40) / 80)


CHANGES = {
    "gain": [1.0, 0.7, 1.1, 0.8, 1.0, 0.9, 1.05, 0.75],
    "length": [1.0, 0.8031, 1.2, 0.9302, 1.17, 1.0, 0.8103, 1.19],
    "rate": [1.0, 1.2, 0.8, 1.0, 0.83, 1.17, 1.11, 0.97],
    "shift": [0, 8, -8, 3, -1, 0, -5, 8],
    "share": [0.0, 0.45, 0.3, 0.1, 0.0, 0.2, 0.44, 0.05],
}


@pytest.mark.parametrize("noisy", [False, True])
def test_all_steps_at_once_equal_the_reference(noisy: bool) -> None:
    waves, noise = clips(8, 30), clips(3, 10)
    chunk = torch.tensor([0, 1, 2, 2, 1, 0, 1, 2])
    drawn = {name: torch.tensor(values) for name, values in CHANGES.items()}
    if not noisy:
        drawn["share"] = torch.zeros(8)
    got = TrainWaves(noise=noise if noisy else None).changed(waves, Change(**drawn, chunk=chunk))
    assert got.dtype == torch.float32
    assert got.shape == (8, 1, 32, 32)
    for k in range(8):
        change = {name: values[k].item() for name, values in drawn.items()}
        expected = reference(waves[k], noise[chunk[k]], change).float()
        torch.testing.assert_close(got[k, 0], expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("noise", [None, clips(3)])
def test_neutral_changes_change_nothing(noise: Tensor | None) -> None:
    waves = clips(4)
    got = TrainWaves(noise=noise).changed(waves, neutral(4))
    torch.testing.assert_close(got, LogMel()(waves / 32768), rtol=0, atol=1e-5)


def test_evaluation_only_makes_spectrograms() -> None:
    waves, train = clips(4), TrainWaves(noise=clips(2))
    state = torch.get_rng_state()
    got = train(waves, train=False)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(got, LogMel()(waves / 32768), rtol=0, atol=1e-6)


# ---------------------------------------------------------------- single steps


def test_resampling_is_linear_interpolation() -> None:
    waves = torch.randn(6, 500, dtype=torch.float64)
    factors = torch.tensor([0.8, 0.999, 1.0, 1.1, 1.2, 0.5], dtype=torch.float64)
    got = resampled(waves, factors)
    for wave, factor, result in zip(waves.numpy(), factors.tolist(), got, strict=True):
        steps = np.arange(0, 500, 1 / factor)
        expected = np.pad(np.interp(steps, np.arange(500), wave), (0, 500))[:500]
        torch.testing.assert_close(result, torch.from_numpy(expected))
    assert torch.equal(got[2], waves[2])


def test_long_clips_are_resampled_to_a_hundredth_of_a_sample() -> None:
    """A ramp of one a sample: float32 positions are off by no more at the end of a second."""
    ramp = torch.arange(16_000.0).expand(3, -1)
    factors = torch.tensor([1.013, 1.1, 1.2])
    expected = torch.arange(16_000, dtype=torch.float64) / factors.double()[:, None]
    torch.testing.assert_close(resampled(ramp, factors).double(), expected, rtol=0, atol=1e-2)


def test_interpolation_is_numpys_within_and_zero_outside() -> None:
    x = torch.randn(3, 2, 7, dtype=torch.float64)
    position = 12 * torch.rand(3, 20, dtype=torch.float64) - 3
    got = x @ interpolation(position, 7)
    places = np.arange(8)
    for k in range(3):
        for row in range(2):
            padded = np.append(x[k, row].numpy(), 0)
            expected = np.interp(position[k].numpy(), places, padded, left=0, right=0)
            torch.testing.assert_close(got[k, row], torch.from_numpy(expected))


@pytest.mark.parametrize("rate", [0.45, 0.8, 0.93, 1.0, 1.1999, 1.2, 2.0])
def test_phase_vocoder_is_torchaudios(rate: float) -> None:
    """At one rate for all; a third clip with another rate does not disturb it. After the end there is nothing."""
    vocoder = pytest.importorskip("torchaudio").functional.phase_vocoder
    stft = torch.randn(3, 257, 20, dtype=torch.complex128)
    stft[0, :, 3] = 0
    advance = torch.linspace(0, math.pi * 128, 257, dtype=torch.float64)[:, None]
    expected = vocoder(stft, rate, advance)
    rates = torch.tensor([rate, rate, 1.07], dtype=torch.float64)
    got = phase_vocoder(stft, rates, 50)
    assert expected.shape[2] == math.ceil(20 / rate)
    torch.testing.assert_close(got[:2, :, : expected.shape[2]], expected[:2], rtol=0, atol=1e-8)
    assert (got[:2, :, expected.shape[2] :] == 0).all()
    torch.testing.assert_close(got[2], phase_vocoder(stft[2:], rates[2:], 50)[0])


def test_a_stretched_tone_keeps_its_pitch_and_takes_its_time() -> None:
    """440 Hz for half a second, at 4/5 of the speed: five quarters as many frames, the same loudest frequency."""
    wave = torch.sin(2 * math.pi * 440 * torch.arange(8000) / 16_000)[None]
    stft = LogMel().stft(F.pad(wave, (0, 8000)))
    slow = phase_vocoder(stft, torch.tensor([0.8]), 40).abs()[0]
    loud = slow.amax(0) > 0.5 * slow.max()
    assert abs(int(loud.sum()) - 8000 / 512 * 1.25) <= 2
    assert (slow[:, loud].argmax(0) == round(440 / 16_000 * 2048)).all()


def test_frames_by_number() -> None:
    stft = torch.randn(3, 4, 9)
    frame = torch.randint(-5, 14, (3, 12))
    got = frames_of(stft, frame)
    for k in range(3):
        for out, number in enumerate(frame[k].tolist()):
            expected = stft[k, :, number] if 0 <= number < 9 else torch.zeros(4)
            assert torch.equal(got[k, :, out], expected)


def test_magnitude() -> None:
    x = torch.randn(5, 6, dtype=torch.complex64)
    torch.testing.assert_close(magnitude(x), x.abs())


# ---------------------------------------------------------------- draws


def test_each_step_is_taken_for_half_of_the_clips() -> None:
    """n = 20,000 clips: counts of each step, and of each pair of them, are within 5 standard errors of n / 2 and n / 4.

    One shift of 17 is zero, so a shift is seen in 8 / 17 of all clips.
    """
    n = 20_000
    change = TrainWaves(noise=clips(7)).draw(torch.empty(n, 1))
    taken = {
        "gain": change.gain != 1,
        "length": change.length != 1,
        "rate": change.rate != 1,
        "shift": change.shift != 0,
        "share": change.share != 0,
    }
    shares = dict.fromkeys(taken, 1 / 2) | {"shift": 8 / 17}
    for name, seen in taken.items():
        p = shares[name]
        assert abs(int(seen.sum()) - n * p) < 5 * math.sqrt(n * p * (1 - p)), name
    for a, b in combinations(taken, 2):
        p = shares[a] * shares[b]
        assert abs(int((taken[a] & taken[b]).sum()) - n * p) < 5 * math.sqrt(n * p * (1 - p)), (a, b)


def test_changes_are_uniform_in_their_ranges() -> None:
    """n = 20,000 clips, half of them changed: ranges are filled to 1 %, means are within 5 standard errors."""
    n = 20_000
    change = TrainWaves(noise=clips(7)).draw(torch.empty(n, 1))
    for value, none, low, high in (
        (change.gain, 1, 0.7, 1.1),
        (change.length, 1, 0.8, 1.2),
        (change.rate, 1, 0.8, 1.2),
        (change.share, 0, 0.0, 0.45),
    ):
        drawn = value[value != none]
        assert low <= drawn.min() < low + (high - low) / 100
        assert high >= drawn.max() > high - (high - low) / 100
        error = (high - low) / math.sqrt(12 * len(drawn))
        assert abs(drawn.mean().item() - (low + high) / 2) < 5 * error
    for value, numbers, each in ((change.shift, range(-8, 9), 1 / 34), (change.chunk, range(7), 1 / 7)):
        counts = {number: int((value == number).sum()) for number in numbers}
        assert sum(counts.values()) == n
        for number, count in counts.items():
            p = each + (1 / 2 if value is change.shift and number == 0 else 0)
            assert abs(count - n * p) < 5 * math.sqrt(n * p * (1 - p)), number


def test_without_noise_none_is_drawn() -> None:
    assert not TrainWaves().draw(clips(64)).share.any()


def test_the_global_seed_decides_and_the_input_stays() -> None:
    waves, noise = clips(6), clips(2)
    before = waves.clone()
    train = TrainWaves(noise=noise)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(train(waves, train=True))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(waves, before)


def test_a_call_does_what_was_drawn() -> None:
    waves, train = clips(6), TrainWaves(noise=clips(2))
    torch.manual_seed(3)
    called = train(waves, train=True)
    torch.manual_seed(3)
    assert torch.equal(called, train.changed(waves, train.draw(waves)))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_any_batch_with_and_without_noisy_clips(share: float) -> None:
    waves, noise = clips(1), clips(2)
    change = replace(neutral(1), share=torch.tensor([share]))
    assert TrainWaves(noise=noise).changed(waves, change).shape == (1, 1, 32, 32)


def test_silent_clips_stay_silent() -> None:
    torch.manual_seed(1)
    assert (TrainWaves()(torch.zeros(32, SIZE, dtype=torch.int16), train=True) == 0.5).all()


def test_another_spectrogram() -> None:
    mel = LogMel(n_fft=512, hop=160, n_mels=20, power=1.0)
    waves = clips(2, size=4000)
    train = TrainWaves(mel)
    assert train(waves, train=True).shape == (2, 1, 20, 26)
    torch.testing.assert_close(train.changed(waves, neutral(2)), mel(waves / 32768), rtol=0, atol=1e-5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"waves is torch\.float32, expected int16"):
        TrainWaves()(torch.zeros(2, SIZE), train=True)
    with pytest.raises(ValueError, match=r"waves has shape \(2, 1, 100\), expected \(B, T\)"):
        TrainWaves()(torch.zeros(2, 1, 100, dtype=torch.int16), train=False)
    with pytest.raises(TypeError, match=r"noise is torch\.float32, expected int16"):
        TrainWaves(noise=torch.zeros(2, SIZE))
    with pytest.raises(ValueError, match="noise holds no clip"):
        TrainWaves(noise=clips(0))
    with pytest.raises(ValueError, match="waves have 16000 samples and noise 8000"):
        TrainWaves(noise=clips(2)[:, :8000])(clips(2), train=True)
