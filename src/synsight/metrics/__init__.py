"""Numbers about features and predictions: arrays in, numbers out; no model, file or config is known here."""

from synsight.metrics.accuracy import acc1, chance_recall, mean_per_class_recall, most_frequent_accuracy
from synsight.metrics.collapse import unit_feature_spread
from synsight.metrics.few_shot import Draw, draw_per_class
from synsight.metrics.intervals import Interval, Scores, bootstrap_interval, paired_difference
from synsight.metrics.knn import neighbour_count, weighted_knn
from synsight.metrics.linear_probe import LinearProbe, fit_few_labels, fit_linear_probe

__all__ = [
    "Draw",
    "Interval",
    "LinearProbe",
    "Scores",
    "acc1",
    "bootstrap_interval",
    "chance_recall",
    "draw_per_class",
    "fit_few_labels",
    "fit_linear_probe",
    "mean_per_class_recall",
    "most_frequent_accuracy",
    "neighbour_count",
    "paired_difference",
    "unit_feature_spread",
    "weighted_knn",
]
