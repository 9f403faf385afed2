"""Which of a model's words a label's name means: exact, else the nearest in WordNet's tree."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from synsight.errors import ModelError
from synsight.language.routing import has_japanese_script
from synsight.language.similarity import LEAST_SIMILARITY, NearestSynsets
from synsight.language.synsets import SynsetMatcher
from synsight.language.terms import TERM_PREFIX, fold
from synsight.language.vocabulary import SUBWORD_PREFIX, WORD_PREFIX, Vocabulary, number_of
from synsight.language.wordnet import KEY_PREFIX, NounTable
from synsight.models.text.tokens import TextTokeniser

Found = list[tuple[int, float]]
"""(class, similarity) of the words that one part of a label's name means."""
NameLanguage = Literal["en", "ja"]


def label_words(
    vocabulary: Vocabulary,
    label_names: Sequence[str],
    *,
    least_similarity: float = LEAST_SIMILARITY,
    tokenise: Callable[[str], Sequence[int]] | None = None,
    language: NameLanguage = "en",
    model_name: str = "the model",
) -> list[list[Found]]:
    """For each label the parts of its name that some word of a vocabulary means; [] for none.

    A name that is a company's term or a word of no dictionary ("term:", "word:") means that word, by equal
    text. Else the synsets of the name, read as a caption is, are looked for; where one is missing, its
    parents and children stand in: all that are equally near. Over sub-words, each sub-word of the name is a
    part.

    Args:
        vocabulary: Of the head.
        label_names: Names of the C labels, for people ("golden retriever").
        least_similarity: Smallest path similarity at which a word stands in; 0.5 is parent or child, 1 the
            synset alone.
        tokenise: For a vocabulary of sub-words: name -> their ids, without marks for beginning and end;
            None: CLIP's byte-pair encoding.
        language: `ja`: names in Japanese script are read by the Japanese rule, others by the English one.
        model_name: For messages.

    Raises:
        ModelError: The vocabulary holds nothing that a name could be looked up in.
        ConfigError: `least_similarity` is out of its range.
        MissingDependency: open_clip for sub-words, or the extra `ja` for Japanese names, is not installed.
    """
    keys = vocabulary.all_keys
    if any(key.startswith(SUBWORD_PREFIX) for some in keys for key in some):
        return _subwords(keys, label_names, tokenise or TextTokeniser.load().token_ids)
    by_text = _by_text(keys)
    synsets = [
        (number, number_of(key))
        for number, some in enumerate(keys)
        for key in some
        if key.startswith(KEY_PREFIX)
    ]
    if not synsets and not by_text:
        raise ModelError(
            f"{model_name}: expected a vocabulary of synsets or sub-words, found keys such as "
            f"{next(iter(vocabulary.keys), 'none')!r}; nobody can tell what these words mean."
        )
    nearest = NearestSynsets([offset for _, offset in synsets], least=least_similarity)
    found: list[list[Found]] = []
    for name in label_names:
        known = by_text.get(_plain(name))
        if known is not None:
            found.append([[(known, 1.0)]])
            continue
        parts: list[list[tuple[int, float]]] = []
        for offsets in _readings(name, language):
            parts = [near for offset in offsets if (near := nearest(offset))]
            if parts:
                break
        found.append([_classes(part, synsets) for part in parts])
    return found


def _by_text(keys: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Folded text of a term or of a word of no dictionary -> its class."""
    found: dict[str, int] = {}
    for number, some in enumerate(keys):
        for key in some:
            for prefix in (TERM_PREFIX, WORD_PREFIX):
                if key.startswith(prefix):
                    found.setdefault(_plain(key.removeprefix(prefix)), number)
    return found


def _plain(name: str) -> str:
    """As terms are compared; labels write "gate_valve" and "gate-valve" where people write a blank."""
    return fold(re.sub(r"[_-]+", " ", name))


def _classes(part: Found, synsets: Sequence[tuple[int, int]]) -> Found:
    """Places among the synsets as classes, each once: a class may have several synsets."""
    return list(dict.fromkeys((synsets[place][0], like) for place, like in part))


def _readings(name: str, language: NameLanguage) -> Iterator[list[int]]:
    """Synsets that a label's name may mean, the likeliest reading first.

    As in a caption; as one noun, which a label is even where a caption would not say so ("orange"); word by
    word ("animals-nature" holds the phrase "animal nature").
    """
    if language == "ja" and has_japanese_script(name):
        from synsight.language.japanese import JapaneseMatcher

        yield JapaneseMatcher.load()(name)
        return
    words = re.findall(r"[^\W_]+", name.lower())
    matcher, nouns = SynsetMatcher.load(), NounTable.load().nouns

    def as_noun(lemma: str) -> list[int]:
        return list(nouns[lemma].senses[:1]) if lemma in nouns else []

    yield matcher(name)
    yield as_noun("_".join(words))
    yield list(dict.fromkeys(offset for word in words for offset in matcher(word) or as_noun(word)))


def _subwords(
    keys: Sequence[tuple[str, ...]], label_names: Sequence[str], tokenise: Callable[[str], Sequence[int]]
) -> list[list[Found]]:
    class_of = {
        number_of(key): number
        for number, some in enumerate(keys)
        for key in some
        if key.startswith(SUBWORD_PREFIX)
    }
    tokens = [dict.fromkeys(int(token) for token in tokenise(name)) for name in label_names]
    return [[[(class_of[token], 1.0)] for token in some if token in class_of] for some in tokens]
