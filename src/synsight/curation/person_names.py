"""Names of people in captions, by their surroundings: a title, a credit, a known given name.

Lexicons are small and leave out names that are words ("Rose", "Mark", "Georgia"); WordNet says which words
are common ones, and which names are those of the famous ("Albert Einstein"), who are no private persons.
Missed: a name without any such sign ("Buculei"), and names in scripts other than Latin and Japanese.
"""

import re
from collections.abc import Iterator
from importlib import resources
from itertools import pairwise

from synsight.curation.known_words import is_known_name, is_word


def _lexicon(name: str) -> list[str]:
    return resources.files("synsight.curation").joinpath("names", name).read_text(encoding="utf-8").split()


GIVEN_NAMES = frozenset(_lexicon("given.txt"))
"""Frequent given names of Europe, the Americas, Japan and the Arab world; none that is a frequent word."""

SURNAMES = frozenset(_lexicon("surnames.txt"))
"""Frequent surnames, also such as are words: they count only behind a given name."""

JAPANESE_SURNAMES = tuple(_lexicon("surnames_ja.txt"))
"""The hundred or so most frequent ones."""

_TITLE = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Professor|Herr|Frau|Mme|Mlle|Monsieur|Madame|Signor|Signora|Señor|Señora)\b\.? "
    r"(?=[A-ZÀ-Þ])"
)
_SUFFIX = re.compile(r"\b[A-Z][a-z]{2,}[- ](?:san|sama|sensei|kun|chan)\b")
_CREDIT = re.compile(
    r"(?:\b(?:by|photo|photograph|photographer|author|artist|copyright|credit|courtesy of)\b|©|\(c\))"
    r"[:\s]{1,3}(?=[A-ZÀ-Þ])",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?:[A-ZÀ-ÞŠŽČ][\w'’-]*\.?|(?:van|von|de|del|della|da|di|der|la|le|bin|al)(?=\s))")
_WORD = re.compile(r"[^\W\d_][\w'’-]*\.?")
_PERSON_AT_WORK = re.compile(
    r"(?:撮影者|担当者|検査者|検査員|作業者|記録者|作成者|報告者|患者名|氏名|名前|担当|作者|撮影)\s?[:：]\s?[\u3040-\u30ff\u4e00-\u9fff]{2,8}"
)
_HONORIFIC = re.compile(
    r"([\u4e00-\u9fff々]{1,5}|[\u30a0-\u30ff]{2,8})(さん|様|氏|殿|ちゃん|くん|先生)(?![\u4e00-\u9fff々\u30a0-\u30ff])"
)
_ROLES = re.compile(
    r"(?:客|皆|神|王|奥|母|父|兄|姉|妹|弟|爺|婆|姫|女王|殿|患者|店員|店|社員|職人|医者|看護師|運転手|警察官|警官|消防士|駅員|業者|"
    r"大工|魚屋|八百屋|花屋|本屋|肉屋|屋|王子|仏|雪|月|太陽|同|多|仕|有|異|各|模|一|人|子|娘|嫁|隣|赤|彼|華|摂|御|旦那|主人|園児|学生|"
    r"保健|担任|校長|小学校|中学校|高校|大学|サンタ|ママ|パパ|ウサギ|クマ|ゾウ|ネコ|イヌ|サル|キリン|ライオン|パンダ|ワンコ|ニャンコ)$"
)
_FULL_NAME = re.compile(
    rf"(?<![\u4e00-\u9fff々])(?:{'|'.join(JAPANESE_SURNAMES)}) "
    r"([\u4e00-\u9fff々]{1,3})(?![\u4e00-\u9fff々])"
)
_GIVEN_ENDINGS = re.compile(
    r"(?:郎|子|美|夫|男|雄|恵|香|江|代|介|輔|助|樹|太|也|斗|翔|希|奈|菜|人|彦|平|一|二|三|司|治|明|弘|浩|隆|誠|健|学|茂|豊|実|亮|翼|葵|蓮|優|愛|舞|彩|結衣)$"
)

_ORGANISATIONS = frozenset(_lexicon("organisations.txt"))
_SAINTS = frozenset({"st", "saint", "san", "santa", "santo", "sankt"})
_MOST_NAMES = 4
"""Words of one name."""


def person_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where a text seems to name a person.

    Args:
        text: In compatibility form.
    """
    last = 0
    for start, stop in sorted([*_latin(text), *([] if text.isascii() else _japanese(text))]):
        if start >= last:
            last = stop
            yield start, stop


def _latin(text: str) -> Iterator[tuple[int, int]]:
    for match in _TITLE.finditer(text):
        name = _name_at(text, match.end())
        if name and any(_is_surname(_bare(word[0])) for word in name):
            yield match.start(), name[-1].end()
    for match in _SUFFIX.finditer(text):
        yield match.span()
    for match in _CREDIT.finditer(text):
        name = _name_at(text, match.end())
        if len(name) >= 2 and _is_credited(name):
            yield match.start(), name[-1].end()
    words = list(_WORD.finditer(text))
    for number, first in enumerate(words[:-1]):
        if first[0].casefold() in GIVEN_NAMES:
            stop = _end_of_full_name(text, words, number)
            if stop:
                yield first.start(), stop


def _name_at(text: str, start: int) -> list[re.Match[str]]:
    """The words of a name that begins there, capitalised and with single blanks between."""
    found: list[re.Match[str]] = []
    while len(found) < _MOST_NAMES and (match := _NAME.match(text, start)):
        found.append(match)
        start = match.end()
        if text[start : start + 1] != " ":
            break
        start += 1
    return found


def _is_credited(name: list[re.Match[str]]) -> bool:
    words = [_bare(match[0]) for match in name]
    if _ORGANISATIONS.intersection(words) or is_known_name(" ".join(words)):
        return False
    whole = [word for word in words if len(word) > 1]
    return any(word in GIVEN_NAMES for word in whole) or (len(whole) >= 2 and not any(map(is_word, whole)))


def _end_of_full_name(text: str, words: list[re.Match[str]], number: int) -> int:
    """Where "Ann B. Smith" ends, for the word that is a given name; 0: it is no full name.

    In lower case only where the surname is a known one and no word.
    """
    first, at = words[number], number + 1
    if number and _bare(words[number - 1][0]) in _SAINTS:
        return 0
    if len(words[at][0].rstrip(".")) == 1 and at + 1 < len(words):
        at += 1  # an initial
    gaps = (text[one.end() : two.start()] for one, two in pairwise(words[number : at + 1]))
    surname = words[at][0].rstrip(".")
    bare = _bare(surname)
    if any(gap != " " for gap in gaps) or len(bare) < 2 or bare in _ORGANISATIONS:
        return 0
    if bare not in SURNAMES and is_known_name(f"{_bare(first[0])} {bare}"):
        return 0
    if first[0][0].islower() or surname[0].islower():
        known = bare in SURNAMES and not is_word(bare)
    else:
        known = bare in GIVEN_NAMES or _is_surname(bare)
    return words[at].end() if known and not (surname.isupper() and len(surname) < 4) else 0


def _is_surname(word: str) -> bool:
    """Whether a capitalised word behind a title or a given name is one."""
    return word in SURNAMES or (len(word) > 1 and not is_word(word))


def _japanese(text: str) -> Iterator[tuple[int, int]]:
    for match in _PERSON_AT_WORK.finditer(text):
        yield match.span()
    for match in _HONORIFIC.finditer(text):
        name, honorific = match[1], match[2]
        known = any(name.endswith(surname) for surname in JAPANESE_SURNAMES)
        # Some honorifics end words ("同様", "彼氏", "宮殿"): there only a known surname counts.
        if known or (honorific in ("さん", "くん", "ちゃん") and len(name) >= 2 and not _ROLES.search(name)):
            yield match.span()
    for match in _FULL_NAME.finditer(text):
        if _GIVEN_ENDINGS.search(match[1]):
            yield match.span()


def _bare(word: str) -> str:
    return word.rstrip(".").removesuffix("'s").removesuffix("’s").casefold()
