"""I7: a table of however many fragments is read to its end."""

import numpy as np
import pyarrow as pa
import pytest
from catalogs import filled

from synsight.stages import ThreadRunner


class Count:
    name, version, settings = "count", "1", {}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch([pa.array(np.arange(batch.num_rows))], ["n"])


@pytest.mark.timeout(120)  # hangs, not slowness
@pytest.mark.parametrize("fragments", [1, 6, 100])
def test_a_scan_and_a_stage_over_any_number_of_fragments_end(tmp_path, fragments):
    catalog = filled(tmp_path / "cat", 100, fragments=fragments)
    assert sum(batch.num_rows for batch in catalog.scan(["id"])) == 100
    source = catalog.source(["id"], rows_per_chunk=7)
    spool = catalog.spool(Count(), source)
    with catalog.ledger() as ledger:
        done = ThreadRunner(workers=2).run(Count(), source, spool, ledger=ledger, description="count")
    assert (done.rows_out, done.chunks_done) == (100, 15)
