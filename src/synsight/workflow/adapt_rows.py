"""Which rows an adaptation learns from, chooses on and is asked about: by split, and by domain."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, UsageError
from synsight.evaluation.rows import Rows, Splits, read_splits
from synsight.evaluation.shifts import Known, Shift
from synsight.evaluation.shots import ShotProblem
from synsight.metrics.arrays import Floats

TARGET = "target"
MOST_UNLABELLED = 100_000
"""Rows without a label whose features are held in memory; drawn at random where there are more."""


class Where(NamedTuple):
    """SQL conditions of the two domains; None: not given."""

    source: str | None = None
    target: str | None = None

    @property
    def is_shift(self) -> bool:
        """Whether there are two domains."""
        return self.source is not None or self.target is not None


@dataclass(frozen=True, eq=False)
class AdaptRows:
    """Labelled rows by role, and the target's rows that nobody has labelled."""

    splits: Splits
    """Of the whole catalog, for names and counts."""
    source_train: Rows
    source_val: Rows
    target_train: Rows
    target_val: Rows
    test: Rows
    unlabelled: NDArray[np.int64]
    """Positions of training rows of the target without a label."""
    left_out: int
    """Training rows that stayed away, as a test row is of their group."""

    def shift(self, features: "RowFeatures", *, name: str) -> Shift:
        """With features."""
        return Shift(
            name=name,
            label=self.splits.label,
            class_names=self.splits.class_names,
            source=Known(self.source_train, features.source_train),
            source_val=Known(self.source_val, features.source_val),
            target=Known(self.target_train, features.target_train),
            target_val=Known(self.target_val, features.target_val),
            test=Known(self.test, features.test),
            unlabelled=features.unlabelled,
            left_out=self.left_out,
        )

    @property
    def positions(self) -> list[NDArray[np.int64]]:
        """Of each part, in the order of `RowFeatures`; no position comes twice."""
        parts = (self.source_train, self.source_val, self.target_train, self.target_val, self.test)
        return [*(one.positions for one in parts), self.unlabelled]


class RowFeatures(NamedTuple):
    """Features of each part, [N, D] in the order of its rows."""

    source_train: Floats
    source_val: Floats
    target_train: Floats
    target_val: Floats
    test: Floats
    unlabelled: Floats


def adapt_rows(catalog: Catalog, label: str, where: Where, *, seed: int = 0) -> AdaptRows:
    """Sort a catalog's rows.

    Without a condition there is one domain, and it is the target. With one condition, the other domain is
    every row for which it is false. Only test rows of the target are asked about; training rows of a test
    row's group stay away.

    Args:
        catalog: Needs `id` and `split`; `group` is used where it is there.
        label: A column of strings, integers or truth values; null and "" mean: no label.
        where: The domains.
        seed: Of the draw of unlabelled rows, where there are too many.

    Raises:
        UsageError: There is no such column, or a condition that is not understood or holds for no row; rows
            that are of both domains.
        DataError: No labelled test row of the target, or no labelled training row.
    """
    splits = read_splits(catalog, label)
    source, target = _domains(catalog, where)
    test = splits.test.take(np.isin(splits.test.positions, target))
    if not len(test):
        raise DataError(
            f"{catalog.path}: the test split has no row of the target with a value in {label!r}, so nothing "
            "could be judged; choose another --target-where, or label some test rows."
        )
    asked = np.unique(test.group_codes)
    left_out = 0
    parts = []
    for rows in (splits.train, splits.val):
        shares = np.isin(rows.group_codes, asked)
        for domain in (source, target):
            own = np.isin(rows.positions, domain)
            parts.append(rows.take(own & ~shares))
            left_out += int((own & shares).sum()) if rows is splits.train else 0
    source_train, target_train, source_val, target_val = parts
    if not len(source_train) + len(target_train):
        raise DataError(
            f"{catalog.path}: no training row of either domain has a value in {label!r}; choose another "
            "--source-where."
        )
    return AdaptRows(
        splits=splits,
        source_train=source_train,
        source_val=source_val,
        target_train=target_train,
        target_val=target_val,
        test=test,
        unlabelled=_unlabelled(catalog, splits, target, seed),
        left_out=left_out,
    )


def unlabelled_positions(rows: AdaptRows, problem: ShotProblem) -> NDArray[np.int64]:
    """Where the rows are that a problem shows without their labels."""
    target = rows.target_train.positions
    return np.concatenate([target[~np.isin(target, problem.train_rows.positions)], rows.unlabelled])


def limited_to(rows: AdaptRows, labels_per_class: int | None) -> None:
    """Check a number of labels against what there is.

    Raises:
        ConfigError: Fewer than none; or none at all, without source rows.
    """
    if labels_per_class is not None and labels_per_class < 0:
        raise ConfigError(f"labels_per_class must be 0 or more; got {labels_per_class}.")
    if labels_per_class == 0 and not len(rows.source_train):
        raise ConfigError(
            "0 labels of each class leave nothing to learn from; ask for more with --labels-per-class, or "
            "name labelled rows of another domain with --source-where."
        )


def _domains(catalog: Catalog, where: Where) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the source's and of the target's rows."""
    nothing = np.empty(0, np.int64)
    if not where.is_shift:
        return nothing, catalog.positions()
    source, target = where
    source = source if source is not None else f"NOT ({target})"
    target = target if target is not None else f"NOT ({source})"
    found = []
    for flag, condition in (("--source-where", source), ("--target-where", target)):
        positions = catalog.positions(condition)
        if not len(positions):
            raise UsageError(
                f"{catalog.path}: no row fulfils {condition!r} ({flag}); conditions are SQL over the "
                "columns, as \"domain = 'camera 2'\"."
            )
        found.append(positions)
    if len(both := np.intersect1d(found[0], found[1])):
        raise UsageError(
            f"{catalog.path}: {len(both):,} rows are of the source ({source!r}) and of the target "
            f"({target!r}); make the conditions exclude each other."
        )
    return found[0], found[1]


def _unlabelled(catalog: Catalog, splits: Splits, target: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Training rows of the target without a label."""
    labelled = np.concatenate([splits.train.positions, splits.val.positions, splits.test.positions])
    training = np.intersect1d(catalog.positions("split = 'train'"), target)
    found = np.setdiff1d(training, labelled)
    if len(found) > MOST_UNLABELLED:
        found = np.sort(np.random.default_rng(seed).choice(found, MOST_UNLABELLED, replace=False))
    return found
