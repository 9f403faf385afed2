"""Captions as vectors: what words they hold, and, where a sentence encoder is at hand, what they mean.

The two together told planted mismatches apart better than each alone (docs/results/audit.md).
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from synsight.curation.descriptors import balance
from synsight.models.text.loading import MINILM, MINILM_PACKAGE, load_text_encoder
from synsight.seeding import derive_seed, generator

DIMENSIONS = 128
"""Of the words; what comes after them is single words."""
BUCKETS = 2**18
FITTED_CAPTIONS = 50_000
"""Most captions that the word space is fitted to."""
ENCODED_CAPTIONS = 50_000
"""Most distinct captions that are encoded: some minutes of a processor; beyond, words alone must do."""

CHUNK = 8192
"""Captions put into the word space at a time, in twice the digits that are kept."""

Floats = NDArray[np.float32]

_WORDS = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(r"[぀-ヿ㐀-䶿一-鿿]+")
"""Scripts that are written without spaces: kana and Han characters."""


def caption_vectors(
    texts: Sequence[str], *, seed: int = 0, encoder: str | None = "auto"
) -> tuple[Floats, str]:
    """Vectors [N, E] of captions, and what they were made by, in a phrase.

    Args:
        texts: N captions; equal ones have equal vectors.
        seed: Of the word space.
        encoder: A sentence encoder beside the words; `auto`: MiniLM where it is installed and distinct
            captions are not too many; None: words alone.
    """
    distinct, places = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    known = [str(text) for text in distinct]
    if encoder == "auto":
        few = len(known) <= ENCODED_CAPTIONS
        able = all(find_spec(one) for one in (MINILM_PACKAGE, "sentence_transformers"))
        encoder = MINILM if few and able else None
    blocks = [word_vectors(known, seed=seed)]
    if encoder is not None:
        blocks.append(load_text_encoder(encoder)(known))
    vectors = np.hstack(blocks)[places] if len(blocks) > 1 else blocks[0][places]
    start = 0
    for block in blocks:
        balance(vectors[:, start : start + block.shape[1]])
        start += block.shape[1]
    return vectors, "words" if encoder is None else f"words and {encoder}"


def word_vectors(texts: Sequence[str], *, seed: int = 0) -> Floats:
    """Latent semantic analysis of hashed words, [N, up to 128]: tf-idf, then truncated SVD.

    Words that stand in one caption alone are left out: they teach nothing about others.

    Reference: Deerwester et al. 1990, "Indexing by latent semantic analysis"
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    hashing = HashingVectorizer(analyzer=words_of, n_features=BUCKETS, norm=None, alternate_sign=False)
    counts = hashing.transform(texts)
    counts = counts[:, np.flatnonzero(counts.getnnz(axis=0) >= 2)]
    width = min(DIMENSIONS, counts.shape[1] - 1, len(texts) - 1)
    if width < 1:
        return np.zeros((len(texts), 1), np.float32)
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    fitted = np.sort(generator(seed, "word space").permutation(len(texts))[:FITTED_CAPTIONS])
    space = TruncatedSVD(width, n_iter=4, random_state=derive_seed(seed, "svd") % 2**32)
    space.fit(weighted[fitted])
    vectors = np.empty((len(texts), width), np.float32)
    for start in range(0, len(texts), CHUNK):
        vectors[start : start + CHUNK] = space.transform(weighted[start : start + CHUNK])
    return vectors


def words_of(text: str) -> list[str]:
    """Lower-case words without digits; of scripts without spaces, pairs of characters."""
    words = []
    for word in _WORDS.findall(text.lower()):
        if _UNSPACED.search(word):
            words += [word[start : start + 2] for start in range(max(len(word) - 1, 1))]
        else:
            words.append(word)
    return words
