"""Ten spoken words, said by volunteers: 1,000 clips of Speech Commands, with no speaker in two splits.

Source: Warden 2018, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", version 0.02, under
CC BY 4.0; what was chosen and changed is in the README.md beside the file.
"""

import torch

from recipes.data.audio.files import SAMPLES, decode
from recipes.data.audio.folders import COMMANDS
from recipes.data.audio.sets import SpeechSet
from recipes.data.files import Examples
from recipes.data.packed import files

CLIPS, LIST = "speech.ogg", "speech.csv.xz"
"""All clips one after the other, and the split and the name of each."""
SPLITS = ("training", "validation", "testing")


def load() -> SpeechSet:
    """The clips and their words.

    Returns:
        700 training, 100 validation and 200 test clips of a second, int16 (N, 16000) at 16 kHz, balanced by word.

    Raises:
        FileNotFoundError: a packed file is not there.
        ValueError: one is damaged.
        ImportError: soundfile is missing.

    >>> data = load()
    >>> data.train_x.shape, data.classes[:3]
    (torch.Size([700, 16000]), ('yes', 'no', 'up'))
    """
    listed = files.rows(LIST)
    waves = decode(files.content(CLIPS)).view(-1, SAMPLES)
    labels = torch.tensor([COMMANDS.index(row["clip"].split("/")[0]) for row in listed])

    def part(split: str) -> Examples:
        where = torch.tensor([row["split"] == split for row in listed])
        return waves[where], labels[where]

    train, validation, test = map(part, SPLITS)
    return SpeechSet("packed-speech", *train, *validation, *test, COMMANDS)
