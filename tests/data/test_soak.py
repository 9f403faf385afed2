"""A long run takes no more memory, files or threads at its end than after its beginning."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import jpeg

from synsight.data.ingestion import ingest
from synsight.language.labelling import find_words
from watching import Watched

ROWS = int(os.environ.get("SYNSIGHT_SOAK_ROWS", "1000000"))
BYTES_A_ROW = 16
"""Of ids, as docs/data.md says."""
WORDS = ("a", "the", "red", "old", "small", "dog", "cat", "wheel", "door", "house", "river", "bridge", "rust")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def write_source(path: Path) -> None:
    """Rows whose images all differ by their last bytes, which a decoder passes over."""
    rng = np.random.default_rng(0)
    pictures = [jpeg(n, quality=60) for n in range(200)]
    schema = pa.schema([("image", pa.binary()), ("caption", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, ROWS, 1000):
            numbers = range(start, min(start + 1000, ROWS))
            images = [pictures[n % 200] + n.to_bytes(8, "big") for n in numbers]
            texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in numbers]
            writer.write_batch(pa.record_batch([images, texts], schema=schema))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("soak")
    write_source(folder / "rows.parquet")
    yield folder / "cat"


def test_an_ingest_of_a_million_rows_stays_as_it_is(catalog):
    runner = Watched()
    ingest(catalog.parent / "rows.parquet", out=catalog, runner=runner)
    runner.check(known=BYTES_A_ROW * ROWS)


def test_finding_the_words_of_a_million_rows_stays_as_it_is(catalog):
    runner = Watched()
    find_words(catalog, runner=runner)
    runner.check()
