"""Which language a text is in, told by scripts, frequent words and endings; no model.

Scripts settle most: kana is Japanese, Hangul Korean, and so on. Text in Latin script is told by
`profiles.py`. A plain text that nothing speaks for is English if WordNet knows more than half of its words;
else its language is unknown, and it is read as most captions are, by the English rule. Han characters alone
are told apart by what the national character sets hold.
"""

import re
from collections.abc import Sequence
from functools import cache

from synsight.language.profiles import MAX_CHARACTERS, Profiles

MIXED = "mixed"
"""Japanese and words in Latin script."""

_SCRIPTS = {
    "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "ru": "\u0400-\u052f",
    "ar": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "th": "\u0e00-\u0e7f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff",
    "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff",
    "lo": "\u0e80-\u0eff",
    "my": "\u1000-\u109f",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0530-\u058f",
    "am": "\u1200-\u137f",
    "km": "\u1780-\u17ff",
}
"""Language -> the script it stands for."""
_NEIGHBOURS = (
    ("ru", "uk", "іїєґ"), ("ru", "be", "ў"), ("ru", "sr", "ђћџљњј"), ("ru", "bg", "ъ"),
    ("ar", "ur", "ٹڈڑے"), ("ar", "fa", "پچژگکی"),
)  # fmt: skip
"""Script, another language that is written in it, and letters of it that the first does not have."""
_HARD_SIGN_IS_RUSSIAN = re.compile("[ыэё]", re.IGNORECASE)

_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff6f\uff71-\uff9d]")
_HAN = re.compile("[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_NO_LATIN = re.compile(f"[{''.join(_SCRIPTS.values())}]|{_KANA.pattern}|{_HAN.pattern}")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff][A-Za-z\u00c0-\u024f\u1e00-\u1eff'’]*")
_LATIN_LETTERS = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_CHINESE = frozenset("这這们們你妳她它很吗嗎呢吧啊")
_CHINESE_TOO = frozenset("的了在是着")
_FIRST_LEVEL_2 = 0x989F
"""In Shift JIS; rare in Japanese, and many are the traditional forms that Chinese uses."""


def language_of(text: str) -> str | None:
    """The language of a text.

    Returns:
        An ISO 639-1 code, `mixed` (Japanese and Latin script, both with words), or None: no words, or no
        language that can be told.
    """
    return languages_of([text])[0]


def languages_of(texts: Sequence[str]) -> list[str | None]:
    """The language of each text, as `language_of`; many at once are far faster."""
    found: list[str | None] = [None] * len(texts)
    latin: list[int] = []
    for row, text in enumerate(texts):
        if text.isascii():
            latin.append(row)
            continue
        text = text[:MAX_CHARACTERS]
        script = _by_script(text)
        if script is None:
            latin.append(row)
        else:
            found[row] = script
    for row, language in zip(latin, Profiles.load().read([texts[row] for row in latin]), strict=True):
        found[row] = language
    return found


def _by_script(text: str) -> str | None:
    """The language of a text that is not in Latin script; None: it is, or has no letters."""
    if not _NO_LATIN.search(text):
        return None
    num_latin = len(_LATIN_LETTERS.findall(text))
    if _KANA.search(text):
        return MIXED if _has_latin_words(text) else "ja"
    han = _HAN.findall(text)
    others = {language: len(re.findall(f"[{marks}]", text)) for language, marks in _SCRIPTS.items()}
    language = max(others, key=lambda one: others[one])
    if others[language] > max(len(han), num_latin / 2):
        return _within_script(language, text)
    if not han:
        return None
    found = _japanese_or_chinese(han)
    return MIXED if found == "ja" and _has_latin_words(text) else found


def _has_latin_words(text: str) -> bool:
    """Whether Latin script carries words: three letters or more, not all capitals (LED), no unit."""
    return any(len(word) > 2 and not word.isupper() for word in _LATIN_WORD.findall(text))


def _within_script(language: str, text: str) -> str:
    lower = text.lower()
    for script, other, letters in _NEIGHBOURS:
        if script == language and any(letter in lower for letter in letters):
            if other == "bg" and _HARD_SIGN_IS_RUSSIAN.search(text):
                continue
            return other
    return language


def _japanese_or_chinese(han: Sequence[str]) -> str:
    """Told by the character sets: simplified forms are not in Japan's, Japan's own forms not in China's.

    What fits both is taken for Japanese.
    """
    chinese = japanese = 0.0
    for mark in han:
        if mark in _CHINESE or not _has(mark, "shift_jis"):
            chinese += 1
        elif mark in _CHINESE_TOO:
            chinese += 0.25
        elif not (_has(mark, "gb2312") or _has(mark, "big5")):
            japanese += 1
        elif int.from_bytes(mark.encode("shift_jis")) >= _FIRST_LEVEL_2:
            chinese += 0.4
    return "zh" if chinese > max(japanese, 0.5) else "ja"


@cache
def _has(mark: str, charset: str) -> bool:
    try:
        mark.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
