"""Linear discriminant analysis whose covariance is shrunk by Ledoit and Wolf's formula.

N rows, D dimensions, C classes.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from sklearn.covariance import ledoit_wolf_shrinkage

from synsight.adaptation.base import ClassWeight, LabelledRows, Missing
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import TunedEstimator
from synsight.errors import ConfigError
from synsight.models.head_layers import Layer, Linear, Standardise

Covariance = Literal["pooled", "by-class"]
_RIDGE = 1e-6
"""Of the mean variance; keeps a covariance regular where a column does not vary."""


class DiscriminantAnalysis(TunedEstimator):
    """Gaussian classes of one covariance (LDA), the covariance shrunk towards a multiple of the identity.

    Score of class k: (x - m)' S^-1 (m_k - m) - (m_k - m)' S^-1 (m_k - m) / 2 + log prior_k, with m the mean
    of all rows. It is fitted without a step, and is the best there is where classes are Gaussian; `transform`
    gives the C - 1 discriminant axes, along which rows of a class have unit variance.

    Args:
        covariance: `by-class`: a shrunk covariance a class, columns first divided by their deviation, and
            averaged by prior over the classes of two labels or more; this is scikit-learn's
            LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"). `pooled`: one shrinkage for the
            deviations of all rows from their class means; it shrinks less. With one label a class either
            takes the variances of the columns.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; nothing is drawn. Weights
            of rows change means, covariance and priors, but not the intensity of the shrinkage.

    Attributes:
        means_: [C, D]
        covariance_: [D, D]
        priors_: [C]
        shrinkage_: Weight of the identity, 0 to 1; of `by-class` the mean over the classes.

    Reference: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
        Journal of Multivariate Analysis 88. Departure of `pooled`: variances are divided by N - C, not N, so
        that probabilities are not too sure where labels are few.
    """

    several_labels = False

    def __init__(
        self,
        *,
        covariance: Covariance = "by-class",
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "none",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.covariance = covariance

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        self.priors_ = (train.weights @ train.truth) / train.weights.sum()
        self.means_ = train.class_means()
        if self.covariance == "pooled":
            self.covariance_, self.shrinkage_ = _pooled(train, self.means_)
        elif self.covariance == "by-class":
            self.covariance_, self.shrinkage_ = _by_class(train, self.means_, self.priors_)
        else:
            raise ConfigError(f"covariance must be 'pooled' or 'by-class'; got {self.covariance!r}.")
        self.centre_ = self.priors_ @ self.means_
        apart = self.means_ - self.centre_
        ridge = _RIDGE * max(float(np.diag(self.covariance_).mean()), 1e-30)
        factor = cho_factor(self.covariance_ + ridge * np.eye(len(self.covariance_)))
        self.coef_: NDArray[np.float64] = cho_solve(factor, apart.T).T
        self.intercept_ = -0.5 * (self.coef_ * apart).sum(axis=1) + np.log(self.priors_)
        self.axes_ = _axes(self.coef_, apart, self.priors_)

    def _score_layers(self) -> list[Layer]:
        return [*self._centring(), Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))]

    def _embedding_layers(self) -> list[Layer]:
        return [*self._centring(), Linear.of(torch.from_numpy(self.axes_))]

    def _centring(self) -> list[Layer]:
        # Apart from the linear map, since its rows are large beside what is left of features less their mean.
        return [Standardise.of(torch.from_numpy(self.centre_), torch.ones(len(self.centre_)))]


def _pooled(train: LabelledRows, means: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    shares = train.weights / train.weights.sum()
    deviations = train.features - means[train.labels]
    freedom = len(deviations) - train.num_classes
    if freedom < 1:  # one row a class: nothing is known but how much the columns vary
        overall = train.features - shares @ train.features.astype(np.float64)
        return np.diag(_positive(shares @ overall**2)), 1.0
    scale = np.sqrt(_positive(shares @ deviations**2))
    scaled = deviations / scale
    shrinkage = float(ledoit_wolf_shrinkage(scaled, assume_centered=True))
    shrunk = _shrunk((scaled * shares[:, None]).T @ scaled, shrinkage)
    return scale[:, None] * shrunk * scale * (len(deviations) / freedom), shrinkage


def _by_class(
    train: LabelledRows, means: NDArray[np.float64], priors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    several = train.truth.sum(axis=0) > 1
    if not several.any():
        return _pooled(train, means)
    parts = np.where(several, priors, 0) / priors[several].sum()
    total, intensities = np.zeros((train.features.shape[1],) * 2), np.zeros(len(priors))
    for number in np.flatnonzero(several):
        mean, prior = means[number], parts[number]
        rows = train.take(train.truth[:, number])
        shares = rows.weights / rows.weights.sum()
        deviations = rows.features - mean
        scale = np.sqrt(shares @ deviations**2)
        scale = np.where(scale > 10 * np.finfo(np.float64).eps, scale, 1.0)
        scaled = deviations / scale
        intensities[number] = ledoit_wolf_shrinkage(scaled, assume_centered=True)
        shrunk = _shrunk((scaled * shares[:, None]).T @ scaled, intensities[number])
        total += prior * scale[:, None] * shrunk * scale
    return total, float(parts @ intensities)


def _shrunk(covariance: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    towards = shrinkage * np.trace(covariance) / len(covariance)
    shrunk: NDArray[np.float64] = (1 - shrinkage) * covariance + towards * np.eye(len(covariance))
    return shrunk


def _positive(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column that does not vary gets a small variance, so that it can be divided by."""
    mean = float(variances.mean())
    return np.maximum(variances, _RIDGE * mean if mean > 0 else 1.0)


def _axes(
    coef: NDArray[np.float64], apart: NDArray[np.float64], priors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Discriminant axes [C - 1, D], the most telling first: with A = sqrt(priors) (means - centre), the
    eigenvectors U, L of A S^-1 A' give L^-1/2 U' A S^-1, whose rows have unit variance under S.
    """
    root = np.sqrt(priors)[:, None]
    spread, vectors = eigh((root * apart) @ (root * coef).T)
    kept = np.argsort(spread)[::-1][: len(priors) - 1]
    lengths = np.sqrt(np.maximum(spread[kept], 1e-12 * max(spread[-1], 1e-300)))
    axes: NDArray[np.float64] = (vectors[:, kept] / lengths).T @ (root * coef)
    return axes
