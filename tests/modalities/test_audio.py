"""Log-mel spectrograms against librosa, their padding, mixing them, and targets for tagging."""

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mixmodal as mm
from mixmodal.modalities.audio import LogMel, union_targets

LENGTHS = torch.tensor([0, 1, 511, 512, 513, 3000, 4999, 5000])
SETTINGS: list[dict[str, Any]] = [
    {},
    {"scaled": False},
    {"power": 1.0, "scaled": False},
    {"sample_rate": 8000, "n_fft": 400, "hop": 160, "n_mels": 20, "f_min": 50.0, "f_max": 3800.0, "floor": 60.0},
]


def by_librosa(
    wave: Tensor,
    sample_rate: int = 16000,
    n_fft: int = 2048,
    hop: int = 512,
    n_mels: int = 32,
    f_min: float = 0.0,
    f_max: float | None = None,
    power: float = 2.0,
    floor: float = 80.0,
    scaled: bool = True,
) -> Tensor:
    """The spectrogram (mels, frames) of one clip (T,)."""
    librosa = pytest.importorskip("librosa")
    mel = librosa.feature.melspectrogram(
        y=wave.numpy(), sr=sample_rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels, fmin=f_min, fmax=f_max, power=power
    )
    to_db = librosa.power_to_db if power == 2 else librosa.amplitude_to_db
    level = torch.from_numpy(to_db(mel, ref=lambda values: values.max(), top_db=floor))
    return (level + floor / 2) / floor if scaled else level


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("loudness", [1.0, 1e-3, 1e-6, 0.0])
def test_equals_librosa(settings: dict[str, Any], loudness: float) -> None:
    """Noise under a swell of 100 dB, from full scale down to where the smallest power counts, and to silence."""
    wave = loudness * torch.rand(2, 9001) * torch.logspace(-5, 0, 9001)
    spec = LogMel(**settings)(wave)
    expected = torch.stack([by_librosa(clip, **settings) for clip in wave])[:, None]
    torch.testing.assert_close(spec, expected.float(), rtol=0, atol=1e-3)


def test_equals_librosa_on_speech(real: Callable[[str], Path]) -> None:
    soundfile = pytest.importorskip("soundfile")
    paths = sorted(real("speech_commands").glob("*/*.wav"))[::150]
    assert paths
    for path in paths:
        wave = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        for settings in SETTINGS[:3]:
            spec = LogMel(**settings)(wave[None])[0, 0]
            torch.testing.assert_close(spec, by_librosa(wave, **settings).float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("sample_rate", [8001, 11025, 11127, 16000, 22050, 44100])
@pytest.mark.parametrize("n_mels", [8, 32])
def test_filters_are_librosas_at_any_rate(sample_rate: int, n_mels: int) -> None:
    """Also where half the rate is no whole number of Hz."""
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=sample_rate, n_fft=2048, n_mels=n_mels, fmin=30.0, fmax=sample_rate / 2)
    bands = LogMel(sample_rate=sample_rate, n_mels=n_mels, f_min=30.0).bands.T
    torch.testing.assert_close(bands, torch.from_numpy(expected), rtol=0, atol=1e-5 * float(expected.max()))


def test_bands_without_a_frequency_are_told() -> None:
    with pytest.warns(UserWarning, match="n_mels=200 leaves bands without a frequency"):
        LogMel(n_fft=256, n_mels=200)


def test_shape_and_range() -> None:
    wave = torch.randn(3, 16000)
    spec = LogMel()(wave)
    assert spec.shape == (3, 1, 32, 32)
    assert (spec.amin((1, 2, 3)) >= -0.5).all()
    assert (spec.amax((1, 2, 3)) == 0.5).all()
    assert torch.equal(LogMel()(wave[:, None]), spec)


