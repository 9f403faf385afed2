"""Numbers about features and predictions: arrays in, numbers out; no model, file or config is known here."""

from synsight.metrics.accuracy import acc1, chance_recall, mean_per_class_recall, most_frequent_accuracy
from synsight.metrics.collapse import unit_feature_spread
from synsight.metrics.episodes import Episodes, few_shot_episodes, nearest_mean_accuracy
from synsight.metrics.few_shot import Draw, draw_per_class
from synsight.metrics.intervals import Interval, Scores, bootstrap_interval, paired_difference
from synsight.metrics.knn import neighbour_count, weighted_knn
from synsight.metrics.linear_probe import LinearProbe, fit_few_labels, fit_linear_probe
from synsight.metrics.rank import lidar, rank_me
from synsight.metrics.sphere import alignment, uniformity
from synsight.metrics.start_probe import (
    Start,
    StartProbe,
    fit_few_from_start,
    fit_fixed_steps,
    fit_from_start,
    random_start,
)
from synsight.metrics.zero_shot import zero_shot

__all__ = [
    "Draw",
    "Episodes",
    "Interval",
    "LinearProbe",
    "Scores",
    "Start",
    "StartProbe",
    "acc1",
    "alignment",
    "bootstrap_interval",
    "chance_recall",
    "draw_per_class",
    "few_shot_episodes",
    "fit_few_from_start",
    "fit_few_labels",
    "fit_fixed_steps",
    "fit_from_start",
    "fit_linear_probe",
    "lidar",
    "mean_per_class_recall",
    "most_frequent_accuracy",
    "nearest_mean_accuracy",
    "neighbour_count",
    "paired_difference",
    "random_start",
    "rank_me",
    "uniformity",
    "unit_feature_spread",
    "weighted_knn",
    "zero_shot",
]
