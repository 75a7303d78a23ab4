"""Splitting, numbering and vectors of words, against Python's re, the real torchtext, and files written here."""

import gzip
import re
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipes.data.text.words import Style, Vocabulary, encode_all, of_torchtext, read_vectors, split_words

WORDS = Vocabulary(("<pad>", "<unk>", "good", "film", "bad"))
ODD = "A b\tc\n\x1c\x1d\x1f\x85\u00a0\u2009İKéß中🙂0_9.,()!?;:'\"<br />-#"
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=40)
pieces = st.lists(
    st.sampled_from(["<br />", "<br/>", "Don't", "\x1c", " ", '"', "''", "...", "Σ", "ΑΣ", "wiki", "The"])
)


def vectors_file(path: Path, lines: list[str]) -> Path:
    raw = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@given(texts, pieces)
def test_basic_words_are_torchtexts(text: str, more: list[str]) -> None:
    reference = pytest.importorskip("torchtext.data").get_tokenizer("basic_english")
    both = [text, "".join(more), text.join(more)]
    assert list(split_words(both, "basic")) == [reference(each) for each in both]


@given(texts, pieces)
def test_toxic_words_are_those_of_a_regular_expression(text: str, more: list[str]) -> None:
    stop = pytest.importorskip("sklearn.feature_extraction.text").ENGLISH_STOP_WORDS
    out = {*stop, "wikipedia", "article", "articles", "im", "page"}
    both = [text, "".join(more), text.join(more)]
    words = [re.sub(r"[^A-Za-z\s]", "", each).lower().split() for each in both]
    assert list(split_words(both, "toxic")) == [[*(w for w in each if w not in out), "<eos>"] for each in words]


def test_toxic_words_by_hand() -> None:
    text = "The WIKIPEDIA article's 2 pages, I'm on a Page: You're wröng!\n(articles)"
    words = [["pages", "youre", "wrng", "<eos>"], ["<eos>"], ["<eos>"]]
    assert list(split_words([text, "", "It's 5"], "toxic")) == words
    assert "its" in pytest.importorskip("sklearn.feature_extraction.text").ENGLISH_STOP_WORDS


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_english_words_are_runs_and_marks(text: str) -> None:
    assert list(split_words([text], "english")) == [re.findall(r"[a-z0-9]+|[^a-z0-9 ]", text.lower())]


def test_english_words_by_hand() -> None:
    expected = [["don", "'", "t", "miss", "it", ",", "élan", "!"], [], ["a", "b"]]
    assert list(split_words(["Don't miss it, ÉLAN!", "<br /><br /> ", "A<br />B"], "english")) == expected


def test_an_unknown_style_is_an_error() -> None:
    style: Any = "spacy"
    with pytest.raises(ValueError, match="style='spacy' is unknown: choose toxic, english, basic"):
        split_words(["a"], style)


@pytest.mark.parametrize("style", ["toxic", "english", "basic"])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, style: Style) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    if style == "toxic":
        with pytest.raises(ImportError, match=r"needs scikit-learn: pip install 'mixmodal\[recipes\]'"):
            split_words(["a"], style)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"needs tokenizers: pip install 'mixmodal\[recipes\]'"):
        split_words(["a"], style)


def test_words_are_ordered_by_frequency_then_alphabet() -> None:
    tokens = [["b", "c", "a", "d", "<pad>"], ["e", "b", "d", "<unk>"], [], ["<pad>", "b"]]
    assert Vocabulary.of(tokens).words == ("<pad>", "<unk>", "b", "d", "a", "c", "e")
    assert Vocabulary.of(tokens, least=2).words == ("<pad>", "<unk>", "b", "d")
    assert Vocabulary.of(tokens, most=3).words == ("<pad>", "<unk>", "b", "d", "a")
    assert Vocabulary.of(tokens, least=3, most=5).words == ("<pad>", "<unk>", "b")
    assert Vocabulary.of([]).words == ("<pad>", "<unk>")


@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=5))
def test_known_words_survive_numbers(tokens: list[list[str]]) -> None:
    vocabulary = Vocabulary.of(tokens)
    for words in tokens:
        numbers = vocabulary.encode(words)
        assert numbers.dtype == torch.int64
        assert (numbers >= 2).all() or not words
        assert vocabulary.decode(numbers) == (words or ["<unk>"])


