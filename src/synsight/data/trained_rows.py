"""Which images a network has learnt from: a set of 64-bit hashes of their bytes, 8 bytes an image.

The content counts, not the name: images of another catalog, of a copy of this one or of one that was parted
anew are recognised, and a copy that was saved again is not (see `near_copies` for those). Two of 100 million
images share a hash with one of 100,000 others with a chance of 5 in 10 million.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.fingerprints import rows_digest
from synsight.errors import DataError
from synsight.files import replacing

COLUMN = "image"
ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class TrainedRows:
    """The images that weights were made from."""

    hashes: NDArray[np.uint64]
    """[N] different, ascending."""
    is_whole: bool
    """False: the weights began as others', whose images nobody has listed."""

    @cached_property
    def digest(self) -> str:
        """16 hex digits that stand for the set."""
        state = hashlib.blake2b(self.hashes.astype("<u8").tobytes(), digest_size=8)
        state.update(bytes([self.is_whole]))
        return state.hexdigest()

    def holds(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which images were learnt from, [M]."""
        if not len(self.hashes):
            return np.zeros(len(hashes), bool)
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.asarray(self.hashes[places] == hashes, bool)

    def with_earlier(self, earlier: "TrainedRows | None") -> "TrainedRows":
        """Together with what the weights were made from before; None: nobody knows."""
        if earlier is None:
            return TrainedRows(self.hashes, is_whole=False)
        hashes = np.union1d(self.hashes, earlier.hashes)
        return TrainedRows(hashes, is_whole=self.is_whole and earlier.is_whole)

    def save(self, path: Path) -> None:
        """Write a Parquet file, the same bytes for the same set.

        Raises:
            StorageError: The disk refused.
        """
        schema = pa.schema(
            [pa.field(COLUMN, pa.uint64(), nullable=False)], metadata={"whole": str(int(self.is_whole))}
        )
        table = pa.Table.from_arrays([pa.array(self.hashes, pa.uint64())], schema=schema)
        with replacing(path) as temporary:
            pq.write_table(table, temporary, use_dictionary=False, compression="none", write_statistics=False)

    @staticmethod
    def load(path: Path) -> "TrainedRows":
        """Read such a file.

        Raises:
            DataError: It is missing or something else.
        """
        try:
            table = pq.read_table(io.BytesIO(path.read_bytes()))
            is_whole = {b"0": False, b"1": True}[(table.schema.metadata or {})[b"whole"]]
            hashes = table[COLUMN].cast(pa.uint64()).to_numpy()
            if (hashes[1:] <= hashes[:-1]).any():
                raise ValueError("they do not ascend")
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: expected the hashes of the images that a model was trained on, found none that "
                f"can be read ({(str(error).splitlines() or ['?'])[0][:200]}); copy the folder again."
            ) from None
        return TrainedRows(hashes, is_whole=is_whole)


NOTHING = TrainedRows(np.empty(0, np.uint64), is_whole=True)
"""What untrained weights are made from."""


def trained_rows(catalog: Catalog, positions: NDArray[np.int64]) -> TrainedRows:
    """The images of some rows; reads each once."""
    return TrainedRows(np.unique(content_hashes(catalog, positions)), is_whole=True)


def content_hashes(catalog: Catalog, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64-bit BLAKE2b hashes of the images' bytes, [N] in the order of the positions."""
    hashes = np.empty(len(positions), np.uint64)
    order = np.argsort(positions, kind="stable")
    for start in range(0, len(order), ROWS_AT_ONCE):
        some = order[start : start + ROWS_AT_ONCE]
        images = catalog.take(positions[some], ["image"])["image"].to_pylist()
        hashes[some] = list(_hashed(images))
    return hashes


def hash_of_ids(catalog: Catalog, positions: NDArray[np.int64], *, rows_at_once: int = 8192) -> str:
    """32 hex digits that stand for the ids of some rows, whatever their order."""
    blocks = (positions[start : start + rows_at_once] for start in range(0, len(positions), rows_at_once))
    tables = (catalog.take(block, ["id"]) for block in blocks)
    return f"{rows_digest(batch for table in tables for batch in table.to_batches()):032x}"


def _hashed(images: list[bytes | None]) -> Iterator[int]:
    for image in images:
        yield int.from_bytes(hashlib.blake2b(image or b"", digest_size=8).digest(), "little")
