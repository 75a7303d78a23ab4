"""A small corpus of film reviews from a grammar, for tests and first steps without any download."""

import random
from collections.abc import Mapping, Sequence

import torch

from recipes.data.text.files import Examples

SHARED: Mapping[str, Sequence[str]] = {
    "thing": ("plot", "acting", "music", "ending", "dialogue", "photography", "cast", "script", "humour", "pace"),
    "work": ("film", "movie", "sequel", "series", "remake"),
    "person": ("brother", "sister", "neighbour", "teacher", "boss", "friend"),
    "day": ("Monday", "Friday", "Sunday", "Tuesday", "holiday"),
    "degree": ("very", "really", "truly", "rather", "simply"),
}
OPINIONS: tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]] = (
    {
        "adjective": ("awful", "boring", "dull", "terrible", "weak", "clumsy", "tedious", "lifeless"),
        "verb": ("hated", "disliked", "regretted"),
    },
    {
        "adjective": ("great", "superb", "moving", "lovely", "clever", "brilliant", "charming", "fresh"),
        "verb": ("loved", "enjoyed", "admired"),
    },
)
STATEMENTS = (
    "{degree} {adjective} {thing}.",
    "The {thing} was {adjective}.",
    "The {thing} of this {work} was {degree} {adjective}!",
    "I {verb} the {thing} of this {work}.",
    "My {person} thought the {thing} was {adjective}, and I agree.",
)
DENIALS = ("The {thing} was not {adjective}.", "Nobody could call the {thing} of this {work} {adjective}.")
ASIDES = ("I saw this {work} on a {day}.", "My {person} came along.", "It was a {day}, and the hall was half full.")
LONGEST = 6


def synthetic(per_class: int, *, seed: int) -> Examples:
    """Write reviews of one to six sentences, most of whose opinions are those of their class.

    Some sentences deny the other opinion, and some have none, so words alone do not decide the class. The texts, of 3
    to 60 words, all differ and depend on ``seed`` alone: the global random states play no part.

    Args:
        per_class: number of texts of each class.
        seed: of the draws.

    Returns:
        texts, negative and positive ones in turn, and labels (2 * per_class,) int64, 1 for a positive one.

    Raises:
        ValueError: ``per_class`` is below 1.

    >>> synthetic(1, seed=0)[1].tolist()
    [0, 1]
    """
    if per_class < 1:
        raise ValueError(f"per_class={per_class} must be at least 1")
    draw = random.Random(seed)
    texts: dict[str, int] = {}
    for label in [0, 1] * per_class:
        text = _review(label, draw)
        while text in texts:
            text = _review(label, draw)
        texts[text] = label
    return tuple(texts), torch.tensor([*texts.values()])


def _review(label: int, draw: random.Random) -> str:
    """Write sentences, more of them with the opinion of ``label`` than with the other."""
    sentences = draw.randint(1, LONGEST)
    others = draw.randint(0, (sentences - 1) // 2)
    asides = draw.randint(0, sentences - 2 * others - 1)
    written = [
        *(_opinion(label, draw) for _ in range(sentences - others - asides)),
        *(_opinion(1 - label, draw) for _ in range(others)),
        *(_filled(draw.choice(ASIDES), SHARED, draw) for _ in range(asides)),
    ]
    draw.shuffle(written)
    return " ".join(written)


def _opinion(label: int, draw: random.Random) -> str:
    """Write a sentence that states the opinion of ``label``, or denies the other."""
    if draw.random() < 0.25:
        return _filled(draw.choice(DENIALS), {**SHARED, **OPINIONS[1 - label]}, draw)
    return _filled(draw.choice(STATEMENTS), {**SHARED, **OPINIONS[label]}, draw)


def _filled(pattern: str, words: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    """Replace each name in ``pattern`` by a word, and capitalise the sentence."""
    sentence = pattern.format_map({name: draw.choice(choices) for name, choices in words.items()})
    return sentence[0].upper() + sentence[1:]
