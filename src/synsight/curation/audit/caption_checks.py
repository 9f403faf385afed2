"""All caption flags of a catalog: two passes over the text, a count between them and one after.

    outline   each caption as keys                             a stage, resumable
    count     templates: what stands on many images            arrays of keys
    checks    flags of each caption by itself, its words       a stage, resumable
    count     duplicates, near duplicates                      arrays of keys and bands

Memory grows by about 500 bytes a row at the peak, whatever the captions' length: keys of texts, groups and
passages while they are sorted, bands, one result a row, findings.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synsight.curation.audit.caption_stage import CaptionStage
from synsight.curation.audit.near_texts import near_pairs
from synsight.curation.outlines import GROUP, OutlineStage, row_texts
from synsight.curation.passages import plain_text, without_templates
from synsight.curation.repetition import Outline, outline, templates, times
from synsight.data.catalog import Catalog
from synsight.data.column_stage import ColumnSpool
from synsight.language.texts import check_text_columns
from synsight.stages import Runner, Stage, ThreadRunner

ROWS_PER_CHUNK = 4096
"""Work that a kill may cost; a second or less."""

FINDINGS = pa.schema(
    [
        pa.field("position", pa.int64()),
        pa.field("flag", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("reason", pa.string()),
    ]
)
"""A row's findings before they are gathered: position in the catalog, how strong, one phrase."""


@dataclass(frozen=True, eq=False)
class CaptionCheck:
    """What the captions of N rows are like.

    Attributes:
        table: Findings, see `FINDINGS`.
        has_text: Whether a row has a caption with a letter or digit, bool [N].
        is_usable: Whether something that can teach is left of it without templates, bool [N].
        times: Images (or groups of images) that have what is left of the caption, int64 [N]; 0: nothing is.
        num_words: Words left, int32 [N].
        words: Known words of all rows one after another, int64; row i has those from bounds[i] to
            bounds[i + 1].
        bounds: int64 [N + 1].
        owners: What a row counts as where repetition is counted: its group or itself, uint64 [N].
        languages: Language of the caption -> rows.
    """

    table: pa.Table
    has_text: np.ndarray
    is_usable: np.ndarray
    times: np.ndarray
    num_words: np.ndarray
    words: np.ndarray
    bounds: np.ndarray
    owners: np.ndarray
    languages: dict[str, int]
    work: tuple[ColumnSpool, ...] = ()

    def clear(self) -> None:
        """Delete the results of the passes; until then the same call repeats nothing."""
        for spool in self.work:
            spool.clear()


def check_captions(
    catalog: str | Path | Catalog, *, text_columns: Sequence[str] = ("caption",), runner: Runner | None = None
) -> CaptionCheck:
    """Look for everything that is wrong with captions by themselves, and with captions beside each other.

    Stopped or killed at any moment, the same call goes on where it was. The catalog is not changed.

    Args:
        catalog: Its folder, or an open catalog.
        text_columns: String or list-of-string columns, read as one text a row.
        runner: Where the passes run; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text.
        CatalogError: There is no catalog.
    """
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    check_text_columns(opened, text_columns)
    passes = _Passes(opened, tuple(text_columns), runner or ThreadRunner())
    found, first = passes.outline()
    chosen = templates(found)
    second = passes.checks(sorted(chosen))
    gathered = _gather(second.batches())
    rest_times = times(gathered.rests, found.owners)
    table = pa.concat_tables(
        [
            gathered.table,
            _duplicates(times(found.texts, found.owners), found),
            _near_duplicates(passes, gathered, second, found.owners, chosen),
        ]
    )
    return CaptionCheck(
        table=table.sort_by([("position", "ascending"), ("flag", "ascending")]),
        has_text=gathered.has_text,
        is_usable=gathered.is_usable & (rest_times > 0),
        times=rest_times,
        num_words=gathered.num_words,
        words=gathered.words,
        bounds=gathered.bounds,
        owners=found.owners,
        languages=gathered.languages,
        work=(first, second),
    )


@dataclass(frozen=True)
class _Passes:
    """The two stages over one catalog."""

    catalog: Catalog
    text_columns: tuple[str, ...]
    runner: Runner

    def outline(self) -> tuple[Outline, ColumnSpool]:
        group = [GROUP] if GROUP in self.catalog.columns else []
        spool = self._run(OutlineStage(self.text_columns), [*self.text_columns, *group], "captions: count")
        return outline(spool.batches()), spool

    def checks(self, chosen: Sequence[int]) -> ColumnSpool:
        stage = CaptionStage(self.text_columns, tuple(chosen))
        return self._run(stage, self.text_columns, "captions: check")

    def texts_at(self, positions: np.ndarray) -> list[str]:
        """Texts of some rows."""
        # Each row is read once, and in order: a pair's first is the first of many pairs.
        distinct, places = np.unique(positions, return_inverse=True)
        columns = list(dict.fromkeys(self.text_columns))
        table = self.catalog.take(distinct, columns).combine_chunks()
        texts = [text for batch in table.to_batches() for text in row_texts(batch, self.text_columns)]
        return [texts[place] for place in places.tolist()]

    def _run(self, stage: Stage, columns: Sequence[str], description: str) -> ColumnSpool:
        source = self.catalog.source(list(dict.fromkeys(columns)), rows_per_chunk=ROWS_PER_CHUNK)
        spool = self.catalog.spool(stage, source)
        with self.catalog.ledger() as ledger:
            self.runner.run(stage, source, spool, ledger=ledger, description=description, total=source.rows)
        return spool


