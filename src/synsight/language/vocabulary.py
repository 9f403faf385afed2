"""The vocabulary: which words are classes, what they are called, how often they were seen.

A table with a row a class, kept as a Parquet file that may be edited by hand: names may be changed freely;
rows may not be removed or re-ordered, since models and the catalog's columns count on the class numbers. To
drop or merge classes, give an edited copy back; see `vocabulary_file.py`.
"""

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synsight.data.catalog import Catalog
from synsight.errors import DataError
from synsight.files import replacing, write_text
from synsight.language.table_files import BETWEEN_PARTS
from synsight.language.terms import TERM_PREFIX
from synsight.language.wordnet import NounTable, key_of, offset_of
from synsight.stores import place

SCHEMA = pa.schema(
    [("class", pa.int32()), ("key", pa.string()), ("name", pa.string()), ("count", pa.int64())]
)
OPTIONAL = pa.schema([("idf", pa.float64()), ("also", pa.list_(pa.string()))])
"""Columns that a vocabulary may have: see `Vocabulary`."""
SUBWORD_PREFIX = "bpe:"
"""Begins the key of a sub-word; its number in CLIP's byte-pair encoding follows."""
WORD_PREFIX = "word:"
"""Begins the key of a word that is in no dictionary; the word follows."""
MAX_SHARE = 0.5
"""With hypernyms, a class on more than half of the captions ("object", "whole") teaches nothing."""
DIGEST_FIELD = b"synsight.vocabulary"
"""Metadata of a catalog's words column: the digest of the vocabulary that its numbers belong to."""


@dataclass(frozen=True)
class Vocabulary:
    """Named classes.

    Attributes:
        name: As in the column `words_<name>`.
        table: Columns `class` (int32, 0 to C - 1 in order), `key` ("wn30:n02084071" for a synset, "bpe:1929"
            for a sub-word, "term:gate valve" for a company's term, "word:..." for a word of no dictionary),
            `name` (readable, unique), `count` (int64: rows of the train split that have it). Where known also
            `idf` (float64: log((N + 1) / (count + 1)) over N train rows, SuperClass's weight) and `also`
            (list of string: further keys that are this class).
    """

    name: str
    table: pa.Table

    def __post_init__(self) -> None:
        check_table(self.table, f"vocabulary {self.name!r}")

    def __len__(self) -> int:
        """Number of classes, C."""
        return int(self.table.num_rows)

    @cached_property
    def names(self) -> list[str]:
        """Readable names in class order."""
        names: list[str] = self.table["name"].to_pylist()
        return names

    @cached_property
    def keys(self) -> list[str]:
        """Keys in class order."""
        keys: list[str] = self.table["key"].to_pylist()
        return keys

    @cached_property
    def numbers(self) -> list[int]:
        """The number in each key, in class order: a synset's WordNet offset or a sub-word's id.

        Raises:
            DataError: A key has none: that of a term, or of a word of no dictionary.
        """
        return [number_of(key) for key in self.keys]

    @cached_property
    def all_keys(self) -> list[tuple[str, ...]]:
        """All keys of each class, its own first."""
        also = self.table["also"].to_pylist() if "also" in self.table.column_names else [[]] * len(self)
        return [(key, *more) for key, more in zip(self.keys, also, strict=True)]

    @cached_property
    def digest(self) -> str:
        """12 hex digits that identify which class is which word; names and counts do not matter."""
        lines = (BETWEEN_PARTS.join(keys) for keys in self.all_keys)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def save(self, path: str | Path) -> None:
        """Write the table as Parquet, atomically.

        Raises:
            StorageError: The disk refused.
        """
        with replacing(Path(path)) as temporary:
            pq.write_table(self.table.replace_schema_metadata({"name": self.name}), temporary)

    def save_csv(self, path: str | Path) -> None:
        """Write the table as CSV, for spreadsheets; `read_vocabulary_file` reads it back.

        Raises:
            StorageError: The disk refused.
        """
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.table.column_names)
        for row in self.table.to_pylist():
            writer.writerow(
                BETWEEN_PARTS.join(value) if isinstance(value, list) else value for value in row.values()
            )
        write_text(Path(path), file.getvalue())

    @staticmethod
    def load(path: str | Path) -> "Vocabulary":
        """Read a saved, perhaps edited, table.

        Raises:
            DataError: The file is missing or no vocabulary; says what is wrong in which row.
        """
        path = place(path)
        try:
            table = pq.read_table(pa.BufferReader(path.read_bytes()))
        except FileNotFoundError:
            raise DataError(
                f"{path}: expected a vocabulary, found nothing; run `synsight words` first."
            ) from None
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: expected a vocabulary as a Parquet file, found something else ({error}); "
                "run `synsight words` again."
            ) from None
        name = (table.schema.metadata or {}).get(b"name", path.stem.encode()).decode()
        check_table(table, str(path))
        schema = pa.schema([*SCHEMA, *(one for one in OPTIONAL if one.name in table.column_names)])
        return Vocabulary(name, table.select(schema.names).cast(schema))


