"""Numbers about features and predictions: arrays in, numbers out; no model, file or config is known here."""

from synsight.metrics.accuracy import acc1, chance_recall, mean_per_class_recall, most_frequent_accuracy
from synsight.metrics.calibration import (
    Confidences,
    brier_score,
    calibration_interval,
    debiased_calibration_error,
    expected_calibration_error,
)
from synsight.metrics.collapse import unit_feature_spread
from synsight.metrics.differences import ScoreDifference, difference_of_intervals, paired_difference
from synsight.metrics.episodes import Episodes, few_shot_episodes, nearest_mean_accuracy
from synsight.metrics.few_shot import Draw, draw_per_class
from synsight.metrics.intervals import Interval, score_interval
from synsight.metrics.knn import neighbour_count, weighted_knn
from synsight.metrics.linear_probe import LinearProbe, fit_few_labels, fit_linear_probe
from synsight.metrics.multiple_tests import holm
from synsight.metrics.rank import lidar, rank_me
from synsight.metrics.scores import Scores
from synsight.metrics.sphere import alignment, uniformity
from synsight.metrics.start_probe import (
    Start,
    StartProbe,
    fit_few_from_start,
    fit_fixed_steps,
    fit_from_start,
    random_start,
)
from synsight.metrics.top_k import most_frequent_top_k, top_k_hits
from synsight.metrics.zero_shot import zero_shot

__all__ = [
    "Confidences",
    "Draw",
    "Episodes",
    "Interval",
    "LinearProbe",
    "ScoreDifference",
    "Scores",
    "Start",
    "StartProbe",
    "acc1",
    "alignment",
    "brier_score",
    "calibration_interval",
    "chance_recall",
    "debiased_calibration_error",
    "difference_of_intervals",
    "draw_per_class",
    "expected_calibration_error",
    "few_shot_episodes",
    "fit_few_from_start",
    "fit_few_labels",
    "fit_fixed_steps",
    "fit_from_start",
    "fit_linear_probe",
    "holm",
    "lidar",
    "mean_per_class_recall",
    "most_frequent_accuracy",
    "most_frequent_top_k",
    "nearest_mean_accuracy",
    "neighbour_count",
    "paired_difference",
    "random_start",
    "rank_me",
    "score_interval",
    "top_k_hits",
    "uniformity",
    "unit_feature_spread",
    "weighted_knn",
    "zero_shot",
]
