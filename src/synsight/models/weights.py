"""Weights on disk: safetensors only, looked at before they are believed.

A file from outside may be cut off, swapped, or a pickle under another name. Nothing here runs code from a
file, and nothing large is allocated before the header fits the file and the architecture.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from synsight import files
from synsight.errors import ModelError

MAX_HEADER_BYTES = 2**20
MAX_TENSORS = 100_000

Shapes = Mapping[str, tuple[int, ...]]
"""Name of a tensor -> its shape."""


def save_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors, named as given, durably."""
    files.write_bytes(
        path, save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    )


def load_weights(
    path: Path,
    *,
    expected: Shapes,
    ignore: Callable[[str], bool] = lambda name: False,
    advice: str = "the folder mixes two models, so copy it again whole",
) -> dict[str, Tensor]:
    """Read the tensors of a file that holds exactly those expected.

    Args:
        path: A safetensors file.
        expected: Name and shape of every tensor that is read.
        ignore: Says of a tensor's name that it may be in the file as well; it is not read.
        advice: Ends the sentence about a file that holds others.

    Raises:
        ModelError: The file is missing, is no whole safetensors file, or holds other tensors or shapes.
    """
    found = read_shapes(path)
    if missing := sorted(set(expected) - set(found)):
        raise ModelError(
            f"{path}: expected {len(expected)} tensors of the model, found none named {missing[0]!r}; "
            f"{advice}."
        )
    if surplus := sorted(name for name in set(found) - set(expected) if not ignore(name)):
        raise ModelError(f"{path}: found a tensor {surplus[0]!r} that the model does not have; {advice}.")
    for name, shape in expected.items():
        if found[name] != shape:
            raise ModelError(
                f"{path}: tensor {name!r} has shape {list(found[name])}, expected {list(shape)}; {advice}."
            )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise _not_safetensors(path, f"its tensors cannot be read ({error})") from None


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file, from its header alone; the header is checked against the
    file's size.

    Raises:
        ModelError: As `load_weights`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _not_safetensors(path, "its header is longer than the file or than any model's")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: expected the model's weights, found nothing; give the folder that `pretrain` or "
            "`save_pretrained` wrote (weights as .bin, .pt or .pkl are not read: they can run code)."
        ) from None
    except (ValueError, RecursionError):  # no UTF-8, no JSON, absurd numbers or nesting
        raise _not_safetensors(path, "its header is not JSON") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _not_safetensors(path, f"its header is no list of at most {MAX_TENSORS:,} tensors")
    header.pop("__metadata__", None)
    shapes, end = {}, 0
    for name, entry in header.items():
        shapes[name], stop = _check_entry(path, name, entry)
        end = max(end, stop)
    if 8 + length + end != size:
        raise _not_safetensors(path, f"it has {size:,} bytes where its header speaks of {8 + length + end:,}")
    return shapes


def digest_of(state: Mapping[str, Tensor], *, settings: Any) -> str:
    """12 hex digits that stand for a model: SHA-256 over its tensors and `settings`, a JSON value."""
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:12]


def _check_entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], int]:
    try:
        shape = tuple(int(length) for length in entry["shape"])
        start, stop = (int(offset) for offset in entry["data_offsets"])
    except (TypeError, KeyError, ValueError, OverflowError):
        raise _not_safetensors(path, f"the entry of tensor {name!r} is no shape with offsets") from None
    if not 0 <= start <= stop or any(length < 0 for length in shape):
        raise _not_safetensors(path, f"the entry of tensor {name!r} is out of range")
    return shape, stop


def _not_safetensors(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path}: expected a whole safetensors file, but {why}; copy the model again, or convert "
        "other formats with "
        "safetensors (pickles are not read: they can run code)."
    )