@dataclass(frozen=True)
class Entry:
    """A class to be."""

    keys: tuple[str, ...]
    """Its own key, then those that are the same class."""
    name: str
    count: int = 0
    """Train rows that have it."""


def vocabulary_of(name: str, entries: Sequence[Entry], *, rows: int | None = None) -> Vocabulary:
    """Classes in the order given.

    Args:
        name: Name of the vocabulary.
        entries: The classes.
        rows: Train rows, for the column `idf`; None: without it.
    """
    columns: dict[str, pa.Array] = {
        "class": pa.array(range(len(entries)), pa.int32()),
        "key": pa.array([one.keys[0] for one in entries], pa.string()),
        "name": pa.array([one.name for one in entries], pa.string()),
        "count": pa.array([one.count for one in entries], pa.int64()),
    }
    if rows is not None:
        columns["idf"] = pa.array([idf(one.count, rows) for one in entries], pa.float64())
    if any(len(one.keys) > 1 for one in entries):
        columns["also"] = pa.array([list(one.keys[1:]) for one in entries], pa.list_(pa.string()))
    return Vocabulary(name, pa.table(columns))


def idf(count: int, rows: int) -> float:
    """Weight of a class that `count` of `rows` captions have: log((rows + 1) / (count + 1)), never negative.

    Reference: Huang et al. 2024 (SuperClass), as in the released code, https://arxiv.org/abs/2411.03313
    """
    return math.log((rows + 1) / (count + 1))


def build_vocabulary(
    counts: Mapping[int, int],
    *,
    name: str,
    min_count: int,
    max_count: float = float("inf"),
    key_of: Callable[[int], str] = key_of,
    names_of: Callable[[list[int]], list[str]] | None = None,
) -> Vocabulary:
    """The words that were counted often enough, the most frequent first.

    Args:
        counts: A word's number -> rows that have it.
        name: Name of the vocabulary.
        min_count: Fewest rows of a class.
        max_count: Most rows of a class.
        key_of: Number -> key; unless given, of a synset.
        names_of: Numbers -> readable names; None: of synsets, `unique_names`.
    """
    kept = sorted(
        ((number, count) for number, count in counts.items() if min_count <= count <= max_count),
        key=lambda pair: (-pair[1], pair[0]),
    )
    readable = (names_of or unique_names)([number for number, _ in kept])
    entries = [
        Entry((key_of(number),), text, count) for (number, count), text in zip(kept, readable, strict=True)
    ]
    return vocabulary_of(name, entries)


def subword_key(number: int) -> str:
    """The key of a sub-word: 1929 -> "bpe:1929"."""
    return f"{SUBWORD_PREFIX}{number}"


def number_of(key: str) -> int:
    """The number in a key: "wn30:n02084071" -> 2084071, "bpe:1929" -> 1929.

    Raises:
        DataError: The key has another form.
    """
    digits = key.removeprefix(SUBWORD_PREFIX)
    return int(digits) if digits != key and digits.isdecimal() and digits.isascii() else offset_of(key)


def check_key(key: str) -> None:
    """Check the form of a key.

    Raises:
        DataError: It is none of a synset, a sub-word, a term or a word.
    """
    for prefix in (TERM_PREFIX, WORD_PREFIX):
        if key.startswith(prefix) and len(key) > len(prefix):
            return
    number_of(key)


