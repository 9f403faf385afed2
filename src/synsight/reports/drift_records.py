"""What `monitor` found, as plain records; the page, the JSON object and the Prometheus text read these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["none", "watch", "drift"]
TestName = Literal["mmd", "energy", "classifier", "words", "labels", "quality"]
Doubt = Literal["outside", "drift", "few_labels", "trained_on"]
AdviceKind = Literal[
    "nothing", "look_again", "finer_groups", "check_camera", "collect", "relabel", "readapt", "roll_back"
]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A mean that differs: of a word, or of a flag of the audit."""

    name: str
    difference: float
    """Current minus reference."""
    low: float
    high: float
    q_value: float
    reference: float
    """The mean there: of a word's probability, or the share of images with the flag."""
    current: float


@dataclass(frozen=True, kw_only=True)
class SampleFacts:
    """The rows of one side."""

    catalog: str
    version: int
    where: str | None
    rows: int
    """That match."""
    looked_at: int
    """Of them, drawn by chance where there are more than were wanted."""
    groups: int
    unreadable: int = 0
    """Images drawn that could not be decoded; they are left out of everything but the flags."""


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """One of the tests that the verdict rests on."""

    name: TestName
    value: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """How often a class is predicted, and how often it is likely to be the truth."""

    name: str
    predicted_reference: float
    predicted_current: float
    low: float
    """Of the difference of the two."""
    high: float
    moved: bool
    true_reference: float | None = None
    """None: the reference has no labels."""
    estimate: float | None = None
    """Share of the class among the current images, corrected for what the model confuses."""
    estimate_low: float | None = None
    estimate_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class LabelShift:
    """The class mix, as predicted and as estimated."""

    predicted_by: Literal["model", "probe"]
    """`probe`: a linear one, fitted on the labelled reference rows, as the model has no such labels."""
    method: Literal["bbse", "em", ""]
    """How true shares were estimated; "": there are no labels."""
    classes: Sequence[ClassShare]
    one_of: bool = True
    """Exactly one class is right; else each label stands by itself, and true shares are not estimated."""


@dataclass(frozen=True, kw_only=True)
class AccuracyEstimate:
    """How often the model is right on the current images, without their labels."""

    reference: float
    """Measured."""
    reference_low: float
    reference_high: float
    value: float | None
    """None: withheld, as the current images lie outside of what the reference covers."""
    low: float | None
    high: float | None
    """Value less and plus `error`."""
    error: float
    """What 95% of the estimates stay within, on resamples of the reference with other class mixes."""
    method: Literal["atc", "doc"]
    """The one with the smaller error there."""
    others: Mapping[str, float] = field(default_factory=dict)
    """The other method's estimate."""
    labelled_rows: int
    reliable: bool
    doubts: Sequence[Doubt] = ()
    labels_needed: int = 0
    """Labels of current images that would measure it to within 5 points."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """One stretch of time."""

    name: str
    """As "2026-03" or "2026-03-14"."""
    sample: Literal["reference", "current"]
    rows: int
    novel: float
    """Share of images that are more unlike the reference than 95% of its own are."""
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class NovelImage:
    """An image that the reference has nothing like."""

    id: str
    rank: float
    """Share of the reference images that are less unlike the others, 0 to 1."""
    distance: float
    words: Sequence[str] = ()
    thumbnail: str = ""
    """A small picture as a data URL; "" where there is none."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to do, with the numbers its sentence needs."""

    kind: AdviceKind
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """A former call with the same folder."""

    created_at: str
    verdict: Verdict
    p_value: float
    auc: float


@dataclass(frozen=True, kw_only=True)
class DriftSummary:
    """What `monitor` found."""

    verdict: Verdict
    p_value: float
    """That no drift at all would have looked like this; all tests together."""
    words: Sequence[Moved]
    """Those that moved by more than chance, largest first."""
    alpha: float
    least_p_value: float
    """The smallest that so many groups can give."""
    tests: Sequence[DriftResult]
    auc: float
    """Of the classifier that tells reference from current; 0.5 is chance."""
    novel: float
    """As in `Period`, of all current images."""
    novel_low: float
    novel_high: float
    reference: SampleFacts
    current: SampleFacts
    model: str
    words_from: Literal["model", "zero-shot", "captions", ""]
    """Whose words they are; "": there are none."""
    words_tested: int
    labels: LabelShift | None = None
    accuracy: AccuracyEstimate | None = None
    quality: Sequence[Moved] = ()
    """Flags of the audit, all that some image has."""
    measures: Sequence[Moved] = ()
    """Measures of the images (blur, darkness, ...) that moved by more than chance."""
    advice: Sequence[Advice] = ()
    periods: Sequence[Period] = ()
    novel_images: Sequence[NovelImage] = ()
    """Some of those collected, for the page."""
    collected: int = 0
    """Images in collect.parquet."""
    earlier: Sequence[EarlierRun] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""
    seconds: float = 0.0
    out: str = ""
    report: str = ""
    """The page's path."""
