"""The monitor: k-NN accuracy on held-out labelled rows, looked at while training goes on."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.data.catalog import Catalog
from synsight.data.training_data import TrainingData
from synsight.data.views import ViewsConfig, normalise
from synsight.errors import DataError, near_names
from synsight.metrics import acc1, neighbour_count, unit_feature_spread, weighted_knn
from synsight.seeding import generator
from synsight.training.config import RunConfig

METRIC = "knn_acc1"
EMBED_BATCH = 256
EMBED_COST = 1 / 3
"""Work of embedding an image, in images trained on: the forward pass without the backward one."""


@dataclass(frozen=True)
class Reading:
    """What one look found."""

    knn_acc1: float
    """Share of the held-out rows whose nearest training rows name the right label."""
    feature_spread: float
    """Spread of the held-out rows' features: 0 a point, 1 even."""


class Monitor:
    """Held-out rows and their possible neighbours, decoded once and kept as uint8.

    Args:
        train: Labelled training rows that serve as neighbours, with plain views.
        val: Held-out rows with the same label names, with plain views.
        config: The run's settings.
    """

    def __init__(self, train: TrainingData, val: TrainingData, config: RunConfig) -> None:
        assert train.label_names is not None
        self.config = config.monitor
        self.rows = (len(train), len(val))
        self._mean, self._std = train.mean, train.std
        self._num_classes = len(train.label_names)
        self._train, self._train_labels = _pixels(train)
        self._val, self._val_labels = _pixels(val)
        self._neighbours = neighbour_count(self._train_labels, most=self.config.neighbours)

    def every_steps(self, *, batch_size: int, num_views: int, total_steps: int) -> int:
        """Steps between two looks, so that looking costs no more than the configured share of the work."""
        if self.config.every_steps is not None:
            return self.config.every_steps
        cost = sum(self.rows) * EMBED_COST
        return min(total_steps, math.ceil(cost / (self.config.share * batch_size * num_views)))

    def look(
        self, encoder: nn.Module, *, device: torch.device, autocast: AbstractContextManager[object]
    ) -> Reading:
        """Embed both sets and vote. The encoder comes back in the mode it was in."""
        training = encoder.training
        encoder.eval()
        with torch.inference_mode(), autocast:
            train, val = (self._embed(encoder, pixels, device) for pixels in (self._train, self._val))
        encoder.train(training)
        votes = weighted_knn(
            train,
            self._train_labels,
            val,
            num_classes=self._num_classes,
            k=self._neighbours,
            temperature=self.config.temperature,
        )
        return Reading(
            knn_acc1=acc1(self._val_labels, votes.argmax(axis=1)), feature_spread=unit_feature_spread(val)
        )

    def _embed(self, encoder: nn.Module, pixels: Tensor, device: torch.device) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(pixels), EMBED_BATCH):
            batch = pixels[start : start + EMBED_BATCH].to(device)
            views = normalise(batch, mean=self._mean, std=self._std)
            parts.append(encoder(views.contiguous(memory_format=torch.channels_last)).float().cpu())
        features: NDArray[np.float32] = torch.cat(parts).numpy()
        return features


def build_monitor(
    config: RunConfig, catalog: Catalog, *, rows: NDArray[np.int64] | None
) -> tuple[Monitor | None, str]:
    """The monitor of a run, or None with the reason why there is none.

    Args:
        config: The run's settings.
        catalog: Where the rows are.
        rows: Positions trained on, when they are not those of `config.where`; only these serve as neighbours.

    Raises:
        DataError: The label column that was named does not exist.
    """
    label = config.label
    if label is None:
        return None, "no label column was named (--label)"
    if label not in catalog.columns:
        raise DataError(
            f"{catalog.path}: there is no column {label!r} to monitor by; "
            f"{near_names(label, catalog.columns)}"
        )
    train = catalog.positions(f"({config.where}) AND `{label}` IS NOT NULL")
    if rows is not None:
        train = np.intersect1d(rows, catalog.positions(f"`{label}` IS NOT NULL"))
    val = catalog.positions(f"({config.monitor.where}) AND `{label}` IS NOT NULL")
    if not len(train) or not len(val):
        empty = "labelled training rows" if not len(train) else f"labelled rows where {config.monitor.where}"
        return None, f"the catalog has no {empty}"
    views = ViewsConfig(kind="plain", count=1)
    neighbours = TrainingData(
        catalog,
        views=views,
        image_size=config.image_size,
        positions=_some(train, config.monitor.train_rows, config.seed, "train"),
        label=label,
    )
    asked = TrainingData(
        catalog,
        views=views,
        image_size=config.image_size,
        positions=_some(val, config.monitor.val_rows, config.seed, "val"),
        label=label,
        label_names=neighbours.label_names,
    )
    return Monitor(neighbours, asked, config), ""


def _some(positions: NDArray[np.int64], most: int, seed: int, name: str) -> NDArray[np.int64]:
    if len(positions) <= most:
        return positions
    return np.sort(generator(seed, "monitor", name).choice(positions, size=most, replace=False))


def _pixels(data: TrainingData) -> tuple[Tensor, NDArray[np.int64]]:
    parts = [
        data[0, np.arange(start, min(start + EMBED_BATCH, len(data)))]
        for start in range(0, len(data), EMBED_BATCH)
    ]
    labels = torch.cat([part.labels for part in parts if part.labels is not None])
    return torch.cat([part.views[0] for part in parts]), labels.numpy()
