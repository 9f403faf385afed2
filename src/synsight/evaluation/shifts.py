"""Domain shift as rows: what is labelled already, the domain that is new, and what is asked about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.errors import UsageError, near_names
from synsight.evaluation.domains import domains_of, held_out, split_parts
from synsight.evaluation.judged import Judged
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Rows, Splits
from synsight.metrics.arrays import Floats


@dataclass(frozen=True, eq=False)
class Known:
    """Labelled rows with their features."""

    rows: Rows
    features: Floats
    """[N, D]"""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Known":
        """Some of the rows, by number or by mask."""
        return Known(self.rows.take(rows), self.features[rows])


@dataclass(frozen=True, eq=False)
class Shift:
    """Old domains, a new one, and what is asked about it."""

    name: str
    """Of the new domain."""
    label: str
    """The column."""
    class_names: tuple[str, ...]
    source: Known
    """All labels may be learnt from; no row: there is no other domain."""
    source_val: Known
    """To choose by, where no label of the target is known."""
    target: Known
    """Training rows of the new domain; labels are drawn from them."""
    target_val: Known
    """To choose by, where all of the target's labels are known."""
    test: Known
    unlabelled: Floats
    """[U, D] features of further rows of the target that nobody has labelled; they are never asked about."""
    left_out: int = 0
    """Training rows that stayed away, as a test row is of their group."""

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)


def leave_one_domain_out(judged: Judged, *, sources: Sequence[str] = (), only: str = "") -> Iterator[Shift]:
    """Each domain as the new one, the others as what is known.

    Rows of no known domain stay away, and so do training rows of a test row's group.

    Args:
        judged: Whose features; the column is `options.columns.domain`.
        sources: Domains to learn from; none: all others.
        only: The one domain that is left out; "": each in turn.

    Raises:
        UsageError: There is no such column or domain, or there are not two.
    """
    column, path = judged.options.columns.domain, judged.catalog.path
    names = {part: domains_of(judged.catalog, column, rows) for part, rows in split_parts(judged.splits)}
    known = sorted({one for found in names.values() for one in found if one})
    for one in (*sources, *([only] if only else [])):
        if one not in known:
            raise UsageError(f"{path}: no row has {column} = {one!r}; {near_names(one, known)}")
    if len(known) < 2:
        raise UsageError(f"{path}: expected two domains or more in {column!r}, found {known}; name another.")
    for name in [only] if only else known:
        kept = {
            part: np.where(np.isin(found, [*sources, name]), found, "") if sources else found
            for part, found in names.items()
        }
        old, new = (held_out(judged, name, kept, within=within) for within in (False, True))
        if len(new.splits.test):
            yield shift_of(
                name,
                source=(old.splits, old.features),
                target=(new.splits, new.features),
                left_out=old.left_out + new.left_out,
            )


def shift_of(
    name: str, *, source: tuple[Splits, Features] | None, target: tuple[Splits, Features], left_out: int = 0
) -> Shift:
    """A shift of splits and their features; the test rows are the target's."""
    splits, features = target
    nothing = Known(splits.train.take(np.empty(0, np.int64)), features.train[:0])
    return Shift(
        name=name,
        label=splits.label,
        class_names=splits.class_names,
        source=nothing if source is None else Known(source[0].train, source[1].train),
        source_val=nothing if source is None else Known(source[0].val, source[1].val),
        target=Known(splits.train, features.train),
        target_val=Known(splits.val, features.val),
        test=Known(splits.test, features.test),
        unlabelled=features.train[:0],
        left_out=left_out,
    )