def test_unknown_words_and_empty_texts() -> None:
    assert WORDS.encode(["bad", "nice", "good", "<unk>", "<pad>"]).tolist() == [4, 1, 2, 1, 1]
    assert WORDS.encode([]).tolist() == [1]
    assert WORDS.decode(torch.tensor([3, 1, 0, 0])) == ["film", "<unk>", "<pad>", "<pad>"]


@pytest.mark.parametrize("words", [(), ("<pad>",), ("<unk>", "<pad>"), ("good", "film", "<pad>", "<unk>")])
def test_a_vocabulary_has_padding_and_unknown_first(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"words starts with .*, expected \('<pad>', '<unk>'\)"):
        Vocabulary(words)


def test_wrong_vocabularies_and_numbers_are_errors() -> None:
    with pytest.raises(ValueError, match="words has 'a' more than once"):
        Vocabulary(("<pad>", "<unk>", "b", "a", "a"))
    with pytest.raises(ValueError, match="least=0 and most=None must be at least 1"):
        Vocabulary.of([["a"]], least=0)
    with pytest.raises(ValueError, match="least=1 and most=0 must be at least 1"):
        Vocabulary.of([["a"]], most=0)
    for number in (-1, 5):
        with pytest.raises(ValueError, match=f"numbers has {number}, expected 0 to 4"):
            WORDS.decode(torch.tensor([2, number]))


def test_texts_are_cut_to_their_first_words() -> None:
    found = encode_all(["Good film, bad film.", "", "bad"], "english", WORDS, most=4)
    assert [numbers.tolist() for numbers in found] == [[2, 3, 1, 4], [1], [4]]
    assert encode_all(["good film bad"], "basic", WORDS, most=None)[0].tolist() == [2, 3, 4]
    assert encode_all(["good film"], "toxic", Vocabulary.of([["<eos>"]]), most=2)[0].tolist() == [1, 1]
    with pytest.raises(ValueError, match="most=0 must be at least 1, or None"):
        encode_all(["good"], "basic", WORDS, most=0)


LINES = ["bad 1 -2.5 3e-1", "nice 7 7 7", "film 0.5 0 4 ", "<unk> 9 9 9", "<pad> 9 9 9", "bad 8 8 8"]
TABLE = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 4.0], [1.0, -2.5, 0.3]]


@pytest.mark.parametrize("name", ["v.vec", "v.txt.gz"])
@pytest.mark.parametrize("header", [[], ["6 3"]])
def test_vectors_of_known_words_are_read(tmp_path: Path, name: str, header: list[str]) -> None:
    found = read_vectors(vectors_file(tmp_path / name, [*header, *LINES]), WORDS)
    assert torch.equal(found.table, torch.tensor(TABLE))
    assert (found.table.dtype, found.found) == (torch.float32, 2)


def test_odd_words_of_vectors(tmp_path: Path) -> None:
    """Words with spaces as in GloVe 840B, with other white space as in fastText, and of broken UTF-8."""
    words = Vocabulary(("<pad>", "<unk>", ". .", "1\u00a0000", "a\u2028b", "\x85\rc"))
    path = vectors_file(tmp_path / "v", ["1\u00a0000 3 4", ". . 1 2", "a\u2028b 5 6", "\x85\rc 7 8"])
    path.write_bytes(path.read_bytes() + b"\xff\xfe 9 9\r\n")
    assert read_vectors(path, words).table[2:].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_no_known_word_gives_zeros(tmp_path: Path) -> None:
    found = read_vectors(vectors_file(tmp_path / "v", LINES), Vocabulary.of([["other"]]))
    assert (found.table.tolist(), found.found) == ([[0.0] * 3] * 3, 0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*LINES[:3], "nice 1 2", "x 1 2 3"], "v line 4 has 2 numbers, expected 3"),
        ([*LINES[:2], "nice 1 2 3 4"], "v line 3 has 4 numbers, expected 3"),
        (["6 4", *LINES], "v line 2 has 3 numbers, expected 4"),
        ([*LINES, ""], "v line 7 has 0 numbers, expected 3"),
        (["good"], "v line 1 has 0 numbers, expected at least 1"),
        ([LINES[0], "good 1 2,5 3"], "v line 2 has '2,5', expected a finite number"),
        ([LINES[0], "good 1 nan 3"], "v line 2 has 'nan', expected a finite number"),
        ([LINES[0], "good 1 2 -inf"], "v line 2 has '-inf', expected a finite number"),
        (["7 3", *LINES], "v has 6 vectors, its first line says 7"),
        (["0 3"], "v has no vectors"),
        ([], "v has no vectors"),
    ],
)
def test_damaged_vectors_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_vectors(vectors_file(tmp_path / "v", lines), WORDS)


