"""Decode the published files of the text sets: IMDb, Jigsaw's toxic comments, Yelp, SST-2 and GoEmotions.

Every reader searches several folders, takes the first that has the training file, and returns the training and the
test examples: texts, and labels (N,) int64 or (N, L) float32 of zeros and ones. Errors name the file and the line.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipes.data.disk.kept import Texts, kept
from recipes.data.files import is_hidden, listed, members, text_of
from recipes.data.text.rows import Quoted, Tabbed, binary, expect, folder_with, label_of, rows_of, table

Examples = tuple[Sequence[str], Tensor]

YELP_FORM = 1
"""Version of the cached reviews of Yelp: change it when they are read differently."""
SIDES = ("neg", "pos")
REVIEW_FILE = re.compile(r"(train|test)/(neg|pos)/(\d+)_\d+\.txt")
SENTENCE = re.compile(r"([^\t]+)\t([01])")
MOST_REVIEW, MOST = 2**20, 2**31
"""Most bytes of a review and of the unpacked archive; the longest published review has 14 kB, the archive 500 MB."""
TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
EMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip


def read_imdb(bases: tuple[Path, ...]) -> tuple[Examples, Examples]:
    """Read ``aclImdb/{train,test}/{neg,pos}/NUMBER_STARS.txt`` or its archive, negative first, sorted by number.

    Args:
        bases: folders that may be ``aclImdb``, or hold it or ``aclImdb_v1.tar.gz``, or the archive itself.

    Returns:
        training and test texts, and labels (N,) int64, 1 for a positive review.

    Raises:
        FileNotFoundError: no folder has it.
        ValueError: a file has an unexpected name or is not UTF-8, a split lacks a class, or the archive is damaged.

    Source: Maas et al. 2011, https://ai.stanford.edu/~amaas/data/sentiment
    """
    places = [place for base in bases for place in (base, base / "aclImdb", base / "aclImdb_v1.tar.gz")]
    place = next((place for place in places if (place / "train").is_dir() or place.is_file()), None)
    if place is None:
        raise FileNotFoundError(f"{listed(bases)} lacks aclImdb and aclImdb_v1.tar.gz")
    found: dict[str, list[tuple[int, int, str]]] = {"train": [], "test": []}
    for name, raw in _review_files(place):
        match = REVIEW_FILE.fullmatch(name)
        if match is None:
            raise ValueError(f"{place / name} is not a review: expected a name like 0_9.txt, the number and the stars")
        split, side, number = match.groups()
        found[split].append((SIDES.index(side), int(number), text_of(raw, f"{place / name}")))
    train, test = (_sorted_reviews(reviews, f"{place}", split) for split, reviews in found.items())
    return train, test


def read_toxic(bases: tuple[Path, ...]) -> tuple[Examples, Examples]:
    """Read Jigsaw's ``train.csv``, and the rows of ``test.csv`` whose labels in ``test_labels.csv`` are not -1.

    Returns:
        training and test texts, and labels (N, 6) float32 in the order of ``TOXIC``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged; the message names the line.

    Source: https://www.kaggle.com/c/jigsaw-toxic-comment-classification-challenge
    """
    folder = folder_with(bases, "train.csv", "test.csv", "test_labels.csv")
    train = [
        (row[1], binary(row[2:], place)) for place, row in table(folder / "train.csv", ("id", "comment_text", *TOXIC))
    ]
    labels: dict[str, list[float] | None] = {}
    for place, (key, *values) in table(folder / "test_labels.csv", ("id", *TOXIC)):
        if key in labels:
            raise ValueError(f"{place} has the id {key} a second time: fetch it again")
        labels[key] = None if set(values) == {"-1"} else binary(values, place)
    test = []
    for place, (key, text) in table(folder / "test.csv", ("id", "comment_text")):
        if key not in labels:
            raise ValueError(f"{place} has the id {key}, for which test_labels.csv has no row, or no second one")
        flags = labels.pop(key)
        if flags is not None:
            test.append((text, flags))
    if labels:
        raise ValueError(f"{folder / 'test.csv'} lacks {next(iter(labels))}, which test_labels.csv has: fetch it again")
    return _as_flags(train), _as_flags(test)


def read_yelp(bases: tuple[Path, ...], classes: int, cache: Path | None = None) -> tuple[Examples, Examples]:
    """Read ``train.csv`` and ``test.csv`` without a header: a label from 1, an optional title, and a text.

    A title is put before the text. ``unescaped`` is applied to both.

    Args:
        bases: folders that may hold the files.
        classes: number of labels.
        cache: folder in which texts are cached and read on demand; they are held in memory if None.

    Returns:
        training and test texts, and labels (N,) int64 from 0.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or has labels above ``classes``; the message names the line.

    Source: Zhang et al. 2015, "Character-level Convolutional Networks for Text Classification"
    """
    folder = folder_with(bases, "train.csv", "test.csv")
    known = {str(label): label - 1 for label in range(1, classes + 1)}
    train, test = (_reviews(folder / file, known, cache) for file in ("train.csv", "test.csv"))
    return train, test


def read_sst2(bases: tuple[Path, ...]) -> tuple[Examples, Examples]:
    """Read ``train.tsv`` and ``test.tsv`` without a header: a sentence, a tab, and 0 or 1.

    A line may hold several of these with no break in between: a copy of the test file in circulation has such a line.

    Returns:
        training and test texts, and labels (N,) int64, 1 for a positive sentence.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged; the message names the line.

    Source: Socher et al. 2013, "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank"
    """
    folder = folder_with(bases, "train.tsv", "test.tsv")
    splits = []
    for file in ("train.tsv", "test.tsv"):
        texts, labels = [], []
        for place, row in rows_of(folder / file, Tabbed):
            for text, label in _sentences(row, place):
                texts.append(text)
                labels.append(int(label))
        splits.append(_numbered(texts, labels))
    return splits[0], splits[1]


def read_goemotions(bases: tuple[Path, ...]) -> tuple[Examples, Examples]:
    """Read ``train.tsv`` and ``test.tsv`` without a header: a text, the numbers of its labels, and an id.

    Returns:
        training and test texts, and labels (N, 28) float32 in the order of ``EMOTIONS``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged; the message names the line.

    Source: Demszky et al. 2020, "GoEmotions: A Dataset of Fine-Grained Emotions"
    """
    folder = folder_with(bases, "train.tsv", "test.tsv")
    known = {str(label): label for label in range(len(EMOTIONS))}
    splits = []
    for file in ("train.tsv", "test.tsv"):
        texts, labels = [], []
        for place, row in rows_of(folder / file, Tabbed):
            expect(row, ("text", "labels", "id"), place)
            texts.append(row[0])
            labels.append([label_of(value, known, place) for value in row[1].split(",")])
        splits.append((tuple(texts), many_hot(labels, len(EMOTIONS))))
    return splits[0], splits[1]


def many_hot(labels: Sequence[Sequence[int]], classes: int) -> Tensor:
    """Return (N, classes) float32 with a 1 for each of a text's labels, which are numbers from 0.

    >>> many_hot([[0, 2], []], 3).tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    y = torch.zeros(len(labels), classes)
    for row, of_text in zip(y, labels, strict=True):
        row[list(of_text)] = 1
    return y


