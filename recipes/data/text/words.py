"""Words of texts: how they are split, numbered, and looked up in published word vectors."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor
from tqdm import tqdm

from recipes.data.disk.kept import Ragged, Texts, kept
from recipes.data.text.vectors import finite, is_broken, vector_lines

Style = Literal["toxic", "english", "basic"]
Splitter = Callable[[str], list[str]]

FORM = 1
"""Version of what is cached: change it when texts are split differently."""
PAD, UNKNOWN, END = "<pad>", "<unk>", "<eos>"
WIKIPEDIA_WORDS = frozenset({"wikipedia", "article", "articles", "im", "page"})


@dataclass(frozen=True)
class Vocabulary:
    """Words and their numbers.

    Args:
        words: every word once, ``"<pad>"`` and ``"<unk>"`` first: the number of a word is its place.

    Raises:
        ValueError: the first two words are others, or a word occurs twice.

    >>> Vocabulary(("<pad>", "<unk>", "good")).encode(["good", "film"])
    tensor([2, 1])
    """

    words: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if self.words[:2] != (PAD, UNKNOWN):
            raise ValueError(f"words starts with {self.words[:2]}, expected {(PAD, UNKNOWN)}: see Vocabulary.of")
        twice = [word for word, count in Counter(self.words).items() if count > 1]
        if twice:
            raise ValueError(f"words has {twice[0]!r} more than once: give each word once")

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], *, least: int = 1, most: int | None = None) -> "Vocabulary":
        """Number the words of texts by descending frequency, equally frequent ones alphabetically.

        Args:
            texts: words of each text, as from ``split_words``.
            least: how often a word must occur.
            most: number of words to keep, besides the padding and the unknown word.

        Raises:
            ValueError: ``least`` or ``most`` is below 1.

        >>> Vocabulary.of([["a", "film"], ["good", "film"]], most=2).words
        ('<pad>', '<unk>', 'film', 'a')
        """
        if least < 1 or (most is not None and most < 1):
            raise ValueError(f"least={least} and most={most} must be at least 1")
        counts = Counter(word for words in texts for word in words if word not in (PAD, UNKNOWN))
        kept = (word for word, count in counts.items() if count >= least)
        ordered = sorted(kept, key=lambda word: (-counts[word], word))
        return cls((PAD, UNKNOWN, *ordered[:most]))

    def encode(self, words: Sequence[str]) -> Tensor:
        """Return the numbers (T,) int64 of T words.

        A text without words becomes one unknown word, so that no text is empty. A word that is spelled like the padding
        is unknown.
        """
        return torch.tensor([self._numbers.get(word, 1) for word in words] or [1])

    def decode(self, numbers: Tensor) -> list[str]:
        """Return the words of numbers (T,) int64, including padding.

        Raises:
            ValueError: a number belongs to no word.
        """
        wrong = numbers[(numbers < 0) | (numbers >= len(self.words))]
        if len(wrong):
            raise ValueError(
                f"numbers has {int(wrong[0])}, expected 0 to {len(self.words) - 1}: this vocabulary did not encode it"
            )
        return [self.words[number] for number in numbers.tolist()]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Return the numbers of all words except the padding."""
        return {word: number for number, word in enumerate(self.words) if number > 0}


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of a vocabulary.

    Args:
        table: vectors (V, D) float32; zeros for the padding, the unknown word, and words without a known vector.
        found: number of words whose vector is known.
        skipped: file and line of each vector that was skipped, and why: its word is in the vocabulary and occurred
            before, or is not UTF-8.
    """

    table: Tensor = field(repr=False)
    found: int
    skipped: tuple[str, ...] = field(default=(), repr=False)


class StoredVectors(Protocol):
    """The part of ``torchtext.vocab.Vectors`` that is used: places of words, their vectors (N, D), and D."""

    stoi: Mapping[str, int]
    vectors: Tensor
    dim: int


def split_words(texts: Iterable[str], style: Style) -> Iterator[list[str]]:
    r"""Split texts into words, one text after the other.

    Args:
        texts: the texts.
        style: ``"toxic"``: characters other than A-Z, a-z and whitespace are dropped, words are lower-cased, English
            stop words and five of Wikipedia's are left out, and ``<eos>`` is appended. ``"english"``: lower-cased,
            ``<br />`` is a space, and each punctuation mark is a word. ``"basic"``: torchtext's ``basic_english``:
            lower-cased, double quotes are dropped, ``;``, ``:`` and ``<br />`` are spaces, and each of ``.,()!?'`` is
            a word.

    Returns:
        the words of each text, which may be none except for ``"toxic"``.

    Raises:
        ValueError: the style is unknown.
        ImportError: an optional package is missing.

    >>> list(split_words(["It's a <br />good; film."], "basic"))
    [['it', "'", 's', 'a', 'good', 'film', '.']]

    Source: the code of Harris et al. 2020 (FMix), for Toxic, IMDb and Yelp. They split the first two by spaCy, and
    leave out spaCy's stop words. Here the stop words are scikit-learn's, and ``"english"`` splits like BERT ("don't"
    is "don", "'", "t", not "do", "n't") and is lower-cased, as the words of the vectors are.
    """
    if style not in get_args(Style):
        raise ValueError(f"style={style!r} is unknown: choose {', '.join(get_args(Style))}")
    splitters: dict[str, Callable[[], Splitter]] = {"toxic": _toxic, "english": _english, "basic": _basic}
    split = splitters[style]()
    return map(split, texts)


def encode_all(texts: Iterable[str], style: Style, vocabulary: Vocabulary, *, most: int | None) -> list[Tensor]:
    """Split texts and number their words.

    Args:
        texts: N texts.
        style: see ``split_words``.
        vocabulary: the words that are known.
        most: number of words after which a text is cut (including ``<eos>``), or ``None``.

    Returns:
        numbers (T,) int64 of each text, with T at least 1: see ``Vocabulary.encode``.

    Raises:
        ValueError: the style is unknown, or ``most`` is below 1.
        ImportError: an optional package is missing.
    """
    return list(_encoded(texts, style, vocabulary, most))


def kept_words(texts: Texts, style: Style, cache: Path) -> Vocabulary:
    """The vocabulary of cached texts, counted once and cached beside them.

    Raises:
        ValueError: the style is unknown, or the file is damaged.
        ImportError: an optional package is missing.
    """
    import pyarrow as pa

    def rows() -> Iterator[dict[str, Any]]:
        split = split_words(texts, style)
        counted = Vocabulary.of(tqdm(split, total=len(texts), desc="counting words", leave=False, disable=None))
        return ({"word": word} for word in counted.words)

    found = kept(cache, "words", [FORM, texts.file, style], {"word": pa.string()}, rows)
    return Vocabulary(tuple(found["word"]))


def kept_numbers(texts: Texts, style: Style, vocabulary: Vocabulary, *, most: int | None, cache: Path) -> Ragged:
    """The numbers of cached texts, as of ``encode_all``, made once and cached beside them.

    Raises:
        ValueError: see ``encode_all``, or the file is damaged.
        ImportError: an optional package is missing.
    """
    import pyarrow as pa

    def rows() -> Iterator[dict[str, Any]]:
        return ({"ids": numbers.int().numpy()} for numbers in _encoded(texts, style, vocabulary, most))

    key = hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()
    what = [FORM, texts.file, style, key, most]
    return Ragged(kept(cache, "numbers of words", what, {"ids": pa.list_(pa.int32())}, rows, len(texts)))


def read_vectors(path: Path, vocabulary: Vocabulary) -> Vectors:
    """Read the vectors of the words of a vocabulary from a GloVe or fastText text file, plain or gzipped.

    The file has one word per line, with its D numbers, and may start with a line of two numbers: how many vectors it
    has, and D. Words and numbers are separated by a space or a tab. The file is read line by line. If a word occurs
    twice, its first vector is taken. Numbers of words outside the vocabulary are counted, but only the first is parsed.
    Words may contain spaces, except for the first word and any whose last part reads like a number.

    Args:
        path: the file.
        vocabulary: words whose vectors are kept.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, not in UTF-8 or has no vectors, or a vector has another dimension than the
            first or a number that is not finite; the message names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: get word vectors from https://fasttext.cc or https://nlp.stanford.edu/projects/glove"
        )
    wanted = _wanted(vocabulary)
    rows: dict[int, list[float]] = {}
    skipped = []
    dim = 0
    for place, word, numbers in vector_lines(path):
        dim = len(numbers)
        if is_broken(word):
            skipped.append(f"{place}: a word that is not UTF-8")
        elif word in wanted and wanted[word] in rows:
            skipped.append(f"{place}: {word!r}, which occurred before")
        elif word in wanted:
            rows[wanted[word]] = finite(numbers, place)
    if not dim:
        raise ValueError(f"{path} has no vectors: fetch it again")
    table = torch.zeros(len(vocabulary.words), dim)
    if rows:
        table[[*rows]] = torch.tensor([*rows.values()])
    return Vectors(table, len(rows), tuple(skipped))


