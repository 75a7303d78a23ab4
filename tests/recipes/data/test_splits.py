"""Splits of your own data: by hash, list, folders and group, and what is wrong with them."""

import re
import warnings
from pathlib import Path

import pytest

from recipes.data.splits import Entry, Split, files_by_class, held_out


def entries(count: int, groups: int | None = None) -> list[Entry]:
    return [
        Entry(f"a/{k}.wav", ("a",), f"content {k}", None if groups is None else f"speaker {k % groups}")
        for k in range(count)
    ]


def tree(root: Path, *names: str) -> Path:
    """Files whose content is their own name, without what is before the last `=`."""
    for name in names:
        path, _, content = name.partition("=")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content or path)
    return root


def split(root: Path, how: Split) -> dict[str, bool]:
    found = [entry for entry, _ in files_by_class(root, (".wav",), how.group)]
    return {entry.name: test for entry, test in zip(found, held_out(found, how, "here"), strict=True)}


def test_the_hash_takes_its_share() -> None:
    """Within four standard deviations of a fair draw."""
    for given, share in ((None, 0.2), (0.5, 0.5)):
        count = sum(held_out(entries(4000), Split(test_share=given), "here"))
        assert abs(count - 4000 * share) < 4 * (4000 * share * (1 - share)) ** 0.5


def test_samples_that_are_added_move_no_others() -> None:
    few, many = (held_out(entries(count), Split(), "here") for count in (50, 80))
    assert many[:50] == few
    backwards = held_out(entries(50)[::-1], Split(), "here")
    assert backwards[::-1] == few


def test_a_group_is_on_one_side() -> None:
    groups = [entry.group for entry in entries(300, groups=30)]
    tests = held_out(entries(300, groups=30), Split(), "here")
    sides = {group: {test for each, test in zip(groups, tests, strict=True) if each == group} for group in groups}
    assert all(len(side) == 1 for side in sides.values())
    assert {*tests} == {True, False}


def test_equal_samples_stay_together() -> None:
    """Without groups, under other names and in other classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = [Entry(f"{name}/{k}", ("a",), f"{k}") for k in range(100) for name in "ab"]
        tests = held_out(pairs, Split(), "here")
    assert tests[::2] == tests[1::2]


def test_a_group_is_found_in_names_by_the_first_parentheses(tmp_path: Path) -> None:
    root = tree(tmp_path, "yes/ann_nohash_0.wav", "no/ann_nohash_0.wav", "no/bob_nohash_1.wav")
    found = [entry.group for entry, _ in files_by_class(root, (".wav",), "([^/]*)_nohash_")]
    assert found == ["ann", "bob", "ann"]
    assert [entry.group for entry, _ in files_by_class(root, (".wav",), "ann|bob")] == ["ann", "bob", "ann"]


@pytest.mark.parametrize("names", [("{}/strain/0.wav", "{}/b/0.wav"), ("strain/{}/0.wav", "b/{}/0.wav")])
def test_folders_tell_the_side(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Also of a class whose name ends as that of a side; classes lie above the sides or below them."""
    files = {name.format(side): side == "test" for name in names for side in ("train", "test")}
    root = tree(tmp_path, *files)
    assert split(root, Split()) == files
    found = files_by_class(root, (".wav",), "^(.*)/0.wav")
    assert {entry.name: entry.group for entry, _ in found} == {
        name: "strain" if "strain" in name else "b" for name in files
    }
    assert {entry.classes for entry, _ in found} == {("strain",), ("b",)}


def test_hidden_files_and_other_suffixes_are_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/0.WAV", "a/deep/1.wav", "a/.2.wav", ".b/3.wav", "a/.c/4.wav", "a/notes.txt", "README.md")
    assert [entry.name for entry, _ in files_by_class(root, (".wav",))] == ["a/0.WAV", "a/deep/1.wav"]


