"""The labelled rows of a catalog, split by split, as evaluation sees them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synsight.data.catalog import POSITION, Catalog
from synsight.data.label_names import label_names
from synsight.errors import DataError, UsageError, near_names

SPLITS = ("train", "val", "test")
MOST_NAMED = 5
"""Splits or classes that a message names."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled rows in the order of their ids, so that no draw depends on where the table keeps them."""

    positions: NDArray[np.int64]
    """[N] in the catalog."""
    ids: NDArray[np.object_]
    """[N] strings."""
    labels: NDArray[np.int64]
    """[N] numbers of classes."""
    groups: NDArray[np.object_]
    """[N] strings; None where a row has no group."""
    group_codes: NDArray[np.int64]
    """[N] one number a group over all splits; a row without a group is its own."""

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Rows":
        """Some of the rows, by number or by mask."""
        return Rows(
            self.positions[rows], self.ids[rows], self.labels[rows], self.groups[rows], self.group_codes[rows]
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """What may be learnt from, chosen on, and asked about."""

    label: str
    """The column."""
    class_names: tuple[str, ...]
    """Values of the column in all splits, sorted; a row's label is a place in it."""
    train: Rows
    val: Rows
    test: Rows
    unlabelled: int
    """Rows without a value in the column; they are left out."""

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def only_in_test(self) -> NDArray[np.int64]:
        """Classes of test rows that no training row shows; nobody can get them right."""
        return np.setdiff1d(self.test.labels, self.train.labels)

    @property
    def spelt_alike(self) -> list[tuple[str, ...]]:
        """Classes that differ from one another in nothing but case and spaces."""
        found: dict[str, list[str]] = {}
        for name in self.class_names:
            found.setdefault(" ".join(name.split()).casefold(), []).append(name)
        return [tuple(names) for names in found.values() if len(names) > 1]

    def check_learnable(self) -> None:
        """For whoever learns the classes from training rows.

        Raises:
            DataError: No test row is of a class that a training row shows.
        """
        shown = np.unique(self.train.labels)
        if np.isin(self.test.labels, shown).any():
            return
        asked = np.unique(self.test.labels)
        first, second = (
            ", ".join(repr(self.class_names[one]) for one in some[:MOST_NAMED]) for some in (shown, asked)
        )
        alike = self.spelt_alike
        raise DataError(
            f"{self.label}: none of the {len(self.test):,} labelled test rows is of a class that a training "
            f"row shows (in training {first}; in the test {second}), so nothing learnt can be right; "
            + (
                f"write {alike[0][0]!r} and {alike[0][1]!r} alike, they differ in case or spaces only."
                if alike
                else "choose another label, or other splits."
            )
        )


def read_splits(catalog: Catalog, label: str) -> Splits:
    """Read the labelled rows of a catalog.

    Args:
        catalog: Needs the columns `id` and `split`; `group` is used where it is there.
        label: A column of strings, integers or truth values, called as `data.label_names` says. Null, NaN
            and "" mean: no label.

    Raises:
        UsageError: There is no such column; lists the near ones.
        DataError: The column is of another type, the training or test split has no labelled row, or the
            training rows show one class only.
    """
    _check_column(catalog, label)
    has_group = "group" in catalog.columns
    columns = dict.fromkeys(["id", "split", label, *(["group"] if has_group else [])])
    batches = list(catalog.scan([*columns], with_positions=True))
    table = pa.Table.from_batches(batches) if batches else None
    if table is None or table.num_rows == 0:
        raise DataError(f"{catalog.path}: the catalog has no row; ingest a source first.")
    labels = label_names(table[label], where=f"{catalog.path}: column {label!r}")
    labelled = pc.fill_null(pc.not_equal(labels, ""), False)
    unlabelled = table.num_rows - int(pc.sum(labelled).as_py() or 0)
    groups = pc.cast(table["group"], pa.string()) if has_group else pa.nulls(table.num_rows, pa.string())
    kept = pa.table(
        {
            "position": table[POSITION],
            "id": table["id"],
            "label": labels,
            "group": groups,
            "split": table["split"],
        }
    ).filter(labelled)
    return _split(catalog, label, kept.sort_by("id"), unlabelled)


def read_test_rows(catalog: Catalog) -> Rows:
    """The rows of the test split, with a label or without: all are of class 0, and each is its own group."""
    batches = catalog.scan(["id"], where="split = 'test'", with_positions=True)
    found = [(row["id"], row[POSITION]) for batch in batches for row in batch.to_pylist()]
    found.sort()
    ids = np.array([one for one, _ in found], dtype=object)
    numbers = np.arange(len(found))
    groups = np.full(len(found), None, dtype=object)
    return Rows(np.array([at for _, at in found], np.int64), ids, np.zeros_like(numbers), groups, numbers)


def _check_column(catalog: Catalog, label: str) -> None:
    if label not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {label!r} to take labels from; "
            f"{near_names(label, catalog.columns)}"
        )


def _split(catalog: Catalog, label: str, table: pa.Table, unlabelled: int) -> Splits:
    names = tuple(sorted(pc.unique(table["label"]).to_pylist()))
    codes = pc.index_in(table["label"], pa.array(names, pa.string())).to_numpy().astype(np.int64)
    ids, groups = (table[name].to_numpy(zero_copy_only=False).astype(object) for name in ("id", "group"))
    rows = Rows(
        positions=table["position"].to_numpy().astype(np.int64),
        ids=ids,
        labels=codes,
        groups=groups,
        group_codes=group_codes(ids, groups),
    )
    split = table["split"].to_numpy(zero_copy_only=False)
    train, val, test = (rows.take(split == name) for name in SPLITS)
    for name, one in (("train", train), ("test", test)):
        if not len(one):
            counts = Counter(split.tolist())
            found = ", ".join(f"{key} {count:,}" for key, count in counts.most_common(MOST_NAMED))
            raise DataError(
                f"{catalog.path}: the {name} split has no row with a value in {label!r} (rows with one: "
                f"{found or 'none'}); choose another label, or ingest with a split column of "
                f"{', '.join(SPLITS)}."
            )
    if len(shown := np.unique(train.labels)) < 2:
        raise DataError(
            f"{catalog.path}: all {len(train)} labelled training rows have {label} = {names[shown[0]]!r}; "
            "a classifier needs two classes, so choose another label."
        )
    return Splits(label, names, train, val, test, unlabelled)


def group_codes(ids: NDArray[np.object_], groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """One number a group, [N]; a row without a group is a group of its own."""
    keys = [
        f"id {one}" if group is None else f"group {group}" for one, group in zip(ids, groups, strict=True)
    ]
    return np.unique(np.array(keys, dtype=str), return_inverse=True)[1].astype(np.int64)
