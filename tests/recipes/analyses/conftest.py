"""Runs on digits that were barely trained, made once."""

from pathlib import Path

import pytest

from recipes.analyses.shared import trained


@pytest.fixture(scope="session")
def smoke_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of baseline and MixUp."""
    root = tmp_path_factory.mktemp("smoke") / "runs"
    trained.train_briefly(root)
    return root
