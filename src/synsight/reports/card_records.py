"""A model card or a data sheet, as plain records: what records know, and what only people can say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class CardTable:
    """A table of facts."""

    name: str
    """Key of its title."""
    head: Sequence[str]
    """Keys of the columns' titles."""
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class CardNote:
    """One sentence with the values that fill it."""

    key: str
    values: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class CardField:
    """One thing that no record says."""

    key: str
    """As `use.primary`; in card.yaml it stands under its section."""
    text: str = ""
    """What people wrote; "": not stated."""


@dataclass(frozen=True, kw_only=True)
class CardSection:
    """One heading."""

    key: str
    facts: Sequence[tuple[str, str]] = ()
    """Key of a fact's name, and the fact."""
    tables: Sequence[CardTable] = ()
    notes: Sequence[CardNote] = ()
    fields: Sequence[CardField] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """A whole card."""

    kind: Literal["model", "data"]
    subject: str
    """Name of the model or the catalog."""
    sections: Sequence[CardSection]
    created_at: str = ""
    version: str = ""
    """Of synsight."""


@dataclass(frozen=True, kw_only=True)
class CardSummary:
    """What `card` wrote."""

    model: str
    files: Sequence[str]
    stated: int
    """Fields that people have filled."""
    open_fields: Sequence[str]
    """Keys of those that they have not."""
    form: str
    """Path of card.yaml."""
