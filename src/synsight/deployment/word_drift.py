"""Drift in words: which words are seen more, or less, than in the reference.

N rows, V words, D dimension.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.deployment.watched_rows import WatchedRows
from synsight.errors import UsageError
from synsight.language.vocabulary import load_vocabulary
from synsight.metrics.arrays import Floats
from synsight.metrics.mean_differences import discoveries, mean_differences
from synsight.models.saved import Model
from synsight.reports.drift_records import Moved

Origin = Literal["model", "zero-shot", "captions", ""]

MOST_CAPTION_WORDS = 1000
"""Of captions, the most frequent ones."""
LEAST_IMAGES = 5
"""Images of both sides together that a word of captions must have; fewer tell nothing."""
_COLUMN = "words_"
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class SeenWords:
    """Words with a number for each row: a probability, or 1 where the caption has the word."""

    names: tuple[str, ...]
    """[V] unique."""
    reference: NDArray[np.float32]
    """[n, V]"""
    current: NDArray[np.float32]
    """[m, V]"""
    origin: Origin


def seen_words(
    model: Model,
    reference: tuple[Catalog, WatchedRows],
    current: tuple[Catalog, WatchedRows],
    *,
    asked: Sequence[str] = (),
) -> SeenWords | None:
    """Words of both sides, from the best source there is.

    The words that are asked for, by zero-shot, where the model reads text; else the model's own words; else
    the words of the captions, where both catalogs have a column `words_...`.

    Args:
        model: Whose words.
        reference: The catalog and its rows.
        current: The catalog and its rows.
        asked: Names to look for with a model that reads text.

    Returns:
        None: there are no words anywhere.

    Raises:
        UsageError: As `check_asked`.
    """
    sides = (reference[1].features, current[1].features)
    if asked:
        names = check_asked(model, asked)
        classes = model.text.classes(names)
        found = [_in_parts(features, lambda rows: model.likeness(rows, classes)) for features in sides]
        return SeenWords(names, found[0], found[1], "zero-shot")
    if model.word_head is not None and model.vocabulary is not None:
        found = [word_probabilities(model, features) for features in sides]
        return SeenWords(tuple(model.vocabulary.names), found[0], found[1], "model")
    return _caption_words(reference, current)


def check_asked(model: Model, asked: Sequence[str]) -> tuple[str, ...]:
    """The names to look for, each once.

    Raises:
        UsageError: The model reads no text, or there is one name alone, which has nothing to be weighed
            against.
    """
    names = tuple(dict.fromkeys(asked))
    if not model.reads_text:
        raise UsageError(
            f"{model.name}: reads no text, so it cannot look for words that are asked for; leave --words "
            "out, or take a model that clip or siglip trained."
        )
    if len(names) < 2:
        raise UsageError(
            f"expected two words or more to look for, found {names[0]!r} alone: each is weighed against the "
            "others; name what else there is to see, as --words rust,steel,paint."
        )
    return names


def word_probabilities(model: Model, features: Floats) -> NDArray[np.float32]:
    """Probability of each word by itself from features [N, D], [N, V]."""
    return _in_parts(features, lambda rows: model.word_logits(rows).sigmoid())


def _in_parts(features: Floats, compute: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float32]:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = torch.from_numpy(np.asarray(features[start : start + _ROWS_AT_ONCE], np.float32))
            parts.append(compute(rows).float().cpu().numpy())
    found: NDArray[np.float32] = np.concatenate(parts)
    return found


def _caption_words(
    reference: tuple[Catalog, WatchedRows], current: tuple[Catalog, WatchedRows]
) -> SeenWords | None:
    """1 where a caption has the word, for words of a vocabulary that both catalogs were read with."""
    shared = [one for one in reference[0].columns if one.startswith(_COLUMN) and one in current[0].columns]
    if not shared:
        return None
    sides = [_words_of(catalog, rows, shared[0]) for catalog, rows in (reference, current)]
    counts = Counter(word for side in sides for row in side for word in row)
    names = [word for word, times in counts.most_common(MOST_CAPTION_WORDS) if times >= LEAST_IMAGES]
    if not names:
        return None
    place = {word: number for number, word in enumerate(names)}
    tables = []
    for side in sides:
        table = np.zeros((len(side), len(names)), np.float32)
        for number, row in enumerate(side):
            table[number, [place[word] for word in row if word in place]] = 1
        tables.append(table)
    return SeenWords(tuple(names), tables[0], tables[1], "captions")


def _words_of(catalog: Catalog, rows: WatchedRows, column: str) -> list[set[str]]:
    """By name, as two catalogs number the classes of one vocabulary each in its own way."""
    names = load_vocabulary(catalog, column.removeprefix(_COLUMN)).names
    found = catalog.take(rows.positions, [column])[column].to_pylist()
    return [{names[one] for one in row or () if 0 <= one < len(names)} for row in found]


def moved(
    names: Sequence[str],
    reference: Floats,
    current: Floats,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    alpha: float,
    only_found: bool = True,
) -> list[Moved]:
    """Columns whose mean differs by more than chance, largest difference first.

    Among those found a share of at most alpha is false, and so is a share of at most alpha of their
    intervals.

    Args:
        names: [V]
        reference: [n, V]
        current: [m, V]
        codes: Groups of both sides as integers, [n] and [m].
        alpha: See `metrics.mean_differences.discoveries`.
        only_found: Leave out the others; else they come last, with 95% intervals of their own.
    """
    found = mean_differences(reference, current, first_groups=codes[0], second_groups=codes[1])
    told = discoveries(found.p_values, alpha=alpha)
    narrow, wide = found.half_widths(), found.half_widths(told.level)
    order = np.lexsort((-np.abs(found.value), ~told.found))
    return [
        Moved(
            name=names[one],
            difference=float(found.value[one]),
            low=float(found.value[one] - half),
            high=float(found.value[one] + half),
            q_value=float(told.q_values[one]),
            reference=float(found.first[one]),
            current=float(found.second[one]),
        )
        for one in order.tolist()
        if told.found[one] or not only_found
        for half in (wide[one] if told.found[one] else narrow[one],)
        if np.isfinite(half)
    ]
