"""Stages: the same function over a table, wherever it runs.

A stage is a pure function from one Arrow batch to another plus its settings. It knows no catalog and no
runner: a runner takes chunks from a `Source`, maps the stage over them, hands the results in order to a
`Sink`, and notes finished chunks in a `Ledger`, so that a stopped job goes on where it was.

A chunk passes three points, and may be killed between any two of them:

    sink.write    its rows are on the disk, but no reader sees them
    ledger.note   it is acknowledged: no later run does its work again
    sink.commit   its rows are part of the whole; done for groups of chunks, and idempotent
"""

from synsight.ledger import Ledger, Receipt
from synsight.stages.by_name import RUNNERS, runner
from synsight.stages.contract import (
    REJECTED,
    Chunk,
    Runner,
    Sink,
    Source,
    Stage,
    StageCounts,
    chunk_key,
    stage_key,
)
from synsight.stages.thread_runner import ThreadRunner

__all__ = [
    "REJECTED",
    "RUNNERS",
    "Chunk",
    "Ledger",
    "Receipt",
    "Runner",
    "Sink",
    "Source",
    "Stage",
    "StageCounts",
    "ThreadRunner",
    "chunk_key",
    "runner",
    "stage_key",
]
