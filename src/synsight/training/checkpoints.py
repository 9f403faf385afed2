"""Checkpoints: one file of tensors and one of plain values, durable before they count, no pickle anywhere.

`state.json` is the pointer: it names the tensor file and its SHA-256, and is replaced atomically after the
tensors are on the disk. A writer killed at any moment leaves the former checkpoint or the new one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from synsight import files
from synsight.errors import DataError, TrainingError

FORMAT = 1
POINTER = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What one file of tensors and one of plain values hold."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, step: int) -> None:
    """Replace the checkpoint in `folder`.

    Raises:
        StorageError: The disk refused; the former checkpoint is still whole.
    """
    content = safetensors.torch.save({name: value.contiguous() for name, value in checkpoint.tensors.items()})
    name = f"state-{step:09d}.safetensors"
    files.write_bytes(folder / name, content)
    pointer = {
        "format": FORMAT,
        "tensors": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "values": dict(checkpoint.values),
    }
    files.write_json(folder / POINTER, pointer)
    for old in folder.iterdir():
        if old.name not in (name, POINTER):
            files.remove(old)


def has_checkpoint(folder: Path) -> bool:
    """True when something claims to be a checkpoint here."""
    return (folder / POINTER).exists()


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in `folder`.

    Raises:
        TrainingError: Torn, altered or not ours; names the file.
    """
    try:
        pointer = files.read_json(folder / POINTER)
    except DataError as error:
        raise _unusable(folder / POINTER, str(error)) from None
    if not isinstance(pointer, dict) or pointer.get("format") != FORMAT:
        raise _unusable(folder / POINTER, f"it is not a checkpoint of format {FORMAT}")
    name, values = pointer.get("tensors"), pointer.get("values")
    # The name comes from a file somebody may have edited; it must not lead out of the folder.
    if not isinstance(name, str) or Path(name).name != name or not isinstance(values, dict):
        raise _unusable(folder / POINTER, "its fields are damaged")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise _unusable(folder / name, error.strerror or str(error)) from None
    if hashlib.sha256(content).hexdigest() != pointer.get("sha256"):
        raise _unusable(folder / name, "its bytes are not the ones that were saved")
    try:
        return Checkpoint(tensors=safetensors.torch.load(content), values=values)
    except (safetensors.SafetensorError, ValueError) as error:
        raise _unusable(folder / name, str(error)) from None


def _unusable(path: Path, reason: str) -> TrainingError:
    return TrainingError(
        f"{path}: expected a checkpoint that synsight saved, but {reason}; "
        "put the file back, or start again in a new folder."
    )
