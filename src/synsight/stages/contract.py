"""What sources, stages, sinks and runners promise each other, and the keys that name their work."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Protocol

import pyarrow as pa

from synsight.errors import ConfigError
from synsight.ledger import Ledger, Receipt

REJECTED = "reject_reason"
"""Reserved output column of a stage (string; null: the row is kept)."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a source with a stable identity."""

    key: str
    """Hash of what the piece is; equal on every run over the same input, and no two pieces share one."""
    rows: int | None
    """Number of rows; None when nobody knows before reading."""
    read: Callable[[], pa.RecordBatch]
    """Fetches the rows; called in a worker. Picklable, so that a worker may be another process."""
    name: str = ""
    """How a message calls it, as "rows 0 to 1,023"; empty: the key's beginning."""


class Source(Protocol):
    """Where chunks come from."""

    def chunks(self) -> Iterator[Chunk]:
        """The pieces, in the same order on every run."""


class Stage(Protocol):
    """A pure function over batches; picklable, and ignorant of where it runs."""

    @property
    def name(self) -> str:
        """What the work is called, as "decode"."""

    @property
    def version(self) -> str:
        """Changes whenever the code gives other results."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything else that the results depend on, as JSON values."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """As many rows as came in, in their order; a row to be left out has a reason in `reject_reason`."""


class Sink(Protocol):
    """Where results go: durable at once, part of the whole at `commit`."""

    def write(self, key: str, kept: pa.RecordBatch, rejected: pa.RecordBatch) -> Mapping[str, Any]:
        """Put a chunk's rows on the disk (synced), unseen by readers; the JSON value finds them again."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether what a receipt names is still there; if not, the chunk is done again."""

    def commit(self, receipts: Sequence[Receipt]) -> None:
        """Make chunks part of the whole, in this order; those that already are stay as they are."""

    def commit_due(self, rows: int) -> bool:
        """Whether so many rows that wait for a commit are worth one."""

    def finish(self, receipts: Iterable[Receipt]) -> None:
        """Every chunk is committed; `receipts` are all that this stage ever noted here, in order."""


@dataclass(frozen=True)
class StageCounts:
    """What a run did; a resumed run counts the whole job. `rows_in == rows_out + rejected`, always."""

    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reject reason -> rows."""
    chunks_done: int = 0
    chunks_skipped: int = 0
    """Chunks that an earlier run had done."""


class Runner(Protocol):
    """Runs a stage over a source into a sink."""

    def run(
        self,
        stage: Stage,
        source: Source,
        sink: Sink,
        *,
        ledger: Ledger,
        description: str,
        total: int | None = None,
    ) -> StageCounts:
        """Do all chunks that the ledger does not name yet, and commit the results in the source's order.

        Args:
            description: The verb, as a progress bar and messages say it.
            total: Rows of the source, where known.

        Raises:
            DataError: The stage failed, or lost or made rows; names the chunk.
            Interrupted: Ctrl-C; what was acknowledged is kept and committed.
        """


def stage_key(stage: Stage) -> str:
    """Identity of a stage's results for equal input: hash of its name, code version and settings."""
    return _digest([stage.name, stage.version, dict(stage.settings)])


def chunk_key(*parts: object) -> str:
    """Identity of a chunk from whatever identifies its input (JSON values)."""
    return _digest(list(parts))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise ConfigError(f"settings must be JSON values, so that they have one hash; got {value!r}.")
