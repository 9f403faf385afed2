"""Small catalogs of captions; importable by the program that the tests kill."""

import random
from pathlib import Path

import pyarrow as pa

from synsight.data.catalog import Catalog, Commit

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("caption", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("split", pa.string()),
        ("title", pa.string()),
        ("number", pa.int32()),
    ]
)
COMMIT = Commit(verb="ingest")
NOUNS = ["dog", "cat", "house", "tree", "car", "traffic light", "boy", "rose", "bridge", "zebra"]


def make_catalog(path: Path, rows: list[dict[str, object]], *, schema: pa.Schema = SCHEMA) -> Catalog:
    catalog = Catalog.create(path, schema, commit=COMMIT)
    full = [{"id": str(n), "image": b"x", "split": "train", **row} for n, row in enumerate(rows)]
    table = pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in full], schema=schema
    )
    for batch in table.to_batches(max(1, len(rows) // 3)):
        catalog.append(catalog.write_fragment(batch), commit=COMMIT)
    return catalog


def many_captions(count: int) -> list[dict[str, object]]:
    draw = random.Random(0)
    return [
        {
            "caption": f"a {draw.choice(NOUNS)} and xq{n % 7}y {draw.choice(NOUNS)}s",
            "split": draw.choice(["train", "val"]),
        }
        for n in range(count)
    ]
