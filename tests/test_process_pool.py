"""The runner in processes keeps what the one in threads keeps."""

import os
import signal
import threading
from dataclasses import dataclass

import pyarrow as pa
import pytest

from synsight import stages
from synsight.errors import ConfigError, DataError
from synsight.process_pool import ProcessRunner
from test_stages import (  # noqa: F401  the contract, with the runner of this file
    Doubling,
    Memory,
    Numbers,
    ledger,
    run,
    test_a_failing_stage_names_the_chunk_and_keeps_what_came_before,
    test_a_stage_that_loses_rows_is_refused,
    test_an_empty_source_is_a_finished_job,
    test_results_come_in_the_order_of_the_source,
    test_rows_in_are_rows_out_and_rejected,
)


@pytest.fixture
def runner() -> ProcessRunner:
    return ProcessRunner(workers=2)


@dataclass
class Dying(Doubling):
    """Its process is killed at 250."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.column("n")[0].as_py() == 250:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def test_a_killed_process_is_one_sentence_and_costs_no_finished_chunk(runner, ledger):  # noqa: F811
    sink = Memory()
    with pytest.raises(DataError, match="a worker process was killed, perhaps for want of memory"):
        run(runner, Dying(), Numbers(40), sink, ledger)
    counts = run(runner, Doubling(), Numbers(40), sink, ledger)
    assert counts.chunks_skipped > 0
    assert sink.rows == [2 * n for n in range(400) if n % 7]


def test_what_cannot_travel_is_said_before_anything_is_done(runner, ledger):  # noqa: F811
    stage = Doubling()
    stage.lock = threading.Lock()
    with pytest.raises(ConfigError, match="use --runner local"):
        run(runner, stage, Numbers(2), Memory(), ledger)


def test_a_runner_without_workers_is_refused():
    with pytest.raises(ConfigError, match="workers must be >= 1"):
        ProcessRunner(workers=0)


def test_flags_name_it():
    assert stages.runner("processes") == ProcessRunner()
