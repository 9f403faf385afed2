"""Few-label estimators over frozen embeddings, in one scikit-learn shape."""

from collections.abc import Mapping

from synsight.adaptation.automatic import Automatic
from synsight.adaptation.base import FeatureEstimator, FitError, LabelledRows
from synsight.adaptation.clip_adapter import CLIPAdapter
from synsight.adaptation.discriminant import DiscriminantAnalysis
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.lp_plus import LPPlusPlus
from synsight.adaptation.neighbours import NearestMean, NearestNeighbours
from synsight.adaptation.projector import ContrastiveProjector
from synsight.adaptation.tip_adapter import TipAdapter, TipAdapterF
from synsight.adaptation.trials import Trial

ESTIMATORS: Mapping[str, type[FeatureEstimator]] = {
    "auto": Automatic,
    "logistic": LogisticRegression,
    "prototypes": NearestMean,
    "knn": NearestNeighbours,
    "lda": DiscriminantAnalysis,
    "lp++": LPPlusPlus,
    "tip-adapter": TipAdapter,
    "tip-adapter-f": TipAdapterF,
    "clip-adapter": CLIPAdapter,
    "projector": ContrastiveProjector,
}
"""From the name of a method to its estimator."""

__all__ = [
    "ESTIMATORS",
    "Automatic",
    "CLIPAdapter",
    "ContrastiveProjector",
    "DiscriminantAnalysis",
    "FeatureEstimator",
    "FitError",
    "LPPlusPlus",
    "LabelledRows",
    "LogisticRegression",
    "NearestMean",
    "NearestNeighbours",
    "TipAdapter",
    "TipAdapterF",
    "Trial",
]
