"""Digests of rows: the plain formula, whatever the types, and however rows are cut."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from synsight.data import fingerprints
from synsight.data.fingerprints import combined_digest, rows_digest


def by_hand(*rows):
    total = 0
    for row in rows:
        said = b"".join(
            b"\0" if cell is None else b"\1" + len(cell).to_bytes(8, "little") + cell for cell in row
        )
        total += int.from_bytes(hashlib.blake2b(said, digest_size=16).digest(), "little")
    return total % 2**128


def batch(*columns):
    return pa.record_batch(list(columns), [str(number) for number in range(len(columns))])


IDS, TEXTS = ["a", "b", "c"], ["Hündin", None, ""]
CELLS = list(
    zip(*([None if cell is None else cell.encode() for cell in one] for one in (IDS, TEXTS)), strict=True)
)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_a_text_counts_as_its_bytes_whatever_its_type(kind):
    assert rows_digest([batch(IDS, pa.array(TEXTS, pa.string()).cast(kind))]) == by_hand(*CELLS)


def test_lists_count_as_json_and_vectors_as_their_numbers():
    lists = pa.array([["x", "ü"], None], pa.list_(pa.string()))
    vectors = np.arange(4, dtype=np.float32)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(vectors), 2)
    rows = [(b'["x", "\xc3\xbc"]', vectors[:2].tobytes()), (None, vectors[2:].tobytes())]
    assert rows_digest([batch(lists, fixed)]) == by_hand(*rows)


def test_rows_cut_otherwise_or_turned_round_have_the_same_digest(monkeypatch):
    rng = np.random.default_rng(0)
    values = [rng.bytes(int(rng.integers(0, 50))) if n % 7 else None for n in range(500)]
    whole = batch(pa.array(range(500)).cast(pa.string()), pa.array(values, pa.binary()))
    expected = rows_digest([whole])
    turned = whole.take(pa.array(range(499, -1, -1)))
    assert rows_digest([turned.slice(0, 123), turned.slice(123)]) == expected
    assert combined_digest([rows_digest([whole.slice(0, 9)]), rows_digest([whole.slice(9)])]) == expected
    monkeypatch.setattr(fingerprints, "_BYTES_AT_ONCE", 100)
    assert rows_digest([whole]) == expected


def test_a_value_may_be_larger_than_what_is_read_at_once(monkeypatch):
    monkeypatch.setattr(fingerprints, "_BYTES_AT_ONCE", 4)
    assert rows_digest([batch(pa.array([b"x" * 50, b"y"]))]) == by_hand((b"x" * 50,), (b"y",))


def test_null_nothing_and_no_rows_differ():
    digests = [rows_digest([batch(pa.array(cells, pa.string()))]) for cells in ([None], [""], [], ["", ""])]
    assert len(set(digests)) == 4
    assert digests[2] == 0
