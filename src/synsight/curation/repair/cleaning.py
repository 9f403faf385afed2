"""What is no description taken out of captions: templates, addresses, numbers, parts of file names.

Case and language stay as they are; what was read in a wrong encoding is mended, and misspelt words are, where
the catalog tells what was meant (see `spelling`). A caption of which nothing is left is no empty caption but
none at all: the column says null, and `repair` keeps the original unless it finds something better.
"""

import re
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from ftfy import TextFixerConfig, fix_text

from synsight.curation import repetition
from synsight.curation.codes import LEAST_LETTERS, code_spans, letters
from synsight.curation.outlines import BETWEEN, GROUP, OutlineStage
from synsight.curation.passages import text_key, without_templates
from synsight.curation.privacy import comparable, email_spans, masked, phone_spans, url_spans
from synsight.curation.repair.spelling import Spelling
from synsight.data.catalog import Catalog
from synsight.language.clean import MAX_CHARACTERS, is_plain
from synsight.language.texts import texts_of_rows
from synsight.models.prompting import visible
from synsight.stages import Runner, ThreadRunner, chunk_key

CLEAN, FOUND, REMOVED = "caption_clean", "caption_found", "caption_removed"
SPELLING = "spelling"
"""Among what was removed: misspelt words gave way to right ones."""
AS_SPELT = Spelling()
ROWS_PER_CHUNK = 4096
"""Work that a kill may cost: about a second."""

_MENDING = TextFixerConfig(uncurl_quotes=False, fix_latin_ligatures=False, explain=False)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PROGRAM = re.compile(r"<(script|style)\b[^<>]{0,1000}>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
"""Whose content is no text either."""
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,1000}>|<!--.*?-->")

_PICTURE = re.compile(
    r"(?<=[\w)])\.(?:jpe?g|png|gif|webp|tiff?|bmp|svgz?|eps|psd|xcf|heic|cr2|nef|dng|ico)\b", re.IGNORECASE
)
_DEVICE = re.compile(
    r"(?:img|imgp|dsc[fn]?|dcim|pxl|mvimg|vid|scan|pict|cimg|gopr|sany|hpim|dji|wp|p\d|image|photo|picture|pic|"
    r"screenshot|download|untitled|unnamed|clipboard)(?:[_-]?\d[\d_-]*)?",
    re.IGNORECASE,
)
"""A name that a camera, scanner or program gave."""
_YEAR = re.compile(r"(?:1[89]\d\d|20[0-2]\d)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_COUNTER = re.compile(r"(?<=[a-z]{3})\d{1,6}(?=[.,;:)]*$)")
"""As in "smiley111" and "arrow1"; "mp3", "RTX4090" and "3D" keep their numbers."""
_SERIAL = re.compile(r"(?<![\w.,:/-])#?0\d{1,3}(?![\w:/%°-]|[.,]\d)|(?<=\w)#\d{1,6}\b")
"""A free number with a leading zero ("symbol 01"), or one behind a hash ("man#306")."""

_HOLLOW = re.compile(r"[(\[{<][^\w()\[\]{}<>]{0,20}[)\]}>]|\"\s{0,20}\"")
_REPEATED = re.compile(r"([,;:|])(?:\s*[,;:|])+")
_BEFORE_MARK = re.compile(r"\s+([,.;:!?])(?=\s|$)")
_DANGLING = " \t,;:|/\\-–—~_•"
_LEADING = _DANGLING + ".!?。、・*#=+&"

_GAP = "\ue000"
"""Stands where an address was until what leads to it has gone, too; private use, so in no caption."""
_LEADS = (
    r"\b(?:e-?mail|mail|tel|telephone|phone|call|contact|fax|mobile|web|website|url|homepage|source|see|visit|from|"
    r"at|via)\b\s*"
)
_LEADING_TO = re.compile(rf"(?:{_LEADS})?:?\s*{_GAP}", re.IGNORECASE)
_JOINED = re.compile(
    rf"{_GAP}\s*(?:[,;/|]|or\b|and\b|und\b|oder\b)?\s*(?:{_LEADS})?:?\s*(?={_GAP})", re.IGNORECASE
)
"""Between two addresses: "call 555-0100 or mail a@example.com"."""


@dataclass(frozen=True)
class Cleaned:
    """A caption as `clean` leaves it."""

    text: str | None
    """None: nothing is left that says anything."""
    removed: tuple[str, ...] = ()
    """What went, as short stable words for counting: `template`, `url`, `email`, `phone`, `code`,
    `file-name`, `mark-up`, `spelling`."""


def clean(text: str, templates: Container[int] = frozenset(), spelling: Spelling = AS_SPELT) -> Cleaned:
    """Take out of a caption what does not describe its image, and put its misspelt words right.

    Idempotent: what is left, cleaned again with the same templates and spelling, stays.

    Args:
        text: A caption as found; its first 4,000 characters are read.
        templates: Keys of what stands on many images; see `passages.without_templates`.
        spelling: The catalog's misspelt words, and what was meant.
    """
    removed: dict[str, None] = {}
    before = text[:MAX_CHARACTERS]
    text = _one_pass(before, templates, spelling, removed)
    for _ in range(8):  # each layer of escapes, or a code that a name hid, takes one more
        if (again := _one_pass(text, templates, spelling, removed)) == text:
            break
        text = again
    if letters(text) < LEAST_LETTERS and (removed or not any(map(str.isalnum, text))):
        return Cleaned(None, tuple(removed))
    return Cleaned(text, tuple(removed))