@dataclass(frozen=True, eq=False)
class _Gathered:
    """The second pass's results, without the bands."""

    table: pa.Table
    rests: np.ndarray
    has_text: np.ndarray
    is_usable: np.ndarray
    num_words: np.ndarray
    words: np.ndarray
    bounds: np.ndarray
    languages: dict[str, int]


def _gather(batches: Iterable[pa.RecordBatch]) -> _Gathered:
    names = ("rest", "is_usable", "num_words")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*names, "has_text", "words", "lengths")}
    tables, languages, start = [], Counter[str](), 0
    for batch in batches:
        for name in names:
            columns[name].append(batch.column(name).to_numpy(zero_copy_only=False))
        columns["words"].append(batch.column("words").flatten().to_numpy(zero_copy_only=False))
        columns["lengths"].append(batch.column("words").value_lengths().to_numpy(zero_copy_only=False))
        marks = _marks(batch, start)
        is_empty = np.zeros(batch.num_rows, bool)
        is_empty[marks.filter(pc.equal(marks["flag"], "empty"))["position"].to_numpy() - start] = True
        columns["has_text"].append(~is_empty)
        tables.append(marks)
        languages.update(one for one in batch.column("language").to_pylist() if one)
        start += batch.num_rows
    lengths = _joined(columns["lengths"], np.int64)
    return _Gathered(
        table=pa.concat_tables([FINDINGS.empty_table(), *tables]),
        rests=_joined(columns["rest"], np.uint64),
        has_text=_joined(columns["has_text"], bool),
        is_usable=_joined(columns["is_usable"], bool),
        num_words=_joined(columns["num_words"], np.int32),
        words=_joined(columns["words"], np.int64),
        bounds=np.concatenate(([0], np.cumsum(lengths))),
        languages=dict(languages.most_common()),
    )


def _marks(batch: pa.RecordBatch, start: int) -> pa.Table:
    """The lists of flags of a batch whose first row has this position, as findings."""
    lengths = batch.column("flags").value_lengths().to_numpy(zero_copy_only=False)
    positions = np.repeat(np.arange(start, start + batch.num_rows, dtype=np.int64), lengths)
    columns = [batch.column(name).flatten() for name in ("flags", "scores", "reasons")]
    return pa.Table.from_arrays([pa.array(positions), *columns], schema=FINDINGS)


def _duplicates(counts: np.ndarray, found: Outline) -> pa.Table:
    """Rows whose whole caption stands on an image of another group."""
    positions = np.flatnonzero(counts > 1)
    owners = "images" if found.num_owners == len(found.owners) else "groups of images"
    return _findings(
        positions,
        "duplicated",
        1.0 - 1.0 / counts[positions],
        [f"shared by {count:,} {owners}" for count in counts[positions].tolist()],
    )


def _near_duplicates(
    passes: _Passes, gathered: _Gathered, second: ColumnSpool, owners: np.ndarray, chosen: frozenset[int]
) -> pa.Table:
    """Rows whose caption is nearly, but not quite, that of an image of another group."""
    rests, first_rows = np.unique(gathered.rests, return_index=True)
    is_first = np.zeros(len(gathered.rests), bool)
    is_first[first_rows[rests != 0]] = True
    signatures = _signatures(second, is_first)
    places = np.flatnonzero(is_first)

    def texts_at(numbers: np.ndarray) -> list[str]:
        texts = passes.texts_at(places[numbers])
        return [plain_text(without_templates(text, chosen)[0]) for text in texts]

    best: dict[int, tuple[float, int]] = {}
    for one, two, alike in near_pairs(signatures, texts_at):
        if owners[places[one]] != owners[places[two]]:
            for row, other in ((one, two), (two, one)):
                best[row] = max(best.get(row, (0.0, 0)), (alike, other))
    by_rest = {int(gathered.rests[places[row]]): found for row, found in best.items()}
    positions = np.flatnonzero(np.isin(gathered.rests, np.array(list(by_rest), np.uint64)))
    found = [by_rest[int(key)] for key in gathered.rests[positions]]
    return _findings(
        positions,
        "near-duplicate-text",
        np.array([alike for alike, _ in found]),
        [f"overlap {alike:.2f} with the caption of row {places[other]:,}" for alike, other in found],
    )


def _signatures(spool: ColumnSpool, wanted: np.ndarray) -> np.ndarray:
    """Bands of the rows wanted, uint64 [number wanted, BANDS]."""
    parts, start = [], 0
    for batch in spool.batches():
        column = batch.column("bands")
        flat = column.flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
        parts.append(flat[wanted[start : start + batch.num_rows]])
        start += batch.num_rows
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.uint64)


def _findings(positions: np.ndarray, flag: str, scores: np.ndarray, reasons: list[str]) -> pa.Table:
    return pa.Table.from_arrays(
        [
            pa.array(positions, pa.int64()),
            pa.array([flag] * len(positions), pa.string()),
            pa.array(scores, pa.float32()),
            pa.array(reasons, pa.string()),
        ],
        schema=FINDINGS,
    )


def _joined(arrays: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(arrays).astype(kind) if arrays else np.zeros(0, kind)


__all__ = ["FINDINGS", "CaptionCheck", "check_captions"]