def default_min_count(rows: int) -> int:
    """The fewest rows of a class for a train split of so many rows: 1 in 6,000, at least 5, at most 500.

    CatLIP's threshold is 500 on CC3M's 2.9 million captions (about 1 in 6,000) and stays 500 on 1.3
    billion. On small sets a class of three images is often one thing drawn three times; leaving it out
    cost nothing on validation: see docs/results/demo.md.
    """
    return min(max(5, round(rows / 6000)), 500)


def unique_names(offsets: list[int]) -> list[str]:
    """A readable name for each synset; those that share one get what they are a kind of: "crane (lifting
    device)".
    """
    table = NounTable.load()
    names = [table.name(offset) for offset in offsets]
    for level in (1, 2):
        seen = Counter(name.lower() for name in names)
        names = [
            f"{table.name(offset)} ({_above(offset, level)})" if seen[name.lower()] > 1 else name
            for offset, name in zip(offsets, names, strict=True)
        ]
    seen = Counter(name.lower() for name in names)
    return [
        f"{name} [n{offset:08d}]" if seen[name.lower()] > 1 else name
        for offset, name in zip(offsets, names, strict=True)
    ]


def load_vocabulary(catalog: Catalog, name: str = "synset") -> Vocabulary:
    """The vocabulary that the numbers in a catalog's column `words_<name>` belong to.

    Raises:
        DataError: The catalog has no such words, or their vocabulary is gone.
    """
    column = f"words_{name}"
    if column not in catalog.columns:
        raise DataError(
            f"{catalog.path}: there is no column {column!r}; run `synsight words {catalog.path}` first."
        )
    digest = (catalog.schema.field(column).metadata or {}).get(DIGEST_FIELD, b"").decode()
    for path in (vocabulary_path(catalog, name), archived_path(catalog, name, digest)):
        if path.exists():
            vocabulary = Vocabulary.load(path)
            if vocabulary.digest == digest:
                return vocabulary
    raise DataError(
        f"{vocabulary_path(catalog, name)}: expected the vocabulary {digest} that {column!r} was made with, "
        "found another or none; undo changes to its keys, or run `synsight words` again."
    )


def vocabulary_path(catalog: Catalog, name: str) -> Path:
    """Where the vocabulary of the newest words is, for people to read and edit."""
    return catalog.work_folder / f"vocabulary_{name}.parquet"


def archived_path(catalog: Catalog, name: str, digest: str) -> Path:
    """Where each vocabulary stays for the versions of the catalog that use it."""
    return catalog.work_folder / "vocabularies" / f"{name}-{digest}.parquet"


def check_table(table: pa.Table, place: str) -> None:
    """Check that a table is a vocabulary.

    Raises:
        DataError: It is not; says what was expected and which row is wrong.
    """
    for field in SCHEMA:
        if field.name not in table.column_names:
            found = ", ".join(table.column_names) or "none"
            raise DataError(f"{place}: expected a column {field.name!r}, found {found}; it is no vocabulary.")
        try:
            column = table[field.name].cast(field.type)
        except pa.ArrowException:
            raise DataError(
                f"{place}: expected column {field.name!r} as {field.type}, "
                f"found {table[field.name].type}; put it right."
            ) from None
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(f"{place}: column {field.name!r} is empty in row {row}; fill it in.")
    for row, number in enumerate(table["class"].to_pylist()):
        if number != row:
            raise DataError(
                f"{place}: expected class {row} in row {row}, found {number}; "
                "classes count from 0 without gaps: change names only, and leave the rows as they are."
            )
    for name in ("key", "name"):
        seen: dict[str, int] = {}
        for row, value in enumerate(table[name].to_pylist()):
            if value in seen:
                raise DataError(
                    f"{place}: {name} {value!r} stands in rows {seen[value]} and {row}; each must be unique."
                )
            seen[value] = row
    for row, key in enumerate(table["key"].to_pylist()):
        try:
            check_key(key)
        except DataError as error:
            raise DataError(f"{place}, row {row}: {error}") from None


def _above(offset: int, level: int) -> str:
    table = NounTable.load()
    names = []
    for _ in range(level):
        parents = table.hypernyms(offset)
        if not parents:
            break
        offset = parents[0]
        names.append(table.name(offset))
    return ", ".join(names)
