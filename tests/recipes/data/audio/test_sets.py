"""Reading Speech Commands from small folders made here: splits, broken clips, the cache; and the synthetic tones."""

import hashlib
import io
import re
import struct
import tarfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from recipes.data.audio import files as sound_files
from recipes.data.audio.folders import PUBLISHED
from recipes.data.audio.sets import (
    COMMANDS,
    SpeechSet,
    background,
    balanced_weights,
    download,
    load,
    split_of,
    synthetic,
)
from recipes.data.disk.lazy import Samples, read
from tests.recipes.data.test_download import Response

soundfile = pytest.importorskip("soundfile")


def readme_rule(name: str) -> str:
    """The split of a clip as the README of the set tells it, with 10 % for validation and 10 % for testing."""
    most = 2**27 - 1
    speaker = re.sub(r"_nohash_.*$", "", name.rpartition("/")[2])
    percentage = (int(hashlib.sha1(speaker.encode("utf-8")).hexdigest(), 16) % (most + 1)) * (100.0 / most)
    if percentage < 10:
        return "validation"
    return "testing" if percentage < 20 else "training"


SPEAKERS = [
    speaker
    for split, count in (("training", 5), ("validation", 2), ("testing", 2))
    for speaker in [f"{number:08x}" for number in range(100) if readme_rule(f"{number:08x}") == split][:count]
]
"""Five to train, two to validate and two to test by their hash."""


def write(path: Path, samples: Any, rate: int = 16_000, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples), rate, subtype=subtype)


def make(root: Path, words: tuple[str, ...] = COMMANDS, lists: bool = True) -> list[str]:
    """Five clips of each word, of which lists name one for validation and one for testing; clip j of word i holds i, j.

    Without lists there is a clip of each of the nine speakers.
    """
    names = []
    for i, word in enumerate(words):
        for j, speaker in enumerate(SPEAKERS[: 5 if lists else None]):
            names.append(f"{word}/{speaker}_nohash_0.wav")
            write(root / names[-1], np.array([i, j, 100] + [0] * 97, dtype=np.int16))
    if lists:
        (root / "validation_list.txt").write_text("".join(f"{name}\n" for name in names[3::5]))
        (root / "testing_list.txt").write_text("".join(f"{name}\n" for name in names[4::5]))
    return names


def content(x: Samples) -> list[tuple[int, ...]]:
    return sorted((int(i), int(j)) for i, j in read(x)[:, :2].tolist())


# ---------------------------------------------------------------- words and splits


def test_ten_words_by_the_lists(tmp_path: Path) -> None:
    make(tmp_path, (*COMMANDS, "bed"))
    (tmp_path / "_background_noise_").mkdir()
    data = load(tmp_path, words="ten")
    assert data.classes == ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
    assert content(data.train_x) == [(i, j) for i in range(10) for j in range(3)]
    assert content(data.validation_x) == [(i, 3) for i in range(10)]
    assert content(data.test_x) == [(i, 4) for i in range(10)]
    for x, y in ((data.train_x, data.train_y), (data.validation_x, data.validation_y), (data.test_x, data.test_y)):
        assert torch.equal(x[:, 0].long(), y)
        assert (x[:, 2] == 100).all()
        assert not x[:, 100:].any()
    assert data.broken == ()


def test_twelve_words_have_unknown_and_silence(tmp_path: Path) -> None:
    """11 others than the ten: 63 training clips have 6 silent ones, 21 clips of the other splits have 2."""
    others = tuple(f"word{k}" for k in range(11))
    make(tmp_path, (*COMMANDS, *others))
    data = load(tmp_path, words="twelve")
    assert data.classes == ("unknown", "silence", *COMMANDS)
    for x, y, clips, silent in (
        (data.train_x, data.train_y, 3, 6),
        (data.validation_x, data.validation_y, 1, 2),
        (data.test_x, data.test_y, 1, 2),
    ):
        assert y.bincount().tolist() == [11 * clips, silent, *[clips] * 10]
        assert not x[y == 1].any()
        assert (x[y == 0][:, 0] >= 10).all()
        assert torch.equal(x[y > 1][:, 0] + 2, y[y > 1])


