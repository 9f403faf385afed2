"""What was measured, as plain records: the one language that evaluation, workflow and reports share.

Every number a report shows stands in one of these. A record knows no model and no tensor.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Result:
    """One measured number with its interval.

    `metric` has CLIP_benchmark's names (`acc1`, `mean_per_class_recall`, ...).
    """

    model: str
    """Name of the model as the user knows it."""
    dataset: str
    """Name of the catalog."""
    task: str
    """What was asked: `knn`, `linear`, `fewshot`, `supervised`, ..."""
    metric: str
    value: float
    ci_low: float | None = None
    """Lower end of the 95% interval; None where none was computed."""
    ci_high: float | None = None
    n_labels: int | None = None
    """Training labels per class; None: all of them."""
    seed: int = 0
    n_test: int = 0
    """Rows the value was measured on."""
    baseline: float | None = None
    """Value of the metric for chance or for always answering the most frequent class."""
    catalog_version: int = 0
    config_hash: str = ""
    seconds: float = 0.0
    """Fit plus predict."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Settings a reader needs to repeat the number (k, temperature, C, classes dropped, draws)."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model answered for one test row; makes paired comparison possible."""

    model: str
    id: str
    group: str | None
    label: str
    prediction: str
    probability: float
    task: str
    n_labels: int | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image for a page: its thumbnail, its caption as found, the words found in it."""

    id: str
    thumbnail: bytes
    """A small WebP or PNG."""
    caption: str | None
    words: Sequence[str] = ()
    label: str | None = None
    predicted: Sequence[tuple[str, float]] = ()
    """Words a model sees in the image, with their probabilities."""


@dataclass(frozen=True, kw_only=True)
class IngestSummary:
    """What `ingest` read."""

    catalog: str
    rows: int
    rejected: int
    columns: Mapping[str, str]
    """Catalog column -> column or place of the source it was read from (the guess that was made)."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reject reason -> count."""
    splits: Mapping[str, int] = field(default_factory=dict)
    ignored: int = 0
    """Files passed over: hidden ones, thumbnails' databases, notes."""
    unread_tables: Sequence[str] = ()
    """Tables among them that lie beside the images of a folder."""


@dataclass(frozen=True, kw_only=True)
class CaptionEmbeddings:
    """The column `caption_embedding`: what it was made from."""

    encoder: str
    """Name of the text encoder."""
    text_columns: Sequence[str]
    dimensions: int
    rows: int
    rows_with_text: int
    """The others have a zero vector."""


@dataclass(frozen=True, kw_only=True)
class CaptionNeighbours:
    """The column `neighbours`: what the search found."""

    encoder: str
    """Name of the text encoder."""
    rows: int
    """Rows with a caption that neighbours were looked for among and for."""
    rows_with_one: int
    """Those that have a neighbour."""
    neighbours_per_row: float
    mean_similarity: float | None
    """Cosine to the nearest neighbour, mean over the rows that have one; None: no row has."""
    recall: float
    """Share of the true nearest neighbours that were found; 1 for an exact search, else measured on a
    sample."""
    index: str
    """`exact` or `lists`."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WordsSummary:
    """What `words` found."""

    captions: int
    share_with_word: float
    words_per_caption: float
    vocabulary_size: int
    vocabulary: str = "synset"
    top: Sequence[tuple[str, int]] = ()
    """Most frequent classes: readable name, rows."""
    unmatched: Sequence[tuple[str, int]] = ()
    """Most frequent tokens that no class explains."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """Language of the text -> rows; `none`: no text, or none can be told."""
    without_word: Mapping[str, int] = field(default_factory=dict)
    """Language -> rows that have no class."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Languages that no rule for words reads -> their rows without a class; sub-words read them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    embeddings: CaptionEmbeddings | None = None
    neighbours: CaptionNeighbours | None = None


@dataclass(frozen=True, kw_only=True)
class FindingExample:
    """One row that a flag was raised on, for a page."""

    id: str
    score: float
    """How strong the finding is; larger is worse."""
    reason: str
    """One phrase with the number that raised the flag."""
    caption: str
    """As found; "" where the row has none."""
    thumbnail: str = ""
    """A small picture as a data URL; "" where the image cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One flag of an audit: what it means, how many rows bear it, some of them."""

    flag: str
    kind: Literal["image", "caption", "pair", "split"]
    rows: int
    share: float
    """Of all rows of the catalog."""
    meaning: str
    advice: str
    examples: Sequence[FindingExample] = ()


