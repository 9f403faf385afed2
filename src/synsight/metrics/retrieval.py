"""Recall of retrieval between images and texts, exact and in flat memory.

N images, T texts, P dimension of their common space, R pairs of an image and a text that belong together,
K places.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, Integers, check_finite, unit_rows

_MOST_CELLS = 8_000_000
"""Scores held at once, about 100 MB with what is made of them."""
_TIE = np.float32(1e-6)
"""Cosines that are no further apart may be equal but for rounding."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """What a side was answered: for each of its N queries, where the best right answer stands."""

    wrong_before: NDArray[np.int64]
    """[N] wrong answers that score as high as the best right one; fewer than K: a hit among K places."""
    best_wrong: NDArray[np.int64]
    """[N] the wrong answer with the highest score; -1 where every answer is right."""
    best_score: NDArray[np.float32]
    """[N] highest cosine, right or wrong."""
    right: NDArray[np.int64]
    """[N] how many answers are right."""

    def hits(self, places: int) -> NDArray[np.bool_]:
        """Whether a right answer stands among the first K, [N].

        Raises:
            ConfigError: There is no place.
        """
        if places < 1:
            raise ConfigError(f"recall needs one place at least; got {places!r}.")
        hits: NDArray[np.bool_] = (self.wrong_before < places) & (self.right > 0)
        return hits


def retrieval_ranks(
    image_z: Floats,
    text_z: Floats,
    image_of_pair: Integers,
    text_of_pair: Integers,
    *,
    most_cells: int = _MOST_CELLS,
) -> tuple[Ranks, Ranks]:
    """Find texts by images, and images by texts.

    A query is a hit at K if one of its right answers is among the K with the highest cosine. An answer that
    is wrong and ties with the best right one stands before it, so that an encoder which maps everything to
    one point finds nothing.

    Args:
        image_z: [N, P]; need not be normalised.
        text_z: [T, P]. Texts that say the same are one text: give each once.
        image_of_pair: [R] numbers of images.
        text_of_pair: [R] the text that belongs to each; an image may have several, and a text.
        most_cells: Cosines in memory at once.

    Returns:
        Texts found by the N images; images found by the T texts.

    Raises:
        ShapeError: The spaces differ, a side is empty, or a pair names what is not there.
        DataError: An embedding is NaN or infinite.

    Reference: image_retrieval_recall@K and text_retrieval_recall@K of CLIP_benchmark
        (`metrics/zeroshot_retrieval.py`), which has N x T scores in memory and leaves ties to the sort.
    """
    pairs = _checked_pairs(image_z, text_z, image_of_pair, text_of_pair)
    images, texts = unit_rows(image_z), unit_rows(text_z)
    by_image, by_text = _Best(len(images)), _Best(len(texts))
    step = max(1, most_cells // (len(texts) + images.shape[1]))
    for start in range(0, len(pairs[0]), step):
        rows, columns = (side[start : start + step] for side in pairs)
        right = np.einsum("rp,rp->r", images[rows], texts[columns])
        np.maximum.at(by_image.right_score, rows, right)
        np.maximum.at(by_text.right_score, columns, right)
    for first in range(0, len(images), step):
        scores = images[first : first + step] @ texts.T
        here = slice(first, first + len(scores))
        begin, end = np.searchsorted(pairs[0], (here.start, here.stop))
        scores[pairs[0][begin:end] - first, pairs[1][begin:end]] = -np.inf
        by_image.count[here] = (scores > by_image.right_score[here, None] - _TIE).sum(axis=1)
        by_image.see(here, scores.argmax(axis=1), scores.max(axis=1))
        by_text.count += (scores > by_text.right_score - _TIE).sum(axis=0)
        by_text.see(slice(None), first + scores.argmax(axis=0), scores.max(axis=0))
    of_images = np.bincount(pairs[0], minlength=len(images))
    of_texts = np.bincount(pairs[1], minlength=len(texts))
    return by_image.ranks(of_images), by_text.ranks(of_texts)


def chance_recall_at(places: int, answers: int, right: Integers) -> float:
    """Recall of answers in random order: mean over queries of 1 - C(answers - right, K) / C(answers, K).

    With one right answer each it is K / answers.

    Args:
        places: K >= 1.
        answers: How many there are.
        right: [N] how many of them are right for each query.
    """
    if places >= answers:
        return float((right > 0).mean())
    wrong = answers - right.astype(np.float64)
    with np.errstate(invalid="ignore"):
        log_none = (
            gammaln(wrong + 1)
            - gammaln(wrong - places + 1)
            - gammaln(answers + 1)
            + gammaln(answers - places + 1)
        )
    none = np.where(wrong >= places, np.exp(log_none), 0.0)
    return float((1 - none).mean())


class _Best:
    """What has been seen of each query's answers."""

    def __init__(self, queries: int) -> None:
        self.right_score = np.full(queries, -np.inf, np.float32)
        self.wrong_score = np.full(queries, -np.inf, np.float32)
        self.wrong = np.full(queries, -1, np.int64)
        self.count = np.zeros(queries, np.int64)

    def see(self, here: slice, answers: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        better = scores > self.wrong_score[here]
        self.wrong[here] = np.where(better, answers, self.wrong[here])
        self.wrong_score[here] = np.maximum(scores, self.wrong_score[here])

    def ranks(self, right: NDArray[np.int64]) -> Ranks:
        return Ranks(self.count, self.wrong, np.maximum(self.right_score, self.wrong_score), right)


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Images and texts of the pairs, each pair once, images ascending."""


def _checked_pairs(image_z: Floats, text_z: Floats, of_image: Integers, of_text: Integers) -> Pairs:
    check_finite(image_z)
    check_finite(text_z)
    if image_z.shape[1] != text_z.shape[1] or not len(image_z) or not len(text_z):
        raise ShapeError(
            f"images and texts must lie in one space, one or more of each; got {image_z.shape} and "
            f"{text_z.shape}; embed both with the same model."
        )
    sides = ((of_image, len(image_z)), (of_text, len(text_z)))
    if of_image.shape != of_text.shape or not all(
        one.ndim == 1 and len(one) and one.min() >= 0 and one.max() < size for one, size in sides
    ):
        raise ShapeError(
            f"pairs must be [R] images of {len(image_z)} and [R] texts of {len(text_z)}, R >= 1; got "
            f"{of_image.shape} and {of_text.shape}; number both from 0."
        )
    pairs = np.unique(np.stack([of_image, of_text], axis=1).astype(np.int64), axis=0)
    return pairs[:, 0], pairs[:, 1]
