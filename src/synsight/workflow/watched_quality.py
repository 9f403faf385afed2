"""The audit's measures and flags of a monitor's rows, by the limits of the reference.

An image is flagged as dark, blurred, ... where the audit of the reference would flag it, so that a camera
that goes dark cannot make darkness usual.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.audit.image_checks import CHECKS
from synsight.curation.audit.image_measures import ImageStage
from synsight.deployment.monitoring import Columns
from synsight.deployment.watched_rows import WatchedRows

MEASURES = ("blur", "darkness", "lightness", "contrast", "burnt")
"""Compared as they are."""


def look(images: Sequence[bytes]) -> pa.Table:
    """Measures of encoded images; see `curation.audit.image_measures.SCHEMA`."""
    batch = pa.record_batch({"image": pa.array(images, pa.binary())})
    return pa.Table.from_batches([ImageStage()(batch)])


def measures(reference: WatchedRows, current: WatchedRows) -> Columns | None:
    """Numbers of every readable image: those of `MEASURES`, its size and its shape.

    What cannot be measured, as the blur of one flat grey, counts as the median of both sides.
    """
    if reference.measures is None or current.measures is None:
        return None
    sides = np.concatenate([_numbers(reference.measures), _numbers(current.measures)])
    middle = np.nanmedian(np.where(np.isfinite(sides), sides, np.nan), axis=0)
    sides = np.where(np.isfinite(sides), sides, np.nan_to_num(middle)).astype(np.float32)
    size = len(reference.positions)
    return Columns((*MEASURES, "size", "aspect"), sides[:size], sides[size:])


def flags(reference: WatchedRows, current: WatchedRows) -> Columns | None:
    """1 where an image has a flag, of those flags that some image has."""
    first, second = reference.measures, current.measures
    if first is None or second is None:
        return None
    both = pa.concat_tables([first, second])
    found = {}
    for name, check in CHECKS.items():
        limit = check.limit(first, check.score(first))
        found[name] = np.nan_to_num(check.score(both), nan=-np.inf) >= limit
    names = tuple(name for name, rows in found.items() if rows.any())
    table = np.stack([found[name] for name in names], axis=1) if names else np.zeros((both.num_rows, 0))
    return Columns(names, table[: len(first)].astype(np.float32), table[len(first) :].astype(np.float32))


def _numbers(table: pa.Table) -> NDArray[np.float64]:
    columns = [np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64) for name in MEASURES]
    width, height = (np.asarray(table[one].cast(pa.float64()).to_numpy()) for one in ("width", "height"))
    columns += [np.log2(np.maximum(width, height)), np.log2(width / height)]
    return np.stack(columns, axis=1)
