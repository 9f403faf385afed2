"""The rows that a monitor looks at: chosen and decoded once, each process keeping its share of the pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synsight.data.catalog import Catalog
from synsight.data.label_names import label_name
from synsight.data.training_data import IMAGENET_MEAN, IMAGENET_STD, TrainingData
from synsight.data.views import ViewsConfig
from synsight.distributed import World
from synsight.errors import DataError, ImageError, near_names
from synsight.models import ModelConfig
from synsight.models.preparing import prepared
from synsight.seeding import generator
from synsight.training.config import RunConfig

DECODE_BATCH = 256


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of which this process has a share."""

    share: Tensor
    """[n, Q, 3, S, S] uint8: Q views of each row of `share_of(total, world)`."""
    total: int
    """Rows over all processes."""
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is looked at. With labels, those of `val` (and of `train`) number `class_names`."""

    val: Pixels
    """Rows that are asked about, as evaluation sees them."""
    val_labels: NDArray[np.int64] | None = None
    train: Pixels | None = None
    """Rows that serve as neighbours."""
    train_labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    views: Pixels | None = None
    """Augmented views of some of the rows that are asked about."""


def share_of(total: int, world: World) -> NDArray[np.int64]:
    """The rows, of 0 to total - 1, that this process embeds: every W-th, and as many in every process.

    The last ones may come twice, since the exchange between processes needs as many rows of each.
    """
    each = -(-total // world.size)
    return (np.arange(each) * world.size + world.rank) % total


def whole_of(shares: Tensor, total: int, world: World) -> Tensor:
    """All rows in their order, [total, ...], from the shares of all processes in rank order, [W * n, ...]."""
    by_rank = shares.reshape(world.size, -1, *shares.shape[1:])
    return by_rank.transpose(0, 1).flatten(0, 1)[:total]


def choose_rows(
    config: RunConfig,
    catalog: Catalog,
    *,
    rows: NDArray[np.int64] | None,
    world: World,
    model: ModelConfig | None = None,
) -> tuple[HeldOut | None, str]:
    """Choose and decode the rows of a run's monitor, with labels where there are any.

    Args:
        config: The run's settings.
        catalog: The run's catalog; `config.monitor.data` may name another one to look at.
        rows: Positions trained on, when they are not those of `config.where`; only these serve as neighbours.
        world: The processes that look together.
        model: Of the model that the run will save, whose images are prepared as evaluation does it; None: as
            for an encoder that begins without weights.

    Returns:
        The rows, or None when there is none to ask about; and why there are no labels or neighbours, or "".

    Raises:
        DataError: The label column that was named does not exist.
        CatalogError: The monitor's own catalog cannot be opened.
    """
    source = catalog if config.monitor.data is None else Catalog.open(config.monitor.data)
    label = config.monitor.label or config.label
    if label is not None and label not in source.columns:
        raise DataError(
            f"{source.path}: there is no column {label!r} to monitor by; {near_names(label, source.columns)}"
        )
    asked = source.positions(_labelled(config.monitor.where, label))
    neighbours, reason = np.empty(0, np.int64), "no label column was named (--label)"
    if label is not None:
        neighbours, reason = _neighbours(config, source, label, rows if source is catalog else None), ""
        if not len(neighbours):
            reason = "the catalog has no labelled training rows"
        if not len(asked):
            asked, label = source.positions(config.monitor.where), None
            reason = f"the catalog has no labelled rows where {config.monitor.where}"
    if not len(asked):
        return None, f"the catalog has no rows where {config.monitor.where}"
    chosen = _Chosen(config, source, world, model or _untrained(config))
    asked = chosen.some(asked, config.monitor.val_rows, "val")
    views = chosen.some(asked, config.monitor.views_rows, "views") if config.monitor.views_rows else asked[:0]
    augmented = ViewsConfig(kind="simclr", count=config.monitor.views_per_row)
    found = HeldOut(
        val=chosen.prepared(asked), views=chosen.augmented(views, augmented) if len(views) > 1 else None
    )
    return (found if label is None else chosen.labelled(found, asked, neighbours, label)), reason


def _neighbours(
    config: RunConfig, source: Catalog, label: str, rows: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    where = config.where if config.monitor.data is None else config.monitor.train_where
    if rows is None:
        return source.positions(_labelled(where, label))
    return np.intersect1d(rows, source.positions(f"`{label}` IS NOT NULL"))


def _labelled(where: str, label: str | None) -> str:
    return where if label is None else f"({where}) AND `{label}` IS NOT NULL"


@dataclass(frozen=True)
class _Chosen:
    config: RunConfig
    source: Catalog
    world: World
    model: ModelConfig

    def some(self, positions: NDArray[np.int64], most: int, name: str) -> NDArray[np.int64]:
        if len(positions) <= most:
            return positions
        return np.sort(
            generator(self.config.seed, "monitor", name).choice(positions, size=most, replace=False)
        )

    def labelled(
        self, found: HeldOut, asked: NDArray[np.int64], neighbours: NDArray[np.int64], label: str
    ) -> HeldOut:
        neighbours = self.some(neighbours, self.config.monitor.train_rows, "train")
        names = [self._names(positions, label) for positions in (asked, neighbours)]
        class_names, numbers = np.unique(np.concatenate(names), return_inverse=True)
        return HeldOut(
            val=found.val,
            views=found.views,
            val_labels=numbers[: len(asked)],
            train=self.prepared(neighbours) if len(neighbours) else None,
            train_labels=numbers[len(asked) :],
            class_names=tuple(class_names.tolist()),
        )

    def _names(self, positions: NDArray[np.int64], label: str) -> NDArray[np.str_]:
        column = self.source.take(positions, [label])[label].to_pylist() if len(positions) else []
        return np.array([str(label_name(value)) for value in column], dtype=np.str_)

    def prepared(self, positions: NDArray[np.int64]) -> Pixels:
        """As evaluation sees them."""

        def pixels(share: NDArray[np.int64]) -> Tensor:
            images = self.source.take(positions[share], ["image"])["image"].to_pylist()
            try:
                return prepared(images, self.model)[:, None]
            except ImageError as error:
                raise DataError(
                    f"{self.source.path}: an image to monitor by can no longer be decoded ({error}); ingest "
                    "the source again."
                ) from error

        return self._shared(len(positions), pixels)

    def augmented(self, positions: NDArray[np.int64], views: ViewsConfig) -> Pixels:
        """As training sees them."""
        data = TrainingData(
            self.source,
            views=views,
            image_size=self.config.image_size,
            seed=self.config.seed,
            positions=positions,
            cache_bytes=0,  # nothing is asked for twice
        )
        return self._shared(len(positions), lambda share: torch.stack(data[0, share].views, dim=1))

    def _shared(self, total: int, pixels: Callable[[NDArray[np.int64]], Tensor]) -> Pixels:
        share = share_of(total, self.world)
        parts = [pixels(share[start : start + DECODE_BATCH]) for start in range(0, len(share), DECODE_BATCH)]
        return Pixels(torch.cat(parts), total=total, mean=self.model.mean, std=self.model.std)


def _untrained(config: RunConfig) -> ModelConfig:
    return ModelConfig(
        encoder=config.encoder,
        image_size=config.image_size,
        embedding_dim=1,  # nothing about images depends on it
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
