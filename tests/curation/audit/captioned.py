"""Small catalogs of captions, with images that nobody looks at unless they are given."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from synsight.data.catalog import Catalog, Commit

COMMIT = Commit(verb="ingest")


def captioned(
    path: Path,
    captions: Sequence[str | None],
    *,
    groups: Sequence[str | None] | None = None,
    **columns: pa.Array,
) -> Catalog:
    """One row a caption, with ids r0, r1, ...; further columns as given."""
    table = {
        "id": pa.array([f"r{number}" for number in range(len(captions))]),
        "image": pa.array([b"\xff\xd8\xff" + str(number).encode() for number in range(len(captions))]),
        "caption": pa.array(captions, pa.string()),
        **({} if groups is None else {"group": pa.array(groups, pa.string())}),
        **columns,
    }
    batch = pa.record_batch(table)
    catalog = Catalog.create(path, batch.schema, commit=COMMIT)
    catalog.append(catalog.write_fragment(batch), commit=COMMIT)
    return catalog


def flags_of(table: pa.Table, position: int) -> set[str]:
    """The flags of one row in a table of findings."""
    return {row["flag"] for row in table.to_pylist() if row["position"] == position}


def positions_of(table: pa.Table, flag: str) -> list[int]:
    """The rows that bear a flag."""
    return sorted({row["position"] for row in table.to_pylist() if row["flag"] == flag})
