"""The cluster runner keeps what the embedded one keeps; on a real cluster of two workers on this machine.

Run where Ray is installed: pip install -e ".[dev,cluster]"; elsewhere these tests are left out.
"""

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from killing import Telling, two_killed
from synsight.data.catalog import Catalog
from synsight.data.ingestion import ingest
from synsight.data.samples import sample
from synsight.errors import ConfigError
from synsight.language.labelling import find_words
from synsight.stages import Ledger, StageCounts, ThreadRunner
from test_stages import (  # noqa: F401  the contract, with the runner of this file
    Doubling,
    Memory,
    Numbers,
    ledger,
    run,
    test_a_chunk_that_announces_other_rows_than_it_reads_is_refused,
    test_a_failing_stage_names_the_chunk_and_keeps_what_came_before,
    test_a_second_run_on_one_ledger_is_refused,
    test_a_stage_that_loses_rows_is_refused,
    test_a_stage_without_rejects_keeps_all,
    test_an_empty_source_is_a_finished_job,
    test_commits_are_for_groups_of_chunks,
    test_other_code_or_settings_are_another_job,
    test_results_come_in_the_order_of_the_source,
    test_rows_in_are_rows_out_and_rejected,
    test_two_chunks_of_one_key_are_refused,
    test_what_a_sink_lost_is_done_again,
)

pytest.importorskip("ray.data", reason="ray is not installed")


@pytest.fixture
def runner(cluster: Any) -> Any:
    return cluster


def table_of(path: Path) -> pa.Table:
    catalog = Catalog.open(path)
    return catalog.table(catalog.columns)


def test_a_catalog_is_the_same_rows_in_the_same_order_with_the_same_bytes(runner, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    sample("emoji", out=tmp_path / "emoji")
    rows = Catalog.open(tmp_path / "emoji").table(["id", "image", "caption"]).slice(0, 600).to_pylist()
    for number, row in enumerate(rows):
        broken = (row["image"][:40], b"", b"<html>")[number % 3] if number % 7 == 0 else row["image"]
        (images / f"{number:04d}.png").write_bytes(broken)
        (images / f"{number:04d}.txt").write_text(row["caption"] or "")
    here = ingest(images, out=tmp_path / "here", runner=ThreadRunner(workers=2))
    there = ingest(images, out=tmp_path / "there", runner=runner)
    assert (there.rows, there.rejected, there.reasons) == (here.rows, here.rejected, here.reasons)
    assert here.rejected > 50
    assert table_of(tmp_path / "there").equals(table_of(tmp_path / "here"), check_metadata=True)
    rejected = [pq.read_table(tmp_path / one / "rejected.parquet") for one in ("here", "there")]
    assert rejected[0].equals(rejected[1])
    found = [find_words(tmp_path / one, runner=with_) for one, with_ in (("here", None), ("there", runner))]
    assert found[0] == found[1]
    assert table_of(tmp_path / "there").equals(table_of(tmp_path / "here"), check_metadata=True)


def test_all_rows_are_there_once_when_two_workers_are_killed(runner, tmp_path):
    sink, folder = Memory(), tmp_path / "processes"
    with two_killed(folder) as killed, Ledger(tmp_path / "ledger.sqlite") as book:
        counts = run(Telling(runner, folder), Doubling(), Numbers(60), sink, book)
    assert len(killed) == 2
    assert counts == StageCounts(600, 514, 86, {"seven": 86}, chunks_done=60)
    assert sink.rows == [2 * n for n in range(600) if n % 7]


def test_what_cannot_travel_is_said_before_anything_is_done(runner, tmp_path):
    stage = Doubling()
    stage.lock = threading.Lock()
    with Ledger(tmp_path / "l.sqlite") as book, pytest.raises(ConfigError, match="use --runner local"):
        run(runner, stage, Numbers(2), Memory(), book)
