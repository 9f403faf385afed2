"""How near two synsets are in WordNet's tree, and which of a model's words are nearest to a synset."""

from collections.abc import Sequence

from synsight.errors import ConfigError
from synsight.language.wordnet import NounTable

LEAST_SIMILARITY = 0.5
"""Path similarity of a synset to its parents and children: one edge apart."""


def path_similarity(first: int, second: int, *, table: NounTable | None = None) -> float:
    """1 / (1 + edges of the shortest way between two synsets over a common ancestor), in (0, 1].

    1 for the same synset, 1/2 for parent and child, 1/3 for siblings. What a synset is an instance of counts
    as its parent. The same as nltk's `path_similarity`; all nouns meet in `entity` at the latest.

    Args:
        first: Offset of a synset.
        second: Offset of another.
        table: None: the packaged one.

    Raises:
        DataError: An offset is no noun synset of WordNet 3.0.
    """
    table = table or NounTable.load()
    up_first, up_second = (steps_up(offset, table=table) for offset in (first, second))
    return 1 / (1 + min(up_first[above] + up_second[above] for above in up_first.keys() & up_second.keys()))


def steps_up(offset: int, *, table: NounTable, most: float = float("inf")) -> dict[int, int]:
    """The synset itself and all above it -> edges of the shortest way up, as far as `most` edges."""
    found, level, steps = {offset: 0}, [offset], 0
    while level and steps < most:
        steps += 1
        parents = dict.fromkeys(parent for one in level for parent in table.hypernyms(one))
        level = [parent for parent in parents if parent not in found]
        found |= dict.fromkeys(level, steps)
    return found


class NearestSynsets:
    """Finds the nearest of some synsets, such as a vocabulary's.

    Args:
        offsets: Offsets of the synsets, [C].
        least: Smallest path similarity that counts as near, in (0, 1].
        table: None: the packaged one.

    Raises:
        ConfigError: `least` is out of its range.
        DataError: An offset is no noun synset of WordNet 3.0.
    """

    def __init__(
        self, offsets: Sequence[int], *, least: float = LEAST_SIMILARITY, table: NounTable | None = None
    ) -> None:
        if not 0 < least <= 1:
            raise ConfigError(f"the least path similarity must lie in (0, 1]; got {least!r}.")
        self._table = table or NounTable.load()
        self._most_edges = int(1 / least - 1 + 1e-9)  # 1 / (1 / 3) may fall just short of 3
        self._below: dict[int, list[tuple[int, int]]] = {}
        for number, offset in enumerate(offsets):
            for above, steps in steps_up(offset, table=self._table, most=self._most_edges).items():
                self._below.setdefault(above, []).append((number, steps))

    def __call__(self, offset: int) -> list[tuple[int, float]]:
        """(number, path similarity) of the nearest ones: all that are equally near, ascending; [] where none
        is near enough.

        Raises:
            DataError: The offset is no noun synset of WordNet 3.0.
        """
        edges: dict[int, int] = {}
        for above, up in steps_up(offset, table=self._table, most=self._most_edges).items():
            for number, down in self._below.get(above, ()):
                edges[number] = min(edges.get(number, up + down), up + down)
        nearest = min(edges.values(), default=self._most_edges + 1)
        if nearest > self._most_edges:
            return []
        return [(number, 1 / (1 + nearest)) for number in sorted(edges) if edges[number] == nearest]
