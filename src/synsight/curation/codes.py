"""What in a caption is no word: how many letters it has, and where codes stand."""

import re
from collections.abc import Iterator

from synsight.curation.privacy import Span

LEAST_LETTERS = 3
"""Fewer are no word, unless they are a noun that is known ("ox", "TV")."""
LEAST_KANA = 2
"""A single ideograph is a word, a single kana is none."""

_LETTER = re.compile(r"[^\W\d_]")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff\uac00-\ud7af]")
_KANA = re.compile(r"[\u3040-\u30ff]")

_CODE = re.compile(
    r"\b0x[0-9a-f]{4,}\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b[A-Z]+\((?:0x)?[0-9a-f]{5,}\)"
    r"|(?<![\w.,:/-])[#№]?\d{6,}(?![\w.,:/-])"
    r"|(?<![\w./])(?=[\w-]{0,60}\d)(?=[\w-]{0,60}[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,6}(?![\w./])",
    re.ASCII | re.IGNORECASE,
)
_SWITCH = re.compile(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)-?(?=[A-Za-z])")
_SIZE = re.compile(r"\d+(?:x\d+)+(?:px|mm|cm)?", re.IGNORECASE)
_CODE_DIGITS, _CODE_LENGTH, _CODE_SWITCHES = 4, 8, 3


def letters(text: str) -> int:
    """Letters, an ideograph counting as a word of three and a kana as half of one."""
    ideographs, kana = len(_IDEOGRAPH.findall(text)), len(_KANA.findall(text))
    others = len(_LETTER.findall(text)) - ideographs - kana
    return others + LEAST_LETTERS * ideographs + LEAST_LETTERS * kana // LEAST_KANA


def code_spans(text: str) -> Iterator[Span]:
    """Where codes stand: hexadecimal dumps, UUIDs, numbers of six digits, mixed tokens ("AB-10442-C")."""
    for match in _CODE.finditer(text):
        token = match[0]
        certain = token[0] in "#№" or token.isdigit() or "(" in token or token[:2].lower() == "0x"
        mixed = len(token) >= _CODE_LENGTH or len(_SWITCH.findall(token)) >= _CODE_SWITCHES
        if _SIZE.fullmatch(token):
            continue
        if certain or (mixed and sum(map(str.isdigit, token)) >= _CODE_DIGITS):
            yield match.span()
