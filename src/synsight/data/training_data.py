"""The rows of a catalog as training sees them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from synsight.data.batches import Batch
from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.data.label_names import label_name, label_names
from synsight.data.partners import Partners
from synsight.data.views import Pixels, ViewsConfig, decode_size, draw_views
from synsight.errors import ConfigError, DataError, ImageError
from synsight.seeding import generator

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

BatchKey = tuple[int, NDArray[np.int64]] | tuple[int, NDArray[np.int64], int]
"""(epoch, rows) or (epoch, rows, side of the views in pixels): all that a batch depends on besides the data
and its settings."""

Tokenise = Callable[[Sequence[str]], Tensor]
"""Captions -> token ids [B, L] int64."""

EMBEDDING_COLUMN = "caption_embedding"


@dataclass(frozen=True)
class _Row:
    image: Pixels | bytes
    """Decoded when all images of the data fit in memory so; else as it came."""
    label: int
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    """Of the classes."""
    caption: str
    embedding: NDArray[np.float32] | None


class TrainingData(Dataset[Batch]):
    """The rows of a catalog as training sees them; row i of it is `positions[i]` of the catalog.

    Each image is decoded once for all its views. When all decoded images fit in `cache_bytes` they are kept,
    and from the second epoch on nothing is read or decoded; when they do not, an image is decoded no further
    than its views need.

    Args:
        catalog: Where the rows are.
        views: What augmentation does.
        image_size: Side of a view, pixels.
        largest_size: Largest side that a key will ask for; None: `image_size`.
        seed: Of the augmentation.
        where: Filter on the rows, as "split = 'train'"; not together with `positions`.
        positions: Catalog positions of the rows, [N] int64.
        vocabulary: Its column `words_<vocabulary>` gives the words; None: no words.
        label: Column that gives the labels; None: no labels.
        text_column: Column with the captions that `tokenise` reads, text or a list of texts.
        tokenise: Makes token ids of captions, in the process that asks the loader; None: no captions.
        caption_embeddings: Take along the column `caption_embedding`.
        neighbours: Nearest caption neighbours one of which gives the second view; 0: the image itself does.
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
        largest_size: int | None = None,
        seed: int = 0,
        where: str | None = None,
        positions: NDArray[np.int64] | None = None,
        vocabulary: str | None = None,
        label: str | None = None,
        text_column: str = "caption",
        tokenise: Tokenise | None = None,
        caption_embeddings: bool = False,
        neighbours: int = 0,
        label_names: Sequence[str] | None = None,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        if where is not None and positions is not None:
            raise ConfigError("rows are chosen by `where` or by `positions`; got both.")
        self.catalog, self.views, self.image_size, self.seed = catalog, views, image_size, seed
        self.largest_size = largest_size or image_size
        self.mean, self.std, self.cache_bytes = mean, std, cache_bytes
        self.words_column = None if vocabulary is None else f"words_{vocabulary}"
        weights_column = f"word_weights_{vocabulary}"
        self.weights_column = weights_column if weights_column in catalog.columns else None
        self.label_column = label
        self.tokenise = tokenise
        self.text_column = text_column if tokenise is not None else None
        self.embedding_column = EMBEDDING_COLUMN if caption_embeddings else None
        self._check_columns()
        self.positions = np.asarray(catalog.positions(where) if positions is None else positions, np.int64)
        if not len(self.positions):
            raise DataError(f"{catalog.path}: no row matches {where!r}; check the filter and the splits.")
        self.positions = self._with_text()
        self.partners = Partners(catalog, self.positions, count=neighbours) if neighbours else None
        self.label_names = self._label_names(label_names)
        self._class_of = {name: number for number, name in enumerate(self.label_names or ())}
        self._decoded_bytes = self._size_of_decoded()
        self._kept: dict[int, _Row] = {}

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, key: BatchKey) -> Batch:
        epoch, rows, *size = key
        image_size = size[0] if size else self.image_size
        positions = self.positions[rows]
        partners = self._partners(rows, positions, epoch)
        read = self._read(positions if partners is None else np.unique(np.concatenate([positions, partners])))
        own = [read[int(position)] for position in positions]
        views, local = self._views(read, positions, partners, epoch=epoch, image_size=image_size)
        return Batch(
            views=views,
            local_views=local,
            positions=torch.from_numpy(positions),
            labels=torch.tensor([row.label for row in own]) if self.label_column else None,
            partners=None if partners is None else torch.from_numpy(partners),
            neighbours=None if self.partners is None else torch.from_numpy(self.partners.table[rows]),
            **self._language(own),
        )

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker fills its own, and leaves the tokens to the process that has the text encoder.
        return self.__dict__ | {"_kept": {}, "tokenise": None}

    def with_tokens(self, batch: Batch) -> Batch:
        """A batch with its captions as token ids."""
        if self.tokenise is None:
            return batch
        return replace(batch, tokens=self.tokenise(batch.captions), captions=())

    def _partners(
        self, rows: NDArray[np.int64], positions: NDArray[np.int64], epoch: int
    ) -> NDArray[np.int64] | None:
        if self.partners is None:
            return None
        return self.partners.draw(rows, positions, seed=self.seed, epoch=epoch)

    def _language(self, rows: list[_Row]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.words_column is not None:
            counts = [len(row.classes) for row in rows]
            found["word_rows"] = torch.from_numpy(np.repeat(np.arange(len(rows)), counts))
            found["word_classes"] = torch.from_numpy(np.concatenate([row.classes for row in rows]))
            if self.weights_column is not None:
                found["word_weights"] = torch.from_numpy(np.concatenate([row.weights for row in rows]))
        if self.text_column is not None:
            found["captions"] = tuple(row.caption for row in rows)
        if self.embedding_column is not None:
            found["caption_embeddings"] = torch.from_numpy(
                np.stack([row.embedding for row in rows if row.embedding is not None])
            )
        return found

    def _views(
        self,
        read: dict[int, _Row],
        positions: NDArray[np.int64],
        partners: NDArray[np.int64] | None,
        *,
        epoch: int,
        image_size: int,
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        drawn = []
        for place, position in enumerate(positions):
            rng = generator(self.seed, "views", epoch, int(position))
            shown = [int(position)] if partners is None else [int(position), int(partners[place])]
            drawn.append(self._draw([(one, read[one]) for one in shown], image_size, rng))
        whole = self.views.count
        stacked = [torch.from_numpy(np.stack(view)).permute(0, 3, 1, 2) for view in zip(*drawn, strict=True)]
        return tuple(stacked[:whole]), tuple(stacked[whole:])

    def _draw(self, rows: list[tuple[int, _Row]], image_size: int, rng: np.random.Generator) -> list[Pixels]:
        """All views of one image, or one view each of two."""
        views = self.views if len(rows) == 1 else replace(self.views, count=1)
        drawn: list[Pixels] = []
        for position, row in rows:
            try:
                drawn += draw_views(
                    row.image, views, image_size=image_size, rng=rng, largest_size=self.largest_size
                )
            except ImageError as error:
                raise self._broken(position, error) from error
        return drawn

    def _read(self, positions: NDArray[np.int64]) -> dict[int, _Row]:
        wanted = [int(position) for position in positions]
        missing = [position for position in wanted if position not in self._kept]
        fresh = dict(zip(missing, self._take(missing), strict=True)) if missing else {}
        if self._keeps():
            self._kept |= fresh
        return {position: fresh.get(position) or self._kept[position] for position in wanted}

    def _fits(self) -> bool:
        return self._decoded_bytes <= self.cache_bytes

    def _keeps(self) -> bool:
        worker = get_worker_info()
        return self._decoded_bytes <= self.cache_bytes // (1 if worker is None else worker.num_workers)

    def _take(self, positions: list[int]) -> Iterator[_Row]:
        table = self.catalog.take(positions, ["image", *self._columns()])
        for position, row in zip(positions, table.to_pylist(), strict=True):
            embedding = row[self.embedding_column] if self.embedding_column else None
            classes = np.asarray(row[self.words_column] or () if self.words_column else (), np.int64)
            weights = row[self.weights_column] if self.weights_column else None
            yield _Row(
                # What is kept must not hang on the number of workers, or views would; `_keeps` may.
                image=self._decode(row["image"], position) if self._fits() else row["image"],
                label=self._class(row[self.label_column]) if self.label_column else -1,
                classes=classes,
                weights=np.ones(len(classes), np.float32)
                if weights is None
                else np.asarray(weights, np.float32),
                caption=_text(row[self.text_column]) if self.text_column else "",
                embedding=None if embedding is None else np.asarray(embedding, np.float32),
            )

    def _columns(self) -> list[str]:
        """What is read of a row besides its image; each once."""
        named = (
            self.words_column,
            self.weights_column,
            self.label_column,
            self.text_column,
            self.embedding_column,
        )
        return list(dict.fromkeys(name for name in named if name is not None))

    def _decode(self, data: bytes, position: int) -> Pixels:
        try:
            shrink_to = decode_size(self.views, image_size=self.largest_size)
            return decode_pixels(data, shrink_to=shrink_to)
        except ImageError as error:
            raise self._broken(position, error) from error

    def _broken(self, position: int, error: ImageError) -> DataError:
        return DataError(
            f"{self.catalog.path}: the image at position {position} can no longer be decoded ({error}); "
            "ingest the source again."
        )

    def _check_columns(self) -> None:
        hints = {
            self.words_column: "run `synsight words` first"
            if "words_terms" not in self.catalog.columns
            else "run `synsight words` first, or train on your own vocabulary with --words terms",
            self.embedding_column: "run `synsight words CATALOG --embed-captions minilm` first",
        }
        for column in self._columns():
            if column not in self.catalog.columns:
                hint = hints.get(column, "name another column")
                raise DataError(
                    f"{self.catalog.path}: expected a column {column!r}, found "
                    f"{', '.join(self.catalog.columns)}; {hint}."
                )

    @property
    def caption_dim(self) -> int:
        """E of the caption embeddings."""
        return int(self.catalog.schema.field(EMBEDDING_COLUMN).type.list_size)

    def label_counts(self) -> Tensor:
        """Rows of each of the `label_names`, [C] int64."""
        counts = torch.zeros(len(self.label_names or ()), dtype=torch.int64)
        for table in self._small_columns([self.label_column or ""]):
            for value in table[self.label_column].to_pylist():
                if (number := self._class(value)) >= 0:
                    counts[number] += 1
        return counts

    def _class(self, label: object) -> int:
        return self._class_of.get(label_name(label) or "", -1)

    def _with_text(self) -> NDArray[np.int64]:
        """The rows that have the text which is asked for; a row without a caption has nothing to compare."""
        kept = np.ones(len(self.positions), bool)
        for column in filter(None, (self.text_column, self.embedding_column)):
            tables = self._small_columns([column])
            found = [_any_text(value) for table in tables for value in table[column].to_pylist()]
            kept &= np.array(found, bool)
        if not kept.any():
            raise DataError(
                f"{self.catalog.path}: none of the {len(kept)} rows has a caption (column "
                f"{self.text_column or self.embedding_column!r}); name another column."
            )
        return self.positions[kept]

    def _label_names(self, names: Sequence[str] | None) -> list[str] | None:
        if self.label_column is None or names is not None:
            return None if names is None else list(names)
        values: set[str] = set()
        for table in self._small_columns([self.label_column]):
            column = table[self.label_column]
            if pa.types.is_list(column.type):
                column = label_names(column, where=f"{self.catalog.path}: column {self.label_column!r}")
            values |= {name for value in column.unique().to_pylist() if (name := label_name(value))}
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


def _any_text(value: Sequence[Any] | str | None) -> bool:
    """False for what holds no text: nothing, blanks, an empty list, an embedding of zeros."""
    return bool(value.strip()) if isinstance(value, str) else any(value or ())


def _text(value: str | list[str] | None) -> str:
    return value or "" if value is None or isinstance(value, str) else ", ".join(filter(None, value))
