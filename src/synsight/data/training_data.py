"""The rows of a catalog as training sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset, get_worker_info

from synsight.data.batches import Batch
from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.data.views import Pixels, ViewsConfig, decode_size, draw_view
from synsight.errors import ConfigError, DataError, ImageError
from synsight.seeding import generator

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

BatchKey = tuple[int, NDArray[np.int64]]
"""(epoch, rows): all that a batch depends on besides the data and its settings."""


@dataclass(frozen=True)
class _Row:
    image: Pixels
    label: int
    classes: NDArray[np.int64]


class TrainingData(Dataset[Batch]):
    """The rows of a catalog as training sees them; row i of it is `positions[i]` of the catalog.

    Each image is decoded once for all its views. When all decoded images fit in `cache_bytes` they are kept,
    and from the second epoch on nothing is read or decoded.

    Args:
        catalog: Where the rows are.
        views: What augmentation does.
        image_size: Side of a view, pixels.
        seed: Of the augmentation.
        where: Filter on the rows, as "split = 'train'"; not together with `positions`.
        positions: Catalog positions of the rows, [N] int64.
        vocabulary: Its column `words_<vocabulary>` gives the words; None: no words.
        label: Column that gives the labels; None: no labels.
        label_names: Class names in order; None: the column's values among the rows, sorted. Another value, or
            none, becomes -1.
        mean: Of the normalisation, one number a channel.
        std: Of the normalisation.
        cache_bytes: Memory for decoded images, over all workers together.

    Raises:
        DataError: No row is left, or a column is missing.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        views: ViewsConfig,
        image_size: int,
        seed: int = 0,
        where: str | None = None,
        positions: NDArray[np.int64] | None = None,
        vocabulary: str | None = None,
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        if where is not None and positions is not None:
            raise ConfigError("rows are chosen by `where` or by `positions`; got both.")
        self.catalog, self.views, self.image_size, self.seed = catalog, views, image_size, seed
        self.mean, self.std, self.cache_bytes = mean, std, cache_bytes
        self.words_column = None if vocabulary is None else f"words_{vocabulary}"
        self.label_column = label
        self._check_columns()
        self.positions = np.asarray(catalog.positions(where) if positions is None else positions, np.int64)
        if not len(self.positions):
            raise DataError(f"{catalog.path}: no row matches {where!r}; check the filter and the splits.")
        self.label_names = self._label_names(label_names)
        self._class_of = {name: number for number, name in enumerate(self.label_names or ())}
        self._decoded_bytes = self._size_of_decoded()
        self._kept: dict[int, _Row] = {}

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, key: BatchKey) -> Batch:
        epoch, rows = key
        positions = self.positions[rows]
        read = self._read(positions)
        shrink = [
            self._views_of(row.image, epoch, position) for row, position in zip(read, positions, strict=True)
        ]
        views = tuple(
            torch.from_numpy(np.stack(view)).permute(0, 3, 1, 2) for view in zip(*shrink, strict=True)
        )
        counts = [len(row.classes) for row in read]
        words = self.words_column is not None
        return Batch(
            views=views,
            positions=torch.from_numpy(positions),
            labels=torch.tensor([row.label for row in read]) if self.label_column else None,
            word_rows=torch.from_numpy(np.repeat(np.arange(len(read)), counts)) if words else None,
            word_classes=torch.from_numpy(np.concatenate([row.classes for row in read])) if words else None,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}  # a spawned worker fills its own

    def _views_of(self, image: Pixels, epoch: int, position: int) -> list[Pixels]:
        rng = generator(self.seed, "views", epoch, int(position))
        decoded = Image.fromarray(image)
        return [
            draw_view(decoded, self.views, image_size=self.image_size, rng=rng)
            for _ in range(self.views.count)
        ]

    def _read(self, positions: NDArray[np.int64]) -> list[_Row]:
        missing = [int(position) for position in positions if int(position) not in self._kept]
        fresh = dict(zip(missing, self._take(missing), strict=True)) if missing else {}
        if self._keeps():
            self._kept |= fresh
        return [fresh.get(int(position)) or self._kept[int(position)] for position in positions]

    def _keeps(self) -> bool:
        worker = get_worker_info()
        return self._decoded_bytes <= self.cache_bytes // (1 if worker is None else worker.num_workers)

    def _take(self, positions: list[int]) -> Iterator[_Row]:
        columns = ["image", *filter(None, (self.words_column, self.label_column))]
        table = self.catalog.take(positions, columns)
        images = table["image"].to_pylist()
        classes = table[self.words_column].to_pylist() if self.words_column else [()] * len(images)
        labels = table[self.label_column].to_pylist() if self.label_column else [None] * len(images)
        for position, data, label, words in zip(positions, images, labels, classes, strict=True):
            yield _Row(
                image=self._decode(data, position),
                label=self._class_of.get(str(label), -1),
                classes=np.asarray(words or (), np.int64),
            )

    def _decode(self, data: bytes, position: int) -> Pixels:
        try:
            image = decode_image(data, shrink_to=decode_size(self.views, image_size=self.image_size))
        except ImageError as error:
            raise DataError(
                f"{self.catalog.path}: the image at position {position} can no longer be decoded ({error}); "
                "ingest the source again."
            ) from error
        return np.asarray(image)

    def _check_columns(self) -> None:
        for column in filter(None, (self.words_column, self.label_column)):
            if column not in self.catalog.columns:
                hint = "run `synsight words` first" if column == self.words_column else "name another column"
                raise DataError(
                    f"{self.catalog.path}: expected a column {column!r}, found "
                    f"{', '.join(self.catalog.columns)}; {hint}."
                )

    def _label_names(self, names: Sequence[str] | None) -> list[str] | None:
        if self.label_column is None or names is not None:
            return None if names is None else list(names)
        values: set[str] = set()
        for table in self._small_columns([self.label_column]):
            values |= {
                str(value) for value in table[self.label_column].unique().to_pylist() if value is not None
            }
        return sorted(values)

    def _size_of_decoded(self) -> int:
        if not self.cache_bytes or not {"width", "height"} <= set(self.catalog.columns):
            return self.cache_bytes + 1
        total = 0
        for table in self._small_columns(["width", "height"]):
            width, height = (table[name].to_numpy().astype(np.int64) for name in ("width", "height"))
            total += 3 * int((width * height).sum())
        return total

    def _small_columns(self, columns: list[str], *, rows: int = 65_536) -> Iterator[pa.Table]:
        for start in range(0, len(self.positions), rows):
            yield self.catalog.take(self.positions[start : start + rows], columns)
