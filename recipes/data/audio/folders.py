"""The folder of Speech Commands: where it is, its clips, and its lists."""

from collections.abc import Sequence
from pathlib import Path

from recipes.data.files import files_in, text_of

URL = "https://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
PUBLISHED = {
    "v0.01": "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "v0.02": "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
}
"""SHA-256 of the archives, as in TensorFlow Datasets and torchaudio."""
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
FOLDERS = ("speech_commands", "speech_commands_v0.02", "speech_commands_v0.01")


def find(root: Path | None) -> Path:
    """Return the folder with a folder for each word, at or under `root`."""
    remedy = f"get {URL} and give its folder with --data-root, or fetch it with recipes.audio's --download"
    if root is None:
        raise FileNotFoundError(f"no folder was given for speech commands: {remedy}")
    places = (root, *(base / name for base in (root, root / "SpeechCommands") for name in FOLDERS))
    found = next((place for place in places if any((place / word).is_dir() for word in COMMANDS)), None)
    if found is None:
        raise FileNotFoundError(f"speech commands were not found in {root}: {remedy}")
    return found


def clips(folder: Path, words: Sequence[str]) -> list[str]:
    """Name the clips of some words, as in `yes/FILE.wav`."""
    return [f"{word}/{path.name}" for word in words for path in files_in(folder / word, ".wav")]


def names_in(file: Path, words: Sequence[str]) -> set[str] | None:
    """Read which clips of some words a list names; None if the list is not there."""
    if not file.is_file():
        return None
    lines = text_of(file.read_bytes(), f"{file}").split()
    wrong = next((line for line in lines if line.count("/") != 1 or ".." in line.split("/")), None)
    if wrong is not None:
        raise ValueError(f"{file} has {wrong!r:.80}, expected names like yes/0a7c2a8d_nohash_0.wav: fetch it again")
    return {line for line in lines if line.split("/")[0] in words}