@dataclass(frozen=True, kw_only=True)
class AuditSummary:
    """What `audit` found."""

    rows: int
    findings: Mapping[str, int]
    """Flag -> rows that bear it; every flag that was looked for, 0 included."""
    effective_captions: float
    """How many distinct, clean, matching captions the captions are worth; at most `rows`."""
    verdict: str
    """Is language guidance likely to pay here: `likely`, `uncertain` or `unlikely`."""
    reasons: Sequence[str] = ()
    """Why, a sentence each, with the numbers."""
    details: Sequence[Finding] = ()
    """The flags that some row bears, most rows first."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the verdict rests on: `words_per_caption`, `share_repeated`, ..."""
    out: str = ""
    report: str = ""
    """The page's path."""


@dataclass(frozen=True, kw_only=True)
class RepairExample:
    """One row whose caption `repair` changed."""

    id: str
    before: str | None
    """As found; None where there was none."""
    after: str | None
    """None where it was dropped."""
    origin: str
    """As in `caption_origin`."""
    score: float | None = None
    """Image-text score of `after`, 0 to 1; None: nobody scored it."""
    score_before: float | None = None
    removed: Sequence[str] = ()
    """What cleaning took out or put right, where it made the caption or left none: `template`, `url`, ..."""


@dataclass(frozen=True, kw_only=True)
class RepairSummary:
    """What `repair` did."""

    rows: int
    changed: int
    """Rows whose `caption_repaired` is not the caption as found."""
    origins: Mapping[str, int]
    """Origin of the repaired caption -> rows."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """What cleaning took out or put right (`template`, `url`, `spelling`, ...) -> rows."""
    kept_useless: int = 0
    """Rows that keep a caption of which cleaning leaves nothing, as there is nothing better and it was not
    to be dropped."""
    without_caption: int = 0
    """Rows that have none, before and after."""
    recaptioned: int = 0
    """Rows that the captioner was asked about."""
    unusable_answers: Mapping[str, int] = field(default_factory=dict)
    """Why an answer of the captioner was not taken -> rows."""
    scored: int = 0
    """Rows whose captions were compared by an image-text score."""
    diversity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """`before`, `after`, `captioner` -> `captions`, `distinct_share`, `effective`, `distinct_2`."""
    examples: Sequence[RepairExample] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    out: str = ""
    report: str = ""
    """The page; "": none was written."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What `pretrain` did; `curve` holds the rows of metrics.jsonl."""

    run: str
    model: str
    steps: int
    best_step: int
    monitor: str
    best_value: float | None
    stopped_because: str
    seconds: float
    name: str = ""
    recipe: str = ""
    curve: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """One run of a sweep, or the sentence that says why it came to nothing."""

    name: str
    """Of its folder."""
    model: str
    """What its results are called; the same for all seeds."""
    recipe: str
    """`random`: the untrained encoder."""
    encoder: str
    seed: int
    axes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path -> value of the settings that vary within the sweep."""
    embedding_dim: int | None = None
    """Width of the features, D."""
    rankme: float | None = None
    """Effective rank of the test images' features."""
    rank_rows: int = 0
    """Test images it was taken of."""
    steps: int = 0
    best_step: int = 0
    """The step whose weights were kept."""
    seconds: float = 0.0
    """Of training, with its monitor."""
    monitor: str = ""
    best_value: float | None = None
    """The monitor's at the kept step, on validation images."""
    stopped_because: str = ""
    failure: str = ""
    """Why there is no result; "": there is one."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a catalog: what made it."""

    version: int
    verb: str
    created_at: str
    rows: int
    config: Mapping[str, Any] = field(default_factory=dict)
    package_version: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One of the pilot's three decisions."""

    name: str
    """`data`, `pretraining` or `proof`."""
    go: bool
    sentence: str
    """The verdict with its reason, in one sentence."""
    checks: Sequence[tuple[str, str, bool]] = ()
    """(what was looked at, what was found, whether it is well)."""


def as_json(record: Any) -> dict[str, Any]:
    """A record as a JSON object, fields in their order."""
    value: dict[str, Any] = json.loads(json.dumps(asdict(record), ensure_ascii=False, default=_plain))
    return value


def config_hash(config: Any) -> str:
    """SHA-256 of a configuration's canonical JSON, leaving out every field that is a path.

    Two runs with the same settings in different folders have the same hash.
    """
    text = json.dumps(_without_paths(config), sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


PATH_FIELDS = frozenset(
    {"path", "out", "run", "catalog", "source", "data", "model", "models", "initial_weights"}
)
"""Names of settings that hold a place on this machine."""


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(one) for key, one in value.items() if key not in PATH_FIELDS}
    if isinstance(value, list | tuple):
        return [_without_paths(one) for one in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)
