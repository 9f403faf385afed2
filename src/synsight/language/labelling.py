"""Captions in, a column of word classes and its vocabulary out.

Two passes. The first reads the text and spools each row's words (a stage: resumable, in chunks); on the
way the words of the train split are counted. The second turns words into classes of the vocabulary
while the new column is written. Nothing grows with the number of rows but the spool on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, UsageError
from synsight.language.label_space import Compat, LabelSpace, label_space
from synsight.language.routing import Language
from synsight.language.subwords import Subwords
from synsight.language.texts import SPLIT, TRAIN, check_text_columns, texts_of_rows
from synsight.language.vocabulary_file import entries_digest, read_vocabulary_file
from synsight.language.word_columns import WordColumns
from synsight.records import WordsSummary
from synsight.stages import Runner, ThreadRunner

ROWS_PER_CHUNK = 8192
"""Work that a kill may cost; about 40 ms."""


@dataclass(frozen=True)
class WordStage:
    """The stage of the first pass: text columns to words, as numbers, and what matched nothing."""

    text_columns: tuple[str, ...]
    space: LabelSpace

    name = "words"
    version = "3"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"text_columns": list(self.text_columns), **self.space.settings}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Columns `numbers` (list<int32>), `unmatched` and `nouns` (list<string>), `language` (string),
        `is_train` (bool).
        """
        words = self.space.matcher().read(texts_of_rows(batch, self.text_columns))
        matches = words.matches
        is_train = pa.repeat(True, batch.num_rows)
        if SPLIT in batch.schema.names:
            is_train = _is_train(batch.column(SPLIT))
        return pa.record_batch(
            {
                "numbers": pa.ListArray.from_arrays(pa.array(matches.bounds), pa.array(matches.numbers)),
                "unmatched": pa.array(matches.unmatched, pa.list_(pa.string())),
                "nouns": pa.array(words.nouns, pa.list_(pa.string())),
                "language": pa.array(words.languages, pa.string()),
                "is_train": is_train,
            }
        )


def _is_train(splits: pa.Array) -> pa.Array:
    if not pt.is_string(splits.type):
        return pa.array([split == TRAIN for split in splits.to_pylist()], pa.bool_())
    return pc.fill_null(pc.equal(splits, TRAIN), False)


def find_words(
    catalog: str | Path | Catalog,
    *,
    vocabulary: str = "synset",
    text_columns: Sequence[str] = ("caption",),
    min_count: int | None = None,
    compat: Compat | None = None,
    hypernyms: bool = False,
    language: Language = "auto",
    unknown_words: bool = False,
    vocabulary_file: str | Path | None = None,
    tokeniser: Subwords | None = None,
    runner: Runner | None = None,
) -> WordsSummary:
    """Find the words of every row's text: adds the column `words_<vocabulary>` (list<int32>) in one commit.

    A row's classes are unique and ascending; an empty list means that no word was found. The vocabulary is
    counted on the train split (all rows where there is no split) and saved beside the catalog; see
    `load_vocabulary`. The same commit adds `language` (string: ISO 639-1 code, `mixed`, null where there is
    no text or none can be told) and, with hypernyms, `word_weights_<vocabulary>` (list<float32>). Stopped or
    killed at any moment, the catalog is as before and the same call finishes the work; a finished call does
    nothing.

    Args:
        catalog: Its folder, or an open catalog.
        vocabulary: Kind of words; `synset`: the noun synsets of WordNet 3.0, `subword`: the sub-words of
            CLIP's byte-pair encoding, `terms:FILE`: synsets and a company's own words, see `load_terms`; the
            column is `words_terms`.
        text_columns: String or list-of-string columns to read.
        min_count: Fewest train rows of a class; None: for synsets by the number of rows, see
            `default_min_count`, for sub-words 1.
        compat: Of synsets; None: our rule, `corenet`: labels exactly as CatLIP's released code makes them.
        hypernyms: Add what each synset is a kind of ("dog": also "canine", "animal", ...), and for each class
            of a row its weight, 1 / (1 + steps up from the nearest word found).
        language: Which rule reads a row; `auto`: that for the language of its text, `en` or `ja`: that one
            for all rows.
        unknown_words: Frequent English words that WordNet lacks become classes too, as Japanese ones always
            do.
        vocabulary_file: An edited vocabulary: its rows are the classes; see `read_vocabulary_file`. None: the
            words that are frequent enough.
        tokeniser: Cuts captions into sub-words, where these are wanted.
        runner: Where the stage runs; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text, or no class is frequent enough.
        DataError: The file of terms or of classes is wrong; names the line.
        ConfigError: `min_count` < 1, or sub-words without a tokeniser.
        UsageError: An unknown vocabulary, rule or language, or one that the other does not have.
        CatalogError: There is no catalog.
        MissingDependency: Japanese is asked for by name, and the extra `ja` is not installed.
    """
    space = label_space(
        vocabulary, compat=compat, language=language, unknown_words=unknown_words, tokeniser=tokeniser
    )
    if hypernyms and space.expander is None:
        raise UsageError(f"{vocabulary}s are kinds of nothing; leave hypernyms out.")
    if min_count is not None and min_count < 1:
        raise ConfigError(f"min_count must be >= 1; got {min_count!r}.")
    if min_count is not None and vocabulary_file is not None:
        raise UsageError("a vocabulary file says itself which words are classes; leave min_count out.")
    given = (
        None if vocabulary_file is None else read_vocabulary_file(vocabulary_file, number_of=space.number_of)
    )
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    check_text_columns(opened, text_columns)
    stage = WordStage(tuple(text_columns), space)
    # A column may be read for its text and for the split.
    columns = dict.fromkeys([*text_columns, *([SPLIT] if SPLIT in opened.columns else [])])
    source = opened.source(list(columns), rows_per_chunk=ROWS_PER_CHUNK)
    spool = opened.spool(stage, source)
    settings = {
        **stage.settings,
        "vocabulary": space.name,
        "min_count": min_count,
        "hypernyms": hypernyms,
        **({} if given is None else {"classes": entries_digest(given)}),
    }
    expand = space.expander() if hypernyms and space.expander is not None else None
    job = WordColumns(opened, spool, space, settings, expand)
    if (done := job.finished_summary()) is not None:
        return done
    with opened.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="words", total=source.rows
        )
    summary = job.finish(given, min_count=min_count)
    spool.clear()
    return summary
