"""The Declaration of Human Rights in ten languages."""

import torch

from recipes.data.packed import declarations


def test_ten_languages_have_the_same_articles() -> None:
    texts = declarations.articles()
    assert [len(parts) for parts in texts.values()] == [31] * 10
    assert texts["German"][1].startswith("Alle Menschen sind frei und gleich an Würde und Rechten geboren.")
    assert all(text.strip() == text and "<" not in text and "&" not in text for part in texts.values() for text in part)


def test_pieces_are_padded_and_no_article_is_on_both_sides() -> None:
    data = declarations.load()
    texts = declarations.articles()
    letters = ("", "?", *data.characters)

    def read(x: torch.Tensor, y: torch.Tensor) -> set[tuple[str, str]]:
        assert ((x == 0).long().diff(dim=1) >= 0).all()  # padding is at the end
        assert (x[:, 0] > 0).all()
        return {
            ("".join(letters[number] for number in row), data.languages[label])
            for row, label in zip(x.tolist(), y.tolist(), strict=True)
        }

    for tested, found in ((False, read(data.train_x, data.train_y)), (True, read(data.test_x, data.test_y))):
        chosen = {
            (piece if not tested else "".join(each if each in data.characters else "?" for each in piece), language)
            for language, parts in texts.items()
            for number, text in enumerate(parts)
            if (number in (4, 9, 14, 19, 24, 29)) is tested
            for piece in declarations.pieces(text, 40)
        }
        assert found == chosen


def test_pieces_hold_all_words_in_order() -> None:
    text = "It's Ünïcode, 3 times; " + "x" * 50
    found = list(declarations.pieces(text, 8))
    assert found == ["it s", "ünïcode", "times", "xxxxxxxx"]
