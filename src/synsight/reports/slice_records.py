"""What `slices` found, as plain records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from synsight.records import Example

Kind = Literal["column", "word", "seen"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the rows of a slice have in common, or one half of it."""

    kind: Kind
    """`column`: a value of a column; `word`: a word of the caption; `seen`: a word that the model sees."""
    column: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The accuracy on some of the rows, and on the others."""

    parts: Sequence[Part]
    """One, or two of a pair; all hold."""
    rows: int
    accuracy: float
    ci_low: float
    ci_high: float
    """Of `accuracy`, 95%, over groups."""
    others: float
    """Accuracy on the rows outside; of a pair: on the better of what each half alone has outside the pair."""
    expected: float | None
    """What the classes of the slice's rows would have by their accuracy elsewhere; None: not looked at."""
    shrunk: float | None
    """Accuracy to expect when it is measured again; None: `accuracy` was measured on rows that had no part in
    choosing the slice."""
    p_value: float
    """One-sided, for "no worse than the others"."""
    q_value: float
    """The same, corrected for all slices that were looked at (false-discovery rate)."""
    found: bool
    """Whether it is worse than the others at the false-discovery rate that was asked for."""
    same_rows: Sequence[Part] = ()
    """What else exactly these rows have in common."""
    examples: Sequence[Example] = ()
    """Rows of it that the model got wrong."""


@dataclass(frozen=True, kw_only=True)
class Odds:
    """An odds ratio with its 95% interval; the ends are None where they are beyond all numbers."""

    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class SpuriousWord:
    """A word that goes with a label in training, and what is left of that elsewhere."""

    word: str
    label: str
    place: str
    """Where it was looked at again: a column, within whose values; or `split`: in rows not trained on."""
    rows: int
    """Training rows that have the word."""
    training: Odds
    """Odds of the label with the word over those without it, in training."""
    elsewhere: Odds
    """The same within the values of the column, or in the other splits."""
    q_value: float
    """For "as strong elsewhere as in training", corrected for all that were looked at."""
    spurious: bool
    followed: Odds | None = None
    """Odds that the model answers the label with the word over those without it, among rows of one true
    label; None: the model's answers say nothing about it."""


@dataclass(frozen=True, kw_only=True)
class CaptionChange:
    """A word that `repair` adds or takes away, in rows with one value of a column or in all."""

    word: str
    change: Literal["added", "lost"]
    column: str
    """"": all rows."""
    value: str
    rows: int
    rate: float
    """Share of these rows whose captions the word was added to, or lost from."""
    ci_low: float
    ci_high: float
    other_rate: float | None
    """The same among the other rows; None: there are none."""
    q_value: float | None
    """For "no more often here than elsewhere", corrected for all that were looked at."""
    found: bool


@dataclass(frozen=True, kw_only=True)
class SliceSummary:
    """What `slices` found."""

    model: str
    dataset: str
    label: str
    rows: int
    accuracy: float
    ci_low: float
    ci_high: float
    slices_tested: int
    found: int
    """Slices and pairs that are worse than the others."""
    worst: Sequence[Slice]
    """Those found first, then by p-value."""
    pairs: Sequence[Slice]
    pairs_tested: int
    false_discovery_rate: float
    spurious_words: Sequence[SpuriousWord] = ()
    spurious_tested: int = 0
    caption_changes: Sequence[CaptionChange] = ()
    caption_changes_tested: int = 0
    notes: Sequence[str] = ()
    """What was left out, and why."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    catalog_version: int = 0
    report: str = ""
    """The page's path."""
