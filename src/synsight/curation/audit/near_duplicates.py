"""Images that come twice, as findings: `duplicate`, `near-duplicate`, and `leak` where a split parts them."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.audit.duplicate_pairs import DuplicatePairs, duplicate_pairs
from synsight.curation.audit.image_checks import finding_table
from synsight.curation.audit.leaks import find_leaks
from synsight.data.catalog import Catalog

Places = NDArray[np.int64]


def find_near_duplicates(
    catalog: Catalog,
    hashes: pa.Array | pa.ChunkedArray,
    *,
    embeddings: NDArray[np.float32] | None = None,
) -> pa.Table:
    """Findings `duplicate`, `near-duplicate` and `leak`, in the columns of `image_checks.FINDINGS`.

    Of images that come twice, all but the first in the catalog are flagged, so that leaving flagged rows out
    keeps one of each; the score is 1 for equal bytes, else 1 minus the difference of the pixels. A leak is
    flagged in the later of two splits (train before val before test, then others by name): there it makes
    measured quality too good.

    Args:
        catalog: With the column `image`; `split` and `group` are read if they are there.
        hashes: Of every row, uint64: `ImageChecks.hashes`, or the column `image_hash`; null: not compared.
        embeddings: Of every row, [N, D], of any encoder of images; also confirm what pixels leave open.

    Raises:
        ShapeError: There are not as many hashes or embeddings as rows.
    """
    pairs = duplicate_pairs(catalog, hashes, embeddings=embeddings)
    ids = _ids(catalog, np.unique(pairs.first))
    repeated = []
    for flag, wanted in (("duplicate", pairs.exact), ("near-duplicate", ~pairs.exact)):
        found = _best_of_each(pairs, wanted)
        if flag == "near-duplicate":
            found = found[~np.isin(pairs.second[found], pairs.second[pairs.exact])]
        said = "the same bytes as" if flag == "duplicate" else "nearly the picture of"
        reasons = [f"{said} {ids[one]!r}" for one in pairs.first[found].tolist()]
        repeated.append(finding_table(pairs.second[found], flag, 1 - pairs.difference[found], reasons))
    return pa.concat_tables([*repeated, find_leaks(catalog, pairs)])


def _best_of_each(pairs: DuplicatePairs, wanted: NDArray[np.bool_]) -> Places:
    """Of the wanted pairs, the one with the least difference for each second row; by second row."""
    some = np.flatnonzero(wanted)
    order = some[np.lexsort((pairs.first[some], pairs.difference[some], pairs.second[some]))]
    return order[np.unique(pairs.second[order], return_index=True)[1]]


def _ids(catalog: Catalog, positions: Places) -> dict[int, str]:
    if not len(positions):
        return {}
    return dict(zip(positions.tolist(), catalog.take(positions, ["id"])["id"].to_pylist(), strict=True))
