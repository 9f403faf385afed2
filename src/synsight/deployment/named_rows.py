"""Rows of a catalog by name: their ids, labels and groups as texts, read the same way by every watcher.

N rows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.label_names import label_names
from synsight.errors import DataError, UsageError, near_names
from synsight.evaluation.rows import group_codes

GROUP = "group"


@dataclass(frozen=True, eq=False)
class NamedRows:
    """Rows in the order in which they were asked for."""

    positions: NDArray[np.int64]
    """[N] in the catalog."""
    ids: NDArray[np.object_]
    """[N] strings."""
    labels: NDArray[np.object_]
    """[N] strings as `data.label_names` spells them; None: no label."""
    groups: NDArray[np.object_]
    """[N] strings; None: no group."""

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        """[N]"""
        return np.array([one is not None for one in self.labels], bool)

    @cached_property
    def group_codes(self) -> NDArray[np.int64]:
        """[N] one number a group; a row without a group is its own."""
        return group_codes(self.ids, self.groups)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "NamedRows":
        """Some of the rows, by number or by mask."""
        return NamedRows(self.positions[rows], self.ids[rows], self.labels[rows], self.groups[rows])


def read_named_rows(
    catalog: Catalog,
    positions: NDArray[np.int64],
    *,
    label: str | None = None,
    group_column: str = GROUP,
) -> NamedRows:
    """Read rows of a catalog.

    Args:
        catalog: Where they are.
        positions: Which, [N].
        label: Column with classes; None: no row has a label.
        group_column: Column that says which rows belong together; missing or "": no row has a group.

    Raises:
        UsageError: There is no such label column.
        DataError: A column that is neither of texts nor of numbers nor of truth values.
    """
    if label is not None:
        check_label(catalog, label)
    wanted = ["id", *(name for name in (label, group_column) if name and name in catalog.columns)]
    table = catalog.take(positions, list(dict.fromkeys(wanted)))
    nothing = np.full(len(positions), None, dtype=object)
    return NamedRows(
        positions=positions,
        ids=_texts(table, "id", catalog),
        labels=nothing if label is None else _labels(table, label, catalog),
        groups=_texts(table, group_column, catalog) if group_column in table.column_names else nothing,
    )


def labelled_rows(catalog: Catalog, label: str, where: str | None) -> NamedRows:
    """The rows that match and have a label, in the catalog's order.

    Raises:
        UsageError: There is no such column.
        DataError: No row matches, or none of them has a label.
    """
    check_label(catalog, label)
    positions = catalog.positions(where)
    if not len(positions):
        raise DataError(
            f"{catalog.path}: expected labelled rows"
            + (f" with {where}" if where else "")
            + ", found no row at all; choose another --split."
        )
    rows = read_named_rows(catalog, positions, label=label)
    if not rows.has_label.any():
        raise DataError(f"{catalog.path}: no row of these has a value in {label!r}; choose another label.")
    return rows.take(rows.has_label)


def check_label(catalog: Catalog, label: str) -> None:
    """Raise a UsageError where the catalog has no such column."""
    if label not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {label!r} to take labels from; "
            f"{near_names(label, catalog.columns)}"
        )


def _labels(table: pa.Table, name: str, catalog: Catalog) -> NDArray[np.object_]:
    texts = label_names(table[name], where=f"{catalog.path}: column {name!r}")
    return np.array([one or None for one in texts.to_pylist()], dtype=object)


def _texts(table: pa.Table, name: str, catalog: Catalog) -> NDArray[np.object_]:
    """A column as strings; None for null and ""."""
    try:
        values = pc.cast(table[name], pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(
            f"{catalog.path}: column {name!r} holds {table[name].type}; expected strings, numbers or truth "
            "values; choose another."
        ) from None
    return np.array([one or None for one in values], dtype=object)