@pytest.mark.parametrize("power", [0.1, 1.0, 2.0, 7.0])
def test_silence_is_silence_at_every_exponent(power: float) -> None:
    assert (LogMel(power=power, scaled=False)(torch.zeros(2, 4000)) == 0).all()
    assert LogMel(power=power)(torch.ones(1, 4000)).isfinite().all()


def test_silence_is_its_own_maximum() -> None:
    assert (LogMel()(torch.zeros(2, 16000)) == 0.5).all()
    assert (LogMel(scaled=False)(torch.zeros(2, 16000)) == 0).all()


@pytest.mark.parametrize("samples", [1, 2, 511, 512, 5000])
def test_clips_of_any_length(samples: int) -> None:
    assert LogMel()(torch.randn(1, samples)).shape == (1, 1, 32, 1 + samples // 512)


def test_clips_of_a_batch_do_not_see_one_another() -> None:
    wave = torch.randn(3, 4000) * torch.tensor([[1.0], [1e-2], [0.0]])
    alone = torch.cat([LogMel()(clip[None]) for clip in wave])
    torch.testing.assert_close(LogMel()(wave), alone, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- padding


def test_frames_are_those_of_the_clip_alone() -> None:
    """A clip alone has a frame at each 512th sample up to its end; without samples it has none."""
    expected = [len(range(0, length + 1, 512)) if length else 0 for length in LENGTHS.tolist()]
    assert LogMel().frames(LENGTHS).tolist() == expected
    valid = LogMel().valid(LENGTHS, 12)
    assert valid.dtype == torch.bool
    assert valid.tolist() == [[k < count for k in range(12)] for count in expected]


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("beyond", [0.0, 100.0])
def test_padding_changes_nothing(scaled: bool, beyond: float) -> None:
    """Whatever lies beyond the length, real frames are those of the clip alone, windows that reach over its end too."""
    logmel = LogMel(scaled=scaled)
    wave = torch.randn(8, 6000)
    for k, length in enumerate(LENGTHS.tolist()):
        wave[k, length:] = beyond
    before = wave.clone()
    spec = logmel(wave, lengths=LENGTHS)
    assert torch.equal(wave, before)
    for k, length in enumerate(LENGTHS.tolist()):
        real = 1 + length // 512 if length else 0
        if length:
            alone = logmel(wave[k : k + 1, :length])[0]
            torch.testing.assert_close(spec[k, ..., :real], alone, rtol=0, atol=1e-5)
        assert (spec[k, ..., real:] == (-0.5 if scaled else -80)).all()


def test_more_padding_changes_nothing() -> None:
    wave = torch.randn(8, 5000)
    short = LogMel()(wave, lengths=LENGTHS)
    long = LogMel()(torch.cat([wave, torch.randn(8, 4000)], 1), lengths=LENGTHS)
    torch.testing.assert_close(long[..., : short.shape[-1]], short, rtol=0, atol=1e-5)
    assert (long[..., short.shape[-1] :] == -0.5).all()


def test_padding_may_hold_anything() -> None:
    """What lies beyond the length plays no part, numbers or not; within it they must be."""
    wave = torch.randn(2, 3000)
    expected = LogMel()(wave, lengths=torch.tensor([3000, 700]))
    for bad in (torch.nan, torch.inf, 1e30):
        wave[1, 700:] = bad
        assert torch.equal(LogMel()(wave, lengths=torch.tensor([3000, 700])), expected)
        with pytest.raises(ValueError, match=r"wave must be finite|power must lie in"):
            LogMel()(wave, lengths=torch.tensor([3000, 701]))
    power = LogMel().power(torch.randn(2, 3000))
    valid = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    expected = LogMel().of_power(power, valid=valid)
    power[1, :, 3:] = torch.nan
    assert torch.equal(LogMel().of_power(power, valid=valid), expected)


def test_a_batch_of_one_and_of_nothing_but_padding() -> None:
    wave = torch.randn(1, 2000)
    spec = LogMel()(wave, lengths=torch.tensor([0]))
    assert (spec == -0.5).all()
    mixed, mix = mm.FMix()(spec, valid=LogMel().valid(torch.tensor([0]), 4)[:, None])
    assert not mixed.any()
    assert mix.lam.tolist() == [1]
    assert mix.lengths.tolist() == [0]


def test_lengths_that_cannot_be_are_named() -> None:
    logmel = LogMel()
    with pytest.raises(ValueError, match=r"lengths must make 10 frames or fewer at hop=512.*from 11 to 32"):
        logmel.valid(torch.tensor([5120, 16000]), 10)
    assert logmel.valid(torch.tensor([4608, 5119]), 10).all()
    for lengths, error, message in (
        (torch.tensor([5.0]), TypeError, r"int64 tensor, got torch\.float32"),
        (torch.tensor([5], dtype=torch.int32), TypeError, r"int64 tensor, got torch\.int32"),
        ([5], TypeError, "int64 tensor, got list"),
        (torch.tensor(5), ValueError, r"lengths has shape \(\)"),
        (torch.tensor([[5]]), ValueError, r"lengths has shape \(1, 1\)"),
        (torch.tensor([-1]), ValueError, "numbers of samples, 0 or more; got values from -1"),
    ):
        with pytest.raises(error, match=message):
            logmel.frames(lengths)  # type: ignore[arg-type]
        with pytest.raises(error, match=message):
            logmel.valid(lengths, 9)  # type: ignore[arg-type]


def test_whole_lengths_are_no_lengths() -> None:
    wave = torch.randn(2, 1300)
    assert torch.equal(LogMel()(wave, lengths=torch.tensor([1300, 1300])), LogMel()(wave))


def test_the_way_by_powers() -> None:
    """Powers are |STFT|^2, and padded frames of them are not seen either."""
    logmel, wave = LogMel(), torch.randn(2, 4000)
    windows = torch.nn.functional.pad(wave, (1024, 1024)).unfold(1, 2048, 512)
    power = torch.fft.rfft(windows * torch.hann_window(2048)).abs().square().transpose(1, 2)
    torch.testing.assert_close(logmel.power(wave), power)
    torch.testing.assert_close(logmel.stft(wave).abs().square(), power)
    power[1, :, 3:] *= 1e6
    spec = logmel.of_power(power, valid=torch.arange(8) < torch.tensor([[8], [3]]))
    torch.testing.assert_close(spec[:1], logmel(wave[:1]), rtol=0, atol=1e-5)
    torch.testing.assert_close(spec[1:, ..., :3], logmel.of_power(power[1:, :, :3]))
    assert (spec[1, ..., 3:] == -0.5).all()


# ---------------------------------------------------------------- where it runs


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(dtype: torch.dtype) -> None:
    wave = torch.randn(2, 3000).to(dtype)
    spec = LogMel()(wave)
    assert spec.dtype == dtype
    torch.testing.assert_close(spec.float(), LogMel()(wave.float()), rtol=0, atol=4e-3)


def test_autocast_and_compiled_code_change_nothing() -> None:
    """Values that were read outside `on_host` would break the graph."""
    logmel, wave, lengths = LogMel(), torch.randn(2, 3000), torch.tensor([3000, 700])
    plain = logmel(wave, lengths=lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(logmel(wave, lengths=lengths), plain)
    compiled = torch.compile(logmel, backend="eager", fullgraph=True)(wave, lengths=lengths)
    torch.testing.assert_close(compiled, plain)


def swell() -> Tensor:
    """Noise over 100 dB, (2, 9001)."""
    return torch.randn(2, 9001) * torch.logspace(-5, 0, 9001)


CASTS: list[Callable[[LogMel], Any]] = [
    lambda logmel: logmel.half(),
    lambda logmel: logmel.bfloat16(),
    lambda logmel: logmel.double(),
    lambda logmel: logmel.to(torch.float16),
    lambda logmel: torch.nn.Sequential(logmel, torch.nn.Linear(2, 2)).bfloat16()[0],
    lambda logmel: pickle.loads(pickle.dumps(copy.deepcopy(logmel).bfloat16())),
    lambda logmel: logmel.to("meta").to_empty(device="cpu"),
]


@pytest.mark.parametrize("cast", CASTS)
def test_a_model_that_is_cast_hears_the_same(cast: Callable[[LogMel], LogMel]) -> None:
    """Spectrograms in decibels are those of the module in float32, bit for bit."""
    wave, lengths = swell(), torch.tensor([9001, 4000])
    expected = LogMel(scaled=False)(wave, lengths=lengths)
    logmel = cast(LogMel(scaled=False))
    assert logmel.window.dtype == logmel.bands.dtype == torch.float32
    assert torch.equal(logmel(wave, lengths=lengths), expected)
    assert not list(logmel.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_cast_model_under_autocast_and_on_waves_of_its_dtype(dtype: torch.dtype) -> None:
    wave = swell()
    logmel = LogMel(scaled=False).to(dtype)
    expected = LogMel(scaled=False)(wave)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(logmel(wave), expected)
    rough = wave.to(dtype)
    assert torch.equal(logmel(rough), LogMel(scaled=False)(rough.float()).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_made_under_another_default_dtype_hears_the_same(dtype: torch.dtype) -> None:
    wave = swell()
    expected = LogMel(scaled=False)(wave)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        logmel = LogMel(scaled=False)
        assert torch.get_default_dtype() == dtype
        assert torch.equal(logmel(wave), expected)
    finally:
        torch.set_default_dtype(default)


def test_a_module_made_without_memory_gets_its_filters_with_it() -> None:
    """As frameworks make large models: on the device that holds nothing, then somewhere."""
    with torch.device("meta"):
        logmel = LogMel()
    assert logmel.window.device.type == "meta"
    wave = torch.randn(1, 3000)
    assert torch.equal(logmel.to_empty(device="cpu")(wave), LogMel()(wave))


@pytest.mark.parametrize("name", ["window", "bands"])
def test_filters_that_were_cast_past_the_module_are_named(name: str) -> None:
    logmel = LogMel()
    setattr(logmel, name, getattr(logmel, name).bfloat16())
    with pytest.raises(
        TypeError, match=r"filters of LogMel are torch\.bfloat16 and must be float32: leave its buffers"
    ):
        logmel(torch.randn(1, 3000))


def test_nothing_to_save_and_gradients() -> None:
    assert not LogMel().state_dict()
    wave = torch.randn(1, 2000, requires_grad=True)
    torch.autograd.backward(LogMel()(wave).sum())
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


# ---------------------------------------------------------------- mixing spectrograms and waveforms

LAYOUTS: dict[str, Callable[..., Any]] = {
    "b c *": lambda wave, spec, samples, frames: (spec, frames[:, None], frames[:, None, None]),
    "b c f *": lambda wave, spec, samples, frames: (spec, frames, frames[:, None, None]),
    "b c * t": lambda wave, spec, samples, frames: (spec, None, torch.ones_like(frames)[:, None, None]),
    "b *": lambda wave, spec, samples, frames: (wave, samples, samples),
}
"""By axes: the batch, `valid` for the mixer, and the same in the layout of the batch."""


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("axes", LAYOUTS)
def test_clips_of_different_lengths_mix(axes: str, per_sample: bool) -> None:
    """Clip k holds k + 1 everywhere: each location is the own clip's, its partner's, or zero where that has ended."""
    lengths = torch.tensor([5000, 1700, 3100, 900, 4100])
    code = torch.arange(1.0, 6)
    wave = code[:, None].repeat(1, 5000)
    spec = code[:, None, None, None].repeat(1, 1, 16, 10)
    samples = torch.arange(5000) < lengths[:, None]
    frames = LogMel().valid(lengths, 10)
    x, valid, real = LAYOUTS[axes](wave, spec, samples, frames)
    real = real.expand_as(x)
    kept = taken = False
    for seed in range(6):
        mixed, mix = mm.FMix(axes=axes, per_sample=per_sample)(
            x, valid=valid, generator=torch.Generator().manual_seed(seed)
        )
        own = mixed == x
        other = mixed == x[mix.index]
        none = mixed == 0
        assert (own | other | none).all()
        assert (real | ~own).all()
        assert (real[mix.index] | ~other).all()
        assert not (none & real & real[mix.index]).any()
        ones = mix(torch.ones_like(x))
        assert torch.equal(ones, (~none).to(ones.dtype))
        paired = mix.index != torch.arange(5)
        share = (own.flatten(1).sum(1) / (own | other).flatten(1).sum(1))[paired]
        torch.testing.assert_close(mix.lam[paired], share, rtol=0, atol=1e-6)
        if axes == "b c f *":
            assert (mixed == mixed[:, :, :1]).all()
        if axes == "b c * t":
            assert (mixed == mixed[..., :1]).all()
        kept |= bool((own & ~other).any())
        taken |= bool((other & ~own).any())
    assert kept
    assert taken


# ---------------------------------------------------------------- targets for tagging


def record(lam: list[float], index: list[int]) -> mm.Mix:
    share = torch.tensor(lam)
    return mm.Mix(index=torch.tensor(index), mask=share[:, None], lam=share)


def test_union_of_what_is_heard() -> None:
    y = torch.tensor([[True, False, False], [False, True, False], [True, False, True]])
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    got = union_targets(record([0.01, 1.0, 0.0], [1, 2, 0]), y)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)


def test_union_of_soft_labels_keeps_the_larger() -> None:
    y = torch.tensor([[0.25, 1.0], [0.75, 0.5]], dtype=torch.float64)
    got = union_targets(record([0.5, 0.1], [1, 0]), y)
    assert got.dtype == torch.float64
    assert got.tolist() == [[0.75, 1.0], [0.75, 1.0]]
    assert union_targets(record([0.5, 0.1], [1, 0]), y.half()).dtype == torch.float32


def test_union_without_a_partner_is_the_label() -> None:
    x, y = torch.randn(4, 1, 8, 8), torch.rand(4, 3)
    for mixer in (mm.NoMix(), mm.Cutout(size=4)):
        _, mix = mixer(x)
        assert torch.equal(union_targets(mix, y), y)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("wave", "lengths", "error", "message"),
    [
        ([1.0], None, TypeError, "wave is list"),
        (torch.zeros(2, 9, dtype=torch.int16), None, TypeError, r"int16 and must be floating.*wave\.float\(\) / 32768"),
        (torch.zeros(2, 9, dtype=torch.uint8), None, TypeError, r"uint8 and must.*\(wave\.float\(\) - 128\) / 128"),
        (torch.zeros(2, 9, dtype=torch.int32), None, TypeError, r"int32 and must.*wave\.double\(\) / 2\*\*31"),
        (torch.zeros(2, 9, dtype=torch.complex64), None, TypeError, r"complex64 and must be floating$"),
        (torch.full((2, 9), 1e30), None, ValueError, r"power must lie in \[0, 3e\+35\], as of waves with full scale"),
        (torch.zeros(9), None, ValueError, r"shape \(9,\) and must be \(B, T\)"),
        (torch.zeros(2, 2, 9), None, ValueError, r"shape \(2, 2, 9\).*wave\.mean\(1\)"),
        (torch.zeros(2, 0), None, ValueError, "not empty"),
        (torch.zeros(0, 9), None, ValueError, "not empty"),
        (torch.tensor([[0.0, float("nan")]]), None, ValueError, "wave must be finite"),
        (torch.tensor([[0.0, float("inf")]]), None, ValueError, "wave must be finite"),
        (
            torch.zeros(2, 9),
            torch.tensor([9.0, 9.0]),
            TypeError,
            r"lengths must be an int64 tensor, got torch\.float32",
        ),
        (torch.zeros(2, 9), [9, 9], TypeError, "lengths must be an int64 tensor, got list"),
        (torch.zeros(2, 9), torch.tensor([9]), ValueError, r"lengths has shape \(1,\).*\(2,\)"),
        (torch.zeros(2, 9), torch.tensor([9, 10]), ValueError, r"lengths must lie in \[0, 9\].*10"),
        (torch.zeros(2, 9), torch.tensor([-1, 9]), ValueError, r"lengths must lie in \[0, 9\].*-1"),
    ],
)
def test_wrong_waves_are_named(wave: Any, lengths: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LogMel()(wave, lengths=lengths)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 0}, "sample_rate=0"),
        ({"n_fft": 0}, "n_fft=0 must be an even number"),
        ({"n_fft": 511}, "n_fft=511 must be an even number"),
        ({"hop": 0}, "hop=0"),
        ({"n_mels": 0}, "n_mels=0"),
        ({"f_max": 8001.0}, r"f_max=8001.0 must lie in \(0, 8000\]"),
        ({"f_min": 8000.0}, "f_min=8000.0"),
        ({"f_min": -1.0}, "f_min=-1.0"),
        ({"power": 0.0}, "power=0.0"),
        ({"power": 7.1}, r"power=7.1 must be an exponent in \(0, 7\]"),
        ({"power": torch.inf}, "power=inf must be a finite number"),
        ({"floor": 0.0}, "floor=0.0"),
        ({"floor": torch.inf}, "floor=inf must be a finite number"),
        ({"f_min": torch.nan}, "f_min=nan must be a finite number"),
        ({"sample_rate": torch.inf}, "sample_rate=inf must be a finite number"),
        ({"hop": 512.0}, "hop=512.0 must be a whole number"),
        ({"n_mels": True}, "n_mels=True must be a whole number"),
        ({"n_fft": 2048.0}, "n_fft=2048.0 must be a whole number"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(**settings)


def test_wrong_powers_and_labels_are_named() -> None:
    power = torch.ones(2, 1025, 4)
    with pytest.raises(ValueError, match=r"power has shape \(2, 513, 4\) and must be \(B, 1025, frames\)"):
        LogMel().of_power(torch.ones(2, 513, 4))
    with pytest.raises(TypeError, match=r"power is torch\.complex64 and must be floating"):
        LogMel().of_power(power.cfloat())
    for bad, shown in ((-1.0, "-1"), (torch.nan, "nan"), (torch.inf, "inf"), (1e36, r"1e\+36")):
        with pytest.raises(ValueError, match=rf"power must lie in \[0, 3e\+35\].*{shown}"):
            LogMel().of_power(power * bad)
    with pytest.raises(TypeError, match=r"valid must be a bool tensor.*got torch\.int64"):
        LogMel().of_power(power, valid=torch.ones(2, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"valid has shape \(2, 1, 4\) and must be \(B, frames\), \(2, 4\)"):
        LogMel().of_power(power, valid=torch.ones(2, 1, 4, dtype=torch.bool))
    mix = record([0.5, 0.5], [1, 0])
    with pytest.raises(TypeError, match=r"y is torch\.int64 and must be bool or floating"):
        union_targets(mix, torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match=r"y has shape \(3, 2\).*2"):
        union_targets(mix, torch.rand(3, 2))
    with pytest.raises(ValueError, match=r"y has shape \(2,\)"):
        union_targets(mix, torch.rand(2))
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1\].*1\.5"):
        union_targets(mix, torch.full((2, 2), 1.5))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    with pytest.raises(ImportError, match=r"pip install 'mixmodal\[audio\]'"):
        LogMel()
