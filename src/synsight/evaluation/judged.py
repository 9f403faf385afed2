"""What a task is told: whose model it judges, on which rows, with which settings.

A task beyond "an estimator on frozen features" (`estimators`) is a function of a `Judged`; it gives records
with their predictions. Those that train a network stand above, in `finetuning`, and are handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synsight.data.catalog import Catalog
from synsight.errors import UsageError
from synsight.evaluation.options import Options
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Splits
from synsight.evaluation.scoring import Origin, Scored
from synsight.metrics import LinearProbe, fit_linear_probe
from synsight.models import Model
from synsight.records import config_hash


@dataclass(eq=False, kw_only=True)
class Subject:
    """One model in an evaluation, for a task that reads other columns than the label."""

    name: str
    """What it is called in the records."""
    model: Model | None
    """None: only its features are known (`--features`)."""
    source: str = ""
    """As it was named: a MODEL, or the file that these features are in."""
    catalog: Catalog
    version: int
    """Of the catalog, before this evaluation added a column to it."""
    options: Options
    out: Path
    """The evaluation's folder; what a task keeps to go on from stands in `out / "runs"`."""
    progress: bool = True

    @property
    def network(self) -> Model:
        """The model, where a task cannot do with features.

        Raises:
            UsageError: Only features are known.
        """
        if self.model is None:
            raise UsageError(
                f"{self.name}: this task shows the network images or texts, and only features were given; "
                "name the MODEL instead of --features, or leave the task out."
            )
        return self.model


@dataclass(eq=False, kw_only=True)
class Judged(Subject):
    """One model that is asked for a label."""

    splits: Splits
    """The labelled rows."""
    compute: Callable[[], Features]
    """Computes the features of the labelled rows, or reads them where they are kept."""

    @cached_property
    def features(self) -> Features:
        """Of the labelled rows, in their order."""
        return self.compute()

    def linear_probe(self) -> LinearProbe:
        """Of all training labels, to convergence; C is chosen on the validation rows.

        Raises:
            DataError: No test row is of a class that a training row shows.
        """
        self.splits.check_learnable()
        splits, features = self.splits, self.features
        return fit_linear_probe(
            features.train,
            splits.train.labels,
            features.val,
            splits.val.labels,
            num_classes=splits.num_classes,
        )

    @property
    def origin(self) -> Origin:
        """For `score`."""
        return Origin(
            model=self.name,
            dataset=self.catalog.name,
            catalog_version=self.version,
            class_names=self.splits.class_names,
        )

    def question_hash(self, task: str, **settings: object) -> str:
        """Equal for two records that answer the same question in the same way."""
        return config_hash({"task": task, "label": self.splits.label, **settings})


Task = Callable[[Judged], Scored]
"""Asks one thing of one model; the records' `task` is the name it stands under in a mapping of tasks."""
LabelFreeTask = Callable[[Subject], Scored]
"""A task that brings its own truth: texts, boxes, masks, several labels a row."""
