"""The script that makes somebody's own clips of Speech Commands."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "scripts"))
import own_clips


def test_clips_are_copied_by_class_and_speaker(tmp_path: Path) -> None:
    for name in ("yes/0a7c_nohash_0.wav", "yes/0a7c_nohash_1.wav", "no/ffff_nohash_0.wav", "_noise_/hum.wav"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    (tmp_path / "data" / "testing_list.txt").write_text("yes/0a7c_nohash_0.wav")
    assert own_clips.copy(tmp_path / "data", tmp_path / "own") == 3
    found = {path.relative_to(tmp_path / "own").as_posix(): path.read_text() for path in tmp_path.glob("own/*/*")}
    assert found == {name.replace("_nohash_", "-"): name for name in found.values()}
    assert {*found} == {"yes/0a7c-0.wav", "yes/0a7c-1.wav", "no/ffff-0.wav"}
    with pytest.raises(FileExistsError):
        own_clips.copy(tmp_path / "data", tmp_path / "own")
    with pytest.raises(FileNotFoundError, match="give the folder of Speech Commands"):
        own_clips.copy(tmp_path / "own", tmp_path / "other")
