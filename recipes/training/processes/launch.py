"""What a launcher may ask for."""

import os

from accelerate import Accelerator
from accelerate.utils import DistributedType, DynamoBackend

DATA_PARALLEL = (
    *(DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU),
    *(DistributedType.MULTI_XPU, DistributedType.MULTI_NPU),
)

SHARDED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration"}
"""What shares a network out among devices, by the variable that `accelerate launch` sets for it."""


def check_launch(accelerator: Accelerator) -> None:
    """Raise if a launcher asks for something that the loop does not do.

    Raises:
        ValueError: the network is to be sharded or compiled, gradients are to be accumulated, or the precision is not
            the run's.
    """
    sharded = [name for variable, name in SHARDED.items() if os.environ.get(variable, "").lower() == "true"]
    if accelerator.distributed_type not in DATA_PARALLEL:
        sharded.append(accelerator.distributed_type.value)
    if sharded:
        raise ValueError(
            f"the launcher asks for {sharded[0]}, but the loop keeps the whole network on each device: launch several "
            f"processes and nothing else"
        )
    parts = accelerator.gradient_accumulation_steps
    if parts != 1:
        raise ValueError(
            f"the launcher asks for gradient_accumulation_steps={parts}, but the loop steps after every batch: "
            f"leave it out, and choose --batch-size"
        )
    backend = accelerator.state.dynamo_plugin.backend
    if backend != DynamoBackend.NO:
        raise ValueError(
            f"the launcher asks for dynamo_backend={backend.value.lower()}, but the loop compiles the network itself: "
            f"leave it out, and set --compile"
        )
    asked, precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no"), accelerator.mixed_precision
    if asked not in ("no", precision):
        raise ValueError(
            f"the launcher asks for mixed_precision={asked}, but the run has --precision {precision}: "
            f"leave it out of the launcher, and set --precision"
        )
