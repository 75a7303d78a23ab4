"""Compare the length of the data in the headers of sound files with the bytes that are there."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

WAVES = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
"""First bytes of the kinds of WAV, and the byte order of their numbers."""
STREAMED = {2**32 - 1, 2**31, 2**31 - 2**12, 2**31 - 2**8}
"""Sizes that stand for an unknown one, as ffmpeg, arecord, SoX and aplay write into a pipe."""
W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True)
class Chunk:
    """A part of a file.

    Args:
        name: its four letters.
        start: of its content, in bytes from the start of the file.
        size: of its content in bytes according to its header, which may be more than there are.
    """

    name: bytes
    start: int
    size: int


def sound_of(raw: bytes) -> bytes:
    """Check that the sound data of a file are all there, and return a WAV file with only its format and data.

    The size of the data is the one in the header of their own chunk. The size of the whole file, in the first bytes of
    a WAV file, is ignored: programs leave it at zero, do not count chunks that they add, or cut off what comes after
    the data. Other chunks are ignored too. If the writer could not know the size, because it wrote into a pipe, the
    data are all that follows. Other kinds of files are returned as they are.

    Args:
        raw: the content of a file.

    Raises:
        ValueError: the data are cut off, or there are none.

    >>> file = b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    >>> len(sound_of(file + b"data" + struct.pack("<I", 4) + bytes(4)))
    48
    """
    if raw[:4] in WAVES and raw[8:12] == b"WAVE":
        return _wave(raw, WAVES[raw[:4]])
    end = _promised(raw)
    if end > len(raw):
        raise ValueError(f"is truncated ({len(raw):,} of {end:,} bytes)")
    return raw


def _wave(raw: bytes, order: str) -> bytes:
    """A WAV file with only the chunks of another that its sound needs."""
    parts: dict[bytes, Chunk] = {}
    for chunk in _chunks(raw, order):
        parts.setdefault(chunk.name, chunk)
        if chunk.name == b"data":
            break
    if b"fmt " not in parts or b"data" not in parts:
        missing = " and ".join(name.decode().strip() for name in (b"fmt ", b"data") if name not in parts)
        raise ValueError(f"is not a sound file (it has no {missing} chunk, or is cut off before it)")
    data = parts.pop(b"data")
    there, size = len(raw) - data.start, data.size
    if size == 2**32 - 1 and b"ds64" in parts:  # where files of more than 4 GB have it
        size = int.from_bytes(raw[parts[b"ds64"].start + 8 :][:8], "little")
    size = there if size in STREAMED else size
    if size > there:
        raise ValueError(f"is truncated ({len(raw):,} of {data.start + size:,} bytes)")
    if not size:
        raise ValueError(f"has no samples (its data chunk has 0 bytes, and {there:,} follow)")
    others = [parts[name] for name in (b"fmt ", b"fact") if name in parts]
    kept = [(each.name, raw[each.start :][: each.size]) for each in others]
    body = b"".join(_part(*each, order) for each in (*kept, (b"data", raw[data.start :][:size])))
    return (b"RIFX" if order == ">" else b"RIFF") + struct.pack(f"{order}I", len(body) + 4) + b"WAVE" + body


def _part(name: bytes, content: bytes, order: str) -> bytes:
    """A chunk of a WAV file, padded to an even number of bytes."""
    return name + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) % 2)


def _chunks(raw: bytes, order: str) -> Iterator[Chunk]:
    """The chunks of a WAV or AIFF file; after one of odd size comes a zero byte, which some programs leave out."""
    at = 12
    while at + 8 <= len(raw):
        chunk = Chunk(raw[at : at + 4], at + 8, struct.unpack_from(f"{order}I", raw, at + 4)[0])
        yield chunk
        at = chunk.start + chunk.size
        at += chunk.size % 2 and raw[at : at + 1] == b"\0"


def _promised(raw: bytes) -> int:
    """Where the data of an AIFF, AU or W64 file end according to its header; 0 for others, or if it is unknown."""
    if raw[:4] == b"FORM" and raw[8:12] in (b"AIFF", b"AIFC"):
        return next((chunk.start + chunk.size for chunk in _chunks(raw, ">") if chunk.name == b"SSND"), 0)
    if raw[:4] in (b".snd", b"dns.") and len(raw) >= 12:
        start, size = struct.unpack_from(">II" if raw[:4] == b".snd" else "<II", raw, 4)
        return 0 if size in STREAMED else int(start + size)
    at = 40 if raw[:16] == W64 else len(raw)
    while at + 24 <= len(raw):
        size = struct.unpack_from("<Q", raw, at + 16)[0]
        if raw[at : at + 16] == W64_DATA:
            return int(at + size)
        at += max(24, -(-size // 8) * 8)
    return 0
