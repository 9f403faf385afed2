"""A caption from elsewhere for an image whose own says nothing: its keywords, or that of the same picture.

The same picture means: perceptual hashes that differ in at most 3 of 64 bits, and, since such hashes see no
colour, pictures that look alike in every part. A stranger's caption is worse than none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.curation.hash_search import pairs_within
from synsight.curation.passages import plain_text
from synsight.curation.repair.cleaning import ROWS_PER_CHUNK, clean, find_templates
from synsight.curation.repetition import ALWAYS_SHARE, LEAST_TIMES
from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.errors import ImageError
from synsight.language.texts import texts_of_rows
from synsight.stages import Runner

TOO_COMMON = ALWAYS_SHARE
"""A keyword on more than this share of the images tells none of them from the others."""
MOST_KEYWORDS = 16
"""With their commas about half of what a CLIP text tower reads; lists are sorted by no one, so more adds
little."""
MOST_BITS = 3
"""Hashes of copies (other size, other compression) differ in a bit or two."""
MOST_DIFFERENCE = 40.0
"""Largest difference of one cell of an 8 x 8 grid, in any channel, of 255. Most copies at 2/3 of the size in
JPEG quality 30 to 75 stay below (of drawings at quality 30 more than nine in ten); red and crimson differ by
60."""
MOST_STRETCH = 1.05
"""Ratio of the two pictures' aspect ratios."""
MOST_DONORS = 8
"""Of the nearest, so many are looked at."""


@dataclass(frozen=True)
class KeywordRule:
    """What keywords of a catalog are not worth borrowing."""

    templates: frozenset[int] = frozenset()
    """Sentences that stand on many images; see `cleaning.find_templates`."""
    common: frozenset[str] = frozenset()
    """Keywords on more than a fifth of the images, case folded."""


def keyword_rule(catalog: Catalog, column: str, *, runner: Runner | None = None) -> KeywordRule:
    """Count the keywords of a catalog; memory grows with the different ones."""
    counts: Counter[str] = Counter()
    for batch in catalog.scan([column], batch_size=ROWS_PER_CHUNK):
        for row in texts_of_rows(batch, [column]):
            counts.update({one.strip().casefold() for one in row})
    least = max(TOO_COMMON * catalog.count_rows(), LEAST_TIMES)
    return KeywordRule(
        templates=find_templates(catalog, [column], whole_texts=False, runner=runner),
        common=frozenset(word for word, count in counts.items() if count > least),
    )


def keyword_caption(
    keywords: Sequence[str], rule: KeywordRule | None = None, *, behind: str | None = None
) -> str | None:
    """Keywords as a caption: each cleaned, said once, the first 16 with commas between.

    Args:
        keywords: As found.
        rule: Which are not worth it.
        behind: A caption that no table knows a word of; it may be the company's own, so it goes before the
            keywords that it does not hold itself.

    Returns:
        None where no keyword is left.
    """
    rule = rule or KeywordRule()
    told = [one for one in keywords if one.strip().casefold() not in rule.common]
    cleaned = [clean(one, rule.templates).text for one in told]
    kept: dict[str, str] = {}
    for text in cleaned:
        if text and any(map(str.isalpha, text)):
            kept.setdefault(text.casefold(), text.strip(" ."))
    held = f" {plain_text(behind or '')} "
    said = [text for key, text in kept.items() if f" {plain_text(key)} " not in held]
    if not said:
        return None
    return ", ".join([*([behind.rstrip(" .")] if behind else []), *said[:MOST_KEYWORDS]])


def near_image_captions(
    catalog: Catalog,
    hashes: NDArray[np.uint64],
    wanting: NDArray[np.int64],
    donors: NDArray[np.int64],
    *,
    caption_column: str,
) -> dict[int, str]:
    """Captions of near-identical images for rows that want one.

    Args:
        catalog: Where they stand.
        hashes: Of all rows, uint64 [N], 0 where there is none.
        wanting: Positions of the rows without a caption.
        donors: Positions of rows with a good one.
        caption_column: Where it stands.

    Returns:
        Position -> the most frequent caption among the near-identical images; of equally frequent ones that
        of the nearest hash, then of the first row.
    """
    found = {}
    for position, near in _near_hashes(hashes, wanting, donors).items():
        chosen = near[:MOST_DONORS]
        images = catalog.take([position, *chosen], ["image"])["image"].to_pylist()
        alike = [
            donor for donor, image in zip(chosen, images[1:], strict=True) if look_alike(images[0], image)
        ]
        if alike:
            captions = catalog.take(alike, [caption_column])[caption_column].to_pylist()
            found[position] = Counter(captions).most_common(1)[0][0]
    return found


def look_alike(one: bytes, other: bytes) -> bool:
    """Whether two encoded images show the same picture in the same colours."""
    if one == other:
        return True
    try:
        first, second = (decode_image(data) for data in (one, other))
    except ImageError:
        return False
    stretch = (first.width / first.height) / (second.width / second.height)
    if max(stretch, 1 / stretch) > MOST_STRETCH:
        return False
    return float(np.abs(_grid(first) - _grid(second)).max()) <= MOST_DIFFERENCE


def _grid(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float32)


def _near_hashes(
    hashes: NDArray[np.uint64], wanting: NDArray[np.int64], donors: NDArray[np.int64]
) -> dict[int, list[int]]:
    """Wanting position -> donors whose hash differs in at most 3 bits, the nearest first."""
    wanting, donors = wanting[hashes[wanting] != 0], donors[hashes[donors] != 0]
    distinct = np.unique(hashes[np.concatenate([wanting, donors])])
    wanted, given = (_by_hash(distinct, hashes, some) for some in (wanting, donors))
    near: dict[int, list[tuple[int, int]]] = {}
    for place in wanted.keys() & given.keys():
        near[place] = [(0, donor) for donor in given[place]]
    for pairs in pairs_within(distinct, radius=MOST_BITS):
        for one, other, bits in zip(
            pairs.first.tolist(), pairs.second.tolist(), pairs.bits.tolist(), strict=True
        ):
            for ours, theirs in ((one, other), (other, one)):
                if ours in wanted and theirs in given:
                    near.setdefault(ours, []).extend((bits, donor) for donor in given[theirs])
    ordered = {place: [donor for _, donor in sorted(found)] for place, found in near.items()}
    return {position: ordered[place] for place in near for position in wanted[place]}


def _by_hash(
    distinct: NDArray[np.uint64], hashes: NDArray[np.uint64], positions: NDArray[np.int64]
) -> dict[int, list[int]]:
    """Place in `distinct` -> positions with that hash."""
    found: dict[int, list[int]] = {}
    places = np.searchsorted(distinct, hashes[positions])
    for place, position in zip(places.tolist(), positions.tolist(), strict=True):
        found.setdefault(place, []).append(position)
    return found


def hashes_of(catalog: Catalog, column: str = "image_hash") -> NDArray[np.uint64] | None:
    """The catalog's perceptual hashes, uint64 [N], 0 where there is none; None: there is no such column."""
    if column not in catalog.columns:
        return None
    values = catalog.table([column])[column].combine_chunks().fill_null(0)
    hashes: NDArray[np.uint64] = values.to_numpy(zero_copy_only=False).astype(np.uint64)
    return hashes
