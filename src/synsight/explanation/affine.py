"""What of a head is linear: read off as one matrix, so that contributions are exact."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Blocks, Linear, Scale, Sequence_, Standardise, Sum
from synsight.models.saved import Model

_ROWS_AT_ONCE = 1024
_LINEAR = (Linear, Standardise, Scale)
_KNOTS = (Sequence_, Sum, Blocks)


@dataclass(frozen=True)
class Affine:
    """scores = x weight' + bias, in float64.

    Attributes:
        weight: [C, D].
        bias: [C].
        centre: Where contributions count from, [D]: the mean that the first `Standardise` takes off; else 0.
    """

    weight: Tensor
    bias: Tensor
    centre: Tensor


def in_features(head: nn.Module) -> Affine | None:
    """A head that is linear in the features, [B, D] -> [B, C]; None: it is not."""
    if isinstance(head, nn.Linear):
        bias = torch.zeros(head.out_features) if head.bias is None else head.bias
        weight = head.weight.detach().double()
        return Affine(weight, bias.detach().double(), torch.zeros(head.in_features, dtype=torch.float64))
    if not isinstance(head, FeatureHead):
        return None
    width = _width_of(head.layers)
    return None if width is None else _matrix(head.layers, width)


def in_words(model: Model) -> Affine | None:
    """A head of labels that is linear in the model's own word logits, [B, V] -> [B, C]; None: it is not.

    That is a head whose first layer is the word head, and whose others are linear; `adapt --method words`
    makes such heads.
    """
    head, words = model.head, model.word_head
    if words is None or not isinstance(head, FeatureHead) or model.config.head != "labels":
        return None
    layers = list(head.layers.of)
    if len(layers) < 2 or not isinstance(layers[0], Linear) or not _is_same(layers[0], words):
        return None
    return _matrix(Sequence_(*layers[1:]), words.out_features)  # type: ignore[arg-type]


def _is_same(first: Linear, words: nn.Linear) -> bool:
    own = first.map
    if own.weight.shape != words.weight.shape or (own.bias is None) != (words.bias is None):
        return False
    return torch.equal(own.weight, words.weight) and (own.bias is None or torch.equal(own.bias, words.bias))


def _matrix(layers: Sequence_, width: int) -> Affine | None:
    if not _is_linear(layers):
        return None
    device = next((one.device for one in (*layers.parameters(), *layers.buffers())), torch.device("cpu"))
    exact = copy.deepcopy(layers).double()
    with torch.no_grad():
        bias = exact(torch.zeros(1, width, dtype=torch.float64, device=device))[0]
        rows = []
        for start in range(0, width, _ROWS_AT_ONCE):
            size = min(_ROWS_AT_ONCE, width - start)
            units = torch.zeros(size, width, dtype=torch.float64, device=device)
            units[torch.arange(size), start + torch.arange(size)] = 1
            rows.append(exact(units) - bias)
    first = layers.of[0] if len(layers.of) else None
    centre = first.shift.double() if isinstance(first, Standardise) else torch.zeros(width).double()
    return Affine(torch.cat(rows).T.cpu(), bias.cpu(), centre.detach().cpu())


def _is_linear(layer: nn.Module) -> bool:
    if isinstance(layer, _KNOTS):
        return all(_is_linear(one) for one in layer.of)
    return isinstance(layer, _LINEAR)


def _width_of(layer: nn.Module) -> int | None:
    """Columns that a layer takes; None: it takes any."""
    if isinstance(layer, Linear):
        return layer.inputs
    if isinstance(layer, Standardise):
        return layer.width
    if isinstance(layer, Blocks):
        return sum(layer.widths)
    if isinstance(layer, Sequence_ | Sum):
        return next((found for one in layer.of if (found := _width_of(one)) is not None), None)
    return None
