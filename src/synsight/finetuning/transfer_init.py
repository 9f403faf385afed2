"""Transfer Init: a new label's classifier row begins as the row of the pretraining word that it means."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from synsight.errors import ModelError
from synsight.language.similarity import LEAST_SIMILARITY, NearestSynsets
from synsight.language.synsets import SynsetMatcher
from synsight.language.vocabulary import SUBWORD_PREFIX, number_of
from synsight.language.wordnet import KEY_PREFIX, NounTable
from synsight.metrics.start_probe import Start, random_start
from synsight.models import Model
from synsight.models.text.tokens import TextTokeniser

Found = list[tuple[int, float]]
"""(class, similarity) of the words that one part of a label's name means."""


@dataclass(frozen=True, eq=False)
class TransferInit(Start):
    """Rows for new labels: `weight` [C, D] and `bias` [C]."""

    matched: list[list[tuple[str, float]]]
    """For each label the words its row was made of, with their path similarity; [] for a random row."""


def transfer_init(
    model: Model,
    label_names: Sequence[str],
    *,
    least_similarity: float = LEAST_SIMILARITY,
    tokenise: Callable[[str], Sequence[int]] | None = None,
    seed: int = 0,
) -> TransferInit:
    """Rows for new labels out of the word head of a model that was pretrained on words.

    The synsets of each label's name, read as a caption is, are looked for in the vocabulary; where one is
    missing, its parents and children stand in (all that are equally near are averaged). The rows of several
    synsets ("restaurant kitchen") are averaged. Over sub-words, the rows of the name's sub-words are.

    Rows and biases are taken over as they are, for features as they come from the encoder. A row that was
    trained by itself gives the log-odds of its word; for words that are rare this is their log-probability
    up to a common constant, so that the softmax over the labels compares what the model believed of each. A
    row without a word is small and random; its bias is the mean of the others', so that it is neither
    favoured nor ruled out.

    Args:
        model: Has a head over words.
        label_names: Names of the C labels, for people ("golden retriever").
        least_similarity: Smallest path similarity at which a word stands in; 0.5 is parent or child, 1 the
            synset alone.
        tokenise: For a vocabulary of sub-words: name -> their ids, without marks for beginning and end;
            None: CLIP's byte-pair encoding.
        seed: Of the random rows.

    Raises:
        ModelError: The model has no head over words, or its vocabulary is neither of synsets nor sub-words.
        ConfigError: `least_similarity` is out of its range.
        MissingDependency: The vocabulary holds sub-words, and open_clip, which cuts names into them, is not
            installed.

    Reference: Mehta et al. 2024 (CatLIP), section 4.2, https://arxiv.org/abs/2404.15653. It is missing from
    the released code, and the paper does not say which similarity is enough, nor what becomes of biases and
    ties.
    """
    if model.head is None or model.vocabulary is None:
        raise ModelError(
            f"{model.name}: Transfer Init needs a model with a head over words; use one that catlip or "
            "superclass trained."
        )
    keys = model.vocabulary.keys
    if any(key.startswith(SUBWORD_PREFIX) for key in keys):
        found = _subwords(keys, label_names, tokenise or TextTokeniser.load().token_ids)
    else:
        found = _synsets(model.name, keys, label_names, least_similarity)
    weight, bias = _rows(model.head.weight), _rows(model.head.bias)
    start = random_start(len(label_names), weight.shape[1], seed=seed)
    known = [number for number, parts in enumerate(found) if parts]
    for number in known:
        start.weight[number], start.bias[number] = (
            np.mean([rows[[one for one, _ in part]].mean(axis=0) for part in found[number]], axis=0)
            for rows in (weight, bias)
        )
    unknown = [number for number, parts in enumerate(found) if not parts]
    start.bias[unknown] = start.bias[known].mean() if known else 0.0
    names = model.vocabulary.names
    matched = [[(names[one], similarity) for part in parts for one, similarity in part] for parts in found]
    return TransferInit(start.weight, start.bias, matched)


def _synsets(
    model_name: str, keys: Sequence[str], label_names: Sequence[str], least_similarity: float
) -> list[list[Found]]:
    """For each label and each synset of its name the nearest classes; without synsets that have none."""
    classes = [number for number, key in enumerate(keys) if key.startswith(KEY_PREFIX)]
    if not classes:
        raise ModelError(
            f"{model_name}: expected a vocabulary of synsets or sub-words, found keys such as "
            f"{next(iter(keys), 'none')!r}; Transfer Init cannot tell what these words mean."
        )
    nearest = NearestSynsets([number_of(keys[number]) for number in classes], least=least_similarity)
    found = []
    for name in label_names:
        parts: list[Found] = []
        for offsets in _readings(name):
            parts = [near for offset in offsets if (near := nearest(offset))]
            if parts:
                break
        found.append([[(classes[number], like) for number, like in part] for part in parts])
    return found


def _readings(name: str) -> Iterator[list[int]]:
    """Synsets that a label's name may mean, the likeliest reading first.

    As in a caption; as one noun, which a label is even where a caption would not say so ("orange"); word by
    word ("animals-nature" holds the phrase "animal nature").
    """
    words = re.findall(r"[^\W_]+", name.lower())
    matcher, nouns = SynsetMatcher.load(), NounTable.load().nouns

    def as_noun(lemma: str) -> list[int]:
        return list(nouns[lemma].senses[:1]) if lemma in nouns else []

    yield matcher(name)
    yield as_noun("_".join(words))
    yield list(dict.fromkeys(offset for word in words for offset in matcher(word) or as_noun(word)))


def _subwords(
    keys: Sequence[str], label_names: Sequence[str], tokenise: Callable[[str], Sequence[int]]
) -> list[list[Found]]:
    class_of = {number_of(key): number for number, key in enumerate(keys) if key.startswith(SUBWORD_PREFIX)}
    tokens = [dict.fromkeys(int(token) for token in tokenise(name)) for name in label_names]
    return [[[(class_of[token], 1.0)] for token in some if token in class_of] for some in tokens]


def _rows(weights: Tensor) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = weights.detach().double().cpu().numpy()
    return rows
