"""What an explanation of a caption says, as plain records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Sense:
    """A noun sense of a spelling."""

    key: str
    name: str
    kind_of: str
    count: int | None = None
    """Times readers tagged it in SemCor."""
    confidence: int | None = None
    """Of a Japanese noun: 0 to 100, the share of its dictionary's evidence that speaks for this sense."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of the text and what became of it."""

    text: str
    kind: str
    """`term`, `phrase`, `word`, `mark` or `japanese`."""
    key: str | None = None
    """Of the word found."""
    name: str | None = None
    reason: str = ""
    senses: Sequence[Sense] = ()
    """Candidates, most frequent first."""


@dataclass(frozen=True, kw_only=True)
class FoundWord:
    """A word of the caption, and the class it is in the catalog."""

    key: str
    name: str
    class_number: int | None = None
    """In the vocabulary; None: it is no class there, or no vocabulary was asked."""
    class_name: str | None = None
    weight: float = 1.0
    """1 / (1 + steps up from a word of the caption)."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CaptionExplanation:
    """How a caption was read."""

    caption: str
    cleaned: str
    language: str | None
    rules: Sequence[str]
    """What read it: `english`, `japanese`, `sub-words`, `terms`; empty: nothing reads this language."""
    tokens: Sequence[str] = ()
    pieces: Sequence[Piece] = ()
    words: Sequence[FoundWord] = ()
    unmatched: Mapping[str, str] = field(default_factory=dict)
    """Words without a meaning -> why."""
    vocabulary: str = ""
    """Which vocabulary was asked for the classes; empty: none."""
