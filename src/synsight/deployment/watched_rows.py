"""What a monitor looks at of a catalog: some of its rows, with features, groups, labels and times.

N rows, D dimension.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.deployment.named_rows import check_label, read_named_rows
from synsight.errors import DataError, ImageError
from synsight.models.features import column_name, features_at
from synsight.models.saved import Model
from synsight.progress import progress_bar
from synsight.reports.drift_records import SampleFacts
from synsight.seeding import generator

CAPTURED = "captured_at"
_IMAGES_AT_ONCE = 128
_FLOAT16_MAX = float(np.finfo(np.float16).max)

Look = Callable[[Sequence[bytes]], pa.Table]
"""Encoded images -> one row of measures for each."""


@dataclass(frozen=True, eq=False)
class WatchedRows:
    """Rows of one side, in the catalog's order."""

    facts: SampleFacts
    positions: NDArray[np.int64]
    """[N] in the catalog; rows whose image can be decoded."""
    ids: NDArray[np.object_]
    """[N] strings."""
    groups: NDArray[np.object_]
    """[N] strings, unique for a row without a group."""
    features: NDArray[np.float32]
    """[N, D]"""
    labels: NDArray[np.object_]
    """[N] strings; None: no label."""
    moments: NDArray[np.object_]
    """[N] datetimes; None: unknown."""
    measures: pa.Table | None
    """[N] rows; None: nobody looked."""


def read_watched_rows(
    model: Model,
    catalog: Catalog,
    *,
    where: str | None = None,
    label: str | None = None,
    group_column: str = "group",
    most: int = 2000,
    seed: int = 0,
    look: Look | None = None,
    progress: bool = True,
) -> WatchedRows:
    """Draw rows of a catalog and compute what is compared; the catalog is not changed.

    Features are rounded to float16 as `embed` keeps them, and read from its column where there is one.

    Args:
        model: Makes the features.
        catalog: Where the rows are.
        where: SQL condition; None: all rows.
        label: Column with classes; None: no labels.
        group_column: Column that says which rows belong together; missing or "": every row by itself.
        most: Rows drawn at most.
        seed: Of the drawing.
        look: Measures the encoded images; None: nothing is measured.
        progress: Show a bar.

    Raises:
        DataError: No row matches, or none of the images can be decoded.
        UsageError: There is no such label column.
        CatalogError: The condition is not understood.
    """
    if label is not None:
        check_label(catalog, label)
    matching = catalog.positions(where)
    if not len(matching):
        raise DataError(
            f"{catalog.path}: no row matches {where!r}; check the condition."
            if where
            else f"{catalog.path}: the catalog has no row; ingest a source first."
        )
    drawn = generator(seed, "watched rows").permutation(len(matching))[:most]
    positions = np.sort(matching[drawn])
    features, readable, measures = _looked_at(model, catalog, positions, look=look, progress=progress)
    if not readable.any():
        raise DataError(f"{catalog.path}: none of {len(positions):,} images can be decoded; ingest it again.")
    named = read_named_rows(catalog, positions[readable], label=label, group_column=group_column)
    own = [
        f"row {one}" if group is None else f"group {group}"
        for one, group in zip(named.ids, named.groups, strict=True)
    ]
    facts = SampleFacts(
        catalog=catalog.name,
        version=catalog.version,
        where=where,
        rows=len(matching),
        looked_at=len(positions),
        groups=len(set(own)),
        unreadable=int((~readable).sum()),
    )
    return WatchedRows(
        facts=facts,
        positions=named.positions,
        ids=named.ids,
        groups=np.array(own, dtype=object),
        features=features,
        labels=named.labels,
        moments=_moments(catalog, named.positions),
        measures=measures,
    )


def joint_codes(first: WatchedRows, second: WatchedRows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The groups of both sides as integers, the same for the same group."""
    names = np.concatenate([first.groups, second.groups]).astype(str)
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return codes[: len(first.groups)], codes[len(first.groups) :]


def moment_of(value: Any) -> datetime | None:
    """A time as a catalog may hold it: a date, an ISO text, or a camera's "2026:03:14 09:30:00"."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) >= 10 and text[4] == text[7] == ":":
        text = f"{text[:4]}-{text[5:7]}-{text[8:]}"
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _moments(catalog: Catalog, positions: NDArray[np.int64]) -> NDArray[np.object_]:
    known: list[Any] = [None] * len(positions)
    if CAPTURED in catalog.columns:
        known = catalog.take(positions, [CAPTURED])[CAPTURED].to_pylist()
    return np.array([moment_of(one) for one in known], dtype=object)


def _looked_at(
    model: Model, catalog: Catalog, positions: NDArray[np.int64], *, look: Look | None, progress: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_], pa.Table | None]:
    """Features of the readable rows, which those are, and their measures."""
    kept = column_name(model) in catalog.columns
    if kept and look is None:
        return features_at(model, catalog, [positions])[0], np.ones(len(positions), bool), None
    parts, readable, tables = [], [], []
    with progress_bar(f"look at {catalog.name}", total=len(positions), shown=progress) as bar:
        for start in range(0, len(positions), _IMAGES_AT_ONCE):
            some = positions[start : start + _IMAGES_AT_ONCE]
            images = catalog.take(some, ["image"])["image"].to_pylist()
            found, rows = _features(model, images)
            parts.append(rows)
            readable.append(found)
            if look is not None:
                tables.append(look([one or b"" for one in images]))
            bar.advance(len(some))
    well = np.concatenate(readable)
    measures = pa.concat_tables(tables).filter(pa.array(well)) if tables else None
    return np.concatenate(parts), well, measures


def _features(model: Model, images: Sequence[bytes | None]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which images can be decoded, and the features of those."""
    readable = np.ones(len(images), bool)
    try:
        pixels = model.pixels([one or b"" for one in images])
    except ImageError:
        readable = np.array([_can_be_decoded(model, one) for one in images])
        pixels = model.pixels([one for one, well in zip(images, readable, strict=True) if one and well])
    if not len(pixels):
        return readable, np.empty((0, model.config.embedding_dim), np.float32)
    found = model.features(pixels).clamp(-_FLOAT16_MAX, _FLOAT16_MAX).half().float()
    rows: NDArray[np.float32] = found.cpu().numpy()
    return readable, rows


def _can_be_decoded(model: Model, image: bytes | None) -> bool:
    try:
        model.pixels([image or b""])
    except ImageError:
        return False
    return True
