"""What rows have in common: values of columns, words of captions, words that the model sees.

N rows, S parts; members are sparse, since thousands of words hold for few rows each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from synsight.data.catalog import Catalog
from synsight.data.label_names import label_names
from synsight.deployment.slice_rows import JudgedRows
from synsight.errors import DataError, UsageError, near_names
from synsight.language import load_vocabulary
from synsight.reports.slice_records import Kind
from synsight.reports.slice_records import Part as PartName

GROUP = "group"
MOST_VALUES = 200
"""A column with more values is no description of rows, unless it is named; `group` is always looked at."""
MOST_NUMBERS = 20
"""Numbers with more different values are cut into quarters."""
NEVER = frozenset({"id", "image", "image_hash", "split"})
CAPTIONS = "caption"
"""Begins the names of columns of captions, whose words are looked at instead."""
NO_CAPTIONS = frozenset({"caption_flags", "caption_score", "caption_origin"})
WORDS = "words_"


@dataclass(frozen=True, eq=False)
class Parts:
    """S parts of N rows."""

    names: list[PartName]
    members: csr_array
    """[N, S] of 0 and 1."""

    def __len__(self) -> int:
        return len(self.names)

    def rows_of(self, part: int) -> NDArray[np.int64]:
        """The part's rows."""
        return np.asarray(self.members[:, [part]].nonzero()[0], np.int64)


def parts_of(
    rows: JudgedRows,
    catalog: Catalog,
    *,
    label: str,
    columns: Sequence[str] | None,
    words: bool,
    min_rows: int,
) -> tuple[Parts, list[list[PartName]]]:
    """All parts with at least `min_rows` rows inside and outside, and what else has the same rows.

    Args:
        rows: What the parts are of.
        catalog: Where the columns are.
        label: Is not looked at unless it is named.
        columns: Which to look at; None: those with at most 200 values, and `group`.
        words: Look at words of captions (all columns `words_...`) and those the model sees.
        min_rows: Fewest rows.

    Raises:
        UsageError: A column that is not there.
        DataError: A column that cannot be cut into values.
    """
    chosen = _columns(catalog, rows, label) if columns is None else list(columns)
    for name in chosen:
        if name not in catalog.columns:
            raise UsageError(
                f"{catalog.path}: there is no column {name!r}; {near_names(name, catalog.columns)}"
            )
    found = [
        column_parts(catalog, rows.positions, name, min_rows=min_rows, is_chosen=columns is not None)
        for name in chosen
    ]
    if words:
        found += [
            word_parts(catalog, rows.positions, name) for name in catalog.columns if name.startswith(WORDS)
        ]
        found += _seen(rows)
    return _without_doubles(_joined(found, len(rows)), min_rows)


def column_parts(
    catalog: Catalog, positions: NDArray[np.int64], name: str, *, min_rows: int = 1, is_chosen: bool = True
) -> Parts:
    """One part for each value of a column; of numbers with many values, for each quarter.

    Raises:
        DataError: The column holds neither texts, numbers, truth values nor lists of texts.
    """
    values = catalog.take(positions, [name])[name].combine_chunks()
    owners = np.arange(len(values))
    if pt.is_list(values.type) or pt.is_large_list(values.type):
        owners = pc.list_parent_indices(values).to_numpy()
        values = values.flatten()
    kind = values.type
    if (pt.is_integer(kind) or pt.is_floating(kind)) and pc.count_distinct(values).as_py() > MOST_NUMBERS:
        values = _quarters(values)
    elif not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_boolean(kind) or pt.is_integer(kind)):
        if not is_chosen or pt.is_null(kind):
            return Parts([], csr_array((len(positions), 0)))
        raise DataError(
            f"{catalog.path}: expected texts, numbers or truth values in column {name!r}, found {kind}; "
            "choose another column."
        )
    texts = label_names(values, where=f"{catalog.path}: column {name!r}").combine_chunks()
    if not is_chosen and name != GROUP and pc.count_distinct(texts).as_py() > MOST_VALUES:
        return Parts([], csr_array((len(positions), 0)))
    coded = texts.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
    present = codes >= 0
    return _frequent(
        "column",
        name,
        coded.dictionary.to_pylist(),
        owners[present],
        codes[present],
        len(positions),
        min_rows,
    )


