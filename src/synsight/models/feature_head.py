"""Heads that few-label methods leave behind: from features to one score a class, by a closed set of layers.

A fitted estimator becomes a `FeatureHead`, so that the model folder keeps it without code of its own and it
runs, serves and exports like any other module. The layers are described by JSON values; their numbers stand
in model.safetensors.

Letters: B batch, D dimensions of the features, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.errors import ModelError

MAX_DEPTH = 8
MAX_LAYERS = 200
MAX_WIDTH = 10**7
"""Of a description that is read from a file: no more than any estimator here needs."""

Spec = Mapping[str, Any]
"""Description of a layer: `kind`, and what builds it."""


class Layer(nn.Module):
    """One step of a head; `spec` describes it."""

    kind: str

    def spec(self) -> dict[str, Any]:
        """JSON values from which the layer is built again."""
        return {"kind": self.kind}


class Linear(Layer):
    """x W' + b, [B, inputs] -> [B, outputs]."""

    kind = "linear"

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.inputs, self.outputs, self.bias = inputs, outputs, bias
        self.map = nn.Linear(inputs, outputs, bias=bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> "Linear":
        """With the given weight [outputs, inputs] and bias [outputs]."""
        with torch.random.fork_rng(devices=[]):  # the numbers drawn here are replaced below
            layer = cls(weight.shape[1], weight.shape[0], bias is not None)
        with torch.no_grad():
            layer.map.weight.copy_(weight)
            if bias is not None:
                layer.map.bias.copy_(bias)
        return layer

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "inputs": self.inputs, "outputs": self.outputs, "bias": self.bias}

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs]."""
        mapped: Tensor = self.map(x)
        return mapped


class Standardise(Layer):
    """(x - shift) * scale, column by column."""

    kind = "standardise"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    @classmethod
    def of(cls, shift: Tensor, scale: Tensor) -> "Standardise":
        """With the given shift [D] and scale [D]."""
        layer = cls(len(shift))
        layer.shift.copy_(shift)
        layer.scale.copy_(scale)
        return layer

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "width": self.width}

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        return (x - self.shift) * self.scale


class Normalise(Layer):
    """Rows of length 1; a row of zeros stays."""

    kind = "normalise"

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        return F.normalize(x, dim=1)


class Relu(Layer):
    """max(x, 0)."""

    kind = "relu"

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        return x.relu()


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    kind = "sigmoid"

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        return x.sigmoid()


class Log(Layer):
    """Logarithm of a share, so that a softmax gives it back; 0 counts as `least`."""

    kind = "log"

    def __init__(self, least: float = 1e-12) -> None:
        super().__init__()
        self.least = least

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "least": self.least}

    def forward(self, x: Tensor) -> Tensor:
        """[B, C] -> [B, C]."""
        return x.clamp_min(self.least).log()


class Scale(Layer):
    """factor * x: a calibration temperature, or the share of a residual."""

    kind = "scale"

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = float(factor)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "factor": self.factor}

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        return self.factor * x


class Affinity(Layer):
    """exp(-sharpness (1 - x)) of cosines x, as Tip-Adapter weighs its cache."""

    kind = "affinity"

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = float(sharpness)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "sharpness": self.sharpness}

    def forward(self, x: Tensor) -> Tensor:
        """[B, N] -> [B, N]."""
        return (self.sharpness * (x - 1)).exp()


class Nearest(Layer):
    """Weights exp(x / temperature) of the k largest cosines of a row, as shares of 1; the others 0."""

    kind = "nearest"

    def __init__(self, k: int, temperature: float) -> None:
        super().__init__()
        self.k, self.temperature = k, float(temperature)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "k": self.k, "temperature": self.temperature}

    def forward(self, x: Tensor) -> Tensor:
        """[B, N] -> [B, N]."""
        best = x.topk(self.k, dim=1)
        shares = (best.values / self.temperature).softmax(dim=1)
        return torch.zeros_like(x).scatter(1, best.indices, shares)


class Sequence_(Layer):  # noqa: N801 - `Sequence` is a type
    """One layer after the other; none: x itself."""

    kind = "sequence"

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.of = nn.ModuleList(layers)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "of": _specs(self.of)}

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D']."""
        for layer in self.of:
            x = layer(x)
        return x


class Sum(Layer):
    """The sum of several layers of one x."""

    kind = "sum"

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.of = nn.ModuleList(layers)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "of": _specs(self.of)}

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D']."""
        total: Tensor = self.of[0](x)
        for layer in self.of[1:]:
            total = total + layer(x)
        return total


class Blocks(Layer):
    """Columns cut into blocks, one layer for each; their results side by side.

    Args:
        widths: Columns of each block.
        layers: One a block.
    """

    kind = "blocks"

    def __init__(self, widths: Sequence[int], *layers: Layer) -> None:
        super().__init__()
        if len(widths) != len(layers):
            raise ModelError(f"expected one layer a block; got {len(layers)} for {len(widths)} blocks.")
        self.widths = list(widths)
        self.of = nn.ModuleList(layers)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "widths": self.widths, "of": _specs(self.of)}

    def forward(self, x: Tensor) -> Tensor:
        """[B, sum of widths] -> [B, D']."""
        parts = torch.split(x, self.widths, dim=1)
        return torch.cat([layer(part) for layer, part in zip(self.of, parts, strict=True)], dim=1)