@dataclass(frozen=True)
class CleanStage:
    """The stage: text columns to the columns `caption_clean` and `caption_found`, and what was removed."""

    text_columns: tuple[str, ...]
    templates: Collection[int]
    spelling: Spelling = AS_SPELT

    name = "clean_captions"
    version = "3"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {
            "text_columns": list(self.text_columns),
            "templates": chunk_key(sorted(self.templates)),
            "spelling": self.spelling.digest,
        }

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Columns `caption_clean`, `caption_found` (string) and `caption_removed` (list<string>)."""
        rows = [self.row(texts) for texts in texts_of_rows(batch, self.text_columns)]
        return pa.record_batch(
            {
                CLEAN: pa.array([one.text for one, _ in rows], pa.string()),
                FOUND: pa.array([found for _, found in rows], pa.string()),
                REMOVED: pa.array([list(one.removed) for one, _ in rows], pa.list_(pa.string())),
            }
        )

    def row(self, texts: Sequence[str]) -> tuple[Cleaned, str | None]:
        """A row's texts as one clean caption, and as they were found."""
        if text_key(BETWEEN.join(texts)) in self.templates:
            return Cleaned(None, ("template",)), joined(texts)
        cleaned = [clean(text, self.templates, self.spelling) for text in texts]
        removed = tuple(dict.fromkeys(one for some in cleaned for one in some.removed))
        return Cleaned(joined([one.text for one in cleaned]), removed), joined(texts)


def find_templates(
    catalog: Catalog, text_columns: Sequence[str], *, whole_texts: bool = True, runner: Runner | None = None
) -> frozenset[int]:
    """Keys of what stands on many images, by the audit's own rule; see `repetition.templates`.

    Args:
        catalog: Only read.
        text_columns: Columns of text.
        whole_texts: False: sentences alone; a whole list of keywords may well stand on many images.
        runner: Where the stage runs; None: threads of this process.
    """
    stage = OutlineStage(tuple(text_columns))
    group = [GROUP] if GROUP in catalog.columns else []
    source = catalog.source(list(dict.fromkeys([*text_columns, *group])), rows_per_chunk=ROWS_PER_CHUNK)
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="captions: count", total=source.rows
        )
    found = repetition.outline(spool.batches())
    spool.clear()
    return repetition.templates(found if whole_texts else replace(found, texts=np.zeros_like(found.texts)))


def joined(texts: Sequence[str | None]) -> str | None:
    """Several texts of a row as one, each said once; None where there is none."""
    found = list(dict.fromkeys(text for text in texts if text and text.strip()))
    return ". ".join([*(one.rstrip(" .") for one in found[:-1]), *found[-1:]]) or None


def _one_pass(text: str, templates: Container[int], spelling: Spelling, removed: dict[str, None]) -> str:
    text, share = without_templates(text, templates)
    if share:
        removed["template"] = None
    text = _mended(text, removed)
    text = _without_private(text, removed)
    text = _tidy(_without_file_names(text, removed))
    right = spelling.put_right(text)[:MAX_CHARACTERS]
    if right != text:
        removed[SPELLING] = None
    return right


def _mended(text: str, removed: dict[str, None]) -> str:
    """Escapes, mark-up and wrong encodings undone, on one line."""
    if is_plain(text):
        return text
    if _ESCAPE.search(text):
        text = unquote(text, errors="ignore")
    if _TAG.search(text):
        removed["mark-up"] = None
        text = _TAG.sub(" ", _PROGRAM.sub(" ", text))
    return visible(fix_text(text, _MENDING))


def _without_private(text: str, removed: dict[str, None]) -> str:
    plain = comparable(text)
    spans: list[tuple[int, int]] = []
    for kind, find in (("url", url_spans), ("email", email_spans), ("phone", phone_spans)):
        if found := list(find(plain)):
            removed[kind] = None
            spans += found
    for start, stop in reversed(_merged(spans)):
        plain = plain[:start] + _GAP + plain[stop:]
    plain = _LEADING_TO.sub(" ", _JOINED.sub("", plain))
    codes = [(start, stop) for start, stop in code_spans(plain) if not _PICTURE.match(plain, stop)]
    if codes:
        removed["code"] = None
    return masked(plain, codes) if spans or codes else text


def _without_file_names(text: str, removed: dict[str, None]) -> str:
    words = [_plain_name(word) if _may_be_name(word) else word for word in text.split()]
    cleaned = _SERIAL.sub(" ", " ".join(words))
    if cleaned.split() != text.split():
        removed["file-name"] = None
    return cleaned


def _may_be_name(word: str) -> bool:
    return "_" in word or any(map(str.isdigit, word)) or _PICTURE.search(word) is not None


def _plain_name(word: str) -> str:
    """The words of one token that looks like a file's name; nothing where a device gave it."""
    is_file = _PICTURE.search(word) is not None
    stem = _PICTURE.sub("", word)
    bare = stem.strip("()[]\"'.,;:")
    if (is_file or any(map(str.isdigit, bare))) and _DEVICE.fullmatch(bare):
        return ""
    if not (is_file or "_" in bare):
        return _COUNTER.sub("", stem) if _COUNTER.search(stem) else stem
    parts = [part for part in re.split(r"[_\s]+|(?<=\w)-(?=\w)" if is_file else r"_+", stem) if part]
    parts = [_CAMEL.sub(" ", _COUNTER.sub("", part)) for part in parts]
    return " ".join(part for part in parts if not part.isdigit() or _YEAR.fullmatch(part))


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without those that begin inside another."""
    kept: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(kept[-1][1], stop))
        else:
            kept.append((start, stop))
    return kept


def _tidy(text: str) -> str:
    """Without the marks that stood around what went."""
    text = _HOLLOW.sub(" ", text)
    text = _REPEATED.sub(r"\1", " ".join(text.split()))
    text = _BEFORE_MARK.sub(r"\1", text)
    return text.rstrip(_DANGLING).lstrip(_LEADING)
