"""One's own clips: rates, lengths, splits by speaker, broken files, and the recipe on them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes import audio
from recipes.data.audio.classes import load
from recipes.data.disk.lazy import read
from recipes.data.splits import Split

BY_SPEAKER = Split(group="(s[0-9])_", test_share=0.4)
soundfile = pytest.importorskip("soundfile")


def tone(path: Path, pitch: float, *, rate: int, seconds: float = 1.0, loudness: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(rate * seconds)) / rate
    soundfile.write(path, loudness * np.sin(2 * math.pi * pitch * time), rate)


def clips(root: Path, speakers: int = 6) -> Path:
    for number, name in enumerate(("high", "low")):
        for speaker in range(speakers):
            path = root / name / f"s{speaker}_{number}.wav"
            tone(path, 400 + 400 * (1 - number), rate=(8000, 44100)[speaker % 2], loudness=0.3 + speaker / 50)
    return root


def pitch(wave: torch.Tensor) -> float:
    """The loudest frequency of a clip in Hz."""
    return float(torch.fft.rfft(wave.double()).abs().argmax()) * 16_000 / len(wave)


def test_clips_of_any_rate_keep_their_pitch(tmp_path: Path) -> None:
    data = load(clips(tmp_path / "Own"), BY_SPEAKER)
    assert (data.name, data.classes) == ("folder-Own", ("high", "low"))
    assert len(data.train_y) + len(data.test_y) == 12
    assert len(data.validation_y) == 0
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert x.shape[1:] == (16_000,)
        for wave, label in zip(x, y.tolist(), strict=True):
            assert pitch(wave) == pytest.approx((800, 400)[label], abs=2)


def test_speakers_of_a_list_are_tested(tmp_path: Path) -> None:
    """The loudness tells the speaker."""
    root = clips(tmp_path / "set")
    (tmp_path / "speakers.txt").write_text("s1\ns4\n")
    data = load(root, Split(test_list=tmp_path / "speakers.txt", group="(s[0-9])_"))
    loudness = (data.test_x[:, 2000:14000].float() / 32768).abs().amax(1)
    assert sorted(loudness.tolist()) == pytest.approx([0.32, 0.32, 0.38, 0.38], abs=0.005)
    assert len(data.train_y) == 8


def test_longer_clips_are_told(tmp_path: Path) -> None:
    tone(tmp_path / "train" / "a" / "0.wav", 500, rate=16_000, seconds=0.5)
    tone(tmp_path / "test" / "a" / "1.flac", 500, rate=22_050, seconds=1.5)
    with pytest.warns(
        UserWarning, match=r"^1 of 2 clips are cut to 1 s; the longest, test/a/1.flac, has 1.5 s \(--sec"
    ):
        data = load(tmp_path, Split())
    assert data.test_x.shape == (1, 16_000)
    data = load(tmp_path, Split(), seconds=1.5)
    assert data.train_x.shape == data.test_x.shape == (1, 24_000)
    assert not data.train_x[0, 8000:].any()
    assert data.test_x[0, 20_000:].any()


def test_a_cache_is_of_one_length(tmp_path: Path) -> None:
    root, cache = clips(tmp_path / "set"), tmp_path / "cache"
    plain = load(root, BY_SPEAKER, seconds=1.5)
    for _ in range(2):
        load(root, BY_SPEAKER, cache=cache)
        assert torch.equal(read(load(root, BY_SPEAKER, seconds=1.5, cache=cache).train_x), plain.train_x)
    assert len([*cache.glob("[!.]*")]) == 2


def test_broken_clips_are_named_or_left_out(tmp_path: Path) -> None:
    root = clips(tmp_path / "set")
    (root / "low" / "s9_1.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"1 of 13 clips that cannot be read: low/s9_1.wav is not a .*--skip-broken"):
        load(root, Split())
    data = load(root, BY_SPEAKER, skip_broken=True)
    assert data.broken == ("low/s9_1.wav",)
    assert len(data.train_y) + len(data.test_y) == 12


@pytest.mark.parametrize("seconds", [0.0, -1.0, 61.0, math.nan])
def test_wrong_lengths_are_named(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"seconds={seconds} must be above 0 and up to 60"):
        load(tmp_path, Split(), seconds=seconds)


@pytest.mark.parametrize("words", [(), ("--mix", "waveform", "--augment", "none")])
def test_the_recipe_runs_on_them(tmp_path: Path, words: tuple[str, ...]) -> None:
    root = clips(tmp_path / "set")
    small = ["--smoke", "--width", "4", "--batch-size", "4", "--device", "cpu", "--cache", str(tmp_path / "cache")]
    own = [
        "--data",
        "folder",
        "--data-root",
        str(root),
        "--group",
        "(s[0-9])_",
        "--test-share",
        "0.4",
        "--seconds",
        "1.25",
    ]
    audio.main([*small, *own, "--out", str(tmp_path / "run"), "--method", "fmix", *words])
    result: dict[str, Any] = json.loads((tmp_path / "run" / "result.json").read_text())
    assert 0 <= result["score"] <= 100
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["group"], config["test_list"], config["seconds"]) == ("(s[0-9])_", None, 1.25)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group", "x"], "group='x' is not for --data packed: leave it out"),
        (["--seconds", "2"], "seconds='2.0' is not for --data packed: leave it out"),
        (["--data", "folder"], "no folder was given: give --data-root DIR"),
        (["--data", "folder", "--words", "twelve"], "data='folder' uses all its classes"),
        (["--data", "folder", "--score-on", "validation"], "score_on='validation' needs --data speech-commands"),
    ],
)
def test_options_of_other_data_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        audio.main(words)
    said = f"{caught.value} {capsys.readouterr().err}".replace("│", " ")
    assert message in " ".join(said.split())