def test_a_list_names_samples_or_groups(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/ann_0.wav", "a/ann_1.wav", "a/bob_0.wav")
    file = tmp_path / "list.txt"
    file.write_text("a/ann_1.wav\n\n")
    assert split(root, Split(test_list=file)) == {"a/ann_0.wav": False, "a/ann_1.wav": True, "a/bob_0.wav": False}
    file.write_text("ann\r\n")
    by_speaker = Split(test_list=file, group="/([a-z]*)_")
    assert split(root, by_speaker) == {"a/ann_0.wav": True, "a/ann_1.wav": True, "a/bob_0.wav": False}


def test_samples_on_both_sides_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/a/0.wav=same", "train/a/1.wav", "test/a/2.wav=same", "test/a/3.wav")
    with pytest.warns(UserWarning, match=r"^1 test samples are also training samples: test/a/2.wav is train/a/0.wav$"):
        split(root, Split())


@pytest.mark.parametrize(
    ("names", "how", "message"),
    [
        (
            ["train/a/x_0.wav", "test/a/x_1.wav"],
            Split(group="x"),
            "the group 'x' on both sides, in train/a/x_0.wav and",
        ),
        (
            ["train/a/0.wav", "test/a/1.wav"],
            Split(test_share=0.5),
            r"test_share='0.5' is not for here, which is already split",
        ),
        (
            ["train/a/0.wav", "test/b/1.wav"],
            Split(),
            "no training sample of the class b, of which test/b/1.wav is a te",
        ),
        (["train/a/0.wav", "test/a/1.wav", "val/a/2.wav"], Split(), r"val.a.2.wav does not fit the layout .*: move it"),
        (["a/0.wav", "1.wav"], Split(), r"1.wav does not fit the layout of the other files: move it"),
        (["a/train/0.wav", "a/1.wav"], Split(), r"a.1.wav does not fit the layout of the other files: move it"),
        (["a/0.wav"], Split(test_share=0.999999), "none of 1 samples is a training sample: give another --test-share"),
        (["a/0.wav"], Split(test_share=0.000001), "none of 1 samples is a test sample: give another --test-share"),
        (
            ["a/0.wav"],
            Split(group="speaker"),
            "group='speaker' finds nothing in 'a/0.wav': give one that matches every name",
        ),
        (["a/0.wav"], Split(group="(speaker)?"), r"group='\(speaker\)\?' finds nothing in 'a/0.wav'"),
        (["a/0.wav"], Split(group="("), r"group='\(' is not a regular expression \(.*\): correct it"),
    ],
)
def test_what_cannot_be_split_is_one_sentence(tmp_path: Path, names: list[str], how: Split, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        split(tree(tmp_path, *names), how)
    assert "\n" not in str(caught.value)


def test_lists_are_named_with_their_lines(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/0.wav", "a/1.wav")
    file = tmp_path / "list.txt"
    with pytest.raises(FileNotFoundError, match=f"test_list='{re.escape(str(file))}' is not a file: give one"):
        split(root, Split(test_list=file))
    file.write_text("a/0.wav\n\na/2.wav\n")
    with pytest.raises(
        ValueError, match=r"list.txt line 3 names 'a/2.wav', which here lacks: expected names like 'a/0"
    ):
        split(root, Split(test_list=file))


def test_folders_without_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"nowhere is not a folder: expected --data-root DIR with DIR/CLASS/FILE"
    ):
        files_by_class(tmp_path / "nowhere", (".wav",))
    with pytest.raises(FileNotFoundError, match=r"has no such files: expected .* with files .wav"):
        files_by_class(tree(tmp_path, "a/b.txt"), (".wav",))


def test_wrong_shares_are_named() -> None:
    with pytest.raises(ValueError, match=r"test_share=1.5 must be above 0 and below 1"):
        Split(test_share=1.5)
    with pytest.raises(ValueError, match=r"test_share=0.5 and test_list='a.txt' exclude each other: give one"):
        Split(test_share=0.5, test_list=Path("a.txt"))
