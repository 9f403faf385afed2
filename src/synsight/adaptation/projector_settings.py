"""What a contrastive projector is and how it is trained: the published setting, and one for a site's use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from synsight.adaptation.alignment import AlignmentKind
from synsight.adaptation.preparation import Preparation
from synsight.errors import ConfigError, near_names
from synsight.objectives.pairwise_bce import Likeness

Shape = Literal["bottleneck", "residual"]
"""`bottleneck`: relu(x A' + a) B' + b, as published. `residual`: x + x A' B', the identity and a map of low
rank, which starts at the identity."""
ProjectionLoss = Literal["pairwise_bce", "supcon"]
Negatives = Literal["all", "semi-hard"]
Penalty = float | Literal["chosen"]
"""Inverse strength C of the classifier's L2 penalty; `chosen`: on held-out rows."""


@dataclass(frozen=True, kw_only=True)
class ProjectorSettings:
    """A whole setting, checked when made. D dimensions of the features."""

    shape: Shape
    prepare: Preparation
    """Of the features before they are projected."""
    hidden: int
    """Width of the bottleneck, or rank of the residual map; at most D // 2."""
    outputs: int
    """Dimensions of the projection; the residual's are D."""
    per_block: bool
    """Project every block of embeddings by itself, each with its own loss, in place of all together."""
    loss: ProjectionLoss
    temperature: float
    """Divides products or cosines."""
    normalise: bool
    """Whether `pairwise_bce` compares cosines; `supcon` always does."""
    negatives: Negatives
    likeness: Likeness
    """Of rows with several labels."""
    balanced: bool
    """Whether every batch has as many rows of each class."""
    batch_size: int
    epochs: int
    learning_rate: float
    """Of Adam."""
    identity: float
    """Weight of the mean squared length of what the residual map adds, against that of its input."""
    validated: bool
    """Whether held-out rows decide how long to train, and whether to project at all."""
    C: Penalty
    calibrate: bool
    """Whether held-out rows give a temperature to the probabilities."""
    alignment: AlignmentKind
    """Of labelled rows with unlabelled rows of the target domain, where there are any."""
    consistency: float
    """Weight of 1 - cosine between the projections of two noisy copies of an unlabelled target row."""

    def __post_init__(self) -> None:
        for name, known in (
            ("shape", Shape),
            ("loss", ProjectionLoss),
            ("negatives", Negatives),
            ("likeness", Likeness),
            ("alignment", AlignmentKind),
        ):
            if getattr(self, name) not in get_args(known):
                raise ConfigError(
                    f"{name}={getattr(self, name)!r} is not known; "
                    f"{near_names(str(getattr(self, name)), get_args(known))}."
                )
        for name, least in (("hidden", 1), ("outputs", 1), ("batch_size", 2), ("epochs", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}; got {getattr(self, name)!r}.")
        for name in ("temperature", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0; got {getattr(self, name)!r}.")
        for name in ("identity", "consistency"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0; got {getattr(self, name)!r}.")
        usable = self.C == "chosen" if isinstance(self.C, str) else self.C > 0
        if not usable:
            raise ConfigError(f"C must be > 0 or 'chosen'; got {self.C!r}.")


PAPER = ProjectorSettings(
    shape="bottleneck",
    prepare="none",
    hidden=16,
    outputs=128,
    per_block=False,
    loss="pairwise_bce",
    temperature=0.1,
    normalise=False,
    negatives="all",
    likeness="any",
    balanced=False,
    batch_size=128,
    epochs=10,
    learning_rate=1e-3,
    identity=0.0,
    validated=False,
    C=1.0,
    calibrate=False,
    alignment="none",
    consistency=0.0,
)
"""Margaritis et al. 2025 and its code; C is that of scikit-learn's LogisticRegression, which they use."""
SITE = ProjectorSettings(
    shape="residual",
    prepare="standardise",
    hidden=16,
    outputs=128,
    per_block=False,
    loss="supcon",
    temperature=0.1,
    normalise=True,
    negatives="all",
    likeness="any",
    balanced=True,
    batch_size=128,
    epochs=10,
    learning_rate=3e-3,
    identity=1.0,
    validated=True,
    C="chosen",
    calibrate=True,
    alignment="coral",
    consistency=0.0,
)
"""What a site needs: nothing is lost, and nothing is taken up that held-out rows do not want."""
RECIPES: Mapping[str, ProjectorSettings] = {"site": SITE, "paper": PAPER}
