"""What words can be: the rule that finds them, their keys, their readable names."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from synsight.errors import ConfigError, UsageError, near_names
from synsight.language.classes import Above, Expand
from synsight.language.corenet import CorenetMatcher
from synsight.language.routing import (
    LANGUAGES,
    Language,
    Matcher,
    Router,
    can_read_japanese,
    japanese_matcher,
)
from synsight.language.subwords import SubwordMatcher, Subwords, subword_names
from synsight.language.synsets import SynsetMatcher
from synsight.language.term_matching import term_matcher
from synsight.language.terms import FIRST_TERM, Terms, load_terms
from synsight.language.vocabulary import default_min_count, number_of, subword_key, unique_names
from synsight.language.wordnet import NounTable, key_of, offset_of

__all__ = ["Compat", "LabelSpace", "Matcher", "label_space"]

Compat = Literal["corenet"]

MATCHERS: Mapping[Compat | None, Callable[[], Matcher]] = {
    None: SynsetMatcher.load,
    "corenet": CorenetMatcher.load,
}
"""`compat` -> the rule for synsets."""
VOCABULARIES = ("synset", "subword", "terms:FILE")
_TERMS = "terms"


@dataclass(frozen=True)
class LabelSpace:
    """One kind of words; picklable."""

    name: str
    """As in the column `words_<name>`."""
    matcher: Callable[[], Router]
    """Loads the rule, where it is wanted."""
    settings: Mapping[str, object]
    """What the rule's results depend on, as JSON values."""
    key_of: Callable[[int], str]
    """A word's number -> its key in the vocabulary."""
    names_of: Callable[[list[int]], list[str]]
    """Numbers -> readable names, each unique."""
    min_count: Callable[[int], int]
    """Train rows -> fewest of them that have a class, where the user says nothing."""
    expander: Callable[[], Expand] | None = field(default=None)
    """Makes: a word -> it and what it is a kind of, with the steps up; None: words are kinds of nothing."""
    number_of: Callable[[str], int] = number_of
    """A key -> the word's number; raises DataError where the kind of words has no such key."""


def label_space(
    vocabulary: str,
    *,
    compat: Compat | None = None,
    language: Language = "auto",
    unknown_words: bool = False,
    tokeniser: Subwords | None = None,
) -> LabelSpace:
    """A kind of words.

    Args:
        vocabulary: `synset`, `subword`, or `terms:FILE`: synsets and a company's own words.
        compat: `corenet`: find synsets as CatLIP's released code does.
        language: How captions are read: by the language of each (`auto`), or all as `en` or `ja`.
        unknown_words: English words that WordNet lacks become entries of their own, as Japanese ones do.
        tokeniser: Cuts captions into sub-words.

    Raises:
        UsageError: An unknown name, or a rule that this kind of words does not have.
        ConfigError: Sub-words without a tokeniser.
        DataError: The file of terms is missing or wrong.
        MissingDependency: Japanese is asked for, and the extra `ja` is not installed.
    """
    name, _, file = vocabulary.partition(":")
    if name == _TERMS and not file:
        raise UsageError("the vocabulary 'terms' needs a file, as terms:our_words.csv.")
    if name not in (_TERMS, "synset", "subword") or (file and name != _TERMS):
        raise UsageError(f"there is no vocabulary {vocabulary!r}; {near_names(vocabulary, VOCABULARIES)}")
    if compat not in MATCHERS:
        raise UsageError(
            f"there is no rule {compat!r} to be compatible with; {near_names(str(compat), ['corenet'])}"
        )
    if language not in LANGUAGES:
        raise UsageError(f"there is no language {language!r} to read; {near_names(str(language), LANGUAGES)}")
    if name == "subword":
        return _subwords(compat, language, unknown_words, tokeniser)
    if compat is not None:
        if file or unknown_words or language == "ja":
            raise UsageError(
                f"compat {compat!r} is a rule for English with synsets alone; leave out terms, unknown words "
                "and Japanese."
            )
        return _released(compat)
    terms = load_terms(file) if file else None
    has_japanese = language == "ja" or (language == "auto" and can_read_japanese())
    if language == "ja":
        japanese_matcher()  # what is missing is said before the work
    return LabelSpace(
        name,
        partial(_router, terms, language, has_japanese, unknown_words),
        {
            "compat": compat,
            "language": language,
            "japanese": has_japanese,
            "unknown_words": unknown_words,
            "terms": terms.digest if terms else None,
        },
        partial(_key_of, terms),
        partial(_names_of, terms),
        default_min_count,
        partial(_expander, terms),
        partial(_number_of, terms),
    )


def _router(terms: Terms | None, language: Language, has_japanese: bool, unknown_words: bool) -> Router:
    matcher = term_matcher(terms) if terms else None
    japanese = japanese_matcher if has_japanese else None
    return Router(matcher or SynsetMatcher.load(), language, japanese, matcher, unknown_words)


def _released(compat: Compat) -> LabelSpace:
    settings = {"compat": compat}
    return LabelSpace(
        "synset",
        partial(_plain_router, MATCHERS[compat]),
        settings,
        key_of,
        unique_names,
        default_min_count,
        partial(_expander, None),
        partial(_number_of, None),
    )


def _subwords(
    compat: Compat | None, language: Language, unknown_words: bool, tokeniser: Subwords | None
) -> LabelSpace:
    if compat is not None:
        raise UsageError(f"compat {compat!r} is a rule for synsets; leave it out with vocabulary 'subword'.")
    if language != "auto" or unknown_words:
        raise UsageError("sub-words are cut alike in every language; leave language and unknown words out.")
    if tokeniser is None:
        raise ConfigError(
            "the vocabulary 'subword' needs a tokeniser, as synsight.models.text.TextTokeniser()."
        )
    return LabelSpace(
        "subword",
        partial(_plain_router, partial(SubwordMatcher, tokeniser)),
        {"tokeniser": "clip-bpe"},
        subword_key,
        partial(subword_names, tokeniser=tokeniser),
        _every_subword,
    )


def _plain_router(load: Callable[[], Matcher]) -> Router:
    return Router(load())


def _every_subword(_: int) -> int:
    """SuperClass leaves out none; one that no train row has can be learnt by none."""
    return 1


def _expander(terms: Terms | None) -> Expand:
    return Above(terms).__getitem__


def _key_of(terms: Terms | None, number: int) -> str:
    return terms.by_number[number].key if terms and number >= FIRST_TERM else key_of(number)


def _number_of(terms: Terms | None, key: str) -> int:
    known = terms.by_key.get(key) if terms else None
    if known is not None:
        return known.number
    offset = offset_of(key)
    NounTable.load().name(offset)  # raises for a number that is no synset
    return offset


def _names_of(terms: Terms | None, numbers: list[int]) -> list[str]:
    """Names of synsets as `unique_names` has them, of concepts as the file does; equal ones told apart."""
    synsets = [number for number in numbers if number < FIRST_TERM]
    names = dict(zip(synsets, unique_names(synsets), strict=True))
    concepts = {} if terms is None else terms.by_number
    names |= {number: concepts[number].name for number in numbers if number >= FIRST_TERM}
    seen = Counter(name.lower() for name in names.values())
    return [
        f"{names[number]} [term]"
        if number >= FIRST_TERM and seen[names[number].lower()] > 1
        else names[number]
        for number in numbers
    ]
