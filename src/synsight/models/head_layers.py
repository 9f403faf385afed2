"""The closed set of layers that heads over features are made of, each with a description in JSON values.

Letters: B batch, D dimensions of the features, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.errors import ModelError


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


def _specs(layers: nn.ModuleList) -> list[dict[str, Any]]:
    return [cast(Layer, layer).spec() for layer in layers]
