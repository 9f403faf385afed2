"""Heads that few-label methods leave behind: from features to one score a class, by a closed set of layers.

A fitted estimator becomes a `FeatureHead`, so that the model folder keeps it without code of its own and it
runs, serves and exports like any other module. The layers are described by JSON values; their numbers stand
in model.safetensors.

Letters: B batch, D dimensions of the features, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from synsight.errors import ModelError
from synsight.models.head_layers import KNOTS, LEAVES, Layer, Sequence_

MAX_DEPTH = 8
MAX_LAYERS = 200
MAX_WIDTH = 10**7
"""Of a description that is read from a file: no more than any estimator here needs."""

Spec = Mapping[str, Any]
"""Description of a layer: `kind`, and what builds it."""


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
