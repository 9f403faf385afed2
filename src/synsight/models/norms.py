"""Batch normalisation over all processes, so that a run does not depend on how many there are."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from synsight.errors import ConfigError


class _Sum(torch.autograd.Function):
    """Sum over the processes; the gradient is summed, too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class JointBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the batches of all processes, on any device.

    torch's SyncBatchNorm computes the same, on GPUs alone. All processes must bring as many rows.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [B, C, ...]."""
        if not (self.training and dist.is_initialized()):
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input.float()
        count = values.numel() / values.shape[1] * dist.get_world_size()
        mean: Tensor = _Sum.apply(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps)
        weight, bias = (1, 0) if self.weight is None else (self.weight, self.bias)
        scaled = centred * (scale * weight).view(shape)
        return (scaled + torch.as_tensor(bias).view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def across_processes(module: nn.Module) -> None:
    """Let every batch normalisation in a module take its statistics over all processes, in place.

    Raises:
        ConfigError: The module has a batch normalisation of its own making, which cannot be converted.
    """
    for name, part in list(module.named_modules()):
        if not isinstance(part, nn.modules.batchnorm._BatchNorm) or isinstance(part, JointBatchNorm):
            continue
        if type(part) not in (nn.BatchNorm1d, nn.BatchNorm2d):
            raise ConfigError(
                f"{name} is a {type(part).__name__}, whose statistics cannot be taken over several "
                "processes; use one process, or an encoder with torch's own batch normalisation or none, "
                "such as a resnet or a ViT."
            )
        cuda = next(module.parameters()).is_cuda
        part.__class__ = nn.SyncBatchNorm if cuda else JointBatchNorm
        if cuda:
            part.process_group = None  # type: ignore[assignment]
