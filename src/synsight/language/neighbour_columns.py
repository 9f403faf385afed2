"""The columns `neighbours` and `neighbour_similarity`: whose captions are near, kept with the images."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog, Commit
from synsight.errors import ConfigError, DataError, UsageError, near_names
from synsight.language.clean import clean_caption
from synsight.language.embedding import COLUMN as EMBEDDING
from synsight.language.embedding import SUMMARY, caption_embeddings, embedding_rows
from synsight.language.neighbours import INDICES, Index, Neighbours, nearest
from synsight.language.texts import SPLIT, TRAIN, sentences
from synsight.progress import progress_bar
from synsight.records import CaptionEmbeddings, CaptionNeighbours, as_json
from synsight.stages import chunk_key

NEIGHBOURS, SIMILARITY = "neighbours", "neighbour_similarity"
GROUP = "group"
Exclusion = Literal["duplicates", "group"]
EXCLUSIONS: tuple[Exclusion, ...] = ("duplicates", "group")
SIMILARITY_FLOOR = 0.4
"""Of MiniLM's cosines on the samples: at 0.3 few pairs have anything in common, at 0.5 most do."""
VERSION = "1"
"""Changes whenever the code gives other results."""
ROWS_AT_ONCE = 8192


def find_neighbours(
    catalog: Catalog,
    *,
    neighbours: int,
    exclude: Sequence[Exclusion] = EXCLUSIONS,
    similarity_floor: float | None = SIMILARITY_FLOOR,
    index: Index = "auto",
) -> CaptionNeighbours:
    """Add, for every train row, the rows with the nearest captions, by the column `caption_embedding`.

    `neighbours` (list<int64>) holds stable row ids, nearest first (`Catalog.positions_of_row_ids` finds them
    again), `neighbour_similarity` (list<float32>) the cosines. Only train rows (all rows where there is no
    split) have neighbours and are some; the lists of others, and of rows without text, are empty. Both
    columns come in one commit; a finished call does nothing.

    The setting of LGSimCLR is `neighbours=1, exclude=(), similarity_floor=None` (El Banani et al. 2023,
    section 3.1, https://arxiv.org/abs/2302.12248); there the nearest caption is often the same caption.

    Args:
        catalog: Moves on to the version made.
        neighbours: K, most neighbours of a row.
        exclude: `duplicates`: rows with the same caption after cleaning are no neighbours; `group`: nor those
            of one group, where there is a column `group`.
        similarity_floor: Least cosine of a neighbour; None: any.
        index: See `nearest`.

    Raises:
        DataError: There are no caption embeddings, or no train rows.
        ConfigError: `neighbours` < 1, or the floor is no cosine.
        UsageError: An unknown exclusion or index.
    """
    check_search(neighbours, exclude=exclude, similarity_floor=similarity_floor, index=index)
    made_from = embeddings_of(catalog)
    settings: dict[str, Any] = {
        "neighbours": neighbours,
        "exclude": sorted(set(exclude)),
        "similarity_floor": similarity_floor,
        "index": index,
        "encoder": made_from.encoder,
        "text_columns": list(made_from.text_columns),
    }
    provenance = {
        "synsight.stage": f"neighbours {VERSION}",
        "synsight.settings": json.dumps(settings, sort_keys=True),
        "synsight.input": _input_key(catalog),
    }
    if catalog.is_current(NEIGHBOURS, provenance) and catalog.is_current(SIMILARITY, provenance):
        stored = (catalog.schema.field(NEIGHBOURS).metadata or {})[SUMMARY.encode()]
        return CaptionNeighbours(**json.loads(stored))
    rows = _read(catalog, made_from, exclude)
    with progress_bar("neighbours", total=len(rows.positions)) as bar:
        found = nearest(
            rows.embeddings,
            k=neighbours,
            exclude=rows.exclude,
            floor=similarity_floor,
            index=index,
            advance=bar.advance,
        )
    summary = _summary(rows, found, made_from, settings)
    metadata = {**provenance, SUMMARY: json.dumps(as_json(summary), ensure_ascii=False)}
    schema = pa.schema(
        [
            pa.field(NEIGHBOURS, pa.list_(pa.int64()), metadata=metadata),
            pa.field(SIMILARITY, pa.list_(pa.float32()), metadata=provenance),
        ]
    )
    commit = Commit(verb="words", config=settings, counts={"rows_with_one": summary.rows_with_one})
    catalog.add_columns(schema, _lists(catalog, rows, found, schema), commit=commit)
    return summary


def check_search(
    neighbours: int, *, exclude: Sequence[str], similarity_floor: float | None, index: str
) -> None:
    """Check the settings of `find_neighbours`.

    Raises:
        ConfigError: `neighbours` < 1, or the floor is no cosine.
        UsageError: An unknown exclusion or index.
    """
    if neighbours < 1:
        raise ConfigError(f"neighbours must be >= 1; got {neighbours!r}.")
    if similarity_floor is not None and not -1 <= similarity_floor <= 1:
        raise ConfigError(f"similarity_floor must be a cosine, from -1 to 1; got {similarity_floor!r}.")
    for name in exclude:
        if name not in EXCLUSIONS:
            raise UsageError(f"neighbours cannot be excluded by {name!r}; {near_names(name, EXCLUSIONS)}")
    if index not in INDICES:
        raise UsageError(f"there is no index {index!r}; {near_names(index, INDICES)}")


