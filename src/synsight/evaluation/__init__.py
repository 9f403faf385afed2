"""Questions asked of features and predictions: the protocol, its records, and paired comparison.

Estimators come in as arguments; nothing here trains a network.
"""

from synsight.evaluation.asking import TaskTable
from synsight.evaluation.comparison import Difference, difference_results, paired_differences
from synsight.evaluation.estimators import ESTIMATORS, Answer, Estimator, Problem
from synsight.evaluation.judged import Judged, LabelFreeTask, Subject, Task
from synsight.evaluation.options import Columns, Finetuning, Options, Robustness, Training, Wording
from synsight.evaluation.protocol import evaluate
from synsight.evaluation.scoring import METRICS, PREDICTIONS, mean_over_draws
from synsight.evaluation.storage import read_predictions, read_results, write_evaluation

__all__ = [
    "ESTIMATORS",
    "METRICS",
    "PREDICTIONS",
    "Answer",
    "Columns",
    "Difference",
    "Estimator",
    "Finetuning",
    "Judged",
    "LabelFreeTask",
    "Options",
    "Problem",
    "Robustness",
    "Subject",
    "Task",
    "TaskTable",
    "Training",
    "Wording",
    "difference_results",
    "evaluate",
    "mean_over_draws",
    "paired_differences",
    "read_predictions",
    "read_results",
    "write_evaluation",
]
