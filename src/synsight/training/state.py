"""The state of a run, taken apart into tensors and plain values, and put back bit for bit."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synsight.errors import TrainingError
from synsight.training.checkpoints import Checkpoint
from synsight.training.optim import WeightAverage
from synsight.training.settings import from_plain
from synsight.training.sharding import gathered, shared_like
from synsight.training.stopping import StoppingState


@dataclass
class Progress:
    """How far a run is, in values that JSON keeps exactly."""

    step: int = 0
    """Steps taken."""
    seconds: float = 0.0
    """Spent training, over all sittings."""
    best_step: int = 0
    best_value: float | None = None
    looks: dict[str, Any] = field(default_factory=dict)
    """What is remembered of the monitor's looks: a `StoppingState` in plain values."""
    logged_loss: float | None = None
    """Of the last row of metrics.jsonl."""
    stopped: bool = False
    """Ended by the monitor before the last step."""
    sums: dict[str, float] = field(default_factory=dict)
    """What was logged since the last row of metrics.jsonl, summed."""
    summed_steps: int = 0
    at_chance_steps: int = 0
    """Steps in a row, up to now, at which the method had learnt nothing."""
    collapsed_rows: int = 0
    """Rows of metrics.jsonl in a row, up to now, with collapsed features."""


@dataclass(frozen=True)
class Parts:
    """Everything in a run that changes from step to step."""

    method: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None
    progress: Progress


def stopping_state(progress: Progress) -> StoppingState:
    """What is remembered of the monitor's looks."""
    return from_plain(StoppingState, progress.looks)


def pack(parts: Parts, *, kept: bool = True) -> Checkpoint:
    """The whole state, ready to be saved; all processes call.

    Args:
        parts: What changes.
        kept: In a process that saves nothing: off, and it holds no copy of what it has a share of.
    """
    tensors = {f"method/{name}": value for name, value in parts.method.state_dict().items()}
    if parts.average is not None:
        tensors.update({f"average/{name}": value for name, value in parts.average.state.items()})
    for index, state in parts.optimiser.state_dict()["state"].items():
        tensors.update({f"optimiser/{index}/{name}": value for name, value in state.items()})
    numpy_name, numpy_keys, *numpy_rest = np.random.get_state(legacy=True)  # noqa: NPY002
    tensors["random/torch"] = torch.get_rng_state()
    tensors["random/numpy"] = torch.from_numpy(np.asarray(numpy_keys).astype(np.int64))
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    version, python_keys, gauss = random.getstate()
    values = {
        "progress": dict(vars(parts.progress)),
        "random": {"python": [version, list(python_keys), gauss], "numpy": [numpy_name, *numpy_rest]},
    }
    copies = {}
    for name, value in sorted(tensors.items()):  # in one order, whatever that of a state read back was
        whole = gathered(value)
        if kept:  # copied: one may share memory with another (safetensors refuses) or change under the writer
            copies[name] = whole.detach().cpu().clone()
    return Checkpoint(copies, values)


def unpack(checkpoint: Checkpoint, parts: Parts) -> None:
    """Put a state back into freshly built parts, all of it or none.

    Raises:
        TrainingError: The state is that of another network, optimiser or kind of run.
    """
    saved = _by_owner(checkpoint.tensors)
    _check_fits(saved.get("method", {}), parts.method.state_dict(), "network")
    if parts.average is not None:
        _check_fits(saved.get("average", {}), parts.average.state, "averaged network")
    try:
        progress = Progress(**checkpoint.values["progress"])
        version, python_keys, gauss = checkpoint.values["random"]["python"]
        numpy_name, *numpy_rest = checkpoint.values["random"]["numpy"]
        optimiser = _optimiser_state(saved.get("optimiser", {}), parts.optimiser)
        random.setstate((version, tuple(python_keys), gauss))
        np.random.set_state((numpy_name, saved["random"]["numpy"].numpy().astype(np.uint32), *numpy_rest))  # noqa: NPY002
        torch.set_rng_state(saved["random"]["torch"])
        if torch.cuda.is_available() and "cuda" in saved["random"]:
            torch.cuda.set_rng_state(saved["random"]["cuda"])
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise TrainingError(
            f"the checkpoint is incomplete or of another version ({error!r}); start again in a new folder."
        ) from None
    present = parts.method.state_dict()
    parts.method.load_state_dict(
        {name: shared_like(saved["method"][name], value) for name, value in present.items()}
    )
    parts.optimiser.load_state_dict(optimiser)
    if parts.average is not None:
        for name, value in parts.average.state.items():
            value.copy_(shared_like(saved["average"][name], value))
    vars(parts.progress).update(vars(progress))


def _by_owner(tensors: Any) -> dict[str, dict[str, Tensor]]:
    owners: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        owner, _, rest = name.partition("/")
        owners.setdefault(owner, {})[rest] = value
    return owners


def _check_fits(saved: dict[str, Tensor], present: dict[str, Any], what: str) -> None:
    shapes = {name: (tuple(value.shape), value.dtype) for name, value in saved.items()}
    expected = {name: (tuple(value.shape), value.dtype) for name, value in present.items()}
    if shapes != expected:
        differing = sorted(
            name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name)
        )
        raise TrainingError(
            f"the checkpoint holds another {what}: {len(differing)} weights differ in name, shape or type, "
            f"the first is {differing[0]!r}; resume with the settings the run began with, or start in a new "
            "folder."
        )


def _optimiser_state(saved: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in saved.items():
        index, _, slot = name.partition("/")
        if value.ndim:
            # In the weight's own memory layout: another one takes other code paths and rounds otherwise.
            weight = weights[int(index)]
            value = torch.empty_like(weight).copy_(shared_like(_of_shape(value, weight, name), weight))
        state.setdefault(int(index), {})[slot] = value
    return {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}


def _of_shape(value: Tensor, weight: Tensor, name: str) -> Tensor:
    if value.shape != weight.shape:
        raise ValueError(f"optimiser state {name} has shape {tuple(value.shape)}")
    return value
