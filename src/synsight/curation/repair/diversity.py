"""How much captions differ from each other; a captioner that says the same of everything is caught.

Departure from the usual corpus measures: a caption counts once an image, so that a text on many images
weighs as it does in training.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError

MOST_SHARE_OF_ONE = 0.5
"""A captioner that gives one text to more than half of the images it is shown describes none of them: the
text tells an image less than one bit, whatever the images are."""
LEAST_TO_JUDGE = 10
"""Different images that it must have been shown for that."""
MOST_FOR_BIGRAMS = 100_000
"""Captions that bigrams are counted on; distinct-n falls with the amount of text, so that only equal amounts
can be compared."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """What some captions are like together; missing ones are left out."""

    captions: int
    distinct_share: float
    """Different captions to captions, 0 to 1."""
    effective: float
    """Effective number of captions: exp of the entropy of the captions' shares in nats (Hill 1973, order 1);
    1 when all are equal, `captions` when all differ."""
    distinct_2: float
    """Different pairs of neighbouring words to pairs (distinct-2 of Li et al. 2016,
    https://arxiv.org/abs/1510.03055, eq. in section 5.2), of the first 100,000 captions."""


def diversity(captions: Iterable[str | None]) -> Diversity:
    """Measure captions; 8 bytes are kept of each."""
    keys: list[int] = []
    pairs: set[int] = set()
    pair_count = read = 0
    for caption in captions:
        words = _words(caption) if caption else []
        if not words:
            continue
        keys.append(_key(" ".join(words)))
        if read < MOST_FOR_BIGRAMS:
            found = [_key(f"{one} {other}") for one, other in pairwise(words)]
            pairs.update(found)
            pair_count += len(found)
            read += 1
    counts = np.unique(np.array(keys, np.uint64), return_counts=True)[1]
    return Diversity(
        captions=len(keys),
        distinct_share=len(counts) / max(len(keys), 1),
        effective=_effective(counts),
        distinct_2=len(pairs) / max(pair_count, 1),
    )


def refuse_one_for_all(captions: Sequence[str | None], images: Sequence[bytes | str], *, name: str) -> None:
    """Raise a DataError if a captioner says the same of more than half of the different images.

    Args:
        captions: What it said; None: nothing.
        images: The image of each, or something that is equal for equal images.
        name: The captioner.
    """
    said = {image: caption for image, caption in zip(images, captions, strict=True) if caption}
    if len(said) < LEAST_TO_JUDGE:
        return
    plain = {caption: " ".join(_words(caption)) for caption in said.values()}
    text, count = Counter(plain[caption] for caption in said.values()).most_common(1)[0]
    if count > MOST_SHARE_OF_ONE * len(said):
        raise DataError(
            f"the captioner {name} says {text[:80]!r} of {count} out of {len(said)} different images, so its "
            "captions tell none apart and none is taken; use another captioner, or leave it out."
        )


def _words(caption: str) -> list[str]:
    return _WORD.findall(caption.casefold())


def _effective(counts: NDArray[np.int64]) -> float:
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")
