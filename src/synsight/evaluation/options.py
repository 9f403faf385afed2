"""Settings that only some tasks read, by what they are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What tasks read of a row beside its label."""

    text: str = "caption"
    """Of `retrieval`: the texts that belong to the images."""
    domain: str = "domain"
    """Of `domains`: where an image comes from (camera, vendor, site)."""
    keywords: str = "keywords"
    """Of `multilabel`: a column of lists of strings, or of strings with `keywords_separator` between."""
    keywords_separator: str | None = None
    """Of `multilabel`: what stands between the labels of a string column."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How classes are put into words: read by `zeroshot`, `evidence` and `start`."""

    class_names: Path | None = None
    """A JSON file, label -> name or names; None: the labels name themselves."""
    templates: Path | None = None
    """Of `zeroshot`: a JSON file of sentences around a name; None: those of `locale`."""
    dataset: str | None = None
    """Which data set of these files; None: the only one."""
    locale: str = "en"
    """Language of the sentences around names: `en` or `ja`."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """How test images are spoilt: read by `corruptions` and `resolution`."""

    rows: int = 1000
    """Most test rows that are asked about, drawn by the seed."""
    corruptions: tuple[str, ...] = ()
    """Names out of `data.corrupting.CORRUPTIONS`; none: all."""
    severities: tuple[int, ...] = (1, 3, 5)
    """Of the corruptions: 1 to 5, the mean over them is recorded."""
    resolutions: tuple[float, ...] = (2, 4, 8)
    """By what the sides of test images are divided."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How networks are trained: read by `finetune`, `detection` and `segmentation`."""

    steps: int | None = None
    """How long; None: as the recipe says."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Settings to change, by dotted path."""


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """What only `finetune` reads."""

    recipe: str = "auto"
    """`simclr`, `catlip`, or `auto`, which chooses by the kind of the encoder."""
    start_head: str = "probe"
    """The classifier's first rows: `probe`, `transfer` or `random`."""
    all_labels: bool = True
    """Train on all labels, too, beside the draws of few."""
    rates: tuple[float, ...] = (1.0,)
    """Learning rates to choose from on labels that are held back, as multiples of the recipe's; one: it is
    taken, and nothing is held back."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is asked, and the settings of single tasks."""

    labels_per_class: tuple[int, ...] = (10,)
    """Of tasks with few labels."""
    draws: int = 3
    """Of tasks with few labels."""
    seed: int = 0
    episodes: int = 600
    """Of `episodes`: how many are drawn."""
    columns: Columns = field(default_factory=Columns)
    wording: Wording = field(default_factory=Wording)
    robustness: Robustness = field(default_factory=Robustness)
    training: Training = field(default_factory=Training)
    finetuning: Finetuning = field(default_factory=Finetuning)
