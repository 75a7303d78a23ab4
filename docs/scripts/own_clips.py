"""Speech Commands as somebody's own clips: `python docs/scripts/own_clips.py data/speech_commands runs/own-clips-data`.

Copies CLASS/SPEAKER_nohash_NUMBER.wav to CLASS/SPEAKER-NUMBER.wav, without the lists of the published split, for the
table of `recipes.audio --data folder --group '/([0-9a-f]+)-'`.
"""

import shutil
import sys
from pathlib import Path


def copy(source: Path, to: Path) -> int:
    """Copy the clips; returns how many there are.

    Raises:
        FileExistsError: `to` is there.
        FileNotFoundError: there are no clips in `source`.
    """
    clips = sorted(source.glob("*/*_nohash_*.wav"))
    if not clips:
        raise FileNotFoundError(f"{source} has no CLASS/SPEAKER_nohash_NUMBER.wav: give the folder of Speech Commands")
    to.mkdir(parents=True)
    for clip in clips:
        (to / clip.parent.name).mkdir(exist_ok=True)
        shutil.copy(clip, to / clip.parent.name / clip.name.replace("_nohash_", "-"))
    return len(clips)


if __name__ == "__main__":
    print(f"{copy(Path(sys.argv[1]), Path(sys.argv[2])):,} clips")
