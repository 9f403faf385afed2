"""Features of a catalog's images: computed once, kept as a column, read from there afterwards."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch import Tensor

from synsight import files
from synsight.data.catalog import POSITION, Catalog, Commit
from synsight.data.written_reports import note_report
from synsight.errors import ConflictError
from synsight.ledger import Ledger
from synsight.models.feature_stage import column_of, decoded, feature_stage, stored_features
from synsight.models.loading import load
from synsight.models.saved import Model
from synsight.progress import progress_bar
from synsight.stages import Runner, ThreadRunner

TRIALS = 20
"""How often others may add columns between our reading and our writing."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What `embed` did."""

    column: str
    """`features_<digest>` in the catalog."""
    rows: int
    dimensions: int
    computed: bool
    """False: the column was there already and is valid."""
    seconds: float


def catalog_features(
    model: Model,
    catalog: Catalog,
    *,
    where: str | None = None,
    batch_size: int = 256,
    progress: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions [N] and features [N, D] of the rows that match.

    The values are rounded to float16, the precision in which `embed` keeps them, so that they do not depend
    on whether it ran before; if it did, and the images are the same, its column is read.

    Raises:
        DataError: An image in the catalog that cannot be decoded.
    """
    rows = catalog.count_rows(where)
    positions = np.empty(rows, np.int64)
    features = np.empty((rows, model.config.embedding_dim), np.float32)
    start = 0
    for found, values in _read(model, catalog, where=where, batch_size=batch_size, progress=progress):
        some = slice(start, start := start + len(found))
        positions[some], features[some] = found, values
    return positions, features


def features_at(
    model: Model,
    catalog: Catalog,
    parts: Sequence[NDArray[np.int64]],
    *,
    where: str | None = None,
    batch_size: int = 256,
    progress: bool = True,
) -> list[NDArray[np.float32]]:
    """Features of chosen rows, one array for each part, [N, D] in the order of its positions.

    As `catalog_features`, but in memory there is what is returned (4 D bytes a row), 16 bytes for each row of
    the catalog, and one batch.

    Args:
        model: The model.
        catalog: Where the images are.
        parts: Positions, [N] each; no position comes twice.
        where: Holds at least for these rows, and is all that is computed where the features are not kept.
        batch_size: Images in memory at once.
        progress: Show a bar.

    Raises:
        DataError: An image in the catalog that cannot be decoded.
    """
    filled = [np.empty((len(part), model.config.embedding_dim), np.float32) for part in parts]
    # For each row of the catalog the part it belongs to and its place there.
    part_of, place_in = np.full((2, catalog.count_rows()), -1, np.int64)
    for number, part in enumerate(parts):
        part_of[part], place_in[part] = number, np.arange(len(part))
    for found, values in _read(model, catalog, where=where, batch_size=batch_size, progress=progress):
        for number, array in enumerate(filled):
            rows = np.flatnonzero(part_of[found] == number)
            array[place_in[found[rows]]] = values[rows]
    return filled


def embed(
    model: str | Path | Model,
    catalog: str | Path | Catalog,
    *,
    out: str | Path | None = None,
    batch_size: int = 256,
    progress: bool = True,
    runner: Runner | None = None,
) -> Embedded:
    """Add a model's features to a catalog as the column `features_<digest>` (fixed-size list of float16).

    A second call finds the column and computes nothing, as long as the images are the same. Stopped or killed
    at any moment, the same call goes on where it was.

    Args:
        model: A model, or a name that `load` knows.
        catalog: A catalog, or its folder.
        out: A Parquet file to write `id` and `features` to as well.
        batch_size: Images computed at a time, and all that a kill costs; > 0.
        progress: Show a bar, where this process computes.
        runner: Where the images are decoded and the network computes; None: in this process, on the model's
            device. The model travels to other processes, which compute on their processors.

    Raises:
        DataError: An image in the catalog that cannot be decoded.
        CatalogError: Another process is embedding this catalog with this model.
        ConfigError: A batch size below 1, or a model that cannot leave this process.
        Interrupted: Ctrl-C; what was finished is kept.
    """
    started = time.perf_counter()
    model = model if isinstance(model, Model) else load(model)
    catalog = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    computed = not _is_kept(model, catalog)
    if computed:
        _add_column(model, catalog, batch_size=batch_size, progress=progress, runner=runner)
    if out is not None:
        note_report(catalog, Path(out).parent, verb="embed", names=[Path(out).name])
        _export(model, catalog, Path(out))
    return Embedded(
        column=column_name(model),
        rows=catalog.count_rows(),
        dimensions=model.config.embedding_dim,
        computed=computed,
        seconds=time.perf_counter() - started,
    )


def column_name(model: Model) -> str:
    """Where a model's features stand in a catalog."""
    return column_of(model.digest)


def _add_column(
    model: Model, catalog: Catalog, *, batch_size: int, progress: bool, runner: Runner | None
) -> None:
    field = _field(model, catalog)
    stage = feature_stage(model, elsewhere=runner is not None)
    source = catalog.source(["id", "image"], rows_per_chunk=batch_size)
    spool = catalog.spool(stage, source)
    # A ledger of its own, so that several models may embed one catalog at once.
    folder = catalog.local_folder / "work" / field.name
    with Ledger(folder / "ledger.sqlite") as ledger:
        (runner or ThreadRunner(workers=2, in_flight=3, progress=progress)).run(
            stage, source, spool, ledger=ledger, description=f"embed with {model.name}", total=source.rows
        )
    settings = {"model": model.name, "digest": model.digest}
    commit = Commit(verb="embed", config=settings, counts={"rows": source.rows})
    for trial in range(TRIALS):
        try:
            catalog.add_columns(pa.schema([field]), spool.batches(), commit=commit)
            break
        except ConflictError:  # another process added a column; ours is as good beside it
            if trial == TRIALS - 1 or not catalog.refresh_columns() or _field(model, catalog) != field:
                raise
    spool.clear()
    files.remove(folder)


def _field(model: Model, catalog: Catalog) -> pa.Field:
    metadata = {"model": model.name, "images": catalog.fingerprint(("image",))}
    return pa.field(column_name(model), pa.list_(pa.float16(), model.config.embedding_dim), metadata=metadata)


def _is_kept(model: Model, catalog: Catalog) -> bool:
    name = column_name(model)
    if name not in catalog.columns:
        return False
    metadata = catalog.schema.field(name).metadata or {}
    return metadata.get(b"images") == catalog.fingerprint(("image",)).encode()


def _read(
    model: Model, catalog: Catalog, *, where: str | None, batch_size: int, progress: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """(positions, features) of one batch after the other, from the column or from the images."""
    if not _is_kept(model, catalog):
        yield from _computed(model, catalog, where=where, batch_size=batch_size, progress=progress)
        return
    for batch in catalog.scan([column_name(model)], where=where, with_positions=True):
        flat = batch.column(column_name(model)).flatten().to_numpy(zero_copy_only=False)
        yield batch.column(POSITION).to_numpy(), flat.reshape(batch.num_rows, -1)


def _computed(
    model: Model, catalog: Catalog, *, where: str | None, batch_size: int, progress: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """(positions, features) of one batch after the other; the next is decoded while one is in the model."""
    total = catalog.count_rows(where)
    scanned = catalog.scan(["id", "image"], where=where, batch_size=batch_size, with_positions=True)
    with (
        progress_bar(f"embed with {model.name}", total=total, shown=progress) as bar,
        ThreadPoolExecutor(1) as ahead,
    ):
        waiting = ahead.submit(_decoded, model, scanned)
        while (batch := waiting.result()) is not None:
            waiting = ahead.submit(_decoded, model, scanned)
            positions, pixels = batch
            rows = stored_features(model, pixels)
            bar.advance(len(positions))
            yield positions, rows


def _decoded(model: Model, scanned: Iterator[pa.RecordBatch]) -> tuple[NDArray[np.int64], Tensor] | None:
    batch = next(scanned, None)
    return None if batch is None else (batch.column(POSITION).to_numpy(), decoded(model, batch))


def _export(model: Model, catalog: Catalog, out: Path) -> None:
    name = column_name(model)
    field = catalog.schema.field(name)
    # The table gives metadata in any order; sorted, equal features are equal files.
    field = field.with_name("features").with_metadata(dict(sorted((field.metadata or {}).items())))
    schema = pa.schema([catalog.schema.field("id"), field])
    with files.replacing(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in catalog.scan(["id", name], batch_size=8192):
            writer.write_batch(batch.rename_columns(["id", "features"]))
