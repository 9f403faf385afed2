"""A company's own words: a table of terms, read, checked and numbered.

    term        the word or phrase as captions write it
    synonyms    other ways to write it, with | between: "PRV|relief valve"
    concept     what it means: the key of a synset (wn30:n02084071), then the term is one more name of that
                synset; or a name of your own, which several lines may share; empty: the term itself
    parent      what the concept is a kind of: the key of a synset, or a concept or term of this file

CSV (commas, semicolons or tabs; UTF-8) or Parquet with these columns; only `term` is needed.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from synsight.errors import DataError
from synsight.language.similarity import steps_up
from synsight.language.table_files import BETWEEN_PARTS, read_table_rows
from synsight.language.wordnet import KEY_PREFIX, NounTable, key_of, offset_of

COLUMNS = ("term", "synonyms", "concept", "parent")
TERM_PREFIX = "term:"
"""Begins the key of a concept that is no synset; its folded name follows."""
FIRST_TERM = 1 << 30
"""The first number of a term's concept; WordNet's offsets end at 15,300,051."""


@dataclass(frozen=True)
class Concept:
    """What some terms mean."""

    number: int
    """A synset's offset, or its own from `FIRST_TERM` on."""
    key: str
    name: str
    spellings: tuple[str, ...]
    """As the file writes them, each once."""
    parent: int | None = None
    """Number of what it is a kind of."""


@dataclass(frozen=True)
class Terms:
    """The concepts of a file; picklable. Made by `load_terms`."""

    concepts: tuple[Concept, ...]

    @cached_property
    def digest(self) -> str:
        """12 hex digits of everything that labels depend on."""
        value = [[one.number, one.key, one.spellings, one.parent] for one in self.concepts]
        return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()[:12]

    @cached_property
    def by_number(self) -> Mapping[int, Concept]:
        """The concepts that are no synsets."""
        return {one.number: one for one in self.concepts if one.number >= FIRST_TERM}

    @cached_property
    def by_key(self) -> Mapping[str, Concept]:
        """All concepts."""
        return {one.key: one for one in self.concepts}

    def steps_up(self, number: int) -> dict[int, int]:
        """A concept or synset itself and all above it -> edges of the shortest way up."""
        found: dict[int, int] = {}
        steps = 0
        while number >= FIRST_TERM:
            found[number] = steps
            parent = self.by_number[number].parent
            if parent is None:
                return found
            number, steps = parent, steps + 1
        above = steps_up(number, table=NounTable.load())
        return found | {one: steps + further for one, further in above.items()}