def of_torchtext(vectors: StoredVectors, vocabulary: Vocabulary) -> Vectors:
    """Look the words of a vocabulary up in vectors of torchtext, such as ``torchtext.vocab.FastText("simple")``.

    Args:
        vectors: ``torchtext.vocab.Vectors``, or an object with its ``stoi``, ``vectors`` (N, D) and ``dim``.
        vocabulary: words whose vectors are kept.

    Raises:
        ValueError: a vector has a number that is not finite.
    """
    known = [(number, vectors.stoi[word]) for word, number in _wanted(vocabulary).items() if word in vectors.stoi]
    table = torch.zeros(len(vocabulary.words), vectors.dim)
    table[[number for number, _ in known]] = vectors.vectors[[place for _, place in known]].float()
    wrong = (~table.isfinite()).any(1).nonzero()
    if len(wrong):
        raise ValueError(f"vectors of {vocabulary.words[int(wrong[0])]!r} are not finite: load them again")
    return Vectors(table, len(known))


def _encoded(texts: Iterable[str], style: Style, vocabulary: Vocabulary, most: int | None) -> Iterator[Tensor]:
    """The numbers of texts, one after the other."""
    if most is not None and most < 1:
        raise ValueError(f"most={most} must be at least 1, or None")
    return (vocabulary.encode(words[:most]) for words in split_words(texts, style))