@pytest.mark.parametrize("name", ["v.vec", "v.txt.gz"])
@pytest.mark.parametrize("header", [[], ["6 3"]])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, name: str, header: list[str]) -> None:
    path = vectors_file(tmp_path / name, ["\ufeff" + "\n".join([*header, *LINES])])
    assert torch.equal(read_vectors(path, WORDS).table, torch.tensor(TABLE))


@pytest.mark.parametrize("separators", ["\t  ", "\t\t\t", " \t\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [[], ["6\t3"]])
def test_tabs_are_as_good_as_spaces(tmp_path: Path, separators: str, newline: str, header: list[str]) -> None:
    """A tab after the word alone made it a part of the word, and every vector was one too short and no one's."""
    lines = [
        word + "".join(a + b for a, b in zip(separators, row, strict=True)) for word, *row in map(str.split, LINES)
    ]
    path = tmp_path / "v"
    path.write_bytes(newline.join([*header, *lines]).encode())
    found = read_vectors(path, WORDS)
    assert torch.equal(found.table, torch.tensor(TABLE))
    assert found.found == 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("\n".join(LINES).encode("utf-16"), "v is UTF-16, expected UTF-8: convert it"),
        ("\n".join(LINES).encode("utf-16-le"), "v line 1 has a zero byte"),
        (b"other 1 2\0 3\n", "v line 1 has a zero byte"),
        (b"other x 2 3\n", "v line 1 has 'x' after the word, expected a number"),
        (b"other  1 2 3\n", "v line 1 has '' after the word, expected a number"),
        (b"other 1 2 3\nnext: 1 2\n", "v line 2 has 2 numbers, expected 3"),
    ],
)
def test_vectors_that_no_word_could_have_are_named(tmp_path: Path, raw: bytes, message: str) -> None:
    """Also of words that are not asked for: else all words would be unknown without a word."""
    path = tmp_path / "v"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_vectors(path, WORDS)


def test_vectors_that_are_passed_over_are_named(tmp_path: Path) -> None:
    path = vectors_file(tmp_path / "v", [*LINES, "nice 5 5 5"])
    path.write_bytes(path.read_bytes() + b"caf\xe9 1 1 1\n")
    found = read_vectors(path, WORDS)
    assert torch.equal(found.table, torch.tensor(TABLE))
    assert found.skipped == (f"{path} line 6: 'bad', which occurred before", f"{path} line 8: a word that is not UTF-8")


def test_a_truncated_or_missing_file_of_vectors_is_named(tmp_path: Path) -> None:
    path = vectors_file(tmp_path / "v.vec.gz", LINES)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"v\.vec\.gz cannot be read to its end"):
        read_vectors(path, WORDS)
    with pytest.raises(FileNotFoundError, match=r"nothing\.vec is not there: get word vectors from https://fasttext"):
        read_vectors(tmp_path / "nothing.vec", WORDS)


def test_vectors_of_the_real_torchtext(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vocab = pytest.importorskip("torchtext.vocab")
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_default_https_context)  # torchtext sets it
    path = vectors_file(tmp_path / "tiny.vec", LINES[:-1])
    stored = vocab.Vectors(name=path.name, cache=str(tmp_path))
    capsys.readouterr()
    found = of_torchtext(stored, WORDS)
    assert torch.equal(found.table, torch.tensor(TABLE))
    assert (found.table.dtype, found.found) == (torch.float32, 2)
    stored.vectors[stored.stoi["film"], 1] = float("nan")
    with pytest.raises(ValueError, match="vectors of 'film' are not finite"):
        of_torchtext(stored, WORDS)
    nothing = of_torchtext(stored, Vocabulary.of([["other"]]))
    assert (nothing.table.tolist(), nothing.found) == ([[0.0] * 3] * 3, 0)


def test_real_vectors(real: Callable[[str], Path]) -> None:
    """The first and the last line of the file, read here by hand."""
    file = real("word_vectors") / "glove.6B.50d.top70k.vec"
    lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert (lines[0], len(lines)) == ("70000 50", 70_001)
    picked = [lines[1], lines[-1]]
    vocabulary = Vocabulary(("<pad>", "<unk>", "no-such-word", *(line.split(" ")[0] for line in picked)))
    found = read_vectors(file, vocabulary)
    expected = torch.tensor([[float(value) for value in line.split(" ")[1:]] for line in picked])
    assert torch.equal(found.table, torch.cat([torch.zeros(3, 50), expected]))
    assert found.found == 2
