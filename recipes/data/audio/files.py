"""Sound files of one length, decoded once and kept."""

import hashlib
import io
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from recipes.data.audio.containers import sound_of
from recipes.data.audio.rates import to_rate

RATE = SAMPLES = 16_000
FORM = 2
"""Of what the cache holds: another number where clips are decoded otherwise."""


def decode(raw: bytes) -> Tensor:
    """Decode a sound file into a mono wave int16 (T,) at 16 kHz; what resampling takes beyond full scale is cut to it.

    Raises:
        ValueError: it cannot be read, is truncated, has no samples or some that are not finite, or is at a rate at
            which no sound is recorded.
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
            samples = file.read(promised, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"is no sound file ({error.error_string.rstrip('.')})") from error
    if len(samples) < promised:
        raise ValueError(f"is truncated ({len(samples):,} of {promised:,} samples)")
    wave = torch.from_numpy(samples).mean(1)
    if not len(wave):
        raise ValueError("has no samples")
    if not wave.isfinite().all():
        raise ValueError("has samples that are not finite")
    wave = to_rate(wave, rate, RATE)
    return (wave * 32768).round().clamp(-32768, 32767).to(torch.int16)


def cached(folder: Path, names: list[str], cache: Path | None, samples: int = SAMPLES) -> tuple[Tensor, dict[str, str]]:
    """Decode clips, or take them from the file that holds just these; see `decoded`."""
    if cache is None:
        return decoded(folder, names, samples)
    try:
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import save_file
    except ImportError as error:
        raise ImportError("cache needs safetensors: pip install 'mixmodal[recipes]'") from error
    listing = [(name, *_stamp(folder / name)) for name in names]
    key = hashlib.sha256(json.dumps([FORM, RATE, samples, listing]).encode()).hexdigest()
    file = cache / f"speech-{key[:16]}.safetensors"
    if file.is_file():
        try:
            with safe_open(file, "pt") as content:
                return _checked(content.get_tensor("waves"), json.loads(content.metadata()["broken"]), names, samples)
        except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} is damaged ({error}): delete it") from error
    waves, broken = decoded(folder, names, samples)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as own:  # a name is given to whole files only
        save_file({"waves": waves}, Path(own, "waves"), metadata={"broken": json.dumps(broken)})
        Path(own, "waves").replace(file)
    return waves, broken


def _checked(waves: Tensor, broken: dict[str, str], names: list[str], samples: int) -> tuple[Tensor, dict[str, str]]:
    """Return what a cache holds, which must be a clip for each name that is not broken."""
    wanted = len(names) - len(broken.keys() & {*names})
    if waves.shape != (wanted, samples) or waves.dtype != torch.int16:
        raise ValueError(f"it has {waves.dtype} {tuple(waves.shape)}, expected int16 {(wanted, samples)}")
    return waves, broken


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; none if it is not there."""
    stat = path.stat() if path.is_file() else None
    return (stat.st_size, stat.st_mtime_ns) if stat else (-1, -1)


def decoded(folder: Path, names: list[str], samples: int = SAMPLES) -> tuple[Tensor, dict[str, str]]:
    """Decode clips into int16 (N, samples), cut or padded with zeros, and tell why others cannot be read."""
    waves = torch.zeros(len(names), samples, dtype=torch.int16)
    broken = {}
    kept = 0
    for name in names:
        try:
            wave = decode((folder / name).read_bytes())[:samples]
        except FileNotFoundError:
            broken[name] = "is in a list and not there"
        except ValueError as error:
            broken[name] = str(error)
        else:
            waves[kept, : len(wave)] = wave
            kept += 1
    return waves[:kept], broken