def _columns(catalog: Catalog, rows: JudgedRows, label: str) -> list[str]:
    """Those that may describe rows; what they hold is looked at later."""
    named = [
        name
        for name in catalog.columns
        if name not in NEVER | {label}
        and not name.startswith((WORDS, "word_weights_", "features_"))
        and (name in NO_CAPTIONS or not name.startswith(CAPTIONS))
    ]
    texts = [name for name in named if pt.is_string(catalog.schema.field(name).type)]
    doubles = [
        name
        for name in texts
        if catalog.take(rows.positions, [name])[name].to_pylist() == rows.labels.tolist()
    ]
    return [name for name in named if name not in doubles]  # the label under another name


def _quarters(values: pa.Array) -> pa.Array:
    """Between which quartiles each number lies, as "3 to 7.5"."""
    numbers = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    ends = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
    places = np.clip(np.searchsorted(ends, numbers, side="left"), 1, max(1, len(ends) - 1))
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(ends)] or [f"{ends[0]:.4g}"]
    texts = [
        None if np.isnan(number) else names[place - 1] for number, place in zip(numbers, places, strict=True)
    ]
    return pa.array(texts, pa.string())


def word_parts(catalog: Catalog, positions: NDArray[np.int64], column: str) -> Parts:
    """One part for each class of a column of words that some row has."""
    names = load_vocabulary(catalog, column.removeprefix(WORDS)).names
    values = catalog.take(positions, [column])[column].combine_chunks()
    owners = pc.list_parent_indices(values).to_numpy()
    return _frequent("word", column, names, owners, values.flatten().to_numpy(), len(positions), 1)


def _seen(rows: JudgedRows) -> Iterable[Parts]:
    if rows.seen is None:
        return
    numbers, names = rows.seen
    owners = np.repeat(np.arange(len(rows)), numbers.shape[1])
    yield _frequent("seen", "seen", names, owners, numbers.ravel(), len(rows), 1)


def _frequent(
    kind: Kind,
    column: str,
    names: Sequence[str],
    owners: NDArray[np.int64],
    codes: NDArray[np.int64],
    num_rows: int,
    min_rows: int,
) -> Parts:
    """Parts of (row, value) pairs."""
    whole = csr_array((np.ones(len(codes)), (owners, codes)), shape=(num_rows, len(names)))
    whole.data[:] = 1  # a value may come twice in a list
    kept = np.flatnonzero(np.asarray(whole.sum(axis=0)).ravel() >= min_rows).tolist()
    return Parts(
        [PartName(kind=kind, column=column, value=names[one]) for one in kept], csr_array(whole[:, kept])
    )


def _joined(found: Sequence[Parts], num_rows: int) -> Parts:
    names = [name for one in found for name in one.names]
    if not names:
        return Parts([], csr_array((num_rows, 0)))
    return Parts(names, csr_array(hstack([one.members for one in found if len(one)], format="csr")))


def _without_doubles(parts: Parts, min_rows: int) -> tuple[Parts, list[list[PartName]]]:
    """Parts with enough rows inside and outside; those of exactly the same rows become one."""
    by_part = parts.members.tocsc()
    counts = np.diff(by_part.indptr)
    first: dict[bytes, int] = {}
    same: dict[int, list[PartName]] = {}
    for part in np.flatnonzero((counts >= min_rows) & (counts <= parts.members.shape[0] - min_rows)):
        inside = np.sort(by_part.indices[by_part.indptr[part] : by_part.indptr[part + 1]]).tobytes()
        if inside in first:
            same[first[inside]].append(parts.names[part])
        else:
            first[inside] = int(part)
            same[int(part)] = []
    kept = list(same)
    names = [parts.names[part] for part in kept]
    return Parts(names, csr_array(parts.members[:, kept])), [same[part] for part in kept]
