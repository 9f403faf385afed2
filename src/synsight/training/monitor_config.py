"""What is read off a run while it trains, which reading counts, and when a run is stopped by it."""

from dataclasses import dataclass
from typing import Literal

from synsight.errors import ConfigError

Metric = Literal["knn_acc1", "fewshot_acc1", "zeroshot_acc1", "head_acc1", "rankme", "lidar", "none"]
"""A reading that grows with the use of the features. (Alignment, uniformity and spread do not.)"""


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """What is asked of the features on held-out rows, with labels and without, and how often."""

    metric: Metric = "knn_acc1"
    """The reading that says which weights are kept and when the run is stopped; where it cannot be read (no
    label, no text encoder), and with none, the last weights are kept."""
    data: str | None = None
    """Another catalog's folder that gives neighbours and held-out rows; None: the run's own."""
    train_where: str = "split = 'train'"
    """Rows of `data` that serve as neighbours (SQL); without `data` they are among those trained on."""
    where: str = "split = 'val'"
    """Rows that are asked about (SQL); never the test rows."""
    label: str | None = None
    """Column with their labels; None: the run's `label`."""
    train_rows: int = 1000
    """Most training rows that serve as neighbours."""
    val_rows: int = 1000
    """Most rows that are asked about."""
    views_rows: int = 128
    """Held-out rows of which augmented views are kept, for alignment and LiDAR; 0: neither is read."""
    views_per_row: int = 4
    """SimCLR views of each, drawn once."""
    every_steps: int | None = None
    """Steps between two looks; None: as often as `share` allows."""
    share: float = 0.05
    """Largest share of the run's work that may go into looking, where an image embedded counts a third of
    one trained on."""
    neighbours: int = 20
    """k; at most twice the rows of the smallest class."""
    temperature: float = 0.1
    """A neighbour counts exp(similarity / temperature)."""
    ways: int = 5
    """Classes of a few-shot episode."""
    shots: int = 5
    """Labelled rows of each."""
    queries: int = 6
    """Most rows of each that are asked about."""
    episodes: int = 600
    """Few-shot episodes of one look, the same at every look."""
    zero_shot_templates: tuple[str, ...] = ("a photo of a {}.",)
    """Sentences that put a class name into words; their embeddings are averaged."""

    def __post_init__(self) -> None:
        for name in ("train_rows", "val_rows", "neighbours", "shots", "queries", "episodes"):
            _check(getattr(self, name) > 0, f"monitor.{name} must be at least 1", getattr(self, name))
        _check(
            self.every_steps is None or self.every_steps > 0,
            "monitor.every_steps must be at least 1 or none",
            self.every_steps,
        )
        for name in ("ways", "views_per_row"):
            _check(getattr(self, name) > 1, f"monitor.{name} must be at least 2", getattr(self, name))
        _check(self.views_rows >= 0, "monitor.views_rows must be at least 0", self.views_rows)
        _check(0 < self.share <= 1, "monitor.share must lie in (0, 1]", self.share)
        _check(self.temperature > 0, "monitor.temperature must be > 0", self.temperature)
        for name in ("where", "train_where"):
            rule = f"monitor.{name} must not read the test rows"
            _check("'test'" not in getattr(self, name), rule, getattr(self, name))
        _check(
            bool(self.zero_shot_templates) and all("{}" in one for one in self.zero_shot_templates),
            "monitor.zero_shot_templates must be sentences with {} for the class name",
            self.zero_shot_templates,
        )


@dataclass(frozen=True, kw_only=True)
class StoppingConfig:
    """When a run ends before its last step: the chosen reading of the monitor has fallen for good."""

    enabled: bool = False
    patience: int = 4
    """Looks below the peak, by more than noise, that end the run; a look within noise takes one back."""
    min_improvement: float = 0.0
    """How far a look must rise above the peak to wipe out the looks counted against the run."""
    confidence: float = 0.9
    """Of the interval that a fall must exceed to count; it holds for all looks of a run together."""
    begin: float = 0.2
    """Share of the run before which no look counts against it: features may worsen before they improve."""

    def __post_init__(self) -> None:
        _check(self.patience > 0, "stopping.patience must be at least 1", self.patience)
        _check(self.min_improvement >= 0, "stopping.min_improvement must be >= 0", self.min_improvement)
        _check(0 < self.confidence < 1, "stopping.confidence must lie in (0, 1)", self.confidence)
        _check(0 <= self.begin < 1, "stopping.begin must lie in [0, 1)", self.begin)


def _check(well: bool, rule: str, value: object) -> None:
    if not well:
        raise ConfigError(f"{rule}; got {value!r}.")
