"""Comments on Wikipedia's talk pages and whether they are toxic: 2,808 rows of Jigsaw's set. Many are bound to offend.

Source: https://www.kaggle.com/c/jigsaw-toxic-comment-classification-challenge; labels are under CC0, texts under
CC BY-SA 3.0. What was changed is in the README.md beside the file.
"""

import torch

from recipes.data.packed import files
from recipes.data.text.files import TOXIC, Examples
from recipes.data.text.sets import TextSet

TABLE = "comments.csv.xz"
FIELDS = ("split", "comment_text", *TOXIC)
SPLITS = ("train", "test")


def load() -> TextSet:
    """The comments and their labels, in the split of the challenge.

    Returns:
        2,199 training and 609 test texts, with labels float32 (N, 6), of which a text may have several or none.

    Raises:
        FileNotFoundError: the packed file is not there.
        ValueError: it is damaged.

    >>> load().train_y.shape
    torch.Size([2199, 6])
    """
    listed = files.rows(TABLE)

    def part(split: str) -> Examples:
        rows = [row for row in listed if row["split"] == split]
        flags = torch.tensor([[float(row[label]) for label in TOXIC] for row in rows])
        return tuple(row["comment_text"] for row in rows), flags

    train, test = map(part, SPLITS)
    return TextSet("packed-comments", *train, *test, TOXIC, "toxic")
