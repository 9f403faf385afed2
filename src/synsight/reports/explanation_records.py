"""What an explanation says, as plain records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synsight.records import as_json


@dataclass(frozen=True, kw_only=True)
class SeenWord:
    """A word that the model sees in an image."""

    key: str
    """As in the vocabulary, "wn30:n02084071" for a synset."""
    name: str
    """In the locale of the explanation."""
    score: float
    """Probability, 0 to 1, calibrated where there is a catalog to calibrate on."""
    raw: float
    """Probability before calibration."""


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What one word added to the score of a class."""

    key: str
    name: str
    value: float
    """In units of the score (a logit); negative: it spoke against the class."""


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """The score of a class as a sum: baseline + contributions of the words + rest + residual."""

    of: str
    """The class."""
    score: float
    baseline: float
    """Score of what contributions count from: the reference's average image, or an image of no features."""
    words: Sequence[Contribution]
    """The strongest, largest first."""
    rest: float
    """Sum over the words that are not listed."""
    residual: float
    """What no word says: 0 where the head reads words alone."""
    exact: bool
    """The head is linear in the words, or in features: the parts sum to the score by its own arithmetic."""
    said: float
    """Share of the class's direction that the words span, 0 to 1; 1 where the head reads words alone."""
    method: str
    """`words`: read off the head; `gradient`: the gradient of the score, put into words."""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Where in the image the score of a word or class comes from."""

    of: str
    kind: str
    """`word` or `class`."""
    method: str
    """`cam`, `grad-cam`, `rollout` or `occlusion`."""
    values: Sequence[Sequence[float]]
    """[h][w], in units of the score for `cam` and `occlusion`."""
    constant: float | None
    """`cam`: sum of the values + constant = score; None where the values do not sum to the score."""
    picture: str
    """The image as the model sees it with the map over it: data URL of a PNG; "" if not asked for."""


@dataclass(frozen=True, kw_only=True)
class NearCase:
    """An image of the reference that looks alike to the model."""

    id: str
    similarity: float
    """Cosine of the features."""
    caption: str
    label: str | None
    words: Sequence[str]
    picture: str
    """Data URL; "" if not asked for."""


@dataclass(frozen=True, kw_only=True)
class WordChange:
    """A word whose score would have had to change."""

    key: str
    name: str
    before: float
    """Logit."""
    after: float
    seen_before: float
    """Probability."""
    seen_after: float


@dataclass(frozen=True, kw_only=True)
class WhyNot:
    """The fewest words that, had they been seen otherwise, would have changed the answer."""

    instead: str
    """The runner-up; of several labels, the likeliest that was not given."""
    margin: float
    """By how much the predicted class leads, or the label misses probability 0.5, in units of the score."""
    changes: Sequence[WordChange]
    """Largest effect first; empty: no change of words within what the reference knows turns the answer."""
    exact: bool
    """The head reads words alone, so that no smaller number of words would do."""
    verified: bool
    """The head was asked again with the changed words, and answered the other class."""
    sentence: str
    """In the locale of the explanation."""
    also: bool = False
    """It would stand beside the labels that were given, not in the place of one."""


@dataclass(frozen=True, kw_only=True)
class ExplanationRecord:
    """One image explained."""

    id: str
    model: str
    locale: str
    prediction: str | None
    """The likeliest class; None: the model has words alone."""
    probability: float | None
    classes: Sequence[tuple[str, float]]
    """The likeliest classes with their probabilities."""
    words: Sequence[SeenWord]
    calibration: str
    """What the words' scores rest on."""
    contributions: Contributions | None
    heat: Sequence[HeatMap]
    near: Sequence[NearCase]
    why_not: WhyNot | None
    faithfulness: Mapping[str, float] = field(default_factory=dict)
    """`deletion`, `deletion_random`, `insertion`, `insertion_random`: areas under the curves of the first
    map; empty where they were not asked for."""
    answers: Sequence[str] = ()
    """The predicted class; of several labels, those of probability 0.5 and more, and there may be none."""
    label: str | None = None
    """The true label, where it is known; several with commas between."""
    right: bool | None = None
    """Whether the answers are the true labels; None: they are not known."""
    caption: str = ""
    picture: str = ""
    """The image as the model sees it: data URL; "" if not asked for."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return as_json(self)


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """One image on the map of a catalog."""

    x: float
    y: float
    cluster: int


@dataclass(frozen=True, kw_only=True)
class CatalogMap:
    """The map of a catalog as a page shows it."""

    catalog: str
    method: str
    """`PCA` or `UMAP`."""
    names: Sequence[str]
    """Of the clusters, the largest first."""
    points: Sequence[MapPoint]
    """Some of the images, evenly drawn."""
    images: int
    """All of them."""


@dataclass(frozen=True, kw_only=True)
class ExplanationSummary:
    """What `explain` did."""

    model: str
    explanations: Sequence[ExplanationRecord]
    calibration: str
    faithfulness: Mapping[str, float]
    """Means over the images of what each explanation's `faithfulness` holds."""
    map: CatalogMap | None
    files: Sequence[str]
    """What was written, the page first."""
    report: str
    locale: str = "en"
    rejected: Mapping[str, str] = field(default_factory=dict)
    """Files of a folder that are no images we accept -> reason."""

    def as_json(self) -> dict[str, Any]:
        """Plain values without pictures and points, for programs."""
        value = as_json(self)
        for one in value["explanations"]:
            del one["picture"]
            for part in (*one["heat"], *one["near"]):
                del part["picture"]
        if value["map"] is not None:
            del value["map"]["points"]
        return value
