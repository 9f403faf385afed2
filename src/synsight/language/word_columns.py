"""The second half of `find_words`: spooled words in, a vocabulary and the catalog's new columns out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.data.catalog import Catalog, Commit
from synsight.data.column_stage import ColumnSpool
from synsight.errors import DataError
from synsight.files import read_json, write_json
from synsight.language.classes import ClassMap, Expand, Tally, count_classes, language_counts
from synsight.language.label_space import LabelSpace
from synsight.language.routing import JAPANESE, NO_LANGUAGE
from synsight.language.texts import SPLIT, TRAIN
from synsight.language.vocabulary import (
    DIGEST_FIELD,
    MAX_SHARE,
    WORD_PREFIX,
    Entry,
    Vocabulary,
    archived_path,
    load_vocabulary,
    vocabulary_of,
    vocabulary_path,
)
from synsight.records import WordsSummary, as_json

TOP = 30
LANGUAGE = "language"
"""The column of each row's language."""
LANGUAGES_VERSION = "2"
"""Changes whenever `languages_of` gives other results."""


@dataclass
class WordColumns:
    """What remains when the stage is done: vocabulary, columns, summary."""

    catalog: Catalog
    spool: ColumnSpool
    space: LabelSpace
    settings: Mapping[str, Any]
    expand: Expand | None

    @property
    def column(self) -> str:
        return f"words_{self.space.name}"

    @property
    def weights_column(self) -> str:
        return f"word_weights_{self.space.name}"

    @property
    def summary_path(self) -> Path:
        return self.catalog.work_folder / f"{self.column}.json"

    @property
    def provenance(self) -> dict[str, str]:
        return {**self.spool.provenance, "synsight.settings": json.dumps(self.settings, sort_keys=True)}

    @property
    def language_provenance(self) -> dict[str, str]:
        return {
            "synsight.languages": LANGUAGES_VERSION,
            "synsight.input": self.spool.provenance["synsight.input"],
            "synsight.text_columns": json.dumps(self.settings["text_columns"]),
        }

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

    def finish(self, given: list[Entry] | None, *, min_count: int | None) -> WordsSummary:
        tally = Tally()
        for batch in self.spool.batches():
            tally.add(batch, self.expand)
        if not tally.train_rows:
            raise DataError(
                f"{self.catalog.path}: no row has {SPLIT} {TRAIN!r}, so there is nothing to count words on; "
                "ingest the source with a split column that names train rows, or without one."
            )
        if given is not None:
            vocabulary = self._given(given, tally)
        else:
            min_count = min_count or self.space.min_count(tally.train_rows)
            vocabulary = self._counted(tally, min_count)
        vocabulary.save(archived_path(self.catalog, self.space.name, vocabulary.digest))
        coverage = self._write_columns(vocabulary)
        path = vocabulary_path(self.catalog, self.space.name)
        vocabulary.save(path)
        vocabulary.save_csv(path.with_suffix(".csv"))
        rows = max(coverage["rows"], 1)
        without_word = {
            name.removeprefix(_WITHOUT): count
            for name, count in coverage.most_common()
            if name.startswith(_WITHOUT)
        }
        summary = WordsSummary(
            captions=coverage["rows"],
            share_with_word=coverage["rows_with_word"] / rows,
            words_per_caption=coverage["words"] / rows,
            vocabulary_size=len(vocabulary),
            vocabulary=self.space.name,
            top=_most_frequent(vocabulary),
            unmatched=tally.unmatched.most_common(TOP),
            languages=dict(tally.languages.most_common()),
            without_word=without_word,
            unread=self._unread(without_word),
            settings={**self.settings, "min_count": min_count, "digest": vocabulary.digest},
        )
        write_json(self.summary_path, {"digest": vocabulary.digest, "summary": as_json(summary)})
        return summary

    def _counted(self, tally: Tally, min_count: int) -> Vocabulary:
        """The words that are frequent enough, the most frequent first."""
        most = MAX_SHARE * tally.train_rows if self.expand else float("inf")
        numbers = sorted(
            (number for number, count in tally.words.items() if min_count <= count <= most),
            key=lambda number: (-tally.words[number], number),
        )
        names = self.space.names_of(numbers)
        entries = [
            Entry((self.space.key_of(number),), name, tally.words[number])
            for number, name in zip(numbers, names, strict=True)
        ]
        entries += self._unknown(tally, min_count, names)
        entries.sort(key=lambda one: -one.count)
        if not entries:
            columns = ", ".join(self.settings["text_columns"])
            raise DataError(
                f"{self.catalog.path}: no word stands in at least {min_count} of {tally.train_rows} "
                f"train rows (columns: {columns}); name another text column or lower min_count."
            )
        return vocabulary_of(self.space.name, entries, rows=tally.train_rows)

    def _unknown(self, tally: Tally, min_count: int, taken: Sequence[str]) -> list[Entry]:
        """Unknown words as classes: counted once more, since the tally may have forgotten some of them."""
        counts, names = tally.nouns, {name.lower() for name in taken}
        plurals = {f"{word}s" for word in counts if word.isascii()} & counts.keys()
        entries = []
        for word in sorted(counts.keys() - plurals):
            forms = [word, *([f"{word}s"] if f"{word}s" in plurals else [])]
            if sum(counts[form] for form in forms) + counts.forgotten >= min_count:
                name = f"{word} [word]" if word.lower() in names else word
                entries.append(Entry(tuple(WORD_PREFIX + form for form in forms), name))
        if not entries:
            return []
        return [one for one in self._recounted(entries) if one.count >= min_count]

    def _given(self, entries: list[Entry], tally: Tally) -> Vocabulary:
        return vocabulary_of(self.space.name, self._recounted(entries), rows=tally.train_rows)

    def _recounted(self, entries: list[Entry]) -> list[Entry]:
        to_classes = ClassMap(vocabulary_of(self.space.name, entries), self.space.number_of)
        counts = count_classes(self.spool.batches(), to_classes, self.expand, len(entries))
        return [Entry(one.keys, one.name, count) for one, count in zip(entries, counts, strict=True)]

    def _write_columns(self, vocabulary: Vocabulary) -> Counter[str]:
        """Words, their weights where some word has another than 1, and languages, in one commit."""
        metadata = {**self.provenance, DIGEST_FIELD.decode(): vocabulary.digest}
        fields = [pa.field(self.column, pa.list_(pa.int32()), metadata=metadata)]
        # Weights of a former run would not fit these words.
        if self.expand is not None or self.weights_column in self.catalog.columns:
            fields.append(pa.field(self.weights_column, pa.list_(pa.float32()), metadata=metadata))
        if not self.catalog.is_current(LANGUAGE, self.language_provenance):
            fields.append(pa.field(LANGUAGE, pa.string(), metadata=self.language_provenance))
        schema = pa.schema(fields)
        coverage: Counter[str] = Counter()
        commit = Commit(verb="words", config=self.settings, counts={"classes": len(vocabulary)})
        self.catalog.add_columns(schema, self._columns(vocabulary, schema, coverage), commit=commit)
        return coverage

    def _columns(
        self, vocabulary: Vocabulary, schema: pa.Schema, coverage: Counter[str]
    ) -> Iterator[pa.RecordBatch]:
        """The new columns, batch by batch; `coverage` counts on the way."""
        to_classes = ClassMap(vocabulary, self.space.number_of)
        for batch in self.spool.batches():
            classes, bounds, steps = to_classes(batch, self.expand)
            weights = (1 / (1 + steps)).astype(np.float32)
            columns = {
                self.column: pa.ListArray.from_arrays(pa.array(bounds), pa.array(classes)),
                self.weights_column: pa.ListArray.from_arrays(pa.array(bounds), pa.array(weights)),
                LANGUAGE: batch.column("language"),
            }
            is_empty = np.diff(bounds) == 0
            coverage["rows"] += batch.num_rows
            coverage["rows_with_word"] += int((~is_empty).sum())
            coverage["words"] += len(classes)
            for name, count in language_counts(batch, is_empty).items():
                coverage[_WITHOUT + name] += count
            yield pa.record_batch([columns[name] for name in schema.names], schema=schema)

    def _unread(self, without_word: Mapping[str, int]) -> Mapping[str, int]:
        """Languages that no rule reads, and their rows without a word."""
        if self.space.settings.get("language") != "auto":
            return {}
        read = {"en", "mixed", NO_LANGUAGE, *([JAPANESE] if self.space.settings["japanese"] else [])}
        return {name: count for name, count in without_word.items() if name not in read}


_WITHOUT = "without a word: "


def _most_frequent(vocabulary: Vocabulary) -> list[tuple[str, int]]:
    counts: list[int] = vocabulary.table["count"].to_pylist()
    order = sorted(range(len(counts)), key=lambda one: -counts[one])[:TOP]
    return [(vocabulary.names[one], counts[one]) for one in order]


def _summary_from_json(stored: Mapping[str, Any]) -> WordsSummary:
    pairs = {name: [(word, count) for word, count in stored[name]] for name in ("top", "unmatched")}
    return WordsSummary(**{**stored, **pairs})


def why_no_class(catalog: Catalog, name: str) -> str:
    """What keeps a word out of a catalog's vocabulary, as a phrase."""
    try:
        settings = read_json(catalog.work_folder / f"words_{name}.json")["summary"]["settings"]
    except (DataError, KeyError):
        return "no class here"
    if settings.get("min_count"):
        return f"no class here: in fewer than {settings['min_count']} training rows"
    return "no class here: not in the file of classes"