def test_all_words_are_sorted(tmp_path: Path) -> None:
    make(tmp_path, (*COMMANDS, "bed", "zero"))
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / "_background_noise_" / "noise.wav", np.ones(100))
    data = load(tmp_path, words="thirty-five")
    assert data.classes == tuple(sorted((*COMMANDS, "bed", "zero")))
    number = {i: data.classes.index(word) for i, word in enumerate((*COMMANDS, "bed", "zero"))}
    assert data.test_y.tolist() == [number[i] for i in data.test_x[:, 0].tolist()]


@pytest.mark.parametrize("lacking", [(), ("validation",), ("testing",), ("validation", "testing")])
def test_a_list_that_is_not_there_is_replaced_by_the_hash(tmp_path: Path, lacking: tuple[str, ...]) -> None:
    names = make(tmp_path, lists=False)
    listed = {"validation": set(names[1::7]), "testing": set(names[2::7])}
    for split, some in listed.items():
        if split not in lacking:
            (tmp_path / f"{split}_list.txt").write_text("\n".join(sorted(some)))
    expected: dict[str, list[tuple[int, int]]] = {"training": [], "validation": [], "testing": []}
    for k, name in enumerate(names):
        by_hash = readme_rule(name)
        split = "training"
        for each in ("testing", "validation"):
            if by_hash == each if each in lacking else name in listed[each]:
                split = each
        expected[split].append((k // 9, k % 9))
    data = load(tmp_path, words="ten")
    assert content(data.train_x) == expected["training"]
    assert content(data.validation_x) == expected["validation"]
    assert content(data.test_x) == expected["testing"]


def test_the_split_by_hash_is_the_rule_of_the_readme() -> None:
    """Of 3,000 speakers a tenth each: 300 within 5 standard errors, 82."""
    names = [f"bed/{number:08x}_nohash_{number % 3}.wav" for number in range(3000)]
    assert [split_of(name) for name in names] == [readme_rule(name) for name in names]
    for split in ("validation", "testing"):
        assert abs(sum(split_of(name) == split for name in names) - 300) < 82
    assert split_of("no/0a_nohash_7.wav") == split_of("0a_nohash_0.wav")


def test_published_test_clips_have_the_hash_of_test_clips(real: Callable[[str], Path]) -> None:
    names = [path.name for path in real("speech_commands").glob("*/*.wav")]
    assert names
    assert {split_of(name) for name in names} == {"testing"}


@pytest.mark.parametrize("inside", ["", "speech_commands", "SpeechCommands/speech_commands_v0.01"])
def test_where_the_folder_may_be(tmp_path: Path, inside: str) -> None:
    make(tmp_path / inside)
    assert len(load(tmp_path, words="ten").train_y) == 30


# ---------------------------------------------------------------- clips


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path)
    return tmp_path


NO = f"no/{SPEAKERS[0]}_nohash_0.wav"


def only(data: SpeechSet, label: int) -> Tensor:
    """The first training clip of a class, as a float in [-1, 1)."""
    return read(data.train_x[data.train_y == label])[0].double() / 32768


def test_long_clips_are_cut_and_stereo_is_averaged(folder: Path) -> None:
    stereo = np.stack([np.linspace(-0.9, 0.9, 20_000), np.linspace(0.5, -0.3, 20_000)], 1)
    write(folder / NO, stereo)
    expected = torch.from_numpy(stereo.mean(1))[:16_000]
    torch.testing.assert_close(only(load(folder, words="ten"), 1), expected, rtol=0, atol=2 / 32768)


@pytest.mark.parametrize("rate", [8000, 44_100])
def test_other_rates_are_resampled(folder: Path, rate: int) -> None:
    """A tone of 440 Hz and half a second is one at 16 kHz too; its ends ring."""
    write(folder / NO, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate), rate)
    got = only(load(folder, words="ten"), 1)
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(8000).double() / 16_000)
    torch.testing.assert_close(got[200:7800], expected[200:7800], rtol=0, atol=2e-3)
    assert not got[8010:].any()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "PCM_24", "FLOAT"])
def test_sample_formats(folder: Path, subtype: str) -> None:
    samples = np.linspace(-1, 0.99, 300)
    write(folder / NO, samples, subtype=subtype)
    error = {"PCM_U8": 1.1 / 128, "PCM_16": 1.1 / 32768}.get(subtype, 0.6 / 32768)
    got = only(load(folder, words="ten"), 1)[:300]
    torch.testing.assert_close(got, torch.from_numpy(samples), rtol=0, atol=error)


