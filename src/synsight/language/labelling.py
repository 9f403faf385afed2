"""Captions in, a column of word classes and its vocabulary out.

Two passes. The first reads the text and spools each row's words (a stage: resumable, in chunks); on the
way the words of the train split are counted. The second turns words into classes of the vocabulary
while the new column is written. Nothing grows with the number of rows but the spool on disk.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from synsight.data.catalog import Catalog, Commit
from synsight.data.column_stage import ColumnSpool
from synsight.errors import ConfigError, DataError, UsageError
from synsight.files import read_json, write_json
from synsight.language.classes import Expand, Tally, class_lists, with_ancestors
from synsight.language.label_space import Compat, LabelSpace, label_space
from synsight.language.subwords import Subwords
from synsight.language.texts import SPLIT, TRAIN, check_text_columns, texts_of_rows
from synsight.language.vocabulary import (
    DIGEST_FIELD,
    MAX_SHARE,
    Vocabulary,
    archived_path,
    build_vocabulary,
    load_vocabulary,
    vocabulary_path,
)
from synsight.records import WordsSummary, as_json
from synsight.stages import Runner, ThreadRunner

ROWS_PER_CHUNK = 8192
"""Work that a kill may cost; about 40 ms."""
TOP = 30


@dataclass(frozen=True)
class WordStage:
    """The stage of the first pass: text columns to words, as numbers, and what matched nothing."""

    text_columns: tuple[str, ...]
    space: LabelSpace

    name = "words"
    version = "2"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"text_columns": list(self.text_columns), **self.space.settings}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Columns `numbers` (list<int32>), `unmatched` (list<string>), `is_train` (bool)."""
        matcher = self.space.matcher()
        matches = matcher.match([matcher.join(row) for row in texts_of_rows(batch, self.text_columns)])
        is_train = [True] * batch.num_rows
        if SPLIT in batch.schema.names:
            is_train = [split == TRAIN for split in batch.column(SPLIT).to_pylist()]
        return pa.record_batch(
            {
                "numbers": pa.ListArray.from_arrays(pa.array(matches.bounds), pa.array(matches.numbers)),
                "unmatched": pa.array(matches.unmatched, pa.list_(pa.string())),
                "is_train": pa.array(is_train, pa.bool_()),
            }
        )


def find_words(
    catalog: str | Path | Catalog,
    *,
    vocabulary: str = "synset",
    text_columns: Sequence[str] = ("caption",),
    min_count: int | None = None,
    compat: Compat | None = None,
    hypernyms: bool = False,
    tokeniser: Subwords | None = None,
    runner: Runner | None = None,
) -> WordsSummary:
    """Find the words of every row's text: adds the column `words_<vocabulary>` (list<int32>) in one commit.

    A row's classes are unique and ascending; an empty list means that no word was found. The vocabulary is
    counted on the train split (all rows where there is no split) and saved beside the catalog; see
    `load_vocabulary`. Stopped or killed at any moment, the catalog is as before and the same call finishes
    the work; a finished call does nothing.

    Args:
        catalog: Its folder, or an open catalog.
        vocabulary: Kind of words; `synset`: the noun synsets of WordNet 3.0, `subword`: the sub-words of
            CLIP's byte-pair encoding.
        text_columns: String or list-of-string columns to read.
        min_count: Fewest train rows of a class; None: for synsets by the number of rows, see
            `default_min_count`, for sub-words 1.
        compat: Of synsets; None: our rule, `corenet`: labels exactly as CatLIP's released code makes them.
        hypernyms: Add what each synset is a kind of ("dog": also "canine", "animal", ...).
        tokeniser: Cuts captions into sub-words, where these are wanted.
        runner: Where the stage runs; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text, or no class is frequent enough.
        ConfigError: `min_count` < 1, or sub-words without a tokeniser.
        UsageError: An unknown vocabulary or rule, or one that the other does not have.
        CatalogError: There is no catalog.
    """
    space = label_space(vocabulary, compat=compat, tokeniser=tokeniser)
    if hypernyms and not space.has_ancestors:
        raise UsageError(f"{vocabulary}s are kinds of nothing; leave hypernyms out.")
    if min_count is not None and min_count < 1:
        raise ConfigError(f"min_count must be >= 1; got {min_count!r}.")
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    check_text_columns(opened, text_columns)
    stage = WordStage(tuple(text_columns), space)
    # A column may be read for its text and for the split.
    columns = dict.fromkeys([*text_columns, *([SPLIT] if SPLIT in opened.columns else [])])
    source = opened.source(list(columns), rows_per_chunk=ROWS_PER_CHUNK)
    spool = opened.spool(stage, source)
    settings = {**stage.settings, "vocabulary": vocabulary, "min_count": min_count, "hypernyms": hypernyms}
    job = _Job(opened, spool, space, settings)
    if (done := job.finished_summary()) is not None:
        return done
    with opened.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="words", total=source.rows
        )
    summary = job.finish(expand=with_ancestors if hypernyms else None, min_count=min_count)
    spool.clear()
    return summary


