"""One network over several processes."""

from inspect import signature
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods import Method, StepLoss
from synsight.models.norms import across_processes
from synsight.training.sharding import ShardedStep


class Step(nn.Module):
    """A method as one callable, which is what `DistributedDataParallel` wraps.

    Args:
        method: The method.
        world: The processes.
    """

    def __init__(self, method: Method, world: World) -> None:
        super().__init__()
        self.method, self.world = method, world

    def forward(self, batch: Batch, *, whole: bool = True) -> StepLoss | dict[str, Tensor]:
        """The loss of a batch; of a part of one (`whole=False`) its rows."""
        if whole:
            return self.method.loss(batch, self.world)
        return self.method.represent(batch)


def over_processes(
    method: Method, world: World, *, parallel: Literal["ddp", "fsdp"] = "ddp", precision: str = "fp32"
) -> nn.Module:
    """A method's step whose gradients are averaged over the processes as they are computed.

    Batch normalisation, if there is any, takes its statistics over all of them.

    Args:
        method: The method, with the same weights in all processes.
        world: The processes.
        parallel: `ddp`: each has the whole network; `fsdp`: a share of it (`sharding`).
        precision: `bf16` or `fp32`, of the forward pass.
    """
    step = Step(method, world)
    if world.size == 1:
        return step
    if parallel == "fsdp":
        return ShardedStep(method, world, precision=precision)
    across_processes(method)
    # Buffers come out the same in every process; torch 2.14 has another name for leaving them alone.
    named = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    options: dict[str, Any] = {"forward_sync_buffers" if named else "broadcast_buffers": False}
    return DistributedDataParallel(step, **options)
