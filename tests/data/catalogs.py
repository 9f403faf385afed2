"""Small catalogs and stages for the tests of this folder; importable by the programs that the tests kill."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from synsight.data.catalog import Catalog, Commit
from synsight.stages import REJECTED, Chunk, StageCounts, ThreadRunner, chunk_key

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("image", pa.binary()),
        pa.field("caption", pa.string(), metadata={"from": "alt"}),
        pa.field("number", pa.int32()),
        pa.field("keywords", pa.list_(pa.string())),
    ]
)
COMMIT = Commit(verb="ingest", config={"source": "rows"})


def image_of(number: int, size: int = 900) -> bytes:
    return b"\xff\xd8\xff" + bytes(60) + np.random.default_rng(number).bytes(size)


def rows(start: int, stop: int) -> pa.RecordBatch:
    numbers = range(start, stop)
    return pa.record_batch(
        [
            [f"id{n}" for n in numbers],
            [image_of(n) for n in numbers],
            [None if n % 5 == 0 else f"caption {n}, 猫" for n in numbers],
            pa.array(numbers, pa.int32()),
            [[f"k{n % 3}"] * (n % 3) for n in numbers],
        ],
        schema=SCHEMA,
    )


def filled(path: Path, count: int = 100, *, fragments: int = 4) -> Catalog:
    catalog = Catalog.create(path, SCHEMA, commit=COMMIT)
    cuts = [count * part // fragments for part in range(fragments + 1)]
    for start, stop in pairwise(cuts):
        catalog.append(catalog.write_fragment(rows(start, stop)), commit=COMMIT)
    return catalog


@dataclass
class RowSource:
    count: int
    size: int = 100

    def chunks(self) -> Iterator[Chunk]:
        for start in range(0, self.count, self.size):
            stop = min(start + self.size, self.count)
            yield Chunk(chunk_key(start, stop), stop - start, partial(rows, start, stop))


@dataclass
class Checking:
    """Rejects the numbers that end in 13."""

    name: str = "check"
    version: str = "1"
    settings: Mapping[str, object] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.calls += 1
        reasons = ["unlucky" if n % 100 == 13 else None for n in batch.column("number").to_pylist()]
        return batch.append_column(REJECTED, pa.array(reasons, pa.string()))


@dataclass
class Squaring:
    """A stage that makes a column."""

    name: str = "square"
    version: str = "1"
    settings: Mapping[str, object] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.calls += 1
        return pa.record_batch([pa.array([n * n for n in batch.column("number").to_pylist()])], ["square"])


def ingest_rows(path: Path, count: int, *, size: int = 100, stage: Checking | None = None) -> StageCounts:
    """What an ingest does, over made-up rows."""
    catalog = Catalog.open(path) if Catalog.exists(path) else Catalog.create(path, SCHEMA, commit=COMMIT)
    with catalog.ledger() as ledger:
        return ThreadRunner(workers=2).run(
            stage or Checking(),
            RowSource(count, size),
            catalog.appender(commit=COMMIT),
            ledger=ledger,
            description="ingest",
        )


def square_column(path: Path, *, stage: Squaring | None = None, size: int = 100) -> StageCounts | None:
    """What a verb that adds a column does; None when there is nothing to do."""
    catalog, stage = Catalog.open(path), stage or Squaring()
    source = catalog.source(["number"], rows_per_chunk=size)
    spool = catalog.spool(stage, source)
    if catalog.is_current("square", spool.provenance):
        return None
    with catalog.ledger() as ledger:
        counts = ThreadRunner(workers=2).run(stage, source, spool, ledger=ledger, description="square")
    schema = pa.schema([pa.field("square", pa.int64(), metadata=spool.provenance)])
    catalog.add_columns(schema, spool.batches(), commit=Commit(verb="square"))
    spool.clear()
    return counts
