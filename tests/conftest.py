"""What all tests share: a seed for each test, one thread, and the profile of the property tests."""

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
