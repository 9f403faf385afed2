"""Misspelt words of captions put right by the catalog's own words; the rule is in `misspellings`.

Words with a digit, in capitals or camelCase, within addresses, paths and names, and text in other languages
stay.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synsight.curation.person_names import GIVEN_NAMES, SURNAMES
from synsight.curation.repair.misspellings import LEAST_LETTERS, MOST_LETTERS, misspellings
from synsight.data.catalog import Catalog
from synsight.language.clean import MAX_CHARACTERS
from synsight.language.languages import language_of, languages_of
from synsight.language.profiles import Profiles
from synsight.language.terms import Terms, fold
from synsight.language.texts import sentences, texts_of_rows
from synsight.stages import Runner, ThreadRunner, chunk_key

WORDS, LANGUAGE = "words", "language"
ROWS_PER_CHUNK = 4096
"""Work that a kill may cost: about 40 ms."""
ENGLISH = "en"
_WORD = re.compile(
    r"(?<![\w@/\\#'’&=~])(?<!\d-)(?<!\w[.:;\"])"
    rf"[A-Za-z][a-z]{{{LEAST_LETTERS - 1},{MOST_LETTERS - 1}}}"
    r"(?![\w@/\\'’&=~(]|-\d|[.:;\"]\w)",
    re.ASCII,
)
"""Words in lower case or with a first capital, but for those within file names, codes and addresses."""
_SENTENCE_END = ".!?:;|"


@dataclass(frozen=True)
class Spelling:
    """What the misspelt words of a catalog should be; picklable. Made by `find_spelling`."""

    words: Mapping[str, str] = field(default_factory=dict)
    """Misspelling -> word, in lower case."""
    is_english: bool = False
    """Whether text of which no language can be told is taken for English."""

    @cached_property
    def digest(self) -> str:
        """Identity of all that results depend on."""
        return chunk_key(sorted(self.words.items()), self.is_english)

    def put_right(self, text: str) -> str:
        """A text with its misspelt words put right; unless it is in another language, as its rest tells.

        A word that looks like one of another language is put right only where the rest is surely English.
        """
        if not self.words:
            return text
        found = [match for match in _WORD.finditer(text) if match[0].lower() in self.words]
        found = [match for match in found if not _may_be_name(match, text)]
        if not found:
            return text
        language = language_of(_replaced(text, found, [""] * len(found)))
        if language is None and self.is_english:
            found = [match for match in found if not _looks_foreign(match[0].lower())]
        elif language != ENGLISH:
            return text
        right = [self.words[match[0].lower()] for match in found]
        return _replaced(
            text, found, [_cased(one, match[0]) for one, match in zip(right, found, strict=True)]
        )


@dataclass(frozen=True)
class SpellingStage:
    """Text columns to the words of each row, each once, and the language of the row's text."""

    text_columns: tuple[str, ...]

    name = "caption-spelling"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"text_columns": list(self.text_columns)}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Columns `words` (list<string>, lower case) and `language` (string; null: none can be told)."""
        words = [
            sorted({one.lower() for text in row for one in _WORD.findall(text[:MAX_CHARACTERS])})
            for row in texts_of_rows(batch, self.text_columns)
        ]
        languages = languages_of(sentences(batch, self.text_columns))
        return pa.record_batch(
            {
                WORDS: pa.array(words, pa.list_(pa.string())),
                LANGUAGE: pa.array(languages, pa.string()),
            }
        )


def find_spelling(
    catalog: Catalog,
    text_columns: Sequence[str],
    *,
    own_words: Collection[str] = (),
    runner: Runner | None = None,
) -> Spelling:
    """What the misspelt words of a catalog's texts should be; memory grows with the different words.

    Args:
        catalog: Only read.
        text_columns: Columns of text.
        own_words: Of the company, in lower case; they are right.
        runner: Where the stage runs; None: threads of this process.
    """
    stage = SpellingStage(tuple(text_columns))
    source = catalog.source(list(dict.fromkeys(text_columns)), rows_per_chunk=ROWS_PER_CHUNK)
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="captions: spelling", total=source.rows
        )
    found = spelling_of(spool.batches(), own_words)
    spool.clear()
    return found


def spelling_of(batches: Iterable[pa.RecordBatch], own_words: Collection[str] = ()) -> Spelling:
    """See `find_spelling`; from what `SpellingStage` found."""
    counts: Counter[str] = Counter()
    languages: Counter[str | None] = Counter()
    for batch in batches:
        _add(counts, batch.column(WORDS).flatten())
        _add(languages, batch.column(LANGUAGE))
    told = languages.total() - languages[None]
    return Spelling(misspellings(counts, own_words), is_english=2 * languages[ENGLISH] > told)


def words_of(terms: Terms) -> frozenset[str]:
    """The words of a company's terms, in lower case."""
    spellings = (spelling for one in terms.concepts for spelling in one.spellings)
    return frozenset(word for spelling in spellings for word in re.findall(r"[a-z]+", fold(spelling)))


def _add(counts: Counter[Any], values: pa.Array) -> None:
    found = pc.value_counts(values)
    counts.update(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))


def _may_be_name(match: re.Match[str], text: str) -> bool:
    """Whether a word is written as a name: with a capital inside a sentence that has words without."""
    if match[0][0].islower():
        return False
    if match[0].lower() in GIVEN_NAMES or match[0].lower() in SURNAMES:
        return True
    before = text[: match.start()].rstrip(" \"'([")
    is_first = not before or before[-1] in _SENTENCE_END
    return not is_first and any(one[0][0].islower() for one in _WORD.finditer(text))


def _looks_foreign(word: str) -> bool:
    profiles = Profiles.load()
    weights = profiles.weights(word)
    return weights is not None and bool(weights.sum() > 2 * weights[profiles.languages.index(ENGLISH)])


def _replaced(text: str, found: Sequence[re.Match[str]], words: Sequence[str]) -> str:
    parts, last = [], 0
    for match, word in zip(found, words, strict=True):
        parts += [text[last : match.start()], word]
        last = match.end()
    return "".join([*parts, text[last:]])


def _cased(word: str, as_found: str) -> str:
    return word.capitalize() if as_found[0].isupper() else word
