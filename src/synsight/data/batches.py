"""What a training step receives."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from synsight.data.views import normalise


@dataclass(frozen=True)
class Batch:
    """The views of B images and what is known of them."""

    views: tuple[Tensor, ...]
    """Each [B, 3, S, S] float32, normalised; row i of every view shows the same image. (On the way from a
    loader's worker they are uint8, a quarter of the bytes.)"""
    positions: Tensor
    """Where the rows stand in the catalog, [B] int64."""
    labels: Tensor | None = None
    """[B] int64; -1: none."""
    word_rows: Tensor | None = None
    """[P] int64: row `word_rows[p]` of the batch has class `word_classes[p]`; each pair once."""
    word_classes: Tensor | None = None
    """[P] int64."""
    word_weights: Tensor | None = None
    """How much each of these counts, [P] float32 in 0..1; None: 1. A word that the caption implies (an
    animal, where it says "dog") counts less than the word itself."""
    captions: tuple[str, ...] = ()
    """The captions on their way to becoming tokens, B or none."""
    tokens: Tensor | None = None
    """The captions as token ids, [B, L] int64."""
    caption_embeddings: Tensor | None = None
    """Of a frozen text encoder, [B, E] float32."""
    partners: Tensor | None = None
    """Where the image of the second view stands in the catalog when it is another one, [B] int64."""
    neighbours: Tensor | None = None
    """Where the images with the nearest captions stand in the catalog, [B, K] int64; -1: none."""
    local_views: tuple[Tensor, ...] = ()
    """Smaller views of the same images (multi-crop), each [B, 3, s, s]."""

    def __len__(self) -> int:
        return len(self.positions)

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> "Batch":
        """The batch on a device, the views in the memory format asked for; no copy of what is so already."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return self._mapped(
            lambda value: value.to(device, non_blocking=True),
            lambda view: view.to(device, non_blocking=True).contiguous(memory_format=layout),
        )

    def part(self, rows: slice) -> "Batch":
        """Some rows of the batch: all that belongs to a row alone; the words, which are spread over the rows,
        stay behind.
        """
        kept = replace(self, word_rows=None, word_classes=None, word_weights=None)
        return kept._mapped(lambda value: value[rows], lambda view: view[rows])

    def normalised(self, *, mean: tuple[float, ...], std: tuple[float, ...]) -> "Batch":
        """The batch with its uint8 views as normalised float32."""
        return self._mapped(lambda value: value, lambda view: normalise(view, mean=mean, std=std))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where a GPU fetches it while computing."""
        return self._mapped(Tensor.pin_memory, Tensor.pin_memory)

    def _mapped(self, tensor: Callable[[Tensor], Tensor], view: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with one function applied to its views and another to all else."""
        changed: dict[str, Any] = {
            field.name: tensor(value)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        changed["views"] = tuple(view(one) for one in self.views)
        changed["local_views"] = tuple(view(one) for one in self.local_views)
        return replace(self, **changed)
