"""What all tests share: a seed, one thread, the profile of the property tests, real data, processes for what forks."""

import os
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


ALONE = "MIXMODAL_TEST_ALONE"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that forks in a new process: autograd's threads, which other tests may start, do not go with forks."""
    if pyfuncitem.get_closest_marker("forks") is None or ALONE in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", pyfuncitem.nodeid]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {ALONE: "1"}
    done = subprocess.run(command, cwd=pyfuncitem.config.rootpath, env=own, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return True


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # a command that was tested before may have set others


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
