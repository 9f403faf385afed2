"""Transfer Init: a new label's classifier row begins as the row of the pretraining word that it means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from synsight.errors import ModelError
from synsight.language.similarity import LEAST_SIMILARITY
from synsight.metrics.start_probe import Start, random_start
from synsight.models.label_words import NameLanguage, label_words
from synsight.models.saved import Model


@dataclass(frozen=True, eq=False)
class TransferInit(Start):
    """Rows for new labels: `weight` [C, D] and `bias` [C]."""

    matched: list[list[tuple[str, float]]]
    """For each label the words its row was made of, with their path similarity; [] for a random row."""


def transfer_init(
    model: Model,
    label_names: Sequence[str | Sequence[str]],
    *,
    least_similarity: float = LEAST_SIMILARITY,
    tokenise: Callable[[str], Sequence[int]] | None = None,
    language: NameLanguage = "en",
    seed: int = 0,
) -> TransferInit:
    """Rows for new labels out of the word head of a model that was pretrained on words.

    The words that each label's name means are found by `label_words`; words that are equally near are
    averaged, then the parts of a name ("restaurant kitchen"), and of several names of one label.

    Rows and biases are taken over as they are, for features as they come from the encoder. A row that was
    trained by itself gives the log-odds of its word; for words that are rare this is their log-probability
    up to a common constant, so that the softmax over the labels compares what the model believed of each. A
    row without a word is small and random; its bias is the mean of the others', so that it is neither
    favoured nor ruled out.

    Args:
        model: Has a head over words.
        label_names: Names of the C labels, for people ("golden retriever"); a label may have several.
        least_similarity: Smallest path similarity at which a word stands in; 0.5 is parent or child, 1 the
            synset alone.
        tokenise: For a vocabulary of sub-words: name -> their ids, without marks for beginning and end;
            None: CLIP's byte-pair encoding.
        language: `ja`: names in Japanese script are read by the Japanese rule.
        seed: Of the random rows.

    Raises:
        ModelError: The model has no head over words, or names cannot be looked up in its vocabulary.
        ConfigError: `least_similarity` is out of its range.
        MissingDependency: See `label_words`.

    Reference: Mehta et al. 2024 (CatLIP), section 4.2, https://arxiv.org/abs/2404.15653. It is missing from
    the released code, and the paper does not say which similarity is enough, nor what becomes of biases and
    ties.
    """
    if model.word_head is None or model.vocabulary is None:
        raise ModelError(
            f"{model.name}: Transfer Init needs a model with a head over words; use one that catlip or "
            "superclass trained."
        )
    names = [(one,) if isinstance(one, str) else tuple(one) for one in label_names]
    parts_of_names = iter(
        label_words(
            model.vocabulary,
            [name for some in names for name in some],
            least_similarity=least_similarity,
            tokenise=tokenise,
            language=language,
            model_name=model.name,
        )
    )
    found = [[part for _ in some for part in next(parts_of_names)] for some in names]
    weight, bias = _rows(model.word_head.weight), _rows(model.word_head.bias)
    start = random_start(len(names), weight.shape[1], seed=seed)
    known = [number for number, parts in enumerate(found) if parts]
    for number in known:
        start.weight[number], start.bias[number] = (
            np.mean([rows[[one for one, _ in part]].mean(axis=0) for part in found[number]], axis=0)
            for rows in (weight, bias)
        )
    unknown = [number for number, parts in enumerate(found) if not parts]
    start.bias[unknown] = start.bias[known].mean() if known else 0.0
    words = model.vocabulary.names
    matched = [[(words[one], similarity) for part in parts for one, similarity in part] for parts in found]
    return TransferInit(start.weight, start.bias, matched)


def _rows(weights: Tensor) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = weights.detach().double().cpu().numpy()
    return rows
