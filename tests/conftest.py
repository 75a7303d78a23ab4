"""What all tests share: a seed for each test, one thread, the profile of the property tests, and real data."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")
torch.set_num_threads(1)  # tensors are small here, and threads that wait for a busy core make FFTs 100 times slower


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


UNPACK = Path(__file__).parents[2] / "shared" / "data" / "unpack.py"


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of real data by name; a test that asks for one is skipped where there is none."""
    unpacked = tmp_path_factory.mktemp("real")

    def folder(name: str) -> Path:
        if not UNPACK.is_file():
            pytest.skip(f"the real {name} is not in {UNPACK.parent}")
        if not (unpacked / name).exists():
            subprocess.run([sys.executable, str(UNPACK), str(unpacked), name], check=True, capture_output=True)
        return unpacked / name

    return folder
