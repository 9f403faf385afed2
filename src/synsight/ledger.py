"""The ledger: which chunks of which stage are done, kept across kills and power cuts.

SQLite in write-ahead mode with `synchronous=FULL`: a chunk noted here survives whatever happens next.
"""

import fcntl
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synsight.errors import CatalogError, StorageError
from synsight.files import disk_errors, sync_folder

_TABLE = """
CREATE TABLE IF NOT EXISTS chunks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    stage TEXT NOT NULL, key TEXT NOT NULL,
    rows_in INTEGER NOT NULL, rows_out INTEGER NOT NULL, rejected INTEGER NOT NULL,
    reasons TEXT NOT NULL, value TEXT NOT NULL, committed INTEGER NOT NULL,
    UNIQUE (stage, key)
)
"""
_COLUMNS = "key, rows_in, rows_out, rejected, reasons, value, committed"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the ledger knows of one finished chunk."""

    key: str
    value: Mapping[str, Any]
    """What the sink needs to find the chunk's rows again; its own JSON."""
    rows_in: int
    rows_out: int
    rejected: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    committed: bool = False
    """Whether the rows are part of the whole."""


class Ledger:
    """Finished chunks by stage key and chunk key; one process works with a ledger at a time.

    Args:
        path: The SQLite file; made, with its folder, when missing.

    Raises:
        CatalogError: The file is no ledger, or another process works with it.
        StorageError: The disk refused.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._database = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_TABLE)
        with disk_errors(self.path):
            sync_folder(self.path.parent)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from working with this ledger while the block runs; a killed owner lets go.

        Two runs of one command would otherwise both do, and both append, every chunk.
        """
        lock = self.path.with_name(f"{self.path.stem}.lock")
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CatalogError(
                    f"{self.path.parent}: another process is at work here; wait for it to end, then run the "
                    "same command again."
                ) from None
            yield

    def note(self, stage: str, receipt: Receipt) -> None:
        """Acknowledge a chunk; when this returns, no later run does its work again."""
        values = (
            stage,
            receipt.key,
            receipt.rows_in,
            receipt.rows_out,
            receipt.rejected,
            json.dumps(dict(receipt.reasons), ensure_ascii=False),
            json.dumps(dict(receipt.value), ensure_ascii=False),
            int(receipt.committed),
        )
        with self._errors():
            self._database.execute(
                f"INSERT INTO chunks (stage, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
                f"ON CONFLICT (stage, key) DO UPDATE SET ({_COLUMNS}) = "
                "(excluded.key, excluded.rows_in, excluded.rows_out, excluded.rejected, excluded.reasons, "
                "excluded.value, excluded.committed)",
                values,
            )

    def mark_committed(self, stage: str, keys: Sequence[str]) -> None:
        """Note that chunks are part of the whole; all of them or none."""
        with self._errors(), self._transaction():
            self._database.executemany(
                "UPDATE chunks SET committed = 1 WHERE stage = ? AND key = ?", [(stage, key) for key in keys]
            )

    def receipt(self, stage: str, key: str) -> Receipt | None:
        """What is known of a chunk; None when it was never acknowledged."""
        query = f"SELECT {_COLUMNS} FROM chunks WHERE stage = ? AND key = ?"  # noqa: S608
        with self._errors():
            row = self._database.execute(query, (stage, key)).fetchone()
        return None if row is None else _receipt(row)

    def receipts(self, stage: str) -> Iterator[Receipt]:
        """All acknowledged chunks of a stage, in the order they were first noted."""
        query = f"SELECT {_COLUMNS} FROM chunks WHERE stage = ? ORDER BY number"  # noqa: S608
        with self._errors():
            for row in self._database.execute(query, (stage,)):
                yield _receipt(row)

    def waiting(self) -> list[tuple[str, Receipt]]:
        """Acknowledged chunks that are not committed, with their stages' keys."""
        query = f"SELECT {_COLUMNS}, stage FROM chunks WHERE committed = 0 ORDER BY number"  # noqa: S608
        with self._errors():
            return [(row[-1], _receipt(row[:-1])) for row in self._database.execute(query)]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self.path}: could not be written: {error}; nothing acknowledged is lost. "
                "Free space or mend the folder's rights, then run the same command again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise CatalogError(
                f"{self.path}: expected a ledger, found something else ({error}); move it away and run again."
            ) from error


def _receipt(row: tuple[Any, ...]) -> Receipt:
    key, rows_in, rows_out, rejected, reasons, value, committed = row
    return Receipt(
        key=key,
        value=json.loads(value),
        rows_in=rows_in,
        rows_out=rows_out,
        rejected=rejected,
        reasons=json.loads(reasons),
        committed=bool(committed),
    )
