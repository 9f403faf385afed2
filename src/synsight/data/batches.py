"""What a training step receives."""

from dataclasses import dataclass, fields, replace

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

    def __len__(self) -> int:
        return len(self.positions)

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> "Batch":
        """The batch on a device, the views in the memory format asked for; no copy of what is so already."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        views = (view.to(device, non_blocking=True).contiguous(memory_format=layout) for view in self.views)
        return replace(self, views=tuple(views), **moved)

    def normalised(self, *, mean: tuple[float, ...], std: tuple[float, ...]) -> "Batch":
        """The batch with its uint8 views as normalised float32."""
        return replace(self, views=tuple(normalise(view, mean=mean, std=std) for view in self.views))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where a GPU fetches it while computing."""
        pinned = {
            field.name: value.pin_memory()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, views=tuple(view.pin_memory() for view in self.views), **pinned)
