"""Captions as they come from the web, made plain: one line, no markup, lower case.

The steps are those of CatLIP's released code, repeated until nothing changes, so that cleaning twice is
cleaning once. (A second pass can find work: `%2541` is `%41` is `A`; `&lt;b&gt;` is `<b>`.) Two departures:
a tag becomes a blank, since `dog<br>cat` is two words; and only the first 4,000 characters are read, since
a caption is hostile input and each pass may undo only one layer of escapes.
"""

import re
from urllib.parse import unquote

from ftfy import fix_text

MAX_CHARACTERS = 4000

_TAG = re.compile(r"<.*?>")
_NESTED_PERCENT = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")
_SINGLE = "‘’“”–—àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßÀÁÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝ"
_EASY = re.compile(rf"[ -~]*(?:[{_SINGLE}][ -~]+)*[{_SINGLE}]?")
"""ASCII with single marks in it. ftfy tells wrong encodings by marks that stand together, and by "Â", "Ã"
and "œ" before a blank; so here it does nothing but straighten quotes, at thirty times the cost."""
_STRAIGHT = str.maketrans("‘’“”", "''\"\"")


def clean_caption(text: str) -> str:
    """Undo URL escapes, mark-up and wrong encodings; single blanks; lower case.

    Idempotent: `clean_caption(clean_caption(x)) == clean_caption(x)`.
    """
    if len(text) <= MAX_CHARACTERS:
        if is_plain(text):
            return text.strip().lower()
        if _EASY.fullmatch(text) and not _has_escapes(text):
            return text.translate(_STRAIGHT).strip().lower()
    return _clean_fully(text)


def is_plain(text: str) -> bool:
    """Whether cleaning changes nothing but case and the outer blanks: printable ASCII without escapes or
    mark-up.

    `ftfy` repairs encodings, HTML entities and control characters only, so it has nothing to do here.
    """
    return text.isascii() and text.isprintable() and not _has_escapes(text)


def _has_escapes(text: str) -> bool:
    """Whether there may be URL escapes, mark-up or two blanks to undo."""
    return "  " in text or "%" in text or "+" in text or "<" in text or ("&" in text and ";" in text)


def _clean_fully(text: str) -> str:
    text = _one_pass(text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    while not is_plain(text) and (again := _one_pass(text)) != text:
        text = again[:MAX_CHARACTERS]
    return text.strip()


def _one_pass(text: str) -> str:
    text = unquote(_NESTED_PERCENT.sub("%", text)).replace("+", " ")
    text = _TAG.sub(" ", " ".join(text.split()))
    return " ".join(fix_text(text).lower().split())
