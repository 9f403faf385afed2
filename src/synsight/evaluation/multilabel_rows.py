"""The rows of a catalog with several labels each, split by split, as `multilabel` sees them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import POSITION, Catalog
from synsight.errors import DataError, UsageError, near_names
from synsight.evaluation.rows import SPLITS, group_codes

LEAST_TRAIN, LEAST_TEST = 5, 1
"""Fewest rows of a class that is learnt and asked about."""


@dataclass(frozen=True, eq=False)
class TruthRows:
    """Rows in the order of their ids. N rows, C classes."""

    positions: NDArray[np.int64]
    """[N] in the catalog."""
    ids: NDArray[np.object_]
    """[N] strings."""
    groups: NDArray[np.object_]
    """[N] strings; None where a row has no group."""
    group_codes: NDArray[np.int64]
    """[N] one number a group; a row without a group is its own."""
    truth: NDArray[np.bool_]
    """[N, C] whether the row has the class."""

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Multilabel:
    """What may be learnt from, chosen on, and asked about."""

    column: str
    class_names: tuple[str, ...]
    """C labels with enough rows, sorted."""
    train: TruthRows
    val: TruthRows
    test: TruthRows
    unlabelled: int
    """Rows whose labels are null; they are left out."""
    classes_dropped: int
    """Labels with too few train or test rows."""


def read_multilabel(
    catalog: Catalog,
    column: str,
    *,
    separator: str | None = None,
    least_train: int = LEAST_TRAIN,
    least_test: int = LEAST_TEST,
) -> Multilabel:
    """Read the rows with their labels.

    Null means that nobody looked: the row is left out. An empty list, or an empty string, means that the row
    has none of the labels.

    Args:
        catalog: Needs the columns `id` and `split`; `group` is used where it is there.
        column: Lists of strings; or strings, the labels being between the separators.
        separator: Of a string column.
        least_train: Fewest train rows of a class, and as many that have it not are needed of one at least.
        least_test: Fewest test rows of a class.

    Raises:
        UsageError: There is no such column, or a string column without a separator.
        DataError: The column is of another type, or no label has enough rows.
    """
    _check(catalog, column, separator)
    rows, unlabelled = _read(catalog, column, separator)
    by_split = {name: sorted(one for one in rows if one.split == name) for name in SPLITS}
    counts = {name: Counter(label for one in some for label in one.labels) for name, some in by_split.items()}
    enough = sorted(
        label
        for label, count in counts["train"].items()
        if least_train <= count < len(by_split["train"]) and counts["test"][label] >= least_test
    )
    if not enough:
        largest = ", ".join(f"{label!r} {count}" for label, count in counts["train"].most_common(3)) or "none"
        raise DataError(
            f"{catalog.path}: no label in {column!r} has {least_train} train rows and {least_test} test row "
            f"(most train rows: {largest}); choose another column."
        )
    places = {label: place for place, label in enumerate(enough)}
    train, val, test = (_truth(by_split[name], places) for name in SPLITS)
    known = set().union(*counts.values())
    return Multilabel(column, tuple(enough), train, val, test, unlabelled, len(known) - len(enough))


@dataclass(frozen=True, order=True)
class _Row:
    id: str
    split: str
    group: str | None
    position: int
    labels: frozenset[str]


def _read(catalog: Catalog, column: str, separator: str | None) -> tuple[list[_Row], int]:
    names = dict.fromkeys(["id", "split", column, *(["group"] if "group" in catalog.columns else [])])
    rows, unlabelled = [], 0
    for batch in catalog.scan([*names], with_positions=True):
        for one in batch.to_pylist():
            value = one[column]
            if value is None:
                unlabelled += 1
                continue
            labels = _labels(value.split(separator) if isinstance(value, str) else value)
            group = one.get("group")
            row = _Row(
                one["id"],
                one["split"],
                None if group is None else str(group),
                one[POSITION],
                frozenset(labels),
            )
            rows.append(row)
    return rows, unlabelled


def _labels(values: Iterable[str | None]) -> Iterator[str]:
    return (label for value in values if value and (label := " ".join(value.split())))


def _truth(rows: list[_Row], places: dict[str, int]) -> TruthRows:
    truth = np.zeros((len(rows), len(places)), bool)
    for number, one in enumerate(rows):
        truth[number, [places[label] for label in one.labels if label in places]] = True
    ids = np.array([one.id for one in rows], dtype=object)
    groups = np.array([one.group for one in rows], dtype=object)
    positions = np.array([one.position for one in rows], np.int64)
    return TruthRows(positions, ids, groups, group_codes(ids, groups), truth)


def _check(catalog: Catalog, column: str, separator: str | None) -> None:
    if column not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {column!r} to take several labels from; "
            f"{near_names(column, catalog.columns)}"
        )
    kind = catalog.schema.field(column).type
    if _is_text(kind):
        if not separator:
            raise UsageError(
                f"{catalog.path}: column {column!r} holds strings; say what stands between their labels with "
                "--keywords-separator, or name a column of lists."
            )
    elif not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not _is_text(kind.value_type):
        raise DataError(
            f"{catalog.path}: several labels must be lists of strings, or strings with a separator; column "
            f"{column!r} holds {kind}; choose another."
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