def test_what_is_beyond_full_scale_is_cut_to_it(folder: Path) -> None:
    write(folder / NO, [-3.0, -1.0, 0.5, 1.0, 3.0], subtype="FLOAT")
    data = load(folder, words="ten")
    assert data.train_x[data.train_y == 1][0, :5].tolist() == [-32768, -32768, 16384, 32767, 32767]


def test_sixteen_bits_are_kept_exactly(folder: Path) -> None:
    samples = np.arange(-32768, 32768, 9, dtype=np.int16)
    write(folder / NO, samples)
    data = load(folder, words="ten")
    assert data.train_x[data.train_y == 1][0, : len(samples)].tolist() == samples.tolist()


def test_silence_is_fine(folder: Path) -> None:
    write(folder / NO, np.zeros(16_000))
    assert not only(load(folder, words="ten"), 1).any()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (truncated, r"is truncated \(224 of 244 bytes\)"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("no sound at all " * 9), "is not a sound file"),
    "without samples": (lambda path: write(path, np.zeros(0)), "has no samples"),
    "not a number": (lambda path: write(path, [0.0, np.nan], subtype="FLOAT"), "has samples that are not finite"),
    "infinite": (lambda path: write(path, [0.0, np.inf], subtype="FLOAT"), "has samples that are not finite"),
    "gone": (Path.unlink, "is in a list but not there"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_clips_are_named(folder: Path, kind: str) -> None:
    damage, reason = BROKEN[kind]
    name = f"stop/{SPEAKERS[4]}_nohash_0.wav"
    damage(folder / name)
    with pytest.raises(ValueError, match=rf"has 1 of 50 clips that cannot be read: {name} {reason}.*--skip-broken"):
        load(folder, words="ten")
    data = load(folder, words="ten", skip_broken=True)
    assert data.broken == (name,)
    assert content(data.test_x) == [(i, 4) for i in range(10) if i != COMMANDS.index("stop")]
    assert len(data.train_y) == 30


def test_a_streamed_file_does_not_know_its_size(folder: Path) -> None:
    raw = bytearray((folder / NO).read_bytes())
    raw[4:8] = b"\xff\xff\xff\xff"
    (folder / NO).write_bytes(raw)
    assert len(load(folder, words="ten").train_y) == 30


SAMPLES = np.arange(-500, 500, dtype="<i2")


def wav(
    riff: int | None = None, data: int | None = None, *, before: bytes = b"", after: bytes = b"", rate: int = 16_000
) -> bytes:
    """The bytes of a WAV file of SAMPLES, whose sizes may be others than the right ones."""
    content = SAMPLES.tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    size = len(content) if data is None else data
    body = b"WAVE" + form + before + b"data" + struct.pack("<I", size) + content + after
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def listing(size: int, content: bytes) -> bytes:
    return b"LIST" + struct.pack("<I", size) + content


UNKNOWN = 2**32 - 1
WHOLE = {
    "right": wav(),
    "size of the file too large": wav(riff=10**6),
    "size of the file 0": wav(riff=0),
    "size of the file that of an empty one": wav(riff=36),
    "size of the file unknown": wav(riff=UNKNOWN),
    "ffmpeg's stream": wav(UNKNOWN, UNKNOWN),
    "SoX's stream": wav(0x7FFFF024, 0x7FFFF000),
    "arecord's stream": wav(0x80000024, 0x80000000),
    "a list cut after the data": wav(after=listing(400, b"INFO")),
    "a list before the data": wav(before=listing(6, b"INFOxy")),
    "one of odd size": wav(before=listing(5, b"INFOx\0")),
    "one of odd size without its zero": wav(before=listing(5, b"INFOx")),
    "other data after the data": wav(after=b"data" + struct.pack("<I", 4) + b"abcd"),
    "a fact that lies": wav(before=b"fact" + struct.pack("<II", 4, 3)),
}
"""Files whose data are all there, by their own size or, where that is unknown, to the end of the file."""


@pytest.mark.parametrize("kind", WHOLE)
def test_clips_are_whole_by_the_size_of_their_data(kind: str) -> None:
    assert sound_files.decode(WHOLE[kind]).tolist() == SAMPLES.tolist()


def test_data_end_where_their_size_says() -> None:
    """And what follows is no sound, whatever the size of the file says."""
    for riff in (None, 0, 8, UNKNOWN):
        assert sound_files.decode(wav(riff, data=1000)).tolist() == SAMPLES[:500].tolist()


@pytest.mark.parametrize("riff", [None, 0, 8, 36, 100, UNKNOWN])
@pytest.mark.parametrize("kept", [45, 46, 1044, 2043])
def test_cut_clips_are_refused_whatever_the_size_of_the_file_says(riff: int | None, kept: int) -> None:
    with pytest.raises(ValueError, match=f"^is truncated \\({kept:,} of 2,044 bytes\\)$"):
        sound_files.decode(wav(riff)[:kept])


@pytest.mark.parametrize("kept", [12, 20, 36, 40])
def test_clips_that_are_cut_before_their_data_are_refused(kept: int) -> None:
    with pytest.raises(ValueError, match=r"is not a sound file .*chunk, or is cut off before it"):
        sound_files.decode(wav()[:kept])


@pytest.mark.parametrize("riff", [None, 0, 8])
def test_data_of_no_size_are_no_samples(riff: int | None) -> None:
    """A clip of length zero, and one whose writer never said how long it became."""
    with pytest.raises(ValueError, match=r"has no samples .* 2,000 follow"):
        sound_files.decode(wav(riff, data=0))


def test_the_form_for_more_than_four_gigabytes() -> None:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 0, 2000, 1000, 0)
    raw = b"RF64\xff\xff\xff\xffWAVE" + sizes + form + b"data\xff\xff\xff\xff" + SAMPLES.tobytes()
    assert sound_files.decode(raw + b"more").tolist() == SAMPLES.tolist()
    with pytest.raises(ValueError, match=r"is truncated \(2,078 of 2,080 bytes\)"):
        sound_files.decode(raw[:-2])


