"""What identifies a column's content, independent of files, versions and machines."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from synsight.files import read_json, write_json

_MODULUS = 1 << 128
_BYTES_AT_ONCE = 8 << 20
_NOTHING = pa.scalar(b"", pa.large_binary())


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
    add up to the digest of the whole. What is hashed of a value: a zero byte for null, else a one, the
    value's length in 8 bytes, little-endian, and its bytes.
    """
    return sum(_digest_of_rows(rows) for batch in batches for rows in _pieces(batch)) % _MODULUS


def combined_digest(parts: Iterable[int]) -> int:
    """The digest of rows whose parts have these digests."""
    return sum(parts) % _MODULUS


def _pieces(batch: pa.RecordBatch) -> Iterator[list[pa.Array]]:
    """Columns of bytes, some rows at a time: images are large, and are copied once."""
    columns = [_as_bytes(column) for column in batch.columns]
    size = sum(column.nbytes for column in columns)
    rows = max(1, batch.num_rows * _BYTES_AT_ONCE // max(size, 1))
    for start in range(0, batch.num_rows, rows):
        yield [column.slice(start, rows) for column in columns]


def _digest_of_rows(columns: list[pa.Array]) -> int:
    # A row's cells lie one after the other in one buffer: a hash then is one call, which is what takes time.
    joined = pc.binary_join_element_wise(*chain.from_iterable(map(_marked, columns)), _NOTHING)
    offsets, data = (memoryview(buffer) for buffer in joined.buffers()[1:])
    ends = np.frombuffer(offsets, np.int64)[: len(joined) + 1].tolist()
    digests = [hashlib.blake2b(data[a:b], digest_size=16).digest() for a, b in pairwise(ends)]
    words = np.frombuffer(b"".join(digests), "<u4").reshape(-1, 4).sum(axis=0, dtype=np.uint64)
    return sum(word << 32 * place for place, word in enumerate(words.tolist()))


def _marked(cells: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Cells, and what stands before each."""
    marks = np.ones((len(cells), 9), np.uint8)
    lengths = pc.fill_null(pc.binary_length(cells), 0).to_numpy()
    marks[:, 1:] = lengths.astype("<u8").view(np.uint8).reshape(-1, 8)
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(9), len(cells), [None, pa.py_buffer(marks)])
    before = fixed.cast(pa.large_binary())
    if cells.null_count:
        before = pc.if_else(cells.is_valid(), before, pa.scalar(b"\0", pa.large_binary()))
        cells = pc.fill_null(cells, b"")
    return before, cells


def _as_bytes(column: pa.Array) -> pa.Array:
    """One value's bytes for each row, large_binary; null where it is null."""
    kind = column.type
    if pt.is_binary(kind) or pt.is_string(kind) or pt.is_large_binary(kind) or pt.is_large_string(kind):
        return column.cast(pa.large_binary())
    if pt.is_fixed_size_list(kind) and column.null_count == 0:
        values = column.flatten().to_numpy(zero_copy_only=False)
        rows = [row.tobytes() for row in np.ascontiguousarray(values).reshape(len(column), -1)]
        return pa.array(rows, pa.large_binary())
    values = [
        None if value is None else json.dumps(value, ensure_ascii=False, default=repr).encode()
        for value in column.to_pylist()
    ]
    return pa.array(values, pa.large_binary())
