"""A caption cut into passages, and the keys by which passages are counted without keeping their text."""

import hashlib
import re
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass

from synsight.language.clean import MAX_CHARACTERS

LEAST_WORDS, LEAST_CHARACTERS = 3, 15
"""A shorter passage ("facing right", "part of") may stand in many captions and still say what is seen."""
LEAST_IDEOGRAPHS = 8
"""The same for text without blanks between its words."""
AFFIX_WORDS = 5
"""First or last words of a passage that are counted by themselves: "this is a nice picture of ..."."""

_BETWEEN = re.compile(r"[.!?]+(?=\s|$)|[。！？；;|•\n\r\t()\[\]{}「」『』（）]+|\s[-–—~]+\s|:\s")
_NO_WORD = re.compile(r"[\W_]+")
_PUNCTUATION = re.compile(r"[\s_.,;:!?\"'`´‘’“”()\[\]{}<>/\\|–—、。，．・-]+")
_DIGITS = re.compile(r"\d+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence, or what stands between brackets, dashes and the like."""

    text: str
    """As found."""
    plain: str
    """Its words with single blanks, case folded; numbers as 0, so that a counter hides no template."""

    @property
    def may_be_template(self) -> bool:
        """Whether it is long enough to be counted."""
        if len(self.plain) >= LEAST_CHARACTERS and self.plain.count(" ") >= LEAST_WORDS - 1:
            return True
        return len(self.plain) >= LEAST_IDEOGRAPHS and len(_UNSPACED.findall(self.plain)) >= LEAST_IDEOGRAPHS

    def affixes(self) -> Iterator[str]:
        """Its first words and its last ones, if there are others."""
        words = self.plain.split(" ")
        if len(words) > AFFIX_WORDS:
            yield " ".join([*words[:AFFIX_WORDS], "…"])
            yield " ".join(["…", *words[-AFFIX_WORDS:]])

    def keys(self) -> list[int]:
        """What is counted of it: itself, and its affixes."""
        if not self.may_be_template:
            return []
        return [key_of(text) for text in (self.plain, *self.affixes())]

    def without(self, templates: Container[int]) -> str:
        """What is left of the text: nothing, or the words between affixes that are templates."""
        if not self.may_be_template:
            return self.text
        if key_of(self.plain) in templates:
            return ""
        known = [key_of(affix) in templates for affix in self.affixes()]
        if not any(known):
            return self.text
        words = [word for word in self.text.split() if _NO_WORD.sub("", word)]
        # Marks inside words ("don't") make more plain words than blanks do; then too little is cut, never
        # too much.
        start = AFFIX_WORDS if known[0] else 0
        stop = len(words) - AFFIX_WORDS if known[1] else len(words)
        return " ".join(words[start : max(stop, start)])


def plain_text(text: str) -> str:
    """Words with single blanks, case folded, in compatibility form: equal for captions that say the same."""
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold()
    return _NO_WORD.sub(" ", folded).strip()


def passages(text: str) -> list[Passage]:
    """The passages of a caption that hold a word, in order."""
    parts = (part.strip() for part in _BETWEEN.split(text[:MAX_CHARACTERS]))
    cut = [Passage(part, _DIGITS.sub("0", plain_text(part))) for part in parts if part]
    return [one for one in cut if one.plain]


def key_of(text: str) -> int:
    """A text as a number from 1 to 2^64 - 1; 0 is kept for no text."""
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=_KEY_BYTES).digest()
    return int.from_bytes(digest, "little") or 1


def text_key(text: str) -> int:
    """The key of a whole caption, equal where only case, blanks or punctuation differ; 0 where there is no
    letter or digit. Signs count: "keycap *" is not "keycap #".
    """
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold()
    if not any(map(str.isalnum, folded)):
        return 0
    return key_of(_PUNCTUATION.sub(" ", folded).strip())


def without_templates(text: str, templates: Container[int]) -> tuple[str, float]:
    """A caption without the passages that stand on many images.

    Args:
        text: A caption.
        templates: Keys of passages, and of whole captions, that are boilerplate.

    Returns:
        What is left, and the share of the caption's characters that went, 0 to 1.
    """
    if not templates or not text:
        return text, 0.0
    if text_key(text) in templates:
        return "", 1.0
    found = passages(text)
    left = [one.without(templates) for one in found]
    if all(rest == one.text for rest, one in zip(left, found, strict=True)):
        return text, 0.0
    rest = ". ".join(filter(None, left))
    whole, kept = sum(len(one.text) for one in found), sum(map(len, left))
    return rest, 1.0 - kept / whole
