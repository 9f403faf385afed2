"""The tasks that read boxes and masks in place of a label, by their names."""

from collections.abc import Mapping

from synsight.evaluation.judged import LabelFreeTask
from synsight.finetuning.dense_task import FROZEN
from synsight.finetuning.detection import TASK as DETECTION
from synsight.finetuning.detection import detection, detection_frozen
from synsight.finetuning.segmentation import TASK as SEGMENTATION
from synsight.finetuning.segmentation import segmentation, segmentation_frozen

DENSE_TASKS: Mapping[str, LabelFreeTask] = {
    DETECTION: detection,
    DETECTION + FROZEN: detection_frozen,
    SEGMENTATION: segmentation,
    SEGMENTATION + FROZEN: segmentation_frozen,
}
"""Name -> what answers it."""
