"""What identifies a column's content, independent of files, versions and machines."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from synsight.files import read_json, write_json

_MODULUS = 1 << 128


class FingerprintMemory:
    """Digests of parts that were read before, in a JSON file; a context manager that writes what is new.

    Args:
        path: The file; losing it costs time only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = read_json(path) if path.exists() else {}
        self._is_new = False

    def __enter__(self) -> "FingerprintMemory":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_new:
            write_json(self._path, self._known)

    def digest(self, key: str, rows: Iterable[pa.RecordBatch]) -> int:
        """The digest of a part's rows; they are read only if the key is new."""
        if key not in self._known:
            self._known[key] = f"{rows_digest(rows):032x}"
            self._is_new = True
        return int(self._known[key], 16)


def rows_digest(batches: Iterable[pa.RecordBatch]) -> int:
    """Sum over the rows of a 128-bit hash of each row's values.

    A sum, so that it does not depend on how rows are cut into files, and so that the digests of two parts
    add up to the digest of the whole.
    """
    total = 0
    for batch in batches:
        for row in zip(*(_cells(column) for column in batch.columns), strict=True):
            row_hash = hashlib.blake2b(digest_size=16)
            for cell in row:
                row_hash.update(b"\0" if cell is None else b"\1" + len(cell).to_bytes(8, "little") + cell)
            total += int.from_bytes(row_hash.digest(), "little")
    return total % _MODULUS


def combined_digest(parts: Iterable[int]) -> int:
    """The digest of rows whose parts have these digests."""
    return sum(parts) % _MODULUS


def _cells(column: pa.Array) -> Sequence[bytes | None]:
    """One value's bytes for each row; None where it is null."""
    kind = column.type
    if pt.is_binary(kind) or pt.is_string(kind) or pt.is_large_binary(kind) or pt.is_large_string(kind):
        cells: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
        return cells
    if pt.is_fixed_size_list(kind) and column.null_count == 0:
        values = column.flatten().to_numpy(zero_copy_only=False)
        return [row.tobytes() for row in np.ascontiguousarray(values).reshape(len(column), -1)]
    return [
        None if value is None else json.dumps(value, ensure_ascii=False, default=repr).encode()
        for value in column.to_pylist()
    ]
