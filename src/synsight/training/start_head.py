"""A label head's first rows, in a file: what a fine-tuning begins with in place of small random numbers."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from synsight.errors import ModelError
from synsight.models.weights import load_weights, save_weights


def write_head(path: Path, *, weight: Tensor, bias: Tensor, names: Sequence[str]) -> None:
    """Write rows [C, D] and biases [C] of the labels `names`, in their order.

    Raises:
        StorageError: The disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, {"weight": weight.float(), "bias": bias.float(), "names": _fingerprint(names)})


def read_head(path: Path, *, embedding_dim: int, names: Sequence[str]) -> nn.Linear:
    """A head with the rows that `write_head` wrote for the same labels.

    Raises:
        ModelError: The file is missing or damaged, or its rows are for other labels or features.
    """
    expected = {"weight": (len(names), embedding_dim), "bias": (len(names),), "names": (8,)}
    advice = "begin with the rows that were made for these labels and this encoder"
    found = load_weights(path, expected=expected, advice=advice)
    if not torch.equal(found["names"], _fingerprint(names)):
        raise ModelError(f"{path}: expected rows of {', '.join(names[:3])}, ..., found others; {advice}.")
    head = nn.Linear(embedding_dim, len(names))
    with torch.no_grad():
        head.weight.copy_(found["weight"])
        head.bias.copy_(found["bias"])
    return head


def _fingerprint(names: Sequence[str]) -> Tensor:
    digest = hashlib.blake2b(json.dumps(list(names)).encode(), digest_size=8).digest()
    return torch.tensor(list(digest), dtype=torch.uint8)
