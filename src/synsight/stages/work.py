"""One chunk's work: read, mapped, counted; it is the same in a thread, a process and a cluster."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from synsight.errors import DataError, SynsightError
from synsight.stages.contract import REJECTED, Chunk, Stage


@dataclass(frozen=True)
class Result:
    """What a chunk became."""

    rows_in: int
    kept: pa.RecordBatch
    rejected: pa.RecordBatch
    reasons: Mapping[str, int]


def work(stage: Stage, chunk: Chunk) -> Result:
    """Read one chunk and map the stage over it; runs in a worker."""
    try:
        batch = chunk.read()
        output = stage(batch)
    except SynsightError as error:
        error.add_note(f"while {stage.name} worked on {name_of(chunk)}")
        raise
    except Exception as error:
        raise DataError(
            f"{stage.name} failed on {name_of(chunk)}: {type(error).__name__}: {error}; "
            "mend the cause and run the same command again: the chunks before it are kept."
        ) from error
    expected = batch.num_rows if chunk.rows is None else chunk.rows
    if not expected == batch.num_rows == output.num_rows:
        raise DataError(
            f"{stage.name} must keep or reject every row of {name_of(chunk)}: {expected} announced, "
            f"{batch.num_rows} read, {output.num_rows} returned; this is a fault in the source or the stage."
        )
    return _split(output)


def bare_error(error: SynsightError) -> SynsightError:
    """The sentence and its kind, for the way between processes; causes may not travel."""
    bare = SynsightError.__new__(type(error))  # each kind has arguments of its own; the sentence is finished
    bare.args = (str(error),)
    for note in getattr(error, "__notes__", ()):
        bare.add_note(note)
    return bare


def _split(output: pa.RecordBatch) -> Result:
    """Part a stage's output into kept and rejected rows by its reserved column."""
    where = output.schema.get_field_index(REJECTED)
    if where < 0:
        return Result(output.num_rows, output, output.slice(0, 0), {})
    reasons = output.column(where)
    is_kept = pc.is_null(reasons)
    kept = output.filter(is_kept).drop_columns([REJECTED])
    rejected = output.filter(pc.invert(is_kept))
    return Result(output.num_rows, kept, rejected, Counter(rejected.column(where).to_pylist()))


def name_of(chunk: Chunk) -> str:
    """How a message calls a chunk."""
    return f"chunk {chunk.name or chunk.key[:12]}"
