"""One's own tables of texts: columns, labels, splits, the recipe on them, and every error with its line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from recipes import text
from recipes.data.splits import Split
from recipes.data.text.tables import Columns, load

ONE = Columns("body", ("mood",))


def table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows of one set of columns as csv, with quotes around every field, or as jsonl."""
    lines = [json.dumps(row) for row in rows]
    if path.suffix == ".csv":
        quoted = [
            [str(value).replace('"', '""') for value in values] for values in (rows[0], *(r.values() for r in rows))
        ]
        lines = [",".join(f'"{value}"' for value in values) for values in quoted]
    path.write_text("\n".join([*lines, ""]))
    return path


def moods(count: int, names: Sequence[Any] = ("sad", "fine", "glad")) -> list[dict[str, Any]]:
    return [
        {"id": k, "body": f'text "{k}", so it is', "mood": names[k % len(names)], "who": k % 10} for k in range(count)
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_named_columns_are_read(tmp_path: Path, kind: str) -> None:
    rows = moods(60)
    data = load(kind, table(tmp_path / f"own.{kind}", rows), ONE, Split(group="who"))
    assert (data.name, data.classes) == (f"{kind}-own", ("fine", "glad", "sad"))
    label = {row["body"]: row["mood"] for row in rows}
    who = {row["body"]: row["who"] for row in rows}
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert [data.classes[number] for number in y.tolist()] == [label[each] for each in x]
    assert sorted((*data.train_x, *data.test_x)) == sorted(label)
    assert not {who[each] for each in data.train_x} & {who[each] for each in data.test_x}


def test_numbers_are_classes_by_their_size(tmp_path: Path) -> None:
    data = load("jsonl", table(tmp_path / "a.jsonl", moods(60, [10, 9, -1])), ONE, Split())
    assert data.classes == ("-1", "9", "10")


def test_two_classes_are_one_column(tmp_path: Path) -> None:
    data = load("csv", table(tmp_path / "a.csv", moods(60, ["no", "yes"])), ONE, Split())
    assert data.train_y.shape == (len(data.train_x), 1)
    assert [value == 1 for value in data.train_y[:, 0].tolist()] == [
        int(x.split('"')[1]) % 2 == 1 for x in data.train_x
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_several_labels_are_columns(tmp_path: Path, kind: str) -> None:
    rows = [{"c": k % 2, "body": f"{k}", "b": k // 2 % 2, "a": k // 4 % 2} for k in range(80)]
    data = load(kind, table(tmp_path / f"a.{kind}", rows), Columns("body", ("a", "b", "c")), Split())
    assert data.classes == ("a", "b", "c")
    for x, flags in zip(data.train_x, data.train_y.tolist(), strict=True):
        assert flags == [int(x) // 4 % 2, int(x) // 2 % 2, int(x) % 2]


def test_two_files_are_a_split(tmp_path: Path) -> None:
    rows = moods(9)
    table(tmp_path / "train.csv", rows[:6])
    table(tmp_path / "test.csv", rows[6:])
    data = load("csv", tmp_path, ONE, Split())
    assert data.train_x == tuple(row["body"] for row in rows[:6])
    assert data.test_x == tuple(row["body"] for row in rows[6:])
    table(tmp_path / "test.csv", rows[5:])
    with pytest.warns(
        UserWarning, match=r"^1 test samples are also training samples: .*test.csv line 2 is .*n.csv line 7$"
    ):
        load("csv", tmp_path, ONE, Split())


def test_a_list_names_values_of_a_column(tmp_path: Path) -> None:
    rows = moods(30)
    (tmp_path / "ids.txt").write_text("3\n7\n")
    data = load("csv", table(tmp_path / "a.csv", rows), ONE, Split(test_list=tmp_path / "ids.txt", group="id"))
    assert data.test_x == (rows[3]["body"], rows[7]["body"])


def test_the_recipe_runs_on_them(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", moods(60))
    own = ["--data", "csv", "--data-root", str(path), "--text-column", "body", "--label-column", "mood"]
    text.main([*own, "--smoke", "--device", "cpu", "--width", "4", "--method", "fmix", "--out", str(tmp_path / "run")])
    assert 0 <= json.loads((tmp_path / "run" / "result.json").read_text())["score"] <= 100


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", r"a.csv line 1 has no header"),
        ("a.csv", "body,body,mood\n", r"a.csv line 1 has the column 'body' twice, .*: correct it"),
        ("a.csv", "body,mood\n", r"a.csv has no rows"),
        ("a.csv", "body,mood\nx,up,2\n", r"a.csv line 2 has 3 fields, expected 2: body, mood"),
        ("a.csv", "text,mood\nx,up\n", r"a.csv line 2 has no column 'body', it has text, mood: name one of these"),
        ("a.csv", "body,mood\nx,up\n ,up\n", r"a.csv line 3 has nothing in 'body': fill it in, or leave the row out"),
        ("a.csv", 'body,mood\n"x,up\n', r"a.csv line 2 cannot be read"),
        ("a.csv", "body,mood\n" + "".join(f"{k},up\n" for k in range(50)), "has only the label 'up', expected two"),
        ("a.jsonl", '{"body": "x", "mood": 1}\n{"body"\n', r"a.jsonl line 2 is not JSON .*, expected one object"),
        ("a.jsonl", "\n[1]\n", r"a.jsonl line 2 is '\[1\]', expected an object with columns"),
        ("a.jsonl", '{"body": "x", "mood": null}\n', r"a.jsonl line 1 has None in 'mood', expected a text or a number"),
        (
            "a.jsonl",
            '{"body": "x", "mood": [1, 2]}\n',
            r"has \[1, 2\] in 'mood', .* each of several labels has a column",
        ),
        ("a.jsonl", '{"body": "x", "mood": %s}\n' % ("9" * 5000), r"a.jsonl line 1 is not JSON .*digits"),
        ("a.jsonl", '{"body": "\\ud800", "mood": 1}\n', r"a.jsonl line 1 has half a character"),
        ("a.jsonl", '{"body": "x", "mood": "\\ud800"}\n', r"a.jsonl line 1 has half a character"),
        ("a.jsonl", "[" * 100_000 + "\n", r"a.jsonl line 1 is not JSON .*, expected one object"),
        ("a.jsonl", '{"body": "x"}\n', r"a.jsonl line 1 has no column 'mood', it has body"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load(path.suffix[1:], path, ONE, Split())
    assert "\n" not in str(caught.value)


def test_several_labels_are_0_or_1(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,a,b,c\nx,0,1,1\ny,0,2,1\n")
    with pytest.raises(ValueError, match=r"a.csv line 3 has '2' in 'b', expected 0 or 1"):
        load("csv", tmp_path / "a.csv", Columns("body", ("a", "b", "c")), Split())


def test_missing_files_are_named(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", moods(3))
    with pytest.raises(
        FileNotFoundError, match=r"is not a file and lacks test.csv: give --data-root FILE.csv, or a folder"
    ):
        load("csv", tmp_path, ONE, Split())
    with pytest.raises(FileNotFoundError, match=r"no file was given for --data csv: give --data-root FILE.csv"):
        load("csv", None, ONE, Split())


@pytest.mark.parametrize(
    ("labels", "message"),
    [((), "one or more columns"), (("body",), "not 'body'"), (("a", "b"), "three or more of 0 and 1")],
)
def test_wrong_columns_are_named(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Columns("body", labels)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text-column", "x"], "text_column='x' is not for --data packed: leave it out"),
        (["--test-share", "0.3"], "test_share='0.3' is not for --data packed: leave it out"),
        (["--data", "csv"], "data='csv' needs --text-column and --label-column, and no --hub"),
    ],
)
def test_options_of_other_data_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        text.main(words)
    said = f"{caught.value} {capsys.readouterr().err}".replace("│", " ")
    assert message in " ".join(said.split())


def test_a_list_needs_a_column(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", moods(9))
    with pytest.raises(ValueError, match=r"test_list='a.txt' needs --group COLUMN for a table, such as an id"):
        load("csv", path, ONE, Split(test_list=Path("a.txt")))