def _tokenizers() -> Any:
    """Import the package that splits texts."""
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("splitting texts needs tokenizers: pip install 'mixmodal[recipes]'") from error
    return tokenizers


def _toxic() -> Splitter:
    """Return the splitter of style "toxic"; four separators are whitespace to Python but not to the tokenizers."""
    tokenizers = _tokenizers()
    try:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    except ImportError as error:
        raise ImportError("style='toxic' needs scikit-learn: pip install 'mixmodal[recipes]'") from error
    letters = tokenizers.normalizers.Replace(tokenizers.Regex("[^A-Za-z\\s\x1c-\x1f]"), "")
    left_out = ENGLISH_STOP_WORDS | WIKIPEDIA_WORDS

    def split(text: str) -> list[str]:
        words = letters.normalize_str(text).lower().split()
        return [*(word for word in words if word not in left_out), END]

    return split


def _english() -> Splitter:
    """Return the splitter of style "english"."""
    tokenizers = _tokenizers()
    unbroken = tokenizers.normalizers.Replace("<br />", " ")
    marks = tokenizers.pre_tokenizers.BertPreTokenizer()
    return lambda text: [word for word, _ in marks.pre_tokenize_str(unbroken.normalize_str(text.lower()))]


def _basic() -> Splitter:
    """Return the splitter of style "basic"."""
    tokenizers = _tokenizers()
    changes = {mark: f" {mark} " for mark in ".,()!?'"} | {'"': "", "<br />": " ", ";": " ", ":": " "}
    replace = tokenizers.normalizers.Replace
    spaced = tokenizers.normalizers.Sequence([replace(old, new) for old, new in changes.items()])
    return lambda text: spaced.normalize_str(text.lower()).split()


def _wanted(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the numbers of the words that have vectors: all except the padding and the unknown word."""
    return {word: number for number, word in enumerate(vocabulary.words) if number > 1}
