"""What is wrong with one caption, seen by itself: no word, a file's name, a code, a wrong encoding.

Each rule takes a text and gives a strength, above 0 to 1, with a reason; none needs another row.
"""

import re
from dataclasses import dataclass

from ftfy import fix_encoding
from ftfy.badness import is_bad

from synsight.curation.codes import LEAST_LETTERS, code_spans, letters
from synsight.curation.privacy import FINDERS, comparable, masked, private_parts, reason_of
from synsight.language.clean import MAX_CHARACTERS


@dataclass(frozen=True, slots=True)
class Mark:
    """One flag on one caption."""

    flag: str
    score: float
    """How strong, above 0 to 1."""
    reason: str


_PICTURES = "jpe?g|png|gif|webp|tiff?|bmp|svgz?|eps|psd|xcf|ai|heic|raw|cr2|nef|dng|ico"
_DOCUMENTS = "pdf|docx?|pptx?|txt|html?|mp4|mov|avi"
_WITH_EXTENSION = re.compile(
    rf"(?!.*[.!?] )[^<>|?*:\"\n]{{1,120}}\.(?:{_PICTURES}|{_DOCUMENTS})", re.IGNORECASE
)
_BY_A_DEVICE = re.compile(
    r"(?:IMG|IMGP|DSC[FN]?|DSCN|DCIM|PXL|MVIMG|VID|SCAN|PICT|CIMG|GOPR|SANY|HPIM|DJI|WP|P\d|image|photo|picture|pic|"
    r"scan|screenshot|screen shot|download|clipboard|写真|画像|スクリーンショット)[ _-]?\(?\d[\d _.()-]{0,40}"
    r"|(?:untitled|unnamed|no ?name|名称未設定|無題)(?:[ _-]?\(?\d{1,6}\)?)?",
    re.IGNORECASE,
)
"""Names that cameras, scanners and editors give."""
_ONE_TOKEN = re.compile(r"(?=.*[a-z])(?:[a-z0-9]+(?:_[a-z0-9]+){1,8}|[a-z]{3,}\d{1,6})", re.IGNORECASE)
"""As "red_heart" and "smiley111"."""

_BROKEN = re.compile(r"\ufffd|[\x80-\x9f]")
_SHIFT_JIS = re.compile(r"縺|繧|繝")
"""UTF-8's hiragana and katakana read as Shift-JIS begin with these three."""


def marks_of(text: str) -> list[Mark]:
    """Every flag that one caption raises by itself, whatever the text.

    Args:
        text: A caption as found; only its first 4,000 characters are read.
    """
    text = text[:MAX_CHARACTERS]
    if not any(map(str.isalnum, text)):
        return [Mark("empty", 1.0, "no letter or digit" if text.strip() else "no caption")]
    plain = comparable(text)
    private = private_parts(plain)
    marks = [
        Mark(flag, min(1.0, 0.5 + len(spans) / 4), reason_of(flag, len(spans)))
        for flag, spans in private.items()
    ]
    rest = masked(
        plain, [span for flag in FINDERS if flag != "person-name" for span in private.get(flag, [])]
    )
    marks.extend(filter(None, (_short(plain), _file_name(plain), _code(rest, len(plain)), _encoding(text))))
    return marks


def _short(text: str) -> Mark | None:
    found = letters(text)
    if found >= LEAST_LETTERS:
        return None
    return Mark("too-short", 1.0 - found / LEAST_LETTERS, f"{found} letters" if found != 1 else "1 letter")


def _file_name(text: str) -> Mark | None:
    name = text.strip()
    if _BY_A_DEVICE.fullmatch(name):
        return Mark("file-name", 1.0, "a name given by a device or program")
    if _WITH_EXTENSION.fullmatch(name):
        return Mark("file-name", 0.9, f"ends in .{name.rsplit('.', 1)[1].lower()}")
    if _ONE_TOKEN.fullmatch(name):
        return Mark("file-name", 0.5, "one token written like a file's name")
    return None


def _code(text: str, length: int) -> Mark | None:
    spans = list(code_spans(text))
    if not spans:
        return None
    share = sum(stop - start for start, stop in spans) / max(length, 1)
    said = "1 code" if len(spans) == 1 else f"{len(spans)} codes"
    return Mark("id-like", min(1.0, max(share, 0.01)), f"{said}, {share:.0%} of the caption")


def _encoding(text: str) -> Mark | None:
    if text.isascii():
        return None
    broken = len(_BROKEN.findall(text))
    misread = len(_SHIFT_JIS.findall(text)) if len(_SHIFT_JIS.findall(text)) >= 2 else 0
    if broken or misread:
        count = broken + misread
        return Mark("mojibake", min(1.0, 0.5 + count / len(text)), f"{count} broken characters")
    if is_bad(text) and fix_encoding(text) != text:
        return Mark("mojibake", 1.0, "reads as text in another encoding")
    return None
