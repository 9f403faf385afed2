"""Why a caption has the words it has: every decision of the rules, one piece of the text after another.

What is found is always what the rules themselves find. The pieces say how: cut, phrases, senses, neighbours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from synsight.language.clean import clean_caption
from synsight.language.explaining_english import cut_tokens, described, english_pieces
from synsight.language.explanations import CaptionExplanation, FoundWord, Piece, Sense
from synsight.language.label_space import LabelSpace
from synsight.language.routing import Matcher, Router, cut_words, has_japanese_script, without_latin_words
from synsight.language.synsets import SynsetMatcher
from synsight.language.term_matching import TermMatcher
from synsight.language.terms import FIRST_TERM, fold
from synsight.language.vocabulary import WORD_PREFIX, Vocabulary
from synsight.language.wordnet import key_of

MOST_JOINED = 5
"""Japanese words that are tried as one noun."""


def explain_caption(
    caption: str,
    space: LabelSpace,
    *,
    vocabulary: Vocabulary | None = None,
    hypernyms: bool = False,
    rare: str = "no class of the vocabulary",
) -> CaptionExplanation:
    """Every decision about one caption.

    Args:
        caption: Its text.
        space: How words are found; see `label_space`.
        vocabulary: Whose classes are named; None: no classes.
        hypernyms: Also name the classes that the words are kinds of.
        rare: What is said of a word that is no class.
    """
    caption = caption.encode(errors="replace").decode()  # a console may hand over bytes that are no text
    router = space.matcher()
    found = router.read([[caption]])
    language = found.languages[0]
    rules = _rules(router, space, language)
    numbers = found.matches[0]
    if not {"english", "japanese"} & {*rules} and any(number < FIRST_TERM for number in numbers):
        rules.append("english")  # which knows all words of a text in another language
    pieces: list[Piece] = []
    tokens: list[str] = []
    if "english" in rules and isinstance(router.rule, SynsetMatcher | TermMatcher):
        tokens = cut_tokens(router.rule, caption)[1]
        pieces += _agreeing(english_pieces(router.rule, caption), space, numbers)
    if "japanese" in rules and router.japanese is not None:
        japanese = router.japanese()
        text = without_latin_words(fold(caption)) if pieces else fold(caption)
        pieces = [one for one in pieces if not has_japanese_script(one.text)]
        pieces += _japanese(japanese, text, space, [one for one in numbers if one < FIRST_TERM])
        tokens = [word for word, _ in cut_words(japanese, fold(caption))]
    explained = {piece.key for piece in pieces}
    rest = [number for number in numbers if space.key_of(number) not in explained]
    pieces += _others(rest, space, router, caption)
    return CaptionExplanation(
        caption=caption,
        cleaned=clean_caption(caption),
        language=language,
        rules=rules,
        tokens=tokens,
        pieces=pieces,
        words=list(_words(numbers, found.nouns[0], space, vocabulary, hypernyms, rare)),
        unmatched={word: _why_unmatched(word, found.nouns[0]) for word in found.matches.unmatched[0]},
        vocabulary=vocabulary.name if vocabulary is not None else "",
    )


def _rules(router: Router, space: LabelSpace, language: str | None) -> list[str]:
    if space.name == "subword":
        return ["sub-words"]
    english, japanese = router.readers(language)
    rules = [name for name, reads in (("english", english), ("japanese", japanese)) if reads]
    return [*(["terms"] if router.terms is not None else []), *rules]


def _agreeing(pieces: Iterator[Piece], space: LabelSpace, numbers: list[int]) -> Iterator[Piece]:
    """The pieces as the rule found them: it may choose another sense by the rest of the caption, or none."""
    keys = {space.key_of(number) for number in numbers}
    made = list(pieces)
    waiting = keys - {piece.key for piece in made}
    for piece in made:
        others = [sense for sense in piece.senses if sense.key in waiting]
        if piece.key is None or piece.key in keys:
            yield piece
        elif others:
            place = list(piece.senses).index(others[0]) + 1
            reason = f"sense {place}, which fits what the rest of the caption speaks of"
            yield replace(piece, key=others[0].key, name=others[0].name, reason=reason)
        else:
            reason = "left out: the rest of the caption says otherwise"
            yield replace(piece, key=None, name=None, reason=reason)


def _japanese(matcher: Matcher, text: str, space: LabelSpace, numbers: Sequence[int]) -> Iterator[Piece]:
    """The words of a Japanese caption that name something, each by the shortest run of words that does."""
    words = [word for word, _ in cut_words(matcher, text)]
    runs = [
        "".join(words[start : start + length])
        for length in range(1, MOST_JOINED + 1)
        for start in range(len(words) - length + 1)
    ]
    names = dict(zip(numbers, space.names_of(list(numbers)), strict=True))
    waiting = set(numbers)
    found = matcher.match(runs)
    for row, run in enumerate(runs):
        for number in waiting.intersection(found[row]):
            waiting.discard(number)
            senses = _aligned_senses(run)
            reason = "by Sudachi's words and the alignment with WordNet"
            if len(senses) > 1:
                reason += f"; the likeliest of {len(senses)} senses"
            key = space.key_of(number)
            yield Piece(text=run, kind="japanese", key=key, name=names[number], reason=reason, senses=senses)


def _aligned_senses(lemma: str) -> list[Sense]:
    from synsight.language.alignment import Alignment

    return [
        Sense(key=key_of(offset), name=name, kind_of=above, confidence=confidence)
        for offset, confidence in Alignment.load().lookup(lemma) or ()
        for name, above in [described(offset)]
    ]


def _others(numbers: Sequence[int], space: LabelSpace, router: Router, caption: str) -> Iterator[Piece]:
    """Words that were found otherwise than by the rules above."""
    terms = {} if router.terms is None else {number: text for text, number in router.terms.spans(caption)}
    for number, name in zip(numbers, space.names_of(list(numbers)), strict=True):
        is_term = number in terms
        yield Piece(
            text=terms.get(number, name),
            kind="term" if is_term else "word",
            key=space.key_of(number),
            name=name,
            reason="a term of the file" if is_term else f"as the rule for {space.name}s finds it",
        )


def _words(
    numbers: Sequence[int],
    nouns: Sequence[str],
    space: LabelSpace,
    vocabulary: Vocabulary | None,
    hypernyms: bool,
    rare: str,
) -> Iterator[FoundWord]:
    names = dict(zip(numbers, space.names_of(list(numbers)), strict=True))
    words = [(space.key_of(number), names[number], 0) for number in numbers]
    words += [(WORD_PREFIX + noun, noun, 0) for noun in dict.fromkeys(nouns)]
    if vocabulary is None:
        for key, name, _ in words:
            yield FoundWord(key=key, name=name)
        return
    class_of = {key: number for number, keys in enumerate(vocabulary.all_keys) for key in keys}
    if hypernyms and space.expander is not None:
        words += [one for one in _above(numbers, space) if one[0] in class_of]
    for key, name, steps in words:
        number = class_of.get(key)
        yield FoundWord(
            key=key,
            name=name,
            class_number=number,
            class_name=None if number is None else vocabulary.names[number],
            weight=1 / (1 + steps),
            note=rare if number is None else "",
        )


def _above(numbers: Sequence[int], space: LabelSpace) -> Iterator[tuple[str, str, int]]:
    """(key, name, steps) of all that some words are kinds of, without the words."""
    assert space.expander is not None
    expand = space.expander()
    steps: dict[int, int] = {}
    for number in numbers:
        for above, edges in expand(number).items():
            steps[above] = min(edges, steps.get(above, edges))
    order = sorted((one for one in steps if one not in numbers), key=lambda one: (steps[one], one))
    for number, name in zip(order, space.names_of(order), strict=True):
        yield space.key_of(number), name, steps[number]


def _why_unmatched(word: str, nouns: Sequence[str]) -> str:
    if word in nouns:
        return "in no dictionary; becomes an entry of its own where it is frequent"
    return "in no dictionary"