def flac(claimed: int) -> bytes:
    """160 samples in a file that claims another number."""
    file = io.BytesIO()
    soundfile.write(file, SAMPLES[:160], 16_000, format="FLAC")
    raw = bytearray(file.getvalue())
    assert int.from_bytes(raw[18:26], "big") % 2**36 == 160
    raw[18:26] = (int.from_bytes(raw[18:26], "big") - 160 + claimed).to_bytes(8, "big")
    return bytes(raw)


def test_samples_are_read_as_far_as_there_are_some() -> None:
    """And no memory is taken for what is claimed, of which NumPy says that it is too much."""
    assert sound_files.decode(flac(160)).tolist() == SAMPLES[:160].tolist()
    with pytest.raises(ValueError, match="does not state how many samples it has: convert it"):
        sound_files.decode(flac(0))  # as of a writer into a pipe
    with pytest.raises(ValueError, match=r"is truncated|is not a sound file"):
        sound_files.decode(flac(2**36 - 1))


def test_sounds_are_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_files, "AT_ONCE", 7)
    monkeypatch.setattr(sound_files, "MOST", 160)
    assert len(sound_files.decode(flac(160))) == 160
    monkeypatch.setattr(sound_files, "MOST", 159)
    with pytest.raises(ValueError, match=r"has more than 159 samples in 1 channels: cut it into clips"):
        sound_files.decode(flac(160))


