"""The processes of one run, seen as one object; a single process is the same class.

The store is opened by us under a prefix for each attempt, since torchrun's restarted workers would
otherwise read a dead attempt's addresses and wait for them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # torch leaves them out of __all__

TIMEOUT = timedelta(seconds=60)
"""Longest wait for the other processes, at the start and in every exchange."""


class _GatherWithGradient(torch.autograd.Function):
    """All rows of all processes, [W * B, D]; backward gives each process the summed gradients of its rows."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(
            total
        )  # gloo has no reduce_scatter of tensors; the sum of all, then our slice, is the same
        size = len(total) // dist.get_world_size()
        return total[dist.get_rank() * size : (dist.get_rank() + 1) * size]


@dataclass(frozen=True)
class World:
    """How many processes train together, and which one this is."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files and speaks to the user."""
        return self.rank == 0

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all processes in rank order, [W * B, D], with gradient; all must bring as many."""
        if self.size == 1:
            return rows
        gathered: Tensor = _GatherWithGradient.apply(rows)
        return gathered

    def collect(self, rows: Tensor) -> Tensor:
        """Rows of all processes in rank order, [W * B, ...], of any type, without gradient."""
        if self.size == 1:
            return rows.detach()
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.detach().contiguous())
        return torch.cat(parts)

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a tensor over the processes, without gradient."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Means of named scalars over the processes, in one exchange."""
        joint = self.sum(torch.stack([value.detach().double() for value in values.values()])) / self.size
        return dict(zip(values, joint.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """True in every process when it is true in one."""
        if self.size == 1:
            return flag
        device = torch.accelerator.current_accelerator() if torch.cuda.is_available() else None
        return bool(self.sum(torch.tensor(float(flag), device=device)).item())

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.any(False)


def is_main_process() -> bool:
    """True in the one process of those that `torchrun` started that speaks to the user; also in one alone."""
    return os.environ.get("RANK", "0") == "0"


def attempt() -> int:
    """How often `torchrun` has started these processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def open_world() -> World:
    """Join the processes that `torchrun` started, or stand alone when it did not."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    rank = int(os.environ["RANK"])
    store = TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=False if "TORCHELASTIC_RUN_ID" in os.environ else rank == 0,
        timeout=TIMEOUT,
    )
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend,
        store=PrefixStore(f"attempt{attempt()}", store),
        rank=rank,
        world_size=size,
        timeout=TIMEOUT,
    )
    return World(rank=rank, size=size)


def close_world(world: World) -> None:
    """Leave the group that `open_world` joined."""
    if world.size > 1:
        dist.destroy_process_group()
