"""Everything about each caption by itself, as a stage, once the count of outlines has found the templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from synsight.curation.audit.caption_rules import Mark, marks_of
from synsight.curation.audit.near_texts import BANDS, bands
from synsight.curation.known_words import is_mostly_english
from synsight.curation.outlines import BETWEEN, row_texts
from synsight.curation.passages import key_of, plain_text, text_key, without_templates
from synsight.language.label_space import label_space

READ_LANGUAGES = (None, "en", "ja", "mixed")
"""Languages with a noun table; None: text too short to tell."""
LEAST_WORD_LENGTH = 4
"""Letters of a word, where no noun table knows the language; shorter ones are mostly function words."""
MOST_WORDS_TO_DOUBT = 4
"""Of a caption in whose language a detector may be wrong."""


@dataclass(frozen=True)
class CaptionStage:
    """What each caption is worth by itself, once the templates are known.

    Columns: `flags`, `scores`, `reasons` (lists of one length); `rest` (uint64, key of the text without
    templates; 0: nothing is left); `is_usable` (something is left that can teach); `num_words`; `words`
    (list<int64>: synset offsets, keys of nouns that may become entries, and in other languages of all longer
    words); `language`; `bands` (MinHash of the text without templates).
    """

    text_columns: tuple[str, ...]
    templates: tuple[int, ...]

    name = "caption-checks"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {
            "text_columns": list(self.text_columns),
            "templates": [str(key) for key in self.templates],
            "words": dict(label_space("synset").settings),
        }

    @cached_property
    def known(self) -> frozenset[int]:
        """The templates."""
        return frozenset(self.templates)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`."""
        texts = row_texts(batch, self.text_columns)
        parted = [without_templates(text, self.known) for text in texts]
        rests = [rest for rest, _ in parted]
        read = label_space("synset").matcher().read([rest.split(BETWEEN) if rest else [] for rest in rests])
        rows = []
        for number, (text, (rest, covered)) in enumerate(zip(texts, parted, strict=True)):
            nouns = read.matches[number]
            marks = _row_marks(text, rest, covered, has_noun=bool(nouns), language=read.languages[number])
            others = read.nouns[number]
            if read.languages[number] not in READ_LANGUAGES:
                others = [word for word in plain_text(rest).split() if len(word) >= LEAST_WORD_LENGTH]
            words = [*nouns, *sorted({key_of(word) >> 1 for word in others})]
            rows.append((marks, _is_usable(marks, rest, bool(words)), words))
        plain = [plain_text(rest) for rest in rests]
        signatures = pa.array(bands(plain).ravel(), pa.uint64())
        return pa.record_batch(
            {
                "flags": pa.array([[one.flag for one in row[0]] for row in rows], pa.list_(pa.string())),
                "scores": pa.array([[one.score for one in row[0]] for row in rows], pa.list_(pa.float32())),
                "reasons": pa.array([[one.reason for one in row[0]] for row in rows], pa.list_(pa.string())),
                "rest": pa.array(map(text_key, rests), pa.uint64()),
                "is_usable": pa.array([row[1] for row in rows], pa.bool_()),
                "num_words": pa.array([len(text.split()) for text in plain], pa.int32()),
                "words": pa.array([row[2] for row in rows], pa.list_(pa.int64())),
                "language": pa.array(read.languages, pa.string()),
                "bands": pa.FixedSizeListArray.from_arrays(signatures, BANDS),
            }
        )


def _row_marks(text: str, rest: str, covered: float, *, has_noun: bool, language: str | None) -> list[Mark]:
    marks = [mark for mark in marks_of(text) if not (mark.flag == "too-short" and has_noun)]
    if any(mark.flag == "empty" for mark in marks):
        return marks
    if covered:
        said = "the whole caption stands" if covered == 1.0 else f"{covered:.0%} of the caption stands"
        marks.append(Mark("boilerplate", covered, f"{said} on many images"))
    if language not in READ_LANGUAGES:
        # Short captions mislead a detector ("top hat" is German to it).
        if len(plain_text(rest).split()) > MOST_WORDS_TO_DOUBT or not is_mostly_english(rest):
            marks.append(Mark("other-language", 1.0, f"language {language}"))
    elif rest and not has_noun:
        marks.append(Mark("no-known-noun", 1.0, f"none in {len(plain_text(rest).split())} words"))
    return marks


def _is_usable(marks: Sequence[Mark], rest: str, has_word: bool) -> bool:
    """Whether what is left of a caption can teach.

    A file's name, a code and broken text can if a noun shows through ("red_heart.png").
    """
    flags = {mark.flag for mark in marks}
    if flags & {"empty", "too-short"} or not any(map(str.isalnum, rest)):
        return False
    return has_word or not flags & {"file-name", "id-like", "mojibake"}
