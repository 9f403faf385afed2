"""Quick facts about a catalog's texts, before any time is spent on training: repetition, and label leaks."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synsight.data.catalog import Catalog
from synsight.seeding import derive_seed

NOT_TEST = "split != 'test'"
"""The test rows are read by `evaluate` alone."""

LEAK_SHARE = 0.1
"""A text column that names the label in more rows than this is left out: what it teaches is the answer.
Below it the word comes up by itself, as "flag" does in captions of flags."""

BOILERPLATE_SHARE = 0.005
"""A caption used by more groups than this share of all of them describes no single image."""

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class CaptionFacts:
    """Shares of the rows, 0 to 1."""

    rows: int
    without_caption: float
    repeated: float
    """Rows whose caption stands on an image of another group too."""
    boilerplate: float
    """Rows whose caption stands on more than `BOILERPLATE_SHARE` of the groups (and at least ten)."""


def caption_facts(catalog: Catalog, column: str) -> CaptionFacts:
    """Count empty, repeated and boilerplate captions of the rows outside the test split.

    Images of one group (one concept, one lot) may share a caption rightly: each group counts once.
    """
    group = next((name for name in ("group", "id") if name in catalog.columns), None)
    rows = empty = 0
    groups: set[int] = set()
    seen: set[int] = set()
    uses: Counter[int] = Counter()
    per_row: list[int] = []
    for batch in catalog.scan([column, *([group] if group else [])], where=NOT_TEST):
        texts = (text_of(value) for value in batch.column(0).to_pylist())
        owners = batch.column(1).to_pylist() if group else range(rows, rows + batch.num_rows)
        for text, owner in zip(texts, owners, strict=True):
            rows += 1
            # Hashes, not texts: a few bytes a row, whatever the captions' length.
            mine = derive_seed(owner)
            groups.add(mine)
            if not text.strip():
                empty += 1
                continue
            caption = derive_seed(text.strip().casefold())
            pair = derive_seed(caption, mine)
            if pair not in seen:
                seen.add(pair)
                uses[caption] += 1
            per_row.append(caption)
    many = max(10, BOILERPLATE_SHARE * len(groups))
    return CaptionFacts(
        rows=rows,
        without_caption=_share(empty, rows),
        repeated=_share(sum(uses[caption] > 1 for caption in per_row), rows),
        boilerplate=_share(sum(uses[caption] > many for caption in per_row), rows),
    )


def label_leak(catalog: Catalog, column: str, *, label: str) -> float:
    """Share of the labelled rows outside the test split whose text holds the label's own words in order.

    A keyword must be the label; a caption must contain it. Case and punctuation do not matter.
    """
    rows = leaks = 0
    for batch in catalog.scan([column, label], where=f"{NOT_TEST} AND {label} IS NOT NULL"):
        for value, name in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            rows += 1
            leaks += holds(value, str(name))
    return _share(leaks, rows)


def holds(value: str | Sequence[str] | None, label: str) -> bool:
    """Whether a text contains, or a list of keywords has, the label's words.

    Args:
        value: A caption, a list of keywords, or nothing.
        label: As "food-drink".
    """
    wanted = _words(label)
    if not wanted or value is None:
        return False
    if isinstance(value, str):
        return f" {wanted} " in f" {_words(value)} "
    return any(_words(one) == wanted for one in value if one)


def text_of(value: str | Sequence[str] | None) -> str:
    """A caption, or keywords in a row, as one text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else ", ".join(one for one in value if one)


def _words(text: str) -> str:
    return " ".join(_tokens(text))


def _tokens(text: str) -> Iterator[str]:
    return (token for match in _WORDS.finditer(text.casefold()) for token in match[0].split("_") if token)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
