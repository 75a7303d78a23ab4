"""Split your own data into training and test samples, in the same way for sounds, texts and shapes."""

import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from recipes.data.files import is_hidden, text_of

SIDES = ("train", "test")
SHARE = 0.2
SHOWN = 3


@dataclass(frozen=True)
class Split:
    """How your own data is split; by default by hash, so that adding samples moves no others."""

    test_list: Path | None = None
    """File that names the test samples of your own data, one per line, or with `--group` the test groups."""
    group: str | None = None
    """What must stay on one side of the split, such as a speaker: a regular expression that finds it in file names,
    by its first parentheses if it has any, as in '([^/]*)_nohash_'; for a table, the name of a column."""
    test_share: float | None = None
    """Share of the groups, or of the samples, to test on, chosen by hash; 0.2 by default."""

    def __post_init__(self) -> None:
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise ValueError(f"test_share={self.test_share} must be above 0 and below 1")
        if self.test_share is not None and self.test_list is not None:
            raise ValueError(
                f"test_share={self.test_share} and test_list={str(self.test_list)!r} exclude each other: give one"
            )


@dataclass(frozen=True)
class Entry:
    """A sample, before it is read.

    Args:
        name: its name in errors.
        classes: names of its classes.
        content: a hash of its content, or the text itself.
        group: its group, which stays on one side, if it has one.
        side: ``"train"`` or ``"test"`` if its folder or file determines it.
    """

    name: str
    classes: tuple[str, ...]
    content: str
    group: str | None = None
    side: str | None = None


def refuse_unread(settings: Any, names: Iterable[str], data: str) -> None:
    """Raise unless all settings that a set does not read are None.

    Raises:
        ValueError: one is given.
    """
    for name in names:
        if getattr(settings, name) is not None:
            raise ValueError(f"{name}={str(getattr(settings, name))!r} is not for --data {data}: leave it out")


def refuse_split(split: Split, data: str) -> None:
    """Raise if a split is given for a set that has its own.

    Raises:
        ValueError: it is.
    """
    refuse_unread(split, (field.name for field in fields(split)), data)


def files_by_class(root: Path, suffixes: Sequence[str], group: str | None = None) -> list[tuple[Entry, Path]]:
    """List the files of a folder with a subfolder for each class, sorted, at any depth.

    The layout is ``CLASS/FILE``, or ``train/CLASS/FILE`` and ``test/CLASS/FILE``, or ``CLASS/train/FILE`` and
    ``CLASS/test/FILE``. Hidden files and folders are left out, and so are files with other suffixes.

    Args:
        root: the folder.
        suffixes: of files, in lower case, with the dot.
        group: regular expression for the group in file names relative to ``root``, without ``train`` and ``test``.

    Raises:
        FileNotFoundError: there is no folder, or no such file in it.
        ValueError: a file does not fit the layout of the others, ``group`` is not a regular expression, or a name has
            no group.
    """
    kinds = ", ".join(suffixes)
    wanted = f"expected --data-root DIR with DIR/CLASS/FILE, or the same in DIR/train and DIR/test, with files {kinds}"
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder: {wanted}")
    tops = _folders(root)
    names = {path.name for path in tops}
    outer = names >= {*SIDES}
    if outer:
        listed = [
            (side, top, path) for side in SIDES for top in _folders(root / side) for path in _under(top, suffixes)
        ]
    elif any({path.name for path in _folders(top)} & {*SIDES} for top in tops):
        listed = [(side, top, path) for side in SIDES for top in tops for path in _under(top / side, suffixes)]
    else:
        listed = [("", top, path) for top in tops for path in _under(top, suffixes)]
    if not listed:
        raise FileNotFoundError(f"{root} has no such files: {wanted}")
    within = {path for *_, path in listed}
    beside = next((path for path in _under(root, suffixes) if path not in within), None)
    if beside is not None:
        raise ValueError(f"{beside} does not fit the layout of the other files: move it, {wanted}")
    found = []
    for side, folder, path in listed:
        name = path.relative_to(root).as_posix()
        parts = name.split("/")
        if side:
            del parts[0 if outer else 1]
        of = None if group is None else _group_of("/".join(parts), group)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append((Entry(name, (folder.name,), content, of, side or None), path))
    return found