def embeddings_of(catalog: Catalog) -> CaptionEmbeddings:
    """What a catalog's caption embeddings were made from.

    Raises:
        DataError: There are none.
    """
    made_from = caption_embeddings(catalog)
    if made_from is None:
        raise DataError(
            f"{catalog.path}: neighbours are found by caption embeddings, and there are none; "
            "name an encoder, as --embed-captions minilm."
        )
    return made_from


@dataclass(frozen=True)
class _TrainRows:
    """What the search sees of the N train rows."""

    positions: NDArray[np.int64]
    embeddings: NDArray[Any]
    """[N, E]; rows with one caption have one vector, that of the first, so that they are ties."""
    exclude: list[NDArray[np.int64]]


def _read(catalog: Catalog, made_from: CaptionEmbeddings, exclude: Sequence[Exclusion]) -> _TrainRows:
    where = f"{SPLIT} = '{TRAIN}'" if SPLIT in catalog.columns else None
    positions = catalog.positions(where)
    if not len(positions):
        raise DataError(
            f"{catalog.path}: no row has {SPLIT} {TRAIN!r}, so there are no neighbours to find; ingest the "
            "source with a split column that names train rows, or without one."
        )
    by_group = "group" in exclude and GROUP in catalog.columns
    columns = dict.fromkeys([EMBEDDING, *made_from.text_columns, *([GROUP] if by_group else [])])
    embeddings = np.zeros((len(positions), made_from.dimensions), np.float16)
    captions, groups = (np.full(len(positions), -1, np.int64) for _ in range(2))
    start = 0
    for batch in catalog.scan(list(columns), where=where, batch_size=ROWS_AT_ONCE):
        rows = slice(start, start + batch.num_rows)
        embeddings[rows] = embedding_rows(batch.column(EMBEDDING))
        captions[rows] = _ids(map(clean_caption, sentences(batch, made_from.text_columns)))
        if by_group:
            groups[rows] = _ids("" if one is None else str(one) for one in batch.column(GROUP).to_pylist())
        start += batch.num_rows
    _share_vectors(embeddings, captions)
    chosen = [*([captions] if "duplicates" in exclude else []), *([groups] if by_group else [])]
    return _TrainRows(positions, embeddings, chosen)


def _share_vectors(embeddings: NDArray[Any], captions: NDArray[np.int64]) -> None:
    """Give all rows of one caption the vector of the first.

    An encoder's last digits depend on what else was in the batch; they would make one of the rows the
    neighbour of all others.
    """
    _, firsts, numbers = np.unique(captions, return_index=True, return_inverse=True)
    for start in range(0, len(embeddings), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        same = captions[rows] >= 0
        embeddings[rows][same] = embeddings[firsts[numbers[rows]]][same]


def _ids(texts: Iterable[str]) -> list[int]:
    """Texts as numbers, equal for equal texts; -1 for none. 63 bits: two texts of ten million share a number
    once in 200,000 catalogs.
    """
    return [_id(text) if text else -1 for text in texts]


def _id(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _lists(
    catalog: Catalog, rows: _TrainRows, found: Neighbours, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The columns for all rows of the catalog, in order."""
    row_ids = catalog.row_ids()
    ids = row_ids[rows.positions]
    for start in range(0, len(row_ids), ROWS_AT_ONCE):
        size = min(ROWS_AT_ONCE, len(row_ids) - start)
        first, last = np.searchsorted(rows.positions, (start, start + size))
        indices = found.indices[first:last]
        known = indices >= 0
        counts = np.zeros(size, np.int64)
        counts[rows.positions[first:last] - start] = known.sum(axis=1)
        bounds = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        columns = [ids[indices[known]], found.similarities[first:last][known]]
        yield pa.record_batch(
            [pa.ListArray.from_arrays(bounds, pa.array(column)) for column in columns], schema=schema
        )


def _summary(
    rows: _TrainRows, found: Neighbours, made_from: CaptionEmbeddings, settings: Mapping[str, Any]
) -> CaptionNeighbours:
    known = found.indices >= 0
    has_one = known[:, 0]
    searched = int(rows.embeddings.any(axis=1).sum())
    return CaptionNeighbours(
        encoder=made_from.encoder,
        rows=searched,
        rows_with_one=int(has_one.sum()),
        neighbours_per_row=float(known.sum() / max(searched, 1)),
        mean_similarity=float(found.similarities[has_one, 0].mean()) if has_one.any() else None,
        recall=found.recall,
        index=found.index,
        settings={**settings, "lists": found.lists, "probes": found.probes},
    )


def _input_key(catalog: Catalog) -> str:
    """Identity of all that the neighbours depend on besides the settings."""
    metadata = catalog.schema.field(EMBEDDING).metadata or {}
    made = [metadata.get(name, b"").decode() for name in (b"synsight.stage", b"synsight.input")]
    read = ["id", *(name for name in (SPLIT, GROUP) if name in catalog.columns)]
    return chunk_key(*made, catalog.fingerprint(read))
