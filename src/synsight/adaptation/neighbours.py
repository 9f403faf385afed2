"""Classifiers by likeness: the nearest labelled rows, and the nearest class mean.

N rows, D dimensions, C classes, K neighbours.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from synsight.adaptation.base import ClassWeight, FeatureEstimator, LabelledRows, Missing
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import LEAST_CHANCE, TunedEstimator, log_softmax_or_sigmoid, quality
from synsight.errors import ConfigError
from synsight.metrics.arrays import unit_rows
from synsight.metrics.knn import neighbour_count
from synsight.models.head_layers import Layer, Linear, Log, Nearest, Normalise, Scale, Sequence_, Sum

MOST_NEIGHBOURS = 20
DEFAULT_TEMPERATURE = 0.1
"""Of class means where no class has a second row to choose by."""
_TEMPERATURES = (1e-3, 10.0)


class NearestNeighbours(FeatureEstimator):
    """Weighted k-NN: the K rows of largest cosine vote with exp(cosine / temperature), as in `weighted_knn`.

    Rows of several labels vote for each of them: a class' probability is the share of the votes that have it.

    Args:
        k: K; None: min(20, twice the rows of the smallest class), so that a small class can win.
        temperature: Divides the cosines; smaller lets the nearest decide.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; nothing is drawn. Weights of
            rows and classes multiply the votes.

    Attributes:
        k_: K.

    Reference: Wu et al. 2018, section 3.4, https://arxiv.org/abs/1805.01978
    """

    def __init__(
        self,
        *,
        k: int | None = None,
        temperature: float = 0.1,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "unit",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.k = k
        self.temperature = temperature

    def _fit(self, train: LabelledRows) -> None:
        if not self.temperature > 0 or (self.k is not None and self.k < 1):
            raise ConfigError(f"k and temperature must be > 0; got {self.k!r} and {self.temperature!r}.")
        rule = (
            min(MOST_NEIGHBOURS, len(train.features))
            if train.labels is None
            else neighbour_count(train.labels, most=MOST_NEIGHBOURS)
        )
        self.k_ = min(len(train.features), int(self.k)) if self.k is not None else rule
        self.rows_ = unit_rows(train.features)
        self.votes_ = train.truth * train.weights[:, None]
        self.votes_against_ = ~train.truth * train.weights[:, None]

    def _score_layers(self) -> list[Layer]:
        votes = Sequence_(_linear(self.votes_.T), Log(LEAST_CHANCE))
        near: list[Layer] = [Normalise(), _linear(self.rows_), Nearest(self.k_, self.temperature)]
        if not self.multilabel_:
            return [*near, votes]
        against = Sequence_(_linear(self.votes_against_.T), Log(LEAST_CHANCE), Scale(-1))
        return [*near, Sum(votes, against)]


class NearestMean(TunedEstimator):
    """Prototypes: cosine to the mean of each class' unit rows, over a temperature.

    With the training rows' mean taken off first (`prepare="centred-unit"`, the default) the decision is that
    of SimpleShot's nearest centroid. It has no setting that a few labels could choose wrongly, which makes it
    strong at one to four labels a class. The temperature, which changes no decision, is the likeliest one
    when each row is asked about while its class mean is taken without it (leaving out single rows, whatever
    their group), or the likeliest on validation rows; with one label a class it is 0.1.

    Args:
        temperature: Divides the cosines; None: chosen as said above.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; nothing is drawn. Class weights
            change the temperature alone.

    Attributes:
        means_: [C, D] unit length.
        temperature_: The value that was used.

    References: Snell, Swersky and Zemel 2017 (prototypes), https://arxiv.org/abs/1703.05175; Wang et al. 2019
        (centring), https://arxiv.org/abs/1911.04623. They use Euclidean distances to the mean of unit rows;
        the cosine does not favour classes whose rows are spread out.
    """

    several_labels = False

    def __init__(
        self,
        *,
        temperature: float | None = None,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "centred-unit",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.temperature = temperature

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        if self.temperature is not None and not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0; got {self.temperature!r}.")
        rows = unit_rows(train.features)
        sums = (train.truth * train.weights[:, None]).T @ rows
        self.means_ = unit_rows(sums)
        if self.temperature is not None:
            self.temperature_ = float(self.temperature)
        elif held_out is not None:
            self.temperature_ = _likeliest(unit_rows(held_out.features) @ self.means_.T, held_out)
        else:
            alone = (train.truth.sum(axis=0) == 1)[train.labels]
            cosines, kept = _left_out_cosines(rows, sums, train)[~alone], train.take(~alone)
            self.temperature_ = _likeliest(cosines, kept) if len(cosines) else DEFAULT_TEMPERATURE

    def _score_layers(self) -> list[Layer]:
        return [Normalise(), _linear(self.means_), Scale(1 / self.temperature_)]


def _left_out_cosines(
    rows: NDArray[np.float32], sums: NDArray[np.float64], train: LabelledRows
) -> NDArray[np.float64]:
    """Cosines of each row to the class means, its own class' mean taken without it, [N, C]."""
    cosines = (rows @ unit_rows(sums).T).astype(np.float64)
    own = unit_rows(sums[train.labels] - train.weights[:, None] * rows)
    cosines[np.arange(len(rows)), train.labels] = (own * rows).sum(axis=1)
    return cosines


def _likeliest(cosines: NDArray[np.floating], held_out: LabelledRows) -> float:
    """The temperature under which the labels are likeliest."""

    def loss(log_temperature: float) -> float:
        chances = log_softmax_or_sigmoid(cosines / np.exp(log_temperature), several=False)
        return -quality(chances, held_out).log_likelihood

    found = minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def _linear(weight: NDArray[np.floating]) -> Linear:
    return Linear.of(torch.from_numpy(np.ascontiguousarray(weight)))