KINDS = [
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610")),
    *((kind, "PCM_16") for kind in ("WAVEX", "RF64", "AIFF", "AU", "W64", "FLAC", "CAF")),
]
ERROR = {"PCM_U8": 1 / 128, "ULAW": 0.02, "ALAW": 0.02, "IMA_ADPCM": 0.02, "MS_ADPCM": 0.02, "GSM610": 0.1}
"""Largest error of a sine with an amplitude of a half, once it has begun; others have at most a step of 16 bits."""


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_all_kinds_are_decoded_whole_and_refused_cut(kind: str, subtype: str, channels: int) -> None:
    if (subtype, channels) == ("GSM610", 2):
        pytest.skip("GSM has one channel")
    wave = 0.5 * np.sin(np.arange(16_000) / 10)
    file = io.BytesIO()
    soundfile.write(file, np.stack([wave] * channels, 1), 16_000, format=kind, subtype=subtype)
    raw = file.getvalue()
    decoded = sound_files.decode(raw)
    lossy = subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610")
    assert 16_000 <= len(decoded) < 17_000  # kinds of blocks have zeros at the end
    error = (decoded[:16_000].double() / 32768 - torch.from_numpy(wave))[1000 * lossy :].abs().max().item()
    assert error < ERROR.get(subtype, 1.01 / 32768)
    with pytest.raises(ValueError, match=r"is truncated|is not a sound file"):
        sound_files.decode(raw[: len(raw) * 2 // 3])


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_rates_of_no_sound_are_named(rate: int) -> None:
    with pytest.raises(ValueError, match=f"is at {rate:,} Hz, expected 1,000 to 768,000 Hz"):
        sound_files.decode(wav(rate=rate))


def test_all_broken_clips_are_counted(folder: Path) -> None:
    names = [f"{word}/{SPEAKERS[j]}_nohash_0.wav" for j, word in enumerate(("down", "go", "left", "yes"))]
    for name in names:
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="has 4 of 50 clips") as caught:
        load(folder, words="ten")
    assert [name in str(caught.value) for name in names] == [True, True, True, False]
    assert "and others" in str(caught.value)
    (folder / names[3]).write_bytes((folder / NO).read_bytes())
    with pytest.raises(ValueError, match="has 3 of 50 clips") as caught:
        load(folder, words="ten")
    assert all(name in str(caught.value) for name in names[:3])
    assert "and others" not in str(caught.value)
    data = load(folder, words="ten", skip_broken=True)
    assert data.broken == tuple(names[:3])
    assert [len(y) for y in (data.train_y, data.validation_y, data.test_y)] == [27, 10, 10]


# ---------------------------------------------------------------- the cache


def same(a: SpeechSet, b: SpeechSet) -> bool:
    tensors = ("train_x", "train_y", "validation_x", "validation_y", "test_x", "test_y")
    return a.broken == b.broken and all(torch.equal(read(getattr(a, name)), read(getattr(b, name))) for name in tensors)


def test_the_cache_is_used_until_a_clip_changes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, decode = tmp_path / "made" / "cache", sound_files.decode
    calls = 0

    def counted(raw: bytes) -> Tensor:
        nonlocal calls
        calls += 1
        return decode(raw)

    monkeypatch.setattr(sound_files, "decode", counted)
    (folder / "go" / f"{SPEAKERS[2]}_nohash_0.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        load(folder, words="ten", cache=cache)
    first = load(folder, words="ten", cache=cache, skip_broken=True)
    second = load(folder, words="ten", cache=cache, skip_broken=True)
    assert calls == 50
    assert same(first, second)
    assert same(first, load(folder, words="ten", skip_broken=True))
    calls = 0
    write(folder / NO, np.array([7, 7, 7], dtype=np.int16))
    assert only(load(folder, words="ten", cache=cache, skip_broken=True), 1)[0] == 7 / 32768
    write(folder / f"no/{SPEAKERS[8]}_nohash_0.wav", np.array([8], dtype=np.int16))
    assert len(load(folder, words="ten", cache=cache, skip_broken=True).train_y) == 30
    (folder / f"no/{SPEAKERS[8]}_nohash_0.wav").unlink()
    assert calls == 101
    load(folder, words="ten", cache=cache, skip_broken=True)
    assert calls == 101


def test_the_lists_are_no_part_of_the_cache(folder: Path, tmp_path: Path) -> None:
    load(folder, words="ten", cache=tmp_path / "cache")
    lists = [folder / "validation_list.txt", folder / "testing_list.txt"]
    texts = [file.read_text() for file in lists]
    for file, text in zip(lists, reversed(texts), strict=True):
        file.write_text(text)
    assert content(load(folder, words="ten", cache=tmp_path / "cache").test_x) == [(i, 3) for i in range(10)]


def test_readers_that_start_at_once_share_the_cache(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(lambda _: load(folder, words="ten", cache=cache), range(4)))
    assert all(same(sets[0], each) for each in sets)
    assert [path.suffix for path in cache.glob("[!.]*")] == [".arrow"]


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    load(folder, words="ten", cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("[!.]*")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .*: delete it"):
        load(folder, words="ten", cache=tmp_path / "cache")


def recached(file: Path, change: Callable[[Any], Any]) -> None:
    """Write a cache anew with other content."""
    with pa.memory_map(str(file)) as mapped:
        table = change(pa.ipc.open_stream(mapped).read_all())
        with pa.OSFile(str(file) + ".new", "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
    Path(f"{file}.new").replace(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.slice(1),
        lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        lambda table: table.drop_columns("broken"),
        lambda table: table.set_column(0, "wave", table["wave"].cast(pa.list_(pa.int32(), 16_000))),
    ],
    ids=["fewer", "more", "no reasons", "other numbers"],
)
def test_a_cache_that_holds_other_clips_is_named(folder: Path, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    """One with fewer clips than labels would move every label after the gap."""
    cache = tmp_path / "cache"
    load(folder, words="ten", cache=cache)
    (file,) = cache.glob("[!.]*")
    recached(file, lambda table: table)
    load(folder, words="ten", cache=cache)
    recached(file, change)
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .*: delete it"):
        load(folder, words="ten", cache=cache)


# ---------------------------------------------------------------- lists and hidden files


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lists_of_any_editor(folder: Path, mark: bytes, newline: bytes, last: bool) -> None:
    """A byte order mark would take the first clip out of its split."""
    file = folder / "testing_list.txt"
    lines = file.read_text().split()
    file.write_bytes(mark + newline.join(line.encode() for line in lines) + newline * last)
    assert content(load(folder, words="ten").test_x) == [(i, 4) for i in range(10)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda text: text.encode("utf-16"),
            r"is UTF-16, expected UTF-8: convert it, for example with iconv -f UTF-16",
        ),
        (lambda text: text.encode("utf-16-le"), "has a zero byte"),
        (lambda text: text.encode() + b"\xe9", "is not UTF-8"),
        (lambda text: b"yes/../../a.wav\n" + text.encode(), r"has 'yes/\.\./\.\./a\.wav', expected names like"),
        (lambda text: b"yes/..\n" + text.encode(), r"has 'yes/\.\.', expected names like"),
        (lambda text: text.replace("/", "\\").encode(), r"has 'yes\\\\.*', expected names like yes/0a7c2a8d_nohash_0"),
    ],
)
def test_damaged_lists_are_named(folder: Path, damage: Callable[[str], bytes], message: str) -> None:
    file = folder / "testing_list.txt"
    file.write_bytes(damage(file.read_text()))
    with pytest.raises(ValueError, match=rf"testing_list\.txt {message}"):
        load(folder, words="ten")


def test_hidden_files_are_left_out_and_suffixes_have_any_case(folder: Path) -> None:
    noise = folder / "_background_noise_"
    write(noise / "a.WAV", np.ones(16_000, dtype=np.int16))
    for hidden in (noise / "._a.wav", folder / "yes" / "._b.wav"):
        hidden.write_bytes(b"hidden")
    assert background(folder).shape == (1, 16_000)
    assert len(load(folder, words="ten").train_y) == 30


# ---------------------------------------------------------------- what is not there


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for root in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"https://download\S+v0\.02\.tar\.gz .*--data-root.*--download"):
            load(root, words="ten")
    make(tmp_path, COMMANDS[:8])
    with pytest.raises(FileNotFoundError, match="has no folder stop, go: unpack"):
        load(tmp_path, words="ten")
    with pytest.raises(ValueError, match="words='eleven' is unknown"):
        load(tmp_path, words="eleven")  # type: ignore[arg-type]


def test_unknown_needs_words(folder: Path) -> None:
    with pytest.raises(ValueError, match="words='twelve' needs other words"):
        load(folder, words="twelve")


def test_a_split_without_clips_is_named(folder: Path) -> None:
    (folder / "testing_list.txt").write_text("")
    with pytest.raises(ValueError, match="test_y must hold labels"):
        load(folder, words="ten")


def test_background_is_cut_into_seconds(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="_background_noise_ has no recordings"):
        background(folder)
    long, short = (np.arange(size, dtype=np.int16) for size in (25_000, 10_000))
    write(folder / "_background_noise_" / "b.wav", short)
    with pytest.raises(ValueError, match="has 10,000 samples at 16 kHz, expected a second or more"):
        background(folder)
    write(folder / "_background_noise_" / "a.wav", long)
    noise = background(folder)
    assert noise.shape == (2, 16_000)
    assert noise.flatten().tolist() == [*long.tolist(), *short.tolist()][:32_000]
    (folder / "_background_noise_" / "b.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.wav is empty: fetch it again"):
        background(folder)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tar is published as the archive of a version."""
    make(tmp_path / "source")
    (tmp_path / "source" / "_background_noise_").mkdir()
    (tmp_path / "source" / "_background_noise_" / "a.wav").write_bytes(b"noise")
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "source", "./")
        for name in ("../outside.wav", "yes/../../outside.wav", "/outside.wav"):
            packed.addfile(tarfile.TarInfo(name))
    monkeypatch.setitem(PUBLISHED, "v0.02", hashlib.sha256(archive.read_bytes()).hexdigest())

    def serve(url: str, **_: object) -> Any:
        assert url == "https://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
        return Response(archive.read_bytes(), url)

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    return tmp_path


def test_a_download_is_checked_and_unpacked_as_a_whole(published: Path) -> None:
    folder = download(published / "new", "v0.02")
    assert same(load(folder, words="ten"), load(published / "source", words="ten"))
    assert (folder / "_background_noise_" / "a.wav").read_bytes() == b"noise"
    assert not list(published.rglob("outside*"))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    (published / "a.tar.gz").unlink()
    assert download(published / "new", "v0.02") == folder  # which is there


def test_another_archive_than_was_published_is_refused(published: Path) -> None:
    with (published / "a.tar.gz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=r"v0\.02\.tar\.gz gave a file with the SHA-256 \w{64}, expected \w{64}"):
        download(published / "new", "v0.02")
    assert not list((published / "new" / "SpeechCommands").iterdir())


def test_a_download_that_is_interrupted_leaves_nothing(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        download(published / "new", "v0.02")
    assert not list((published / "new" / "SpeechCommands").iterdir())


def test_wrong_tensors_are_named() -> None:
    x, y = torch.zeros(2, 16_000, dtype=torch.int16), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"validation_x is torch\.float32 \(2, 16000\), expected int16"):
        SpeechSet("s", x, y, x.float(), y, x, y, ("a", "b"))
    with pytest.raises(ValueError, match=r"test_x is torch\.int16 \(2, 8\)"):
        SpeechSet("s", x, y, x, y, x[:, :8], y, ("a", "b"))
    with pytest.raises(ValueError, match=r"train_y is torch\.int64 \(1,\), expected int64 \(2,\)"):
        SpeechSet("s", x, y[:1], x, y, x, y, ("a", "b"))
    with pytest.raises(ValueError, match=r"train_y must hold labels in 0\.\.0"):
        SpeechSet("s", x, y, x, y, x, y, ("a",))


# ---------------------------------------------------------------- real clips, tones, weights


def test_real_clips(real: Callable[[str], Path]) -> None:
    folder = real("speech_commands")
    data = load(folder, words="ten")
    assert [len(y) for y in (data.train_y, data.validation_y, data.test_y)] == [1873, 503, 632]
    path = sorted((folder / "yes").glob("*.wav"))[0]
    samples = soundfile.read(path, dtype="int16")[0][:16_000]
    assert any(
        clip[: len(samples)].tolist() == samples.tolist()
        for clip in torch.cat([data.train_x, data.validation_x, data.test_x])
    )


def test_tones_follow_from_the_seed() -> None:
    state = torch.get_rng_state()
    a, b, c = (synthetic(classes=3, per_class=10, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert "synthetic" in a.name
    assert same(a, b)
    assert not torch.equal(a.train_x, c.train_x)
    for y, count in ((a.train_y, 10), (a.validation_y, 2), (a.test_y, 2)):
        assert y.bincount().tolist() == [count] * 3
    clips = torch.cat([a.train_x, a.validation_x, a.test_x])
    assert len({tuple(clip[:100].tolist()) for clip in clips}) == len(clips)
    with pytest.raises(ValueError, match="classes=1"):
        synthetic(classes=1)


def test_tones_glide_by_the_interval_of_their_class() -> None:
    """The loudest frequency of the last eighth of a second over that of the first: 7/8 of an octave down, 0, or up.

    Vibrato is at most 0.4 semitones to either side, and a glide within the window blurs its pitch by as much again.
    """
    data = synthetic(classes=3, per_class=20)
    window = torch.hann_window(2000)
    ends = [
        torch.fft.rfft(data.train_x[:, part] * window, n=2**16).abs() for part in (slice(2000), slice(14_000, None))
    ]
    first, last = (spectrum.argmax(1).double() for spectrum in ends)
    semitones = 12 * (last / first).log2()
    expected = torch.tensor([-12.0, 0.0, 12.0])[data.train_y].double() * 7 / 8
    torch.testing.assert_close(semitones, expected, rtol=0, atol=1.6)


def test_balanced_weights_sum_to_one_in_each_class() -> None:
    labels = torch.tensor([3, 0, 3, 3, 1, 0])
    weights = balanced_weights(labels)
    assert [round(weights[labels == label].sum().item(), 12) for label in (0, 1, 3)] == [1, 1, 1]
    assert all(weights[labels == label].std(correction=0) == 0 for label in (0, 1, 3))