def held_out(entries: Sequence[Entry], split: Split, source: str) -> list[bool]:
    """Tell which samples are for testing.

    Decided by their folders or files, by the list, or by the hash of the group, or of the content if there are no
    groups, so that equal samples stay together. A warning names samples that are on both sides.

    Args:
        entries: all samples.
        split: how to split them.
        source: folder or file of the samples, for errors.

    Raises:
        ValueError: a side is empty, a group is on both, a test sample has a class that no training sample has, the list
            names something that is not there, or options contradict each other.

    >>> held_out([Entry("a", ("x",), "1", "ann"), Entry("b", ("x",), "2", "bob")], Split(test_share=0.5), "here")
    [True, False]
    """
    if any(entry.side for entry in entries):
        for name in ("test_list", "test_share"):
            if getattr(split, name) is not None:
                raise ValueError(
                    f"{name}={str(getattr(split, name))!r} is not for {source}, which is already split: leave it out"
                )
        tests = [entry.side == "test" for entry in entries]
    elif split.test_list is not None:
        tests = _listed(entries, split.test_list, source)
    else:
        share = SHARE if split.test_share is None else split.test_share
        tests = [share_of(entry.content if entry.group is None else entry.group) < share for entry in entries]
    _check(entries, tests, source)
    _tell_repeated(entries, tests)
    return tests


def share_of(key: str) -> float:
    """A number in [0, 1) that depends on a text alone, and is as good as random.

    >>> 0.0 <= share_of("ann") < 1.0
    True
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))


def _under(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files with some suffixes under a folder, sorted, without hidden ones."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in paths if not any(part[0] == "." for part in path.relative_to(folder).parts))


def _group_of(name: str, pattern: str) -> str:
    """The group in the name of a file."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise ValueError(f"group={pattern!r} is not a regular expression ({error}): correct it") from error
    found = None if match is None else match[1 if match.re.groups else 0]
    if not found:
        raise ValueError(f"group={pattern!r} finds nothing in {name!r}: give one that matches every name")
    return found


def _listed(entries: Sequence[Entry], file: Path, source: str) -> list[bool]:
    """Tell which samples a list names, by their groups if they have any."""
    if not file.is_file():
        raise FileNotFoundError(f"test_list={str(file)!r} is not a file: give one naming test samples, one per line")
    units = [entry.name if entry.group is None else entry.group for entry in entries]
    known, named = {*units}, set()
    for number, line in enumerate(text_of(file.read_bytes(), f"{file}").splitlines(), 1):
        if line.strip() and line.strip() not in known:
            raise ValueError(
                f"{file} line {number} names {line.strip()!r:.80}, which {source} lacks: expected names like "
                f"{units[0]!r}, one per line"
            )
        named.add(line.strip())
    return [unit in named for unit in units]


def _check(entries: Sequence[Entry], tests: Sequence[bool], source: str) -> None:
    """Raise unless both sides have samples, no group is on both, and every test class has training samples."""
    if all(tests) or not any(tests):
        lacking = "training" if all(tests) else "test"
        raise ValueError(
            f"{source}: none of {len(entries):,} samples is a {lacking} sample: give another --test-share, a "
            "--test-list, or folders train and test"
        )
    both = _shared([entry.group for entry in entries], tests)
    if both:
        train, test = (entries[index] for index in both[0])
        raise ValueError(
            f"{source} has the group {train.group!r} on both sides, in {train.name} and {test.name}: move one, or "
            "leave out --group"
        )
    trained = {name for entry, test in zip(entries, tests, strict=True) if not test for name in entry.classes}
    wrong = next((entry for entry in entries if not {*entry.classes} <= trained), None)
    if wrong is not None:
        classes = ", ".join(sorted({*wrong.classes} - trained))
        raise ValueError(
            f"{source} has no training sample of the class {classes}, of which {wrong.name} is a test sample: choose "
            "other test samples, or leave the class out"
        )


def _tell_repeated(entries: Sequence[Entry], tests: Sequence[bool]) -> None:
    """Warn about test samples that are also training samples."""
    both = _shared([entry.content for entry in entries], tests)
    if both:
        some = "; ".join(f"{entries[test].name} is {entries[train].name}" for train, test in both[:SHOWN])
        more = "; and others" if len(both) > SHOWN else ""
        warnings.warn(f"{len(both):,} test samples are also training samples: {some}{more}", stacklevel=4)


def _shared(keys: Sequence[str | None], tests: Sequence[bool]) -> list[tuple[int, int]]:
    """For each test sample with the key of a training sample, the indices of the training and the test sample."""
    train = {key: index for index, (key, test) in enumerate(zip(keys, tests, strict=True)) if not test}
    return [
        (train[key], index)
        for index, (key, test) in enumerate(zip(keys, tests, strict=True))
        if test and key is not None and key in train
    ]
