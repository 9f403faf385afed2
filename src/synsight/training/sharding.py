"""One network in parts: each process holds a share of every weight, and all of it only while it computes.

FSDP2 (`torch.distributed.fsdp.fully_shard`): a layer's weights are gathered before it computes and let go of
after, in the forward and in the backward pass; gradients and the optimiser's state exist in shares alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from inspect import signature
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods import Method, Rows, StepLoss
from synsight.models.norms import across_processes

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

SMALL = 16
"""Numbers below which a weight stays whole in every process: learnt scales and ranges."""
LAYERS = ("blocks", "resblocks", "layers", "layer")
"""What timm, open_clip and transformers call the list of a network's layers."""


class ShardedStep(nn.Module):
    """A method's step whose weights are shared out over the processes.

    Each layer of an encoder that has layers (a ViT, a text tower) is gathered by itself; all other weights
    together, from the forward to the backward pass. Gradients are averaged over the processes.

    Args:
        method: The method, the same in all processes; its weights become shares, in place.
        world: The processes, two or more.
        precision: With `bf16` layers are gathered in bfloat16 and read and write it, where autocast alone
            leaves the sums between them in float32; shares and the sums of gradients are float32.

    Raises:
        ConfigError: This torch is too old.
    """

    def __init__(self, method: Method, world: World, *, precision: str) -> None:
        super().__init__()
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        if "ignored_params" not in signature(fully_shard).parameters:
            raise ConfigError("parallel fsdp needs torch 2.7 or newer; use parallel ddp, or a newer torch.")
        across_processes(method)
        method.to(memory_format=torch.contiguous_format)  # shares are cut along the first dimension
        weights = list(method.parameters())
        self.world = world
        self.small = [weight for weight in weights if weight.numel() < SMALL]
        self.root = _Root(method, world)
        shared: dict[str, Any] = {
            "mesh": init_device_mesh(weights[0].device.type, (world.size,)),
            "ignored_params": set(self.small),
        }
        for layer in _layers(method):
            low = precision == "bf16" and not _has_batch_norm(layer)  # whose statistics are float32
            dtype = torch.bfloat16 if low else None
            policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
            fully_shard(layer, mp_policy=policy, **shared)
        fully_shard(self.root, **shared)

    def forward(self, batch: Batch, *, whole: bool = True) -> StepLoss | dict[str, Tensor]:
        """The loss of a batch; of a part of one (`whole=False`) its rows."""
        found: dict[str, Any] = self.root(batch, whole=whole)
        return StepLoss(**found) if whole else found

    def compare(self, rows: Rows, batch: Batch) -> StepLoss:
        """The loss of rows of a batch that was represented in parts."""
        return StepLoss(**self.root(batch, rows=dict(rows)))

    def no_sync(self) -> AbstractContextManager[None]:
        """Nothing: each part's gradient is shared out at once, since whole ones would fill the memory."""
        return nullcontext()

    def average_small(self) -> None:
        """Average the gradients of the weights that are not shared out; to be called after a backward."""
        gradients = [weight.grad for weight in self.small if weight.grad is not None]
        if gradients:
            joint = self.world.sum(torch.cat([one.flatten() for one in gradients])) / self.world.size
            for one, mean in zip(
                gradients, torch.split(joint, [one.numel() for one in gradients]), strict=True
            ):
                one.copy_(mean.view_as(one))


class _Root(nn.Module):
    """What is gathered: a forward pass in any of its three forms."""

    def __init__(self, method: Method, world: World) -> None:
        super().__init__()
        self.method, self.world = method, world

    def forward(
        self, batch: Batch, *, whole: bool = True, rows: dict[str, Tensor] | None = None
    ) -> dict[str, Any]:
        # Dicts in and out: in a class of ours the tensors that the backward pass begins at are not found.
        if rows is not None:
            return dict(vars(self.method.compare(rows, batch, self.world)))
        if whole:
            return dict(vars(self.method.loss(batch, self.world)))
        return self.method.represent(batch)


def _layers(method: nn.Module) -> Iterator[nn.Module]:
    """Layers that are gathered by themselves, inner ones first."""
    for name, part in reversed(list(method.named_modules())):
        if name.split(".")[-1] in LAYERS and isinstance(part, nn.Sequential | nn.ModuleList):
            yield from (layer for layer in part if len(list(layer.children())) > 1)


def _has_batch_norm(layer: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in layer.modules())


class Whole:
    """A copy of a method without weights, which borrows those of all processes to be looked at or saved.

    Args:
        method: The method, its weights not yet shared out.
    """

    def __init__(self, method: Method) -> None:
        empty = {id(one): nn.Parameter(torch.empty_like(one, device="meta")) for one in method.parameters()}
        self._method = deepcopy(method, empty)  # what would be copied: what takes its place
        self._empty = {name: value.to("meta") for name, value in method.state_dict().items()}

    @contextmanager
    def having(self, state: Mapping[str, Tensor]) -> Iterator[Method]:
        """The method with the weights of a state_dict in shares, while the block runs; all processes call."""
        self._method.load_state_dict({name: gathered(one) for name, one in state.items()}, assign=True)
        try:
            yield self._method
        finally:
            self._method.load_state_dict(self._empty, assign=True)


def is_share(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Whether a tensor is this process's share of a larger one."""
    return hasattr(tensor, "full_tensor")


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor of which each process has a share; all processes call."""
    if not is_share(tensor):
        return tensor
    with torch.no_grad():
        whole: Tensor = tensor.full_tensor()
    return whole


def shared_like(value: Tensor, like: Tensor) -> Tensor:
    """The share, cut as `like` is, that this process has in a tensor of which all have the whole."""
    if not is_share(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


def part_groups(optimiser: torch.optim.Optimizer) -> None:
    """Let no group of an optimiser hold both shares and whole weights, which it would compute together.

    The order of the weights, by which checkpoints number them, stays.
    """
    groups = list(optimiser.param_groups)
    optimiser.param_groups.clear()
    for group in groups:
        for _, weights in groupby(group["params"], key=is_share):
            optimiser.param_groups.append({**group, "params": list(weights)})


def clip_gradients(weights: Sequence[nn.Parameter], limit: float, world: World) -> float:
    """Scale all gradients so that together they are no longer than `limit` (L2), in place.

    Returns:
        Their length before, over all processes.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    shares = [one.to_local() for one in gradients if is_share(one)]
    plain = [one for one in gradients if not is_share(one)]
    nothing = torch.zeros((), device=weights[0].device)
    length = (world.sum(_square(shares, nothing)) + _square(plain, nothing)).sqrt()
    factor = (limit / (length + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
    for one in (*shares, *plain):
        one.mul_(factor)
    return float(length)


def _square(gradients: Sequence[Tensor], nothing: Tensor) -> Tensor:
    return torch.nn.utils.get_total_norm(gradients).square() if gradients else nothing