def unescaped(text: str) -> str:
    r"""Undo the escapes of the Yelp files: backslash n becomes a line break, and backslash quote a quote.

    >>> unescaped(r'a \"good\" one\n')
    'a "good" one\n'
    """
    return text.replace(r"\n", "\n").replace(r"\"", '"')


def _reviews(path: Path, known: dict[str, int], cache: Path | None) -> Examples:
    """The reviews of a file of Yelp."""
    if cache is None:
        rows = [*_review_rows(path, known)]
        return _numbered([row["text"] for row in rows], [row["label"] for row in rows])
    import pyarrow as pa

    stat = path.stat()
    what = [YELP_FORM, str(path.resolve()), stat.st_size, stat.st_mtime_ns, len(known)]
    columns = {"text": pa.string(), "label": pa.int64()}
    data = kept(cache, "reviews", what, columns, lambda: _review_rows(path, known))
    return Texts(data), torch.tensor(data.data.column("label").to_numpy())


def _review_rows(path: Path, known: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The text and the label of each review."""
    for place, row in rows_of(path, Quoted):
        if len(row) not in (2, 3):
            raise ValueError(f"{place} has {len(row)} fields, expected label and text, or label, title and text")
        yield {"text": unescaped(" ".join(part for part in row[1:] if part)), "label": label_of(row[0], known, place)}


def _review_files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name under ``aclImdb`` and the contents of the labelled reviews in a folder or an archive."""
    if place.is_dir():
        for path in (path for side in SIDES for path in place.glob(f"*/{side}/*.txt") if not is_hidden(path)):
            yield path.relative_to(place).as_posix(), path.read_bytes()
        return

    def is_review(name: str) -> bool:
        within = name.partition("aclImdb/")[2]
        return within.split("/")[1:2] in (["neg"], ["pos"]) and not is_hidden(Path(within))

    for name, raw in members(place, is_review, most_each=MOST_REVIEW, most=MOST):
        yield name.partition("aclImdb/")[2], raw


def _sorted_reviews(reviews: list[tuple[int, int, str]], place: str, split: str) -> Examples:
    """Sort the reviews of a split by class, number and text; it must have both classes."""
    ordered = sorted(reviews)
    missing = [side for label, side in enumerate(SIDES) if not any(review[0] == label for review in ordered)]
    if missing:
        raise ValueError(f"{place} lacks reviews in {split}/{missing[0]}: fetch it again")
    return _numbered([text for _, _, text in ordered], [label for label, _, _ in ordered])


def _numbered(texts: list[str], labels: list[int]) -> Examples:
    """Return examples with one label each."""
    return tuple(texts), torch.tensor(labels, dtype=torch.int64)


def _as_flags(rows: list[tuple[str, list[float]]]) -> Examples:
    """Return examples with the six toxic labels."""
    return tuple(text for text, _ in rows), torch.tensor([flags for _, flags in rows]).view(-1, len(TOXIC))


def _sentences(row: list[str], place: str) -> list[tuple[str, str]]:
    """Return the sentences of a line with their labels, 0 or 1."""
    line = "\t".join(row)
    found = SENTENCE.findall(line)
    if not line or "".join("\t".join(pair) for pair in found) != line:
        raise ValueError(f"{place} is {line!r:.80}, expected a sentence, a tab, and the label 0 or 1")
    return found