@dataclass
class _Job:
    """What remains when the stage is done: vocabulary, column, summary."""

    catalog: Catalog
    spool: ColumnSpool
    space: LabelSpace
    settings: Mapping[str, Any]

    @property
    def column(self) -> str:
        return f"words_{self.space.name}"

    @property
    def summary_path(self) -> Path:
        return self.catalog.work_folder / f"{self.column}.json"

    @property
    def provenance(self) -> dict[str, str]:
        return {**self.spool.provenance, "synsight.settings": json.dumps(self.settings, sort_keys=True)}

    def finished_summary(self) -> WordsSummary | None:
        """The summary of an earlier run that did exactly this, if its results are all there."""
        if not (self.catalog.is_current(self.column, self.provenance) and self.summary_path.exists()):
            return None
        try:
            digest = load_vocabulary(self.catalog, self.space.name).digest
            stored = read_json(self.summary_path)
        except DataError:
            return None
        return _summary_from_json(stored["summary"]) if stored["digest"] == digest else None

    def finish(self, *, expand: Expand | None, min_count: int | None) -> WordsSummary:
        tally = Tally()
        for batch in self.spool.batches():
            tally.add(batch, expand)
        if not tally.train_rows:
            raise DataError(
                f"{self.catalog.path}: no row has {SPLIT} {TRAIN!r}, so there is nothing to count words on; "
                "ingest the source with a split column that names train rows, or without one."
            )
        min_count = min_count or self.space.min_count(tally.train_rows)
        vocabulary = build_vocabulary(
            tally.words,
            name=self.space.name,
            min_count=min_count,
            max_count=MAX_SHARE * tally.train_rows if expand else float("inf"),
            key_of=self.space.key_of,
            names_of=self.space.names_of,
        )
        if not len(vocabulary):
            columns = ", ".join(self.settings["text_columns"])
            raise DataError(
                f"{self.catalog.path}: no word stands in at least {min_count} of {tally.train_rows} "
                f"train rows (columns: {columns}); name another text column or lower min_count."
            )
        vocabulary.save(archived_path(self.catalog, self.space.name, vocabulary.digest))
        coverage = self._write_column(vocabulary, expand)
        vocabulary.save(vocabulary_path(self.catalog, self.space.name))
        summary = WordsSummary(
            captions=coverage["rows"],
            share_with_word=coverage["rows_with_word"] / max(coverage["rows"], 1),
            words_per_caption=coverage["words"] / max(coverage["rows"], 1),
            vocabulary_size=len(vocabulary),
            vocabulary=self.space.name,
            top=list(zip(vocabulary.names[:TOP], vocabulary.table["count"].to_pylist()[:TOP], strict=True)),
            unmatched=tally.unmatched.most_common(TOP),
            settings={**self.settings, "min_count": min_count, "digest": vocabulary.digest},
        )
        write_json(self.summary_path, {"digest": vocabulary.digest, "summary": as_json(summary)})
        return summary

    def _write_column(self, vocabulary: Vocabulary, expand: Expand | None) -> Counter[str]:
        metadata = {**self.provenance, DIGEST_FIELD.decode(): vocabulary.digest}
        schema = pa.schema([pa.field(self.column, pa.list_(pa.int32()), metadata=metadata)])
        coverage: Counter[str] = Counter()
        batches = (class_lists(batch, vocabulary, expand, schema, coverage) for batch in self.spool.batches())
        commit = Commit(verb="words", config=self.settings, counts={"classes": len(vocabulary)})
        self.catalog.add_columns(schema, batches, commit=commit)
        return coverage


def _summary_from_json(stored: Mapping[str, Any]) -> WordsSummary:
    pairs = {name: [(word, count) for word, count in stored[name]] for name in ("top", "unmatched")}
    return WordsSummary(**{**stored, **pairs})