class Gated(Layer):
    """Scores of several blocks, weighed by a gate that sees all: sum_i softmax(gate(x))_i f_i(x_i).

    Args:
        widths: Columns of each block.
        layers: The gate, [B, D] -> [B, blocks], then one layer a block, [B, width] -> [B, C].
    """

    kind = "gated"

    def __init__(self, widths: Sequence[int], *layers: Layer) -> None:
        super().__init__()
        if len(layers) != len(widths) + 1:
            raise ModelError(
                f"expected a gate and a layer a block; got {len(layers)} for {len(widths)} blocks."
            )
        self.widths = list(widths)
        self.of = nn.ModuleList(layers)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "widths": self.widths, "of": _specs(self.of)}

    def forward(self, x: Tensor) -> Tensor:
        """[B, sum of widths] -> [B, C]."""
        shares = self.of[0](x).softmax(dim=1)
        parts = torch.split(x, self.widths, dim=1)
        scores = torch.stack([layer(part) for layer, part in zip(self.of[1:], parts, strict=True)], dim=2)
        mixed: Tensor = (scores * shares.unsqueeze(1)).sum(dim=2)
        return mixed


class FeatureHead(nn.Module):
    """From features [B, D] to scores [B, C], of which a softmax (or a sigmoid, for several labels) gives the
    probabilities.

    Args:
        layers: Applied one after the other.
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = Sequence_(*layers)

    @classmethod
    def from_spec(cls, spec: Sequence[Spec]) -> "FeatureHead":
        """Build it from the description of its layers, without its numbers.

        Raises:
            ModelError: A layer that is not known, or values that do not build one.
        """
        budget = [MAX_LAYERS]
        return cls(*(_built(one, depth=0, budget=budget) for one in _listed(spec)))

    @property
    def spec(self) -> list[dict[str, Any]]:
        """The description of its layers: JSON values."""
        return cast(list[dict[str, Any]], self.layers.spec()["of"])

    def forward(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, C]."""
        scores: Tensor = self.layers(features)
        return scores


def head_width(head: nn.Module | None, embedding_dim: int) -> int:
    """Scores that a head gives for features [B, embedding_dim]; 0: there is no head.

    Raises:
        ModelError: The head does not take such features.
    """
    if head is None:
        return 0
    if isinstance(head, nn.Linear) and head.in_features == embedding_dim:
        return head.out_features
    device = next((tensor.device for tensor in head.state_dict().values()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            scores: Tensor = head(torch.ones(2, embedding_dim, device=device))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the head does not take features of {embedding_dim} numbers ({error}).") from None
    return scores.shape[1]


def _specs(layers: nn.ModuleList) -> list[dict[str, Any]]:
    return [cast(Layer, layer).spec() for layer in layers]


LEAVES: Mapping[str, Callable[..., Layer]] = {
    "linear": Linear,
    "standardise": Standardise,
    "normalise": Normalise,
    "relu": Relu,
    "sigmoid": Sigmoid,
    "log": Log,
    "scale": Scale,
    "affinity": Affinity,
    "nearest": Nearest,
}
KNOTS: Mapping[str, Callable[..., Layer]] = {
    "sequence": Sequence_,
    "sum": Sum,
    "blocks": Blocks,
    "gated": Gated,
}
"""Layers that hold others."""


def _built(spec: Any, *, depth: int, budget: list[int]) -> Layer:
    budget[0] -= 1
    if depth > MAX_DEPTH or budget[0] < 0:
        raise ModelError(f"expected a head of at most {MAX_LAYERS} layers, {MAX_DEPTH} deep; found more.")
    if not isinstance(spec, Mapping) or spec.get("kind") not in {*LEAVES, *KNOTS}:
        raise ModelError(f"expected a layer of {', '.join((*LEAVES, *KNOTS))}; found {spec!r:.80}.")
    given = {key: value for key, value in spec.items() if key != "kind"}
    kind = spec["kind"]
    try:
        if kind in LEAVES:
            if any(isinstance(value, int) and not 0 <= value <= MAX_WIDTH for value in given.values()):
                raise ModelError(f"expected widths of at most {MAX_WIDTH:,} in a layer; found {spec!r:.80}.")
            return LEAVES[kind](**given)
        inner = [_built(one, depth=depth + 1, budget=budget) for one in _listed(given.pop("of"))]
        if kind in ("blocks", "gated"):
            return KNOTS[kind](given.pop("widths"), *inner, **given)
        return KNOTS[kind](*inner, **given)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"the layer {spec!r:.80} cannot be built ({error}); copy the folder again."
        ) from None


def _listed(found: Any) -> list[Any]:
    if not isinstance(found, list | tuple):
        raise ModelError(f"expected a list of layers; found {found!r:.80}.")
    return list(found)