def fold(text: str) -> str:
    """Text as terms are compared: Unicode NFKC, case folded, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def load_terms(path: str | Path) -> Terms:
    """Read and check a file of terms.

    Raises:
        DataError: The file is missing, is no table of terms, or a line is wrong; names the line.
    """
    path = Path(path)
    concepts = _Concepts(str(path))
    for line, row in _rows(path):
        concepts.add(line, row)
    if not concepts.drafts:
        raise DataError(f"{path}: expected a line for each term, found none; write one under the header.")
    return Terms(concepts.finish())


@dataclass
class _Draft:
    number: int
    key: str
    name: str
    line: int
    spellings: dict[str, str]
    """Folded -> as written."""
    parent: str = ""
    parent_line: int = 0


class _Concepts:
    """Lines gathered into concepts; every complaint names the line."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.drafts: dict[str, _Draft] = {}
        """By key."""
        self._owners: dict[str, tuple[str, int]] = {}
        """Folded spelling -> key and line."""

    def add(self, line: int, row: Mapping[str, str]) -> None:
        """One line of the file."""
        term = " ".join(row["term"].split())
        if not any(mark.isalnum() for mark in fold(term)):
            raise self._error(line, f"expected a term, found {row['term']!r}; write one or delete the line")
        if BETWEEN_PARTS in term:
            raise self._error(line, f"term {term!r} holds '|'; write further spellings under synonyms")
        draft = self._draft(line, row["concept"].strip() or term)
        for spelling in (term, *row["synonyms"].split(BETWEEN_PARTS)):
            self._spell(draft, line, " ".join(spelling.split()))
        if parent := row["parent"].strip():
            if draft.key.startswith(KEY_PREFIX):
                text = f"{draft.key} is a synset and has its parents in WordNet; leave parent {parent!r} out"
                raise self._error(line, text)
            if draft.parent and fold(draft.parent) != fold(parent):
                text = f"{draft.name!r} has parent {draft.parent!r} in line {draft.parent_line}"
                raise self._error(line, f"{text}, {parent!r} here; give it one")
            draft.parent, draft.parent_line = parent, line

    def finish(self) -> tuple[Concept, ...]:
        """All concepts, in the order of the file."""
        concepts = [
            Concept(one.number, one.key, one.name, tuple(one.spellings.values()), self._parent(one))
            for one in self.drafts.values()
        ]
        parents = {one.number: one.parent for one in concepts}
        for concept, draft in zip(concepts, self.drafts.values(), strict=True):
            seen, number = {concept.number}, concept.parent
            while number is not None and number not in seen:
                seen.add(number)
                number = parents.get(number)
            if number is not None:
                text = f"{draft.name!r} is, through its parents, a kind of itself; break the circle"
                raise self._error(draft.parent_line, text)
        return tuple(concepts)

    def _draft(self, line: int, concept: str) -> _Draft:
        if concept.startswith("wn30:"):
            key, number, name = concept, *self._synset(line, "concept", concept)
        else:
            name = concept.removeprefix(TERM_PREFIX).strip()
            key, number = TERM_PREFIX + fold(name), FIRST_TERM + len(self.drafts)
            if not fold(name):
                raise self._error(line, f"expected a name or a key as concept, found {concept!r}; mend it")
        return self.drafts.setdefault(key, _Draft(number, key, name, line, {}))

    def _spell(self, draft: _Draft, line: int, spelling: str) -> None:
        folded = fold(spelling)
        if not folded:
            return  # "a||b", or no synonyms at all
        if not any(mark.isalnum() for mark in folded):
            raise self._error(line, f"expected a synonym, found {spelling!r}; write one or take it out")
        key, first = self._owners.setdefault(folded, (draft.key, line))
        if key != draft.key:
            text = f"{spelling!r} means {draft.key} here and {key} in line {first}; give it one concept"
            raise self._error(line, text)
        draft.spellings.setdefault(folded, spelling)

    def _parent(self, draft: _Draft) -> int | None:
        if not draft.parent:
            return None
        if draft.parent.startswith("wn30:"):
            return self._synset(draft.parent_line, "parent", draft.parent)[0]
        name = fold(draft.parent.removeprefix(TERM_PREFIX))
        known = self.drafts.get(TERM_PREFIX + name)
        if known is None and name in self._owners:
            known = self.drafts[self._owners[name][0]]
        if known is not None:
            return known.number
        noun = NounTable.load().nouns.get(name.replace(" ", "_"))
        if noun is not None:
            keys = " or ".join(_described(offset) for offset in noun.senses[:3])
            hint = f"WordNet's {name!r} is {keys}: write the key you mean"
        else:
            near = get_close_matches(name, [*self._owners], n=1)
            hint = f"did you mean {near[0]!r}?" if near else "add a line for it, or write a synset's key"
        text = f"parent {draft.parent!r} is no term or concept of this file; {hint}"
        raise self._error(draft.parent_line, text)

    def _synset(self, line: int, column: str, key: str) -> tuple[int, str]:
        try:
            offset = offset_of(key)
            return offset, NounTable.load().name(offset)
        except DataError as error:
            raise self._error(line, f"{column} {key!r}: {error}".rstrip(".")) from None

    def _error(self, line: int, text: str) -> DataError:
        return DataError(f"{self._place}, line {line}: {text.rstrip('.')}.")


def _described(offset: int) -> str:
    table = NounTable.load()
    above = ", ".join(table.name(one) for one in table.hypernyms(offset)[:1])
    return f"{key_of(offset)} ({above})"


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, the four columns as text) of a CSV or Parquet file; blank lines are left out."""
    rows = read_table_rows(path)
    header = next(rows)[1]
    names = [name.strip().lower() for name in header]
    _check_header(path, names)
    for line, cells in rows:
        if len(cells) > len(names):
            raise DataError(
                f"{path}, line {line}: expected {len(names)} cells as in the header, found {len(cells)}; "
                "put cells that hold a separator in quotation marks."
            )
        if any(cell.strip() for cell in cells):
            row = dict(zip(names, cells, strict=False))
            yield line, {name: row.get(name, "") for name in COLUMNS}


def _check_header(path: Path, names: list[str]) -> None:
    if "term" not in names:
        found = ", ".join(name for name in names if name) or "none"
        raise DataError(
            f"{path}: expected a header with a column 'term' (also {', '.join(COLUMNS[1:])}), found {found}; "
            "write the names of the columns into the first line."
        )
    for name in names:
        near = get_close_matches(name, COLUMNS, n=1, cutoff=0.7)
        if name not in COLUMNS and near:
            raise DataError(f"{path}: there is no column {name!r} for terms; did you mean {near[0]!r}?")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} stands twice in the header; keep one of them.")
