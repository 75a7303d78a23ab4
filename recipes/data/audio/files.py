"""Sound files of one length, decoded once and cached."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.data.audio.containers import sound_of
from recipes.data.audio.rates import to_rate
from recipes.data.disk.kept import kept, lazy
from recipes.data.disk.lazy import Samples

RATE = SAMPLES = 16_000
MOST, AT_ONCE = 2**27, 2**16
"""Most samples of a file, in all channels (46 minutes at 48 kHz), and how many of each channel are read at once."""
UNKNOWN = 2**63 - 1
"""Number of samples of a file that does not state it, such as FLAC that was written into a pipe."""
FORM = 3
"""Version of what is cached: change it when clips are decoded differently."""


def decode(raw: bytes) -> Tensor:
    """Decode a sound file into a mono wave int16 (T,) at 16 kHz; resampled values beyond full scale are clipped.

    Raises:
        ValueError: it cannot be read, is truncated, has no samples, more than 2^27 or some that are not finite, or is
            at a rate at which no sound is recorded.
        ImportError: an optional package is missing.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("sound files need soundfile: pip install 'mixmodal[recipes]'") from error
    if not raw:
        raise ValueError("is empty")
    try:
        with soundfile.SoundFile(io.BytesIO(sound_of(raw))) as file:
            rate, promised = file.samplerate, file.frames
            samples = _read(file)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"is not a sound file ({error.error_string.rstrip('.')})") from error
    if len(samples) < promised:
        raise ValueError(f"is truncated ({len(samples):,} of {promised:,} samples)")
    wave = torch.from_numpy(samples).mean(1)
    if not len(wave):
        raise ValueError("has no samples")
    if not wave.isfinite().all():
        raise ValueError("has samples that are not finite")
    wave = to_rate(wave, rate, RATE)
    return (wave * 32768).round().clamp(-32768, 32767).to(torch.int16)


def _read(file: Any) -> np.ndarray[Any, Any]:
    """Samples (T, channels) float32 up to the end of a sound file, however many its header claims."""
    if file.frames == UNKNOWN:
        raise ValueError("does not state how many samples it has: convert it, for example with sox a.flac b.flac")
    parts = [np.zeros((0, file.channels), np.float32)]
    left = min(file.frames, MOST // file.channels + 1)
    while left and len(part := file.read(min(left, AT_ONCE), dtype="float32", always_2d=True)):
        parts.append(part)
        left -= len(part)
    if sum(map(len, parts)) * file.channels > MOST:
        raise ValueError(f"has more than {MOST:,} samples in {file.channels} channels: cut it into clips")
    return np.concatenate(parts)


def cached(
    folder: Path, names: list[str], cache: Path | None, samples: int = SAMPLES
) -> tuple[Samples, dict[str, str]]:
    """Decode clips, or read them on demand from the cache file that holds exactly these."""
    if cache is None:
        return decoded(folder, names, samples)
    import pyarrow as pa

    listing = [(name, *_stamp(folder / name)) for name in names]
    what = [FORM, RATE, samples, listing]
    columns = {"wave": pa.list_(pa.int16(), samples), "broken": pa.string()}
    data = kept(cache, "clips", what, columns, lambda: _rows(folder, names, samples), len(names))
    reasons = list(data["broken"])
    good = torch.tensor([number for number, reason in enumerate(reasons) if not reason], dtype=torch.int64)
    broken = {name: reason for name, reason in zip(names, reasons, strict=True) if reason}
    return lazy(data, "wave", (samples,), good), broken


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; -1 for both if it is not there."""
    stat = path.stat() if path.is_file() else None
    return (stat.st_size, stat.st_mtime_ns) if stat else (-1, -1)


def decoded(folder: Path, names: list[str], samples: int = SAMPLES) -> tuple[Tensor, dict[str, str]]:
    """Decode clips into int16 (N, samples), cut or padded with zeros, and tell why others cannot be read."""
    rows = [*_rows(folder, names, samples)]
    waves = [torch.from_numpy(row["wave"]) for row in rows if not row["broken"]]
    broken = {name: row["broken"] for name, row in zip(names, rows, strict=True) if row["broken"]}
    return torch.stack(waves) if waves else torch.zeros(0, samples, dtype=torch.int16), broken


def _rows(folder: Path, names: list[str], samples: int) -> Iterator[dict[str, Any]]:
    """The wave of each clip, zeros where it cannot be read, and why that is."""
    for name in names:
        wave, reason = torch.zeros(samples, dtype=torch.int16), ""
        try:
            found = decode((folder / name).read_bytes())[:samples]
        except FileNotFoundError:
            reason = "is in a list but not there"
        except ValueError as error:
            reason = str(error)
        else:
            wave[: len(found)] = found
        yield {"wave": wave.numpy(), "broken": reason}
