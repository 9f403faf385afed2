"""A small source of real images: three classes of one vendor, cut from the packaged sample."""

from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from synsight.data import Catalog, ingest

ROWS = {"train": 40, "val": 8, "test": 16}


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    path = resources.files("synsight.data").joinpath("sample_files/emoji.parquet")
    table = pq.read_table(str(path)).filter(pc.field("domain") == "google")
    parts = []
    for split, rows in ROWS.items():
        for name in ("animals-nature", "flags", "food-drink"):
            chosen = (pc.field("split") == split) & (pc.field("category") == name)
            parts.append(table.filter(chosen).slice(0, rows))
    out = tmp_path_factory.mktemp("source") / "small.parquet"
    pq.write_table(pa.concat_tables(parts), out)
    return out


@pytest.fixture(scope="session")
def catalog(source, tmp_path_factory) -> Catalog:
    out = tmp_path_factory.mktemp("catalog") / "cat"
    ingest(source, out=out)
    return Catalog.open(out)
