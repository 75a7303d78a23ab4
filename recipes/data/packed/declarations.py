"""Recognise a language: pieces of the Universal Declaration of Human Rights in ten languages, letter by letter."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from recipes.data.packed import files

TABLE = "declarations.csv.xz"
FIELDS = ("language", "article", "text")
LENGTH = 40
"""Most characters of a piece."""
EVERY = 5
"""One article in this many is for testing."""


@dataclass(frozen=True, eq=False)
class LanguageSet:
    """Pieces of text and their languages.

    Args:
        train_x: numbers of the characters (N, T) int64: 0 is padding at the end, 1 a character not seen in training.
        train_y: languages (N,) int64.
        test_x: numbers (M, T), of other articles.
        test_y: languages (M,).
        languages: name of each.
        characters: the known characters, numbered from 2.
    """

    train_x: Tensor = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Tensor = field(repr=False)
    test_y: Tensor = field(repr=False)
    languages: tuple[str, ...]
    characters: str


def articles() -> dict[str, list[str]]:
    """The texts by language: the preamble, which is number 0, and thirty articles.

    >>> articles()["English"][3]
    'Everyone has the right to life, liberty and the security of person.'
    """
    found: dict[str, list[str]] = {}
    for row in files.rows(TABLE):
        found.setdefault(row["language"], []).append(row["text"])
    return found


def load() -> LanguageSet:
    """Cut all articles into pieces of whole words; articles 4, 9, ..., 29 are for the test."""
    texts = articles()
    split: dict[bool, list[tuple[str, int]]] = {False: [], True: []}
    for language, parts in enumerate(texts.values()):
        for number, text in enumerate(parts):
            split[number % EVERY == EVERY - 1] += [(piece, language) for piece in pieces(text, LENGTH)]
    characters = "".join(sorted({character for piece, _ in split[False] for character in piece}))
    train, test = (_numbered(split[tested], characters) for tested in (False, True))
    return LanguageSet(*train, *test, languages=tuple(texts), characters=characters)


def pieces(text: str, length: int) -> Iterator[str]:
    """Yield lower-case words without marks or digits, as many as fit into ``length`` characters; longer ones are cut.

    >>> list(pieces("Everyone has the right to life, liberty and security.", 24))
    ['everyone has the right', 'to life liberty and', 'security']
    """
    small = unicodedata.normalize("NFC", text.lower())
    words = "".join(character if character.isalpha() else " " for character in small).split()
    piece = ""
    for word in words:
        if piece and len(piece) + 1 + len(word) > length:
            yield piece
            piece = word[:length]
        else:
            piece = f"{piece} {word}".strip()[:length]
    if piece:
        yield piece


def _numbered(found: list[tuple[str, int]], characters: str) -> tuple[Tensor, Tensor]:
    """Numbers (N, LENGTH) of the characters of pieces, and their languages (N,)."""
    number = {character: place for place, character in enumerate(characters, 2)}
    x = torch.zeros(len(found), LENGTH, dtype=torch.int64)
    for row, (piece, _) in zip(x, found, strict=True):
        row[: len(piece)] = torch.tensor([number.get(character, 1) for character in piece])
    return x, torch.tensor([language for _, language in found])
