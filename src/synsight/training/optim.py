"""Optimisers, the learning-rate schedule and the average of the weights."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from synsight.training.config import OptimConfig, ScheduleConfig
from synsight.training.layer_decay import layer_groups, names_without_decay


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step is scaled, layer by layer, to the length of the layer's weights.

    Groups with `adapt=False` (biases, normalisation) get plain momentum SGD: no trust ratio, no decay.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        weight_decay: L2 penalty.
        trust_coefficient: Length of a step relative to the length of the weights, at lr 1.

    Reference: You et al. 2017, eq. 6, https://arxiv.org/abs/1708.03888; as used by SimCLR.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; a closure is not supported."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                update = _adapted(weight, group) if group["adapt"] else weight.grad
                velocity = self.state[weight].get("velocity")
                if velocity is None:
                    velocity = self.state[weight]["velocity"] = update.clone()
                else:
                    velocity.mul_(group["momentum"]).add_(update)
                weight.add_(velocity, alpha=-group["lr"])


def _adapted(weight: Tensor, group: dict[str, Any]) -> Tensor:
    assert weight.grad is not None
    decay = group["weight_decay"]
    weight_norm, gradient_norm = weight.norm(), weight.grad.norm()
    # A weight or a gradient of length zero has no ratio; such a layer takes its plain gradient.
    ratio = weight_norm / (gradient_norm + decay * weight_norm + 1e-8) * group["trust_coefficient"]
    moved = (weight_norm > 0) & (gradient_norm > 0)
    return torch.where(moved, (weight.grad + decay * weight) * ratio, weight.grad)


def parameter_groups(
    module: nn.Module,
    *,
    weight_decay: float,
    pretrained: Sequence[nn.Module] = (),
    pretrained_lr: float = 1.0,
) -> list[dict[str, Any]]:
    """Two groups: matrices and filters, which decay, and biases, norms and position tables, which do not.

    What a timm model names in `no_weight_decay()` (class token, position embedding) does not decay either.

    Args:
        module: Owner of the parameters.
        weight_decay: Of the first group.
        pretrained: Parts of it that began with pretrained weights: their parameters make a third group,
            without decay (Zhai et al. 2023 (SigLIP), section 4.5, https://arxiv.org/abs/2303.15343).
        pretrained_lr: `lr_share` of that group: its learning rate as a share of the run's.
    """
    named = names_without_decay(module)
    begun = {weight for part in pretrained for weight in part.parameters()}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, weight in module.named_parameters():
        if weight.requires_grad and weight not in begun:
            (plain if weight.ndim <= 1 or name in named else decayed).append(weight)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if begun := {weight for weight in begun if weight.requires_grad}:
        kept = [weight for weight in module.parameters() if weight in begun]
        groups.append({"params": kept, "weight_decay": 0.0, "lr_share": pretrained_lr})
    return groups


def build_optimiser(
    module: nn.Module, config: OptimConfig, *, pretrained: Sequence[nn.Module] = ()
) -> torch.optim.Optimizer:
    """AdamW, LARS or SGD over the groups of `parameter_groups`, or of `layer_groups`."""
    if config.layer_decay is not None:
        groups = layer_groups(module, weight_decay=config.weight_decay, layer_decay=config.layer_decay)
    else:
        groups = parameter_groups(
            module,
            weight_decay=config.weight_decay,
            pretrained=pretrained,
            pretrained_lr=config.pretrained_lr,
        )
    if config.name == "lars":
        groups[1]["adapt"] = False
        return LARS(
            groups, lr=config.lr, momentum=config.momentum, trust_coefficient=config.trust_coefficient
        )
    if config.name == "sgd":
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def rate_at(step: int, *, total_steps: int, schedule: ScheduleConfig) -> float:
    """The share of the peak learning rate at a step: a linear rise, then half a cosine.

    Args:
        step: Steps already taken, 0 to total_steps - 1.
        total_steps: Steps of the whole run.
        schedule: Length of the rise, and where the cosine ends.

    Returns:
        A factor in (0, 1]. A pure function of its arguments, so a resumed run needs no state for it.
    """
    warmup_steps = round(schedule.warmup * total_steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * done)) / 2


class WeightAverage:
    """An exponential moving average of a module's weights and running statistics.

    Early steps count less than `decay` says, (1 + t) / (10 + t), so that the random start is soon forgotten.

    Args:
        module: What is averaged; a copy of its present state is the first average.
        decay: Share of the old average that a step keeps, in (0, 1).
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, *, step: int) -> None:
        """Take in the weights after `step` steps."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Let the module have the averaged weights while the block runs."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.state)
        try:
            yield
        finally:
            module.load_state_dict(own)
