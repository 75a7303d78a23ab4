"""Runs on digits that were barely trained, made once."""

import shutil
from pathlib import Path

import pytest

from recipes.analyses.shared import trained


@pytest.fixture(scope="session")
def smoke_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of baseline and MixUp."""
    root = tmp_path_factory.mktemp("smoke") / "runs"
    trained.train_briefly(root)
    return root


@pytest.fixture
def made_in_advance(smoke_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that a smoke test makes are made already."""
    monkeypatch.setattr(trained, "train_briefly", lambda root: shutil.copytree(smoke_runs, root, dirs_exist_ok=True))
