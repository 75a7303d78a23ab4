"""What a launcher may ask for, and what the loop refuses."""

import pytest
from accelerate import Accelerator
from accelerate.utils import DistributedType

from recipes.training.processes.launch import check_launch


def test_several_processes_and_nothing_else() -> None:
    check_launch(Accelerator(cpu=True, mixed_precision="no"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACCELERATE_USE_FSDP", "true", "asks for FSDP, but the loop keeps the whole network on each device"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "asks for a parallelism configuration, but the loop keeps"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2", "gradient_accumulation_steps=2, .* choose --batch-size"),
        ("ACCELERATE_DYNAMO_BACKEND", "inductor", "dynamo_backend=inductor, but the loop compiles .* set --compile"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "mixed_precision=bf16, but the run has --precision no: .* --precision"),
    ],
)
def test_what_the_loop_does_not_do(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        check_launch(Accelerator(cpu=True, mixed_precision="no"))


def test_other_ways_to_share_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(accelerator.state, "distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(ValueError, match="the launcher asks for DEEPSPEED"):
        check_launch(accelerator)
